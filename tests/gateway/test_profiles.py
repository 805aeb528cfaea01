"""Device profiles: the shipped ones are whole, every kind of fault is named, nothing makes the reader fall."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue import parameters
from gateway.catalogue import profiles as packaged
from gateway.measurement import Status
from gateway.plans import plan
from gateway.profile_file import parse_profile
from gateway.profiles import Example
from gateway.registers import decode, encode, example_faults
from tests.effort import examples

PACKAGED = packaged()
FILES = sorted((Path(__file__).parent.parent.parent / "gateway" / "profiles").glob("*.toml"))
GOOD = """
[profile]
name = "meter"
title = { en = "Meter", zh = "表" }
maker = "Maker"
model = "M"
kind = "stack"
source = "the manual, edition 1"
manual = "manual"

[[register]]
parameter = "SO2"
fc = 3
address = 0
type = "float32"
unit = "mg/m3"
low = 0
high = 100
manual = "page 1"

[[status]]
fc = 3
address = 2
bit = 0
status = "fault"
manual = "page 2"

[[example]]
read = [{ fc = 3, address = 0, words = [0x4120, 0, 0] }]
expect = { SO2 = 10.0 }
source = "bench"
"""

# Everything that the format can say beside that.
EVERYTHING = """
[profile]
name = "quirks"
title = { en = "Quirks", zh = "怪表" }
maker = "Maker"
model = "Q"
kind = "water"
source = "the manual, edition 1"
manual = "manual"
max_registers = 60
max_bits = 64
max_hole = 8
holes = [{ fc = 3, address = 200, count = 10 }]
requests = [{ fc = 4, address = 0, count = 20 }]
tid_zero_ok = true
pause_s = 0.05

[[register]]
parameter = "flow"
fc = 4
address = 0
type = "bcd32_sign"
order = "CDAB"
unit = "m3/h"
low = -100
high = 100
soft_low = 0
soft_high = 90
rate_max = 5
resolution = 0.1
stuck_after = 600
interval_s = 0.2
sentinels = [-79999999, { from = 79999999, to = 79999999, status = "out_of_range" }]
manual = "page 1"

[[register.by]]
fc = 4
address = 2
mask = 0x00FF
cases = [{ is = 0, scale = 1 }, { is = 1, scale = 0.1 }]
manual = "page 1, decimals"

[[register.by]]
fc = 4
address = 3
cases = [{ is = 0, unit = "m3/h" }, { is = 1, unit = "L/s", scale = 2 }]
manual = "page 1, units"

[[register]]
parameter = "total_volume"
fc = 3
address = 10
type = "uint32"
unit = "m3"
low = 0
high = 1000000
rollover = 1000000
rate_max = 0.1
manual = "page 2"

[[register]]
parameter = "total_volume"
fc = 3
address = 12
type = "uint16"
scale = 0.001
added = true
unit = "m3"
low = 0
high = 1
manual = "page 2"

[[register]]
parameter = "pH"
fc = 3
address = 14
type = "uint8"
half = "high"
scale = 0.1
unit = ""
low = 0
high = 14
manual = "page 3"

[[register]]
parameter = "water_temperature"
fc = 3
address = 14
type = "int16"
mask = 0x00FC
unit = "degC"
low = -20
high = 31
manual = "page 3"

[[status]]
fc = 3
address = 14
bit = 0
status = "calibration"
manual = "page 3"

[[setting]]
name = "span"
fc = 3
address = 100
type = "float32"
unit = "mg/L"
manual = "page 4"

[[setting]]
name = "order"
fc = 3
address = 102
type = "float32"
constant = 123456.0
manual = "page 4, a constant to prove the word order"

[[identity]]
name = "serial_number"
fc = 3
address = 110
type = "ascii"
count = 4
order = "BADC"
manual = "page 5"

[[example]]
read = [
    { fc = 4, address = 0, words = [0x0123, 0x8000, 0x0001, 0x0001] },
    { fc = 3, address = 10, words = [0x0000, 0x0007, 250, 0, 0x46FC] },
    { fc = 3, address = 100, words = [0x4120, 0, 0x47F1, 0x2000, 0, 0, 0, 0, 0, 0, 0x4241, 0x3231, 0x0033, 0] },
]
expect = { flow = -24.6, total_volume = 7.25, pH = 7.0, water_temperature = -1.0 }
items = { span = 10.0, serial_number = "AB123" }
source = "bench"
"""


def paths(text: str) -> list[str]:
    profile, faults = parse_profile(text, "meter.toml", parameters())
    assert (profile is None) == bool(faults)
    assert all(fault.file == "meter.toml" and fault.message for fault in faults)
    return [fault.path for fault in faults]


def test_the_good_one_is_good() -> None:
    profile, faults = parse_profile(GOOD, "meter.toml", parameters())
    assert not faults
    assert profile is not None
    assert example_faults(profile) == []
    assert profile.register("SO2").manual == "page 1"
    assert profile.status[0].parameters == ("SO2",)
    with pytest.raises(KeyError):
        profile.register("CO")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_shipped_profiles_are_whole(file: Path) -> None:
    profile, faults = parse_profile(file.read_text("utf-8"), file.name, parameters())
    assert not faults
    assert profile is not None
    assert example_faults(profile) == []
    assert profile.name == file.stem


@pytest.mark.parametrize("name", PACKAGED)
def test_shipped_profiles_cite_and_show_a_good_day_and_a_bad_one(name: str) -> None:
    profile = PACKAGED[name]
    assert profile.title.zh != profile.title.en
    assert all(text.strip() for text in (profile.source, profile.manual, profile.maker, profile.model))
    assert all(item.manual.strip() for item in (*profile.registers, *profile.status))
    assert all(example.source.strip() and example.title for example in profile.examples)
    assert any(set(example.status.values()) == {Status.OK} for example in profile.examples)
    assert any(is_special(example) for example in profile.examples)
    shown = {name for example in profile.examples for name in example.expect}
    assert shown == set(profile.parameters), "every parameter stands in an example"
    if profile.maker != "emitwatch":
        assert profile.unverified, "no map but our own is checked in every point: say what is open"


def is_special(example: Example) -> bool:
    """Whether it shows what one does not see every day: no value, a status, a number below zero."""
    return any(value is None or value < 0 or example.status[name] for name, value in example.expect.items())


def test_there_are_profiles_of_many_instruments_and_no_two_of_one() -> None:
    models = [(profile.maker.casefold(), profile.model.casefold()) for profile in PACKAGED.values()]
    assert len(set(models)) == len(models)
    assert sum(maker != "emitwatch" for maker, _ in models) >= 25


def test_the_simulated_instruments_are_documented_register_by_register() -> None:
    page = (FILES[0].parents[2] / "docs/reference/simulated-instruments.md").read_text("utf-8")
    for name in ("emitwatch-noise", "emitwatch-stack-gas", "emitwatch-water"):
        profile = PACKAGED[name]
        assert f"(`{name}`)" in page
        for register in profile.registers:
            last = register.address + register.width - 1
            place = f"| {register.address}-{last} |" if register.width > 1 else f"| {register.address} |"
            assert place in page
            assert str(register.type) in page
        for example in profile.examples:
            assert " ".join(f"{word:04X}" for word in example.words.values()) in page


def test_every_key_of_a_profile_is_documented() -> None:
    page = (FILES[0].parents[2] / "docs/reference/profile-file.md").read_text("utf-8")
    for text in [EVERYTHING, *(file.read_text("utf-8") for file in FILES)]:
        tree = tomllib.loads(text)
        for table in ("profile", "register", "status", "setting", "identity", "example"):
            section = page.split(f"[{table}]\n" if table == "profile" else f"## [[{table}]]\n")[1].split("\n## ")[0]
            rows = tree.get(table, [])
            for key in {key for row in (rows if isinstance(rows, list) else [rows]) for key in row}:
                assert f"`{key}`" in section, f"{table}.{key}"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('name = "meter"', 'name = "a meter"', ["profile.name"]),
        ('kind = "stack"', 'kind = "chimney"', ["profile.kind"]),
        ('kind = "stack"', 'kind = "water"', ["register[0].parameter"]),
        ('source = "the manual, edition 1"', "", ["profile.source"]),
        ('source = "the manual, edition 1"', 'source = " "', ["profile.source"]),
        ('manual = "manual"', 'manual = "manual"\nmax_registers = 126', ["profile.max_registers"]),
        ('manual = "manual"', 'manual = "manual"\nno_status = "none"', ["profile.no_status"]),
        ('manual = "manual"', 'manual = "manual"\ncolour = "red"', ["profile.colour"]),
        ('parameter = "SO2"', 'parameter = "SO3"', ["register[0].parameter", "example[0].expect.SO2"]),
        ("address = 0\n", "address = 65535\n", ["register[0].address"]),
        ("address = 0\n", "address = -1\n", ["register[0].address"]),
        ('type = "float32"', 'type = "float"', ["register[0].type"]),
        ('type = "float32"', 'type = "float32"\norder = "DCAB"', ["register[0].order"]),
        ('type = "float32"', 'type = "float32"\nscale = 0', ["register[0].scale"]),
        ('type = "float32"', 'type = "float32"\nsentinels = ["no"]', ["register[0].sentinels"]),
        ('type = "float32"', 'type = "uint16"\nsentinels = [-1]', ["register[0].sentinels"]),
        ('type = "float32"', 'type = "float32"\nadded = true', ["register[0].parameter"]),
        ('unit = "mg/m3"', 'unit = "mg/L"', ["register[0].unit"]),
        ("low = 0", "low = 100", ["register[0].low"]),
        ("high = 100\n", "", ["register[0].high"]),
        ('manual = "page 1"', "", ["register[0].manual"]),
        ("fc = 3\naddress = 2", "fc = 5\naddress = 2", ["status[0].fc"]),
        ("bit = 0", "bit = 16", ["status[0].bit"]),
        ("bit = 0", "bit = 0\nwhen = 2", ["status[0].when"]),
        ("bit = 0", "", ["status[0].unless"]),
        ("bit = 0", "equals = []", ["status[0].equals"]),
        ("bit = 0", "mask = 3\nequals = [4]", ["status[0].equals"]),
        ("bit = 0", "mask = 3\nunless = [0, 1, 2, 3]", ["status[0].unless"]),
        ("bit = 0", "bit = 0\nequals = [1]", ["status[0].equals"]),
        ('status = "fault"', 'status = "no_comm"', ["status[0].status"]),
        ('status = "fault"', 'status = "fault"\nparameters = ["CO"]', ["status[0].parameters"]),
        ("words = [0x4120, 0, 0]", "words = [0x4120, 0, 65536]", ["example[0].read[0].words"]),
        ("expect = { SO2 = 10.0 }", "expect = { SO2 = true }", ["example[0].expect.SO2"]),
        ("expect = { SO2 = 10.0 }", 'expect = { SO2 = 1 }\nstatus = { SO2 = "bad" }', ["example[0].status.SO2"]),
        ('source = "bench"', "", ["example[0].source"]),
    ],
)
def test_faults_name_the_field(old: str, new: str, wanted: list[str]) -> None:
    assert old in GOOD
    assert paths(GOOD.replace(old, new, 1)) == wanted


def test_everything_the_format_can_say_is_understood() -> None:
    profile, faults = parse_profile(EVERYTHING, "quirks.toml", parameters())
    assert not faults, "\n".join(map(str, faults))
    assert profile is not None
    assert example_faults(profile) == []
    assert (profile.tid_zero_ok, profile.pause_s, profile.max_bits) == (True, 0.05, 64)
    flow, total = profile.register("flow"), profile.register("total_volume")
    assert flow.checks.soft_high == pytest.approx(25.0)
    assert (flow.checks.rate_max, flow.checks.resolution) == pytest.approx((5 / 3.6, 0.1 / 3.6))
    assert flow.told == ((79999999.0, 79999999.0, Status.OUT_OF_RANGE),)
    assert (flow.interval_s, flow.checks.stuck_after, total.checks.rollover) == (0.2, 600, 1e6)
    reading = plan(profile)
    assert [(block.fc, block.address, block.count) for block in reading.blocks] == [(3, 10, 5), (4, 0, 20)]
    value = np.array([[12.0, 7.25, 6.9, -16.0], [-0.5, 999_999.999, 14.0, 15.0], [np.nan, 0.0, 0.0, 0.0]])
    status = np.array([[0, 0, 0, 0], [2, 2, 2, 2], [4, 0, 0, 0]], np.uint8)
    got, got_status = decode(reading, encode(reading, value, status))
    assert got == pytest.approx(value, abs=0.5 / 3.6, nan_ok=True)
    assert got[:, 1:] == pytest.approx(value[:, 1:], abs=1e-6)
    assert got_status.tolist() == status.tolist()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("address = 200, count = 10", "address = 12, count = 1", ["register[2].address"]),
        ("address = 200, count = 10", "address = 101, count = 1", ["setting[0].address"]),
        ("count = 20 }", "count = 126 }", ["profile.requests[0].count"]),
        ("pause_s = 0.05", "pause_s = 60", ["profile.pause_s"]),
        ("soft_low = 0\n", "soft_low = 95\n", ["register[0].soft_low"]),
        ("soft_high = 90", "soft_high = 900", ["register[0].soft_low"]),
        ("stuck_after = 600", "stuck_after = 1", ["register[0].stuck_after"]),
        ("interval_s = 0.2", "interval_s = 0.01", ["register[0].interval_s"]),
        ('status = "out_of_range" }', 'status = "no_comm" }', ["register[0].sentinels"]),
        ("from = 79999999", "from = 89999999", ["register[0].sentinels"]),
        ("mask = 0x00FF", "mask = 0x00F0", ["register[0].by[0].cases[1].is"]),
        ("{ is = 1, scale = 0.1 }", "{ is = 0, scale = 0.1 }", ["register[0].by[0].cases"]),
        ("{ is = 0, scale = 1 }", "{ is = 0 }", ["register[0].by[0].cases[0]"]),
        ("{ is = 0, scale = 1 }", '{ is = 0, unit = "m3/h" }', ["register[0].by"]),
        ('unit = "L/s", scale = 2', 'unit = "mg/L"', ["register[0].by[1].cases[1].unit"]),
        ("rate_max = 0.1", "", ["register[1].rate_max"]),
        (
            "added = true",
            "added = true\nrollover = 1000\nrate_max = 1",
            ["register[2].rate_max", "register[2].rollover"],
        ),
        ('half = "high"', 'half = "upper"', ["register[3].half", "register[4].address"]),
        ('type = "uint8"', 'type = "uint16"', ["register[3].half"]),
        ("mask = 0x00FC", "mask = 0x00F5", ["register[4].mask"]),
        ("mask = 0x00FC", "mask = 0x0FFC", ["register[4].address"]),
        ('type = "int16"\nmask', 'type = "int32"\nmask', ["register[4].mask"]),
        ("constant = 123456.0", 'constant = "1"', ["setting[1].constant"]),
        ("address = 0, count = 20", "address = 0, count = 3", ["register[0].by[1].address"]),
        ("count = 4\n", "", ["identity[0].count"]),
        ('order = "BADC"', "scale = 2", ["identity[0].type"]),
        ('name = "serial_number"', 'name = "number"', ["identity[0].name", "example[0].items.serial_number"]),
        ("items = { span = 10.0,", 'items = { span = "10",', ["example[0].items.span"]),
    ],
)
def test_faults_of_the_rarer_keys_name_the_field(old: str, new: str, wanted: list[str]) -> None:
    assert EVERYTHING.count(old) >= 1
    assert sorted(paths(EVERYTHING.replace(old, new, 1))) == sorted(wanted)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("span = 10.0", "span = 11.0", "example[0].items.span"),
        ("0x47F1, 0x2000", "0x2000, 0x47F1", "example[0].read"),
        ('"AB123"', '"AB124"', "example[0].items.serial_number"),
        ("0x4241, 0x3231, 0x0033, 0]", "0x4241]", "example[0].read"),
        ("0x8000, 0x0001, 0x0001]", "0x8000, 0x0002, 0x0001]", "example[0].expect.flow"),
        ("0x8000, 0x0001, 0x0001]", "0x8000]", "example[0].read"),
    ],
)
def test_an_example_of_settings_that_does_not_hold_is_a_fault(old: str, new: str, path: str) -> None:
    profile, faults = parse_profile(EVERYTHING.replace(old, new), "quirks.toml", parameters())
    assert profile is not None, faults
    assert path in [fault.path for fault in example_faults(profile)]


def test_a_profile_without_example_status_or_registers_is_a_fault() -> None:
    assert paths(GOOD.split("[[example]]")[0]) == ["example"]
    start, rest = GOOD.split("[[status]]")
    assert paths(start + "[[example]]" + rest.split("[[example]]")[1]) == ["profile.no_status"]
    assert "register" in paths(GOOD.split("[[register]]")[0])
    assert {"profile", "register", "example"} <= set(paths(""))
    assert paths("[profile")[0] == ""


def test_two_registers_cannot_share_a_word_or_a_parameter() -> None:
    second = '[[register]]\nparameter = "{}"\nfc = 3\naddress = {}\ntype = "int16"\nunit = "mg/m3"\nlow = 0\nhigh = 9\n'
    second += 'manual = "page 3"\n'
    assert paths(GOOD + second.format("CO", 1)) == ["register[1].address"]
    assert paths(GOOD + second.format("SO2", 8)) == ["register[1].parameter"]
    assert paths(GOOD + second.format("CO", 8)) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("expect = { SO2 = 10.0 }", "expect = { SO2 = 11.0 }", "example[0].expect.SO2"),
        ("expect = { SO2 = 10.0 }", 'expect = { SO2 = "none" }', "example[0].expect.SO2"),
        ("words = [0x4120, 0, 0]", "words = [0x4120, 0, 1]", "example[0].status.SO2"),
        ("words = [0x4120, 0, 0]", "words = [0x4120, 0]", "example[0].read"),
        ("expect = { SO2 = 10.0 }", "expect = {}", "example[0].expect"),
    ],
)
def test_an_example_that_does_not_hold_is_a_fault(old: str, new: str, path: str) -> None:
    profile, faults = parse_profile(GOOD.replace(old, new), "meter.toml", parameters())
    assert profile is not None, faults
    (fault,) = example_faults(profile)
    assert (fault.file, fault.path) == ("meter.toml", path)
    assert fault.line == GOOD[: GOOD.index("[[example]]")].count("\n") + 1


ODD = [0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "x" * 100, [], [1], ["a", 1], {}, {"en": 1}, [{}], True]


@settings(max_examples=examples(150))
@given(st.sampled_from([*FILES, *[None] * 5]), st.randoms(use_true_random=False), st.sampled_from(ODD))
def test_no_content_makes_the_reader_fall(file: Path | None, rng: random.Random, odd: object) -> None:
    tree = tomllib.loads(file.read_text("utf-8") if file else EVERYTHING)
    place: dict | list = tree  # type: ignore[type-arg]
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        place = inner
    place[key] = odd
    profile, faults = parse_profile(tomli_w.dumps(tree), "odd.toml", parameters())
    assert (profile is None) == bool(faults)
    if profile:
        example_faults(profile)
        plan(profile)


@settings(max_examples=examples(100))
@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fall(text: str) -> None:
    assert parse_profile(text, "x.toml", parameters())[0] is None


@pytest.mark.shared
def test_shipped_maps_are_those_of_the_public_register_list(shared: Path) -> None:
    import csv

    names = {
        "M01": "sick-mcs100ft", "M03": "thermo-43i", "M05": "chuanyi-ps7400f", "M13": "gasmet-cx4000",
        "M15": "fpi-synspec-pm", "M21": "tuf-2000m", "M28": "taidacent-decibel",
    }  # fmt: skip
    codes = {"H2O": "moisture", "level": "LA", "positive total integer part": "total_volume"}
    with (shared / "cases/modbus/register_maps.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["map"] in names]
    seen = set()
    for row in rows:
        profile = PACKAGED[names[row["map"]]]
        code = codes.get(row["quantity"], row["quantity"])
        if code not in profile.parameters:
            continue
        seen.add((profile.name, code))
        register = profile.register(code)
        assert (register.fc, register.address, register.type) == (int(row["fc"]), int(row["address_wire"]), row["type"])
        assert register.order == (row["word_order"] or "ABCD")
    assert seen == {(name, code) for name in names.values() for code in PACKAGED[name].parameters}

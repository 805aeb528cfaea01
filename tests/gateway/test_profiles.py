"""Device profiles: the shipped ones are whole, every kind of fault is named, nothing makes the reader fall."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue import parameters
from gateway.catalogue import profiles as packaged
from gateway.measurement import Status
from gateway.profile_file import parse_profile
from gateway.registers import example_faults, plan
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
    assert profile.title.zh != profile.title.en
    assert any(example.status != dict.fromkeys(example.expect, Status.OK) for example in profile.examples) or (
        profile.no_status
    )
    expected = {name for example in profile.examples for name in example.expect}
    assert expected == set(profile.parameters), "every parameter stands in an example"
    if profile.maker != "emitwatch":
        assert profile.unverified, "a map from a public driver says what nobody checked"


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
    for file in FILES:
        tree = tomllib.loads(file.read_text("utf-8"))
        for table in ("profile", "register", "status", "example"):
            section = page.split(f"[{table}]\n" if table == "profile" else f"## [[{table}]]\n")[1].split("\n## ")[0]
            rows = tree.get(table, [])
            for key in {key for row in (rows if isinstance(rows, list) else [rows]) for key in row}:
                assert f"`{key}`" in section, f"{table}.{key} of {file.name}"


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


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(FILES), st.randoms(use_true_random=False), st.sampled_from(ODD))
def test_no_content_makes_the_reader_fall(file: Path, rng: random.Random, odd: object) -> None:
    tree = tomllib.loads(file.read_text("utf-8"))
    place: dict | list = tree  # type: ignore[type-arg]
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        place = inner
    place[key] = odd
    profile, faults = parse_profile(tomli_w.dumps(tree), file.name, parameters())
    assert (profile is None) == bool(faults)
    if profile:
        example_faults(profile)
        plan(profile)


@settings(max_examples=examples(100), deadline=None)
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

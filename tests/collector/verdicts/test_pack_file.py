from __future__ import annotations

import json
from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.judgement import derive
from collector.verdicts.pack import RulePack, Setting, clock_s, span_h
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import point_rules
from collector.verdicts.records import Standing
from collector.verdicts.screening import signal
from gateway import catalogue
from gateway.document import Fault
from gateway.measurement import SECOND_NS
from gateway.settings import Label
from tests.effort import examples

PARAMETERS = catalogue.parameters()
GOOD = """
id = "toy-2020"
kind = "stack"
title = { en = "A toy", zh = "玩具" }
source = "made up"

[[in_force]]
from = 2020-01-01
cite = "toy 1"

[setting.size]
title = "Size"
choices = ["small", "large"]
cite = "toy 2"

[[validity]]
window = "1h"
part = "1m"
minimum = 45
cite = "toy 3"
verified = true

[[clause]]
id = "so2-hour"
cite = "toy 4"
title = "SO2"
parameter = "SO2"
window = "1h"
unit = "mg/m3"
standing = "finding"
verified = true
limit = [
    { when = { size = "small" }, high = 50, to = 2024-01-01 },
    { when = { size = "small" }, high = 40, from = 2024-01-01 },
    { when = { size = "large" }, high = "none" },
]

[[example]]
clause = "so2-hour"
settings = { size = "small" }
value = 41.0
limit = 40
exceeds = true
source = "toy 4"
"""


def parse(text: str) -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(text, "toy.toml", PARAMETERS)


def test_a_good_pack_is_read_whole() -> None:
    pack, faults = parse(GOOD)
    assert faults == []
    assert pack is not None
    assert (pack.id, pack.kind, pack.title.zh) == ("toy-2020", "stack", "玩具")
    assert pack.holds_on(date(2020, 1, 1))
    assert not pack.holds_on(date(2019, 12, 31))
    clause = pack.clause("so2-hour")
    assert (clause.standing, clause.rounding, clause.corrected) == (Standing.FINDING, "none", "as measured")
    assert [row.high for row in clause.rows] == [50.0, 40.0, None]
    with pytest.raises(KeyError):
        pack.clause("nox-hour")


@pytest.mark.parametrize(
    ("share", "minutes", "valid"), [('"2/3"', 40, True), ('"2/3"', 39, False), ("0.6667", 40, False), ("0.5", 30, True)]
)
def test_a_share_may_be_written_as_a_ratio(share: str, minutes: int, valid: bool) -> None:
    pack, faults = parse(GOOD.replace("minimum = 45", f"share = {share}"))
    assert pack is not None, faults
    rules, _ = point_rules(
        "p", "x", "stack", timezone="UTC", packs=[pack], settings={"size": "small"}, parameters=PARAMETERS
    )
    values = np.full(minutes, 30.0)
    times = np.arange(minutes) * 60 * SECOND_NS
    so2 = signal(
        "SO2", "mg/m3", time_ns=times, value=values, status=np.zeros(minutes, np.uint8), interval_ns=60 * SECOND_NS
    )
    (hour,) = derive(rules, {"SO2": so2}, {"1h": rules.windows("1h", 0, SECOND_NS)}).averages
    assert hour.valid == valid
    told = json.loads(json.dumps(dict(hour.inputs)))["parts"]["share"]
    assert told == pytest.approx(2 / 3 if "/" in share else float(share))


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('cite = "toy 4"\n', "", "clause[0].cite", "missing"),
        ('cite = "toy 1"\n', "", "in_force[0].cite", "missing"),
        ('source = "made up"\n', "", "source", "missing"),
        ("from = 2020-01-01\n", 'from = "2020-01-01"\n', "in_force[0].from", "not a date"),
        ("from = 2020-01-01\n", "", "in_force[0].from", "missing"),
        ('window = "1h"\nunit', 'window = "2h"\nunit', "clause[0].window", "not known"),
        ('parameter = "SO2"', 'parameter = "SO3"', "clause[0].parameter", "not known"),
        ('standing = "finding"', 'standing = "crime"', "clause[0].standing", "not known"),
        ("verified = true\nlimit", "limit", "clause[0].verified", "missing"),
        ("high = 40,", "hihg = 40,", "clause[0].limit[1].hihg", "unknown key"),
        ("high = 40,", "", "clause[0].limit[1]", "no limit in this row"),
        ("high = 40,", 'high = "much",', "clause[0].limit[1].high", "not a number"),
        ('    { when = { size = "large" }, high = "none" },\n', "", "clause[0].limit", "no row for size = large"),
        ('size = "large" }, high = "none"', 'size = "small" }, high = 9', "clause[0].limit", "two rows hold at once"),
        (", to = 2024-01-01", "", "clause[0].limit", "two rows hold at once for size = small"),
        (", from = 2024-01-01", ", from = 2025-01-01", "clause[0].limit", "no row for size = small"),
        ('size = "large" }, high', 'size = "huge" }, high', "clause[0].limit[2].when", "none of small, large"),
        ("high = 40,", "high = 40, given = { O2 = {} },", "clause[0].limit[1].given.O2", "neither above nor upto"),
        ('size = "large" }, high', 'colour = "red" }, high', "clause[0].limit[2].when", "no choice of this pack"),
        ("minimum = 45\n", "", "validity[0]", "one of minimum, missing, share, setting and quadrants"),
        (
            "minimum = 45\n",
            "minimum = 45\nshare = 0.75\n",
            "validity[0]",
            "one of minimum, missing, share, setting and quadrants",
        ),
        ("minimum = 45\n", 'share = "3/2"\n', "validity[0].share", "'3/2' is no share"),
        ("minimum = 45\n", 'share = "two thirds"\n', "validity[0].share", "is no share"),
        ('clause = "so2-hour"', 'clause = "nox-hour"', "clause[0].id", "no example"),
        ('clause = "so2-hour"', 'clause = "nox-hour"', "example[0].clause", "not known"),
        ('choices = ["small", "large"]\n', "", "setting.size.kind", "missing"),
        ('choices = ["small", "large"]\n', 'choices = "small"\n', "setting.size.choices", "not a list"),
        ("[setting.size]\n", '[setting.size]\ndefault = "huge"\n', "setting.size.default", "none of small, large"),
        ('unit = "mg/m3"\n', 'unit = "mg/m3"\nrounding = { mode = "half_up" }\n', "clause[0].rounding.cite", "missing"),
        ('kind = "stack"', 'kind = "light"', "kind", "not known"),
        ('id = "toy-2020"\n', 'id = "toy-2020"\ncolour = "red"\n', "colour", "unknown key"),
        ("exceeds = true\n", "exceeds = true\non = 7\n", "example[0].on", "not a date"),
        ('id = "toy-2020"\n', 'id = "toy-2020"\nnight = { hours = ["22:00"], cite = "x" }\n', "night.hours", "pair"),
    ],
)
def test_a_fault_is_found_where_it_is(old: str, new: str, path: str, message: str) -> None:
    assert old in GOOD
    pack, faults = parse(GOOD.replace(old, new, 1))
    assert pack is None
    assert any(fault.path == path and message in fault.message for fault in faults), [str(fault) for fault in faults]
    assert all(fault.file == "toy.toml" for fault in faults)


def test_all_faults_are_found_at_once() -> None:
    text = GOOD.replace('cite = "toy 4"\n', "").replace('kind = "stack"', 'kind = "light"').replace("value = 41.0", "")
    _, faults = parse(text)
    assert {"clause[0].cite", "kind", "example[0].value"} <= {fault.path for fault in faults}


def test_what_is_not_toml_says_so() -> None:
    pack, faults = parse("id = toy")
    assert pack is None
    assert "not readable as TOML" in faults[0].message


def test_nothing_in_force_and_doubles_are_faults() -> None:
    _, faults = parse(GOOD.replace('[[in_force]]\nfrom = 2020-01-01\ncite = "toy 1"\n', ""))
    assert "in_force" in {fault.path for fault in faults}
    clause = GOOD[GOOD.index("[[clause]]") : GOOD.index("[[example]]")]
    _, faults = parse(GOOD + clause)
    assert any("used twice" in fault.message for fault in faults)
    row = GOOD[GOOD.index("[[validity]]") : GOOD.index("[[clause]]")]
    _, faults = parse(GOOD + row)
    assert any("named twice" in fault.message for fault in faults)


BACKGROUND = """
[background]
least = 3
most = 10
step = [{ upto = 3, correction = -3 }, { upto = 10, correction = -1 }]
cite = "toy 5"
"""


def test_background_steps_rise_and_reach_the_end() -> None:
    pack, faults = parse(GOOD + BACKGROUND)
    assert faults == []
    assert pack is not None
    assert pack.background is not None
    assert pack.background.steps == ((3, -3), (10, -1))
    _, faults = parse(GOOD + BACKGROUND.replace("upto = 3", "upto = 12"))
    assert "do not rise" in faults[0].message
    _, faults = parse(GOOD + BACKGROUND.replace("most = 10", "most = 12"))
    assert "ends below" in faults[0].message


@settings(max_examples=examples(100))
@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fall(text: str) -> None:
    pack, faults = parse(text)
    assert (pack is None) == bool(faults)


@settings(max_examples=examples(100))
@given(st.sampled_from(GOOD.splitlines()), st.sampled_from(["", "x = 1", "[[clause]]", "limit = 3", "[setting]", "a"]))
def test_no_damaged_pack_makes_the_reader_fall(line: str, instead: str) -> None:
    pack, faults = parse(GOOD.replace(line, instead, 1))
    assert (pack is None) == bool(faults)


def setting(kind: str, **more: object) -> Setting:
    return Setting(name="x", kind=kind, title=Label("x", "x"), cite="c", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "given", "got"),
    [
        (setting("choice", choices=(0, 1, 2)), 2, 2),
        (setting("choice", choices=(0, 1, 2)), "2", 2),
        (setting("choice", choices=("1A", "2")), "2", "2"),
        (setting("choice", choices=("1A", "2")), 2, "2"),
        (setting("choice", choices=(6.0,)), 6, 6.0),
        (setting("choice", choices=(6.0,)), "6", 6.0),
        (setting("boolean"), "true", True),
        (setting("boolean"), False, False),
        (setting("number", low=0.0, high=1.0), "0.75", 0.75),
        (setting("number"), 3, 3.0),
        (setting("hours", length_h=8.0), ["23:00", "07:00"], ("23:00", "07:00")),
        (setting("hours"), "23:00-07:00", ("23:00", "07:00")),
        (setting("hours"), '["22:00", "06:00"]', ("22:00", "06:00")),
        (setting("hours"), '["22:00"]', None),
    ],
)
def test_a_setting_takes_what_names_its_value(asked: Setting, given: object, got: object) -> None:
    if got is None:
        with pytest.raises(ValueError):
            asked.read(given)
    else:
        assert asked.read(given) == got
        assert type(asked.read(given)) is type(got)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (setting("choice", choices=(0, 1)), 5),
        (setting("choice", choices=(0, 1)), True),
        (setting("choice", choices=(0, 1)), [1]),
        (setting("boolean"), "yes"),
        (setting("boolean"), 1),
        (setting("number", low=0.0, high=1.0), 1.5),
        (setting("number"), True),
        (setting("number"), "inf"),
        (setting("number"), None),
        (setting("hours", length_h=8.0), ["22:00", "07:00"]),
        (setting("hours"), ["22:00"]),
        (setting("hours"), [22, 6]),
        (setting("hours"), ["22:00", "26:00"]),
    ],
)
def test_a_setting_refuses_what_does_not(asked: Setting, given: object) -> None:
    with pytest.raises(ValueError):
        asked.read(given)


def test_clock_times() -> None:
    assert clock_s("06:00:30") == 21_630
    assert span_h("22:00", "06:00") == 8.0
    assert span_h("00:00", "00:00") == 24.0


@pytest.mark.parametrize("unit", ["bananas", "g/m3", "mg/L", "", "MG/M3"])
def test_limits_are_in_the_unit_of_their_parameter(unit: str) -> None:
    pack, faults = parse(GOOD.replace('unit = "mg/m3"', f'unit = "{unit}"'))
    assert pack is None
    (fault,) = faults
    assert (fault.path, fault.message) == ("clause[0].unit", f"{unit!r} is not the unit of SO2")
    assert fault.line is not None
    assert 'unit = "mg/m3"' in fault.hint


def test_a_unit_that_nobody_knows_is_told_with_or_without_parameters() -> None:
    text = GOOD.replace('unit = "mg/m3"', 'unit = "bananas"')
    assert [fault.message for fault in parse_rules(text, "toy.toml")[1]] == ["'bananas' is not a unit"]
    faults = parse(text.replace('parameter = "SO2"', 'parameter = "SO9"'))[1]
    assert [fault.path for fault in faults] == ["clause[0].parameter", "clause[0].unit"]


@pytest.mark.parametrize(
    "text", ['["23:00","07:00"]', '["23:00", "07:00"]', "['23:00', '07:00']", "23:00-07:00", "23:00,07:00",
             " 23:00 - 07:00 ", "23:00 to 07:00"],
)  # fmt: skip
def test_hours_may_be_written_as_in_a_site_file(text: str) -> None:
    days = Setting(name="holidays", kind="dates", title=Label("", ""), cite="toy")
    assert days.read([date(2026, 12, 26), "2026-12-25", "2026-12-26"]) == ("2026-12-25", "2026-12-26")
    assert days.read("2026-12-26, 2026-12-25") == ("2026-12-25", "2026-12-26")
    assert days.read([]) == days.read("") == ()
    for wrong in (5, {"a": 1}, ["26.12.2026"], ["2026-02-30"], [datetime(2026, 12, 25)], "Christmas", [None]):
        with pytest.raises(ValueError, match="is not a"):
            days.read(wrong)
    hours = Setting(name="night", kind="hours", title=Label("", ""), cite="toy", length_h=8.0)
    assert hours.read(text) == ("23:00", "07:00")

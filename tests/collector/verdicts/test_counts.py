"""Counts: how often a value is passed within a window, from the pack to the exceedance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.counts import Count, counted
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Standing
from collector.verdicts.screening import Signal
from collector.verdicts.tables import Tables
from gateway import catalogue
from gateway.document import Fault
from tests.collector.verdicts.test_averages import DAY_NS, MIDNIGHT, conditions, law, series
from tests.collector.verdicts.test_pack_file import GOOD
from tests.effort import examples

FURNACE = law("stack", {"reference_oxygen": 11.0}, "gb18485-2014")


def judged(values: object, rules: PointRules = FURNACE, *more: Signal, step_s: float = 60) -> Derived:
    """A day of furnace temperatures."""
    signals = {s.parameter: s for s in (series("furnace_temperature", values, step_s=step_s), *more)}
    return derive(rules, signals, {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)})


def cold(spells: int, minutes: int = 5) -> np.ndarray:
    """A day of minutes with some five-minute windows at 840 degC."""
    day = np.full(1440, 900.0)
    for number in range(spells):
        day[number * 30 : number * 30 + minutes] = 840.0
    return day


@pytest.mark.parametrize(("spells", "broken"), [(0, False), (5, False), (6, True), (48, True)])
def test_the_offence_begins_with_the_sixth_five_minutes_of_a_day(spells: int, broken: bool) -> None:
    found = judged(cold(spells)).exceedances
    assert [e.clause for e in found] == ["furnace-temperature"] * broken
    if broken:
        assert (found[0].value, found[0].limit, found[0].unit, found[0].window) == (spells, 5.0, "", "24h")
        assert (found[0].standing, found[0].verified) == (Standing.EVIDENCE, False)
        told = found[0].evidence["clause"]
        assert (told["statistic"], told["compared"]) == ("count", spells)
        assert told["count"] == {"window": "5m", "above": None, "below": 850.0}


def test_it_is_the_mean_of_five_minutes_that_counts() -> None:
    assert not judged(cold(48, minutes=1)).exceedances  # 840 for a minute of five: 888 on average
    just = np.full(1440, 850.0)
    assert not judged(just).exceedances  # equal is not below


def test_few_measurements_are_enough_where_they_are_certain() -> None:
    day = np.full(1440, np.nan)
    day[:30] = 840.0
    (found,) = judged(day).exceedances
    assert found.value == 6
    day[25:29] = np.nan  # the sixth window is not valid any more
    assert not judged(day).exceedances


def test_data_of_a_stopped_furnace_do_not_count() -> None:
    day = cold(48)
    stopped = series("furnace_temperature", day, status=np.where(day < 850.0, 5, 0))
    wanted = {"24h": FURNACE.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    assert not derive(FURNACE, {"furnace_temperature": stopped}, wanted).exceedances


def test_what_is_not_counted_is_judged_by_its_value() -> None:
    oxygen, dust = series("O2", np.full(1440, 11.0)), series("dust", np.full(1440, 20.5))
    found = judged(cold(6), FURNACE, oxygen, dust).exceedances
    assert {(e.clause, e.value, e.unit) for e in found} == {("dust-day", 20.5, "mg/m3"), ("furnace-temperature", 6, "")}


def test_the_windows_that_are_counted_are_averages_of_their_own() -> None:
    assert "5m" in FURNACE.built
    assert "5m" not in law("stack", {}, "ultra-low-2015").built


def test_each_day_is_counted_for_itself() -> None:
    two = np.concatenate([cold(6), cold(5)])
    signals = {"furnace_temperature": series("furnace_temperature", two)}
    wanted = {"24h": FURNACE.windows("24h", MIDNIGHT, MIDNIGHT + 2 * DAY_NS)}
    (found,) = derive(FURNACE, signals, wanted).exceedances
    assert (found.from_ns, found.value) == (MIDNIGHT, 6)


def test_five_minute_means_of_a_logger_count_as_they_are() -> None:
    (found,) = judged([840.0] * 6 + [900.0] * 282, step_s=300).exceedances
    assert found.value == 6


def test_hours_cannot_be_counted_by_five_minutes() -> None:
    assert not judged([700.0] * 24, step_s=3600).exceedances


@effort(max_examples=examples(200))
@given(st.lists(st.floats()), st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_is_above_below_or_at_the_bound(values: list[float], bound: float) -> None:
    above, below = Count(window="1h", above=bound), Count(window="1h", below=bound)
    at = sum(value == bound for value in values)
    nothing = sum(map(math.isnan, values))
    assert above.beyond(values).sum() + below.beyond(values).sum() + at + nothing == len(values)


@effort(max_examples=examples(20))
@given(st.permutations(range(288)), st.integers(0, 288))
def test_the_order_of_the_day_does_not_matter(order: list[int], spells: int) -> None:
    values = np.where(np.arange(288) < spells, 849.9, 850.1)[order]
    found = judged(values, step_s=300).exceedances
    assert [e.value for e in found] == ([spells] if spells > 5 else [])


# --- in a pack ------------------------------------------------------------------------------------------

PACK = GOOD.replace(
    """window = "1h"
unit = "mg/m3"
""",
    """window = "24h"
statistic = "count"
count = { window = "1h", above = 100 }
unit = ""
corrected = "converted"
""",
)


def parse(text: str) -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(text, "toy.toml", catalogue.parameters())


def test_a_clause_may_count_converted_values() -> None:
    pack, faults = parse(PACK.replace("high = 40,", "high = 4,").replace("high = 50,", "high = 5,"))
    assert pack is not None, faults
    text = pack.clause("so2-hour")
    assert text.count == Count(window="1h", above=100.0)
    assert text.count.told() == "number of 1h above 100"
    assert Count(window="5m", below=850.0).told() == "number of 5m below 850"
    rules, wrong = point_rules(
        "p", "x", "stack", timezone="Asia/Shanghai", packs=[pack], parameters=catalogue.parameters(),
        settings={"size": "small", "reference_oxygen": 6.0},
    )  # fmt: skip
    assert wrong == []
    assert "1h" in rules.built
    (oxygen,) = (s for s in conditions(24) if s.parameter == "O2")
    assert oxygen.unit == "%"
    signals = {"SO2": series("SO2", np.full(1440, 80.0)), "O2": series("O2", np.full(1440, 11.0))}  # 120 at 6 %
    signals["O2"].value[: 19 * 60] = 6.0  # the first 19 hours are 80
    wanted = {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    (found,) = derive(rules, signals, wanted).exceedances
    assert (found.value, found.limit) == (5.0, 4.0)


def test_what_cannot_be_converted_cannot_be_counted() -> None:
    """A parameter that is no concentration has no converted value; a pack that asks for one is not even read."""
    text = PACK.replace('parameter = "SO2"', 'parameter = "O2"').replace("high = 40", "high = 4").replace("50,", "5,")
    assert [fault.path for fault in parse(text)[1]] == ["clause[0].corrected"]
    pack, faults = parse(text.replace('corrected = "converted"\n', ""))
    assert pack is not None, faults
    pack = replace(pack, clauses=(replace(pack.clauses[0], corrected="converted"),))
    rules, _ = point_rules(
        "p", "x", "stack", timezone="UTC", packs=[pack], settings={"size": "small"}, parameters=catalogue.parameters()
    )
    signals = {"O2": series("O2", np.full(1440, 1000.0))}
    wanted = {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    derived = derive(rules, signals, wanted)
    assert derived.averages
    assert not derived.exceedances
    clause = rules.on(MIDNIGHT)[0]
    assert counted(clause, wanted["24h"], Tables(rules, signals, MIDNIGHT, MIDNIGHT + DAY_NS)) is None


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("count = { window", "count = { widow", "clause[0].count.widow", "unknown key"),
        ('count = { window = "1h", above = 100 }\n', "", "clause[0].count", "missing"),
        (", above = 100", "", "clause[0].count", "one of above and below"),
        (", above = 100", ", above = 1, below = 2", "clause[0].count", "one of above and below"),
        ('count = { window = "1h"', 'count = { window = "24h"', "clause[0].count.window", "not counted within '24h'"),
        ('window = "24h"', 'window = "calendar_night"', "clause[0].count.window", "not counted within"),
        ('unit = ""', 'unit = "mg/m3"', "clause[0].unit", "not the unit of a count"),
        ('unit = ""', 'unit = ""\nrounding = { mode = "half_up", cite = "x" }', "clause[0].rounding", "not rounded"),
        ('statistic = "count"\n', "", "clause[0].count", "unknown key"),
    ],
)
def test_what_is_wrong_with_a_count_is_told(old: str, new: str, path: str, message: str) -> None:
    assert old in PACK
    _, faults = parse(PACK.replace(old, new, 1))
    assert any(fault.path == path and message in fault.message for fault in faults), faults

"""Background: a level without it by the table of the pack, for one window and for many."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.background import background_corrected, corrected, correction, of_point
from collector.verdicts.judgement import derive
from collector.verdicts.pack import Background
from collector.verdicts.points import PointRules
from tests.collector.verdicts.test_averages import DAY_NS, HOUR_NS, MIDNIGHT, law, series
from tests.effort import examples

NAN = float("nan")


def the_rule() -> Background:
    rule = rule_packs()["gb12348-2008"].background
    assert rule is not None
    return rule


RULE = the_rule()


@pytest.mark.parametrize(
    ("measured", "background_db", "correction", "evaluated"),
    [
        (56.4, 52.0, -2, 54.0),
        (61.2, 58.1, -3, 58.0),
        (58.1, 55.1, -3, 55.0),  # 3.0 to an inspector
        (62.3, 52.3, -1, 61.0),  # 10.0
        (62.5, 52.3, 0, 62.0),  # above 10: no correction, half to even
        (60.1, 55.6, -2, 58.0),  # 4.5 becomes 4
        (60.1, 54.6, -1, 59.0),  # 5.5 becomes 6
        (70.0, 40.0, 0, 70.0),
    ],
)
def test_a_background_is_taken_out_by_the_table(
    measured: float, background_db: float, correction: int, evaluated: float
) -> None:
    found = background_corrected(measured, background_db, RULE)
    assert (found.correctable, found.correction_db, found.evaluated_db) == (True, correction, evaluated)


@pytest.mark.parametrize("difference", [2.9, 2.1, 0.0, -5.0])
def test_too_small_a_difference_cannot_be_corrected(difference: float) -> None:
    found = background_corrected(60.0 + difference, 60.0, RULE)
    assert (found.correctable, found.correction_db, found.evaluated_db) == (False, None, None)


def test_rounding_first_moves_the_ends_of_the_table() -> None:
    first = [background_corrected(60.0 + d, 60.0, RULE, round_first=True) for d in (2.4, 2.6, 10.4, 10.6)]
    assert [found.correction_db for found in first] == [None, -3, -1, 0]


@settings(max_examples=examples(100))
@given(st.integers(300, 1200), st.integers(30, 150))
def test_a_correction_never_raises_a_level(measured: int, difference: int) -> None:
    level = measured / 10.0
    found = background_corrected(level, (measured - difference) / 10.0, RULE)
    assert found.correctable
    assert found.evaluated_db is not None
    assert level - 3.5 <= found.evaluated_db <= level + 0.5


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=30), st.booleans())
def test_many_levels_are_corrected_as_each_alone(pairs: list[tuple[float, float]], first: bool) -> None:
    measured, there = (np.array(column) for column in zip(*pairs, strict=True)) if pairs else (np.empty(0),) * 2
    found = correction(measured, there, RULE, round_first=first)
    for number, pair in enumerate(pairs):
        alone = background_corrected(*pair, RULE, round_first=first)
        assert alone.correctable == (not math.isnan(found[number]))
        assert alone.evaluated_db is None or alone.evaluated_db == corrected(measured, found)[number]


def point(settings_: dict[str, Any]) -> PointRules:
    return law("noise", {"area_class": 2, **settings_}, "gb12348-2008")


BOTH = {"background_day": 52.0, "background_night": 45.0}


@pytest.mark.parametrize(
    ("kind", "hours", "backgrounds"),
    [
        ("day", 24, [52.0]), ("night", 24, [45.0, 45.0]), ("calendar_night", 24, [45.0]), ("24h", 24, [NAN]),
        ("1h", 24, [45.0] * 6 + [52.0] * 16 + [45.0] * 2), ("1h", 0, []), ("month", 24, [NAN]),
    ],
)  # fmt: skip
def test_a_point_gives_its_background_by_day_and_at_night(kind: str, hours: int, backgrounds: list[float]) -> None:
    rules = point(BOTH)
    windows = rules.windows(kind, MIDNIGHT, MIDNIGHT + hours * HOUR_NS)
    found = of_point(rules, RULE, windows, np.full(len(windows), 56.4))
    assert found.background_db.tolist() == pytest.approx(backgrounds, nan_ok=True)
    assert found.compared_db.tolist() == [{52.0: 54.0, 45.0: 56.0}.get(there, 56.4) for there in backgrounds]


def test_without_a_background_a_level_stays_as_measured() -> None:
    windows = point({}).windows("day", MIDNIGHT, MIDNIGHT + DAY_NS)
    for rules, rule in ((point({}), RULE), (point(BOTH), replace(RULE, day="", night=""))):
        assert of_point(rules, rule, windows, np.array([56.4])).compared_db.tolist() == [56.4]


def test_a_background_too_near_leaves_nothing_to_compare() -> None:
    windows = point({}).windows("day", MIDNIGHT, MIDNIGHT + DAY_NS)
    near = np.array([54.6])
    assert np.isnan(of_point(point(BOTH), RULE, windows, near).compared_db).all()
    rounded = point({**BOTH, "background_round_first": True})
    assert of_point(rounded, RULE, windows, near).compared_db.tolist() == [52.0]  # 2.6 is 3 where it is rounded first
    assert np.isnan(of_point(rounded, replace(RULE, round_setting=""), windows, near).compared_db).all()


@pytest.mark.parametrize(
    ("level", "average", "clauses"),
    [
        (62.4, {"background_db": 52.0, "correction_db": 0.0, "corrected_db": 62.0}, ["day-level"]),
        (60.6, {"background_db": 52.0, "correction_db": -1.0, "corrected_db": 60.0}, []),  # 61 without it
        (54.9, {"background_db": 52.0, "lacking": "a level at least 3 dB above it"}, []),
    ],
)
def test_a_day_is_judged_without_its_background(level: float, average: dict[str, Any], clauses: list[str]) -> None:
    rules = point(BOTH)
    wanted = {kind: rules.windows(kind, MIDNIGHT + 6 * HOUR_NS, MIDNIGHT + 22 * HOUR_NS) for kind in ("day", "24h")}
    levels = series("LAeq", np.full(960, level), start=MIDNIGHT + 6 * HOUR_NS)
    found = derive(rules, {"LAeq": levels}, wanted)
    day = next(a for a in found.averages if a.window == "day")
    assert day.value == level
    assert day.evaluated == average.get("corrected_db")
    assert {name: value for name, value in day.inputs["background"].items() if name != "cite"} == average
    assert [e.clause for e in found.exceedances] == clauses
    assert "background" not in next(a for a in found.averages if a.window == "24h").inputs
    plain = derive(point({}), {"LAeq": levels}, wanted)
    assert all("background" not in a.inputs for a in plain.averages)
    assert [e.clause for e in plain.exceedances] == (["day-level"] if level > 60.5 else [])


def test_peaks_are_judged_directly() -> None:
    rules = point({**BOTH, "background_night": 60.0})
    night = MIDNIGHT + 22 * HOUR_NS
    wanted = {"1m": rules.windows("1m", night, night + HOUR_NS)}
    found = derive(rules, {"LAFmax": series("LAFmax", [66.0], start=night)}, wanted)
    assert [(e.clause, e.value) for e in found.exceedances] == [("night-peak", 66.0)]
    assert "background" not in found.averages[0].inputs

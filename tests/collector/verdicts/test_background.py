"""Background: a level without it by the table of the pack, for one window and for many."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.background import (
    background_corrected,
    corrected,
    correction,
    level_there,
    without_background,
)
from collector.verdicts.pack import Background
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


def test_a_point_gives_its_background_by_day_and_at_night() -> None:
    day, night = [True, False, False], [False, True, False]
    given_both = {"background_day": 50.0, "background_night": 40.0}
    assert level_there(RULE, given_both, day, night).tolist()[:2] == [50.0, 40.0]
    assert np.isnan(level_there(RULE, given_both, day, night)[2])
    assert np.isnan(level_there(RULE, {"background_day": None}, day, night)).all()
    assert np.isnan(level_there(replace(RULE, day="", night=""), given_both, day, night)).all()


def test_without_a_background_a_level_stays_as_measured() -> None:
    found = without_background([56.4, 56.4, 56.4], [52.0, NAN, 55.0], RULE, {})
    assert found.tolist()[:2] == [54.0, 56.4]
    assert math.isnan(found[2])
    near = without_background([62.6], [60.0], RULE, {"background_round_first": True})
    assert near.tolist() == [60.0]  # 2.6 is 3 where it is rounded first
    assert np.isnan(without_background([62.6], [60.0], replace(RULE, round_setting=""), {})).all()

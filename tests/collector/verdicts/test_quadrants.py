from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.quadrants import hour_valid, qa_hour_valid
from collector.verdicts.us_rules import HourRule
from tests.effort import examples

NAN = float("nan")
MINUTES = st.lists(st.floats(-5.0, 70.0), max_size=20)


def rule() -> HourRule:
    us = rule_packs()["40cfr60"].us
    assert us is not None
    assert us.hour is not None
    return us.hour


@settings(max_examples=examples(200))
@given(MINUTES)
def test_an_hour_is_valid_when_no_quarter_is_without_a_point(minutes: list[float]) -> None:
    quarters = [any(15 * q <= minute < 15 * q + 15 for minute in minutes) for q in range(4)]
    assert bool(hour_valid(minutes, rule())) == all(quarters)


@settings(max_examples=examples(200))
@given(MINUTES, st.floats(-5.0, 70.0), st.floats(0.0, 60.0))
def test_one_more_point_never_makes_an_hour_worse(minutes: list[float], more: float, passed: float) -> None:
    assert bool(hour_valid([*minutes, more], rule())) >= bool(hour_valid(minutes, rule()))
    before, after = (qa_hour_valid(m, rule(), passed_minute=passed) for m in (minutes, [more, *minutes]))
    assert bool(after) >= bool(before)


@pytest.mark.parametrize(
    ("minutes", "passed", "valid"),
    [
        ([0, 15], 0, True),
        ([0, 14], 0, False),
        ([3, 20], 0, True),
        ([20, 35, 20], 0, True),  # the order does not matter
        ([30], 0, False),
        ([], 0, False),
        ([NAN, 10, 30], 0, True),
        ([-1, 10, 60], 0, False),  # minutes of other hours
        (range(60), 30, True),  # a calibration failed at :05 and was passed at :30
        (range(60), 50, False),
        (range(60), NAN, False),  # it was never passed
    ],
)
def test_hours_with_a_test(minutes: list[float], passed: float, valid: bool) -> None:
    assert bool(qa_hour_valid(minutes, rule(), passed_minute=passed)) is valid


@pytest.mark.parametrize(
    ("minutes", "ran", "valid", "qa_valid"),
    [
        ([2, 16], [True, True, False, False], True, False),
        ([2, 17], [True, True, False, False], True, True),
        ([2], [True, False, False, False], True, True),  # one quarter: one point
        ([16], [True, False, False, False], False, False),  # not in that quarter
        ([2], [True, False, True, False], False, False),
        ([2, 50], [False] * 4, False, False),
    ],
)
def test_hours_in_part(minutes: list[float], ran: list[bool], valid: bool, qa_valid: bool) -> None:
    assert bool(hour_valid(minutes, rule(), ran=ran)) is valid
    assert bool(qa_hour_valid(minutes, rule(), ran=ran)) is qa_valid


def test_many_hours_at_once() -> None:
    minutes = np.tile(np.arange(60.0), (100, 1))
    minutes[::2, 15:30] = NAN
    assert hour_valid(minutes, rule()).tolist() == [False, True] * 50
    passed = np.where(np.arange(100) < 50, 0.0, 50.0)
    assert qa_hour_valid(minutes, rule(), passed_minute=passed).tolist() == [True] * 50 + [False] * 50

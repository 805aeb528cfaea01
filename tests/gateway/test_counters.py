"""Counters: nothing that was counted is lost or invented over rollovers, and a reset is none."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import counters as module
from gateway.counters import Counters, Step
from gateway.measurement import SECOND_NS
from gateway.profiles import Checks
from tests.effort import examples

START_NS = 1_790_000_000 * SECOND_NS
ONE = np.array([0])


def read(counters: Counters, second: float, shown: float) -> tuple[float, Step]:
    counted, step = counters.read(ONE, np.array([START_NS + int(second * SECOND_NS)]), np.array([shown]))
    return counted.tolist()[0], Step(int(step[0]))


@settings(max_examples=examples(80), deadline=None)
@given(
    st.sampled_from((2.0**16, 2.0**32, 1e4, 1e6, 1e8)),
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=30),
    st.floats(0, 1, exclude_max=True),
)
def test_what_was_counted_comes_out_over_any_number_of_rollovers(
    rollover: float, steps: list[tuple[int, float]], begin: float
) -> None:
    rate_max = rollover / 200  # half way round at most, in a minute
    counters = Counters([Checks(rollover=rollover, rate_max=rate_max)])
    true, second = math.floor(begin * rollover), 0
    first = true
    read(counters, second, true % rollover)
    for seconds, share in steps:
        second += seconds
        true += math.floor(share * rate_max * seconds)
        counted, step = read(counters, second, true % rollover)
        assert step in (Step.COUNTED, Step.ROLLOVER)
        assert counted >= 0
    assert counters.total[0] == pytest.approx(true - first)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 999_999), st.integers(0, 999_999), st.integers(1, 100))
def test_no_step_is_larger_than_the_rate_allows(before: int, after: int, seconds: int) -> None:
    counters = Counters([Checks(rollover=1e6, rate_max=50.0)])
    read(counters, 0, before)
    counted, step = read(counters, seconds, after)
    if step == Step.RESET:
        assert math.isnan(counted)
        assert after - before > 50 * seconds or (after < before and after - before + 1e6 > 50 * seconds)
    else:
        assert 0 <= counted <= 50 * seconds * (1 + 1e-9) + 1e-3
    assert read(counters, seconds + 1, after) == (0.0, Step.COUNTED), "it goes on from there"


def test_a_counter_that_can_have_gone_all_the_way_round_says_nothing() -> None:
    counters = Counters([Checks(rollover=65536, rate_max=100.0)])
    read(counters, 0, 10)
    counted, step = read(counters, 656, 20)
    assert math.isnan(counted)
    assert step is Step.UNKNOWN
    assert read(counters, 657, 25) == (5.0, Step.COUNTED)


def test_readings_that_are_missing_or_impossible_are_passed_over() -> None:
    counters = Counters([Checks(rollover=10_000, rate_max=10.0)])
    assert read(counters, 0, 9_990)[1] is Step.FIRST
    for nothing in (math.nan, -1.0, 10_000.0):
        assert read(counters, 1, nothing)[1] is Step.MISSING
    assert read(counters, 3, 2) == (12.0, Step.ROLLOVER)


def test_a_clock_that_was_set_back_begins_anew() -> None:
    counters = Counters([Checks(rollover=10_000, rate_max=10.0)])
    read(counters, 100, 50)
    assert read(counters, 40, 60)[1] is Step.FIRST
    assert read(counters, 41, 61) == (1.0, Step.COUNTED)


def test_without_a_rollover_a_counter_that_goes_back_was_reset() -> None:
    counters = Counters([Checks()])
    read(counters, 0, 1e9)
    assert read(counters, 1, 5)[1] is Step.RESET
    assert read(counters, 2, 1e12) == (1e12 - 5, Step.COUNTED)


def test_counters_do_not_touch_one_another() -> None:
    counters = Counters([Checks(rollover=100, rate_max=10.0), Checks(rollover=1000, rate_max=10.0)])
    both, at = np.array([1, 0]), np.array([START_NS, START_NS])
    counters.read(both, at, np.array([995.0, 95.0]))
    counted, step = counters.read(both, at + SECOND_NS, np.array([2.0, 2.0]))
    assert counted.tolist() == [7.0, 7.0]
    assert step.tolist() == [Step.ROLLOVER, Step.ROLLOVER]


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

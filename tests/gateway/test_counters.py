"""Counters: nothing that was counted is lost or invented over rollovers, and a reset is none."""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import counters as module
from gateway.counters import Counters, Step, Totals
from gateway.measurement import SECOND_NS, Series, Status
from gateway.profiles import Checks
from tests.effort import examples

START_NS = 1_790_000_000 * SECOND_NS
ONE = np.array([0])


def read(counters: Counters, second: float, shown: float) -> tuple[float, Step]:
    counted, step = counters.read(ONE, np.array([START_NS + int(second * SECOND_NS)]), np.array([shown]))
    return counted.tolist()[0], Step(int(step[0]))


@settings(max_examples=examples(80))
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


@settings(max_examples=examples(60))
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


def table(rows: list[int], seconds: list[float], shown: list[float], status: Status = Status.OK) -> tuple[Any, ...]:
    at = np.array([START_NS + int(second * SECOND_NS) for second in seconds])
    return np.array(rows), at, np.array(shown), np.full(len(rows), status, np.uint8)


METER = [Checks(), Checks(rollover=1e6, rate_max=50.0), Checks(stuck_after=3), Checks(rollover=100.0, rate_max=1.0)]
FLOW = Series("p", "out-1", "meter", "total_volume", "m3")


def test_only_what_is_no_plain_count_is_told_and_other_series_are_not_looked_at() -> None:
    totals = Totals(METER)
    assert totals.read_table(*table([0, 1, 2, 3], [0] * 4, [1, 999_990, 3, 5])) == []
    assert totals.read_table(*table([1, 0, 3, 1], [1, 1, 1, 2], [999_995, 9, 6, 999_999])) == []
    first, second = totals.read_table(*table([1, 3, 0], [3, 3, 3], [9, 2, 0]))
    assert (first.row, first.step, first.before, first.after, first.counted) == (1, Step.ROLLOVER, 999_999, 9, 10)
    assert (second.row, second.step, second.what) == (3, Step.RESET, "counter_reset")
    assert math.isnan(second.counted)
    assert second.figures(FLOW)["counted"] is None
    assert "from 6 to 2 m3 in 2 s, back: reset or exchanged" in second.sentence(FLOW)
    (third,) = totals.read_table(*table([3], [3 + 200], [8]))
    assert third.what == "counter_round"
    assert "in which it can have gone all the way round" in third.sentence(FLOW)
    assert Totals([Checks()]).read_table(*table([0], [0], [1])) == []


def test_a_counter_at_odds_with_its_profile_is_told_once_a_minute() -> None:
    totals = Totals(METER)
    shown = [float(n % 2 * 500_000) for n in range(180)]
    found = [jump for n, one in enumerate(shown) for jump in totals.read_table(*table([1], [n], [one]))]
    assert [jump.step for jump in found] == [Step.RESET] * 3


@pytest.mark.parametrize("status", [Status.FAULT, Status.OUT_OF_RANGE, Status.NO_COMM, Status.MAINTENANCE])
def test_what_the_instrument_calls_wrong_is_no_reading_of_the_counter(status: Status) -> None:
    totals = Totals(METER)
    totals.read_table(*table([1], [0], [100]))
    told = totals.read_table(*table([1], [1], [3], status))
    assert [jump.step for jump in told] == ([Step.RESET] if status is Status.MAINTENANCE else [])


def test_counters_that_stay_go_on_under_another_configuration() -> None:
    before, after = Totals(METER), Totals([METER[3], METER[1], METER[1]])
    before.read_table(*table([1, 3], [0, 0], [999_999, 50]))
    after.take_over(before, np.array([3, 1, -1]))
    told = after.read_table(*table([0, 1, 2], [1, 1, 1], [10, 4, 7]))
    assert [(jump.row, jump.step) for jump in told] == [(0, Step.RESET), (1, Step.ROLLOVER)]
    Totals(METER).take_over(Totals([]), np.full(4, -1))


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

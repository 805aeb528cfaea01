"""Where instruments of different intervals measured in one window, time is counted, not values."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import noise, unequal, water
from collector.verdicts.direct import Values
from collector.verdicts.judgement import derive
from collector.verdicts.points import PointRules
from collector.verdicts.recent import Recent
from collector.verdicts.records import Average
from collector.verdicts.screening import joined, signal
from collector.verdicts.windows import windows
from gateway.measurement import SECOND_NS, Columns, Series
from tests.collector.verdicts.test_averages import HOUR_NS, MIDNIGHT, NOISE, PARAMETERS, STACK, WATER, law
from tests.effort import examples

ROWS = st.lists(st.tuples(st.floats(0.0, 140.0), st.integers(1, 8), st.integers(0, 2)), min_size=1, max_size=40)


def columns(rows: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, intervals, groups in rising order."""
    value, times, group = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[2]), strict=True))
    return value, times * SECOND_NS, group


@settings(max_examples=examples(200))
@given(ROWS)
def test_a_value_counts_as_often_as_it_would_have_been_measured(rows: list[tuple[float, int, int]]) -> None:
    value, interval, group = columns(rows)
    mean = unequal.mean_by(value, group, 4, unequal.time_weights(interval, group, 4))
    levels = unequal.percentiles_by(value, group, 4, interval, noise.PERCENTILES)
    median = unequal.median_by(value, group, 4, interval)
    energy = noise.energy_average_by(value, group, 4, unequal.time_weights(interval, group, 4))
    for number in range(4):
        mine = group == number
        if not mine.any():
            assert np.isnan([mean[number], median[number], energy[number], *levels[number]]).all()
            continue
        times, shortest = interval[mine] // SECOND_NS, int(interval[mine].min()) // SECOND_NS
        repeated = np.repeat(value[mine], times)
        assert mean[number] == pytest.approx(repeated.mean())
        assert median[number] == np.median(repeated)
        assert energy[number] == pytest.approx(noise.energy_average(repeated))
        if (times % shortest == 0).all():
            repeated = np.repeat(value[mine], times // shortest)
            expected = np.percentile(repeated, [100 - percent for percent in noise.PERCENTILES])
            assert levels[number] == pytest.approx(expected, abs=1e-9)
        assert (value[mine].min() <= levels[number]).all()
        assert (np.diff(levels[number]) <= 1e-9).all()


@settings(max_examples=examples(100))
@given(ROWS, st.sampled_from(["energy", "mean", "median", "maximum", "sum"]), st.integers(1, 10**12))
def test_equal_intervals_change_no_bit(rows: list[tuple[float, int, int]], method: str, interval_ns: int) -> None:
    value, _, group = columns(rows)
    first = np.searchsorted(group, group)
    times = group * HOUR_NS + (np.arange(len(value)) - first) * SECOND_NS
    alone = signal("x", "", time_ns=times, value=value, status=np.zeros(len(value), np.uint8), interval_ns=interval_ns)
    beside = replace(alone, intervals_ns=(interval_ns, interval_ns + 1), sensors=("a", "b"))
    hours = windows("1h", "UTC", 0, 3 * HOUR_NS)
    counted, timed = (Values(one, method).over(hours) for one in (alone, beside))
    assert counted.value.tobytes() == timed.value.tobytes()
    assert (counted.covered_ns == timed.covered_ns).all()
    if counted.percentiles is not None and timed.percentiles is not None:
        assert counted.percentiles.tobytes() == timed.percentiles.tobytes()


def test_nothing_has_no_median() -> None:
    none, times, group = np.empty(0), np.empty(0, np.int64), np.empty(0, np.intp)
    assert math.isnan(unequal.median_by(none, group, 1, times)[0])
    assert np.isnan(unequal.percentiles_by(none, group, 1, times, [50])).all()


def swapped(rules: PointRules, parameter: str, first: Any, second: Any, kind: str = "1h") -> Average:
    """The first hour with one instrument of values each second and then one of values each minute."""
    parts, start = [], MIDNIGHT
    for sensor, values, step in (("fast", first, SECOND_NS), ("slow", second, 60 * SECOND_NS)):
        value = np.asarray(values, np.float64)
        times = start + np.arange(len(value)) * step
        status = np.zeros(len(value), np.uint8)
        parts.append(
            signal(parameter, PARAMETERS[parameter].unit, time_ns=times, value=value, status=status, interval_ns=step,
                   sensor=sensor)
        )  # fmt: skip
        start += HOUR_NS // 2
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + HOUR_NS)}
    return derive(rules, {parameter: joined(parts)}, wanted).averages[0]


def test_an_hour_in_which_the_instrument_was_swapped_is_half_and_half() -> None:
    hour = swapped(NOISE, "LAeq", np.full(1800, 40.0), np.full(30, 70.0))
    assert hour.value == pytest.approx(66.994, abs=0.001)
    assert hour.percentiles == noise.percentile_levels(np.repeat([40.0, 70.0], 1800))
    assert (hour.count, hour.coverage, hour.valid) == (1830, 1.0, True)


def test_an_instrument_that_was_taken_away_counts_for_the_time_it_measured() -> None:
    """The site file tells the interval of the new one alone."""
    recent = Recent({("p", "new", "LAeq"): 60 * SECOND_NS}, virgin=True)
    for sensor, level, count, start in (("old", 40.0, 1800, 0), ("new", 70.0, 30, 1800)):
        times = MIDNIGHT + (start + np.arange(count) * (1800 // count)) * SECOND_NS
        series = Series(plant="p", point="x", sensor=sensor, parameter="LAeq", unit="dB(A)")
        recent.add(
            Columns(
                series=(series,), series_index=np.zeros(count, np.uint16), time_ns=times, value=np.full(count, level),
                status=np.zeros(count, np.uint8),
            )
        )  # fmt: skip
    assert recent.absent(MIDNIGHT, MIDNIGHT + HOUR_NS) == []
    signals = recent.signals("p", "x", MIDNIGHT, MIDNIGHT + HOUR_NS)
    assert signals["LAeq"].intervals_ns == (60 * SECOND_NS, SECOND_NS)
    wanted = {"1h": NOISE.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    (hour,) = derive(NOISE, signals, wanted).averages
    assert (hour.value, hour.coverage) == (pytest.approx(66.994, abs=0.001), 1.0)
    few = recent.signals("p", "x", MIDNIGHT, MIDNIGHT + SECOND_NS)
    assert set(few["LAeq"].intervals_ns) == {60 * SECOND_NS}


def test_a_median_and_a_mean_are_of_the_time_too() -> None:
    assert swapped(WATER, "pH", np.full(1800, 7.0), np.full(30, 9.0)).value == 8.0
    assert swapped(WATER, "pH", np.full(1799, 7.0), np.full(30, 9.0)).value == 9.0
    assert swapped(STACK, "NOx", np.full(1800, 10.0), np.full(30, 40.0)).value == 25.0
    assert float(water.median_by(np.array([7.0, 9.0]), np.array([0, 0]), 1)[0]) == 8.0


@pytest.mark.parametrize(
    ("fast", "slow", "valid"), [(1800, 15, True), (1800, 14, False), (60, 0, False), (900, 30, True)]
)
def test_what_is_there_of_a_window_is_counted_in_time(fast: int, slow: int, valid: bool) -> None:
    """A minute of values each second is not an hour of values each minute."""
    hour = swapped(law("noise", {}), "LAeq", np.full(fast, 40.0), np.full(slow, 40.0))
    assert hour.coverage == pytest.approx((fast + 60 * slow) / 3600)
    assert hour.valid == valid

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import noise
from tests.effort import examples

LEVELS = st.lists(st.floats(0.0, 140.0), min_size=1, max_size=40)
NAN = float("nan")


@settings(max_examples=examples(100))
@given(LEVELS)
def test_an_energy_average_lies_between_the_mean_and_the_loudest(levels: list[float]) -> None:
    leq = noise.energy_average(levels)
    assert np.mean(levels) - 1e-9 <= leq <= max(levels) + 1e-9


@settings(max_examples=examples(100))
@given(LEVELS, st.integers(1, 5))
def test_groups_average_like_their_members_alone(levels: list[float], groups: int) -> None:
    group = np.arange(len(levels)) % groups
    values = np.array([NAN if number % 7 == 3 else level for number, level in enumerate(levels)])
    found = noise.energy_average_by(values, group, groups + 1)
    for number in range(groups):
        alone = noise.energy_average(values[group == number])
        assert found[number] == pytest.approx(alone, nan_ok=True)
    assert math.isnan(found[groups])


@settings(max_examples=examples(100))
@given(LEVELS)
def test_longer_intervals_weigh_like_repeated_ones(levels: list[float]) -> None:
    seconds = [1 + number % 3 for number in range(len(levels))]
    repeated = [level for level, count in zip(levels, seconds, strict=True) for _ in range(count)]
    assert noise.energy_average(levels, seconds) == pytest.approx(noise.energy_average(repeated))


@settings(max_examples=examples(100))
@given(LEVELS, st.integers(0, 100))
def test_percentiles_fall_as_the_share_rises(levels: list[float], percent: int) -> None:
    assert noise.percentile_level(levels, percent) >= noise.percentile_level(levels, min(percent + 5, 100)) - 1e-9
    assert min(levels) - 1e-9 <= noise.percentile_level(levels, percent) <= max(levels) + 1e-9


@settings(max_examples=examples(100))
@given(st.integers(0, 86_399), st.integers(0, 86_399), st.integers(0, 86_399))
def test_every_time_is_in_one_period(at: int, begin: int, end: int) -> None:
    clock = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in (at, begin, end)]
    period = noise.noise_period(clock[0], (clock[1], clock[2]))
    if begin != end:
        assert period == ("night" if (at - begin) % 86_400 < (end - begin) % 86_400 else "day")


def test_what_is_missing_takes_no_part() -> None:
    assert noise.energy_average([60.0, NAN, 50.0]) == noise.energy_average([60.0, 50.0])
    assert noise.energy_average([45.0, 80.0], [3590.0, 0.0]) == pytest.approx(45.0)
    assert noise.energy_sum([42.0, NAN]) == pytest.approx(42.0)
    for nothing in ([], [NAN, NAN]):
        assert math.isnan(noise.energy_average(nothing))
        assert math.isnan(noise.energy_sum(nothing))
        assert math.isnan(noise.percentile_level(nothing, 50))
        assert noise.percentile_levels(nothing) == {}
    assert np.isnan(noise.sound_exposure_level(60.0, 0.0))


def test_silence_is_a_level_too() -> None:
    assert noise.energy_average([-math.inf, -math.inf]) == -math.inf
    assert noise.energy_average([-math.inf, 60.0]) == pytest.approx(60.0 - 10.0 * math.log10(2.0))


def test_several_percentiles_are_named() -> None:
    levels = np.arange(0.0, 101.0)
    assert noise.percentile_levels(levels) == {"L5": 95.0, "L10": 90.0, "L50": 50.0, "L90": 10.0, "L95": 5.0}


@pytest.mark.parametrize(
    ("time", "period"),
    [
        ("00:00", "night"), ("05:59:59.999", "night"), ("06:00:00", "day"), ("21:59:59", "day"), ("22:00:00", "night"),
        ("2026-07-01T05:59:59", "night"), ("2026-07-01 06:00:00+08:00", "day"), ("2026-07-01T23:00:00Z", "night"),
    ],
)  # fmt: skip
def test_periods_change_with_their_first_second(time: str, period: str) -> None:
    assert noise.noise_period(time) == period


@pytest.mark.parametrize("time", ["25:00", "six", "12:60", ""])
def test_what_is_no_clock_time_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="clock time"):
        noise.noise_period(time)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts import noise
from collector.verdicts.pack import Background
from tests.effort import examples

LEVELS = st.lists(st.floats(0.0, 140.0), min_size=1, max_size=40)
NAN = float("nan")


def background() -> Background:
    rule = rule_packs()["gb12348-2008"].background
    assert rule is not None
    return rule


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


def test_day_and_night_of_shifted_hours() -> None:
    levels = [50.0] * 24
    levels[22] = 80.0
    found = noise.day_night_of_hours(levels, ("23:00", "07:00"))
    assert found.ln_db == pytest.approx(50.0)
    assert found.ld_db == pytest.approx(noise.energy_average([80.0] + [50.0] * 15))
    with pytest.raises(ValueError, match="24 hourly levels"):
        noise.day_night_of_hours(levels[:-1])


def test_day_evening_night_of_one_level_is_6_4_above_it() -> None:
    assert float(noise.lden(50.0, 50.0, 50.0)) == pytest.approx(56.4, abs=0.02)


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
    found = noise.background_corrected(measured, background_db, background())
    assert (found.correctable, found.correction_db, found.evaluated_db) == (True, correction, evaluated)


@pytest.mark.parametrize("difference", [2.9, 2.1, 0.0, -5.0])
def test_too_small_a_difference_cannot_be_corrected(difference: float) -> None:
    found = noise.background_corrected(60.0 + difference, 60.0, background())
    assert (found.correctable, found.correction_db, found.evaluated_db) == (False, None, None)


def test_rounding_first_moves_the_ends_of_the_table() -> None:
    first = [noise.background_corrected(60.0 + d, 60.0, background(), round_first=True) for d in (2.4, 2.6, 10.4, 10.6)]
    assert [found.correction_db for found in first] == [None, -3, -1, 0]


@settings(max_examples=examples(100))
@given(st.integers(300, 1200), st.integers(30, 150))
def test_a_correction_never_raises_a_level(measured: int, difference: int) -> None:
    level = measured / 10.0
    found = noise.background_corrected(level, (measured - difference) / 10.0, background())
    assert found.correctable
    assert found.evaluated_db is not None
    assert level - 3.5 <= found.evaluated_db <= level + 0.5

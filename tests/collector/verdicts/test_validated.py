from __future__ import annotations

import math
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import validated as v
from collector.verdicts.windows import windows
from tests.effort import examples

NAN, INF = math.nan, math.inf
ANY = st.floats(allow_nan=True, allow_infinity=True)
VALUE = st.floats(-50.0, 500.0)


@settings(max_examples=examples(200))
@given(VALUE, st.floats(0.0, 300.0), st.floats(0.0, 100.0))
def test_the_share_of_the_limit_is_subtracted_and_nothing_falls_below_zero(
    value: float, limit: float, percent: float
) -> None:
    found = float(v.validated_average(value, limit, percent))
    assert found == pytest.approx(max(0.0, value - limit * percent / 100.0))
    assert 0.0 <= found <= max(value, 0.0)


@settings(max_examples=examples(200))
@given(ANY, ANY, ANY, st.none() | ANY)
def test_no_number_is_an_exception_and_no_result_is_infinite_or_negative(
    value: float, limit: float, percent: float, measured: float | None
) -> None:
    found = float(v.validated_average(value, limit, percent, measured))
    assert math.isnan(found) or 0.0 <= found < INF


def test_what_calibration_found_is_subtracted_up_to_the_share() -> None:
    assert v.confidence_interval(200.0, 20.0, [30.0, 50.0, 0.0]).tolist() == [30.0, 40.0, 0.0]
    assert np.isnan(v.confidence_interval([200.0, -200.0, NAN], [NAN, 20.0, 20.0])).all()
    assert math.isnan(v.confidence_interval(200.0, 20.0, -1.0))
    assert v.validated([NAN, INF, -INF, 5.0], 1.0)[3] == 4.0
    assert np.isnan(v.validated([NAN, INF, -INF], 1.0)).all()
    assert np.isnan(v.validated([5.0, 5.0, 5.0], [NAN, INF, -1.0])).all()


@settings(max_examples=examples(100))
@given(st.lists(st.none() | VALUE, min_size=1, max_size=48), st.floats(0.0, 50.0), st.integers(0, 10), st.randoms())
def test_a_day_is_the_mean_of_its_validated_parts_in_any_order(
    values: list[float | None], interval: float, most: int, random: object
) -> None:
    column = np.array([NAN if value is None else value for value in values])
    day = v.validated_day(column, interval, most)
    good = [max(0.0, value - interval) for value in values if value is not None]
    assert (int(day.counted), int(day.invalid)) == (len(good), len(values) - len(good))
    assert bool(day.discarded) == (len(values) - len(good) > most)
    assert bool(day.valid) == (bool(good) and not bool(day.discarded))
    assert float(day.mean) == pytest.approx(sum(good) / len(good) if good else NAN, nan_ok=True)
    random.shuffle(values)  # type: ignore[attr-defined]
    again = v.validated_day([NAN if value is None else value for value in values], interval, most)
    assert float(again.mean) == pytest.approx(float(day.mean), nan_ok=True)
    # Subtracting from the mean would be lenient: never more than the mean of what was floored.
    if good:
        assert max(0.0, float(np.nanmean(column)) - interval) <= float(day.mean) + 1e-9


def test_many_days_at_once_and_what_was_measured_while_the_plant_stood() -> None:
    half_hours = np.full((3, 48), 50.0)
    half_hours[1, :6] = NAN
    half_hours[2, :40] = NAN
    ran = np.ones((3, 48), np.bool_)
    ran[2, :40] = False
    half_hours[2, 0] = 900.0
    days = v.validated_day(half_hours, [10.0, 10.0, 20.0], 5, ran)
    assert days.valid.tolist() == [True, False, True]
    assert days.discarded.tolist() == [False, True, False]
    assert days.mean.tolist() == [40.0, 40.0, 30.0]
    assert days.counted.tolist() == [48, 42, 8]
    assert days.invalid.tolist() == [0, 6, 0]


def test_a_day_without_operation_is_neither_valid_nor_lost() -> None:
    day = v.validated_day([NAN] * 48, 10.0, 5, [False] * 48)
    assert (bool(day.valid), bool(day.discarded), math.isnan(day.mean)) == (False, False, True)
    day = v.validated_day([], 10.0, 5)
    assert (bool(day.valid), int(day.counted), int(day.invalid)) == (False, 0, 0)
    assert math.isnan(v.validated_day([1e308] * 48, 0.0, 5).mean)


@pytest.mark.parametrize(("lost", "over"), [(0, False), (10, False), (11, True), (365, True)])
def test_so_many_days_of_a_year_may_be_lost(lost: int, over: bool) -> None:
    year = np.arange(365) < lost
    found = v.day_cap(year, 10)
    assert (found.discarded, found.over, found.left) == (lost, over, max(10 - lost, 0))
    assert found.over_at == (10 if over else None)


@settings(max_examples=examples(200))
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 100))
def test_a_share_is_counted_without_rounding(within: int, above: int, percent: int) -> None:
    values = np.repeat([10.0, 10.1, NAN], [within, above, 7])
    found = v.share_within(values, 10.0, percent / 100.0)
    exact = within + above > 0 and Fraction(within, max(within + above, 1)) < Fraction(percent, 100)
    assert bool(found.broken) == exact
    assert (int(found.counted), int(found.above)) == (within + above, above)
    assert bool(found.broken) == (int(found.above) > int(found.allowed))


def test_every_span_has_its_own_share() -> None:
    days = np.array([[100.0] * 137 + [151.0] * 7, [100.0] * 136 + [151.0] * 8])
    found = v.share_within(days, 150.0, 0.95)
    assert (found.broken.tolist(), found.allowed.tolist()) == ([False, True], [7, 7])
    assert not v.share_within([], 1.0, 0.97).broken
    assert not v.share_within([1e9], None, 1.0).broken
    assert v.share_within([INF, NAN, 1.0], 2.0, 1.0).counted == 1


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ([50.0] * 100, False),
        ([50.0] * 97 + [300.0] * 3, False),  # above column A, but 97 % within B
        ([60.0] * 100, False),  # never within B, but none above A
        ([50.0] * 96 + [60.0] * 4, False),
        ([50.0] * 96 + [60.0] * 3 + [300.0], True),
    ],
)
def test_column_a_or_column_b(values: list[float], broken: bool) -> None:
    assert bool(v.either_broken(values, 200.0, 50.0, 0.97)) is broken


@pytest.mark.parametrize("kind", ["24h", "month", "30d"])
def test_longer_windows_are_made_of_the_short_ones_within(kind: str) -> None:
    zone = "Europe/Berlin"
    start, end = (
        int(datetime(2026, month, 20, tzinfo=ZoneInfo(zone)).timestamp()) * 10**9 for month in (3, 4)
    )  # a day of 23 hours is among them
    parts, longer = windows("30m", zone, start, end), windows(kind, zone, start, end)
    values = np.random.default_rng(7).uniform(0.0, 100.0, len(parts))
    values[::11] = NAN
    found = v.validated_means(values, parts, longer, 20.0)
    for number in range(len(longer)):
        inside = (parts.from_ns >= longer.from_ns[number]) & (parts.to_ns <= longer.to_ns[number]) & ~np.isnan(values)
        wanted = np.maximum(values[inside] - 20.0, 0.0).mean() if inside.any() else NAN
        assert found[number] == pytest.approx(wanted, nan_ok=True)
    assert np.isnan(v.validated_means(values, parts, longer, None)).all()

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.rounding import round_half_even, round_half_up
from tests.effort import examples

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
PLACES = st.integers(0, 6)


@settings(max_examples=examples(200))
@given(NUMBERS, PLACES)
def test_a_rounded_value_lies_within_half_a_step_and_has_no_more_places(value: float, places: int) -> None:
    for rounded in (float(round_half_even(value, places)), float(round_half_up(value, places))):
        assert abs(Decimal(repr(rounded)) - Decimal(repr(value))) <= Decimal(5).scaleb(-places - 1)
        assert float(round_half_up(rounded, places)) == rounded


@settings(max_examples=examples(200))
@given(st.integers(-(10**6), 10**6), st.integers(0, 3))
def test_halves_go_to_the_even_digit_or_away_from_zero(whole: int, places: int) -> None:
    half = Decimal(2 * whole + 1) / 2
    value = float(half.scaleb(-places))
    even = whole if whole % 2 == 0 else whole + 1
    away = whole + 1 if half > 0 else whole
    assert float(round_half_even(value, places)) == float(Decimal(even).scaleb(-places))
    assert float(round_half_up(value, places)) == float(Decimal(away).scaleb(-places))


@settings(max_examples=examples(50))
@given(st.lists(NUMBERS, max_size=20), PLACES)
def test_an_array_is_rounded_value_by_value(values: list[float], places: int) -> None:
    for function in (round_half_even, round_half_up):
        assert function(values, places).tolist() == [float(function(value, places)) for value in values]


@pytest.mark.parametrize(
    ("value", "places", "up", "even"),
    [
        (40.5, 0, 41.0, 40.0),
        (0.2465, 3, 0.247, 0.246),  # the nearest double lies below the half
        (0.125, 2, 0.13, 0.12),
        (2.675, 2, 2.68, 2.68),
        (-2.5, 0, -3.0, -2.0),
        (1250.0, -2, 1300.0, 1200.0),
        (1e308, 3, 1e308, 1e308),
        (5e-324, 2, 0.0, 0.0),
    ],
)
def test_decimals_are_rounded_as_they_are_printed(value: float, places: int, up: float, even: float) -> None:
    assert float(round_half_up(value, places)) == up
    assert float(round_half_even(value, places)) == even


def test_what_is_no_number_stays_none() -> None:
    for function in (round_half_even, round_half_up):
        assert np.isnan(function(float("nan"), 2))
        assert float(function(float("inf"), 2)) == float("inf")
        assert function(np.empty((0, 3)), 1).shape == (0, 3)


@settings(max_examples=examples(200))
@given(st.lists(NUMBERS, min_size=2, max_size=20), PLACES)
def test_a_larger_value_is_never_rounded_to_a_smaller_one(values: list[float], places: int) -> None:
    for function in (round_half_even, round_half_up):
        assert (np.diff(function(sorted(values), places)) >= 0.0).all()


@settings(max_examples=examples(200))
@given(NUMBERS, st.integers(-6, 6))
def test_both_signs_are_rounded_alike_and_once_is_enough(value: float, places: int) -> None:
    for function in (round_half_even, round_half_up):
        found = float(function(value, places))
        assert float(function(-value, places)) == -found
        assert float(function(found, places)) == found


@settings(max_examples=examples(100))
@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_what_has_the_places_already_stays(whole: int, places: int) -> None:
    value = float(Decimal(whole).scaleb(-places))
    assert float(round_half_even(value, places)) == float(round_half_up(value, places)) == value


@settings(max_examples=examples(100))
@given(st.lists(st.floats(), min_size=1, max_size=20), st.integers(-15, 15))
def test_no_number_is_an_exception(values: list[float], places: int) -> None:
    for function in (round_half_even, round_half_up):
        found = function(values, places)
        assert np.isnan(found).tolist() == np.isnan(values).tolist()

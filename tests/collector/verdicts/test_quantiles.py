from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.quantiles import chi_squared_median, student_t
from tests.effort import examples

# One-sided, from the usual printed tables.
T_95 = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 14: 1.761, 30: 1.697}
T_975 = {1: 12.706, 2: 4.303, 8: 2.306, 120: 1.980}
CHI = {1: 0.455, 2: 1.386, 3: 2.366, 4: 3.357, 5: 4.351, 9: 8.343, 10: 9.342, 14: 13.339, 30: 29.336}


@pytest.mark.parametrize(("degrees", "value"), CHI.items())
def test_the_median_of_chi_squared_is_as_printed(degrees: int, value: float) -> None:
    assert chi_squared_median(degrees) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(("share", "table"), [(0.95, T_95), (0.975, T_975)])
def test_student_is_as_printed(share: float, table: dict[int, float]) -> None:
    assert {n: round(student_t(share, n), 3) for n in table} == table


@settings(max_examples=examples(50))
@given(st.integers(1, 300), st.floats(0.51, 0.999), st.floats(0.51, 0.999))
def test_quantiles_rise_with_the_share_and_the_median_with_the_degrees(degrees: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert student_t(low, degrees) <= student_t(high, degrees)
    assert degrees - 1 < chi_squared_median(degrees) < degrees
    assert chi_squared_median(degrees) < chi_squared_median(degrees + 1)
    assert student_t(high, degrees + 1) <= student_t(high, degrees)


def test_what_has_no_quantile_has_none() -> None:
    nothing = [chi_squared_median(0), student_t(0.95, 0), student_t(0.5, 4), student_t(1.0, 4), student_t(math.nan, 4)]
    assert all(math.isnan(value) for value in nothing)

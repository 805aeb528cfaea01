"""Quantiles that tests of statistics need: the median of chi-squared, and Student's t.

Both distributions have closed forms for whole degrees of freedom (Abramowitz and Stegun, Handbook of
Mathematical Functions, 26.4.4, 26.4.5, 26.7.3, 26.7.4); the quantile is found by halving. These are facts of
mathematics and of no standard. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_HALVINGS = 200  # more than a double has digits to tell apart


@lru_cache(maxsize=1024)
def chi_squared_median(degrees: int) -> float:
    """The value that a chi-squared variable stays below in half of all cases; NaN below 1 degree of freedom. [1]

    >>> round(chi_squared_median(4), 4)
    3.3567
    """
    return _quantile(lambda x: _chi_squared_above(x, degrees) <= 0.5) if degrees >= 1 else math.nan


@lru_cache(maxsize=1024)
def student_t(share: float, degrees: int) -> float:
    """The value that Student's t stays below in a share of all cases (one-sided); NaN where there is none. [1]

    share: above 0.5 and below 1, as 0.95. degrees: of freedom, at least 1.
    >>> round(student_t(0.95, 4), 3)
    2.132
    """
    if degrees < 1 or not 0.5 < share < 1.0:
        return math.nan
    return _quantile(lambda t: 0.5 + _between(t, degrees) / 2.0 >= share)


def _quantile(reached: Callable[[float], bool]) -> float:
    """The least positive number at which something rising is reached."""
    low, high = 0.0, 1.0
    while not reached(high):
        low, high = high, high * 2.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _chi_squared_above(x: float, degrees: int) -> float:
    """Probability of more than x. Source: Abramowitz and Stegun 26.4.4 (odd), 26.4.5 (even)."""
    half = x / 2.0
    first, start = (0.0, 0.0) if degrees % 2 == 0 else (math.erfc(math.sqrt(half)), 0.5)
    powers = (start + step for step in range(degrees // 2))
    return first + sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1.0)) for power in powers)


def _between(t: float, degrees: int) -> float:
    """Probability of lying between -t and t. Source: Abramowitz and Stegun 26.7.3 (odd), 26.7.4 (even)."""
    angle = math.atan(t / math.sqrt(degrees))
    square = math.cos(angle) ** 2
    odd = degrees % 2 == 1
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for step in range(degrees // 2):
        total += term
        n = 2 * step + (2 if odd else 1)
        term *= square * n / (n + 1)
    return 2.0 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total

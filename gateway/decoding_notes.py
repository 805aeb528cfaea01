"""What speaks for and against a decoding, in words, for whoever has to choose.

Pure: numbers in, sentences out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gateway.quantities import Quantity, fits
from gateway.words import TYPES

# Raw numbers that makers write where there is no value; only what is common to many.
_SENTINELS = {
    0x7FFF: "0x7FFF", 0x8000: "0x8000", 0xFFFF: "0xFFFF", -0x8000: "0x8000", 9999: "9999", -9999: "-9999",
    -999: "-999", 0x7FFFFFFF: "0x7FFFFFFF", 0xFFFFFFFF: "0xFFFFFFFF", -0x80000000: "0x80000000",
}  # fmt: skip
_DIGITS = 5


def notes(values: Sequence[float], type: str, scale: float, expected: Quantity) -> tuple[str, ...]:
    """What speaks for and against. values: of all readings, newest last. [unit of the quantity]"""
    newest = values[-1]
    said = [_against_display(newest, expected), _place(newest, expected), _raw(newest, type, scale, expected)]
    return tuple(filter(None, (*said, movement(values))))


def movement(values: Sequence[float]) -> str:
    """How a number moved between readings.

    >>> movement((20.0, 20.0, 20.1)), movement((5.0, 5.0)), movement((1.0, 2.0, 3.0, 4.0))
    ('moves by 0.5 %', 'constant', 'rises steadily: a counter or a clock')
    """
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    if low == high:
        return "constant"
    steps = np.diff(finite)
    if len(finite) >= 4 and (steps > 0).all() and steps.max() <= 2 * steps.min():
        return "rises steadily: a counter or a clock"
    size = max(abs(low), abs(high))
    share = (high - low) / size
    return f"moves by {100 * share:.2g} %" if share < 0.5 else f"jumps between {low:.4g} and {high:.4g}"


def _against_display(value: float, expected: Quantity) -> str:
    if expected.shown is None:
        return ""
    if fits(expected.shown, value, 0.0):
        return "is what the display shows"
    return "near what the display shows" if fits(expected.shown, value, 0.02) else "not what the display shows"


def _place(value: float, expected: Quantity) -> str:
    if not expected.name:
        return ""
    if value == 0.0:
        return "0: nothing to measure, or nothing there"
    if expected.typical[0] <= value <= expected.typical[1]:
        return f"usual for {expected.name}"
    if expected.low <= value <= expected.high:
        return f"possible for {expected.name}"
    return f"outside {expected.low:g} to {expected.high:g} {expected.unit}".rstrip()


def _raw(value: float, type: str, scale: float, expected: Quantity) -> str:
    if not TYPES[type].whole:
        return "a round decimal" if value and float(f"{value:.{_DIGITS}g}") == float(f"{value:.7g}") else ""
    raw = round(value / scale) if expected.unit else round(value)
    return f"{_SENTINELS[raw]} often stands for no value" if raw in _SENTINELS else ""

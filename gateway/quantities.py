"""Quantities that are looked for in an instrument: what its numbers can be, and how likely each of them is.

A guess needs to know what is guessed at. Of a parameter that is its unit and the units in which instruments give it,
what any of them can show, what most plants do - and, best of all, what this one shows at this moment on its display.
Likelihoods here are densities over values, in natural logarithms; they rank guesses and judge nothing. Rules:

- most values lie where plants usually are: evenly, or over decades where that is more than a factor of FEW_DECADES;
- the others lie anywhere in what an instrument can show, a small value being as likely as a large one;
- a little below zero is possible where the scale begins there: analysers drift;
- a value on the display outweighs all of it: what rounds to it is the best, what is near it has moved meanwhile.

Pure: values in, likelihoods out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gateway.measurement import Float64
from gateway.parameters import Parameter
from gateway.units import UNITS, Conversion, conversion

FEW_DECADES = 15.0
MOVED = 0.02  # share by which a value may have moved since somebody read it off
NEVER = -40.0  # natural logarithm of what is as good as impossible; whatever adds two such stays below POSSIBLE
POSSIBLE = NEVER + 3.0

# Natural logarithms of how often makers choose them, by the profiles of this product; only their order matters much.
WHOLE_SCALES: Mapping[float, float] = {
    1.0: -0.3,
    0.1: 0.0,
    0.01: -0.3,
    0.001: -1.2,
    1e-4: -2.5,
    10.0: -2.5,
    100.0: -3.5,
}
FLOAT_SCALES: Mapping[float, float] = {
    1.0: 0.0,
    0.001: -4.0,
    1000.0: -4.0,
    0.1: -5.0,
    0.01: -5.0,
    10.0: -5.0,
    100.0: -5.0,
}
_UNIT_PRIORS = {"ppm": -1.5, "m3/h": -1.0, "mS/cm": -1.5, "Pa": -1.0}  # beside the parameter's own; others are rarer
_OTHER_UNIT = -2.5
_USUAL, _FAR, _ZERO = math.log(0.85), math.log(0.12), math.log(0.03)
_DECADES = 12.0  # natural logarithms that "anywhere" spans
_ROUNDS, _NEAR = math.log(0.6), math.log(0.35)
_ELSEWHERE = math.log(0.05)
_READING = re.compile(r"([+-]?\d+(?:[.,](\d+))?(?:[eE]([+-]?\d+))?)\s*(\S*)")


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody reads off an instrument, and half of its last digit. [unit of the quantity]"""

    value: float
    slack: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What is looked for. low, high: what an instrument can show; typical: what most plants do. [unit]

    units: in which instruments give it, with their likelihood. whole, floating: scales of such numbers, likewise.
    counts: it only ever rises.
    """

    name: str
    unit: str
    low: float
    high: float
    typical: tuple[float, float]
    units: Mapping[str, tuple[Conversion, float]]
    whole: Mapping[float, float]
    floating: Mapping[float, float]
    counts: bool = False
    shown: Shown | None = None

    @property
    def wide(self) -> bool:
        """Whether its usual values span decades."""
        return self.typical[0] > 0 and self.typical[1] > FEW_DECADES * self.typical[0]

    def shows(self, shown: Shown | None) -> Quantity:
        """The same with a value on the display."""
        return replace(self, shown=shown)


# Any number at all, as raw as it stands: for what nobody has said anything about.
ANYTHING = Quantity(
    name="", unit="", low=-1e7, high=1e7, typical=(0.01, 1e5), units={"": (Conversion(1.0, 0.0), 0.0)},
    whole={1.0: 0.0}, floating={1.0: 0.0},
)  # fmt: skip


def quantity(parameter: Parameter, low: float | None = None, high: float | None = None) -> Quantity:
    """What is looked for where a parameter is expected. low, high: of the instrument, where they are known. [unit]"""
    known = parameter.range or (-1e7, 1e7)
    low, high = known[0] if low is None else low, known[1] if high is None else high
    usual = parameter.typical or (low, high)
    inside = max(usual[0], low), min(usual[1], high)
    return Quantity(
        name=parameter.code, unit=parameter.unit, low=low, high=high,
        typical=inside if inside[0] < inside[1] else (low, high), units=_units(parameter), whole=WHOLE_SCALES,
        floating=FLOAT_SCALES, counts=parameter.average == "maximum" and parameter.unit == "m3",
    )  # fmt: skip


def _units(parameter: Parameter) -> dict[str, tuple[Conversion, float]]:
    found = {}
    for unit in (parameter.unit, *(unit for unit in UNITS if unit != parameter.unit)):
        way = conversion(unit, parameter.unit, parameter.molar_mass)
        if way is not None:
            found[unit] = (way, 0.0 if unit == parameter.unit else _UNIT_PRIORS.get(unit, _OTHER_UNIT))
    return found


def read_shown(text: str, parameter: Parameter) -> Shown:
    """A number as it stands on a display, with its unit where that is not the parameter's; ValueError says what not.

    >>> from gateway.settings import Label
    >>> so2 = Parameter(code="SO2", name=Label("", ""), unit="mg/m3", hj212="", media=(), average="mean", aliases=(),
    ...                 source="", molar_mass=64.0)
    >>> read_shown("35.2", so2)
    Shown(value=35.2, slack=0.05)
    >>> round(read_shown("7 ppm", so2).value)
    20
    """
    found = _READING.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a number")
    number, decimals, exponent, unit = found.groups()
    way = conversion(unit or parameter.unit, parameter.unit, parameter.molar_mass)
    if way is None:
        raise ValueError(f"{unit!r} does not become {parameter.unit or 'a bare number'!r} of {parameter.code}")
    slack = 0.5 * 10.0 ** (int(exponent or 0) - len(decimals or ""))
    value = float(number.replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number that anything shows")
    return Shown(value * way.factor + way.shift, slack * abs(way.factor))


def log_density(expected: Quantity, value: Float64) -> Float64:
    """How likely values are, as the natural logarithm of a density [1/unit]; NaN is impossible. Any shape."""
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = _without_display(expected, np.abs(value), value)
    if expected.shown is None:
        return plain
    off = np.abs(value - expected.shown.value)
    half = max(expected.shown.slack, 1e-9)
    near = half + MOVED * abs(expected.shown.value)
    exact = np.where(off <= half * (1 + 1e-6), _ROUNDS - math.log(2 * half), NEVER)
    moved = np.where(off <= near, _NEAR - math.log(2 * near), NEVER)
    found: Float64 = np.logaddexp(np.logaddexp(exact, moved), _ELSEWHERE + plain)
    return found


def _without_display(expected: Quantity, size: Float64, value: Float64) -> Float64:
    low, high = expected.typical
    usual_size = size if expected.wide else np.ones_like(size)
    span = math.log(high / low) if expected.wide else high - low
    usual = np.where((value >= low) & (value <= high), _USUAL - math.log(span) - np.log(usual_size), NEVER)
    # Below a millionth of what is usual no digit means anything any more: denormals are no small values.
    some = np.maximum(size, 1e-6 * max(abs(low), abs(high)))
    far = np.where((value >= expected.low) & (value <= expected.high), _FAR - math.log(_DECADES) - np.log(some), NEVER)
    drift = (value < expected.low) & (size <= 0.02 * high) & (expected.low == 0)
    far = np.where(drift, _FAR - 3.0 - math.log(_DECADES) - np.log(np.maximum(size, 1e-3 * high)), far)
    found = np.logaddexp(usual, far)
    found = np.where(size == 0.0, _ZERO if expected.low <= 0 <= expected.high else NEVER, found)
    return np.where(np.isnan(found), NEVER, np.clip(found, NEVER, None))


def fits(shown: Shown, value: float, tolerance: float) -> bool:
    """Whether a value is what was read off, but for its last digit and a share. tolerance: 0.02 = two percent."""
    return abs(value - shown.value) <= shown.slack * (1 + 1e-6) + tolerance * abs(shown.value)

"""Units: how a number an instrument gives in its own unit becomes one in the parameter's unit.

Every conversion is `value * factor + shift`. The table below holds each unit once, by what it is a
measure of and how it becomes the base unit of that kind; two units of one kind convert into one
another. Volume fractions of a gas (ppm, ppb) become mg/m3 at 0 degC and 101.325 kPa by the gas's
molar mass. A conversion that is not here is refused: nobody guesses.
"""

from __future__ import annotations

from typing import NamedTuple

# Volume of one kilomole of an ideal gas at 0 degC and 101.325 kPa, as the standard rounds it. [m3/kmol]
# Source: HJ 212-2017 appendix D (ppm to mg/m3: C = M/22.4 * ppm).
MOLAR_VOLUME = 22.4

# unit: (what it measures, factor, shift), value in base unit = value * factor + shift
_UNITS: dict[str, tuple[str, float, float]] = {
    "": ("number", 1.0, 0.0),
    "dB(A)": ("sound level, A-weighted", 1.0, 0.0),
    "dB(C)": ("sound level, C-weighted", 1.0, 0.0),
    "dB(Z)": ("sound level, unweighted", 1.0, 0.0),
    "ug/L": ("mass concentration in water", 1e-3, 0.0),
    "mg/L": ("mass concentration in water", 1.0, 0.0),
    "ug/m3": ("mass concentration in gas", 1e-3, 0.0),
    "mg/m3": ("mass concentration in gas", 1.0, 0.0),
    "g/m3": ("mass concentration in gas", 1e3, 0.0),
    "ppb": ("volume fraction", 1e-3, 0.0),
    "ppm": ("volume fraction", 1.0, 0.0),
    "%": ("share", 1.0, 0.0),
    "degC": ("temperature", 1.0, 0.0),
    "K": ("temperature", 1.0, -273.15),
    "degF": ("temperature", 5 / 9, -160 / 9),
    "Pa": ("pressure", 1e-3, 0.0),
    "hPa": ("pressure", 0.1, 0.0),
    "kPa": ("pressure", 1.0, 0.0),
    "m/s": ("velocity", 1.0, 0.0),
    "L/s": ("volume flow", 1.0, 0.0),
    "L/min": ("volume flow", 1 / 60, 0.0),
    "m3/h": ("volume flow", 1 / 3.6, 0.0),
    "m3/s": ("volume flow", 1e3, 0.0),
    "L": ("volume", 1e-3, 0.0),
    "m3": ("volume", 1.0, 0.0),
    "kg": ("mass", 1.0, 0.0),
    "t": ("mass", 1e3, 0.0),
    "kg/h": ("mass flow", 1.0, 0.0),
    "mm/h": ("precipitation", 1.0, 0.0),
    "uS/cm": ("conductivity", 1.0, 0.0),
    "mS/cm": ("conductivity", 1e3, 0.0),
    "NTU": ("turbidity", 1.0, 0.0),
}  # fmt: skip

UNITS: tuple[str, ...] = tuple(_UNITS)


class Conversion(NamedTuple):
    """value in the target unit = value in the source unit * factor + shift."""

    factor: float
    shift: float


def conversion(source: str, target: str, molar_mass: float | None = None) -> Conversion | None:
    """How numbers in one unit become numbers in another; None where they cannot.

    molar_mass: of the gas, for volume fractions that become mass concentrations; None = not a gas. [g/mol]
    Source of the latter: HJ 212-2017 appendix D; NOx counts as NO2 (46 g/mol).
    >>> conversion("m3/h", "L/s").factor * 36
    10.0
    >>> round(conversion("ppm", "mg/m3", 46.0).factor * 100, 2)
    205.36
    """
    if source == target:
        return Conversion(1.0, 0.0)
    if source not in _UNITS or target not in _UNITS:
        return None
    kind, factor, shift = _UNITS[source]
    target_kind, target_factor, target_shift = _UNITS[target]
    if (kind, target_kind) == ("volume fraction", "mass concentration in gas") and molar_mass:
        factor, kind = factor * molar_mass / MOLAR_VOLUME, target_kind
    if (kind, target_kind) == ("volume fraction", "share"):
        factor, kind = factor * 1e-4, target_kind
    if kind != target_kind:
        return None
    return Conversion(factor / target_factor, (shift - target_shift) / target_factor)

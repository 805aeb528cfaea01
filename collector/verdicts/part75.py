"""The equations of 40 CFR 75 appendix F and of Method 19, by their names.

`EQUATIONS` is the table: what an equation needs, to how many decimals its result is reported, and the
formula. Results are rounded once, at the end, a half away from zero, as the agency's check engine does;
so a diluent that makes a denominator nothing or negative (O2 at or above air) has no result instead of a
wrong one, and a negative result is none. Equation 19-5 is as in Method 19: one snapshot of the engine
leaves a factor of 20.9 out.
Arrays in, arrays out, NaN = no value. Pure; F factors and diluent caps are data of a rule pack (`us_rules`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64

AIR_OXYGEN_PERCENT = 20.9  # Method 19 counts so; the European equations have 21
_NOX_LB_SCF = 1.194e-7  # lb/scf of NOx counted as NO2, in a ppm
_SO2_LB_SCF = 1.660e-7
_CO2_TON_SCF = 5.7e-7  # short tons per scf, in a percent
_WET_BWA = 0.027  # moisture of the air, where nobody measured it (Method 19, equation 19-2)
_FINE = 1e12  # up to here a double tells a half from what is near it
_WHOLE = 2.0**52  # from here on every double is a whole number


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """One equation. needs: names of its inputs; optional: those with a default. places: decimals reported."""

    name: str
    needs: tuple[str, ...]
    formula: Callable[..., Float64]
    places: int
    unit: str
    optional: tuple[str, ...] = ()


def rounded_away(value: npt.ArrayLike, places: int) -> Float64:
    """Round to `places` decimals, a half away from zero; what floating point left a hair below a half counts as one.

    The agency computes in decimals, where 0.15 * 3 is 0.45; so a part in 10^13 is forgiven. NaN stays NaN.
    Source: US EPA check engine (easey-quartz-scheduler), MidpointRounding.AwayFromZero throughout.
    >>> rounded_away([0.45, 2.5, -2.5, 0.15 * 3], 1).tolist()
    [0.5, 2.5, -2.5, 0.5]
    """
    number = np.asarray(value, np.float64)
    scale = 10.0 ** abs(places)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(number) * scale if places >= 0 else np.abs(number) / scale
        forgiven = np.minimum(size * 1e-13, 1e-3)
        whole = np.where(size < _FINE, np.floor(size + forgiven + 0.5), np.rint(size))
        near = np.copysign(whole / scale if places >= 0 else whole * scale, number)
    return np.asarray(np.where(size < _WHOLE, near, number))


def part75_equation(equation: str, **inputs: npt.ArrayLike) -> Float64:
    """The result of an equation, rounded as it is reported. [Equation.unit]

    equation: its name, as "19-1" or "F-11". inputs: so2_ppm, nox_ppm [ppm], co2_percent, o2_percent, h2o_percent,
    o2_dry_percent, o2_wet_percent [%], flow_scfh [scf/h], fd, fc, fw [scf/mmBtu], nox_lb_mmbtu, heat_input_mmbtu_h,
    bwa [1]; each an array or a number, NaN = no value.
    Raises ValueError for an equation nobody knows, and for inputs that are missing or too many.
    Source: 40 CFR 75 appendix F; 40 CFR 60 appendix A-7, Method 19.
    >>> float(part75_equation("F-1", so2_ppm=350, flow_scfh=25_000_000))
    1452.5
    """
    if equation not in EQUATIONS:
        raise ValueError(f"no equation {equation!r}; there are: {', '.join(EQUATIONS)}")
    found = EQUATIONS[equation]
    missing = [name for name in found.needs if name not in inputs]
    extra = [name for name in inputs if name not in (*found.needs, *found.optional)]
    if missing or extra:
        raise ValueError(f"equation {equation} takes {', '.join(found.needs)}; missing {missing}, too many {extra}")
    with np.errstate(all="ignore"):
        result = found.formula(**{name: np.asarray(value, np.float64) for name, value in inputs.items()})
    # A rate or a content below nothing is no result: air in the line, or a fault of an analyser.
    return rounded_away(np.where((result >= 0.0) & (result < np.inf), result, np.nan), found.places)


def hour_total(rate: npt.ArrayLike, operating_time: npt.ArrayLike, places: int = 1) -> Float64:
    """What an hour let out: its rate times the part of the hour that the unit ran, NaN outside 0 to 1. [of the rate, h]

    Source: US EPA check engine, HourlyCalc.
    >>> float(hour_total(1452.5, 0.25))
    363.1
    """
    share = np.asarray(operating_time, np.float64)
    share = np.where((share >= 0.0) & (share <= 1.0), share, np.nan)
    return rounded_away(np.asarray(rate, np.float64) * share, places)


def capped_diluent(
    co2_percent: npt.ArrayLike, o2_percent: npt.ArrayLike, *, least_co2: float, most_o2: float
) -> tuple[Float64, Float64]:
    """CO2 and O2 with the diluent cap in their place where the gas is leaner. [%]

    least_co2, most_o2: the cap of the unit (`us_rules.DiluentCap`). [%]
    Source: 40 CFR 75 appendix F.
    """
    co2, o2 = np.asarray(co2_percent, np.float64), np.asarray(o2_percent, np.float64)
    return np.maximum(co2, least_co2), np.minimum(o2, most_o2)


def _positive(value: Float64) -> Float64:
    """A denominator; NaN where there is nothing to divide by."""
    return np.where(value > 0.0, value, np.nan)


def _dry(h2o_percent: Float64) -> Float64:
    """Dry share of the gas; NaN for what is no moisture. [1]"""
    return np.where((h2o_percent >= 0.0) & (h2o_percent < 100.0), (100.0 - h2o_percent) / 100.0, np.nan)


def _oxygen_factor(left: Float64) -> Float64:
    """What dilution by air is undone with. left: oxygen that was used up, in percent of the gas. [1]"""
    return AIR_OXYGEN_PERCENT / _positive(left)


def _f2(so2_ppm: Float64, flow_scfh: Float64, h2o_percent: Float64) -> Float64:
    return _SO2_LB_SCF * so2_ppm * flow_scfh * _dry(h2o_percent)


def _19_1(nox_ppm: Float64, fd: Float64, o2_percent: Float64) -> Float64:
    return _NOX_LB_SCF * nox_ppm * fd * _oxygen_factor(AIR_OXYGEN_PERCENT - o2_percent)


def _19_2(nox_ppm: Float64, fw: Float64, o2_percent: Float64, bwa: Float64 | float = _WET_BWA) -> Float64:
    return _NOX_LB_SCF * nox_ppm * fw * _oxygen_factor(AIR_OXYGEN_PERCENT * (1.0 - bwa) - o2_percent)


def _19_3(nox_ppm: Float64, fd: Float64, o2_percent: Float64, h2o_percent: Float64) -> Float64:
    return _NOX_LB_SCF * nox_ppm * fd * _oxygen_factor(AIR_OXYGEN_PERCENT * _dry(h2o_percent) - o2_percent)


def _19_4(nox_ppm: Float64, fd: Float64, o2_percent: Float64, h2o_percent: Float64) -> Float64:
    return _19_1(nox_ppm / _dry(h2o_percent), fd, o2_percent)


def _19_5(nox_ppm: Float64, fd: Float64, o2_percent: Float64, h2o_percent: Float64) -> Float64:
    return _19_1(nox_ppm, fd, o2_percent / _dry(h2o_percent))


def _19_6(nox_ppm: Float64, fc: Float64, co2_percent: Float64) -> Float64:
    return _NOX_LB_SCF * nox_ppm * fc * 100.0 / _positive(co2_percent)


def _19_8(nox_ppm: Float64, fc: Float64, co2_percent: Float64, h2o_percent: Float64) -> Float64:
    return _19_6(nox_ppm / _dry(h2o_percent), fc, co2_percent)


def _19_9(nox_ppm: Float64, fc: Float64, co2_percent: Float64, h2o_percent: Float64) -> Float64:
    return _19_6(nox_ppm * _dry(h2o_percent), fc, co2_percent)


def _f14a(o2_percent: Float64, fc: Float64, fd: Float64) -> Float64:
    return np.maximum(100.0 * fc / _positive(fd) * (AIR_OXYGEN_PERCENT - o2_percent) / AIR_OXYGEN_PERCENT, 0.0)


def _f14b(o2_percent: Float64, h2o_percent: Float64, fc: Float64, fd: Float64) -> Float64:
    left = AIR_OXYGEN_PERCENT * _dry(h2o_percent) - o2_percent
    return np.maximum(100.0 / AIR_OXYGEN_PERCENT * fc / _positive(fd) * left, 0.0)


def _f15(co2_percent: Float64, flow_scfh: Float64, fc: Float64) -> Float64:
    return flow_scfh * co2_percent / (100.0 * _positive(fc))


def _f16(co2_percent: Float64, flow_scfh: Float64, fc: Float64, h2o_percent: Float64) -> Float64:
    return _f15(co2_percent, flow_scfh, fc) * _dry(h2o_percent)


def _f17(o2_percent: Float64, flow_scfh: Float64, fd: Float64, h2o_percent: Float64) -> Float64:
    left = 0.209 * 100.0 * _dry(h2o_percent) - o2_percent
    return flow_scfh / _positive(fd) * left / AIR_OXYGEN_PERCENT


def _f18(o2_percent: Float64, flow_scfh: Float64, fd: Float64, h2o_percent: Float64) -> Float64:
    return flow_scfh / _positive(fd) * _dry(h2o_percent) * (AIR_OXYGEN_PERCENT - o2_percent) / AIR_OXYGEN_PERCENT


def _f31(o2_dry_percent: Float64, o2_wet_percent: Float64) -> Float64:
    return 100.0 * (o2_dry_percent - o2_wet_percent) / _positive(o2_dry_percent)


_NOX_FD, _NOX_FC = ("nox_ppm", "fd", "o2_percent"), ("nox_ppm", "fc", "co2_percent")
_LB_H, _LB_MMBTU, _HEAT, _H2O = "lb/h", "lb/mmBtu", "mmBtu/h", ("h2o_percent",)


def _row(
    name: str, needs: tuple[str, ...], formula: Callable[..., Float64], places: int, unit: str, *optional: str
) -> tuple[str, Equation]:
    return name, Equation(name=name, needs=needs, formula=formula, places=places, unit=unit, optional=optional)


EQUATIONS = dict(
    [
        _row("F-1", ("so2_ppm", "flow_scfh"), lambda so2_ppm, flow_scfh: _SO2_LB_SCF * so2_ppm * flow_scfh, 1, _LB_H),
        _row("F-2", ("so2_ppm", "flow_scfh", *_H2O), _f2, 1, _LB_H),
        _row("19-1", _NOX_FD, _19_1, 3, _LB_MMBTU),
        _row("F-5", _NOX_FD, _19_1, 3, _LB_MMBTU),
        _row("19-2", ("nox_ppm", "fw", "o2_percent"), _19_2, 3, _LB_MMBTU, "bwa"),
        _row("19-3", (*_NOX_FD, *_H2O), _19_3, 3, _LB_MMBTU),
        _row("19-4", (*_NOX_FD, *_H2O), _19_4, 3, _LB_MMBTU),
        _row("19-5", (*_NOX_FD, *_H2O), _19_5, 3, _LB_MMBTU),
        _row("19-6", _NOX_FC, _19_6, 3, _LB_MMBTU),
        _row("19-7", _NOX_FC, _19_6, 3, _LB_MMBTU),
        _row("F-6", _NOX_FC, _19_6, 3, _LB_MMBTU),
        _row("19-8", (*_NOX_FC, *_H2O), _19_8, 3, _LB_MMBTU),
        _row("19-9", (*_NOX_FC, *_H2O), _19_9, 3, _LB_MMBTU),
        _row(
            "F-11", ("co2_percent", "flow_scfh"),
            lambda co2_percent, flow_scfh: _CO2_TON_SCF * co2_percent * flow_scfh, 1, "ton/h",
        ),
        _row("F-14A", ("o2_percent", "fc", "fd"), _f14a, 1, "%"),
        _row("F-14B", ("o2_percent", *_H2O, "fc", "fd"), _f14b, 1, "%"),
        _row("F-15", ("co2_percent", "flow_scfh", "fc"), _f15, 1, _HEAT),
        _row("F-16", ("co2_percent", "flow_scfh", "fc", *_H2O), _f16, 1, _HEAT),
        _row("F-17", ("o2_percent", "flow_scfh", "fd", *_H2O), _f17, 1, _HEAT),
        _row("F-18", ("o2_percent", "flow_scfh", "fd", *_H2O), _f18, 1, _HEAT),
        _row(
            "F-24A", ("nox_lb_mmbtu", "heat_input_mmbtu_h"),
            lambda nox_lb_mmbtu, heat_input_mmbtu_h: nox_lb_mmbtu * heat_input_mmbtu_h, 1, _LB_H,
        ),
        _row("F-31", ("o2_dry_percent", "o2_wet_percent"), _f31, 1, "%"),
    ]
)  # fmt: skip

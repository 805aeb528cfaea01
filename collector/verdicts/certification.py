"""Tests that a monitor must pass in the United States: calibration error, linearity, relative accuracy.

- Daily and seven-day calibration: the error against span (against nothing for CO2 and O2), with a
  difference that will do for small spans. A passed one holds for 26 clock hours; where the last of
  these found the unit standing still, a start-up has some hours more.
- Linearity: the error against the reference gas, or a difference.
- RATA: relative accuracy of pairs of runs, and the bias adjustment factor by which a monitor that reads
  low is corrected from then on.

Errors are computed unrounded and shown so; what is compared with a limit is rounded first, as the
agency's check engine does. Arrays in, arrays out, NaN = no value; what cannot be computed has not been
passed. Pure; limits are data of a rule pack (`us_rules`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from collector.verdicts.part75 import rounded_away
from collector.verdicts.quantiles import student_t
from collector.verdicts.us_rules import (
    Alternative,
    CalibrationLife,
    CalibrationRule,
    LinearityRule,
    RataRule,
    RataStep,
)
from gateway.measurement import Float64, Int64

Booleans = npt.NDArray[np.bool_]
NAN = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationError:
    """Outcome of calibrations, shapes as numpy broadcasts what went in.

    error_percent: of span. evaluated: what is compared: rounded percent, or difference. alternative: whether only a
    difference for small spans passed it. on_target: whether the monitor keeps what is expected of it.
    """

    error_percent: Float64
    difference: Float64
    evaluated: Float64
    in_control: Booleans
    alternative: Booleans
    on_target: Booleans


def calibration_error(
    span: npt.ArrayLike, reference: npt.ArrayLike, response: npt.ArrayLike, rule: CalibrationRule
) -> CalibrationError:
    """Whether the answer to a calibration gas or signal is near enough to it.

    span: of the range. reference: the gas. response: what the monitor showed. [ppm, % or as the monitor]
    Source: 40 CFR 75 appendix A, appendix B 2.1.4; check engine DAYCAL, SEVNDAY.
    """
    width, known, shown = np.broadcast_arrays(*(np.asarray(side, np.float64) for side in (span, reference, response)))
    difference = _difference(known, shown)
    percent = _percent_of(difference, width)
    size = rounded_away(difference, rule.places)
    if rule.percent is None:
        evaluated, limit = size, rule.difference
    else:
        evaluated, limit = rounded_away(percent, rule.places), rule.percent
    assert limit is not None, "a rule has a percentage or a difference"
    within = evaluated <= limit
    small = np.zeros(within.shape, np.bool_)
    for other in rule.alternatives:
        small |= (size <= other.difference) & _fits(other, width) & ~within
    return CalibrationError(
        error_percent=percent, difference=difference, evaluated=evaluated, in_control=within | small,
        alternative=small, on_target=evaluated <= rule.target,
    )  # fmt: skip


def _difference(reference: Float64, shown: Float64) -> Float64:
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.abs(reference - shown)
    return np.where(np.isfinite(difference), difference, np.nan)


def _percent_of(difference: Float64, whole: Float64) -> Float64:
    with np.errstate(over="ignore", invalid="ignore"):
        percent = difference / np.where(whole > 0.0, whole, np.nan) * 100.0
    return np.where(np.isfinite(percent), percent, np.nan)


def _fits(alternative: Alternative, span: Float64) -> Booleans:
    low = span > (0.0 if alternative.span_above is None else alternative.span_above)
    upto = span <= (math.inf if alternative.span_upto is None else alternative.span_upto)
    return np.asarray(low & upto & (span < (math.inf if alternative.span_below is None else alternative.span_below)))


class Control(IntEnum):
    """What the calibrations say of an hour."""

    IN_CONTROL = 0
    GRACE = 1
    EXPIRED = 2
    FAILED = 3
    UNTESTED = 4


def calibration_control(
    operating: npt.ArrayLike, test_hours: npt.ArrayLike, test_passed: npt.ArrayLike, rule: CalibrationLife
) -> Int64:
    """What the last calibration says of each hour, as `Control`, shape (n,).

    operating: whether the unit ran in each hour, shape (n,). test_hours: number of the hour of each calibration,
    0 = the first hour, may be negative, in any order; of two in an hour the later in the list holds, shape (m,).
    test_passed: shape (m,).
    An hour is in control under 26 hours after a passed test; after them, a unit that stood still in the last of the
    26 hours has the grace of a start-up, counted from the first hour in which it ran again.
    Source: 40 CFR 75 appendix B; check engine DCSTAT3.
    """
    ran = np.asarray(operating, np.bool_)
    tested = np.asarray(test_hours, np.float64).astype(np.int64)
    order = np.argsort(tested, kind="stable")
    tested, passed = tested[order], np.asarray(test_passed, np.bool_)[order]
    hour = np.arange(len(ran))
    last = np.searchsorted(tested, hour, "right") - 1
    known = last >= 0
    if not tested.size:
        return np.full(len(ran), Control.UNTESTED, np.int64)
    since = tested[np.maximum(last, 0)]
    end = since + rule.hours - 1
    inside = np.clip(end, 0, len(ran) - 1)
    # Where a unit that stood still ran next: of each hour, the first one from there on in which it ran.
    following = np.minimum.accumulate(np.where(ran, hour, len(ran))[::-1])[::-1]
    stood = (end >= 0) & (end < len(ran)) & ~ran[inside]
    grace = stood & (hour - following[inside] < rule.grace_hours)
    found = np.where(hour - since < rule.hours, Control.IN_CONTROL, np.where(grace, Control.GRACE, Control.EXPIRED))
    found = np.where(passed[np.maximum(last, 0)], found, Control.FAILED)
    return np.where(known, found, Control.UNTESTED).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearityError:
    """Outcome of one level of linearity tests. Fields as in CalibrationError; percent is of the reference."""

    error_percent: Float64
    evaluated_percent: Float64
    difference: Float64
    passes: Booleans
    alternative: Booleans


def linearity_error(reference: npt.ArrayLike, monitor_mean: npt.ArrayLike, rule: LinearityRule) -> LinearityError:
    """Whether the mean of a monitor's answers to a gas is near enough to it.

    reference: the gas, monitor_mean: mean of the injections. [ppm or %]
    Source: 40 CFR 75 appendix A 3.2; check engine, linearity summary.
    """
    known = np.asarray(reference, np.float64)
    difference = _difference(known, np.asarray(monitor_mean, np.float64))
    percent = _percent_of(difference, known)
    evaluated = rounded_away(percent, rule.places)
    within = evaluated <= rule.percent
    alternative = ~within & (rounded_away(difference, rule.places) <= rule.difference)
    return LinearityError(
        error_percent=percent, evaluated_percent=evaluated, difference=difference, passes=within | alternative,
        alternative=alternative,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeAccuracy:
    """Outcome of a RATA; NaN where the runs do not give it. [as the monitor]

    mean_difference: reference less monitor. confidence_coefficient: half width of its 95 % interval.
    evaluated_percent: relative accuracy as compared. quarters: for which a passed test holds, 0 = not passed.
    alternative: whether only the difference passed it. bias_adjustment_factor: 1 where the monitor does not read low.
    least_factor: smallest factor that need be applied.
    """

    runs: int
    mean_reference: float
    mean_monitor: float
    mean_difference: float
    standard_deviation: float
    confidence_coefficient: float
    relative_accuracy_percent: float
    evaluated_percent: float
    passes: bool
    alternative: bool
    quarters: int
    bias_adjustment_factor: float
    least_factor: float


def relative_accuracy(monitor: Sequence[float], reference: Sequence[float], rule: RataRule) -> RelativeAccuracy:
    """Relative accuracy and bias of a monitor against a reference method.

    monitor, reference: what both showed in each run, shape (n,) each; runs in which one is no number are left out.
    The adjusted value of an hour after the test is its value times bias_adjustment_factor.
    Raises ValueError where the two are not of equal length.
    Source: 40 CFR 75 appendix A 7; check engine RATA35, RATA37, RATA39.
    """
    shown, true = np.asarray(monitor, np.float64), np.asarray(reference, np.float64)
    if shown.shape != true.shape:
        raise ValueError(f"{len(shown)} values of the monitor and {len(true)} of the reference are no pairs")
    paired = np.isfinite(shown) & np.isfinite(true)
    shown, true = shown[paired], true[paired]
    runs = len(shown)
    with np.errstate(all="ignore"):
        mean_shown, mean_true = (float(both.mean()) if runs else NAN for both in (shown, true))
        apart = true - shown
        mean = float(apart.mean()) if runs else NAN
        spread = float(apart.std(ddof=1)) if runs > 1 else NAN
    half = student_t(0.975, runs - 1) * spread / math.sqrt(runs) if runs > 1 else NAN
    percent = (abs(mean) + half) / mean_true * 100.0 if mean_true > 0.0 else NAN
    evaluated = float(rounded_away(percent, 1))
    step = _step(rule, evaluated, mean, mean_true) if runs >= rule.runs else None
    factor = _bias_factor(rule, mean, half, mean_shown)
    low = rule.low_factor is not None and rule.low_reference is not None and mean_true <= rule.low_reference
    return RelativeAccuracy(
        runs=runs, mean_reference=mean_true, mean_monitor=mean_shown, mean_difference=mean, standard_deviation=spread,
        confidence_coefficient=half, relative_accuracy_percent=percent, evaluated_percent=evaluated,
        passes=step is not None, alternative=step is not None and step.relative_accuracy is None,
        quarters=step.quarters if step else 0, bias_adjustment_factor=factor,
        least_factor=min(factor, rule.low_factor or factor) if low else factor,
    )  # fmt: skip


def _step(rule: RataRule, evaluated_percent: float, mean_difference: float, mean_reference: float) -> RataStep | None:
    """The first way to pass that holds."""
    size = float(rounded_away(abs(mean_difference), rule.places))
    for step in rule.steps:
        if step.relative_accuracy is not None:
            holds = evaluated_percent <= step.relative_accuracy
        else:
            small = step.reference_upto is None or rounded_away(mean_reference, rule.places) <= step.reference_upto
            holds = bool(small) and step.difference is not None and size <= step.difference
        if holds:
            return step
    return None


def _bias_factor(rule: RataRule, mean_difference: float, half_width: float, mean_monitor: float) -> float:
    """Factor by which a monitor that reads low is corrected, to three decimals; 1 where it does not, or may not be."""
    if math.isnan(half_width) or not mean_monitor > 0.0:
        return NAN
    if not rule.bias or mean_difference <= half_width:
        return 1.0
    return float(rounded_away(1.0 + mean_difference / mean_monitor, 3))

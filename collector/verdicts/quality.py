"""Whether an automated measuring system may be believed: EN 14181, QAL2, AST and QAL3.

- QAL2 finds the calibration function from pairs of the system's signal and a standard reference method:
  method A a line through the pairs, method B a line through the zero point where they lie close together,
  method C a line through the pairs and points of reference materials where they lie close together and low;
- the variability test asks whether what is left between the two is within the uncertainty that the law allows;
- the calibration holds up to the highest calibrated value and a margin; how often it is left is watched by week;
- AST repeats the test every year with fewer pairs, and looks for a bias;
- QAL3 watches zero and span between: control charts of sums (CUSUM) or of single deviations (Shewhart).

The numbers of the standard are data (`quality_rules`, pack en14181-2014). The recursions of the sums and the bias
test were not read in the standard itself. Pure; NaN and what is not finite is no value, and a test that cannot be
made has not been passed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from collector.verdicts.quality_rules import Cusum, RangeWatch
from collector.verdicts.quantiles import chi_squared_median, student_t
from gateway.measurement import Float64, Int64

NAN = math.nan


@dataclass(frozen=True, slots=True)
class Line:
    """A calibration function, reference = slope * signal + intercept; NaN where there is none."""

    slope: float
    intercept: float


def qal2_method(reference: npt.ArrayLike, limit: float, uncertainty: float, lowest_percent: float) -> str:
    """By which method a calibration function is to be found: "A", "B" or "C"; "" where nothing was measured.

    reference: results of the reference method at the limit's conditions, shape (n,). [mg/m3]
    limit: daily mean. uncertainty: that the law allows at it. [mg/m3] lowest_percent: share of the limit. [%]
    Source: EN 14181 QAL2 (resymesa.de): A where the results spread as far as the uncertainty, else B from the share of
    the limit on and C below.
    >>> qal2_method([48.0, 57.0], 200.0, 40.0, 15.0)
    'B'
    """
    known = _known(reference)
    if not len(known):
        return ""
    if float(known.max()) - float(known.min()) >= uncertainty:
        return "A"
    return "B" if known.min() >= limit * lowest_percent / 100.0 else "C"


def qal2_regression(signal: npt.ArrayLike, reference: npt.ArrayLike) -> Line:
    """The least-squares line through the pairs: method A; with pairs of reference materials added, method C.

    signal: of the system, in its own unit. reference: of the reference method at the system's conditions. [mg/m3]
    Both shape (n,); a pair with NaN is left out. NaN where the signals are all alike.
    Source: EN 14181 QAL2 (formula from memory): slope = sum((x-mx)(y-my)) / sum((x-mx)^2), intercept = my - slope*mx.
    >>> line = qal2_regression([4.0, 5.0, 6.0], [0.0, 10.0, 20.0])
    >>> line.slope, line.intercept
    (10.0, -40.0)
    """
    x, y = _pairs(signal, reference)
    with np.errstate(all="ignore"):
        off = x - _mean(x)
        slope = np.sum(off * (y - _mean(y))) / np.sum(off**2)
        return _line(slope, _mean(y) - slope * _mean(x))


def qal2_through_zero(signal: npt.ArrayLike, reference: npt.ArrayLike, zero_signal: float) -> Line:
    """The line through the zero point and the mean of the pairs: method B.

    signal, reference: as in qal2_regression. zero_signal: what the system shows where there is nothing (4 mA).
    Source: EN 14181 QAL2 (formula from memory): slope = my / (mx - zero), intercept = -slope * zero.
    >>> line = qal2_through_zero([8.0, 10.0], [40.0, 60.0], 4.0)
    >>> line.slope, line.intercept
    (10.0, -40.0)
    """
    x, y = _pairs(signal, reference)
    with np.errstate(all="ignore"):
        slope = np.float64(_mean(y)) / (_mean(x) - zero_signal)
        return _line(slope, -slope * zero_signal)


def sigma0(limit: float, uncertainty_percent: float, coverage: float) -> float:
    """The uncertainty that the law allows, as a standard deviation. [mg/m3]

    limit: [mg/m3] uncertainty_percent: 95 % confidence interval as a share of it. [%] coverage: 1.96 for 95 %.
    Source: EN 14181 QAL2 (from memory).
    >>> round(sigma0(200.0, 20.0, 1.96), 2)
    20.41
    """
    return limit * uncertainty_percent / 100.0 / coverage if coverage > 0.0 else NAN


def variability_factor(pairs: int) -> float:
    """The factor that allows for how few pairs there are, kv; NaN for fewer than two. [1]

    Source: EN 14181, table of kv, generated: square root of the chi-squared median over its degrees of freedom.
    >>> round(variability_factor(15), 4), round(variability_factor(5), 4)
    (0.9761, 0.9161)
    """
    return math.sqrt(chi_squared_median(pairs - 1) / (pairs - 1)) if pairs > 1 else NAN


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a calibrated system agrees with the reference method. [mg/m3]

    pairs: that were there. bias: mean difference, reference less system; bias_max: most that passes, NaN where the
    test does not ask. deviation: standard deviation of the differences; deviation_max: most that passes.
    """

    pairs: int
    bias: float
    bias_max: float
    deviation: float
    deviation_max: float
    passed: bool


def variability(calibrated: npt.ArrayLike, reference: npt.ArrayLike, sigma: float, pairs_min: int = 2) -> Agreement:
    """The variability test of a QAL2: the spread of the differences is within the uncertainty allowed.

    calibrated: results of the system by its calibration function, reference: of the reference method; both
    at the limit's conditions, shape (n,). [mg/m3] sigma: as sigma0. [mg/m3] pairs_min: with fewer it is not passed.
    Source: EN 14181 QAL2 (from memory): deviation <= sigma0 * kv.
    >>> variability([48.0, 52.0, 55.0], [50.0, 52.0, 54.0], 20.4).passed
    True
    """
    pairs, bias, deviation = _differences(calibrated, reference)
    most = sigma * variability_factor(pairs)
    return Agreement(pairs, bias, NAN, deviation, most, pairs >= pairs_min and deviation <= most)


def surveillance(
    calibrated: npt.ArrayLike,
    reference: npt.ArrayLike,
    sigma: float,
    *,
    factor: float = 1.0,
    confidence: float = 0.95,
    pairs_min: int = 2,
) -> Agreement:
    """The annual surveillance test (AST): spread and bias of a few pairs.

    calibrated, reference, sigma, pairs_min: as in variability. factor: by which the spread may be larger than
    at a QAL2 (a setting: sources disagree). confidence: one-sided, of Student's t.
    Source: EN 14181 AST (from memory): deviation <= factor * sigma0 * kv, |bias| <= t * deviation / sqrt(n) + sigma0.
    >>> surveillance([48.0, 52.0, 55.0], [80.0, 84.0, 87.0], 20.4).passed
    False
    """
    pairs, bias, deviation = _differences(calibrated, reference)
    most = factor * sigma * variability_factor(pairs)
    bias_max = student_t(confidence, pairs - 1) * deviation / math.sqrt(max(pairs, 1)) + sigma
    passed = pairs >= pairs_min and deviation <= most and abs(bias) <= bias_max
    return Agreement(pairs, bias, bias_max, deviation, most, passed)


def valid_range(calibrated: npt.ArrayLike, margin_percent: float) -> float:
    """Up to which value a calibration function holds, from zero; NaN where nothing was calibrated. [mg/m3]

    calibrated: results of the system at its QAL2, at the limit's conditions, shape (n,). margin_percent: added. [%]
    Source: EN 14181:2014 6.5 (secondary): the highest of them and 10 %.
    >>> round(valid_range([100.0, 450.0], 10.0), 6)
    495.0
    """
    known = _known(calibrated)
    return float(known.max()) * (1.0 + margin_percent / 100.0) if len(known) else NAN


@dataclass(frozen=True, slots=True)
class Watched:
    """How often the valid calibration range was left, week by week.

    weeks: shape (n,), rising. share: of values above the range, shape (n,), 0 to 1. often: number of weeks in which
    it was too large. due_week: the week from which a new QAL2 is due, None = none is.
    """

    weeks: Int64
    share: Float64
    often: int
    due_week: int | None


def range_watch(values: npt.ArrayLike, weeks: npt.ArrayLike, upper: float, rule: RangeWatch) -> Watched:
    """Whether the valid calibration range was left so often that a new QAL2 is due.

    values: normalised short-term averages of operation since the last QAL2 or AST, nothing subtracted, shape (n,);
    NaN = none. weeks: number of the week of each, rising with time, shape (n,). upper: as valid_range. [mg/m3]
    Source: EN 14181:2014 6.5 (secondary): more than 5 % in more than five weeks, or more than 40 % in one.
    >>> rule = RangeWatch(week_percent=5.0, weeks_max=5, once_percent=40.0, cite="", verified=False)
    >>> range_watch([500.0, 400.0], [1, 1], 495.0, rule).due_week
    1
    """
    value = np.asarray(values, np.float64).ravel()
    there = np.isfinite(value)
    found, place = np.unique(np.asarray(weeks, np.int64).ravel()[there], return_inverse=True)
    counted = np.bincount(place, minlength=len(found))
    above = np.bincount(place[value[there] > upper], minlength=len(found))
    return watched(found, counted, above, rule)


def watched(weeks: npt.ArrayLike, counted: npt.ArrayLike, above: npt.ArrayLike, rule: RangeWatch) -> Watched:
    """As range_watch, where somebody has counted.

    weeks: rising, counted: values in each, above: of these above the range; shape (n,) each.
    """
    found, counted, above = (np.asarray(column, np.int64) for column in (weeks, counted, above))
    many = above * 100.0 > counted * rule.week_percent
    due = np.flatnonzero((np.cumsum(many) > rule.weeks_max) | (above * 100.0 > counted * rule.once_percent))
    return Watched(found, above / np.maximum(counted, 1), int(many.sum()), int(found[due[0]]) if len(due) else None)


@dataclass(frozen=True, slots=True)
class Chart:
    """A control chart. sums: what is plotted, shape (n,); of a drift the larger of both directions.

    alarm_at: number of the first check that is out of control, from 1; None = none is. direction: of a drift, +1 up,
    -1 down, 0 where there is none.
    """

    sums: Float64
    alarm_at: int | None
    direction: int = 0


def qal3_precision(deviations: npt.ArrayLike, standard_deviation: float, rule: Cusum) -> Chart:
    """Whether repeated checks scatter more than the system is meant to. Tested before the drift.

    deviations: of each check from its reference value (zero and span apart), shape (n,); NaN = no check.
    standard_deviation: of the system (s_AMS), same unit. Without one above zero there is no chart.
    Source: EN 14181 QAL3 (recursion from memory): sum = max(0, sum + (d - d before)^2 / 2 - k s^2), alarm above h s^2.
    >>> rule = Cusum(drift_alarm=2.85, drift_allowance=0.501, precision_alarm=6.9, precision_allowance=1.85,
    ...              cite="", verified=False)
    >>> qal3_precision([2.0, -2.0, 2.0, -2.0], 1.0, rule).alarm_at
    3
    """
    scaled = _scaled(deviations, standard_deviation)
    there = np.isfinite(scaled)
    steps = np.zeros(len(scaled))
    with np.errstate(over="ignore"):
        squares = np.diff(scaled[there]) ** 2 / 2.0 - rule.precision_allowance
    steps[np.flatnonzero(there)[1:]] = squares  # the first check has none before it
    sums = _sums(steps)
    return Chart(sums, _first(sums > rule.precision_alarm))


def qal3_drift(deviations: npt.ArrayLike, standard_deviation: float, rule: Cusum) -> Chart:
    """Whether checks drift from their reference value, up or down.

    deviations, standard_deviation: as in qal3_precision.
    Source: EN 14181 QAL3 (recursion from memory): sum = max(0, sum +- d - k s), alarm above h s.
    >>> rule = Cusum(drift_alarm=2.85, drift_allowance=0.501, precision_alarm=6.9, precision_allowance=1.85,
    ...              cite="", verified=False)
    >>> qal3_drift([1.0] * 8, 1.0, rule).alarm_at
    6
    """
    scaled = _scaled(deviations, standard_deviation)
    there = np.isfinite(scaled)
    up = _sums(np.where(there, scaled - rule.drift_allowance, 0.0))
    down = _sums(np.where(there, -scaled - rule.drift_allowance, 0.0))
    alarm_at = _first(np.maximum(up, down) > rule.drift_alarm)
    direction = 0 if alarm_at is None else 1 if up[alarm_at - 1] >= down[alarm_at - 1] else -1
    return Chart(np.maximum(up, down), alarm_at, direction)


def qal3_shewhart(deviations: npt.ArrayLike, standard_deviation: float, multiple: float) -> Chart:
    """The other chart that EN 14181 allows: each check alone, out of control beyond a multiple of s_AMS.

    deviations, standard_deviation: as in qal3_precision. multiple: strictly beyond it; at its own number an alarm.
    Source: EN 14181 QAL3 allows it (secondary); the multiple is a setting.
    >>> qal3_shewhart([1.0, -3.1], 1.0, 3.0).alarm_at
    2
    """
    scaled = np.abs(_scaled(deviations, standard_deviation))
    return Chart(scaled, _first(scaled > multiple))


def _scaled(deviations: npt.ArrayLike, standard_deviation: float) -> Float64:
    """Deviations in multiples of the standard deviation; NaN where there is none."""
    value = np.asarray(deviations, np.float64).ravel()
    if not (math.isfinite(standard_deviation) and standard_deviation > 0.0):
        return np.full(len(value), NAN)
    with np.errstate(over="ignore"):
        scaled = value / standard_deviation
    return np.where(np.isfinite(value), np.clip(scaled, -1e150, 1e150), NAN)  # a square of it is still a number


def _sums(steps: Float64) -> Float64:
    """Running sums that never fall below zero, shape as given."""
    return np.array(list(accumulate(steps.tolist(), lambda total, step: max(0.0, total + step), initial=0.0))[1:])


def _first(alarm: npt.NDArray[np.bool_] | Sequence[bool]) -> int | None:
    """Number of the first that is true, from 1."""
    found = np.flatnonzero(alarm)
    return int(found[0]) + 1 if len(found) else None


def _known(values: npt.ArrayLike) -> Float64:
    value = np.asarray(values, np.float64).ravel()
    return value[np.isfinite(value)]


def _pairs(signal: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Both columns of the pairs that are complete."""
    x, y = (np.asarray(column, np.float64).ravel() for column in (signal, reference))
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]


def _mean(values: Float64) -> float:
    return float(values.sum() / len(values)) if len(values) else NAN


def _line(slope: float, intercept: float) -> Line:
    both = bool(np.isfinite(slope) and np.isfinite(intercept))
    return Line(float(slope), float(intercept)) if both else Line(NAN, NAN)


def _differences(calibrated: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[int, float, float]:
    """Number of pairs, mean and standard deviation of reference less system; NaN where too few."""
    x, y = _pairs(calibrated, reference)
    with np.errstate(all="ignore"):
        difference = y - x
        bias = _mean(difference)
        deviation = float(np.sqrt(np.sum((difference - bias) ** 2) / (len(x) - 1))) if len(x) > 1 else NAN
    return len(x), bias, deviation

"""Validated values: what is held against European limits, kept apart from what was let out.

Two series of one pollutant stand side by side and are never mixed:

- *normalised* short-term averages (standard state, dry, reference oxygen; nothing subtracted) are what masses and
  annual loads are made of;
- *validated* ones are the normalised ones less a confidence interval, not below zero, and only limits are
  judged by them. The interval is a share of the limit, not of the reading: a constant of each pollutant.

The short-term average is formed first and the interval subtracted after; days, months and years are means of
validated short-term averages. A day with too many invalid short-term averages counts for nothing, and only so
many days of a year may be lost that way. Some limits hold for a share of a year's windows.

The shares, numbers of days and percentages are data of rule packs (`validation_rules`). Arrays in, arrays out (a
number comes back as an array of no dimension); NaN, and what is not finite, is no value. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from collector.verdicts.windows import Windows
from gateway.measurement import Float64, Int64

Booleans = npt.NDArray[np.bool_]


def confidence_interval(
    limit: npt.ArrayLike, interval_percent: npt.ArrayLike, measured: npt.ArrayLike | None = None
) -> Float64:
    """What is subtracted from every short-term average of a pollutant; NaN where it would not be an interval. [mg/m3]

    limit: the one that the share is of. [mg/m3] interval_percent: share of it. [%]
    measured: uncertainty found by calibration, never more than the share is subtracted; None = the share itself.
    Source: 2010/75/EU Annex V Part 3 point 9, Annex VI Part 6 point 1.3; capped: 13. and 17. BImSchV Anlage 4.
    >>> float(confidence_interval(200.0, 20.0)), float(confidence_interval(200.0, 20.0, 25.0))
    (40.0, 25.0)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        most = _array(limit) * _array(interval_percent) / 100.0
    interval = most if measured is None else np.minimum(_array(measured), most)
    return np.where(np.isfinite(interval) & (interval >= 0.0), interval, np.nan)


def validated(normalised: npt.ArrayLike, interval: npt.ArrayLike) -> Float64:
    """Normalised short-term averages less a confidence interval, not below zero. [mg/m3]

    interval: at least 0, shapes as numpy broadcasts them. [mg/m3]
    Source: 2010/75/EU Annex VI Part 8 point 1.2; floor at zero: EMV-L (Austria) paragraphs 9 and 17.
    >>> validated([225.0, 20.0], 40.0).tolist()
    [185.0, 0.0]
    """
    value, less = _array(normalised), _array(interval)
    known = np.isfinite(value) & np.isfinite(less) & (less >= 0.0)
    return np.where(known, np.maximum(np.where(known, value, 0.0) - np.where(known, less, 0.0), 0.0), np.nan)


def validated_average(
    normalised: npt.ArrayLike,
    limit: npt.ArrayLike,
    interval_percent: npt.ArrayLike,
    measured: npt.ArrayLike | None = None,
) -> Float64:
    """Normalised short-term averages as limits are judged by them. [mg/m3]

    normalised: [mg/m3] others as in confidence_interval. Source: as confidence_interval and validated.
    >>> float(validated_average(225.0, 200.0, 20.0))
    185.0
    """
    return validated(normalised, confidence_interval(limit, interval_percent, measured))


@dataclass(frozen=True, slots=True)
class ValidatedDays:
    """Days made of validated short-term averages; shape of each: that of the days.

    valid: whether the day is judged. mean: of its validated averages, there for days that are not judged too. [mg/m3]
    counted, invalid: short-term averages of operation that are there, and that are not. discarded: too many are not.
    """

    valid: Booleans
    mean: Float64
    counted: Int64
    invalid: Int64
    discarded: Booleans


def validated_day(
    half_hours: npt.ArrayLike,
    confidence_interval: npt.ArrayLike,
    invalid_max: int,
    operating: npt.ArrayLike | None = None,
) -> ValidatedDays:
    """Days from their normalised short-term averages (half-hours, or hours where the text counts these).

    half_hours: shape (..., n), the last axis is one day; NaN = invalid. [mg/m3]
    confidence_interval: subtracted from each; a number, or one a day, shape (...). [mg/m3]
    invalid_max: as many may be invalid, and the day still counts.
    operating: whether the plant ran (start-up and shut-down as the text counts them), shape of half_hours; None = all
    the time. What is missing while it stood is not invalid, and what was measured then is not counted.
    Source: 2010/75/EU Annex VI Part 8 (five), Annex V Part 3 point 10 (three hours);
    13. BImSchV paragraph 19, 44. BImSchV paragraph 30 (six).
    >>> day = validated_day([50.0] * 43 + [float("nan")] * 5, 10.0, 5)
    >>> bool(day.valid), float(day.mean)
    (True, 40.0)
    """
    value = np.atleast_1d(_array(half_hours))
    ran = np.broadcast_to(np.asarray(True if operating is None else operating, np.bool_), value.shape)
    series = validated(value, _array(confidence_interval)[..., np.newaxis])
    there = ran & ~np.isnan(series)
    counted, invalid = there.sum(axis=-1), (ran & ~there).sum(axis=-1)
    with np.errstate(over="ignore"):
        total = np.where(there, series, 0.0).sum(axis=-1)
    mean = np.where((counted > 0) & np.isfinite(total), total / np.maximum(counted, 1), np.nan)
    discarded = np.asarray(invalid > invalid_max)
    return ValidatedDays(~discarded & (counted > 0), mean, np.asarray(counted), np.asarray(invalid), discarded)


@dataclass(frozen=True, slots=True)
class DayCap:
    """The discarded days of a year against their cap. over_at: index of the day that broke it, None = none."""

    discarded: int
    left: int
    over: bool
    over_at: int | None


def day_cap(discarded: npt.ArrayLike, days_max: int) -> DayCap:
    """Whether more days of a year were discarded than may be; the operator has to act where they were.

    discarded: of the days of one year in order, shape (n,). days_max: as many may be.
    Source: 2010/75/EU Annex V Part 3 point 10, Annex VI Part 8 (ten); 13. BImSchV paragraph 19.
    >>> day_cap([True] * 10, 10).over, day_cap([True] * 11, 10).over_at
    (False, 10)
    """
    days = np.asarray(discarded, np.bool_).ravel()
    beyond = np.flatnonzero(np.cumsum(days) > days_max)
    number = int(days.sum())
    return DayCap(number, max(days_max - number, 0), bool(len(beyond)), int(beyond[0]) if len(beyond) else None)


@dataclass(frozen=True, slots=True)
class ShareWithin:
    """How many windows stay within a limit that holds for a share of them; shape of each: that of the spans.

    counted: windows with a value. above: of these, strictly above the limit. allowed: so many may be, of those counted.
    broken: more are; False where nothing was counted.
    """

    counted: Int64
    above: Int64
    allowed: Int64
    broken: Booleans


def share_within(values: npt.ArrayLike, limit: float | None, least: float | Fraction) -> ShareWithin:
    """Windows of a year (or of a day) against a limit that a share of them has to meet.

    values: validated averages, shape (..., n), the last axis is one year; NaN = none. [mg/m3]
    limit: None = nothing is above. [mg/m3] least: share that is not above it, 0 to 1; a float is taken as the
    simplest fraction near it, so that 97 of 100 is 0.97 exactly.
    Source: 2010/75/EU Annex V Part 4 (95 % of hours), Annex VI Part 8 (97 % of half-hours, 95 % of ten minutes).
    >>> found = share_within([200.0] * 97 + [201.0] * 3, 200.0, 0.97)
    >>> int(found.above), bool(found.broken)
    (3, False)
    """
    value = np.atleast_1d(_array(values))
    there = np.isfinite(value)
    counted = there.sum(axis=-1)
    above = (there & (value > (np.inf if limit is None else limit))).sum(axis=-1)
    ratio = Fraction(least).limit_denominator(1_000_000)
    allowed = counted * (ratio.denominator - ratio.numerator) // ratio.denominator
    return ShareWithin(np.asarray(counted), np.asarray(above), np.asarray(allowed), np.asarray(above > allowed))


def either_broken(
    values: npt.ArrayLike, all_limit: float | None, share_limit: float | None, least: float | Fraction
) -> Booleans:
    """Whether both of two ways to comply fail: no window above one limit, or a share of them not above another.

    values, least: as in share_within. all_limit, share_limit: columns A and B. [mg/m3]
    Source: 2010/75/EU Annex VI Part 8 (b): half-hours of a year.
    >>> bool(either_broken([50.0] * 97 + [300.0] * 3, 200.0, 50.0, 0.97))
    False
    """
    return np.asarray(share_within(values, all_limit, 1).broken & share_within(values, share_limit, least).broken)


def validated_means(normalised: npt.ArrayLike, parts: Windows, windows: Windows, interval: float | None) -> Float64:
    """Means of the validated short-term averages that lie in longer windows as a whole, shape (windows,). [mg/m3]

    normalised: of the short-term windows `parts`, shape (parts,), NaN = invalid. [mg/m3]
    interval: subtracted from each; None = not known, and nothing is validated. [mg/m3]
    Source: 2010/75/EU Annex VI Part 8 point 1.2; Annex V Part 3 point 10.
    """
    series = validated(normalised, np.nan if interval is None else interval)
    there = ~np.isnan(series)
    inside = windows.whole(parts)
    count = inside.number(there)
    return np.where(count > 0, inside.total(np.where(there, series, 0.0)) / np.maximum(count, 1), np.nan)


def _array(value: npt.ArrayLike) -> Float64:
    return np.asarray(value, np.float64)

"""When an hour of a monitor in the United States is valid: points in quadrants, not a share of minutes.

- an hour in which the unit ran throughout needs a point in every quarter; an hour in which it ran in
  part needs one in every quarter that it ran in;
- an hour with a test or maintenance needs two points far enough apart in time, whichever quarters they
  are in; one, where the unit ran in a single quarter;
- a failed calibration takes the points before it with it: only those from the next passed one on count.

So 45 valid minutes may be an invalid hour, and two points a valid one. Arrays in, arrays out: the last
axis holds the points of an hour, any axes before it the hours. Pure; the numbers are data (`us_rules`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collector.verdicts.us_rules import HourRule
from gateway.measurement import Float64

Booleans = npt.NDArray[np.bool_]


def hour_valid(minutes: npt.ArrayLike, rule: HourRule, *, ran: npt.ArrayLike | None = None) -> Booleans:
    """Whether each hour has a point in every quadrant in which the unit ran.

    minutes: minute of each valid point in its hour, 0 to under 60, shape (..., points); NaN and what lies outside
    are no points. [min] ran: in which quadrants the unit ran, shape (..., 4), None = in all; an hour without any
    is not valid. Returns shape (...).
    Source: 40 CFR 60.13(h)(2).
    """
    covered = _covered(_points(minutes), rule)
    needed = np.ones_like(covered) if ran is None else np.asarray(ran, np.bool_)
    return np.asarray((covered | ~needed).all(axis=-1) & needed.any(axis=-1))


def qa_hour_valid(
    minutes: npt.ArrayLike, rule: HourRule, *, ran: npt.ArrayLike | None = None, passed_minute: npt.ArrayLike = 0.0
) -> Booleans:
    """Whether each hour with a test or maintenance has two points far enough apart.

    minutes, ran: as in hour_valid. passed_minute: when the calibration was passed that followed a failed one,
    shape (...); NaN = none was, 0 = none had failed. [min]
    Source: 40 CFR 60.13(h)(2).
    """
    points = _points(minutes)
    points = np.where(points >= np.expand_dims(np.asarray(passed_minute, np.float64), -1), points, np.nan)
    there = ~np.isnan(points)
    first = np.where(there, points, np.inf).min(axis=-1, initial=np.inf)
    last = np.where(there, points, -np.inf).max(axis=-1, initial=-np.inf)
    apart = last - first >= rule.apart_minutes
    if ran is None:
        return np.asarray(apart)
    quarters = np.asarray(ran, np.bool_)
    single = (_covered(points, rule) & quarters).any(axis=-1)
    count = quarters.sum(axis=-1)
    return np.asarray(np.where(count >= 2, apart, (count == 1) & single))


def _points(minutes: npt.ArrayLike) -> Float64:
    points = np.asarray(minutes, np.float64)
    return np.where((points >= 0.0) & (points < 60.0), points, np.nan)


def _covered(points: Float64, rule: HourRule) -> Booleans:
    """In which quadrants there is a point, shape (..., quadrants)."""
    quadrant = np.floor_divide(points, rule.quadrant_minutes)
    wanted = np.arange(60 // rule.quadrant_minutes, dtype=np.float64)
    return np.asarray((quadrant[..., np.newaxis, :] == wanted[:, np.newaxis]).any(axis=-1))

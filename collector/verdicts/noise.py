"""Levels in decibels: averages by energy, percentiles, exposure, the period of a clock time.

Sound levels are logarithms, so their mean is the level of the mean energy, not the mean of the
levels. NaN is a value that is not there: it takes no part, and where nothing is left the result is
NaN. Arrays in, arrays out; `energy_average_by` works on many windows at once. Pure. What a standard
adds or takes off (`rating`, `background`) is data of a rule pack.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import clock_s
from collector.verdicts.windows import NIGHT
from gateway.measurement import Float64

PERCENTILES = (5, 10, 50, 90, 95)


def energy_average(levels_db: npt.ArrayLike, seconds: npt.ArrayLike | None = None) -> float:
    """Equivalent continuous level of consecutive intervals, Leq; NaN where no interval has a level. [dB]

    levels_db: level of each interval, shape (n,), NaN = invalid. [dB]
    seconds: length of each, shape (n,), > 0; None = all equal. [s]
    Source: GB 3096-2008 3.4, GB 12348-2008 3.4.
    >>> round(energy_average([60.0, 50.0]), 2)
    57.4
    >>> round(energy_average([45.0, 80.0], [3590.0, 10.0]), 2)
    54.9
    """
    levels = _array(levels_db)
    weights = np.ones_like(levels) if seconds is None else np.broadcast_to(_array(seconds), levels.shape)
    counted = ~np.isnan(levels) & (weights > 0.0)
    if not counted.any():
        return float("nan")
    weights = weights[counted]
    return float(level(np.sum(weights * energy(levels[counted])) / np.sum(weights)))


def energy_average_by(
    levels_db: npt.ArrayLike, group: npt.NDArray[np.integer], groups: int, weights: npt.ArrayLike = 1.0
) -> Float64:
    """Energy average of each group, shape (groups,); NaN for a group without a level. [dB]

    levels_db: shape (n,), NaN = invalid. [dB] group: number of each level's group, 0 to groups - 1, shape (n,).
    weights: how long each level stands for, > 0, in any unit, shape (n,) or one for all.
    Source: as energy_average.
    >>> energy_average_by([60.0, 50.0, 70.0], np.array([0, 0, 1]), 3).round(1).tolist()
    [57.4, 70.0, nan]
    >>> energy_average_by([40.0, 70.0], np.array([0, 0]), 1, [3590.0, 10.0]).round(1).tolist()
    [45.8]
    """
    levels = _array(levels_db)
    counted = ~np.isnan(levels)
    weight = np.broadcast_to(_array(weights), levels.shape)[counted]
    total = np.bincount(group[counted], energy(levels[counted]) * weight, groups)
    time = np.bincount(group[counted], weight, groups)
    return level(np.divide(total, time, out=np.full(groups, np.nan), where=time > 0.0))


def energy_sum(levels_db: npt.ArrayLike) -> float:
    """Level of several sources together; NaN where none has a level. [dB]

    Source: ISO 1996-1, level of a sum of energies.
    >>> round(energy_sum([42.0, 38.0]), 2)
    43.46
    """
    levels = _array(levels_db)
    counted = ~np.isnan(levels)
    return float(level(np.sum(energy(levels[counted])))) if counted.any() else float("nan")


def sound_exposure_level(leq_db: npt.ArrayLike, seconds: npt.ArrayLike) -> Float64:
    """Level of one second that holds the energy of a whole event, LAE. [dB]

    leq_db: level over the event. [dB] seconds: its length, > 0. [s]
    Source: ISO 1996-1, 3.1.8.
    >>> float(sound_exposure_level(60.0, 10.0))
    70.0
    """
    length = _array(seconds)
    return np.asarray(_array(leq_db) + level(np.where(length > 0.0, length, np.nan)))


def percentile_level(levels_db: npt.ArrayLike, exceeded_percent: float) -> float:
    """Level exceeded N % of the time, LN; NaN where no level is valid. [dB]

    levels_db: levels of equal intervals, shape (n,), NaN = invalid. [dB] exceeded_percent: N, 0 to 100. [%]
    The texts do not fix the estimator; this one interpolates linearly between neighbours (numpy's default).
    Source: GB 3096-2008 3.7.
    >>> percentile_level(np.linspace(50.0, 59.9, 100), 90).__round__(2)
    50.99
    """
    levels = _array(levels_db)
    levels = levels[~np.isnan(levels)]
    return float(np.percentile(levels, 100.0 - exceeded_percent)) if levels.size else float("nan")


def percentile_levels(levels_db: npt.ArrayLike, exceeded_percent: Sequence[int] = PERCENTILES) -> dict[str, float]:
    """Several LN of one window, as {"L5": .., "L10": ..}; empty where no level is valid. [dB]

    Arguments and source as percentile_level.
    """
    levels = _array(levels_db)
    levels = levels[~np.isnan(levels)]
    if not levels.size:
        return {}
    found = np.percentile(levels, [100.0 - percent for percent in exceeded_percent])
    return {f"L{percent}": float(level) for percent, level in zip(exceeded_percent, found, strict=True)}


def night_average(hourly_db: npt.ArrayLike) -> float:
    """Night level of hourly levels, by energy. [dB]

    Source: GB 3096-2008, Ln.
    >>> round(night_average([49.0, 48.0, 47.0, 47.0, 48.0, 58.0, 52.0, 50.0]), 2)
    51.74
    """
    return energy_average(hourly_db)


def noise_period(time: str, night: Sequence[str] = NIGHT) -> str:
    """The period, `day` or `night`, of a local clock time; each begins with its first second.

    time: HH:MM, HH:MM:SS, or an RFC 3339 time whose clock part is taken. night: begin and end.
    Source: GB 12348-2008 3.6; Noise Law art. 88.
    >>> noise_period("05:59:59"), noise_period("06:00:00")
    ('night', 'day')
    """
    at = clock_s(time.replace(" ", "T").rpartition("T")[2])
    begin, end = (clock_s(text) for text in night)
    inside = begin <= at < end if begin <= end else at >= begin or at < end
    return "night" if inside else "day"


def _array(value: npt.ArrayLike) -> Float64:
    return np.asarray(value, np.float64)


def energy(level_db: Float64) -> Float64:
    """Energy of levels, as a multiple of that of 0 dB. [1]

    level_db: shape as given. [dB]
    """
    with np.errstate(over="ignore"):  # a level that no meter shows has the energy of infinity
        return np.asarray(np.power(10.0, 0.1 * level_db))


def level(energy: npt.ArrayLike) -> Float64:
    """Level of energies; minus infinity where there is none. [dB]

    energy: multiples of that of 0 dB. [1]
    """
    with np.errstate(divide="ignore"):  # no energy at all is a level of minus infinity
        return np.asarray(10.0 * np.log10(_array(energy)))

"""Levels in decibels: averages by energy, percentiles, day-night indicators, background correction.

Sound levels are logarithms, so their mean is the level of the mean energy, not the mean of the
levels. NaN is a value that is not there: it takes no part, and where nothing is left the result is
NaN. Arrays in, arrays out; `energy_average_by` works on many windows at once. Pure; limits and the
table of background corrections are data of a rule pack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Background, clock_s
from collector.verdicts.rounding import round_half_even
from collector.verdicts.windows import NIGHT
from gateway.measurement import Float64

PERCENTILES = (5, 10, 50, 90, 95)
DAY_HOURS, NIGHT_HOURS = 16, 8


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


def ldn(
    day_db: npt.ArrayLike,
    night_db: npt.ArrayLike,
    day_hours: float = DAY_HOURS,
    night_hours: float = NIGHT_HOURS,
) -> Float64:
    """Day-night level: the night counts 10 dB more. [dB]

    Source: GB 3096-2008, Ldn.
    >>> round(float(ldn(60.0, 55.0)), 2)
    62.36
    """
    total = day_hours * energy(_array(day_db)) + night_hours * energy(_array(night_db) + 10.0)
    return level(total / (day_hours + night_hours))


def lden(day_db: npt.ArrayLike, evening_db: npt.ArrayLike, night_db: npt.ArrayLike) -> Float64:
    """Day-evening-night level of 12, 4 and 8 hours: evening counts 5 dB more, night 10 dB. [dB]

    Source: Directive 2002/49/EC, Annex I, 1.
    >>> round(float(lden(65.0, 62.0, 55.0)), 2)
    65.4
    """
    evening, night = _array(evening_db) + 5.0, _array(night_db) + 10.0
    return level((12.0 * energy(_array(day_db)) + 4.0 * energy(evening) + 8.0 * energy(night)) / 24.0)


@dataclass(frozen=True, slots=True)
class DayNight:
    """Levels of one calendar day. [dB]"""

    ld_db: float
    ln_db: float
    ldn_db: float


def day_night_of_hours(hourly_db: npt.ArrayLike, night: Sequence[str] = NIGHT) -> DayNight:
    """Day, night and day-night level of the 24 hours of one calendar day. [dB]

    hourly_db: level of each hour from 0 o'clock, shape (24,), NaN = invalid. [dB]
    night: begin and end of night on full hours, local clock.
    Source: GB 3096-2008; HJ 212-2017 NightData (hours 0-6 and 22-24 of one date).
    """
    levels = _array(hourly_db)
    if levels.shape != (24,):
        raise ValueError(f"a day has 24 hourly levels, not {levels.size}")
    at_night = np.array([noise_period(f"{hour:02d}:00", night) == "night" for hour in range(24)])
    day_db, night_db = energy_average(levels[~at_night]), energy_average(levels[at_night])
    hours = int(at_night.sum())
    return DayNight(day_db, night_db, float(ldn(day_db, night_db, 24 - hours, hours)))


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


@dataclass(frozen=True, slots=True)
class BackgroundCorrected:
    """correctable: whether the difference allows a correction; the others are None where it does not. [dB]"""

    correctable: bool
    correction_db: int | None
    evaluated_db: float | None


def background_corrected(
    measured_db: float, background_db: float, rule: Background, *, round_first: bool = False
) -> BackgroundCorrected:
    """A measured level without its background, rounded to a whole decibel.

    measured_db, background_db: levels over equal times. [dB] rule: the table of the pack.
    round_first: make the difference whole before it is tested (practice under HJ 706) and not only
    between the two ends of the table (GB 12348 5.7).
    Source: GB 12348-2008 5.7 and table 4; HJ 706-2014 5.4 (rounding).
    """
    # Levels come with few decimals; 58.1 - 55.1 is 3 to an inspector, if not to a double.
    difference = round(measured_db - background_db, 6)
    whole = int(round_half_even(difference))
    tested = whole if round_first else difference
    if tested < rule.least:
        return BackgroundCorrected(correctable=False, correction_db=None, evaluated_db=None)
    correction = 0 if tested > rule.most else next(step for upto, step in rule.steps if whole <= upto)
    evaluated = round_half_even(round(measured_db + correction, 6))
    return BackgroundCorrected(correctable=True, correction_db=correction, evaluated_db=float(evaluated))


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

"""Levels in decibels: averages by energy, percentiles, day-night indicators, background correction.

Sound levels are logarithms, so their mean is the level of the mean energy, not the mean of the
levels. NaN is a value that is not there: it takes no part, and where nothing is left the result is
NaN. Arrays in, arrays out; `*_by` functions work on many windows at once. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Background
from gateway.measurement import Float64, Int64

NIGHT = ("22:00", "06:00")
PERCENTILES = (5, 10, 50, 90, 95)


def energy_average(levels_db: npt.ArrayLike, seconds: npt.ArrayLike | None = None) -> float:
    """Equivalent continuous level of consecutive intervals, Leq; NaN where no interval has a level. [dB]

    levels_db: level of each interval, shape (n,), NaN = invalid. [dB]
    seconds: length of each, shape (n,), > 0; None = all equal. [s]
    Source: GB 3096-2008 3.4; GB 12348-2008 3.4.
    >>> round(energy_average([60.0, 50.0]), 2)
    57.4
    """
    raise NotImplementedError


def energy_average_by(levels_db: Float64, group: npt.NDArray[np.integer], groups: int) -> Float64:
    """Energy average of each group of equal intervals, shape (groups,), NaN for a group without a level. [dB]

    group: number of the group of each level, 0 to groups - 1, shape (n,).
    """
    raise NotImplementedError


def energy_sum(levels_db: npt.ArrayLike) -> float:
    """Level of several sources together; NaN where there is none. [dB]"""
    raise NotImplementedError


def sound_exposure_level(leq_db: npt.ArrayLike, seconds: npt.ArrayLike) -> Float64:
    """Level of one second that holds the energy of the whole event, LAE. [dB]"""
    raise NotImplementedError


def percentile_level(levels_db: npt.ArrayLike, exceeded_percent: float) -> float:
    """Level exceeded N per cent of the time, LN, by linear interpolation. [dB]"""
    raise NotImplementedError


def percentile_levels(levels_db: Float64, exceeded_percent: Sequence[int] = PERCENTILES) -> dict[str, float]:
    """Several LN of one window by name, as {"L5": .., "L10": ..}; empty where no level is valid. [dB]"""
    raise NotImplementedError


def noise_period(time: str, night: Sequence[str] = NIGHT) -> str:
    """"day" or "night" at a local clock time `HH:MM[:SS]`."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class BackgroundCorrected:
    """correctable: whether the difference allows a correction; the others are None where not. [dB]"""

    correctable: bool
    correction_db: int | None
    evaluated_db: float | None


def background_corrected(
    measured_db: float, background_db: float, rule: Background, *, round_first: bool = False
) -> BackgroundCorrected:
    """A measured level without its background, rounded to a whole decibel."""
    raise NotImplementedError

"""Background: the level of a source without the sound that is there without it, by a standard's table.

Rules of this file:

- the table is data of a rule pack (`[background]`), and the background level is a setting of the point, by day and at
  night: it is measured with the source at rest, for as long as the source;
- a difference below the table's first step cannot be corrected: there is no value then, and nothing is judged by one. The
  level as measured stays beside it (`Average.value`);
- where a point gives no background, or a window is neither of the day nor of the night, the level stays as measured;
- peaks are not corrected (GB 12348-2008 6.2 judges them directly): a clause says which it wants, `corrected = "background"`.

Arrays in, arrays out; NaN = no value. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Background
from collector.verdicts.rounding import round_half_even
from collector.verdicts.screening import Booleans
from gateway.measurement import Float64


@dataclass(frozen=True, slots=True)
class BackgroundCorrected:
    """A level less its background. correctable: whether the difference allows it; the others are None where not. [dB]"""

    correctable: bool
    correction_db: int | None
    evaluated_db: float | None


def background_corrected(
    measured_db: float, background_db: float, rule: Background, *, round_first: bool = False
) -> BackgroundCorrected:
    """One measured level without its background, rounded to a whole decibel; arguments and source as `correction`."""
    found = float(correction(measured_db, background_db, rule, round_first=round_first))
    if np.isnan(found):
        return BackgroundCorrected(correctable=False, correction_db=None, evaluated_db=None)
    return BackgroundCorrected(True, int(found), float(corrected(measured_db, found)))


def correction(
    measured_db: npt.ArrayLike, background_db: npt.ArrayLike, rule: Background, *, round_first: bool = False
) -> Float64:
    """What the table adds to a measured level for its background, 0 or less; NaN where it cannot be corrected. [dB]

    measured_db, background_db: levels over equal times, shapes as numpy broadcasts them. rule: the table of the pack.
    round_first: make the difference whole before it is tested (practice under HJ 706) and not only
    between the two ends of the table (GB 12348 5.7).
    Source: GB 12348-2008 5.7 and table 4.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity; levels that no meter shows
        # Levels come with few decimals; 58.1 - 55.1 is 3 to an inspector, if not to a double.
        difference = np.round(np.asarray(measured_db, np.float64) - np.asarray(background_db, np.float64), 6)
    whole = round_half_even(difference)
    tested = whole if round_first else difference
    step = np.searchsorted([upto for upto, _ in rule.steps], whole)
    by_table = np.array([*(float(change) for _, change in rule.steps), np.nan])[step]
    return np.where(tested > rule.most, 0.0, np.where(tested >= rule.least, by_table, np.nan))


def corrected(measured_db: npt.ArrayLike, correction_db: npt.ArrayLike) -> Float64:
    """A measured level with its correction, rounded to a whole decibel; NaN where there is none. [dB]

    Source: GB 12348-2008 5.7; HJ 706-2014 5.4 (rounding, by GB/T 8170).
    """
    with np.errstate(over="ignore"):  # levels that no meter shows
        return round_half_even(np.round(np.asarray(measured_db, np.float64) + np.asarray(correction_db, np.float64), 6))


def level_there(
    rule: Background, settings: Mapping[str, Any], by_day: npt.ArrayLike, at_night: npt.ArrayLike
) -> Float64:
    """The background level of windows at a point, NaN where it gives none. [dB]

    settings: of the point. by_day, at_night: which windows lie in the day and in the night.
    """

    def given(name: str) -> float:
        value = settings.get(name) if name else None
        return np.nan if value is None else float(value)

    night: Booleans = np.asarray(at_night)
    return np.where(night, given(rule.night), np.where(np.asarray(by_day), given(rule.day), np.nan))


def without_background(
    measured_db: npt.ArrayLike, background_db: npt.ArrayLike, rule: Background, settings: Mapping[str, Any]
) -> Float64:
    """Levels as they are held against a limit: less the background where there is one, else as measured. [dB]

    NaN where the background is too near. settings: of the point, with the one that rounds first.
    """
    measured, background = np.asarray(measured_db, np.float64), np.asarray(background_db, np.float64)
    first = bool(rule.round_setting and settings.get(rule.round_setting))
    found = corrected(measured, correction(measured, background, rule, round_first=first))
    return np.where(np.isnan(background), measured, found)

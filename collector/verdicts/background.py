"""Background: the level of a source without the sound that is there without it, by a standard's table.

Rules of this file:

- the table is data of a rule pack (`[background]`), and the background level is a setting of the point, by day and at
  night: it is measured with the source at rest, for as long as the source;
- a difference below the table's first step cannot be corrected: there is no value then, and nothing is judged by one.
  The level as measured stays beside it (`Average.value`);
- where a point gives no background, or a window is neither of the day nor of the night, the level stays as measured;
- peaks are not corrected (GB 12348-2008 6.2 judges them directly): a clause that is about corrected levels says so,
  `corrected = "background"`.

Arrays in, arrays out; NaN = no value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Background
from collector.verdicts.points import PointRules
from collector.verdicts.rounding import round_half_even
from collector.verdicts.screening import Booleans
from collector.verdicts.windows import FIXED_NS, Windows
from gateway.measurement import Float64

CORRECTED = "background"  # of a clause
PERIOD = {"day": "day", "night": "night", "calendar_night": "night"}  # that a kind of window lies in


@dataclass(frozen=True, slots=True)
class BackgroundCorrected:
    """A level less its background. [dB]

    correctable: whether the difference allows it; the others are None where it does not.
    """

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


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the background of a point does to the levels of windows; shapes (n,). [dB]

    background_db: NaN = the point gives none. correction_db: NaN = none, or the background is too near.
    compared_db: less the background, as measured where the point gives none, NaN where it is too near.
    """

    background_db: Float64
    correction_db: Float64
    compared_db: Float64


def of_point(rules: PointRules, rule: Background, windows: Windows, measured_db: Float64) -> Corrections:
    """The levels of windows at a point without its background. [dB]

    rule: of a pack of the point. measured_db: shape (n,), NaN = no value.
    """
    there = by_period(rules, windows, rule.day, rule.night)
    first = bool(rule.round_setting and rules.settings.get(rule.round_setting))
    changed = correction(measured_db, there, rule, round_first=first)
    return Corrections(there, changed, np.where(np.isnan(there), measured_db, corrected(measured_db, changed)))


def by_period(rules: PointRules, windows: Windows, day: str, night: str) -> Float64:
    """What a point sets by day and at night, by window, shape (n,); NaN where it sets nothing, or in neither of them.

    day, night: names of its settings, "" = there is none.
    """
    there = np.full(len(windows), np.nan)
    for period, name in (("day", day), ("night", night)):
        level = rules.settings.get(name) if name else None
        there[_within(rules, windows, period)] = np.nan if level is None else float(level)
    return there


def compared(rules: PointRules, pack: str, windows: Windows, measured_db: Float64) -> Float64:
    """Levels as the clauses of a pack of the point are held against them, NaN = none, shape (n,). [dB]"""
    rule = next((one.background for one in rules.packs if one.id == pack), None)
    return measured_db if rule is None else of_point(rules, rule, windows, measured_db).compared_db


def told(
    rules: PointRules, parameter: str, windows: Windows, measured_db: Float64, rows: Booleans
) -> Iterator[dict[str, Any]]:
    """What averages say of the background in some rows, as plain JSON; nothing where it does not matter.

    Of the first pack of the point whose clauses take it from this parameter.
    """
    packs = (p for p in rules.packs if any((c.parameter, c.corrected) == (parameter, CORRECTED) for c in p.clauses))
    rule = next((pack.background for pack in packs if pack.background), None)
    if rule is None or not any(rules.settings.get(name) is not None for name in (rule.day, rule.night)):
        yield from ({} for _ in range(int(rows.sum())))
        return
    found = of_point(rules, rule, windows, measured_db)
    columns = (column[rows].tolist() for column in (found.background_db, found.correction_db, found.compared_db))
    for background, change, compared in zip(*columns, strict=True):
        known = {"background_db": background, "cite": rule.cite}
        if background != background:
            yield {}
        elif change == change:
            yield {"background": {**known, "correction_db": change, "corrected_db": compared}}
        else:
            yield {"background": {**known, "lacking": f"a level at least {rule.least:g} dB above it"}}


def _within(rules: PointRules, windows: Windows, period: str) -> Booleans:
    """Which windows lie in the days, or in the nights."""
    if windows.kind in PERIOD:
        return np.full(len(windows), PERIOD[windows.kind] == period)
    if windows.kind not in FIXED_NS or not len(windows):
        return np.zeros(len(windows), np.bool_)
    return rules.windows(period, int(windows.from_ns[0]), int(windows.to_ns[-1])).around(windows)

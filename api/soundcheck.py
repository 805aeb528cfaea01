"""A sound check as it is thought: when a level stands, what the meter shows then, and whether it passes.

The calibrator goes on, the level rises and stands; what the meter shows is the mean of the values that stand. As found
is what it showed before anybody touched it: it says what the measurements before were worth. As left is what it shows
after it was adjusted; the next check is held against that. Pure. Limits: collector/sound_checks.toml.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from collector.marks import SoundCheck
from collector.sound_checks import Steady

PLACES = 2  # of a difference: a meter shows tenths, and 94.5 - 94.0 is to be 0.5


@dataclass(frozen=True, slots=True)
class Level:
    """What the meter showed at an instant. [ns since 1970 UTC, dB]"""

    time_ns: int
    db: float


def standing(levels: Sequence[Level], awaited: float, steady: Steady) -> list[Level]:
    """The newest values, where they stand near the awaited level [dB]; else nothing. levels: by time, all finite.

    They are as few as the rule asks for: so many, over so long.
    """
    tail: list[Level] = []
    for level in reversed(levels):
        tail.append(level)
        if len(tail) >= steady.values and tail[0].time_ns - level.time_ns >= steady.seconds * 1e9:
            break
    else:
        return []
    db = [level.db for level in tail]
    stands = round(max(db) - min(db), PLACES) <= steady.spread_db
    near = all(abs(one - awaited) <= steady.near_db for one in db)
    return tail[::-1] if stands and near else []


def shown(levels: Iterable[Level]) -> float:
    """What the meter shows while a level stands: the mean. [dB]

    >>> shown([Level(0, 93.9), Level(1, 94.0)])
    93.95
    """
    db = [level.db for level in levels]
    return round(math.fsum(db) / len(db), PLACES)


def over(found: float, awaited: float) -> float:
    """By how much the meter shows more. [dB]

    >>> over(94.5, 94.0)
    0.5
    """
    return round(found - awaited, PLACES)


def problems(check: SoundCheck) -> list[str]:
    """Why a check fails, in sentences; none where it passes. `passed` is not looked at."""
    told = []
    for what, db in (("as found", check.as_found), ("as left", check.as_left)):
        if abs(over(db, check.level)) > check.tolerance:
            told.append(
                f"{what} it is {over(db, check.level):+.2f} dB off, allowed {check.tolerance:g} ({said(check)})"
            )
    if check.before is not None and check.drift_max is not None:
        drift = over(check.as_found, check.before)
        if abs(drift) > check.drift_max:
            told.append(
                f"it has drifted by {drift:+.2f} dB since the check before, allowed {check.drift_max:g} "
                f"({check.drift_cite}): what was measured in between is in doubt"
            )
    return told


def said(check: SoundCheck) -> str:
    """Who says how far a meter may be off."""
    return check.tolerance_cite or "given by who checked"


def before(marks: Sequence[dict[str, Any]], level: float) -> float | None:
    """What the check before left, None where there is none to compare with. [dB]

    marks: of the sensor, as the interface lists them. A check at another level says nothing of this one, nor does one
    of the instrument that was there before.
    """
    standing = [mark for mark in marks if mark["revoked_by"] is None and mark["kind"] in ("sound_check", "swap")]
    last = max(standing, key=lambda mark: (mark["to"], mark["id"]), default=None)
    if last is None or last["kind"] == "swap" or last["sound_check"]["level"] != level:
        return None
    return float(last["sound_check"]["as_left"])

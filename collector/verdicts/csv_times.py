"""Times in files, as other people's programs write them.

Rules of this file:

- a date begins with its year (`2026-11-21`, `2026/3/1`) or ends with it (`19-08-2014`, `8/19/2014`, `19.8.2014`).
  Of the latter, which number is the day is never guessed: somebody says so, or one row of the file proves it
  for all of them, since one program wrote them and there is no month 19;
- a naive time is local. In the hour that comes twice, the first row is taken for the first of the two,
  and when the clock goes back from one row to the next, for the second. A local time that the clock
  leaps over is read by the clock of before the leap;
- the usual distance between two values is their interval. Below a second meters cut off what they
  write (62.5 ms as .06, .12, .18, .25), and the mean of such distances is nearer to it than any of them.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from collector.verdicts.screening import spacing_ns
from gateway.measurement import SECOND_NS, Int64

ORDERS = ("dmy", "mdy")  # of dates that end with their year
_FARTHEST_NS = 2**62  # from 1970, some 146 years: twice that is all that 64 bits hold
_CUT_NS = SECOND_NS // 100  # meters write hundredths of a second
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)")
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_CLOCK = re.compile(r"(\d{1,2})(:\d\d.*?)\s*(?:([AP])\.?M\.?)?")


class Clock:
    """Reads times of one file in their order.

    order: of day and month where the year comes last, "" = no such date is known to be read.
    leapt: local times read that the clock of the zone leaps over, leapt_first: the first of them, as written.
    """

    def __init__(self, timezone: str, order: str = "") -> None:
        self._zone, self._order = ZoneInfo(timezone), order
        self._last: datetime | None = None
        self._fold = 0
        self.leapt = 0
        self.leapt_first = ""

    def instant(self, text: str) -> int:
        """The instant of a time; ValueError where it is none. [ns since 1970 UTC]"""
        found = datetime.fromisoformat(plain(text, self._order))
        if found.tzinfo is None:
            # Only the hour that comes twice tells its two readings apart; the step back tells which it is.
            if self._last is not None and found < self._last and self._last - found <= timedelta(hours=2):
                self._fold = 1
            elif self._last is not None and found - self._last > timedelta(hours=3):
                self._fold = 0
            self._last = found
            found = found.replace(tzinfo=self._zone, fold=self._fold)
            if self._leaps(found):
                self.leapt += 1
                self.leapt_first = self.leapt_first or text
        whole = found.replace(microsecond=0)
        time_ns = round(whole.timestamp()) * SECOND_NS + found.microsecond * 1000
        if abs(time_ns) > _FARTHEST_NS:
            raise ValueError(f"{text!r} is beyond what can be counted")
        return time_ns

    def _leaps(self, local: datetime) -> bool:
        """Whether the clock is put forward over a local time: only there it runs ahead by its later reading."""
        before, after = (self._zone.utcoffset(local.replace(fold=fold)) for fold in (0, 1))
        return before is not None and after is not None and before < after


def instant(text: str, timezone: str) -> int:
    """The instant of an RFC 3339 or naive local time; ValueError where it is none. [ns since 1970 UTC]"""
    return Clock(timezone).instant(text)


def dated(text: str) -> bool:
    """Whether a text holds a date, and not just a time of day.

    >>> dated("2026-11-21T08:00:00Z"), dated("8/19/2014 1:31 AM"), dated("01:32:51.25")
    (True, True, False)
    """
    return _CLOCK.fullmatch(text.strip().upper()) is None


def orders(texts: Iterable[str]) -> tuple[str, ...]:
    """The orders in which all dates of a file are days of the calendar; one where it makes no difference.

    >>> orders(["8/9/2014", "8/19/2014"]), orders(["8/9/2014"]), orders(["2014-08-09"]), orders(["13/13/2014"])
    (('mdy',), ('dmy', 'mdy'), ('dmy',), ())
    """
    pairs = [(int(found[1]), int(found[3])) for text in texts if (found := _YEAR_LAST.match(text.strip()))]
    if all(first == second <= 12 for first, second in pairs):
        return ORDERS[:1]
    months = (max(second for _, second in pairs), max(first for first, _ in pairs))
    return tuple(order for order, highest in zip(ORDERS, months, strict=True) if highest <= 12)


def falls(first: str, last: str, order: str = "") -> bool:
    """Whether a file whose first and last time are these begins with its end; not where they cannot be compared."""
    try:
        return datetime.fromisoformat(plain(first, order)) > datetime.fromisoformat(plain(last, order))
    except (ValueError, TypeError):
        return False


def plain(text: str, order: str = "") -> str:
    """A time as ISO 8601 has it; t and z are T and Z (RFC 3339 5.6). ValueError where the order of a date is not known.

    >>> plain("2026/3/1 8:00"), plain("8/19/2014 1:31:53 PM", "mdy")
    ('2026-03-01T08:00', '2014-08-19T13:31:53')
    """
    text = text.strip().upper()
    if found := _YEAR_FIRST.match(text):
        year, month, day = found[1], found[3], found[4]
    elif found := _YEAR_LAST.match(text):
        if order not in ORDERS:
            raise ValueError(f"{text!r} does not say which number is the day")
        day, month = (found[1], found[3]) if order == "dmy" else (found[3], found[1])
        year = found[4]
    else:
        return text
    date, rest = f"{year}-{int(month):02}-{int(day):02}", text[found.end() :]
    clock = rest.removeprefix("T").strip()
    return f"{date}T{_of_day(clock)}" if clock else date


def _of_day(clock: str) -> str:
    """A time of day with two digits of hours, counted to 24."""
    found = _CLOCK.fullmatch(clock)
    if found is None:
        raise ValueError(f"{clock!r} is not a time of day")
    hour, rest, half = int(found[1]), found[2], found[3]
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"{clock!r}: there is no hour {hour} {half}M")
        hour = hour % 12 + (12 if half == "P" else 0)
    return f"{hour:02}{rest}"


def interval_ns(time_ns: Int64) -> int:
    """What a value stands for, by the distances between values; one minute where there are not two. [ns]

    time_ns: rising, shape (n,).
    """
    usual = spacing_ns(time_ns)
    steps = np.diff(time_ns)
    if usual < SECOND_NS and len(steps) and int(np.ptp(steps)) <= _CUT_NS:
        return round((int(time_ns[-1]) - int(time_ns[0])) / len(steps))
    whole = round(usual / SECOND_NS) * SECOND_NS
    # Times that wander: few steps are just as long as the usual one.
    if usual >= SECOND_NS and abs(usual - whole) <= usual // 100 and 2 * int((steps == usual).sum()) < len(steps):
        return whole
    return usual

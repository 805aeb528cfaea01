"""Windows: the spans of time that averages are made over.

Rules of this file:

- everything hangs on local days. The law counts hours and nights by the clock on the wall, so a
  day has 23 or 25 hours when the clock changes, and hours of a half-hour zone start at :30 UTC;
- windows shorter than a day are counted from local midnight; where a day does not divide evenly,
  its last window is short;
- a window is [from, to); `calendar_night` is the night as one date has it (00-06 and 22-24), so it
  has two pieces, and only they count;
- `night` is named by the date it starts on. Which hours are night, the site may say; where there
  is no night (stack, water), `day` is the whole date, like `24h`;
- `30d` rolls: one window ends at every local midnight.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from collector.verdicts.segments import Segments
from gateway.measurement import SECOND_NS, Int64

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
FIXED_NS = {
    "1m": MINUTE_NS, "5m": 5 * MINUTE_NS, "10m": 10 * MINUTE_NS, "15m": 15 * MINUTE_NS, "30m": 30 * MINUTE_NS,
    "1h": HOUR_NS,
}  # fmt: skip
DAILY = ("24h", "day", "night", "calendar_night")
KINDS = (*FIXED_NS, *DAILY, "month", "30d", "year")
ROLLING_DAYS = 30
NIGHT = ("22:00", "06:00")
Night = Sequence[str]  # begin and end, local clock


def minutes_of(from_ns: Int64, to_ns: Int64) -> tuple[npt.NDArray[np.intp], Int64]:
    """Each minute that some spans have a part in: the number of the span, and that of the minute since 1970 UTC.

    >>> row, minute = minutes_of(np.array([0, 90]) * SECOND_NS, np.array([60, 121]) * SECOND_NS)
    >>> row.tolist(), minute.tolist()
    ([0, 1, 1], [0, 1, 2])
    """
    first = from_ns // MINUTE_NS
    count = (to_ns - 1) // MINUTE_NS - first + 1
    row = np.repeat(np.arange(len(count)), count)
    return row, np.asarray(first[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count))


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one kind, ordered by start.

    from_ns, to_ns: shape (n,). piece_from, piece_to: the spans that count, shape (m,), m >= n, both rising.
    piece_window: which window each belongs to, shape (m,). [ns since 1970 UTC]
    step_ns: length of every window where one follows the other without a gap, 0 = they are not so regular.
    """

    kind: str
    from_ns: Int64
    to_ns: Int64
    piece_from: Int64
    piece_to: Int64
    piece_window: npt.NDArray[np.intp]
    step_ns: int = 0

    def __len__(self) -> int:
        return len(self.from_ns)

    @property
    def length_ns(self) -> Int64:
        """How much time of each window counts, shape (n,). [ns]"""
        length = self.piece_to - self.piece_from
        if len(length) == len(self):
            return length
        return np.bincount(self.piece_window, length, len(self)).astype(np.int64)

    def place(self, time_ns: Int64) -> npt.NDArray[np.intp]:
        """The window each instant is in, -1 = none, shape as given. Not for windows that overlap (30d)."""
        if not len(self):
            return np.full(len(time_ns), -1, np.intp)
        piece = np.searchsorted(self.piece_from, time_ns, "right") - 1
        inside = (piece >= 0) & (time_ns < self.piece_to[piece])
        return np.where(inside, self.piece_window[piece], -1)

    def around(self, parts: Windows) -> npt.NDArray[np.bool_]:
        """Which of some other windows lie in one of these as a whole, shape (parts,). Not for windows that overlap."""
        first = self.place(parts.from_ns)
        return np.asarray((first >= 0) & (first == self.place(parts.to_ns - 1)))

    def instants(self, time_ns: Int64) -> Segments:
        """Which of some rising instants lie in each window. [ns since 1970 UTC]"""
        if self.step_ns and len(self) > len(time_ns) // 100:  # counting beats searching where windows are many
            first, last = np.searchsorted(time_ns, (self.from_ns[0], self.to_ns[-1]))
            place = (time_ns[first:last] - self.from_ns[0]) // self.step_ns
            edges = first + np.append(0, np.cumsum(np.bincount(place, minlength=len(self))))
        elif len(self) and (self.piece_from[1:] == self.piece_to[:-1]).all():
            edges = np.searchsorted(time_ns, np.append(self.piece_from, self.piece_to[-1]))
        else:
            start, stop = np.searchsorted(time_ns, self.piece_from), np.searchsorted(time_ns, self.piece_to)
            return Segments(start, stop, self.piece_window, len(self))
        return Segments(edges[:-1], edges[1:], self.piece_window, len(self))

    def whole(self, parts: Windows) -> Segments:
        """Which of some other windows lie in each as a whole, in one of its pieces."""
        start = np.searchsorted(parts.from_ns, self.piece_from)
        stop = np.searchsorted(parts.to_ns, self.piece_to, "right")
        return Segments(start, np.maximum(start, stop), self.piece_window, len(self))

    def take(self, rows: npt.NDArray[np.bool_]) -> Windows:
        """Some of the windows, in the same order."""
        number = np.cumsum(rows) - 1
        pieces = rows[self.piece_window]
        return Windows(
            self.kind, self.from_ns[rows], self.to_ns[rows], self.piece_from[pieces], self.piece_to[pieces],
            number[self.piece_window[pieces]],
        )  # fmt: skip

    def rows(self, from_ns: Int64) -> npt.NDArray[np.bool_]:
        """Which of the windows start at one of some instants, shape (n,). [ns since 1970 UTC]"""
        found = np.zeros(len(self) + 1, np.bool_)
        place = np.searchsorted(self.from_ns, from_ns)
        found[place[np.append(self.from_ns, -1)[place] == from_ns]] = True
        return found[:-1]


def windows(kind: str, timezone: str, from_ns: int, to_ns: int, night: Night | None = NIGHT) -> Windows:
    """All windows of a kind that overlap [from_ns, to_ns), whole, ordered by start.

    timezone: IANA name. night: begin and end of night, local clock; None = there is none, `day` is the whole date.
    """
    assert kind in KINDS, f"{kind!r} is no kind of window"
    if from_ns >= to_ns:
        return _assemble(kind, [])
    first, last = _local_date(timezone, from_ns), _local_date(timezone, to_ns - 1)
    if kind in FIXED_NS:
        return _fixed(kind, timezone, first, last, from_ns, to_ns)
    spans = [
        pieces
        for pieces in _spans(kind, timezone, first, last, night)
        if pieces[0][0] < to_ns and pieces[-1][1] > from_ns
    ]
    return _assemble(kind, spans)


def local_date(timezone: str, time_ns: int) -> date:
    """The date on the wall at an instant."""
    return _local_date(timezone, time_ns)


def _fixed(kind: str, timezone: str, first: date, last: date, from_ns: int, to_ns: int) -> Windows:
    """Windows of equal length counted from each midnight."""
    step = FIXED_NS[kind]
    starts, ends = [], []
    for day in range(first.toordinal(), last.toordinal() + 1):
        midnight, next_midnight = _instant(timezone, day, 0), _instant(timezone, day + 1, 0)
        start = np.arange(midnight, next_midnight, step, dtype=np.int64)
        starts.append(start)
        ends.append(np.minimum(start + step, next_midnight))
    start, end = np.concatenate(starts), np.concatenate(ends)
    wanted = slice(int(np.searchsorted(end, from_ns, "right")), int(np.searchsorted(start, to_ns)))
    start, end = start[wanted], end[wanted]
    regular = (end - start == step).all()  # then none is short, and one follows the other
    return Windows(kind, start, end, start, end, np.arange(len(start)), step if regular and len(start) else 0)


Pieces = list[tuple[int, int]]


def _spans(kind: str, timezone: str, first: date, last: date, night: Night | None) -> Iterator[Pieces]:
    """The pieces of every window of a kind that could touch the dates from first to last."""
    if kind == "month" or kind == "year":
        yield from ([span] for span in _calendar_spans(kind, timezone, first, last))
    elif kind == "30d":
        for day in range(first.toordinal() + 1, last.toordinal() + ROLLING_DAYS + 1):
            yield [(_instant(timezone, day - ROLLING_DAYS, 0), _instant(timezone, day, 0))]
    else:
        for day in range(first.toordinal() - 1, last.toordinal() + 1):
            pieces = [(a, b) for a, b in _daily(kind, timezone, day, night) if a < b]
            if pieces:
                yield pieces


def _daily(kind: str, timezone: str, day: int, night: Night | None) -> Pieces:
    """The pieces of a window that hangs on one date (ordinal `day`)."""
    midnight, next_midnight = _instant(timezone, day, 0), _instant(timezone, day + 1, 0)
    if kind == "24h" or (kind == "day" and night is None):
        return [(midnight, next_midnight)]
    if night is None:
        return []
    begin, end = (clock_seconds(text) for text in night)
    over = begin > end  # the night goes over midnight
    if kind == "day":
        return [(_instant(timezone, day, end), _instant(timezone, day if over else day + 1, begin))]
    if kind == "night":
        return [(_instant(timezone, day, begin), _instant(timezone, day + 1 if over else day, end))]
    if over:
        return [(midnight, _instant(timezone, day, end)), (_instant(timezone, day, begin), next_midnight)]
    return [(_instant(timezone, day, begin), _instant(timezone, day, end))]


def _calendar_spans(kind: str, timezone: str, first: date, last: date) -> Pieces:
    """Months or years from the one `first` is in to the one `last` is in."""
    start = first.replace(day=1) if kind == "month" else first.replace(month=1, day=1)
    spans = []
    while start <= last:
        after = (start + timedelta(days=32)).replace(day=1) if kind == "month" else start.replace(year=start.year + 1)
        spans.append((_instant(timezone, start.toordinal(), 0), _instant(timezone, after.toordinal(), 0)))
        start = after
    return spans


def _assemble(kind: str, spans: Sequence[Pieces]) -> Windows:
    """Windows of a kind from their pieces. `calendar_night` is named by its whole date."""
    number = np.repeat(np.arange(len(spans)), [len(pieces) for pieces in spans])
    flat = np.array([span for pieces in spans for span in pieces], np.int64).reshape(-1, 2)
    return Windows(
        kind,
        np.array([pieces[0][0] for pieces in spans], np.int64),
        np.array([pieces[-1][1] for pieces in spans], np.int64),
        flat[:, 0].copy(),
        flat[:, 1].copy(),
        number,
    )


@lru_cache(maxsize=64)
def clock_seconds(text: str) -> int:
    """Seconds since midnight of a clock time `HH:MM` or `HH:MM:SS`; 24:00 is allowed. ValueError when it is none.

    >>> clock_seconds("06:00")
    21600
    """
    parts = [int(part) for part in text.split(":")]
    hours, minutes, seconds = [*parts, 0][:3] if len(parts) in (2, 3) else (-1, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not (0 <= hours <= 24 and 0 <= minutes < 60 and 0 <= seconds < 60 and total <= 86400):
        raise ValueError(f"{text!r} is not a clock time")
    return total


@lru_cache(maxsize=8192)
def _instant(timezone: str, day: int, seconds: int) -> int:
    """The instant when the clock on the wall first shows `seconds` after midnight of a date. [ns since 1970 UTC]

    A clock time that does not exist (the hour that is skipped) is the instant of the change.
    """
    wall = datetime.combine(date.fromordinal(day), datetime.min.time()) + timedelta(seconds=seconds)
    instant = wall.replace(tzinfo=_zone(timezone)).astimezone(UTC)
    if instant.astimezone(_zone(timezone)).replace(tzinfo=None) != wall:
        # Skipped: both readings of it lie beside the change; find the first instant that shows a later time.
        instant = _change(timezone, wall)
    return round(instant.timestamp()) * SECOND_NS


def _change(timezone: str, wall: datetime) -> datetime:
    """The instant at which the clock jumps over a wall time."""
    zone = _zone(timezone)
    low = wall.replace(tzinfo=UTC) - timedelta(days=2)
    high = wall.replace(tzinfo=UTC) + timedelta(days=2)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=64)
def _zone(timezone: str) -> ZoneInfo:
    return ZoneInfo(timezone)


def _local_date(timezone: str, time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // SECOND_NS, _zone(timezone)).date()

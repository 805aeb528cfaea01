"""The agenda: which windows have to be derived, and when.

The evaluator is a function of the journal alone, and this is its state. Batches make windows dirty;
only a tick, which the recorder writes into the journal, makes anything happen. What says the plant's state or the
weather makes all windows dirty of the time that it speaks of (`reach`). At a tick a dirty window is due when

- it ended at least GRACE_NS ago by the journal's time, and
- each stream that made it dirty has passed its end: every series that the stream brings to that
  point has delivered up to there, or has been silent for SILENCE_NS.

Months, rolling 30 days and years are made of the averages of their days (`long`), and come after these: whatever makes
a day dirty makes them dirty too, for the same streams. Of marks that speak of many days they wait for the last.

So a live window is derived once, a few seconds after its end, and one that a backlog reaches is
derived once the backlog has gone past it, not at every batch. Data that come still later make the
window dirty again. A batch says how far its series are, whatever came before: what is sent again
from an earlier time counts as behind until it catches up.

The result depends on the entries and their order alone: not on how they were cut into reads, nor on
where the process was stopped and started again from `dump`. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from collector.shifts import Shifts
from collector.store import Shift
from collector.verdicts.day_sums import DAY, LONG
from collector.verdicts.points import PointRules
from collector.verdicts.reach import Reaches, spoken_minutes
from collector.verdicts.screening import Booleans
from collector.verdicts.windows import HOUR_NS, MINUTE_NS, Windows
from gateway.measurement import SECOND_NS, Columns, Int64, Series

GRACE_NS = 15 * SECOND_NS  # a gateway seals within 1 s; the rest is for a broker that stumbles
SILENCE_NS = 60 * SECOND_NS  # a stream that says nothing for so long is not waited for
FUTURE_NS = 24 * HOUR_NS  # a clock that is further ahead is wrong; its values wait in the journal
WINDOWS_MAX = 20_000  # due at one tick; the rest waits for the next, so that memory has a bound
# Kinds that are made of measurements; LONG ones are made of days, at every point.
ONLINE = ("1m", "5m", "10m", "15m", "30m", "1h", "24h", "day", "night", "calendar_night")
MARKED_NS = 24 * HOUR_NS  # of what marks speak of, taken up at a tick; the rest at the next ones: memory has a bound
_MARKED = "mark:"  # stands for a stream of its own, which nobody waits for
_END_NS = 1 << 62  # no batch has a later time
_APART_NS = 48 * HOUR_NS  # instants further apart are laid out separately: a wild clock must not cost years of windows

PointKey = tuple[str, str]  # plant, point


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Windows of one point that are due, close together in time: they are derived in one go.

    from_ns, to_ns: from the first window's start to the last one's end. windows: by kind.
    past: (kind, start) of the windows that nothing but gateways of history brought up. long: they are made of days.
    """

    plant: str
    point: str
    from_ns: int
    to_ns: int
    windows: Mapping[str, Windows]
    past: frozenset[tuple[str, int]]
    long: bool = False


@dataclass(slots=True)
class _Progress:
    """How far a series of a stream is: delivered up to passed_ns, last heard of at received_ns."""

    passed_ns: int
    received_ns: int


@dataclass(slots=True)
class _Dirty:
    """Dirty windows of one kind at one point, by stream: starts and ends, shape (n,) each, rising."""

    spans: dict[str, tuple[Int64, Int64]] = field(default_factory=dict)
    first_end_ns: int = 0  # the earliest end of all

    def add(self, stream: str, from_ns: Int64, to_ns: Int64) -> None:
        old = self.spans.get(stream)
        if old is not None:
            from_ns, to_ns = np.concatenate((old[0], from_ns)), np.concatenate((old[1], to_ns))
        starts, rows = np.unique(from_ns, return_index=True)
        self.spans[stream] = (starts, to_ns[rows])
        self._look()

    def remove(self, from_ns: Int64) -> None:
        for stream, (starts, ends) in list(self.spans.items()):
            stay = ~np.isin(starts, from_ns)
            self.spans[stream] = (starts[stay], ends[stay])
            if not stay.any():
                del self.spans[stream]
        self._look()

    def _look(self) -> None:
        self.first_end_ns = min((int(ends.min()) for _, ends in self.spans.values()), default=0)

    def ready(self, upto_ns: Mapping[str, int]) -> tuple[Int64, Int64]:
        """Starts and ends of windows that end by the limit of every stream that dirtied them, rising."""
        starts = np.concatenate([starts for starts, _ in self.spans.values()])
        ends = np.concatenate([ends for _, ends in self.spans.values()])
        good = np.concatenate([ends <= upto_ns[stream] for stream, (_, ends) in self.spans.items()])
        free = good & ~np.isin(starts, starts[~good])
        from_ns, rows = np.unique(starts[free], return_index=True)
        return from_ns, ends[free][rows]

    def past(self, history: Collection[str], from_ns: Int64) -> Int64:
        """Those of some windows that no stream of another gateway than these dirtied."""
        present = [starts for stream, (starts, _) in self.spans.items() if stream.partition(":")[0] not in history]
        return from_ns[~np.isin(from_ns, np.concatenate(present))] if present else from_ns


class Agenda:
    """The evaluator's state: dirty windows of all points, and how far each stream is.

    rules: by plant and point; what concerns other points is passed over.
    intervals_ns: by plant, sensor and parameter, how much time a value stands for; 0 where it is not known.
    history: gateways that send the past. A stream is named "gateway:epoch". shifts: times that have to be moved.
    """

    def __init__(
        self, rules: Mapping[PointKey, PointRules], intervals_ns: Mapping[tuple[str, str, str], int],
        dumped: bytes = b"", *, history: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._rules = rules
        self._intervals = intervals_ns
        self._history = frozenset(history)
        self._kinds = {key: (*(k for k in r.built if k in ONLINE), *LONG) for key, r in rules.items()}
        self._points = list(rules)
        self._numbers = {key: number for number, key in enumerate(self._points)}
        self.reaches = Reaches(rules, intervals_ns)
        self._tables: dict[int, tuple[tuple[Series, ...], Int64, Int64 | None]] = {}
        self._progress: dict[str, dict[Series, _Progress]] = {}
        self._dirty: dict[tuple[PointKey, str], _Dirty] = {}
        self._touched: dict[str, list[Int64]] = {}  # since the last tick: point number and minute, by stream
        # Minutes marked at the last tick and dirty ever since: marking them again would change nothing.
        self._marked: dict[PointKey, dict[str, Int64]] = {}
        # The day whose long windows a stream has made dirty, and that are dirty ever since.
        self._days: dict[PointKey, dict[str, tuple[int, int]]] = {}
        self._spans: list[tuple[PointKey, int, int]] = []  # of marks, not dirtied yet
        self.shifts = Shifts()
        if dumped:
            self._load(dumped)

    # --- what happens ------------------------------------------------------------------------------

    def arrive(self, stream: str, received_ns: int, columns: Columns) -> None:
        """A batch of a stream: its windows are dirty, its series are as far as it says."""
        rows = self.touch(stream, columns, upto_ns=received_ns + FUTURE_NS)
        if not rows.any():
            return
        last = np.full(len(columns.series), -1, np.int64)
        np.maximum.at(last, columns.series_index[rows], columns.time_ns[rows])
        progress = self._progress.setdefault(stream, {})
        for number in np.flatnonzero(last >= 0):
            series = columns.series[number]
            stands_ns = self._intervals.get((series.plant, series.sensor, series.parameter), 0)
            passed = int(last[number]) + stands_ns
            progress[series] = _Progress(passed, received_ns)

    def mark(self, point: PointKey, from_ns: int, to_ns: int) -> None:
        """Somebody said something of a point in [from_ns, to_ns): its windows are dirty, a day's worth a tick."""
        if point in self._numbers and from_ns < to_ns:
            self._spans.append((point, from_ns, to_ns))

    def touch(self, stream: str, columns: Columns, *, upto_ns: int = _END_NS) -> Booleans:
        """Measurements came or went: their windows are dirty. Which of them do matter, by time and point."""
        numbers, reaches = self._points_of(columns.series)
        points = numbers[columns.series_index]
        rows: Booleans = (points >= 0) & (columns.time_ns <= upto_ns) & (columns.time_ns >= 0)
        if rows.any():
            points, minutes = points[rows], columns.time_ns[rows] // MINUTE_NS
            if reaches is not None:
                reach = reaches[:, columns.series_index[rows]]
                place, minutes = spoken_minutes(columns.time_ns[rows], columns.status[rows], reach)
                points = points[place]
            self._touched.setdefault(stream, []).append(np.unique((points << _MINUTE_BITS) | minutes))
        return rows

    def tick(self, now_ns: int) -> list[Task]:
        """What is due by the journal's time; it is off the agenda then. In the order of points, then of time."""
        self._touch_marked()
        self._mark()
        limits = self._limits(now_ns)
        tasks: list[Task] = []
        left = WINDOWS_MAX
        for key in self._points:
            found: dict[str, tuple[Int64, Int64]] = {}
            past: set[tuple[str, int]] = set()
            for kind in self._kinds[key]:
                dirty = self._dirty.get((key, kind))
                if dirty is None or dirty.first_end_ns > now_ns - GRACE_NS or not left:
                    continue
                upto = {s: limits.get((s, key), now_ns - GRACE_NS) for s in dirty.spans}
                if kind in LONG and _MARKED in upto:
                    upto[_MARKED] = min([upto[_MARKED], *(span[1] for span in self._spans if span[0] == key)])
                starts, ends = dirty.ready(upto)
                if len(starts):
                    found[kind] = (starts[:left], ends[:left])
                    left -= len(found[kind][0])
                    past.update((kind, start) for start in dirty.past(self._history, found[kind][0]).tolist())
                    dirty.remove(found[kind][0])
                    if not dirty.spans:
                        del self._dirty[key, kind]
            if found:
                self._marked.pop(key, None)
                if not found.keys().isdisjoint(LONG):
                    self._days.pop(key, None)
                for long in (False, True):
                    some = {kind: spans for kind, spans in found.items() if (kind in LONG) is long}
                    tasks += self._tasks(key, some, frozenset(past), long=long)
        self._forget(now_ns)
        return tasks

    def overdue(self, now_ns: int) -> int:
        """How many dirty windows have ended by an instant."""
        spans = [span for dirty in self._dirty.values() for span in dirty.spans.values()]
        return sum(int((ends <= now_ns).sum()) for _, ends in spans)

    # --- what is behind it -------------------------------------------------------------------------

    def _points_of(self, series: tuple[Series, ...]) -> tuple[Int64, Int64 | None]:
        """The number of the point of each series, -1 where nobody judges it, and `Reaches.columns`; tables recur."""
        known = self._tables.get(id(series))
        if known is None or known[0] is not series:
            numbers = np.array([self._numbers.get((s.plant, s.point), -1) for s in series], np.int64)
            if len(self._tables) >= _TABLES_MAX:
                self._tables.clear()
            known = self._tables[id(series)] = (series, numbers, self.reaches.columns(series))
        return known[1], known[2]

    def _touch_marked(self) -> None:
        """Take up the next day of what marks speak of."""
        left = MARKED_NS
        while self._spans and left:
            point, from_ns, to_ns = self._spans.pop(0)
            end_ns = min(to_ns, from_ns + left)
            if end_ns < to_ns:
                self._spans.insert(0, (point, end_ns, to_ns))
            left -= end_ns - from_ns
            minutes = np.arange(from_ns // MINUTE_NS, (end_ns - 1) // MINUTE_NS + 1)
            self._touched.setdefault(_MARKED, []).append((self._numbers[point] << _MINUTE_BITS) | minutes)

    def _mark(self) -> None:
        """Make the windows dirty that batches have touched since the last tick."""
        for stream, keys in sorted(self._touched.items()):
            touched = np.unique(np.concatenate(keys))
            points = touched >> _MINUTE_BITS
            for number in np.unique(points):
                minutes = (touched[points == number] & _MINUTE_MASK) * MINUTE_NS
                self._mark_point(self._points[number], stream, minutes)
        self._touched.clear()

    def _mark_point(self, key: PointKey, stream: str, minutes: Int64) -> None:
        marked = self._marked.setdefault(key, {})
        if stream in marked and np.isin(minutes, marked[stream]).all():
            return
        marked[stream] = minutes
        days = self._days.setdefault(key, {})
        from_ns, to_ns = days.get(stream, (0, 0))
        same_day = from_ns <= minutes[0] and minutes[-1] + MINUTE_NS <= to_ns
        for kind in self._kinds[key]:
            if same_day and kind in LONG:
                continue
            for some in _near(minutes):
                windows = self._rules[key].windows(kind, int(some[0]), int(some[-1]) + MINUTE_NS)
                rows = _rows(windows, some)
                if len(rows):
                    dirty = self._dirty.setdefault((key, kind), _Dirty())
                    dirty.add(stream, windows.from_ns[rows], windows.to_ns[rows])
        if not same_day:  # all of a day lies in the same long windows
            last = self._rules[key].windows(DAY, int(minutes[-1]), int(minutes[-1]) + 1)
            days[stream] = int(last.from_ns[0]), int(last.to_ns[0])

    def _limits(self, now_ns: int) -> dict[tuple[str, PointKey], int]:
        """Up to where each stream has delivered to each point; silent series are not waited for."""
        limits: dict[tuple[str, PointKey], int] = {}
        for stream, progress in self._progress.items():
            for series, how in progress.items():
                if now_ns - how.received_ns < SILENCE_NS:
                    place = (stream, (series.plant, series.point))
                    limits[place] = min(limits.get(place, now_ns - GRACE_NS), how.passed_ns)
        return limits

    def _forget(self, now_ns: int) -> None:
        """Drop the progress of silent series: it means nothing any more, and epochs would pile up."""
        for stream, progress in list(self._progress.items()):
            for series in [s for s, how in progress.items() if now_ns - how.received_ns >= SILENCE_NS]:
                del progress[series]
            if not progress:
                del self._progress[stream]
                self._merge(stream)
                for marked in self._marked.values():
                    marked.pop(stream, None)
                for days in self._days.values():
                    days.pop(stream, None)

    def _merge(self, stream: str) -> None:
        """Put what a stream left, that is gone, of long windows to that of its gateway: a year has many epochs."""
        for (_, kind), dirty in self._dirty.items():
            if kind in LONG and (spans := dirty.spans.pop(stream, None)) is not None:
                dirty.add(f"{stream.partition(':')[0]}:", *spans)

    def _tasks(
        self, key: PointKey, found: Mapping[str, tuple[Int64, Int64]], past: frozenset[tuple[str, int]], *, long: bool
    ) -> Iterator[Task]:
        """The due windows of a point, in groups that lie together in time."""
        for from_ns, to_ns in _joined(found.values()):
            windows = {}
            for kind, (starts, _) in found.items():
                near = starts[(starts >= from_ns) & (starts < to_ns)]
                if len(near):
                    laid = self._rules[key].windows(kind, int(near[0]), int(near[-1]) + 1)
                    windows[kind] = laid.take(np.isin(laid.from_ns, near))
            yield Task(plant=key[0], point=key[1], from_ns=from_ns, to_ns=to_ns, windows=windows, past=past, long=long)

    # --- from process to process -------------------------------------------------------------------

    def dump(self) -> bytes:
        """The state right after a tick, for the next process."""
        assert not self._touched, "the state is dumped at ticks only"
        tree = {
            "version": 1,
            "shifts": [astuple(shift) for shift in self.shifts.all()],
            "progress": [
                [stream, [s.plant, s.point, s.sensor, s.parameter, s.unit], how.passed_ns, how.received_ns]
                for stream, progress in sorted(self._progress.items())
                for s, how in sorted(progress.items())
            ],
            "dirty": [
                [plant, point, kind, stream, starts.tobytes(), ends.tobytes()]
                for ((plant, point), kind), dirty in sorted(self._dirty.items(), key=lambda item: item[0])
                for stream, (starts, ends) in sorted(dirty.spans.items())
            ],
            "marked": [[*point, from_ns, to_ns] for point, from_ns, to_ns in self._spans],
        }
        return zlib.compress(msgspec.msgpack.encode(tree), 1)

    def _load(self, dumped: bytes) -> None:
        """Take up a dumped state; windows of points and kinds that are gone are passed over."""
        tree: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(dumped))
        self.shifts = Shifts(Shift(*told) for told in tree.get("shifts", ()))
        for stream, series, passed_ns, received_ns in tree["progress"]:
            self._progress.setdefault(stream, {})[Series(*series)] = _Progress(passed_ns, received_ns)
        for plant, point, from_ns, to_ns in tree.get("marked", ()):
            self.mark((plant, point), from_ns, to_ns)
        for plant, point, kind, stream, starts, ends in tree["dirty"]:
            key = (plant, point)
            if kind in self._kinds.get(key, ()):
                dirty = self._dirty.setdefault((key, kind), _Dirty())
                dirty.add(stream, np.frombuffer(starts, np.int64), np.frombuffer(ends, np.int64))


_MINUTE_BITS = 40  # minutes since 1970 take 28 bits today
_MINUTE_MASK = (1 << _MINUTE_BITS) - 1
_TABLES_MAX = 1000


def _rows(windows: Windows, minutes: Int64) -> npt.NDArray[np.intp]:
    """Which of some windows have one of some minutes in them; minutes rise."""
    if windows.kind in LONG:  # in one piece, but those of 30 days overlap
        first = np.searchsorted(minutes, windows.from_ns - MINUTE_NS, "right")
        return np.flatnonzero(np.searchsorted(minutes, windows.to_ns) > first)
    # Night may begin within a minute, so both ends of it count.
    rows = np.unique(np.concatenate((windows.place(minutes), windows.place(minutes + MINUTE_NS - 1))))
    return rows[rows >= 0]


def _near(minutes: Int64) -> Sequence[Int64]:
    """Rising instants in runs that lie close together."""
    if minutes[-1] - minutes[0] <= _APART_NS:
        return [minutes]
    return np.split(minutes, np.flatnonzero(np.diff(minutes) > _APART_NS) + 1)


def _joined(spans: Iterable[tuple[Int64, Int64]]) -> list[tuple[int, int]]:
    """The union of spans that overlap or touch, in the order of time."""
    pairs = [pair for pair in spans if len(pair[0])]
    if not pairs:
        return []
    starts, ends = np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    cuts = np.flatnonzero(starts[1:] > reach[:-1]) + 1
    firsts = np.concatenate(([0], cuts))
    lasts = np.concatenate((cuts - 1, [len(starts) - 1]))
    return list(zip(starts[firsts].tolist(), reach[lasts].tolist(), strict=True))

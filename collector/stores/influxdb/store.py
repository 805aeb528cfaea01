"""The store on InfluxDB. Implements `collector.store.Store` on a server that knows no transactions.

Rules of this file:

- every measurement carries its key (stream, batch, place in the batch) in fields, so that what is there can be
  read back; what is written again overwrites itself (`places`), so nothing is ever there twice;
- measurements first; when the server has acknowledged them, the state (`state`) with the cursor, in one request.
  A crash between the two leaves measurements that the state does not name: readers leave them out, and the
  projector, which goes on from the cursor, writes them once more, to where they are;
- after any error the state is read anew before anything else is written, and before each append the cursor is
  looked at: a database that was emptied or put back is noticed, and filled again from where it stands;
- a server that cannot be reached keeps nobody from opening the store, since the journal goes on meanwhile.

What InfluxDB cannot do in place is done by copy: a measurement that is moved is written where it belongs, and
then deleted where it was.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collector.charts.feed import NAMES, Feed
from collector.store import AHEAD_NS, Rows, Shift, Slice, StoreError
from collector.stores.influxdb import state as states
from collector.stores.influxdb.dead_letters import DeadLetter, DeadLetters
from collector.stores.influxdb.lines import MEASUREMENT
from collector.stores.influxdb.mirror import CURSOR, Mirror
from collector.stores.influxdb.moving import relocate
from collector.stores.influxdb.placing import Placed, placed
from collector.stores.influxdb.reading import PAGE, Found, Reader
from collector.stores.influxdb.refusals import Refused
from collector.stores.influxdb.state import STATE, State, Stream, stream_number
from collector.stores.influxdb.transport import Server, Transport
from collector.stores.influxdb.writing import write, write_whole
from gateway.measurement import Columns, Series, empty_columns

Newest = tuple[int, float, int, bool]  # time, value, status, whether it is ahead of its receipt
_END_NS = 2**63 - 1
BACK_OFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of the server; replaced as a whole. highest: the newest time of each series that is there."""

    state: State
    latest: dict[Series, Newest] = field(default_factory=dict)
    highest: dict[Series, int] = field(default_factory=dict)


class InfluxStore:
    """Measurements in a database of InfluxDB; implements `collector.store.Store`. Safe to call from any thread.

    expired: how many measurements the server did not keep, as they are older than its retention policy.
    """

    def __init__(self, server: Server, dead_letters: Path) -> None:
        """Open the store; raises StoreError for the file of refused lines alone."""
        self.expired = 0
        self._server = server
        self._letters = DeadLetters(dead_letters)
        self._transport = Transport(server)
        self._reader = Reader(self._transport)
        self._writing = threading.Lock()
        self._writer = secrets.token_hex(8)
        self._held: _Held | None = None
        self._sure = False  # whether _held is what the server has
        self._failures, self._not_before, self._reason = 0, 0.0, ""
        self._try_to_load()

    @property
    def problem(self) -> str:
        """What is wrong though measurements are taken, as a sentence; "" = nothing."""
        return self._letters.problem or ("" if self._held else self._reason)

    # --- writing ------------------------------------------------------------------------------------

    def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
        """Add measurements and move the cursor to `position`; known keys are not added again."""
        with self._writing:
            if time.monotonic() < self._not_before:
                raise StoreError(self._reason)
            try:
                held = self._certain()
                if position > held.state.position:
                    self._held = self._append(held, rows, position, shifts)
            except BaseException as error:
                self._sure = False
                if isinstance(error, StoreError):
                    self._back_off(error)
                raise
            self._failures = 0

    def _back_off(self, error: StoreError) -> None:
        """Leave the server alone for as long as it wants, and longer the longer it refuses."""
        self._failures += 1
        wished = error.wait_s if isinstance(error, Refused) else 0.0
        # As telegraf does: at once at first, a minute after some fifty times.
        wait_s = max(wished, min(self._failures**2 / 40, BACK_OFF_MAX_S))
        self._not_before, self._reason = time.monotonic() + wait_s, str(error)

    def _certain(self) -> _Held:
        """What the server has, asked for where that is not sure."""
        known = self._held
        if self._sure and known is not None:
            told = states.read(self._reader.texts(STATE, ("part", "id"), "\"part\" = 'cursor'"))
            if (told.position, told.writer) == (known.state.position, known.state.writer):
                return known
        held = self._load()
        if known is not None and held.state.writer not in ("", known.state.writer, self._writer):
            raise StoreError(
                f"{self._server.name}: another collector writes into this database; each needs its own. Stop the "
                "other one, then start this one again"
            )
        self._held, self._sure = held, True
        before = known.state.position if known else 0
        if held.state.position != before:
            raise StoreError(
                f"{self._server.name}: it holds what the journal has up to position {held.state.position}, not "
                f"{before}; it is filled from there"
            )
        return held

    def _append(self, held: _Held, rows: Rows, position: int, shifts: Sequence[Shift]) -> _Held:
        some = placed(self._reader, held.state, held.highest, rows)
        refused = self._write(some)
        moves = held.state.moves()
        touched: set[Series] = set()
        for shift in shifts:
            for change in moves.add(shift):
                touched |= relocate(self._transport, self._reader, change)
        received_ns = held.state.received_ns
        if some.received_ns is not None and len(some):
            received_ns = max(received_ns, int(some.received_ns.max()))
        state = replace(
            held.state, position=position, received_ns=received_ns, writer=self._writer, shifts=tuple(moves.all()),
            slot_ns=states.slot(held.state, time.time_ns()), streams=_streams(held.state, some, shifts),
            series=tuple(sorted({*held.state.series, *some.present(~refused)})),
        )  # fmt: skip
        write_whole(self._transport, states.lines(state, held.state))
        latest = some.newest(held.latest, ~refused)
        highest = some.highest(held.highest)
        for series in touched:
            # What was dated years ahead is gone from there, so that new times are free again without looking.
            highest[series] = max(int(one.time_ns[0]) for one in self._reader.newest(series, _END_NS, 1))
            self._find_newest(state, series, latest)
        return _Held(state, latest, highest)

    def _write(self, some: Placed) -> npt.NDArray[np.bool_]:
        """Bring measurements to the server; which of them it refuses for what they are."""
        refused = np.zeros(len(some), np.bool_)
        if not len(some):
            return refused
        written = write(self._transport, some.lines, len(some))
        self.expired += written.expired
        self._letters.add(
            DeadLetter(int(some.stream[n]), int(some.seq[n]), int(some.index[n]), line, reason)
            for n, line, reason in written.bad
        )
        refused[[n for n, *_ in written.bad]] = True
        return refused

    def mirror(self, feeds: Sequence[Feed]) -> Mirror:
        """What copies points for charts there."""
        return Mirror(feeds, self._transport, self._letters)

    def clear(self) -> None:
        """Remove everything, so that the journal can be projected anew; raises StoreError."""
        with self._writing:
            self._sure = False
            # Without the state nothing of the rest counts any more, so this can end anywhere.
            for name in (STATE, MEASUREMENT, CURSOR, *NAMES):
                self._reader.drop(name)
            self._letters.clear()
            self._held, self._sure = self._load(), True
            self._failures, self._not_before = 0, 0.0

    # --- what is there ------------------------------------------------------------------------------

    def _load(self) -> _Held:
        state = states.read(self._reader.texts(STATE, ("part", "id")))
        bound = state.received_ns + AHEAD_NS
        ends: dict[Series, tuple[int, int, Found]] = {}
        for end in self._reader.ends():
            this = (int(end.time_ns[0]), int(end.again[0]), end)
            ends[end.series] = max(ends.get(end.series, this), this, key=lambda one: one[:2])
        latest: dict[Series, Newest] = {}
        for series in state.series:
            found = ends.get(series)
            if found and found[0] <= bound and _committed(state, found[2]).all():
                latest[series] = (found[0], float(found[2].value[0]), int(found[2].status[0]), False)
            else:  # a crash has left it, or a wrong clock has dated it
                self._find_newest(state, series, latest)
        return _Held(state, latest, {series: time_ns for series, (time_ns, *_) in ends.items()})

    def _try_to_load(self) -> None:
        """Find out what the server has, where that is not known; once it answers."""
        if self._held or time.monotonic() < self._not_before or not self._writing.acquire(blocking=False):
            return
        try:
            self._held, self._sure = self._load(), True
        except StoreError as error:
            self._back_off(error)
        finally:
            self._writing.release()

    def _find_newest(self, state: State, series: Series, latest: dict[Series, Newest]) -> None:
        """Look up the newest value of a series, and enter it."""
        bound = state.received_ns + AHEAD_NS
        found = self._newest(state, series, bound + 1) or self._newest(state, series, _END_NS)
        if found:
            latest[series] = (*found, found[0] > bound)

    def _newest(self, state: State, series: Series, before_ns: int) -> tuple[int, float, int] | None:
        """Time, value and status of the newest measurement before a time; of several the one that came last."""
        for number in (1, 1000, PAGE):
            groups = self._reader.newest(series, before_ns, number)
            known = [group.take(_committed(state, group)) for group in groups]
            # Of a place where nothing newer counts, older points may.
            if all(len(one) or len(group) < number for one, group in zip(known, groups, strict=True)):
                break
        ends = [(int(one.time_ns[n]), int(one.again[n]), one, n) for one in known for n in range(len(one))]
        if not ends:
            return None
        time_ns, _, one, n = max(ends, key=lambda end: end[:2])
        return time_ns, float(one.value[n]), int(one.status[n])

    def _known(self) -> _Held:
        held = self._held
        if held is None:
            with self._writing:
                if self._held is None:
                    self._held, self._sure = self._load(), True
                held = self._held
        return held

    def cursor(self) -> int:
        """The journal position up to which measurements are in the store; 0 too while that is not known."""
        self._try_to_load()
        return self._held.state.position if self._held else 0

    def series(self) -> list[Series]:
        """Every series that has measurements."""
        return sorted(self._known().state.series)

    def measurements(self, series: Series, from_ns: int, to_ns: int, limit: int) -> Slice:
        """The first `limit` measurements with from_ns <= time < to_ns."""
        state = self._known().state
        parts: list[Found] = []
        if series in state.series and limit > 0:
            for page in self._reader.pages(series, from_ns, to_ns, page=min(limit, PAGE)):
                parts.append(page.take(_committed(state, page)))
                if sum(map(len, parts)) >= limit:
                    break
        if not parts:
            return Slice(series, np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))
        time_ns, value, status = (
            np.concatenate([getattr(part, name) for part in parts])[:limit] for name in ("time_ns", "value", "status")
        )
        return Slice(series, time_ns, value, status)

    def latest(self) -> list[tuple[Series, int, float, int]]:
        """The newest measurement of every series."""
        return sorted((series, *found[:3]) for series, found in self._known().latest.items())

    def keys(self) -> Rows:
        """Every stored row, read back by query."""
        state = self._known().state
        pages = [
            page.take(_committed(state, page))
            for series in state.series
            for page in self._reader.pages(series, -(2**63), _END_NS, page=PAGE)
        ]
        return _rows(state, [page for page in pages if len(page)])

    def close(self) -> None:
        """Release the connection; what is under way ends with the request it waits for."""
        self._transport.close()
        self._letters.close()


def _streams(state: State, some: Placed, shifts: Sequence[Shift]) -> dict[int, Stream]:
    """All streams, with the batches that have come."""
    streams = dict(state.streams)
    named = [*some.streams, *((shift.gateway, shift.epoch) for shift in shifts)]
    for gateway, epoch in named:
        number = stream_number(gateway, epoch)
        one = streams.setdefault(number, Stream(gateway, epoch))
        if (one.gateway, one.epoch) != (gateway, epoch):
            raise StoreError(f"streams {one.gateway} {one.epoch.hex()} and {gateway} {epoch.hex()} have one number")
    for number in np.unique(some.stream).tolist():
        came = streams[number]
        streams[number] = replace(came, batches=came.batches.with_numbers(some.seq[some.stream == number]))
    return streams


def _committed(state: State, found: Found) -> npt.NDArray[np.bool_]:
    """Which points the state names."""
    known = np.zeros(len(found), np.bool_)
    for number in np.unique(found.stream).tolist():
        if number in state.streams:
            mine = found.stream == number
            known[mine] = state.streams[number].batches.contains(found.seq[mine])
    return known


def _rows(state: State, pages: Sequence[Found]) -> Rows:
    """Points as rows, each key once."""
    if not pages:
        return Rows(empty_columns(), (), np.empty(0, np.uint16), np.empty(0, np.uint64), np.empty(0, np.uint16))
    series = tuple(dict.fromkeys(page.series for page in pages))
    place = {one: n for n, one in enumerate(series)}
    which = np.concatenate([np.full(len(page), place[page.series], np.uint16) for page in pages])
    stream, seq, index, time_ns, value, status = (
        np.concatenate([getattr(page, name) for page in pages])
        for name in ("stream", "seq", "index", "time_ns", "value", "status")
    )
    # While something is being moved it is there twice.
    order = np.lexsort((time_ns, index, seq, stream))
    same = np.zeros(len(order), np.bool_)
    same[1:] = np.logical_and.reduce([c[order][1:] == c[order][:-1] for c in (stream, seq, index)])
    rows = order[~same]
    numbers, stream_index = np.unique(stream[rows], return_inverse=True)
    streams = tuple((state.streams[n].gateway, state.streams[n].epoch) for n in numbers.tolist())
    columns = Columns(series, which[rows], time_ns[rows], value[rows], status[rows])
    return Rows(columns, streams, stream_index.astype(np.uint16), seq[rows], index[rows])

"""Two rules of the way out: how values become batches, and how batches go out until they are acknowledged.

`Outbox` collects polls and cuts them: a batch holds values put within 1 s of real time, at most
`wire.MAX_VALUES` of them and `wire.MAX_BODY` bytes, whatever span of measured time they cover. A
backlog that is put at once therefore travels in full batches. Where the configuration changes it cuts, and the new
one stands between what was measured before and after.

`Sender` decides what goes out when: what is overdue, then the live lane, then the backlog
(`gateway.lanes`). Up to a window of batches may be on the way; while there is backlog, half of it is
the backlog's. Only the collector's signed acknowledgement ends a batch's journey: the broker's
PUBACK says that the broker has it, and brokers throw away what they have. What is not acknowledged
in time goes out again, each time after twice the wait. A new connection starts again with all that
is without acknowledgement.

Pure: `now` is monotonic time, everything else is data.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway import wire
from gateway.batches import cut, spans
from gateway.configuration import Configuration
from gateway.lanes import START, TAIL, Key, Lanes, Row, Spool
from gateway.measurement import SECOND_NS, Columns, concatenate

HOLD_NS = SECOND_NS // 2  # how long a value waits for company before it is sealed
MAX_WAITING = 1_000_000  # values kept in memory while the disk refuses them: 14 h of the reference site, 20 MB

WINDOW = 32  # batches on the way while the collector has not said more: of a fleet that comes back, all have so many
WINDOW_BYTES = 1 << 19  # and their bytes; grows with the window
MAX_WINDOW = 1024  # what the collector may raise it to: 16 MB
PAGE_ROWS = 64  # rows asked of the spool at once: a window of full batches must not lie in memory twice
STALE_NS = 3 * SECOND_NS  # a live lane without credit for so long is no longer live: it jumps to the newest
RTO_MIN_NS = 2 * SECOND_NS
RTO_MAX_NS = 60 * SECOND_NS
SILENCE_NS = 60 * SECOND_NS  # without acknowledgement, after which the connection itself is doubted

Part: TypeAlias = Columns | Configuration  # a batch to be sealed; what all that follows was measured by


@dataclass(frozen=True, slots=True)
class Dropped:
    """Measurements that memory had no room for. n: how many; the time they span. [ns]"""

    n: int
    first_ns: int
    last_ns: int

    def and_(self, other: Dropped | None) -> Dropped:
        """Both."""
        if other is None:
            return self
        first, last = min(self.first_ns, other.first_ns), max(self.last_ns, other.last_ns)
        return Dropped(self.n + other.n, first, last)


class Outbox:
    """Values that wait to be sealed. dropped: how many could not. untold: of them, what no record has declared yet."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Columns]] = []
        self._cut: list[Part] = []
        self.values = 0
        self.dropped = 0
        self.untold: Dropped | None = None

    def put(self, columns: Columns, now_ns: int) -> None:
        """Take measurements in. Over MAX_WAITING the oldest are dropped, and remembered until it can be declared."""
        if not len(columns):
            return
        self._waiting.append((now_ns, columns))
        self.values += len(columns)
        while self.values > MAX_WAITING and (batch := next(iter(_values(self._cut)), None)) is not None:
            self._cut = [part for part in self._cut if part is not batch]
            self._drop(batch)
        while self.values > MAX_WAITING and len(self._waiting) > 1:
            self._drop(self._waiting.pop(0)[1])

    def _drop(self, columns: Columns) -> None:
        self.values -= len(columns)
        self.dropped += len(columns)
        self.untold = Dropped(len(columns), int(columns.time_ns.min()), int(columns.time_ns.max())).and_(self.untold)

    def change(self, configuration: Configuration) -> None:
        """What was put was measured by another configuration than what comes now."""
        self._cut, self._waiting = [*self._cut, *self._batches(), configuration], []

    def _batches(self) -> list[Columns]:
        """What waits and is not cut yet, as batches."""
        return [batch for group in spans(self._waiting) for batch in cut(concatenate(group))]

    def held(self) -> Dropped | None:
        """All that is not stored, what waits and what was dropped and not told of yet; None = nothing."""
        held = self.untold
        for columns in (*_values(self._cut), *(columns for _, columns in self._waiting)):
            held = Dropped(len(columns), *columns.span()).and_(held)
        return held

    def due_ns(self) -> int | None:
        """When the next batch has to be sealed; None while nothing waits. [ns, monotonic]"""
        if self._cut:
            return 0
        if not self._waiting:
            return None
        return 0 if self.values >= wire.MAX_VALUES else self._waiting[0][0] + HOLD_NS

    def take(self) -> list[Part]:
        """Everything that waits, cut into batches in the order it was put; `restore` what could not be kept."""
        parts = self._cut
        parts.extend(self._batches())
        self._waiting, self._cut, self.values = [], [], 0
        return parts

    def restore(self, parts: Sequence[Part]) -> None:
        """Put batches back that were taken and could not be stored, before everything that came since."""
        self._cut = [*parts, *self._cut]
        self.values += sum(map(len, _values(parts)))


def _values(parts: Iterable[Part]) -> Iterable[Columns]:
    return (part for part in parts if isinstance(part, Columns))


def newer(ack: wire.Ack, last: tuple[int, bytes, int] | None) -> bool:
    """Whether an acknowledgement is above the last one accepted: (generation, its random bytes, n).

    An equal generation with other random bytes is another journal, which cannot be told from a
    replay, and is not accepted: a new journal has to start with a higher generation.
    """
    if last is None:
        return True
    generation, random, n = last
    return ack.gen[0] > generation or (ack.gen == (generation, random) and ack.n > n)


def grown(ack: wire.Ack, generation: int | None) -> bool:
    """Whether an accepted acknowledgement comes from a journal that may lack what an older one held."""
    return generation is not None and ack.gen[0] > generation


@dataclass(slots=True)
class _Flight:
    """A batch on the way.

    first_ns, sent_ns: when it was sent, first and last. due_ns: when it goes out again. live: by which lane.
    tries: how often it was sent.
    """

    size: int
    first_ns: int
    sent_ns: int
    due_ns: int
    live: bool
    tries: int = 1


class Sender:
    """What goes out when.

    acknowledged: False while the gateway does not know the collector's key, so that no
    acknowledgement can count; then the broker's PUBACK moves the window on (and frees no row).
    live: False for a back-fill, which has nothing live and goes out in the order of the stream.
    """

    def __init__(self, *, acknowledged: bool = True, live: bool = True) -> None:
        self._acknowledged, self._live = acknowledged, live
        self._flights: dict[Key, _Flight] = {}
        self._lanes, self._begun = Lanes(), False
        self._window = WINDOW
        self._bytes = 0
        self._stuck_ns: int | None = None
        self._srtt_ns: int | None = None
        self._heard_ns: int | None = None
        self._generation: int | None = None  # of the journal that was heard last
        self._old: Key = START  # up to here rows were there before the connection
        self.resent = 0

    @property
    def room(self) -> int:
        """How many further batches may be on the way."""
        room = self._window - len(self._flights)
        return room if room > 0 else 0

    @property
    def flying(self) -> int:
        """How many batches are on the way."""
        return len(self._flights)

    @property
    def rto_ns(self) -> int:
        """How long an acknowledgement may take before a batch goes out again. [ns]"""
        return min(max(4 * (self._srtt_ns or 0), RTO_MIN_NS), RTO_MAX_NS)

    def connected(self, now_ns: int) -> None:
        """A new connection: nothing is on the way, the lanes begin anew."""
        self._flights.clear()
        self._window, self._bytes = WINDOW, 0
        self._heard_ns, self._stuck_ns, self._begun = now_ns, None, False

    def turn(self, spool: Spool, credit: int, now_ns: int) -> list[Row]:
        """The batches that go out now, in this order, counted as sent. credit: how many the broker takes.

        The spool is asked for a few rows at a time, so call it again while it returns any.
        """
        self._place(spool, now_ns)
        again: list[Row] = []
        for key in self.overdue(now_ns)[: min(credit, PAGE_ROWS)]:
            if row := spool.row(key):
                self._sent(row, now_ns, live=False)
                again.append(row)
            else:
                self.forget(key)
        sent = again + self._send_live(spool, min(credit - len(again), PAGE_ROWS), now_ns)
        if self._lanes.behind:
            sent += self._send_backlog(spool, min(credit - len(sent), PAGE_ROWS), now_ns)
        return sent

    def _place(self, spool: Spool, now_ns: int) -> None:
        """Where the live lane goes on, on a new connection and after it had no credit for long."""
        if not self._begun:
            self._lanes.begin(spool.tail(TAIL) if self._live else START)
            self._begun, self._old = True, spool.tail(0)
        if not self._live_room():
            self._stuck_ns = now_ns if self._stuck_ns is None else self._stuck_ns
            return
        if self._live and self._stuck_ns is not None and now_ns - self._stuck_ns > STALE_NS:
            self._lanes.jump(spool.tail(TAIL))
        self._stuck_ns = None

    def _live_room(self) -> int:
        """How many batches the live lane may send: half of the window belongs to the backlog, while there is some."""
        if not self._lanes.behind:
            return self.room
        backlog = sum(not flight.live for flight in self._flights.values())
        return max(0, self.room - max(0, self._window - self._window // 2 - backlog))

    def _send_live(self, spool: Spool, credit: int, now_ns: int) -> list[Row]:
        room, sent = min(self._live_room(), credit), []
        if room > 0:
            for row in spool.pending(room, self._lanes.live):
                if not self._fits(row):
                    break
                self._lanes.went_live(row.key)
                self._sent(row, now_ns, live=True)
                sent.append(row)
        return sent

    def _send_backlog(self, spool: Spool, credit: int, now_ns: int) -> list[Row]:
        sent: list[Row] = []
        while self._lanes.behind and (room := min(self.room, credit - len(sent))) > 0:
            rows = spool.pending(room, self._lanes.backlog)
            for row in rows:
                if row.key > self._lanes.live:
                    rows = []
                    break
                flies = row.key in self._flights
                if not (flies or self._fits(row)):
                    return sent
                self._lanes.went_back(row.key)
                if not flies:
                    self._sent(row, now_ns, live=False)
                    sent.append(row)
            if not rows:
                self._lanes.caught_up()
        return sent

    def _fits(self, row: Row) -> bool:
        """Whether a batch's bytes may be on the way as well; one batch always may."""
        most = max(WINDOW_BYTES, self._window * (WINDOW_BYTES // WINDOW))
        return not self._flights or self._bytes + len(row.payload) <= most

    def _sent(self, row: Row, now_ns: int, *, live: bool) -> None:
        """A batch goes out, for the first time or again."""
        if flight := self._flights.get(row.key):
            flight.tries += 1
            flight.sent_ns = now_ns
            flight.due_ns = now_ns + self._wait_ns(row.key, flight.tries)
            self.resent += 1
            return
        self._bytes += len(row.payload)
        self._flights[row.key] = _Flight(len(row.payload), now_ns, now_ns, now_ns + self._wait_ns(row.key, 1), live)

    def _wait_ns(self, key: Key, tries: int) -> int:
        """RTO, doubled per retry, +-20 %: a thousand gateways must not send again in step."""
        wait = min(self.rto_ns << min(tries - 1, 5), RTO_MAX_NS)
        jitter = zlib.crc32(key[0] + key[1].to_bytes(8) + tries.to_bytes(2)) / 0xFFFFFFFF
        return int(wait * (0.8 + 0.4 * jitter))

    def overdue(self, now_ns: int) -> list[Key]:
        """The batches to send again now, live ones first; none while the collector gives no credit."""
        if not self._window:
            return []
        due = [(not flight.live, key) for key, flight in self._flights.items() if flight.due_ns <= now_ns]
        return [key for _, key in sorted(due)] if due else []

    def next_ns(self) -> int | None:
        """When the next batch becomes overdue; None while nothing is on the way. [ns, monotonic]"""
        if not (self._window and self._flights):
            return None
        return min([flight.due_ns for flight in self._flights.values()])

    def forget(self, key: Key) -> None:
        """A batch that needs no sending any more."""
        if flight := self._flights.pop(key, None):
            self._bytes -= flight.size

    def puback(self, key: Key) -> None:
        """The broker has a batch; that ends its journey only where no acknowledgement can."""
        if not self._acknowledged:
            self.forget(key)

    def acked(self, ack: wire.Ack, now_ns: int, *, lacking: bool = False) -> int | None:
        """The collector's journal holds what the acknowledgement names; it has been accepted as newer.

        lacking: what it lacks is without acknowledgement again in the spool: backlog. So is what another journal had
        acknowledged and the spool had no room to note.
        Returns how long ago the latest batch went out that is acknowledged now and was made on this connection, so
        that nobody can have acknowledged it before; None = there is none. [ns]
        """
        back = self._heard_ns is not None and now_ns - self._heard_ns > self.rto_ns
        self._heard_ns = now_ns
        self._window = min(ack.win, MAX_WINDOW)
        if lacking or grown(ack, self._generation):
            self._lanes.rewind()
        self._generation = ack.gen[0]
        shortest: int | None = None
        for key in held(ack, self._flights):
            flight = self._flights.pop(key)
            self._bytes -= flight.size
            if key > self._old:
                age = now_ns - flight.first_ns
                shortest = age if shortest is None else min(shortest, age)
            if flight.tries == 1:  # a batch sent twice does not tell which one was answered (Karn)
                rtt = now_ns - flight.sent_ns
                self._srtt_ns = rtt if self._srtt_ns is None else (7 * self._srtt_ns + rtt) // 8
        if back:  # the collector was away and has come back: what it missed need not wait any longer
            for flight in self._flights.values():
                flight.due_ns, flight.tries = now_ns, 1
        return shortest

    def silent(self, now_ns: int, *, waiting: bool) -> bool:
        """Whether nothing was acknowledged for so long that the connection itself is doubted.

        waiting: whether the outbox holds anything without acknowledgement.
        """
        if not (self._acknowledged and waiting) or self._heard_ns is None:
            return False
        silence = now_ns - self._heard_ns
        return silence > SILENCE_NS and silence > 3 * self.rto_ns


def held(ack: wire.Ack, keys: Iterable[Key]) -> list[Key]:
    """Those of the keys that an acknowledgement says the journal holds."""
    epochs = {epoch.ep: epoch for epoch in ack.epochs}
    return [
        (ep, seq)
        for ep, seq in keys
        if (epoch := epochs.get(ep)) and (seq <= epoch.upto or any(first <= seq <= last for first, last in epoch.have))
    ]

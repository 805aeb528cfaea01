"""Two rules of the way out: how values become batches, and how batches go out until they are acknowledged.

`Outbox` collects polls and cuts them: a batch holds values put within 1 s of real time, at most
`wire.MAX_VALUES` of them and `wire.MAX_BODY` bytes, whatever span of measured time they cover. A
backlog that is put at once therefore travels in full batches.

`Sender` decides what goes out when. Batches leave in the order of the stream; up to a window of
them may be on the way. Only the collector's signed acknowledgement ends a batch's journey: the
broker's PUBACK says that the broker has it, and brokers throw away what they have. What is not
acknowledged in time goes out again, each time after twice the wait. A new connection starts again
from the oldest batch without acknowledgement.

Pure: `now` is monotonic time, everything else is data.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway import wire
from gateway.measurement import SECOND_NS, Columns, concatenate

MAX_SPAN_NS = SECOND_NS  # real time between the first and the last value put into one batch
HOLD_NS = SECOND_NS // 2  # how long a value waits for company before it is sealed
MAX_WAITING = 1_000_000  # values kept in memory while the disk refuses them: 14 h of the reference site, 20 MB

WINDOW = 64  # batches on the way while the collector has not said more
MAX_WINDOW = 1024  # what the collector may raise it to: 2 to 64 MB
RTO_MIN_NS = 2 * SECOND_NS
RTO_MAX_NS = 60 * SECOND_NS
SILENCE_NS = 60 * SECOND_NS  # without acknowledgement, after which the connection itself is doubted

Key = tuple[bytes, int]  # epoch and seq
START: Key = (b"", 0)


class Outbox:
    """Values that wait to be sealed."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Columns]] = []
        self._cut: list[Columns] = []
        self.values = 0
        self.dropped = 0

    def put(self, columns: Columns, now_ns: int) -> None:
        """Take measurements in. Over MAX_WAITING the oldest are dropped, and counted in `dropped`."""
        if not len(columns):
            return
        self._waiting.append((now_ns, columns))
        self.values += len(columns)
        while self.values > MAX_WAITING and self._cut:
            self._drop(len(self._cut.pop(0)))
        while self.values > MAX_WAITING and len(self._waiting) > 1:
            self._drop(len(self._waiting.pop(0)[1]))

    def _drop(self, values: int) -> None:
        self.values -= values
        self.dropped += values

    def due_ns(self) -> int | None:
        """When the next batch has to be sealed; None while nothing waits. [ns, monotonic]"""
        if self._cut:
            return 0
        if not self._waiting:
            return None
        return 0 if self.values >= wire.MAX_VALUES else self._waiting[0][0] + HOLD_NS

    def take(self) -> list[Columns]:
        """Everything that waits, cut into batches in the order it was put; `restore` what could not be kept."""
        parts = self._cut
        for group in _spans(self._waiting):
            parts.extend(cut(concatenate(group)))
        self._waiting, self._cut, self.values = [], [], 0
        return parts

    def restore(self, parts: Sequence[Columns]) -> None:
        """Put batches back that were taken and could not be stored, before everything that came since."""
        self._cut = [*parts, *self._cut]
        self.values += sum(map(len, parts))


def _spans(waiting: Iterable[tuple[int, Columns]]) -> Iterable[list[Columns]]:
    """Runs of values that were put within MAX_SPAN_NS."""
    group: list[Columns] = []
    first = 0
    for put_ns, columns in waiting:
        if group and put_ns - first > MAX_SPAN_NS:
            yield group
            group = []
        if not group:
            first = put_ns
        group.append(columns)
    if group:
        yield group


def cut(columns: Columns) -> list[Columns]:
    """Measurements cut into batches that fit, each with the series it needs and no more."""
    batches: list[Columns] = []
    rest = [columns.take(slice(at, at + wire.MAX_VALUES)) for at in range(0, len(columns), wire.MAX_VALUES)][::-1]
    while rest:
        part = _compact(rest.pop())
        if wire.fits(part):
            batches.append(part)
        else:
            half = len(part) // 2
            assert half, "one measurement always fits"
            rest += [part.take(slice(half, None)), part.take(slice(half))]
    return batches


def _compact(columns: Columns) -> Columns:
    """The same measurements with a table of only the series that occur."""
    used = np.bincount(columns.series_index, minlength=len(columns.series)) > 0
    if used.all():
        return columns
    place = (np.cumsum(used) - 1).astype(np.uint16)
    series = tuple(s for s, use in zip(columns.series, used, strict=True) if use)
    return Columns(series, place[columns.series_index], columns.time_ns, columns.value, columns.status)


def newer(ack: wire.Ack, last: tuple[int, bytes, int] | None) -> bool:
    """Whether an acknowledgement is above the last one accepted: (generation, its random bytes, n).

    An equal generation with other random bytes is another journal, which cannot be told from a
    replay, and is not accepted: a new journal has to start with a higher generation.
    """
    if last is None:
        return True
    generation, random, n = last
    return ack.gen[0] > generation or (ack.gen == (generation, random) and ack.n > n)


@dataclass(slots=True)
class _Flight:
    """A batch on the way. tries: how often it was sent. due_ns: when it goes out again."""

    size: int
    sent_ns: int
    due_ns: int
    tries: int = 1


class Sender:
    """What goes out when.

    acknowledged: False while the gateway does not know the collector's key, so that no
    acknowledgement can count; then the broker's PUBACK moves the window on (and frees no row).
    """

    def __init__(self, *, acknowledged: bool = True) -> None:
        self._acknowledged = acknowledged
        self._flights: dict[Key, _Flight] = {}
        self._window = WINDOW
        self._srtt_ns: int | None = None
        self._heard_ns: int | None = None
        self.after = START
        self.resent = 0

    @property
    def room(self) -> int:
        """How many further batches may be sent now: those after `after`."""
        return max(0, self._window - len(self._flights))

    @property
    def flying(self) -> int:
        """How many batches are on the way."""
        return len(self._flights)

    @property
    def rto_ns(self) -> int:
        """How long an acknowledgement may take before a batch goes out again. [ns]"""
        return min(max(4 * (self._srtt_ns or 0), RTO_MIN_NS), RTO_MAX_NS)

    def connected(self, now_ns: int) -> None:
        """A new connection: nothing is on the way, the oldest batch without acknowledgement is next."""
        self._flights.clear()
        self._window = WINDOW
        self._heard_ns = now_ns
        self.after = START

    def sent(self, key: Key, size: int, now_ns: int) -> None:
        """A batch went out, for the first time or again."""
        if flight := self._flights.get(key):
            flight.tries += 1
            flight.sent_ns = now_ns
            flight.due_ns = now_ns + self._wait_ns(key, flight.tries)
            self.resent += 1
            return
        assert key > self.after, "batches leave in the order of the stream"
        self.after = key
        self._flights[key] = _Flight(size, now_ns, now_ns + self._wait_ns(key, 1))

    def _wait_ns(self, key: Key, tries: int) -> int:
        """RTO, doubled per retry, +-20 %: a thousand gateways must not send again in step."""
        wait = min(self.rto_ns << min(tries - 1, 5), RTO_MAX_NS)
        jitter = zlib.crc32(key[0] + key[1].to_bytes(8) + tries.to_bytes(2)) / 0xFFFFFFFF
        return int(wait * (0.8 + 0.4 * jitter))

    def overdue(self, now_ns: int) -> list[Key]:
        """The batches to send again now, oldest first; none while the collector gives no credit."""
        if not self._window:
            return []
        return sorted(key for key, flight in self._flights.items() if flight.due_ns <= now_ns)

    def next_ns(self) -> int | None:
        """When the next batch becomes overdue; None while nothing is on the way. [ns, monotonic]"""
        return min((flight.due_ns for flight in self._flights.values()), default=None) if self._window else None

    def forget(self, key: Key) -> None:
        """A batch that needs no sending any more."""
        self._flights.pop(key, None)

    def puback(self, key: Key) -> None:
        """The broker has a batch; that ends its journey only where no acknowledgement can."""
        if not self._acknowledged:
            self.forget(key)

    def acked(self, ack: wire.Ack, now_ns: int) -> None:
        """The collector's journal holds what the acknowledgement names; it has been accepted as newer."""
        back = self._heard_ns is not None and now_ns - self._heard_ns > self.rto_ns
        self._heard_ns = now_ns
        self._window = min(ack.win, MAX_WINDOW)
        for key in held(ack, self._flights):
            flight = self._flights.pop(key)
            if flight.tries == 1:  # a batch sent twice does not tell which one was answered (Karn)
                rtt = now_ns - flight.sent_ns
                self._srtt_ns = rtt if self._srtt_ns is None else (7 * self._srtt_ns + rtt) // 8
        if back:  # the collector was away and has come back: what it missed need not wait any longer
            for flight in self._flights.values():
                flight.due_ns, flight.tries = now_ns, 1

    def silent(self, now_ns: int) -> bool:
        """Whether nothing was acknowledged for so long that the connection itself is doubted."""
        if not (self._acknowledged and self._flights) or self._heard_ns is None:
            return False
        return now_ns - self._heard_ns > max(3 * self.rto_ns, SILENCE_NS)


def held(ack: wire.Ack, keys: Iterable[Key]) -> list[Key]:
    """Those of the keys that an acknowledgement says the journal holds."""
    epochs = {epoch.ep: epoch for epoch in ack.epochs}
    return [
        (ep, seq)
        for ep, seq in keys
        if (epoch := epochs.get(ep)) and (seq <= epoch.upto or any(first <= seq <= last for first, last in epoch.have))
    ]

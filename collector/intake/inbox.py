"""What of each stream has arrived, and which acknowledgement follows from it.

A stream is (gateway id, epoch); its batches are numbered from 1 without a hole. Rules of this file:

- `accept` says what a batch is: fresh, duplicate (same bytes again), conflict (other bytes under a
  number that is taken) or refused (beyond a limit; the gateway sends it again later);
- a gap record covers numbers whose batches the gateway had to give up: they count as received, and a
  batch that comes after all under such a number is fresh;
- nothing accepted is part of an acknowledgement before `committed` says that the journal holds it:
  acknowledgements allow a gateway to delete, so they speak of durable batches alone;
- an acknowledgement is owed after ACK_BATCHES batches or ACK_DELAY_NS, at once after a duplicate or
  a hello (the gateway does not know where it stands), and every BEACON_NS in any case;
- it has room for some epochs and ranges: what came in since the last one is named before all else, so that
  whatever is sent again is acknowledged, however many holes there are that nobody can fill;
- clocks come in as arguments: `now_ns` is a monotonic one, only used to compare.

Source: protocol 2.2 (acknowledgement) and 2.4 (collector).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import msgspec

from gateway.wire import MAX_EPOCHS, MAX_RANGES

Stream: TypeAlias = tuple[str, bytes]

ACK_BATCHES = 16
ACK_DELAY_NS = 50_000_000
BEACON_NS = 30_000_000_000
# Holes remembered in one stream. A gateway fills the lowest hole first, so an honest one has a few.
MAX_HOLES = 1024
# Numbers are kept in signed 64-bit columns.
MAX_SEQ = 2**63 - 1
# Batches on the way to the collector, over all gateways; the broker is told the same number (Receive Maximum).
CREDIT = 400
# No credit above zero goes below it: what one acknowledgement covers. Live data wait behind what a whole fleet has on
# the way: with twice as much they come twice as late, with half of it the backlog goes a third slower.
CREDIT_MIN = ACK_BATCHES


class Verdict(StrEnum):
    """What a batch is to its stream."""

    FRESH = "fresh"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REFUSED = "refused"


class Ranges(msgspec.Struct, frozen=True):
    """The numbers of a stream that have arrived.

    upto: 1 to upto are all there. have: further ranges (first, last), both included, rising, with holes between.

    >>> Ranges().add([1, 2, 5, 6, 9])
    Ranges(upto=2, have=((5, 6), (9, 9)))
    >>> Ranges(2, ((5, 6),)).add([3, 4])
    Ranges(upto=6, have=())
    """

    upto: int = 0
    have: tuple[tuple[int, int], ...] = ()

    def __contains__(self, seq: int) -> bool:
        if seq <= self.upto:
            return True
        place = bisect_right(self.have, (seq, MAX_SEQ)) - 1
        return place >= 0 and seq <= self.have[place][1]

    def add(self, seqs: Iterable[int]) -> Ranges:
        """These numbers and some more, in any order."""
        new = sorted(seqs)
        if not self.have and new == list(range(self.upto + 1, self.upto + 1 + len(new))):
            return Ranges(self.upto + len(new))  # the ordinary case: the next ones, in order
        return self._merge((seq, seq) for seq in new)

    def _merge(self, more: Iterable[tuple[int, int]]) -> Ranges:
        merged = [(0, self.upto)]
        for first, last in sorted([*self.have, *more]):
            if first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return Ranges(merged[0][1], tuple(merged[1:]))

    def cover(self, first: int, last: int) -> Ranges:
        """These numbers and all of first to last, both included.

        >>> Ranges(2, ((5, 6),)).cover(4, 9)
        Ranges(upto=2, have=((4, 9),))
        """
        return self._merge([(first, last)])

    def missing(self, first: int, last: int) -> int:
        """How many of first to last, both included, are not there.

        >>> Ranges(2, ((5, 6),)).missing(2, 7)
        3
        """
        known = sum(max(0, min(b, last) - max(a, first) + 1) for a, b in ((1, self.upto), *self.have))
        return last - first + 1 - known

    def some(self, limit: int, first: Collection[int] = ()) -> Ranges:
        """At most `limit` ranges above: those of some numbers before all others, then the lowest.

        >>> Ranges(2, ((5, 6), (8, 8), (11, 12))).some(2, [12])
        Ranges(upto=2, have=((5, 6), (11, 12)))
        """
        if len(self.have) <= limit:
            return self
        named = {max(bisect_right(self.have, (seq, MAX_SEQ)) - 1, 0) for seq in first}
        places = sorted([*sorted(named), *(place for place in range(limit) if place not in named)][:limit])
        return Ranges(self.upto, tuple(self.have[place] for place in places))

    @property
    def top(self) -> int:
        """The highest number that is there; 0 = none."""
        return self.have[-1][1] if self.have else self.upto


_NONE = Ranges()


@dataclass(frozen=True, slots=True)
class Holding:
    """What the journal holds of a gateway, as an acknowledgement tells it: (epoch, ranges), last used first."""

    gateway: str
    epochs: tuple[tuple[bytes, Ranges], ...]


@dataclass(slots=True)
class _Debt:
    """Batches since the last acknowledgement of a gateway."""

    batches: int = 0
    since_ns: int = 0
    urgent: bool = False
    sent_ns: int | None = None

    def due_ns(self) -> int:
        if self.urgent or self.sent_ns is None or self.batches >= ACK_BATCHES:
            return 0
        beacon_ns = self.sent_ns + BEACON_NS
        return min(beacon_ns, self.since_ns + ACK_DELAY_NS) if self.batches else beacon_ns


class Inbox:
    """The streams of all gateways: accept batches, mark them committed, say which acknowledgements are due."""

    def __init__(self, streams: Mapping[Stream, Ranges], gateways: Collection[str]) -> None:
        """Start from what the journal holds. gateways: those that get a beacon."""
        # gateway -> epoch -> numbers; the epoch used last stands last.
        self._streams: dict[str, dict[bytes, Ranges]] = {}
        for (gateway, epoch), ranges in streams.items():
            self._streams.setdefault(gateway, {})[epoch] = ranges
        self._gateways = tuple(gateways)
        self._debts = {gateway: _Debt() for gateway in gateways}
        # Since the last commit: numbers accepted, and the hashes of all that is to be journalled under a number.
        self._pending: dict[Stream, set[int]] = {}
        self._covered: dict[Stream, list[tuple[int, int]]] = {}
        self._noted: dict[tuple[Stream, int], set[bytes]] = {}
        # Since the last acknowledgement: numbers that came in, of streams with more ranges than it has room for.
        self._came: dict[Stream, set[int]] = {}
        self._proposed: dict[Stream, Ranges] | None = None  # as asked for before a commit; None = it has changed

    def accept(
        self, stream: Stream, seq: int, digest: bytes, recall: Callable[[Stream, int], Collection[bytes]]
    ) -> Verdict:
        """What the batch `seq` of a stream is; a fresh one is remembered until `committed`.

        digest: hash of the bytes as received. recall: hashes that the journal holds under a number.
        """
        assert 1 <= seq <= MAX_SEQ, f"batch number {seq} is not checked"
        ranges = self._ranges(stream)
        known = {*self._noted.get((stream, seq), ()), *(recall(stream, seq) if seq in ranges else ())}
        if digest in known:
            return self.again(stream, seq)
        fresh = not known
        pending = self._pending.setdefault(stream, set())
        if fresh and seq not in ranges and seq != ranges.upto + 1 and self._crowded(stream):
            return Verdict.REFUSED
        self._noted.setdefault((stream, seq), set()).add(digest)
        if not fresh:
            return Verdict.CONFLICT
        pending.add(seq)
        self._proposed = None
        return Verdict.FRESH

    def again(self, stream: Stream, seq: int) -> Verdict:
        """A batch that is there has come again.

        Who sends it has not heard of it: the acknowledgement, which has room for few epochs and ranges, must name it.
        """
        ranges = self._ranges(stream)
        self._note(stream, ranges, [seq])
        if ranges.upto or ranges.have:
            epochs = self._streams[stream[0]]
            epochs[stream[1]] = epochs.pop(stream[1])
        return Verdict.DUPLICATE

    def covers(self, stream: Stream, first: int, last: int) -> bool:
        """Whether a gap record over first to last can be taken in: False where it would make too many holes."""
        ranges = self._ranges(stream)
        return ranges.missing(first, last) == 0 or first <= ranges.upto + 1 or not self._crowded(stream)

    def cover(self, stream: Stream, first: int, last: int) -> int:
        """Count first to last as received with the next commit; how many of them were not. [batches]"""
        assert 1 <= first <= last <= MAX_SEQ, f"range {first} to {last} is not checked"
        after = self._after(stream)
        self._covered.setdefault(stream, []).append((first, last))
        self._proposed = None
        return after.missing(first, last)

    def _crowded(self, stream: Stream) -> bool:
        """Whether a stream has as many holes as are remembered."""
        waiting = len(self._pending.get(stream, ())) + len(self._covered.get(stream, ()))
        return len(self._ranges(stream).have) + waiting >= MAX_HOLES

    def proposed(self) -> dict[Stream, Ranges]:
        """The streams that change with the next commit, as they are after it."""
        if self._proposed is None:
            changed = [(stream, self._after(stream)) for stream in dict.fromkeys([*self._pending, *self._covered])]
            self._proposed = {stream: after for stream, after in changed if after != self._ranges(stream)}
        return self._proposed

    def _after(self, stream: Stream) -> Ranges:
        ranges = self._ranges(stream).add(self._pending.get(stream, ()))
        for first, last in self._covered.get(stream, ()):
            ranges = ranges.cover(first, last)
        return ranges

    def committed(self, now_ns: int) -> None:
        """The journal holds everything accepted so far."""
        for (gateway, epoch), ranges in self.proposed().items():
            epochs = self._streams.setdefault(gateway, {})
            epochs.pop(epoch, None)
            epochs[epoch] = ranges
            came = self._pending.get((gateway, epoch), set())
            self._note((gateway, epoch), ranges, came)
            self._owe(gateway, max(1, len(came)), now_ns)
        self._pending.clear()
        self._covered.clear()
        self._noted.clear()
        self._proposed = None

    def _note(self, stream: Stream, ranges: Ranges, seqs: Iterable[int]) -> None:
        if len(ranges.have) > MAX_RANGES:
            self._came.setdefault(stream, set()).update(seqs)

    def known(self, stream: Stream) -> Ranges:
        """The numbers of a stream that are there, those that wait for the next commit included."""
        return self._after(stream)

    def holds(self, stream: Stream, seq: int) -> bool:
        """Whether a number of a stream is there, or waits for the next commit."""
        return (
            seq in self._pending.get(stream, ())
            or seq in self._ranges(stream)
            or any(first <= seq <= last for first, last in self._covered.get(stream, ()))
        )

    def epochs(self, gateway: str) -> list[bytes]:
        """The epochs of a gateway that the journal holds something of, the one used last at the end."""
        return list(self._streams.get(gateway, {}))

    def _ranges(self, stream: Stream) -> Ranges:
        epochs = self._streams.get(stream[0])
        return epochs.get(stream[1], _NONE) if epochs else _NONE

    def _owe(self, gateway: str, batches: int, now_ns: int) -> None:
        debt = self._debts.setdefault(gateway, _Debt())
        if not debt.batches:
            debt.since_ns = now_ns
        debt.batches += batches

    def hurry(self, gateway: str) -> None:
        """Acknowledge at once: a duplicate or a hello came in."""
        self._debts.setdefault(gateway, _Debt()).urgent = True

    def due(self, now_ns: int) -> list[str]:
        """The gateways whose acknowledgement is due."""
        return [gateway for gateway, debt in self._debts.items() if debt.due_ns() <= now_ns]

    def next_due_ns(self) -> int | None:
        """When the next acknowledgement is due; None when no gateway is known. [ns, monotonic]"""
        return min((debt.due_ns() for debt in self._debts.values()), default=None)

    def sent(self, gateway: str, now_ns: int) -> None:
        """An acknowledgement of all that is committed went out."""
        self._debts[gateway] = _Debt(sent_ns=now_ns)
        for stream in [stream for stream in self._came if stream[0] == gateway]:
            del self._came[stream]

    def holding(self, gateway: str) -> Holding:
        """What an acknowledgement says: committed batches alone. What its limits leave out follows in a later one."""
        epochs = list(self._streams.get(gateway, {}).items())[: -MAX_EPOCHS - 1 : -1]
        return Holding(
            gateway, tuple((epoch, r.some(MAX_RANGES, self._came.get((gateway, epoch), ()))) for epoch, r in epochs)
        )

    def credit(self, *, healthy: bool) -> int:
        """How many batches one gateway may have on the way; 0 = none, the journal takes nothing. [batches]"""
        return max(CREDIT_MIN, CREDIT // max(1, len(self._gateways))) if healthy else 0


class Quota:
    """So many of each key in a period; what comes above is refused, against floods. Keys have to be few."""

    def __init__(self, count: int, period_ns: int) -> None:
        self._count, self._period_ns = count, period_ns
        self._taken: dict[str, tuple[int, int]] = {}

    def take(self, key: str, now_ns: int) -> bool:
        """Whether one more of a key is allowed now."""
        since_ns, taken = self._taken.get(key, (now_ns, 0))
        if now_ns - since_ns >= self._period_ns:
            since_ns, taken = now_ns, 0
        self._taken[key] = since_ns, min(taken + 1, self._count)
        return taken < self._count


class Rate:
    """So many of each key in a second, and a burst of them at once. Keys have to be few."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: dict[str, tuple[int, float]] = {}

    def take(self, key: str, now_ns: int) -> bool:
        """Whether one more of a key is allowed now."""
        since_ns, left = self._left.get(key, (now_ns, float(self._burst)))
        left = min(float(self._burst), left + max(0, now_ns - since_ns) * self._per_s / 1e9)
        self._left[key] = now_ns, left - 1 if left >= 1 else left
        return left >= 1

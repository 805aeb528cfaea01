"""The desk: what messages add to the journal, and what may be acknowledged when.

Pure: the recorder runs it with the real journal, clock and broker, a simulation with its own. In each
turn messages are taken (`take`), time is noted where it is due (`tick`), the group goes into the ledger
(`commit`), and the acknowledgements that are due by then go out. Rules of this file:

- an acknowledgement speaks of what the ledger holds and of nothing else: what is taken counts after `commit`;
- a group that the ledger refuses stays as it is, to be committed again; until it is, credit is 0 (`stall`);
- every TICK_NS a tick is added: followers take their time from these, so that what they derive is a
  function of the journal; a clock that was set is told with the tick that shows it (`timekeeper`);
- acknowledgements are numbered above all those of earlier starts, also of one whose numbers were never sent.

Source: protocol 2.4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from collector.intake import events
from collector.intake.chain import Memory
from collector.intake.events import What
from collector.intake.gate import Examined
from collector.intake.inbox import Inbox, Ranges, Stream
from collector.intake.sorter import Sorter
from collector.intake.timekeeper import Step, Timekeeper
from collector.store import Entry, EntryKind
from gateway import bundles, seal, wire

TICK_NS = 5_000_000_000
# Acknowledgements of one start; a century of one every millisecond for a thousand gateways needs fewer than half.
_ACKS_BITS = 32
# As many events as there are.
_ALL = 2**62


class Ledger(Memory, Protocol):
    """The journal as the desk needs it."""

    @property
    def generation(self) -> tuple[int, bytes]:
        """Grows when the journal has gone back in time."""

    @property
    def starts(self) -> int:
        """How often it was opened, this time included."""

    @property
    def received_ns(self) -> int:
        """The last receive time; 0 = nothing was received yet. [ns since 1970 UTC]"""

    def streams(self) -> Mapping[Stream, Ranges]:
        """Which batches of each stream are there; the stream used last stands last."""

    def events(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` events with position > after, ordered by position."""

    def append(self, entries: Sequence[Entry], streams: Mapping[Stream, Ranges]) -> int:
        """Add entries and note where streams then stand, all or none; durable when it returns the last position."""


class Desk:
    """Messages in, entries and acknowledgements out. sorter: its counts. stalled: the ledger takes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        key: seal.Signer,
        gateways: Collection[str],
        handovers: Sequence[bytes] = (),
        *,
        lacking: Callable[[], bool] = lambda: False,
    ) -> None:
        """key: signs acknowledgements. gateways: the trusted ones, each of which gets a beacon.

        handovers: of keys before this one; every acknowledgement carries the latest, since only the last one sent is
        retained, and a gateway that was away may know any of the keys. lacking: whether months of the ledger are away.
        """
        self.stalled = False
        self._ledger, self._key = ledger, key
        self._handovers = tuple(handovers[-wire.MAX_HANDOVERS :])
        self._inbox = Inbox(ledger.streams(), gateways)
        self.sorter = Sorter(self._inbox, ledger, gateways, lacking=lacking)
        self.sorter.remember(ledger.events(0, _ALL))
        self._group: list[Entry] = []
        self._filed: list[tuple[int, Callable[[int], None]]] = []
        self._timekeeper, self._tick_ns = Timekeeper(), 0
        self._acks = ledger.starts << _ACKS_BITS

    def take(self, examined: Examined, now_ns: int) -> list[Entry]:
        """Decide what a message is; what it adds to the group. now_ns: a monotonic clock, as everywhere here. [ns]"""
        added = self.sorter.take(examined, now_ns)
        self._group += added
        return added

    def tick(self, now_ns: int, time_ns: int) -> list[Entry]:
        """Note the time where that is due; what it adds to the group. time_ns: the clock. [ns since 1970 UTC]"""
        if now_ns < self._tick_ns:
            return []
        self._tick_ns = now_ns + TICK_NS
        time_ns, step = self._timekeeper.read(now_ns, time_ns, self._ledger.received_ns)
        added = [*([_told(step, time_ns)] if step else []), Entry(0, time_ns, EntryKind.TICK)]
        self._group += added
        return added

    def file(self, entry: Entry, filed: Callable[[int], None]) -> None:
        """Add an entry that came by another way than the broker. filed: gets its position when it is committed."""
        self._filed.append((len(self._group), filed))
        self._group.append(entry)

    def commit(self, now_ns: int) -> None:
        """Put the group into the ledger; raises what the ledger raises, and then the group waits as it is."""
        last = self._ledger.append(self._group, self._inbox.proposed())
        for place, filed in self._filed:
            filed(last - len(self._group) + 1 + place)
        self._group, self._filed = [], []
        self._inbox.committed(now_ns)
        if self.stalled:
            self.stalled = False
            self.hurry_all()

    def stall(self) -> None:
        """The ledger takes nothing for now: tell all gateways to stop."""
        if not self.stalled:
            self.stalled = True
            self.hurry_all()

    def hurry_all(self) -> None:
        """All gateways are to hear at once where they stand: the connection is new, or the end is near."""
        for gateway in self.sorter.counts:
            self._inbox.hurry(gateway)

    def acknowledgements(self, now_ns: int, time_ns: int) -> list[tuple[str, bytes]]:
        """Topic and payload of each acknowledgement that is due; they count as sent."""
        return [self._acknowledge(gateway, now_ns, time_ns) for gateway in self._inbox.due(now_ns)]

    def next_ns(self) -> int:
        """When a tick or an acknowledgement is due next, if nothing comes in until then."""
        due_ns = self._inbox.next_due_ns()
        return self._tick_ns if due_ns is None else min(self._tick_ns, due_ns)

    def _acknowledge(self, gateway: str, now_ns: int, time_ns: int) -> tuple[str, bytes]:
        self._acks += 1
        ack = wire.Ack(
            gw=gateway,
            gen=self._ledger.generation,
            n=self._acks,
            epochs=tuple(wire.EpochAck(epoch, r.upto, r.have) for epoch, r in self._inbox.holding(gateway).epochs),
            win=self._inbox.credit(healthy=not self.stalled),
            now=time_ns,
            keys=self._handovers,
            bundle=bundles.MAX_BYTES,
        )
        self._inbox.sent(gateway, now_ns)
        return wire.down_topic(gateway), seal.seal_ack(wire.encode_ack(ack), self._key)


def _told(step: Step, time_ns: int) -> Entry:
    """The event of a clock that was set."""
    seconds, detail = abs(step.by_ns) / 1e9, {"by_ms": step.by_ns // 10**6, "behind_ms": step.behind_ns // 10**6}
    if step.by_ns < 0:
        text = (
            f"the collector's clock is {seconds:.1f} s behind where it was: receive times do not fall, they go on at "
            "half pace until it has caught up"
        )
        return events.entry(What.CLOCK_BACK, "", b"", time_ns, text, detail)
    text = f"the collector's clock went ahead by {seconds:.1f} s at once: it was set, or the machine slept"
    return events.entry(What.CLOCK_AHEAD, "", b"", time_ns, text, detail)

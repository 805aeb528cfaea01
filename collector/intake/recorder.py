"""The recorder: commits what came in, and only then lets broker and gateway know.

One thread. It takes deliveries in groups (at most GROUP_NS or GROUP_BATCHES, closed early when
nothing more waits), commits a group in one transaction, then sends the PUBACKs, then the signed
acknowledgements that are due. Rules of this file:

- no PUBACK and no acknowledgement before the COMMIT that they speak of;
- every TICK_NS a tick is journalled: followers take their time from these, so that what they derive
  is a function of the journal;
- a disk that is full, or nearly (`disk`), is waited out with credit 0 for all gateways; any other refusal
  of the journal ends the thread (`failed` says why, `on_failure` is called), since after a failed fsync
  nobody knows what is on the disk: trying again would acknowledge what may be gone.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.intake.disk import Gauge, Space
from collector.intake.events import event
from collector.intake.gate import Examined
from collector.intake.inbox import CREDIT, Inbox
from collector.intake.journal import NO_LIMIT, Journal, JournalError
from collector.intake.sorter import Sorter
from collector.store import Entry, EntryKind
from gateway import seal, wire

GROUP_NS = 50_000_000
GROUP_BATCHES = 200
TICK_NS = 5_000_000_000
RETRY_S = 1.0
LOOK_NS = 1_000_000_000
# More than the broker sends without a PUBACK; where it ignores the limit, its TCP connection has to wait.
QUEUE_SIZE = 2 * CREDIT

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An examined message. session, mid: which connection to the broker it came by, and its number there."""

    examined: Examined
    session: int
    mid: int


class Signal(Enum):
    """What else reaches the recorder by the queue."""

    CONNECTED = "connected"
    STOP = "stop"


Deliveries: TypeAlias = "queue.Queue[Delivery | Signal]"


class Link(Protocol):
    """The way back to the broker."""

    def puback(self, delivery: Delivery) -> None:
        """Tell the broker that a message is dealt with."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send and retain; dropped while there is no connection."""


@dataclass(slots=True)
class _Group:
    """Deliveries that are committed together."""

    deliveries: list[Delivery] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Recorder:
    """Commits deliveries to the journal and acknowledges them.

    counts, gaps, strangers, security: by the sorter. trouble: what is wrong for now, failed: for good;
    "" = nothing.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        deliveries: Deliveries,
        link: Link,
        key: Ed25519PrivateKey,
        gateways: Collection[str],
        space: Callable[[], Space] | None = None,
    ) -> None:
        """gateways: the trusted ones; each gets an acknowledgement at least every 30 s.

        space: asks the journal's disk; None = it is not watched.
        """
        self.trouble = self.failed = ""
        self.on_failure: Callable[[], None] = lambda: None
        self._space, self._gauge, self._looked_ns = space, Gauge(), 0
        self._journal, self._deliveries, self._link, self._key = journal, deliveries, link, key
        self._inbox = Inbox(journal.streams(), gateways)
        self._sorter = Sorter(self._inbox, journal, gateways)
        self.counts, self.strangers = self._sorter.counts, self._sorter.strangers
        self.gaps, self.security = self._sorter.gaps, self._sorter.security
        self._sorter.remember(journal.events(0, NO_LIMIT))
        self._tick_ns = 0
        # Above every number of every earlier start, also of one whose acknowledgements were never sent.
        self._acks = journal.starts << 32
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to take deliveries."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Commit and acknowledge what waits, then end."""
        self._stop.set()
        with contextlib.suppress(queue.Full):  # then it is awake
            self._deliveries.put_nowait(Signal.STOP)
        self._thread.join(timeout_s)

    def _supervise(self) -> None:
        try:
            while self._turn() and not (self._stop.is_set() and self._deliveries.empty()):
                pass
            for gateway in self._inbox.due(2**63):
                self._acknowledge(gateway)
        except Exception as error:
            self.failed = f"nothing is journalled any more: {error}"
            log.exception("The recorder ended: nothing more is journalled; gateways keep what they measure.")
            self.on_failure()

    def _turn(self) -> bool:
        """One group: gather, commit, acknowledge; False when it could not be committed and no further one may be."""
        group = self._gather()
        if not self._commit(group):
            return False
        for delivery in group.deliveries:
            self._link.puback(delivery)
        for gateway in self._inbox.due(time.monotonic_ns()):
            self._acknowledge(gateway)
        return True

    def _gather(self) -> _Group:
        group = _Group()
        due_ns = self._inbox.next_due_ns()
        wake_ns = self._tick_ns if due_ns is None else min(self._tick_ns, due_ns)
        timeout_s: float | None = max(0, wake_ns - time.monotonic_ns()) / 1e9
        closes_ns = 0
        while len(group.deliveries) < GROUP_BATCHES:
            try:
                item = self._deliveries.get(timeout=timeout_s) if timeout_s else self._deliveries.get_nowait()
            except queue.Empty:
                break
            closes_ns = closes_ns or time.monotonic_ns() + GROUP_NS
            timeout_s = None
            if isinstance(item, Delivery):
                self._sort(item, group)
            elif item is Signal.CONNECTED:
                self._hurry_all()
            if time.monotonic_ns() >= closes_ns:
                break
        self._tick(group)
        return group

    def _hurry_all(self) -> None:
        for gateway in self.counts:
            self._inbox.hurry(gateway)

    def _tick(self, group: _Group) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + TICK_NS
            self._journal.mark()
            group.entries.append(Entry(0, time.time_ns(), EntryKind.TICK))

    def _sort(self, delivery: Delivery, group: _Group) -> None:
        """Decide what a delivery is, and what of it goes into the journal."""
        group.deliveries.append(delivery)
        for entry in self._sorter.take(delivery.examined, time.monotonic_ns()):
            group.entries.append(entry)
            if entry.kind is EntryKind.EVENT:
                found = event(entry)
                tell = log.error if found.security else log.warning
                tell(found.text, gateway=entry.gateway, what=found.what, **found.detail)

    def _commit(self, group: _Group) -> bool:
        """Put a group into the journal, waiting for room on the disk; False when told to stop meanwhile."""
        while True:
            if not self._room():
                self._wait_for_room(self._gauge.trouble)
                if self._stop.is_set():
                    return False
                continue
            try:
                self._journal.append(group.entries, self._inbox.proposed())
            except JournalError as error:
                if not error.full:
                    raise
                self._wait_for_room(str(error))
                if self._stop.is_set():
                    return False
            else:
                break
        if self.trouble:
            self.trouble = ""
            self._hurry_all()
            log.info("The journal takes batches again.")
        self._inbox.committed(time.monotonic_ns())
        return True

    def _room(self) -> bool:
        """Whether the disk has room, looked at again after a while; at once while it had none."""
        now_ns = time.monotonic_ns()
        if self._space and (self._gauge.trouble or now_ns >= self._looked_ns + LOOK_NS):
            self._looked_ns = now_ns
            self._gauge.observe(self._space())
        return not self._gauge.trouble

    def _wait_for_room(self, message: str) -> None:
        if not self.trouble:
            self.trouble = message
            log.error("The journal cannot be written: gateways keep what they measure until it can.", reason=message)
            for gateway in self.counts:
                self._acknowledge(gateway)
        self._stop.wait(RETRY_S)

    def _acknowledge(self, gateway: str) -> None:
        holding = self._inbox.holding(gateway)
        self._acks += 1
        ack = wire.Ack(
            gw=gateway,
            gen=self._journal.generation,
            n=self._acks,
            epochs=tuple(wire.EpochAck(epoch, r.upto, r.have) for epoch, r in holding.epochs),
            win=self._inbox.credit(healthy=not self.trouble),
            now=time.time_ns(),
        )
        payload = seal.seal_ack(wire.encode_ack(ack), self._key)
        self._link.publish(wire.down_topic(gateway), payload)
        self._inbox.sent(gateway, time.monotonic_ns())

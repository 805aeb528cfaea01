"""The recorder: commits what came in, and only then lets broker and gateway know.

One thread around a `Desk`, which decides what is journalled and what is acknowledged. It takes
deliveries in groups (at most GROUP_NS or GROUP_BATCHES, closed early when nothing more waits), has a
group committed in one transaction, then sends the PUBACKs, then the signed acknowledgements that are
due. Rules of this file:

- no PUBACK and no acknowledgement before the COMMIT that they speak of;
- a disk that is full, or nearly (`disk`), is waited out with credit 0 for all gateways; any other refusal
  of the journal ends the thread (`failed` says why, `on_failure` is called), since after a failed fsync
  nobody knows what is on the disk: trying again would acknowledge what may be gone.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from collector.intake.desk import TICK_NS as TICK_NS
from collector.intake.desk import Desk
from collector.intake.disk import Gauge, Space
from collector.intake.events import event
from collector.intake.gate import Examined
from collector.intake.inbox import CREDIT
from collector.intake.journal import Journal, JournalError
from collector.store import Entry, EntryKind

GROUP_NS = 50_000_000
GROUP_BATCHES = 200
RETRY_S = 1.0
LOOK_NS = 1_000_000_000
# More than the broker sends without a PUBACK; where it ignores the limit, its TCP connection has to wait.
QUEUE_SIZE = 2 * CREDIT

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, examined: one batch or several. session, mid: by which connection to the broker it came, as what.

    mid: None = it needs no answer.
    """

    examined: tuple[Examined, ...]
    session: int
    mid: int | None


class Signal(Enum):
    """What else reaches the recorder by the queue."""

    CONNECTED = "connected"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Filing:
    """An entry that is not of a gateway. done: gets its position when it is on the disk."""

    entry: Entry
    done: Future[int] = field(default_factory=Future)


Deliveries: TypeAlias = "queue.Queue[Delivery | Filing | Signal]"


class Link(Protocol):
    """The way back to the broker."""

    def puback(self, delivery: Delivery) -> None:
        """Tell the broker that a message is dealt with."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send and retain; dropped while there is no connection."""


class Recorder:
    """Commits deliveries to the journal and acknowledges them.

    counts, gaps, strangers, security, configurations: by the sorter. trouble: what is wrong for now, failed: for good;
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
        handovers: Sequence[bytes] = (),
        space: Callable[[], Space] | None = None,
    ) -> None:
        """gateways: the trusted ones; each gets an acknowledgement at least every 30 s.

        handovers: of keys before this one, for gateways that do not know it yet.
        space: asks the journal's disk; None = it is not watched.
        """
        self.trouble = self.failed = ""
        self.on_failure: Callable[[], None] = lambda: None
        self._space, self._gauge, self._looked_ns = space, Gauge(), 0
        self._journal, self._deliveries, self._link = journal, deliveries, link
        self._desk = Desk(journal, key, gateways, handovers, lacking=lambda: journal.lacking)
        sorter = self._desk.sorter
        self.counts, self.strangers, self.gaps, self.security = (
            sorter.counts, sorter.strangers, sorter.gaps, sorter.security,
        )  # fmt: skip
        self.configurations = sorter.configurations
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to take deliveries."""
        self._thread.start()

    def file(self, entry: Entry) -> Future[int]:
        """Have an entry journalled that came by another way than the broker; its receive time is when that is done.

        The result is its position; a recorder that ended never gives one. Raises queue.Full.
        """
        filing = Filing(entry)
        self._deliveries.put_nowait(filing)
        return filing.done

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
            self._desk.hurry_all()
            self._acknowledge()
        except Exception as error:
            self.failed = f"nothing is journalled any more: {error}"
            log.exception("The recorder ended: nothing more is journalled; gateways keep what they measure.")
            self.on_failure()

    def _turn(self) -> bool:
        """One group: gather, commit, acknowledge; False when it could not be committed and no further one may be."""
        group = self._gather()
        if not self._commit():
            return False
        for delivery in group:
            self._link.puback(delivery)
        self._acknowledge()
        return True

    def _gather(self) -> list[Delivery]:
        group: list[Delivery] = []
        batches = 0
        timeout_s: float | None = max(0, self._desk.next_ns() - time.monotonic_ns()) / 1e9
        closes_ns = 0
        while batches < GROUP_BATCHES:
            try:
                item = self._deliveries.get(timeout=timeout_s) if timeout_s else self._deliveries.get_nowait()
            except queue.Empty:
                break
            closes_ns = closes_ns or time.monotonic_ns() + GROUP_NS
            timeout_s = None
            if isinstance(item, Delivery):
                group.append(item)
                batches += len(item.examined)
                for examined in item.examined:
                    self._take(examined)
            elif isinstance(item, Filing):
                self._desk.file(replace(item.entry, received_ns=time.time_ns()), item.done.set_result)
            elif item is Signal.CONNECTED:
                self._desk.hurry_all()
            if time.monotonic_ns() >= closes_ns:
                break
        if ticked := self._desk.tick(time.monotonic_ns(), time.time_ns()):
            _tell(ticked)
            self._journal.mark()
        return group

    def _take(self, examined: Examined) -> None:
        """Have it decided what a message is. What our code fails at is counted: it comes again."""
        try:
            decided = self._desk.take(examined, time.monotonic_ns())
        except JournalError:  # it is not the message's fault
            raise
        except Exception:
            if examined.digest:
                self._journal.attempt(examined.digest)
            raise
        if examined.broke:
            self._journal.attempt(examined.digest)
        _tell(decided)

    def _commit(self) -> bool:
        """Put the group into the journal, waiting for room on the disk; False when told to stop meanwhile."""
        while True:
            try:
                if self._room():
                    self._desk.commit(time.monotonic_ns())
                    break
                self._wait_for_room(self._gauge.trouble)
            except JournalError as error:
                if not error.full:
                    raise
                self._wait_for_room(str(error))
            if self._stop.is_set():
                return False
        if self.trouble:
            self.trouble = ""
            log.info("The journal takes batches again.")
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
            self._desk.stall()
        self._acknowledge()
        self._stop.wait(RETRY_S)

    def _acknowledge(self) -> None:
        for topic, payload in self._desk.acknowledgements(time.monotonic_ns(), time.time_ns()):
            self._link.publish(topic, payload)


def _tell(entries: Iterable[Entry]) -> None:
    """Log the events among what is journalled."""
    for entry in entries:
        if entry.kind is EntryKind.EVENT:
            found = event(entry)
            tell = log.error if found.security else log.warning
            tell(found.text, gateway=entry.gateway, what=found.what, **found.detail)

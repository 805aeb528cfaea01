"""The outbox of a running gateway: `keeper.Keeper` on its files, for any thread.

Values become safe here. `put` only collects; `flush` cuts, seals and COMMITs all that waits in one
transaction, and only committed rows are ever sent. One process at a time may use an outbox (`lock`).

Errors: SpoolError, and of it SpoolFull (the disk is full: values stay in memory, flush again).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import wire
from gateway.clock import UNKNOWN, Discipline
from gateway.configuration import Configuration
from gateway.keeper import Instant, Keeper, Start
from gateway.lanes import START, Key, Row
from gateway.measurement import SECOND_NS, Columns
from gateway.outbox import Outbox
from gateway.outbox_files import boot_id, lock, next_counter, read_batches, read_gaps
from gateway.outbox_store import OutboxStore
from gateway.retention import Limits
from gateway.seal import verify
from gateway.shelves import SpoolError, SpoolFull
from gateway.storage import Pace, assess, report
from gateway.unsaved import Unsaved

__all__ = ["Row", "SpoolError", "SpoolFull", "Spooler", "outbox_folder", "read_batches", "read_gaps"]


def outbox_folder(data_dir: str | Path, gateway: str) -> Path:
    """Where a gateway keeps its key, epoch and outbox."""
    return Path(data_dir) / "gateways" / gateway


class Spooler:
    """The outbox of one gateway. Safe to use from any thread.

    folder: see `outbox_folder`; made when missing. key: what the batches are signed with.
    now_ns, mono_ns: wall and monotonic clock; a back-fill gives a wall clock of its own. [ns]
    limits: how long and how much it keeps. discipline: what the system says of the wall clock.
    earliest_ns: no right clock shows less; None = the clock is not judged.
    configuration: what is measured by, at first; None = it is not told. on_commit: called after rows were committed.
    """

    def __init__(
        self,
        folder: str | Path,
        plant: str,
        gateway: str,
        key: Ed25519PrivateKey,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        discipline: Callable[[], Discipline] = lambda: UNKNOWN,
        version: str = "",
        earliest_ns: int | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self.folder, self.plant, self.gateway = Path(folder), plant, gateway
        self._now_ns, self._mono_ns = now_ns, mono_ns
        self._outbox, self._putting = Outbox(), threading.Lock()
        self._put = self._kept = self._noted = 0  # values
        self._changes = self._recorded = 0  # of the configuration
        self._full = False
        self._using, self._pace = threading.RLock(), Pace()
        self.on_commit: Callable[[], None] | None = None
        self._lock = lock(self.folder)
        try:
            public = key.public_key()
            self._store = OutboxStore(self.folder, lambda payload: verify(payload, public), limits.bytes, mono_ns)
            self._keeper = Keeper(
                self._store, plant, gateway, key, limits=limits, salvaged=self._store.found, earliest_ns=earliest_ns,
                configuration=configuration, now=lambda: Instant(now_ns(), mono_ns(), discipline()),
            )  # fmt: skip
            counter = self._count()
            self._keeper.begin(Start(counter, os.urandom(8), boot_id(), version))
            self._unsaved = Unsaved(self.folder)
            if (found := self._unsaved.read()) and not self._store.measured(found[0]):
                self._outbox.untold = found[1]  # told with the next flush; until then it stays noted
                self.note_unsaved()
            self._store.settle(counter)
        except BaseException:
            os.close(self._lock)
            raise

    def _count(self) -> int:
        try:
            return next_counter(self.folder, self._keeper.last_counter)
        except SpoolFull:
            if not self._store.reserve.release():
                raise
        return next_counter(self.folder, self._keeper.last_counter)

    # --- in: values, until they are committed ------------------------------------------------------

    def put(self, columns: Columns) -> int:
        """Take measurements; they are safe after the next `flush`. Returns a ticket for `kept`."""
        with self._putting:
            mono_ns = self._mono_ns()
            self._keeper.clock.glance(self._now_ns(), mono_ns)
            self._outbox.put(columns, mono_ns)
            self._put += len(columns)
            return self._put

    def change(self, configuration: Configuration) -> None:
        """What was put was measured by another configuration than what comes now: sealed under another hash.

        A record between the two says so; it is on the disk with the next `flush` that has room there.
        """
        with self._putting:
            self._outbox.change(configuration)
            self._changes += 1

    @property
    def recorded(self) -> bool:
        """Whether every change of the configuration is on the disk."""
        return self._recorded == self._changes

    def kept(self, ticket: int) -> bool:
        """Whether what was put up to a ticket is on the disk; while that is full, whether its note was tried."""
        return ticket <= (self._noted if self._full else self._kept)

    def due_s(self) -> float | None:
        """Seconds until `flush` should be called; None while nothing waits."""
        with self._putting:
            due_ns = self._outbox.due_ns()
        return None if due_ns is None else max(0.0, (due_ns - self._mono_ns()) / SECOND_NS)

    def flush(self) -> int:
        """Seal and commit everything that waits, in one transaction; the number of batches.

        Raises SpoolFull when the disk is full, SpoolError on anything worse. The values are kept.
        """
        with self._using:
            self._declare_dropped()
            with self._putting:
                parts, taken, changes = self._outbox.take(), self._put, self._changes
            try:
                self._keeper.keep(parts)
            except BaseException as error:
                self._full = isinstance(error, SpoolFull)
                with self._putting:
                    self._outbox.restore(parts)
                self.note_unsaved()
                raise
            self._kept, self._full, self._recorded = taken, False, changes
            if not self._outbox.untold:
                self._unsaved.clear()
        if parts and self.on_commit:
            self.on_commit()
        with self._using:
            self._keeper.upkeep()
            self._pace.note(self._mono_ns(), self._store.stored_bytes)
            self._store.check()
        return len(parts)

    def tell(self, what: str, text: str, detail: Mapping[str, Any]) -> None:
        """Record what the gateway noticed of itself: it travels, and is kept, like measurements."""
        with self._using:
            self._keeper.tell(what, text, detail)

    def note_unsaved(self) -> None:
        """Note what memory holds, for the next start to tell if this process ends with it; while the disk is full."""
        with self._using:
            with self._putting:
                held, noted = self._outbox.held(), self._put
            if held:
                self._unsaved.note(self._keeper.last, held)
            self._noted = noted

    def _declare_dropped(self) -> None:
        """What memory had no room for is said as soon as a record can be written; the reserve is there for that."""
        with self._putting:
            dropped, self._outbox.untold = self._outbox.untold, None
        try:
            if dropped:
                self._keeper.give_up(dropped)
        except BaseException as error:
            with self._putting:
                self._outbox.untold = dropped and dropped.and_(self._outbox.untold)
            if not isinstance(error, SpoolFull):
                raise

    # --- out: committed rows, until they are acknowledged ----------------------------------------------

    def pending(self, limit: int, after: Key = START) -> list[Row]:
        """Up to `limit` rows without acknowledgement above a key, in the order of epoch and seq."""
        with self._using:
            return self._keeper.pending(limit, after)

    def row(self, key: Key) -> Row | None:
        """One row, if it is still without acknowledgement."""
        with self._using:
            return self._keeper.row(key)

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement; START where there are no more."""
        with self._using:
            return self._keeper.tail(rows)

    def accepts(self, ack: wire.Ack) -> bool:
        """Whether an acknowledgement is for this gateway and above the last one; others are counted."""
        with self._using:
            return self._keeper.accepts(ack)

    @property
    def generation(self) -> tuple[int, bytes] | None:
        """The journal that acknowledged last; None before the first time."""
        return self._keeper.generation

    def acked(self, ack: wire.Ack) -> int:
        """Mark what a verified acknowledgement names; the number of rows that were not marked before."""
        with self._using:
            return self._keeper.acked(ack)

    def told(self, now_ns: int, rtt_ns: int | None) -> None:
        """The collector's clock in an acknowledgement that counted; see `clock.Clock.heard`."""
        self._keeper.clock.heard(now_ns, self._mono_ns(), rtt_ns)

    def clock(self) -> dict[str, Any]:
        """What the clock is worth, for the gateway's state."""
        return self._keeper.clock.report()

    def unacked(self) -> int:
        """Number of committed rows without acknowledgement."""
        return self._keeper.unacked

    def drained(self) -> bool:
        """Whether everything that was put is committed and acknowledged."""
        with self._putting:
            waiting = self._outbox.values
        return not waiting and not self._keeper.unacked

    def counts(self) -> dict[str, int]:
        """What went through since the process started, and what waits: for logs, state and tests."""
        with self._putting:
            waiting = {"put": self._put, "waiting_values": self._outbox.values, "dropped": self._outbox.dropped}
        return self._keeper.counts | waiting | {"unacked_batches": self._keeper.unacked}

    def storage(self) -> dict[str, Any]:
        """How full the outbox is and how long it will last, for the gateway's state."""
        with self._using:
            pace = self._pace.per_hour(self._mono_ns(), self._store.stored_bytes)
            room = self._store.room()
        return report(room, assess(room, pace))

    @property
    def epoch(self) -> bytes:
        """The epoch of this process, 16 bytes."""
        return self._keeper.epoch

    def close(self) -> None:
        """Commit what waits and release the files; the next start then knows that this end was meant."""
        with self._using:
            try:
                self.flush()
                self._keeper.end()
            finally:
                self._store.close()
                os.close(self._lock)

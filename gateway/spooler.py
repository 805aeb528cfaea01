"""The outbox on disk: what is in it survives a crash of the process and of the machine.

Values become safe here. `put` only collects; `flush` cuts, seals and COMMITs all that waits in one
transaction, and only committed rows are ever sent. A row leaves the file when the collector's
signed acknowledgement named it and it has been kept for some weeks more, so that a collector
restored from a backup can be filled again. Before that it goes only when the outbox is over its
limit or its bytes are damaged (`gateway.retention`), in one transaction with the record that says so.

One process at a time may use an outbox (`lock`). It starts a new epoch, made of a counter on disk
and random bytes, because a sequence number that is used twice cannot be told from a duplicate.

Errors: SpoolError, and of it SpoolFull (the disk is full: values stay in memory, flush again).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import outbox_rows, retention, wire
from gateway.clock import UNKNOWN, Clock, Discipline
from gateway.lanes import START, Key, Row
from gateway.measurement import SECOND_NS, Columns, empty_columns
from gateway.outbox import Outbox, grown, newer
from gateway.outbox_files import (
    SpoolError,
    SpoolFull,
    boot_id,
    disk_errors,
    end_reason,
    lock,
    next_counter,
    open_or_salvage,
    read_batches,
    read_gaps,
    salvaged,
    set_meta,
    transaction,
)
from gateway.retention import Held, Limits, Room
from gateway.salvage import Found, missing
from gateway.seal import Chain, digest, seal, verify

__all__ = ["Row", "SpoolError", "SpoolFull", "Spooler", "outbox_folder", "read_batches", "read_gaps"]

_COUNTED = (
    "put", "sealed_values", "sealed_batches", "acked_batches", "acks_ignored", "given_up_batches", "given_up_values",
    "refilled_batches", "salvaged_batches",    "damaged_batches",
)  # fmt: skip
DAY_NS = 86400 * SECOND_NS
PRUNE_ROWS = 500  # rows deleted at once: 50,000 take 0.8 s, in which nothing could be committed
PRUNE_EVERY_NS = 60 * SECOND_NS


def outbox_folder(data_dir: str | Path, gateway: str) -> Path:
    """Where a gateway keeps its key, epoch and outbox."""
    return Path(data_dir) / "gateways" / gateway


class Spooler:
    """The outbox of one gateway. Safe to use from any thread.

    folder: see `outbox_folder`; made when missing. key: what the batches are signed with.
    now_ns, mono_ns: wall and monotonic clock; a back-fill gives a wall clock of its own. [ns]
    limits: how long and how much it keeps. discipline: what the system says of the wall clock.
    on_commit: called after rows were committed.
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
    ) -> None:
        self.folder = Path(folder)
        self.plant, self.gateway, self._key = plant, gateway, key
        self._now_ns, self._mono_ns, self._discipline = now_ns, mono_ns, discipline
        self._limits, self._over = limits, False
        self._outbox, self._putting = Outbox(), threading.Lock()
        self._database_lock = threading.RLock()
        self._clock, self._chain = Clock(), Chain(b"")
        self._last_ack: tuple[int, bytes, int] | None = None
        self._unacked = 0
        self._pruned_ns = mono_ns()
        self._counts = dict.fromkeys(_COUNTED, 0)
        self.on_commit: Callable[[], None] | None = None
        self._lock = lock(self.folder)
        try:
            path = self.folder / "outbox.db"
            public = key.public_key()
            self._database, found = open_or_salvage(path, lambda payload: verify(payload, public))
            with self._disk():
                self._start(version, found)
            if found is not None:
                salvaged(path, int.from_bytes(self.epoch[:8]))
        except BaseException:
            os.close(self._lock)
            raise

    # --- in: values, until they are committed ------------------------------------------------------

    def put(self, columns: Columns) -> None:
        """Take measurements; they are safe after the next `flush`."""
        with self._putting:
            self._outbox.put(columns, self._mono_ns())
            self._counts["put"] += len(columns)

    def due_s(self) -> float | None:
        """Seconds until `flush` should be called; None while nothing waits."""
        with self._putting:
            due_ns = self._outbox.due_ns()
        return None if due_ns is None else max(0.0, (due_ns - self._mono_ns()) / SECOND_NS)

    def flush(self) -> int:
        """Seal and commit everything that waits, in one transaction; the number of batches.

        Raises SpoolFull when the disk is full, SpoolError on anything worse. The values are kept.
        """
        with self._disk():
            with self._putting:
                parts = self._outbox.take()
            try:
                self._commit([("data", part, {}) for part in parts])
            except BaseException:
                with self._putting:
                    self._outbox.restore(parts)
                raise
        if parts and self.on_commit:
            self.on_commit()
        with self._disk():
            self._make_room()
        self._prune()
        return len(parts)

    def _commit(
        self,
        parts: Sequence[tuple[str, Columns, Mapping[str, Any]]],
        gone: Sequence[Held] = (),
        *,
        salvaged: Sequence[tuple[bytes, int, int, int, int, bytes]] = (),
    ) -> None:
        """Seal parts (kind, columns, fields) and store them; the chain moves on only when they are on disk.

        gone, salvaged: rows to delete, and sealed ones to store, in the same transaction.
        """
        if not parts and not gone:
            return
        chain, rows, told = self._chain, [], []
        now_ns, mono_ns = self._now_ns(), self._mono_ns()
        clk = self._clock.observe(now_ns, mono_ns, self._discipline())
        low = self._low(chain)
        # Before the values that were measured by the changed clock.
        parts = [*(("clock", empty_columns(), change.fields()) for change in self._clock.changes), *parts]
        for kind, columns, fields in parts:
            header = wire.Header(
                plant=self.plant, gw=self.gateway, ep=chain.epoch, seq=chain.seq + 1, prev=chain.hash, low=low,
                n=len(columns), cfg=wire.NO_HASH, mono_ns=mono_ns, wall_ns=now_ns, clk=clk, kind=kind,  # type: ignore[arg-type]
            )  # fmt: skip
            payload = seal(wire.encode(header, columns, fields), self._key)
            first, last = (int(columns.time_ns.min()), int(columns.time_ns.max())) if header.n else (0, 0)
            rows.append((chain.epoch, header.seq, header.n, first, last, payload))
            if kind == "gap":
                told.append(((chain.epoch, header.seq), retention.Gap(**fields["gap"])))
            chain = chain.then(payload)
        with transaction(self._database):
            outbox_rows.delete(self._database, gone)
            outbox_rows.insert(self._database, now_ns, [*salvaged, *rows])
            outbox_rows.note_gaps(self._database, told)
            set_meta(self._database, last_epoch=chain.epoch, last_seq=chain.seq, last_hash=chain.hash)
        self._chain = chain
        self._clock.recorded()
        self._unacked += len(rows)
        self._counts["sealed_batches"] += len(rows)
        self._counts["sealed_values"] += sum(row[2] for row in rows)

    def _low(self, chain: Chain) -> int:
        """The lowest seq of the epoch without acknowledgement, or the next one."""
        query = "SELECT min(seq) FROM batch WHERE epoch = ? AND acked_ns IS NULL"
        low: int | None = self._database.execute(query, (chain.epoch,)).fetchone()[0]
        return low or chain.seq + 1

    # --- out: committed rows, until they are acknowledged ----------------------------------------------

    def pending(self, limit: int, after: Key = START) -> list[Row]:
        """Up to `limit` rows without acknowledgement above a key, in the order of epoch and seq."""
        with self._disk():
            while True:
                sound, damaged = outbox_rows.waiting(self._database, limit, after)
                if not self._declare(damaged):
                    return sound

    def row(self, key: Key) -> Row | None:
        """One row, if it is still without acknowledgement."""
        with self._disk():
            sound, damaged = outbox_rows.one(self._database, key)
            self._declare(damaged)
        return sound[0] if sound else None

    def _declare(self, damaged: Sequence[Held]) -> bool:
        """Replace damaged rows by gap records; False where nothing was to do, or the disk has no room for them."""
        if not damaged:
            return False
        # A damaged gap record has to be said again.
        said = [*retention.gaps(damaged, "corrupt"), *outbox_rows.told_by(self._database, damaged)]
        try:
            self._commit([("gap", empty_columns(), gap.fields()) for gap in said], damaged)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            return False
        self._unacked -= len(damaged)
        self._counts["damaged_batches"] += len(damaged)
        return True

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement; START where there are no more."""
        query = "SELECT epoch, seq FROM batch WHERE acked_ns IS NULL ORDER BY epoch DESC, seq DESC LIMIT 1 OFFSET ?"
        with self._disk():
            found = self._database.execute(query, (rows,)).fetchone()
        return tuple(found) if found else START

    def accepts(self, ack: wire.Ack) -> bool:
        """Whether an acknowledgement is for this gateway and above the last one; others are counted."""
        good = ack.gw == self.gateway and newer(ack, self._last_ack)
        if not good:
            self._counts["acks_ignored"] += 1
        return good

    @property
    def _generation(self) -> int | None:
        return self._last_ack and self._last_ack[0]

    @property
    def generation(self) -> tuple[int, bytes] | None:
        """The journal that acknowledged last; None before the first time."""
        return self._last_ack and self._last_ack[:2]

    def acked(self, ack: wire.Ack) -> int:
        """Mark what a verified acknowledgement names; the number of rows that were not marked before.

        From a journal of a higher generation it undoes, in the same transaction, the marks of what it does not name.
        """
        with self._disk():
            if not self.accepts(ack):
                return 0
            with transaction(self._database):
                undone = outbox_rows.unmark(self._database, ack) if grown(ack, self._generation) else 0
                marked = outbox_rows.mark(self._database, ack, self._now_ns())
                set_meta(self._database, ack_generation=ack.gen[0], ack_random=ack.gen[1], ack_n=ack.n)
            self._last_ack = (*ack.gen, ack.n)
            self._unacked += undone - marked
            self._counts["refilled_batches"] += undone
            self._counts["acked_batches"] += marked
        return marked

    def unacked(self) -> int:
        """Number of committed rows without acknowledgement."""
        return self._unacked

    def drained(self) -> bool:
        """Whether everything that was put is committed and acknowledged."""
        with self._putting:
            waiting = self._outbox.values
        return not waiting and not self._unacked

    def counts(self) -> dict[str, int]:
        """What went through since the process started, and what waits: for logs, state and tests."""
        with self._putting:
            waiting = {"waiting_values": self._outbox.values, "dropped": self._outbox.dropped}
        return self._counts | waiting | {"unacked_batches": self._unacked}

    @property
    def epoch(self) -> bytes:
        """The epoch of this process, 16 bytes."""
        return self._chain.epoch

    def close(self) -> None:
        """Commit what waits and release the files; the next start then knows that this end was meant."""
        with self._disk():
            try:
                self.flush()
                with transaction(self._database):
                    set_meta(self._database, clean=1)
            finally:
                self._database.close()
                os.close(self._lock)

    # --- start, upkeep ------------------------------------------------------------------------------------

    def _start(self, version: str, found: Mapping[Key, Found] | None) -> None:
        """A new epoch, chained to the last one, with its hello as first batch; found: what was salvaged."""
        meta = dict(self._database.execute("SELECT key, value FROM meta"))
        if found:
            last = found[max(found)]
            meta |= {"last_epoch": last.key[0], "last_seq": last.key[1], "last_hash": digest(last.payload)}
        (self._unacked,) = self._database.execute("SELECT count(*) FROM batch WHERE acked_ns IS NULL").fetchone()
        if "ack_generation" in meta:
            self._last_ack = meta["ack_generation"], meta["ack_random"], meta["ack_n"]
        last_epoch, last_hash = meta.get("last_epoch", b""), meta.get("last_hash", wire.NO_HASH)
        boot = boot_id()
        hello = {
            "prev_ep": last_epoch,
            "prev_last_seq": meta.get("last_seq", 0),
            "prev_last_hash": last_hash,
            "reason": end_reason(meta, boot) if found is None else "corrupt",
            "version": version,
            "boot_id": boot,
        }
        counter = next_counter(self.folder, int.from_bytes(last_epoch[:8]))
        self._chain = Chain(counter.to_bytes(8) + os.urandom(8), 0, last_hash)
        with transaction(self._database):
            set_meta(self._database, clean=0, boot_id=boot)
        rows = [] if found is None else [one.row for _, one in sorted(found.items())]
        said = missing(found or {})
        gaps = [("gap", empty_columns(), gap.fields()) for gap in said]
        self._commit([("hello", empty_columns(), hello), *gaps], salvaged=rows)
        self._unacked += len(rows)
        self._counts["salvaged_batches"] = len(rows)

    def _make_room(self) -> None:
        """Over the limit: a few rows go, acknowledged ones first, others with a record that says so."""
        used = outbox_rows.used_bytes(self._database)
        wanted = retention.excess(used, self._limits.bytes, over=self._over)
        self._over = wanted > 0
        if not wanted:
            return
        acked = outbox_rows.oldest(self._database, PRUNE_ROWS, acked=True)
        unacked = [] if acked else outbox_rows.oldest(self._database, PRUNE_ROWS, acked=False)
        room: Room = retention.make_room(wanted, acked, unacked)
        said = retention.gaps(room.given_up, "outbox_full")
        self._commit([("gap", empty_columns(), gap.fields()) for gap in said], [*room.free, *room.given_up])
        self._unacked -= len(room.given_up)
        self._counts["given_up_batches"] += len(room.given_up)
        self._counts["given_up_values"] += sum(row.n for row in room.given_up)

    def _prune(self) -> None:
        """Delete a few rows that were acknowledged long ago; the rest has time until the next minute."""
        if self._mono_ns() - self._pruned_ns < PRUNE_EVERY_NS:
            return
        query = (
            "DELETE FROM batch WHERE rowid IN (SELECT rowid FROM batch WHERE acked_ns < ? ORDER BY acked_ns LIMIT ?)"
        )
        with self._disk(), transaction(self._database):
            gone = self._database.execute(
                query, (self._now_ns() - int(self._limits.days * DAY_NS), PRUNE_ROWS)
            ).rowcount
        if gone < PRUNE_ROWS:
            self._pruned_ns = self._mono_ns()

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """One user of the database at a time, its errors told apart."""
        with self._database_lock, disk_errors(self.folder / "outbox.db"):
            yield

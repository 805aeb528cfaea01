"""The outbox on disk: what is in it survives a crash of the process and of the machine.

Values become safe here. `put` only collects; `flush` cuts, seals and COMMITs all that waits in one
transaction, and only committed rows are ever sent. A row leaves the file when the collector's
signed acknowledgement named it and it has been kept for some weeks more, so that a collector
restored from a backup can be filled again.

One process at a time may use an outbox (`lock`). It starts a new epoch, made of a counter on disk
and random bytes, because a sequence number that is used twice cannot be told from a duplicate.

Errors: SpoolError, and of it SpoolFull (the disk is full: values stay in memory, flush again).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import wire
from gateway.clock import UNKNOWN, Clock, Discipline
from gateway.identity import sync_folder, write_durably
from gateway.measurement import SECOND_NS, Columns, empty_columns
from gateway.outbox import START, Key, Outbox, newer
from gateway.seal import Chain, seal

DAY_NS = 86400 * SECOND_NS
PRUNE_ROWS = 500  # rows deleted at once: 50,000 take 0.8 s, in which nothing could be committed
PRUNE_EVERY_NS = 60 * SECOND_NS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    sealed_ns INTEGER NOT NULL,
    n INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    acked_ns INTEGER,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX IF NOT EXISTS unacked ON batch (epoch, seq) WHERE acked_ns IS NULL;
CREATE INDEX IF NOT EXISTS acked ON batch (acked_ns) WHERE acked_ns IS NOT NULL;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class SpoolError(Exception):
    """The outbox cannot be used or written; says which file and what to do."""


class SpoolFull(SpoolError):
    """The disk is full. Nothing is lost yet: the values stay in memory and the next flush tries again."""


@dataclass(frozen=True, slots=True)
class Row:
    """A sealed batch. n: measurements in it, 0 for a hello."""

    epoch: bytes
    seq: int
    n: int
    payload: bytes

    @property
    def key(self) -> Key:
        """Epoch and seq."""
        return self.epoch, self.seq


def outbox_folder(data_dir: str | Path, gateway: str) -> Path:
    """Where a gateway keeps its key, epoch and outbox."""
    return Path(data_dir) / "gateways" / gateway


class Spooler:
    """The outbox of one gateway. Safe to use from any thread.

    folder: see `outbox_folder`; made when missing. key: what the batches are signed with.
    now_ns, mono_ns: wall and monotonic clock; a back-fill gives a wall clock of its own. [ns]
    discipline: what the system says of the wall clock. on_commit: called after rows were committed.
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
        retention_days: float = 30,
        discipline: Callable[[], Discipline] = lambda: UNKNOWN,
        version: str = "",
    ) -> None:
        self.folder = Path(folder)
        self.plant, self.gateway, self._key = plant, gateway, key
        self._now_ns, self._mono_ns, self._discipline = now_ns, mono_ns, discipline
        self._retention_ns = int(retention_days * DAY_NS)
        self._outbox, self._putting = Outbox(), threading.Lock()
        self._database_lock = threading.RLock()
        self._clock, self._chain = Clock(), Chain(b"")
        self._last_ack: tuple[int, bytes, int] | None = None
        self._unacked = 0
        self._pruned_ns = mono_ns()
        self._counts = dict.fromkeys(("put", "sealed_values", "sealed_batches", "acked_batches", "acks_ignored"), 0)
        self.on_commit: Callable[[], None] | None = None
        self._lock = _lock(self.folder)
        try:
            self._database = _open(self.folder / "outbox.db")
            self._start(version)
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
        with self._database_lock:
            with self._putting:
                parts = self._outbox.take()
            try:
                self._commit([("data", part, {}) for part in parts])
            except SpoolError:
                with self._putting:
                    self._outbox.restore(parts)
                raise
            self._prune()
        if parts and self.on_commit:
            self.on_commit()
        return len(parts)

    def _commit(self, parts: Sequence[tuple[str, Columns, Mapping[str, Any]]]) -> None:
        """Seal parts (kind, columns, fields) and store them; the chain moves on only when they are on disk."""
        if not parts:
            return
        chain, rows = self._chain, []
        now_ns, mono_ns = self._now_ns(), self._mono_ns()
        clk = self._clock.observe(now_ns, mono_ns, self._discipline())
        low = self._low(chain)
        for kind, columns, fields in parts:
            header = wire.Header(
                plant=self.plant, gw=self.gateway, ep=chain.epoch, seq=chain.seq + 1, prev=chain.hash, low=low,
                n=len(columns), cfg=wire.NO_HASH, mono_ns=mono_ns, wall_ns=now_ns, clk=clk, kind=kind,  # type: ignore[arg-type]
            )  # fmt: skip
            payload = seal(wire.encode(header, columns, fields), self._key)
            first, last = (int(columns.time_ns.min()), int(columns.time_ns.max())) if header.n else (0, 0)
            rows.append((chain.epoch, header.seq, now_ns, header.n, first, last, payload))
            chain = chain.then(payload)
        with self._transaction() as database:
            database.executemany("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", rows)
            _set(database, last_epoch=chain.epoch, last_seq=chain.seq, last_hash=chain.hash)
        self._chain = chain
        self._unacked += len(rows)
        self._counts["sealed_batches"] += len(rows)
        self._counts["sealed_values"] += sum(row[3] for row in rows)

    def _low(self, chain: Chain) -> int:
        """The lowest seq of the epoch without acknowledgement, or the next one."""
        query = "SELECT min(seq) FROM batch WHERE epoch = ? AND acked_ns IS NULL"
        low: int | None = self._database.execute(query, (chain.epoch,)).fetchone()[0]
        return low or chain.seq + 1

    # --- out: committed rows, until they are acknowledged ----------------------------------------------

    def pending(self, limit: int, after: Key = START) -> list[Row]:
        """Up to `limit` rows without acknowledgement above a key, in the order of epoch and seq."""
        query = (
            "SELECT epoch, seq, n, payload FROM batch WHERE acked_ns IS NULL AND (epoch, seq) > (?, ?) "
            "ORDER BY epoch, seq LIMIT ?"
        )
        with self._database_lock:
            return [Row(*row) for row in self._database.execute(query, (*after, limit))]

    def row(self, key: Key) -> Row | None:
        """One row, if it is still without acknowledgement."""
        query = "SELECT epoch, seq, n, payload FROM batch WHERE epoch = ? AND seq = ? AND acked_ns IS NULL"
        with self._database_lock:
            found = self._database.execute(query, key).fetchone()
        return Row(*found) if found else None

    def accepts(self, ack: wire.Ack) -> bool:
        """Whether an acknowledgement is for this gateway and above the last one; others are counted."""
        good = ack.gw == self.gateway and newer(ack, self._last_ack)
        if not good:
            self._counts["acks_ignored"] += 1
        return good

    def acked(self, ack: wire.Ack) -> int:
        """Mark what a verified acknowledgement names; the number of rows that were not marked before."""
        with self._database_lock:
            if not self.accepts(ack):
                return 0
            marked, now_ns = 0, self._now_ns()
            with self._transaction() as database:
                for epoch in ack.epochs:
                    for first, last in ((0, epoch.upto), *epoch.have):
                        query = (
                            "UPDATE batch SET acked_ns = ? WHERE epoch = ? AND seq BETWEEN ? AND ? AND acked_ns IS NULL"
                        )
                        marked += database.execute(query, (now_ns, epoch.ep, first, last)).rowcount
                _set(database, ack_generation=ack.gen[0], ack_random=ack.gen[1], ack_n=ack.n)
            self._last_ack = (*ack.gen, ack.n)
            self._unacked -= marked
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
        with self._database_lock:
            try:
                self.flush()
                with self._transaction() as database:
                    _set(database, clean=1)
            finally:
                self._database.close()
                os.close(self._lock)

    # --- start, upkeep ------------------------------------------------------------------------------------

    def _start(self, version: str) -> None:
        """A new epoch, chained to the last one, with its hello as first batch."""
        meta = dict(self._database.execute("SELECT key, value FROM meta"))
        (self._unacked,) = self._database.execute("SELECT count(*) FROM batch WHERE acked_ns IS NULL").fetchone()
        if "ack_generation" in meta:
            self._last_ack = meta["ack_generation"], meta["ack_random"], meta["ack_n"]
        last_epoch, last_hash = meta.get("last_epoch", b""), meta.get("last_hash", wire.NO_HASH)
        boot_id = _boot_id()
        hello = {
            "prev_ep": last_epoch,
            "prev_last_seq": meta.get("last_seq", 0),
            "prev_last_hash": last_hash,
            "reason": _reason(meta, boot_id),
            "version": version,
            "boot_id": boot_id,
        }
        counter = _next_counter(self.folder, int.from_bytes(last_epoch[:8]))
        self._chain = Chain(counter.to_bytes(8) + os.urandom(8), 0, last_hash)
        with self._transaction() as database:
            _set(database, clean=0, boot_id=boot_id)
        self._commit([("hello", empty_columns(), hello)])

    def _prune(self) -> None:
        """Delete a few rows that were acknowledged long ago; the rest has time until the next minute."""
        if self._mono_ns() - self._pruned_ns < PRUNE_EVERY_NS:
            return
        query = (
            "DELETE FROM batch WHERE rowid IN (SELECT rowid FROM batch WHERE acked_ns < ? ORDER BY acked_ns LIMIT ?)"
        )
        with self._transaction() as database:
            gone = database.execute(query, (self._now_ns() - self._retention_ns, PRUNE_ROWS)).rowcount
        if gone < PRUNE_ROWS:
            self._pruned_ns = self._mono_ns()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """COMMIT at the end, with the errors of the disk told apart."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            path = self.folder / "outbox.db"
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise SpoolFull(f"{path}: the disk is full; make room, nothing is lost yet") from error
            raise SpoolError(f"{path}: cannot be written: {error}; check disk and permissions") from error


def read_batches(path: str | Path) -> list[tuple[bytes, int, int]]:
    """Epoch, seq and number of measurements of every row in an outbox file: what was ever measured and kept."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        return database.execute("SELECT epoch, seq, n FROM batch ORDER BY epoch, seq").fetchall()


def _lock(folder: Path) -> int:
    """Take the folder for this process; the system releases it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"{folder}: cannot be used for the outbox: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolError(f"{folder}: another process uses this outbox; a gateway runs once") from error
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # COMMIT returns when the disk has it
        database.execute("PRAGMA cache_size = -2000")
        database.execute("PRAGMA journal_size_limit = 8388608")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema > 1:
            raise SpoolError(f"{path}: written by a newer version (schema {schema}); update emitwatch")
        database.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: cannot be opened: {error}; move it aside to start with an empty outbox") from error
    return database


def _set(database: sqlite3.Connection, **values: bytes | int | str) -> None:
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def _next_counter(folder: Path, last: int) -> int:
    """Count the process starts; higher than any before even when the file or the outbox went missing."""
    path = folder / "epoch"
    # Without the file the outbox still knows the last epoch, and the random half tells any two apart.
    with contextlib.suppress(FileNotFoundError, ValueError):
        last = max(last, int(path.read_text(encoding="ascii")))
    try:
        write_durably(path.with_name(".epoch"), f"{last + 1}\n")
        path.with_name(".epoch").replace(path)
        sync_folder(folder)
    except OSError as error:
        raise SpoolError(f"{path}: cannot be written: {error.strerror}; check disk and permissions") from error
    return last + 1


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _reason(meta: Mapping[str, Any], boot_id: str) -> str:
    """Why the last epoch ended: start (as meant, or there was none), power (the machine went), crash."""
    if meta.get("clean", 1):
        return "start"
    return "crash" if meta.get("boot_id") == boot_id else "power"

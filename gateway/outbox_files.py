"""The files of an outbox: its database, the counter of process starts, and the lock that keeps others out.

    <data_dir>/gateways/<gateway>/{outbox.db, epoch, lock, key}

What stands here is how the files are opened and how the disk's errors are told apart; what goes into
them is the spooler's business.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.identity import sync_folder, write_durably
from gateway.outbox_rows import fingerprint
from gateway.retention import Gap

SCHEMA = 2
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
    hash BLOB,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX IF NOT EXISTS unacked ON batch (epoch, seq) WHERE acked_ns IS NULL;
CREATE INDEX IF NOT EXISTS acked ON batch (acked_ns) WHERE acked_ns IS NOT NULL;
CREATE TABLE IF NOT EXISTS gap (
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    ep BLOB NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    t_first INTEGER NOT NULL,
    t_last INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (epoch, seq)
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
PRAGMA user_version = 2;
"""


class SpoolError(Exception):
    """The outbox cannot be used or written; says which file and what to do."""


class SpoolFull(SpoolError):
    """The disk is full. Nothing is lost yet: the values stay in memory and the next flush tries again."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell a full disk (SpoolFull) from a broken one (SpoolError)."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:  # a closed database has no code
            raise SpoolFull(f"{path}: the disk is full; make room, nothing is lost yet") from error
        raise SpoolError(f"{path}: cannot be used: {error}; check disk and permissions") from error


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """COMMIT at the end, all or nothing."""
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
        raise


def read_batches(path: str | Path) -> list[tuple[bytes, int, int]]:
    """Epoch, seq and number of measurements of every row in an outbox file: what was ever measured and kept."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        return database.execute("SELECT epoch, seq, n FROM batch ORDER BY epoch, seq").fetchall()


def read_gaps(path: str | Path) -> list[Gap]:
    """All that an outbox file ever declared as given up, in the order of the records."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        query = "SELECT ep, from_seq, to_seq, n, t_first, t_last, reason FROM gap ORDER BY epoch, seq"
        return [Gap(*row) for row in database.execute(query)]


def lock(folder: Path) -> int:
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


def open_database(path: Path) -> sqlite3.Connection:
    """The database of an outbox, made when missing."""
    try:
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # COMMIT returns when the disk has it
        database.execute("PRAGMA cache_size = -2000")
        database.execute("PRAGMA journal_size_limit = 8388608")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise SpoolError(f"{path}: written by a newer version (schema {schema}); update emitwatch")
        if schema == 1:
            _from_1(database)
        database.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: cannot be opened: {error}; move it aside to start with an empty outbox") from error
    return database


def _from_1(database: sqlite3.Connection) -> None:
    """Rows had no fingerprint before."""
    with transaction(database):
        database.create_function("fingerprint", 6, fingerprint, deterministic=True)
        database.execute("ALTER TABLE batch ADD COLUMN hash BLOB")
        database.execute("UPDATE batch SET hash = fingerprint(epoch, seq, n, first_ns, last_ns, payload)")
        database.execute("PRAGMA user_version = 2")


def set_meta(database: sqlite3.Connection, **values: bytes | int | str) -> None:
    """Write some of the outbox's single values."""
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def next_counter(folder: Path, last: int) -> int:
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


def boot_id() -> str:
    """What tells one start of the machine from the next; "" where the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def end_reason(meta: Mapping[str, Any], boot_id: str) -> str:
    """Why the last epoch ended: start (as meant, or there was none), power (the machine went), crash."""
    if meta.get("clean", 1):
        return "start"
    return "crash" if meta.get("boot_id") == boot_id else "power"

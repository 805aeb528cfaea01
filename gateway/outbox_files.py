"""The files of an outbox: its database, the counter of process starts, and the lock that keeps others out.

    <data_dir>/gateways/<gateway>/{outbox.db, epoch, lock, key}

A damaged outbox is renamed aside, its intact rows are salvaged into a new one (`gateway.salvage`), and
it stays as outbox.salvaged-N for whoever wants to look.

What stands here is how the files are opened and how the disk's errors are told apart; what goes into
them is the spooler's business.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway import shelves
from gateway.identity import sync_folder, write_durably
from gateway.lanes import Key
from gateway.outbox_rows import fingerprint
from gateway.retention import Gap
from gateway.salvage import Found, salvage
from gateway.shelves import SpoolError, SpoolFull

SCHEMA = 2
CHECK_BYTES = 64 << 20  # a file up to here is read through at every start: a second or two
SUSPECT = ".suspect"  # stands beside an outbox that was found damaged while it was in use
DAMAGED = ".damaged"  # what a damaged outbox is called until all that is intact has been taken from it
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


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell a full disk (SpoolFull) from a broken one (SpoolError)."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:  # a closed database has no code
            raise SpoolFull(f"{path}: the disk is full; make room, nothing is lost yet") from error
        if is_damage(error):
            path.with_suffix(SUSPECT).touch()
            raise SpoolError(f"{path}: damaged: {error}; the next start salvages what is intact") from error
        raise SpoolError(f"{path}: cannot be used: {error}; check disk and permissions") from error


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_or_salvage(path: Path, verify: Callable[[bytes], bytes]) -> tuple[sqlite3.Connection, dict[Key, Found] | None]:
    """The database of an outbox, and what was salvaged where the file was damaged (then `salvaged` has to follow).

    The damaged file is renamed aside first. While it has that name the salvage is unfinished, and begins anew.
    """
    aside = path.with_suffix(DAMAGED)
    if not aside.exists():
        try:
            if not path.with_suffix(SUSPECT).exists():
                return _checked(path), None
        except sqlite3.Error as error:
            if not is_damage(error):
                raise _unopened(path, error) from error
        with contextlib.suppress(FileNotFoundError):
            _beside(path, "-wal").replace(_beside(aside, "-wal"))
        path.replace(aside)
        sync_folder(path.parent)
    for name in ("", "-wal", "-shm"):
        _beside(path, name).unlink(missing_ok=True)
    log = _beside(aside, "-wal")
    with aside.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if aside.stat().st_size else b""
        found = salvage(whole, log.read_bytes() if log.exists() else b"", verify)
    return open_database(path), found


def salvaged(path: Path, number: int) -> None:
    """What was salvaged is committed: the damaged file is kept under a name that is never read again."""
    aside = path.with_suffix(DAMAGED)
    for name in ("-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            _beside(aside, name).replace(_beside(path.with_suffix(f".salvaged-{number}"), name))
    path.with_suffix(SUSPECT).unlink(missing_ok=True)
    sync_folder(path.parent)


def _beside(path: Path, name: str) -> Path:
    return path.with_name(path.name + name)


def _checked(path: Path) -> sqlite3.Connection:
    """The database; a file of moderate size is read through, a larger one when something is found to be wrong."""
    database = _opened(path)
    if path.stat().st_size <= CHECK_BYTES:
        try:
            (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error:
            database.close()
            raise
        if said != "ok":
            database.close()
            path.with_suffix(SUSPECT).touch()
            error = sqlite3.DatabaseError(said)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
    return database


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
        return _opened(path)
    except sqlite3.Error as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: sqlite3.Error) -> SpoolError:
    return SpoolError(f"{path}: cannot be opened: {error}; move it aside to start with an empty outbox")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {shelves.SYNCHRONOUS}")
        database.execute("PRAGMA cache_size = -2000")
        database.execute("PRAGMA journal_size_limit = 8388608")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise SpoolError(f"{path}: written by a newer version (schema {schema}); update emitwatch")
        if schema == 1:
            _from_1(database)
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
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

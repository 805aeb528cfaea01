"""One file of the outbox: opened, examined, salvaged.

    <number>.db               the file, with its write-ahead log beside it
    <number>.suspect          it was found damaged while it was in use; the next start salvages it
    <number>.damaged          what a damaged file is called until all that is intact has been taken from it
    <number>.salvaged-<n>     what it is called after that, for whoever wants to look

Before SQLite opens a file its log is examined (`gateway.wal`): what SQLite would drop from it in silence is damage.
While a file is called .damaged its salvage is unfinished and begins anew at the next start; the rows come back
under the file's own number, so that all files stay in the order of the stream.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway import outbox_rows, wal
from gateway.identity import sync_folder
from gateway.lanes import START, Key
from gateway.outbox_files import transaction
from gateway.outbox_state import latest_meta
from gateway.salvage import Found, salvage
from gateway.shelves import SYNCHRONOUS, Meta, SpoolError

SCHEMA = 3
SUSPECT, DAMAGED = ".suspect", ".damaged"
_APPLICATION = 0x656D7700  # and the schema: a number that one flipped bit does not make a newer one of
_SCHEMA = f"""
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
PRAGMA user_version = {SCHEMA};
PRAGMA application_id = {_APPLICATION + SCHEMA};
"""
_LARGEST_COMMIT = 64 << 20  # all that can wait in memory, and more
_CHUNK = 1000  # rows put back in one transaction
# What SQLite says where it is not the file's contents that are wrong.
_NOT_THE_FILE = {
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
}  # fmt: skip


@dataclass(slots=True)
class Survey:
    """What is known of a file without asking it. Keys: of all its rows. marked_ns: its youngest mark."""

    rows: int = 0
    unacked: int = 0
    lowest: Key = START
    highest: Key = START
    first_sealed_ns: int = 0
    marked_ns: int = 0
    bytes: int = 0

    @property
    def empty(self) -> bool:
        """Whether it has no rows."""
        return self.highest == START

    @property
    def waiting_bytes(self) -> int:
        """What rows without acknowledgement take, by their number."""
        return self.bytes * self.unacked // self.rows if self.rows else 0


def survey(database: sqlite3.Connection) -> Survey:
    """Ask a file for all that."""
    ends = [
        database.execute(f"SELECT epoch, seq FROM batch ORDER BY epoch {order}, seq {order} LIMIT 1").fetchone()  # noqa: S608
        for order in ("ASC", "DESC")
    ]
    (unacked,) = database.execute("SELECT count(*) FROM batch WHERE acked_ns IS NULL").fetchone()
    (marked,) = database.execute("SELECT max(acked_ns) FROM batch WHERE acked_ns IS NOT NULL").fetchone()
    sealed = database.execute("SELECT sealed_ns FROM batch ORDER BY rowid LIMIT 1").fetchone()
    lowest, highest = (tuple(end) if end else START for end in ends)
    used = outbox_rows.used_bytes(database)
    return Survey(outbox_rows.count(database), unacked, lowest, highest, sealed[0] if sealed else 0, marked or 0, used)


def open_segment(path: Path, max_bytes: int, *, thorough: bool = False) -> sqlite3.Connection:
    """The database, made when missing; raises sqlite3.DatabaseError where it is damaged.

    max_bytes: the outbox's limit; a file never grows far beyond its share of it. thorough: read it through.
    """
    if path.with_suffix(SUSPECT).exists():
        raise _damage("it was found damaged when it was in use")
    if flaw := _flaw(path):
        raise _damage(flaw)
    try:
        database = _opened(path)
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NOT_THE_FILE:
            raise
        raise _damage(str(error)) from error
    try:
        most = max(max_bytes // 4, path.stat().st_size) + _LARGEST_COMMIT
        database.execute(f"PRAGMA max_page_count = {most // wal.PAGE}")
        _examine(database, thorough=thorough)
    except BaseException:
        database.close()
        raise
    return database


def _flaw(path: Path) -> str:
    log = beside(path, "-wal")
    if not log.exists():
        return ""
    head = b""
    if path.exists():
        with path.open("rb") as file:
            head = file.read(100)
    return wal.flaw(head, log.read_bytes())


def _damage(said: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(said)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _opened(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        database.execute("PRAGMA wal_autocheckpoint = 0")  # its errors would be swallowed; see `checkpoint`
        database.execute("PRAGMA cache_size = -1000")
        database.execute("PRAGMA journal_size_limit = 8388608")
        (schema,), (application,) = (database.execute(f"PRAGMA {name}").fetchone() for name in _VERSIONS)
        if (schema, application) != (SCHEMA, _APPLICATION + SCHEMA):
            _upgrade(path, database, schema, application)
        with transaction(database):  # what could not be written is damaged, whatever else is right
            database.execute(f"SELECT {outbox_rows.COLUMNS}, sealed_ns, acked_ns FROM batch LIMIT 0")  # noqa: S608
            database.execute("SELECT ep, from_seq, to_seq, n, t_first, t_last, reason, epoch, seq FROM gap LIMIT 0")
    except BaseException:
        database.close()
        raise
    if new:
        sync_folder(path.parent)
    return database


_VERSIONS = ("user_version", "application_id")


def _upgrade(path: Path, database: sqlite3.Connection, schema: int, application: int) -> None:
    if schema > SCHEMA and application == _APPLICATION + schema:
        raise SpoolError(f"{path}: written by a newer version (schema {schema}); update emitwatch")
    if application or schema > 2:
        raise _damage(f"there is no schema {schema} of application {application}")
    with transaction(database):
        if schema == 1:
            outbox_rows.from_schema_1(database)
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        if schema:
            outbox_rows.from_schema_2(database)


def _examine(database: sqlite3.Connection, *, thorough: bool) -> None:
    """Raise where something is wrong that would otherwise be found too late, or never."""
    if not outbox_rows.notes_are_sound(database):
        raise _damage("what it notes of itself is damaged")
    if thorough:
        (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise _damage(said)


def checkpoint(database: sqlite3.Connection) -> None:
    """Move what the log holds into the file; where there is no room for that, it stays in the log."""
    try:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise


def abandon(path: Path) -> None:
    """Keep SQLite from writing to a file when it closes it: after a failed fsync nothing may be tried again.

    SQLite wants the whole file for itself to copy the log when its last user closes it. A lock that is held in
    another way (by open file description) says that there is one more. It ends with the process.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        shared_bytes = 0x40000002, 510  # where SQLite's readers lock. Source: sqlite3 src/os.h
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, *shared_bytes, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)


# --- salvage -----------------------------------------------------------------------------------------


def set_aside(path: Path) -> None:
    """Give a damaged file the name under which it waits for its salvage."""
    aside = path.with_suffix(DAMAGED)
    with contextlib.suppress(FileNotFoundError):
        beside(path, "-wal").replace(beside(aside, "-wal"))
    if path.exists():
        path.replace(aside)
    else:
        aside.touch()
    sync_folder(path.parent)


def salvage_segment(
    path: Path, verify: Callable[[bytes], bytes], max_bytes: int
) -> tuple[sqlite3.Connection, dict[Key, Found], Meta | None]:
    """The file made anew from what is intact in the one that was set aside; what that was, and what it noted last."""
    aside = path.with_suffix(DAMAGED)
    for name in ("", "-wal", "-shm"):
        beside(path, name).unlink(missing_ok=True)
    path.with_suffix(SUSPECT).unlink(missing_ok=True)
    log_path = beside(aside, "-wal")
    log = log_path.read_bytes() if log_path.exists() else b""
    with _mapped(aside) as whole:
        meta = latest_meta(whole, log)
        found = salvage(whole, log, verify, meta.last_hash if meta else b"")
    database = open_segment(path, max_bytes)
    rows = [one.row for _, one in sorted(found.items())]
    for at in range(0, len(rows), _CHUNK):
        with transaction(database):
            outbox_rows.insert(database, 0, rows[at : at + _CHUNK])
    checkpoint(database)
    return database, found, meta


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[bytes | memoryview]:
    if not path.stat().st_size:
        yield b""
        return
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found,
        memoryview(found) as view,
    ):
        yield view


def salvaged(path: Path, number: int) -> None:
    """What was salvaged is in place and declared: the damaged file is kept under a name that is never read again."""
    aside = path.with_suffix(DAMAGED)
    for name in ("-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            beside(aside, name).replace(beside(path.with_suffix(f".salvaged-{number}"), name))
    sync_folder(path.parent)


def suspect(path: Path) -> None:
    """Note that a file was found damaged."""
    with contextlib.suppress(OSError):
        path.with_suffix(SUSPECT).touch()


def remove(path: Path) -> None:
    """Unlink a file that was closed, its log first: a log without a file is taken for damage, and salvaged."""
    for name in ("-shm", "-wal", ""):
        beside(path, name).unlink(missing_ok=True)


def beside(path: Path, name: str) -> Path:
    """One of the files that SQLite keeps beside a database."""
    return path.with_name(path.name + name)

"""One file of the journal: a month's entries, and what is carried over from file to file.

Its tables and triggers, the two connections to it, and how SQLite's errors become the journal's. A file that
was sealed is opened to read and stays the same, byte for byte.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from collector.intake.inbox import Ranges, Stream
from collector.store import Entry, EntryKind, NotHere
from gateway.seal import digest

_SCHEMA = """
CREATE TABLE entry (
    position INTEGER PRIMARY KEY,
    received_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    gateway TEXT NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    span INTEGER,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX entry_time ON entry (span, first_ns, last_ns) WHERE span IS NOT NULL;
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entry_lasts BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE stream (
    gateway TEXT NOT NULL, epoch BLOB NOT NULL, upto INTEGER NOT NULL, have TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
"""
# What files of an earlier version lack, or have otherwise: bytes that were quarantined under their number may come in a
# second time, as the batch they turned out to be.
_LATER = """
DROP INDEX IF EXISTS entry_key;
CREATE UNIQUE INDEX IF NOT EXISTS entry_number ON entry (gateway, epoch, seq, hash, kind) WHERE seq > 0;
DROP TRIGGER IF EXISTS entry_follows;
-- REPLACE would delete without asking the triggers above.
CREATE TRIGGER IF NOT EXISTS entry_once BEFORE INSERT ON entry
    WHEN NEW.position <= (SELECT max(position) FROM entry) OR EXISTS (
        SELECT 1 FROM entry WHERE gateway = NEW.gateway AND epoch = NEW.epoch AND seq = NEW.seq AND seq > 0
        AND hash = NEW.hash AND kind = NEW.kind)
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE INDEX IF NOT EXISTS entry_event ON entry (position) WHERE kind = 'event';
CREATE INDEX IF NOT EXISTS entry_mark ON entry (position) WHERE kind = 'mark';
CREATE INDEX IF NOT EXISTS entry_quarantine ON entry (position) WHERE kind = 'quarantine';
"""


class JournalError(Exception):
    """The journal cannot be read or written; the text says where and what to do. full: the disk is full."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class MonthMissing(JournalError, NotHere):
    """Entries that were asked for are in a month that was archived or has expired."""


class Segment:
    """One month's file: a connection that writes and one that reads, each under its lock.

    made: whether it is one already (see `make`). first: its first position. sealed: it can only be read.
    thin: of a month that is not here it has the events and marks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        with _errors(path):
            self.sealed = _is_sealed(path)
            if not self.sealed:
                self._writer = _connect(path)
            self._open_reader()
            self.made = bool(self._reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
            if self.made and not self.sealed:
                with self.transaction(_LATER):
                    pass
        meta = self.meta() if self.made else {}
        self.first, self.thin = int(meta.get("first", 0)), bool(meta.get("thin", 0))

    def _open_reader(self) -> None:
        self._reader = _read_only(self.path) if self.sealed else _connect(self.path)
        self._reader.execute("PRAGMA query_only = ON")

    def make(self, first: int, meta: Mapping[str, Any], streams: Mapping[Stream, Ranges]) -> None:
        """Tables and all that is carried over from the month before, in one transaction: a half-made file knows less.

        first: its first position. streams: the one used last stands last.
        """
        with self.transaction(_SCHEMA + _LATER) as connection:
            put_meta(connection, {**meta, "first": first})
            for used, (stream, ranges) in enumerate(streams.items(), -len(streams)):
                put_streams(connection, {stream: ranges}, used)
        self.made, self.first = True, first

    @contextmanager
    def transaction(self, schema: str = "") -> Iterator[sqlite3.Connection]:
        """Everything in it is on the disk at its end, or nothing. schema: statements it begins with."""
        assert not self.sealed, f"{self.path} is sealed"
        with _errors(self.path):
            try:
                self._writer.executescript(f"BEGIN IMMEDIATE; {schema}")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def query(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query gives."""
        with self._reading, _errors(self.path):
            return self._reader.execute(sql, values).fetchall()

    def end(self) -> tuple[int, int]:
        """The last position and its receive time [ns]; the position before the first when there is none."""
        rows = self.query("SELECT position, received_ns FROM entry ORDER BY position DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (self.first - 1, 0)

    def meta(self) -> dict[str, Any]:
        """What is noted about the journal as a whole, and the first position of this file."""
        return dict(self.query("SELECT key, value FROM meta"))

    def settle(self) -> None:
        """Nothing more waits beside the file: leave one tidy file."""
        with _errors(self.path):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def seal(self) -> None:
        """Nothing more is written, ever: the file stays as it is. Raises JournalError while others read it."""
        if self.sealed:
            return
        with self._reading, _errors(self.path):
            self._reader.close()
            try:
                # Without a log of its own, so that reading it leaves no trace.
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._writer.execute("PRAGMA journal_mode = DELETE")
                put_meta(self._writer, {"sealed": 1})
                self._writer.close()
                self.path.chmod(0o440)
                self.sealed = True
            finally:
                self._open_reader()

    def close(self) -> None:
        """Close both connections."""
        with self._reading:
            self._reader.close()
        if not self.sealed:
            self._writer.close()


def thin(whole: Segment, path: Path) -> None:
    """Write the file that takes a sealed month's place: events and marks, at their positions. Raises JournalError."""
    path.unlink(missing_ok=True)
    made = Segment(path)
    with closing(made):
        made.make(whole.first, {"thin": 1}, {})
        with made.transaction() as connection:
            rows = whole.query("SELECT * FROM entry WHERE kind IN ('event', 'mark') ORDER BY position")
            connection.executemany("INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
        made.seal()


def _is_sealed(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with closing(_read_only(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
            return False
        return bool(connection.execute("SELECT 1 FROM meta WHERE key = 'sealed'").fetchone())


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise JournalError(f"{path}: the journal is closed") from error
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        hint = "the disk is full: make room" if full else "is it a journal of this collector, on a healthy disk?"
        raise JournalError(f"{path}: {error}; {hint}", full=full) from error


def put_meta(connection: sqlite3.Connection, meta: Mapping[str, Any]) -> None:
    """Note single values about the journal."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


def put_streams(connection: sqlite3.Connection, streams: Mapping[Stream, Ranges], used: int) -> None:
    """Note where streams stand; used: when last, rising."""
    rows = [(*stream, ranges.upto, json.dumps(ranges.have), used) for stream, ranges in streams.items()]
    connection.executemany("INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?)", rows)


def row_of(entry: Entry) -> tuple[Any, ...]:
    """An entry as its table has it."""
    span = min(62, (entry.last_ns - entry.first_ns).bit_length()) if _searchable(entry) else None
    return (
        entry.position, entry.received_ns, entry.kind.value, entry.gateway, entry.epoch, entry.seq,
        digest(entry.payload), entry.first_ns, entry.last_ns, span, entry.payload,
    )  # fmt: skip


def _searchable(entry: Entry) -> bool:
    return entry.kind is EntryKind.BATCH and (entry.first_ns != 0 or entry.last_ns != 0)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry in a row of position, received_ns, kind, gateway, epoch, seq, payload, first_ns, last_ns."""
    return Entry(row[0], row[1], EntryKind(row[2]), *row[3:])


def lock_folder(folder: Path) -> int:
    """Keep other processes from writing here; the lock ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"{folder}: the journal cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise JournalError(f"{folder}: the journal cannot be locked: {error.strerror}") from error
        raise JournalError(
            f"{folder}: another collector writes this journal; stop it, or use another data_dir"
        ) from error
    return handle

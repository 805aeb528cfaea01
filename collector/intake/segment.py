"""One file of the journal: a month's entries, and what is carried over from file to file.

Its tables and triggers, the two connections to it, and how SQLite's errors become the journal's.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.intake.inbox import Ranges, Stream

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
CREATE UNIQUE INDEX entry_key ON entry (gateway, epoch, seq, hash) WHERE seq > 0;
CREATE INDEX entry_time ON entry (span, first_ns, last_ns) WHERE span IS NOT NULL;
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entry_lasts BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- REPLACE would delete without asking the trigger above.
CREATE TRIGGER entry_follows BEFORE INSERT ON entry
    WHEN NEW.position <= (SELECT max(position) FROM entry) OR EXISTS (
        SELECT 1 FROM entry WHERE gateway = NEW.gateway AND epoch = NEW.epoch AND seq = NEW.seq AND seq > 0
        AND hash = NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE stream (
    gateway TEXT NOT NULL, epoch BLOB NOT NULL, upto INTEGER NOT NULL, have TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (gateway, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
"""
_KIND_INDEXES = "\n".join(
    f"CREATE INDEX IF NOT EXISTS entry_{kind} ON entry (position) WHERE kind = '{kind}';" for kind in ("event", "mark")
)


class JournalError(Exception):
    """The journal cannot be read or written; the text says where and what to do. full: the disk is full."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class Segment:
    """One month's file: a connection that writes and one that reads, each under its lock.

    made: whether it is one already (see `make`). first: its first position.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        with _errors(path):
            self._writer = _connect(path)
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only = ON")
            self.made = bool(self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
            if self.made:
                self._writer.executescript(_KIND_INDEXES)
        self.first = int(self.meta()["first"]) if self.made else 0

    def make(self, first: int, meta: Mapping[str, Any], streams: Mapping[Stream, Ranges]) -> None:
        """Tables and all that is carried over from the month before, in one transaction: a half-made file knows less.

        first: its first position. streams: the one used last stands last.
        """
        with self.transaction(_SCHEMA + _KIND_INDEXES) as connection:
            put_meta(connection, {**meta, "first": first})
            for used, (stream, ranges) in enumerate(streams.items(), -len(streams)):
                put_streams(connection, {stream: ranges}, used)
        self.made, self.first = True, first

    @contextmanager
    def transaction(self, schema: str = "") -> Iterator[sqlite3.Connection]:
        """Everything in it is on the disk at its end, or nothing. schema: statements it begins with."""
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

    def seal(self) -> None:
        """Nothing more is written: leave one tidy file."""
        with _errors(self.path):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close both connections."""
        with self._reading:
            self._reader.close()
        self._writer.close()


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

"""`tree.db`: the leaves of all plants' trees and the checkpoints made of them, on disk.

Leaves are kept apart from the journal, so that a proof outlives a month's file that was archived or
has expired, and so that a batch changed in the journal is told from the one that was there. Rules:

- triggers forbid to change or delete a leaf or a checkpoint;
- leaves, checkpoints and the journal position they come from are one transaction;
- one process writes (the collector's notary), others may read meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.proof.leaves import Leaf
from collector.proof.tree import HASH_BYTES, Frontier, grow

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE leaf (
    plant TEXT NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (plant, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (
    plant TEXT NOT NULL, number INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (plant, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE tree (
    plant TEXT PRIMARY KEY, size INTEGER NOT NULL, peaks BLOB NOT NULL, hour INTEGER NOT NULL, notes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (1, 0);
{triggers}
PRAGMA user_version = 1;
COMMIT;
"""
# What a tree was at its checkpoints, so that a proof from one of them on needs no leaf before it.
_PEAKS = """
CREATE TABLE IF NOT EXISTS summit (
    plant TEXT NOT NULL, size INTEGER NOT NULL, peaks BLOB NOT NULL, PRIMARY KEY (plant, size)
) STRICT, WITHOUT ROWID
"""
_READ = 10_000  # leaves at a time: little memory, and a writer never waits for long
_TRIGGERS = "\n".join(
    f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the tree is append-only'); END;"
    for table in ("leaf", "checkpoint")
    for event in ("update", "delete")
)


class ProofError(Exception):
    """The tree, a checkpoint file or an export cannot be written or read; the text says where and what to do."""


@dataclass(slots=True)
class Grown:
    """A plant's tree as the notary keeps it. hour: of its last checkpoint, in hours since 1970. notes: how many."""

    frontier: Frontier = field(default_factory=Frontier)
    hour: int = 0
    notes: int = 0


class LeafFile:
    """The file, opened to write."""

    def __init__(self, path: str | Path) -> None:
        """Open it, making it if it is not there; raises ProofError."""
        self.path = Path(path)
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            if not self._database.execute("PRAGMA user_version").fetchone()[0]:
                self._database.executescript(_SCHEMA.format(triggers=_TRIGGERS))
            self._database.execute(_PEAKS)

    def position(self) -> int:
        """The journal position up to which batches are in the trees."""
        with self._errors():
            return int(self._database.execute("SELECT position FROM state").fetchone()[0])

    def trees(self) -> dict[str, Grown]:
        """Every plant's tree as last committed."""
        with self._errors():
            rows = self._database.execute("SELECT plant, size, peaks, hour, notes FROM tree").fetchall()
        return {plant: Grown(Frontier(size, _peaks(peaks)), hour, notes) for plant, size, peaks, hour, notes in rows}

    def commit(
        self, leaves: Iterable[tuple[int, Leaf]], notes: Iterable[tuple[str, int, str, Frontier]],
        trees: Mapping[str, Grown], position: int,
    ) -> None:  # fmt: skip
        """Add leaves with their numbers and notes, and move trees and position: all or none.

        notes: plant, number, text, and the tree that the note is of.
        """
        notes = list(notes)
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(
                    "INSERT INTO leaf VALUES (?, ?, ?, ?)",
                    ((leaf.plant, n, leaf.position, leaf.hash) for n, leaf in leaves),
                )
                self._database.executemany("INSERT INTO checkpoint VALUES (?, ?, ?)", [note[:3] for note in notes])
                self._database.executemany(
                    "INSERT OR REPLACE INTO summit VALUES (?, ?, ?)",
                    [(plant, tree.size, b"".join(tree.peaks)) for plant, _, _, tree in notes],
                )
                self._database.executemany(
                    "INSERT OR REPLACE INTO tree VALUES (?, ?, ?, ?, ?)",
                    [(p, t.frontier.size, b"".join(t.frontier.peaks), t.hour, t.notes) for p, t in trees.items()],
                )
                self._database.execute("UPDATE state SET position = ?", (position,))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def notes(self, plant: str, after: int = 0) -> list[str]:
        """The checkpoints of a plant above a number, in order."""
        with self._errors():
            sql = "SELECT note FROM checkpoint WHERE plant = ? AND number > ? ORDER BY number"
            return [row[0] for row in self._database.execute(sql, (plant, after))]

    def settle(self) -> None:
        """Leave nothing beside the file."""
        with self._errors():
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ProofError(f"{self.path}: {error}; is the disk full, or the file of something else?") from error


class LeafReader:
    """The file, opened to read while a collector may be writing to it."""

    def __init__(self, path: Path) -> None:
        """Open it; raises ProofError where it is not there."""
        self._path = path
        try:
            self._database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise ProofError(f"{path}: the trees cannot be read: {error}") from error

    def notes(self, plant: str, after: int) -> list[tuple[int, str]]:
        """The checkpoints of a plant above a number, with their numbers, in order."""
        sql = "SELECT number, note FROM checkpoint WHERE plant = ? AND number > ? ORDER BY number"
        return self._rows(sql, (plant, after))

    def frontier(self, plant: str, size: int) -> Frontier:
        """A plant's tree as it was with `size` leaves."""
        sql = "SELECT size, peaks FROM summit WHERE plant = ? AND size <= ? ORDER BY size DESC LIMIT 1"
        known = self._rows(sql, (plant, size))
        start = Frontier(known[0][0], _peaks(known[0][1])) if known else Frontier()
        return grow(self.leaves(plant, start.size, size), start)

    def leaves(self, plant: str, first: int, end: int) -> Iterator[bytes]:
        """The hashes of the leaves first <= number < end, in order."""
        for low in range(first, end, _READ):
            sql = "SELECT hash FROM leaf WHERE plant = ? AND number >= ? AND number < ? ORDER BY number"
            rows = self._rows(sql, (plant, low, min(low + _READ, end)))
            if len(rows) < min(low + _READ, end) - low:
                raise ProofError(f"{self._path}: leaves of plant {plant} after number {low} are missing")
            yield from (row[0] for row in rows)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise ProofError(f"{self._path}: the trees cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Kept:
    """What `tree.db` holds. position: of the journal. leaves: by plant, (position, hash) in order. notes: by plant."""

    position: int
    leaves: Mapping[str, Sequence[tuple[int, bytes]]]
    notes: Mapping[str, Sequence[str]]


def read_kept(path: Path) -> Kept:
    """What the file holds, read while a collector may be writing to it; nothing where there is no file."""
    if not path.exists():
        return Kept(0, {}, {})
    leaves: dict[str, list[tuple[int, bytes]]] = {}
    notes: dict[str, list[str]] = {}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as database:
            database.execute("BEGIN")  # one moment for all three
            position = int(_rows(database, "SELECT position FROM state")[0][0])
            for plant, *row in database.execute("SELECT plant, position, hash FROM leaf ORDER BY plant, number"):
                leaves.setdefault(plant, []).append((row[0], row[1]))
            for plant, note in database.execute("SELECT plant, note FROM checkpoint ORDER BY plant, number"):
                notes.setdefault(plant, []).append(note)
    except (sqlite3.Error, IndexError) as error:
        raise ProofError(f"{path}: the trees cannot be read: {error}") from error
    return Kept(position, leaves, notes)


def _rows(database: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return database.execute(sql).fetchall()


def _peaks(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))

"""Lines that the server refuses for what they are, with its reason: a small SQLite file.

The journal has their measurements; once the cause is mended, `emitwatch rebuild` brings them into the store.
A line that is refused again, after a crash or by a rebuild, is in the file once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from collector.store import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS refused (
    stream INTEGER, seq INTEGER, idx INTEGER, line TEXT, reason TEXT, PRIMARY KEY (stream, seq, idx)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused line: its key (stream number, batch, place), its text and the server's words."""

    stream: int
    seq: int
    index: int
    line: str
    reason: str


class DeadLetters:
    """The refused lines in a file. Safe to call from any thread. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.executescript(_SCHEMA)
            (self.count,) = self._connection.execute("SELECT count(*) FROM refused").fetchone()
            last = self._connection.execute("SELECT reason FROM refused LIMIT 1").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path}: {error}") from error
        self._reason: str = last[0] if last else ""

    @property
    def problem(self) -> str:
        """What is in there, as a sentence; "" = nothing."""
        if not self.count:
            return ""
        return (
            f"{self.count} measurements are not in the store, as the server refuses them ({self._reason}); see "
            f"{self._path}, mend the cause, then run `emitwatch rebuild`"
        )

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep some, for good when this returns."""
        rows = [(one.stream, one.seq, one.index, one.line, one.reason) for one in letters]
        if not rows:
            return
        try:
            with self._lock:
                self._connection.execute("BEGIN")
                self._connection.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)", rows)
                self._connection.execute("COMMIT")
                (self.count,) = self._connection.execute("SELECT count(*) FROM refused").fetchone()
                self._reason = rows[-1][4]
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def all(self) -> list[DeadLetter]:
        """Every one, in the order of keys."""
        with self._lock:
            found = self._connection.execute("SELECT stream, seq, idx, line, reason FROM refused ORDER BY 1, 2, 3")
            return [DeadLetter(*row) for row in found]

    def clear(self) -> None:
        """Forget all: everything is about to be written anew."""
        with self._lock:
            self._connection.execute("DELETE FROM refused")
            self.count, self._reason = 0, ""

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

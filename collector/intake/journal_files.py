"""The journal's files as somebody reads them who does not write: for exports, also while a collector runs.

Nothing is believed here: entries come as they stand in the files, whoever may have changed them, and
what is gone is simply not there. Errors: JournalError.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.intake.journal import JournalError
from collector.store import Entry, EntryKind

_KINDS = frozenset(EntryKind)
_ENTRIES = (
    "SELECT position, received_ns, kind, gateway, epoch, seq, payload, first_ns, last_ns FROM entry "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_MARKS = _ENTRIES.replace("WHERE", "WHERE kind = 'mark' AND")
_SPAN = (
    "SELECT min(position), max(position) FROM entry WHERE kind = 'batch' AND first_ns < ? AND last_ns >= ? "
    "AND last_ns != 0"
)


class JournalFiles:
    """The files of a journal's folder, in order of their months."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self._files = sorted(folder.glob("[0-9]*-[0-9][0-9].db"))
        if not self._files:
            raise JournalError(f"{folder}: no journal here; is it the data_dir of a collector that has run?")

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > after, ordered by position."""
        return self._read(_ENTRIES, after, limit)

    def marks(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` marks with position > after, ordered by position."""
        return self._read(_MARKS, after, limit)

    def _read(self, sql: str, after: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        for file in self._files:
            if len(found) < limit:
                rows = _query(file, sql, after, limit - len(found))
                found += [Entry(row[0], row[1], _kind(row[2]), *row[3:]) for row in rows]
        return found

    def span(self, from_ns: int, to_ns: int) -> tuple[int, int] | None:
        """Positions of the first and the last batch with a measurement in [from_ns, to_ns); None where there is none.

        from_ns, to_ns: [ns since 1970 UTC]
        """
        spans = [row for file in self._files for row in _query(file, _SPAN, to_ns, from_ns) if row[0] is not None]
        return (min(row[0] for row in spans), max(row[1] for row in spans)) if spans else None


def _kind(name: str) -> EntryKind:
    """What an entry is; one of a kind that does not exist is not believed."""
    return EntryKind(name) if name in _KINDS else EntryKind.QUARANTINE


def _query(file: Path, sql: str, *values: int) -> list[tuple[int, int, str, str, bytes, int, bytes, int, int]]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return []  # a month that was only begun
            return database.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"{file}: {error}; is it a journal of this collector, on a healthy disk?") from error

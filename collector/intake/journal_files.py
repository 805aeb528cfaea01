"""The journal's files as somebody reads them who does not write: for exports, also while a collector runs.

Nothing is believed here: entries come as they stand in the files, whoever may have changed them, and
what is gone is simply not there, and `absent` names the months that left. Errors: JournalError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from collector.intake.journal import JournalError
from collector.intake.months import KEY, noted
from collector.store import Absent, Entry, EntryKind

_READ = 1000
_KINDS = frozenset(EntryKind)
_ENTRIES = (
    "SELECT position, received_ns, kind, gateway, epoch, seq, payload, first_ns, last_ns FROM entry "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_MARKS = _ENTRIES.replace("WHERE", "WHERE kind = 'mark' AND")
_QUARANTINED = (
    "SELECT position, received_ns, kind, gateway, epoch, seq, payload, first_ns, last_ns FROM entry "
    "WHERE kind = 'quarantine' ORDER BY position"
)
_SPAN = (
    "SELECT min(position), max(position) FROM entry WHERE kind = 'batch' AND first_ns < ? AND last_ns >= ? "
    "AND last_ns != 0"
)


class JournalFiles:
    """The files of a journal's folder, in order of their months. months: those that were sealed."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self._files = sorted(folder.glob("[0-9]*-[0-9][0-9].db"))
        if not self._files:
            raise JournalError(f"{folder}: no journal here; is it the data_dir of a collector that has run?")
        meta = {key: value for file in self._files for key, value in _notes(file)}  # the newest file's come last
        self.months = list(noted(meta).values())

    @property
    def open(self) -> list[str]:
        """The months that are not sealed yet, as 2026-11."""
        sealed = {month.name for month in self.months}
        return [file.stem for file in self._files if file.stem not in sealed]

    @property
    def absent(self) -> list[Absent]:
        """The months that were archived or have expired, in order."""
        return [Absent(m.name, m.state.value, m.first, m.last, m.sha256) for m in self.months if not m.here]

    def growth(self) -> tuple[int, int]:
        """How much the newest month's file has grown [bytes], in which time [ns]; as the journal's own."""
        file = self._files[-1]
        sizes = _query(file, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        spans = _query(file, "SELECT max(received_ns) - min(received_ns) FROM entry WHERE position IN "
                             "((SELECT min(position) FROM entry), (SELECT max(position) FROM entry))")  # fmt: skip
        return (sizes[0][0], spans[0][0]) if spans and spans[0][0] is not None else (0, 0)

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

    def quarantined(self) -> Iterator[tuple[Entry, Entry | None]]:
        """What is in quarantine, in order, each with the event that told of it, where one did."""
        for file in self._files:
            for row in _query(file, _QUARANTINED):
                after = _query(file, _ENTRIES, row[0], 1)
                entries = [Entry(r[0], r[1], _kind(r[2]), *r[3:]) for r in (row, *after)]
                told = entries[1] if len(entries) > 1 and entries[1].kind is EntryKind.EVENT else None
                yield entries[0], told

    def span(self, from_ns: int, to_ns: int) -> tuple[int, int] | None:
        """Positions of the first and the last batch with a measurement in [from_ns, to_ns); None where there is none.

        from_ns, to_ns: [ns since 1970 UTC]
        """
        # Of a month that is not here nobody can say more than that it may have one: then all of it counts.
        lacking = [(m.first, m.last) for m in self.months if not m.here and m.touches(from_ns, to_ns)]
        spans = lacking + [
            row for file in self._files for row in _query(file, _SPAN, to_ns, from_ns) if row[0] is not None
        ]
        return (min(row[0] for row in spans), max(row[1] for row in spans)) if spans else None


def batches(file: Path) -> Iterator[Entry]:
    """The batches in one of the files, in order."""
    after = 0
    while rows := _query(file, _ENTRIES, after, _READ):
        after = rows[-1][0]
        yield from (Entry(row[0], row[1], EntryKind.BATCH, *row[3:]) for row in rows if row[2] == EntryKind.BATCH)


def _kind(name: str) -> EntryKind:
    """What an entry is; one of a kind that does not exist is not believed."""
    return EntryKind(name) if name in _KINDS else EntryKind.QUARANTINE


def _notes(file: Path) -> list[tuple[str, Any]]:
    return [row for row in _query(file, "SELECT key, value FROM meta") if row[0].startswith(KEY)]


def _query(file: Path, sql: str, *values: int) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return []  # a month that was only begun
            return database.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"{file}: {error}; is it a journal of this collector, on a healthy disk?") from error

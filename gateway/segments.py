"""The files of an outbox as one: which are open, which is written to, what lies where.

Never more than MAX_OPEN files are open; of the others a survey is kept in memory, which tells what is worth
asking. Errors are SQLite's own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway import outbox_rows, outbox_segment
from gateway.lanes import Key
from gateway.outbox_files import is_damage, segment_path, transaction
from gateway.outbox_segment import Survey

DAY_NS = 86400 * 10**9
SHARE = 16  # of the limit, that a file may take before the next one is begun
SMALLEST = 1 << 20
MAX_OPEN = 4
CHECKPOINT_BYTES = 4 << 20  # written to a log before it is moved into its file
COMMIT_BYTES = 24 << 10  # what a commit writes beside its rows: pages of indexes and notes


class Segments:
    """The files. surveys: of each, by number; newest: the one that is written to, 0 = there is none yet."""

    def __init__(self, folder: Path, surveys: dict[int, Survey], max_bytes: int, mono_ns: Callable[[], int]) -> None:
        self._folder, self.surveys, self._max_bytes, self._mono_ns = folder, surveys, max_bytes, mono_ns
        self.newest = max(surveys, default=0)
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._written: dict[int, int] = {}
        self._since_ns = mono_ns()

    # --- open and closed ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def using(self, number: int) -> Iterator[sqlite3.Connection]:
        """A file's database. Where it turns out to be damaged, the next start will know."""
        try:
            yield self._database(number)
        except sqlite3.Error as error:
            if is_damage(error):
                outbox_segment.suspect(self._path(number))
            raise

    @contextlib.contextmanager
    def writing(self, number: int, size: int = 0) -> Iterator[sqlite3.Connection]:
        """One transaction in a file. size: of what is written, besides what every commit writes. [bytes]"""
        with self.using(number) as database:
            with transaction(database):
                yield database
            self._written[number] = self._written.get(number, 0) + COMMIT_BYTES + size
            if self._written[number] >= CHECKPOINT_BYTES:
                outbox_segment.checkpoint(database)
                self._written[number] = 0

    def _path(self, number: int) -> Path:
        return segment_path(self._folder, number)

    def _database(self, number: int) -> sqlite3.Connection:
        """The one not used for longest is closed for it, but never the newest."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= MAX_OPEN:
            self._shut(next(other for other in self._open if other != self.newest))
        self._open[number] = outbox_segment.open_segment(self._path(number), self._max_bytes)
        return self._open[number]

    def _shut(self, number: int) -> None:
        if database := self._open.get(number):
            outbox_segment.checkpoint(database)
            del self._open[number]
            database.close()

    def close(self, *, broken: bool) -> None:
        """Close all. broken: the disk has failed, so nothing may be written even now."""
        for number, database in self._open.items():
            if broken:
                outbox_segment.abandon(self._path(number))
            else:
                with contextlib.suppress(sqlite3.Error):
                    outbox_segment.checkpoint(database)
            database.close()
        self._open.clear()

    # --- begun and removed ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a new file; the one before stays open until others are used."""
        number = self.newest + 1
        database = outbox_segment.open_segment(self._path(number), self._max_bytes)
        self.surveys[number], self.newest, self._since_ns = Survey(), number, self._mono_ns()
        self._open[number] = database
        if len(self._open) > MAX_OPEN:
            self._shut(next(iter(self._open)))

    def begin_when_due(self, sealed_ns: int) -> None:
        """After a day by the wall clock or by the one that never jumps, as either may be wrong; or above a size."""
        newest = self.surveys[self.newest]
        if newest.empty:
            return
        old = max(sealed_ns - newest.first_sealed_ns, self._mono_ns() - self._since_ns) >= DAY_NS
        if old or newest.bytes >= max(self._max_bytes // SHARE, SMALLEST):
            self.begin()

    def remove(self, number: int) -> None:
        """Unlink a file of which nothing is needed any more."""
        self._shut(number)
        outbox_segment.remove(self._path(number))
        del self.surveys[number]

    # --- what lies where ------------------------------------------------------------------------------

    def survey(self, number: int) -> Survey:
        """Ask a file anew."""
        with self.using(number) as database:
            self.surveys[number] = outbox_segment.survey(database)
        return self.surveys[number]

    def grew(self, sealed_ns: int, keys: list[Key]) -> None:
        """Rows were added to the newest file."""
        survey = self.surveys[self.newest]
        if survey.empty:
            survey.lowest, survey.first_sealed_ns = min(keys), sealed_ns
        survey.highest = max(survey.highest, *keys)
        survey.rows += len(keys)
        survey.unacked += len(keys)
        survey.bytes = outbox_rows.used_bytes(self._open[self.newest])

    def holding(self, first: Key, last: Key) -> list[int]:
        """The files that may hold rows of a range, in the order of the stream."""
        found = [
            number for number, s in self.surveys.items() if not s.empty and s.lowest <= last and first <= s.highest
        ]
        return sorted(found, key=lambda number: self.surveys[number].lowest)

    def waiting(self) -> list[int]:
        """The files with rows without acknowledgement, in the order of the stream."""
        return sorted((n for n, s in self.surveys.items() if s.unacked), key=lambda number: self.surveys[number].lowest)

    @property
    def older(self) -> list[int]:
        """All files but the newest, in the order in which they were begun."""
        return [number for number in sorted(self.surveys) if number != self.newest]

"""What a start finds in the files of an outbox, and the salvage of those that are damaged.

A file is read through where that takes a second or two, the newest files first; what is wrong in the rest is found
when it is used. Files do not depend on one another, so a damaged one is salvaged alone. What it has lost shows
between the numbers that were salvaged, at its edges to the files before and after it, in the hello of the
epoch that followed, and, for the newest file, in what it had noted of itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec.structs import replace

from gateway import outbox_rows, outbox_segment
from gateway.lanes import START, Key
from gateway.outbox_files import is_damage, numbers, segment_path
from gateway.outbox_segment import DAMAGED, Survey
from gateway.outbox_state import Span
from gateway.retention import Gap
from gateway.salvage import Found, Salvaged, missing, read
from gateway.seal import digest
from gateway.shelves import Meta

CHECK_BYTES = 64 << 20  # of files are read through at every start


class Recovery:
    """What was found. damaged: the numbers of files that were salvaged. owed: rows that are still to be deleted."""

    def __init__(self, folder: Path, verify: Callable[[bytes], bytes], max_bytes: int) -> None:
        self._folder, self._verify, self._max_bytes = folder, verify, max_bytes
        self.surveys: dict[int, Survey] = {}
        self.meta, self.owed = Meta(), list[Span]()
        self._notes: dict[int, Meta] = {}
        self._salvaged: dict[int, dict[Key, Found]] = {}
        budget = CHECK_BYTES
        for number in reversed(numbers(folder)):
            path = segment_path(folder, number)
            budget -= path.stat().st_size if path.exists() else 0
            self._take(number, path, thorough=budget >= 0)
        self.damaged = sorted(self._salvaged)
        self._settle_meta()
        rows = sum(map(len, self._salvaged.values()))
        self.found = Salvaged(rows, tuple(self._lost())) if self.damaged else None

    def _take(self, number: int, path: Path, *, thorough: bool) -> None:
        database: sqlite3.Connection | None = None
        if not path.with_suffix(DAMAGED).exists():
            try:
                database = outbox_segment.open_segment(path, self._max_bytes, thorough=thorough)
                self._look(number, database)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                outbox_segment.set_aside(path)
            finally:
                if database:
                    database.close()
        if path.with_suffix(DAMAGED).exists():
            database, self._salvaged[number], meta = outbox_segment.salvage_segment(path, self._verify, self._max_bytes)
            try:
                self._look(number, database)
            finally:
                database.close()
            if meta:
                self._notes[number] = meta

    def _look(self, number: int, database: sqlite3.Connection) -> None:
        self.surveys[number] = outbox_segment.survey(database)
        meta, owed = outbox_rows.notes(database)
        if meta:
            if not any(other > number for other in self._notes):
                self.owed = owed
            self._notes[number] = meta

    def _settle_meta(self) -> None:
        """The newest note, and beyond it what was salvaged."""
        if not self._notes:
            return
        newest = max(self._notes)
        self.meta = self._notes[newest]
        if newest in self.damaged or any(number > newest for number in self.damaged):
            self.meta = max(self._notes.values(), key=_age)
        found = {key: one for rows in self._salvaged.values() for key, one in rows.items()}
        if found and (last := found[max(found)]).key > (self.meta.last_epoch, self.meta.last_seq):
            epoch, seq = last.key
            self.meta = replace(self.meta, last_epoch=epoch, last_seq=seq, last_hash=digest(last.payload))

    def _lost(self) -> Iterable[Gap]:
        """What is missing, for each run of damaged files between sound ones."""
        order = sorted(n for n, survey in self.surveys.items() if n in self._salvaged or not survey.empty)
        run, after = dict[Key, Found](), START
        for place, number in enumerate(order):
            if number in self._salvaged:
                if not run and place:
                    run |= self._edge(order[place - 1], last=True)
                    after = self.surveys[order[place - 1]].highest
                run |= self._salvaged[number]
                if place + 1 == len(order):
                    yield from missing(run, [(self.meta.last_epoch, self.meta.last_seq)], after=after)
            elif place and order[place - 1] in self._salvaged:
                yield from missing(run | self._edge(number, last=False), after=after)
                run, after = {}, START

    def _edge(self, number: int, *, last: bool) -> dict[Key, Found]:
        """The first or last row of a sound file."""
        survey = self.surveys[number]
        database = outbox_segment.open_segment(segment_path(self._folder, number), self._max_bytes)
        try:
            payload = outbox_rows.payload(database, survey.highest if last else survey.lowest)
        finally:
            database.close()
        return {one.key: one for one in read(payload, self._verify)}

    def settle(self, counter: int) -> None:
        """What was salvaged is declared, in the epoch of this counter."""
        for number in self.damaged:
            outbox_segment.salvaged(segment_path(self._folder, number), counter)


def _age(meta: Meta) -> tuple[bytes, int, tuple[int, bytes, int]]:
    return meta.last_epoch, meta.last_seq, meta.ack or (0, b"", 0)

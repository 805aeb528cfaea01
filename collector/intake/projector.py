"""The projector: follows the journal and brings what the batches hold into the store.

One thread. Rules of this file:

- the store's own cursor says how far it is; rows and cursor change together, so a crash anywhere
  neither doubles nor loses a row, and an empty store is filled again from the first entry;
- a store that refuses is tried again and again, the journal goes on meanwhile; `trouble` says why;
- an entry that was readable when it was journalled and is not now is counted and passed over: it
  stays in the journal.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import structlog

from collector.reading import decoded
from collector.shifts import told_in
from collector.store import Entry, EntryKind, JournalReader, NotHere, Rows, Store, StoreError
from gateway import seal, wire
from gateway.measurement import concatenate

# Entries in one transaction of the store: large enough for columns to pay off, small enough for memory.
GROUP_ENTRIES = 1000
# Between two small transactions: values are on the page within a second, the disk is not kept busy.
PAUSE_S = 0.5
WAIT_S = 1.0
RETRY_S = 5.0

log = structlog.get_logger(__name__)


class Projector:
    """Copies batches from the journal to the store. trouble, failed: what is wrong now, for good; "" = nothing."""

    def __init__(self, journal: JournalReader, store: Store) -> None:
        self.trouble = self.failed = ""
        self.unreadable = 0
        self._journal, self._store = journal, store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="projector", daemon=True)

    def start(self) -> None:
        """Begin to follow the journal."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the transaction under way."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _supervise(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:
            self.failed = f"the projector ended: {error}"
            log.exception("The projector ended: the store stays behind; nothing is lost, the journal has everything.")

    def _turn(self) -> None:
        cursor = self._store.cursor()
        last = self._journal.wait(cursor, WAIT_S)
        if last <= cursor:
            if last < cursor:  # found out after the start, of a server that was away then
                self.trouble = (
                    f"the store holds what a journal had up to position {cursor}, but this one ends at {last}: it "
                    "follows another journal; see `emitwatch rebuild`"
                )
            return
        try:
            entries = self._journal.read(cursor, GROUP_ENTRIES)
            self.project(entries)
        except NotHere:
            if not (problem := self._store.problem):
                if self._store.cursor() != cursor:
                    return  # how far the store is was found out just now
                raise
            self.trouble = problem  # nobody knows yet how far the store is
            self._stop.wait(RETRY_S)
            return
        except StoreError as error:
            if not self.trouble:
                log.error("The store refuses; the journal goes on, and the store catches up later.", reason=str(error))
            self.trouble = str(error)
            self._stop.wait(RETRY_S)
            return
        if self.trouble:
            self.trouble = ""
            log.info("The store takes measurements again.")
        if len(entries) < GROUP_ENTRIES:
            self._stop.wait(PAUSE_S)

    def project(self, entries: Sequence[Entry]) -> None:
        """Bring entries that follow the store's cursor into the store; raises StoreError."""
        if not entries:
            return
        kept: list[tuple[Entry, wire.Batch]] = []
        for entry in entries:
            if entry.kind is not EntryKind.BATCH:
                continue
            try:
                kept.append((entry, decoded(entry.payload[1 + seal.SIGNATURE_BYTES :])))
            except wire.WireError as error:
                self.unreadable += 1
                log.error(
                    "An entry of the journal cannot be read any more.", position=entry.position, reason=str(error)
                )
        self._store.append(rows(kept), entries[-1].position, told_in(entries))


def rows(batches: Sequence[tuple[Entry, wire.Batch]]) -> Rows:
    """The measurements of some batches with their keys."""
    filled = [(entry, batch.columns) for entry, batch in batches if len(batch.columns)]
    place: dict[tuple[str, bytes], int] = {}
    streams = [place.setdefault((entry.gateway, entry.epoch), len(place)) for entry, _ in filled]
    counts = np.array([len(columns) for _, columns in filled], np.intp)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return Rows(
        concatenate([columns for _, columns in filled]),
        tuple(place),
        np.repeat(np.array(streams, np.uint16), counts),
        np.repeat(np.array([entry.seq for entry, _ in filled], np.uint64), counts),
        (np.arange(total) - np.repeat(ends - counts, counts)).astype(np.uint16),
        np.repeat(np.array([entry.received_ns for entry, _ in filled], np.int64), counts),
    )

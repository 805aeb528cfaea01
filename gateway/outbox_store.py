"""The outbox's storage: a row of SQLite files, of which the newest is written to. It is a `shelves.Shelves`.

A file is begun when the newest has been written to for a day or is larger than a share of the limit, so that what has
been kept long enough goes by unlinking a file. On a full disk that works where deleting rows does not, and it takes
no time. A file goes when all its rows are acknowledged and its youngest mark is old enough, or, over the limit, the
oldest in which all rows are acknowledged. Rows without acknowledgement go one by one, in chunks.

Each file is a database of its own with its own log; a commit is atomic in one file and never in two. So the order of
commits has to do what one transaction would, whatever comes between them:

- Rows, what gap records say, and the note of what the outbox knows of itself (last number and hash, last
  acknowledgement) are one transaction in the newest file. Notes in older files are never read while a newer one
  holds.
- Rows of other files that go with a commit are named in that transaction as *owed*, and deleted after it. From the
  commit on they are no longer shown. A start that finds some owed deletes them first. So the record that declares a
  row is on the disk before the row goes, and no row is both declared and sent.
- An acknowledgement marks rows in the older files first and is noted last, with the marks in the newest. What comes
  between leaves rows marked that the collector's journal does hold, and the same acknowledgement counts again. Where
  a restored journal takes marks back, all are taken back before the new generation is noted: cut short, the next
  acknowledgement takes them back again; what is sent in vain meanwhile the collector knows as duplicates.
- A new file is on the disk, without rows, before anything is written to it. Empty it says nothing; the note is in the
  file before.
- A file is unlinked when nothing in it is needed: a crash leaves it there, and it goes the next time.
- A damaged file is salvaged under its own number (`gateway.outbox_segment`), and never written to by the same start:
  its epoch's hello, and the records of what is lost, stand in a new file before the damaged one is laid to rest.

A full disk takes records, marks and deletions as long as the reserve lasts (`gateway.reserve`); measurements wait in
memory. After a failed fsync nobody knows what is on the disk: nothing is tried again, not even at the end.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from gateway import outbox_rows, retention, wire
from gateway.lanes import END, START, Key, Row
from gateway.outbox_files import FOLDER, disk_errors, is_broken, is_damage, is_full, take_over
from gateway.outbox_recovery import Recovery
from gateway.reserve import Reserve, free_bytes
from gateway.retention import Gap, Held
from gateway.segments import Segments
from gateway.shelves import Change, Meta, SpoolError, SpoolFull
from gateway.storage import Room

T = TypeVar("T")


class OutboxStore:
    """The storage of one outbox. found: what was salvaged, None = nothing was damaged; then `settle` has to follow.

    verify: see `seal.verify`, with the gateway's own key. max_bytes: the outbox's limit. mono_ns: asks the clock.
    stored_bytes: by this process. Errors: SpoolError, SpoolFull.
    """

    def __init__(
        self,
        folder: Path,
        verify: Callable[[bytes], bytes],
        max_bytes: int = retention.MAX_BYTES,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._folder, self._max_bytes = folder / FOLDER, max_bytes
        self._broken = self._damaged = self._closed = False
        self._owed, self.stored_bytes = list[Held](), 0
        self._moved = 0, 0  # marks made and undone that were not told yet, because a disk was full in between
        self.reserve = Reserve(folder)
        with disk_errors(folder):
            take_over(folder)
            self._folder.mkdir(exist_ok=True)
            self._recovery = self._reserved(lambda: Recovery(self._folder, verify, max_bytes))
            self._meta, self.found = self._recovery.meta, self._recovery.found
            self._files = Segments(self._folder, self._recovery.surveys, max_bytes, mono_ns)
            if self._files.newest in (0, *self._recovery.damaged):
                self._reserved(self._files.begin)
            self._owe([Held(epoch, seq, 0, 0, 0, 0) for epoch, a, b in self._recovery.owed for seq in range(a, b + 1)])
            self.reserve.lay()

    def settle(self, counter: int) -> None:
        """All that was salvaged is declared, in the epoch of this counter."""
        with disk_errors(self._folder):
            self._recovery.settle(counter)

    def close(self) -> None:
        """Release the files."""
        self._closed = True
        self._files.close(broken=self._broken)

    def _guarded(self, work: Callable[[], T]) -> T:
        """Do something with the files; their errors as SpoolError, and nothing more after the disk has failed."""
        if self._broken or self._closed:
            why = "it is closed" if self._closed else "its disk has failed; nothing is tried again"
            raise SpoolError(f"{self._folder}: cannot be used: {why}")
        with disk_errors(self._folder):
            try:
                return work()
            except sqlite3.Error as error:
                self._broken, self._damaged = is_broken(error), self._damaged or is_damage(error)
                raise

    def check(self) -> None:
        """Raise where a file was found damaged in use: it takes a new start to salvage it."""
        if self._damaged:
            raise SpoolError(f"{self._folder}: a file of it is damaged; the next start salvages what is intact")

    def _reserved(self, work: Callable[[], T]) -> T:
        """Do something that the reserve is there for."""
        try:
            return work()
        except sqlite3.Error as error:
            if not (is_full(error) and self.reserve.release()):
                raise
        return work()

    # --- in ---------------------------------------------------------------------------------------------

    def meta(self) -> Meta:
        """As last committed."""
        return self._meta

    def commit(self, change: Change) -> None:
        """Store and delete in one go. The reserve is for records, and for what makes room; they are never refused."""
        if not any(row[2] for row in change.rows):
            self._guarded(lambda: self._reserved(lambda: self._commit(change)))
        elif not self.reserve.admits():
            raise SpoolFull(f"{self._folder}: the disk is full, and its reserve spent; make room, nothing is lost yet")
        else:
            self._guarded(lambda: self._commit(change))

    def _commit(self, change: Change) -> None:
        files = self._files
        if change.rows:
            files.begin_when_due(change.sealed_ns)
        owed = [*self._owed, *(held for held in change.gone if files.holding(held.key, held.key) != [files.newest])]
        with files.writing(files.newest, sum(len(row[5]) for row in change.rows)) as database:
            outbox_rows.delete(database, change.gone)
            outbox_rows.insert(database, change.sealed_ns, change.rows)
            outbox_rows.note_gaps(database, change.told)
            outbox_rows.note(database, change.meta, retention.spans(owed))
        self._meta = change.meta
        self.stored_bytes += sum(len(row[5]) + outbox_rows.ROW_BYTES for row in change.rows)
        if change.gone:
            files.survey(files.newest)
        elif change.rows:
            files.grew(change.sealed_ns, [row[:2] for row in change.rows])
        if owed:
            self._owe(owed)

    def _owe(self, owed: Sequence[Held]) -> None:
        """Delete what a commit took out of other files; what a full disk does not let go stays owed."""
        self._owed = list(owed)
        for number in sorted({number for held in owed for number in self._files.holding(held.key, held.key)}):
            try:
                with self._files.writing(number) as database:
                    outbox_rows.delete_spans(database, retention.spans(owed))
            except sqlite3.Error as error:
                if not (is_full(error) or is_damage(error)):
                    raise
                self._damaged = self._damaged or is_damage(error)
                return
            if self._files.survey(number).empty and number != self._files.newest:
                self._files.remove(number)
        self._owed = []

    def mark(self, ack: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        """Mark what an acknowledgement names."""
        return self._guarded(lambda: self._reserved(lambda: self._mark(ack, now_ns, undo=undo)))

    def _mark(self, ack: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        files, meta = self._files, replace(self._meta, ack=(*ack.gen, ack.n))
        touched = {n for epoch, a, b in outbox_rows.held_by(ack) for n in files.holding((epoch, a), (epoch, b))}
        for number in [*files.older, files.newest]:
            survey, newest = files.surveys[number], number == files.newest
            if not (newest or undo or (survey.unacked and number in touched)):
                continue
            with files.writing(number) as database:
                back = outbox_rows.unmark(database, ack) if undo else 0
                new = outbox_rows.mark(database, ack, now_ns)
                if newest:
                    outbox_rows.note(database, meta)
            survey.unacked += back - new
            survey.marked_ns = max(survey.marked_ns, now_ns) if new else survey.marked_ns
            self._moved = self._moved[0] + new, self._moved[1] + back
        moved, self._meta, self._moved = self._moved, meta, (0, 0)
        return moved

    # --- out ---------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Rows without acknowledgement."""
        return sum(survey.unacked for survey in self._files.surveys.values()) - len(self._owed)

    def waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        """Rows without acknowledgement above a key."""
        return self._guarded(lambda: self._reserved(lambda: self._waiting(limit, after)))

    def _waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        sound, damaged, owed = list[Row](), list[Held](), {held.key for held in self._owed}
        for number in self._files.waiting():
            survey, left = self._files.surveys[number], limit - len(sound) - len(damaged)
            if survey.highest <= after:
                continue
            if left <= 0:
                break
            with self._files.using(number) as database:
                rows, others = outbox_rows.waiting(database, left + len(owed), after)
            sound += [row for row in rows if row.key not in owed][:left]
            damaged += [held for held in others if held.key not in owed]
        return sound[:limit], damaged

    def one(self, key: Key) -> tuple[list[Row], list[Held]]:
        """A row without acknowledgement."""
        if key in {held.key for held in self._owed}:
            return [], []
        return self._guarded(lambda: self._reserved(lambda: self._one(key)))

    def _one(self, key: Key) -> tuple[list[Row], list[Held]]:
        for number in self._files.holding(key, key):
            with self._files.using(number) as database:
                sound, damaged = outbox_rows.one(database, key)
            if sound or damaged:
                return sound, damaged
        return [], []

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement."""
        return self._guarded(lambda: self._reserved(lambda: self._tail(rows)))

    def _tail(self, rows: int) -> Key:
        for number in reversed(self._files.waiting()):
            unacked = self._files.surveys[number].unacked
            if rows < unacked:
                with self._files.using(number) as database:
                    return outbox_rows.tail(database, rows)
            rows -= unacked
        return START

    def lowest(self, epoch: bytes) -> int | None:
        """The lowest seq of an epoch without acknowledgement."""
        return self._guarded(lambda: self._reserved(lambda: self._lowest(epoch)))

    def _lowest(self, epoch: bytes) -> int | None:
        for number in self._files.holding((epoch, 0), (epoch, 1 << 63)):
            if self._files.surveys[number].unacked:
                with self._files.using(number) as database:
                    if (found := outbox_rows.lowest(database, epoch)) is not None:
                        return found
        return None

    def measured(self, after: Key) -> bool:
        """Whether measurements were stored above a key."""
        return self._guarded(lambda: self._reserved(lambda: self._measured(after)))

    def _measured(self, after: Key) -> bool:
        for number in self._files.holding(after, END):
            with self._files.using(number) as database:
                if outbox_rows.measured(database, after):
                    return True
        return False

    def told_by(self, rows: Sequence[Held]) -> list[Gap]:
        """What gap records among some rows said."""
        return self._guarded(lambda: [gap for held in rows for gap in self._told_by(held)])

    def _told_by(self, held: Held) -> list[Gap]:
        said: list[Gap] = []
        for number in self._files.holding(held.key, held.key):
            with self._files.using(number) as database:
                said += outbox_rows.told_by(database, [held])
        return said

    # --- room ----------------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Bytes of the files that hold something."""
        return sum(survey.bytes for survey in self._files.surveys.values())

    def room(self) -> Room:
        """What it takes and may take."""
        waiting = sum(survey.waiting_bytes for survey in self._files.surveys.values())
        reserve = "spent" if self.reserve.spent else "laid" if self.reserve.laid else "none"
        return Room(self.used_bytes(), waiting, self._max_bytes, free_bytes(self._folder), reserve)

    def oldest(self, limit: int, *, acked: bool) -> list[Held]:
        """The oldest rows."""
        return self._guarded(lambda: self._reserved(lambda: self._oldest(limit, acked=acked)))

    def _oldest(self, limit: int, *, acked: bool) -> list[Held]:
        files, found, owed = self._files, list[Held](), {held.key for held in self._owed}
        for number in files.waiting() if not acked else [*files.older, files.newest]:
            if len(found) >= limit:
                break
            with files.using(number) as database:
                rows = outbox_rows.oldest(database, limit - len(found) + len(owed), acked=acked)
            found += [held for held in rows if held.key not in owed]
        return found[:limit]

    def expire(self, before_ns: int, limit: int) -> int:  # noqa: ARG002 - a whole file costs nothing
        """Unlink the oldest file of which all was marked before an instant."""
        self.reserve.lay()
        return self._guarded(lambda: self._drop(before_ns))

    def release(self) -> bool:
        """Unlink the oldest file of which all is acknowledged; False where there is none."""
        return self._guarded(lambda: self._drop(None)) > 0

    def _drop(self, before_ns: int | None) -> int:
        for number in self._files.older:
            survey = self._files.surveys[number]
            if not survey.unacked and (before_ns is None or survey.marked_ns < before_ns):
                self._files.remove(number)
                return survey.rows
        return 0

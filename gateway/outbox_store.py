"""The outbox's storage in an SQLite file: `shelves.Shelves` over `outbox_rows`, each write one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway import outbox_rows, wire
from gateway.lanes import START, Key, Row
from gateway.outbox_files import disk_errors, open_or_salvage, salvaged, set_meta, transaction
from gateway.retention import Gap, Held
from gateway.shelves import Change, Meta


class OutboxStore:
    """One outbox file. found: what was salvaged where it was damaged, None = it was not; then `settle` has to follow.

    verify: see `seal.verify`, with the gateway's own key. Errors: SpoolError, SpoolFull.
    """

    def __init__(self, folder: Path, verify: Callable[[bytes], bytes]) -> None:
        self._path = folder / "outbox.db"
        self._database, self.found = open_or_salvage(self._path, verify)

    def settle(self, counter: int) -> None:
        """All that was salvaged is committed again, in the epoch of this counter."""
        if self.found is not None:
            salvaged(self._path, counter)

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self._path), transaction(self._database):
            yield self._database

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self._path):
            yield self._database

    # --- shelves.Shelves -----------------------------------------------------------------------------

    def meta(self) -> Meta:
        """As last committed."""
        with self._reading() as database:
            return _meta(dict(database.execute("SELECT key, value FROM meta")))

    def count(self) -> int:
        """Rows without acknowledgement."""
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM batch WHERE acked_ns IS NULL").fetchone()[0])

    def commit(self, change: Change) -> None:
        """Store and delete in one go."""
        meta = change.meta
        with self._transaction() as database:
            outbox_rows.delete(database, change.gone)
            outbox_rows.insert(database, change.sealed_ns, change.rows)
            outbox_rows.note_gaps(database, change.told)
            set_meta(
                database, last_epoch=meta.last_epoch, last_seq=meta.last_seq, last_hash=meta.last_hash,
                clean=int(meta.clean), boot_id=meta.boot_id, seen_ns=meta.seen_ns,
            )  # fmt: skip

    def waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        """Rows without acknowledgement above a key."""
        with self._reading() as database:
            return outbox_rows.waiting(database, limit, after)

    def one(self, key: Key) -> tuple[list[Row], list[Held]]:
        """A row without acknowledgement."""
        with self._reading() as database:
            return outbox_rows.one(database, key)

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement."""
        query = "SELECT epoch, seq FROM batch WHERE acked_ns IS NULL ORDER BY epoch DESC, seq DESC LIMIT 1 OFFSET ?"
        with self._reading() as database:
            found = database.execute(query, (rows,)).fetchone()
        return (found[0], found[1]) if found else START

    def lowest(self, epoch: bytes) -> int | None:
        """The lowest seq of an epoch without acknowledgement."""
        query = "SELECT min(seq) FROM batch WHERE epoch = ? AND acked_ns IS NULL"
        with self._reading() as database:
            low: int | None = database.execute(query, (epoch,)).fetchone()[0]
        return low

    def oldest(self, limit: int, *, acked: bool) -> list[Held]:
        """The oldest rows."""
        with self._reading() as database:
            return outbox_rows.oldest(database, limit, acked=acked)

    def told_by(self, rows: Sequence[Held]) -> list[Gap]:
        """What gap records among some rows said."""
        with self._reading() as database:
            return outbox_rows.told_by(database, rows)

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        with self._reading() as database:
            return outbox_rows.used_bytes(database)

    def mark(self, ack: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        """Mark what an acknowledgement names."""
        with self._transaction() as database:
            undone = outbox_rows.unmark(database, ack) if undo else 0
            marked = outbox_rows.mark(database, ack, now_ns)
            set_meta(database, ack_generation=ack.gen[0], ack_random=ack.gen[1], ack_n=ack.n)
        return marked, undone

    def expire(self, before_ns: int, limit: int) -> int:
        """Delete rows that were marked before an instant."""
        query = (
            "DELETE FROM batch WHERE rowid IN (SELECT rowid FROM batch WHERE acked_ns < ? ORDER BY acked_ns LIMIT ?)"
        )
        with self._transaction() as database:
            return database.execute(query, (before_ns, limit)).rowcount


def _meta(found: Mapping[str, Any]) -> Meta:
    ack = (found["ack_generation"], found["ack_random"], found["ack_n"]) if "ack_generation" in found else None
    new = Meta()
    return Meta(
        found.get("last_epoch", new.last_epoch), found.get("last_seq", new.last_seq),
        found.get("last_hash", new.last_hash), ack, bool(found.get("clean", new.clean)),
        found.get("boot_id", new.boot_id), found.get("seen_ns", new.seen_ns),
    )  # fmt: skip

"""The rows of an outbox database: read and verified, marked, deleted. Transactions are the spooler's business."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from gateway import outbox_state, wire
from gateway.lanes import Key, Row
from gateway.outbox_state import Span
from gateway.retention import Gap, Held
from gateway.shelves import Meta, Sealed

STATE, OWED = "state", "owed"  # notes beside the rows, see `gateway.outbox_state`
ROW_BYTES = 200  # a row's columns and places in the indexes, besides its payload
COLUMNS = "epoch, seq, n, first_ns, last_ns, payload, hash"


def fingerprint(epoch: bytes, seq: int, n: int, first_ns: int, last_ns: int, payload: bytes) -> bytes:
    """SHA-256 of all that a row says and its sender relies on."""
    found = hashlib.sha256(b"%b|%d|%d|%d|%d|" % (epoch, seq, n, first_ns, last_ns))
    found.update(payload)
    return found.digest()


def insert(database: sqlite3.Connection, sealed_ns: int, rows: Iterable[Sealed]) -> None:
    """Store rows, each with its fingerprint."""
    query = f"INSERT INTO batch ({COLUMNS}, sealed_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    database.executemany(query, [(*row, fingerprint(*row), sealed_ns) for row in rows])


def waiting(database: sqlite3.Connection, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
    """Rows without acknowledgement above a key: the sound ones, and what is known of damaged ones."""
    where = "WHERE acked_ns IS NULL AND (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ?"
    return _verified(database.execute(f"SELECT {COLUMNS} FROM batch {where}", (*after, limit)))  # noqa: S608


def one(database: sqlite3.Connection, key: Key) -> tuple[list[Row], list[Held]]:
    """A row without acknowledgement, sound or damaged, if there is one."""
    where = "WHERE acked_ns IS NULL AND epoch = ? AND seq = ?"
    return _verified(database.execute(f"SELECT {COLUMNS} FROM batch {where}", key))  # noqa: S608


def tail(database: sqlite3.Connection, rows: int) -> Key:
    """The key above which just so many rows are without acknowledgement; there are more."""
    query = "SELECT epoch, seq FROM batch WHERE acked_ns IS NULL ORDER BY epoch DESC, seq DESC LIMIT 1 OFFSET ?"
    epoch, seq = database.execute(query, (rows,)).fetchone()
    return epoch, seq


def lowest(database: sqlite3.Connection, epoch: bytes) -> int | None:
    """The lowest seq of an epoch without acknowledgement."""
    query = "SELECT min(seq) FROM batch WHERE epoch = ? AND acked_ns IS NULL"
    found: int | None = database.execute(query, (epoch,)).fetchone()[0]
    return found


def measured(database: sqlite3.Connection, after: Key) -> bool:
    """Whether a row above a key has measurements."""
    query = "SELECT EXISTS (SELECT 1 FROM batch WHERE (epoch, seq) > (?, ?) AND n > 0)"
    return bool(database.execute(query, after).fetchone()[0])


def count(database: sqlite3.Connection) -> int:
    """All rows."""
    return int(database.execute("SELECT count(*) FROM batch").fetchone()[0])


def payload(database: sqlite3.Connection, key: Key) -> bytes:
    """The payload of a row, sound or not; b"" where there is none."""
    found = database.execute("SELECT payload FROM batch WHERE epoch = ? AND seq = ?", key).fetchone()
    return found[0] if found and isinstance(found[0], bytes) else b""


def _verified(rows: Iterable[Sequence[Any]]) -> tuple[list[Row], list[Held]]:
    sound, damaged = [], []
    for epoch, seq, n, first_ns, last_ns, payload, hash in rows:
        try:
            good = fingerprint(epoch, seq, n, first_ns, last_ns, payload) == hash
        except TypeError:  # another kind of value stands where a number or bytes stood
            good = False
        if good:
            sound.append(Row(epoch, seq, n, payload))
        else:
            n, first_ns, last_ns = (_number(value) for value in (n, first_ns, last_ns))
            damaged.append(Held(epoch, seq, min(n, wire.MAX_VALUES), first_ns, last_ns, ROW_BYTES))
    return sound, damaged


def _number(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0


def oldest(database: sqlite3.Connection, limit: int, *, acked: bool) -> list[Held]:
    """The oldest rows: those acknowledged first, or those with measurements and without acknowledgement."""
    where = "acked_ns IS NOT NULL ORDER BY acked_ns" if acked else "acked_ns IS NULL AND n > 0 ORDER BY epoch, seq"
    query = f"SELECT epoch, seq, n, first_ns, last_ns, length(payload) + ? FROM batch WHERE {where} LIMIT ?"  # noqa: S608
    return [Held(*row) for row in database.execute(query, (ROW_BYTES, limit))]


def delete(database: sqlite3.Connection, rows: Iterable[Held]) -> None:
    """Take rows out."""
    database.executemany("DELETE FROM batch WHERE epoch = ? AND seq = ?", [row.key for row in rows])


def delete_spans(database: sqlite3.Connection, spans: Iterable[Span]) -> None:
    """Take runs of rows out."""
    database.executemany("DELETE FROM batch WHERE epoch = ? AND seq BETWEEN ? AND ?", spans)


def note_gaps(database: sqlite3.Connection, told: Iterable[tuple[Key, Gap]]) -> None:
    """Keep what gap records say, by the record's key: a record that is damaged has to be said again."""
    query = "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    rows = [(*key, g.ep, g.from_seq, g.to_seq, g.n, g.t_first, g.t_last, g.reason) for key, g in told]
    database.executemany(query, rows)


def told_by(database: sqlite3.Connection, rows: Iterable[Held]) -> list[Gap]:
    """What gap records among some rows said."""
    query = "SELECT ep, from_seq, to_seq, n, t_first, t_last, reason FROM gap WHERE epoch = ? AND seq = ?"
    return [Gap(*found) for row in rows for found in database.execute(query, row.key)]


def used_bytes(database: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, unused, size = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES)
    return int((pages - unused) * size)


_PAGES = ("page_count", "freelist_count", "page_size")


def held_by(ack: wire.Ack) -> list[tuple[bytes, int, int]]:
    """Epoch, first and last seq of all that an acknowledgement names."""
    return [(epoch.ep, *span) for epoch in ack.epochs for span in ((0, epoch.upto), *epoch.have)]


def mark(database: sqlite3.Connection, ack: wire.Ack, now_ns: int) -> int:
    """Mark what an acknowledgement names; how many rows were not marked before."""
    query = "UPDATE batch SET acked_ns = ? WHERE epoch = ? AND seq BETWEEN ? AND ? AND acked_ns IS NULL"
    return sum(database.execute(query, (now_ns, *span)).rowcount for span in held_by(ack))


def unmark(database: sqlite3.Connection, ack: wire.Ack) -> int:
    """Undo the marks of all that an acknowledgement does not name; how many there were."""
    undo = "UPDATE batch SET acked_ns = NULL WHERE acked_ns IS NOT NULL AND epoch"
    named = [epoch.ep for epoch in ack.epochs]
    undone = database.execute(f"{undo} NOT IN ({', '.join('?' * len(named))})", named).rowcount
    for epoch in ack.epochs:
        above = f"{undo} = ? AND seq > ?{' AND seq NOT BETWEEN ? AND ?' * len(epoch.have)}"
        spans = [end for span in epoch.have for end in span]
        undone += database.execute(above, (epoch.ep, epoch.upto, *spans)).rowcount
    return undone


# --- notes ---------------------------------------------------------------------------------------------


def note(database: sqlite3.Connection, meta: Meta, owed: Sequence[Span] | None = None) -> None:
    """Note what the outbox knows of itself. owed: rows of other files that have to be deleted yet; None = as before."""
    notes = {STATE: outbox_state.pack_meta(meta)}
    if owed is not None:
        notes[OWED] = outbox_state.pack_spans(owed)
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", notes.items())


def notes(database: sqlite3.Connection) -> tuple[Meta | None, list[Span]]:
    """What a file notes; None where it was never written to."""
    found = dict(database.execute("SELECT key, value FROM meta"))
    return outbox_state.meta_in(found.get(STATE)), outbox_state.spans_in(found.get(OWED)) or []


def notes_are_sound(database: sqlite3.Connection) -> bool:
    """Whether each note is as it was written."""
    readers = {STATE: outbox_state.meta_in, OWED: outbox_state.spans_in}
    found = database.execute("SELECT key, value FROM meta")
    return all(key in readers and readers[key](value) is not None for key, value in found)


# --- files of earlier versions --------------------------------------------------------------------------


def from_schema_1(database: sqlite3.Connection) -> None:
    """Rows had no fingerprint."""
    database.create_function("fingerprint", 6, fingerprint, deterministic=True)
    database.execute("ALTER TABLE batch ADD COLUMN hash BLOB")
    database.execute("UPDATE batch SET hash = fingerprint(epoch, seq, n, first_ns, last_ns, payload)")


def from_schema_2(database: sqlite3.Connection) -> None:
    """What the outbox knew of itself were single values without a checksum."""
    found = dict(database.execute("SELECT key, value FROM meta"))
    new = Meta()
    ack = (found["ack_generation"], found["ack_random"], found["ack_n"]) if "ack_generation" in found else None
    meta = Meta(
        found.get("last_epoch", new.last_epoch), found.get("last_seq", new.last_seq),
        found.get("last_hash", new.last_hash), ack, bool(found.get("clean", new.clean)),
        found.get("boot_id", new.boot_id), found.get("seen_ns", new.seen_ns),
    )  # fmt: skip
    database.execute("DELETE FROM meta")
    note(database, meta, ())

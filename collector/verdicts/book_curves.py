"""Averages by column in `verdicts.db`, beside the rows: what charts are read from.

Rules of this file:

- the rows are the truth, and the columns are made of them alone, in the order of their ids: `upto` is the id up to
  which that was done, and moves in the same transaction as the parts. A chart is the parts with the rows behind laid
  over them, the later one of each time. Doing rows again changes nothing in that;
- so the columns may be lost at any time: where they, or a part of them, are gone or of another layout, `upto` begins
  anew; in the place of a damaged part its rows are read;
- whoever writes goes on as soon as FEW rows are behind (`fold`), by steps of a bounded size: so a chart looks through
  few rows, and a book that has none of this yet gets it while it is in use;
- minutes stay rows: too many, and charts ask for a few hours of them at most.

The functions take a connection; transactions are the caller's.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Any

from collector.verdicts import curves
from collector.verdicts.curves import Rows

LAYOUT = 1
FEW = 1000  # rows that a chart looks through one by one, in as much time as the parts of a year of hours take
STEP = 20_000  # rows of one step: some tenths of a second
MINUTES = "1m"
Key = tuple[str, str, str, str]  # plant, point, window, parameter

_UPTO = """
CREATE TABLE IF NOT EXISTS curve_upto (
    only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL, upto INTEGER NOT NULL
) STRICT;
"""
_SCHEMA = f"""
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS curve;
CREATE TABLE curve (
    plant TEXT NOT NULL, point TEXT NOT NULL, window TEXT NOT NULL, parameter TEXT NOT NULL, part INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (plant, point, window, parameter, part)
) STRICT;
CREATE TRIGGER curve_removed AFTER DELETE ON curve BEGIN UPDATE curve_upto SET upto = 0; END;
INSERT OR REPLACE INTO curve_upto VALUES (1, {LAYOUT}, 0);
COMMIT;
"""  # noqa: S608 - a constant
_KEY = "(plant, point, window, parameter) = (?, ?, ?, ?)"


def prepare(db: sqlite3.Connection) -> None:
    """Make room for columns where there is none of this layout. Outside of a transaction."""
    db.execute(_UPTO)
    there = "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'curve')"
    if db.execute(f"SELECT layout FROM curve_upto WHERE {there}").fetchall() != [(LAYOUT,)]:  # noqa: S608
        db.executescript(_SCHEMA)


def behind(db: sqlite3.Connection) -> tuple[int, int]:
    """The id up to which rows are in columns, and the last id there is."""
    found = db.execute("SELECT upto, (SELECT coalesce(max(id), 0) FROM average) FROM curve_upto").fetchone()
    return int(found[0]), int(found[1])


def fold(db: sqlite3.Connection, most: int) -> bool:
    """Put the next rows into columns, `most` of them at most; whether as many wait that the next step may follow."""
    upto, latest = behind(db)
    end = min(latest, upto + most)
    found = defaultdict[Key, list[tuple[Any, ...]]](list)
    for row in db.execute(
        f"SELECT plant, point, window, parameter, {curves.COLUMNS} FROM average NOT INDEXED "  # noqa: S608
        "WHERE id > ? AND id <= ? AND window <> ? ORDER BY id",
        (upto, end, MINUTES),
    ):
        found[row[:4]].append(row[4:])
    for key, new in found.items():
        _add(db, key, curves.rows(new))
    db.execute("UPDATE curve_upto SET upto = ?", (end,))
    return latest - end >= FEW


def _add(db: sqlite3.Connection, key: Key, new: Rows) -> None:
    """Lay rows of a series over its parts."""
    parts = new["from_ns"] // curves.part_ns(key[2])
    for part in sorted(set(parts.tolist())):
        over = [*_bodies(db, key, part, part), new[parts == part].tobytes()]
        crc, body = curves.packed(curves.newest(curves.unpacked(over)))
        db.execute(
            "INSERT INTO curve VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET crc = excluded.crc, body = excluded.body",
            (*key, part, crc, body),
        )


def read(db: sqlite3.Connection, key: Key, from_ns: int, to_ns: int) -> Rows:
    """The newest rows of a series by time: those of windows that start in [from_ns, to_ns), and some around them.

    No minutes. In a transaction, so that parts and rows are of one moment.
    """
    upto, latest = behind(db)
    length_ns = curves.part_ns(key[2])
    kept = _bodies(db, key, from_ns // length_ns, (to_ns - 1) // length_ns)
    new = _rows(db, key, from_ns, to_ns, upto, few=latest - upto <= FEW)
    return curves.newest(curves.unpacked([*kept, new.tobytes()]))  # bytes are joined sooner than rows


def from_rows(db: sqlite3.Connection, key: Key, from_ns: int, to_ns: int) -> Rows:
    """As `read`, without the columns."""
    return curves.newest(_rows(db, key, from_ns, to_ns))


def _bodies(db: sqlite3.Connection, key: Key, first: int, last: int) -> list[bytes]:
    """The bodies of some parts of a series, by time; in the place of a damaged one what its rows come to."""
    found = db.execute(
        f"SELECT part, crc, body FROM curve WHERE {_KEY} AND part BETWEEN ? AND ? ORDER BY part",  # noqa: S608
        (*key, first, last),
    )
    return [body if curves.whole(crc, body) else _again(db, key, part) for part, crc, body in found]


def _again(db: sqlite3.Connection, key: Key, part: int) -> bytes:
    """The body of a part as its rows give it."""
    length_ns = curves.part_ns(key[2])
    return from_rows(db, key, part * length_ns, (part + 1) * length_ns).tobytes()


def _rows(db: sqlite3.Connection, key: Key, from_ns: int, to_ns: int, after: int = 0, *, few: bool = False) -> Rows:
    """Rows of a series with an id above `after` by time and version. few: look through all of these, of any series."""
    found = db.execute(
        f"SELECT {curves.COLUMNS} FROM average {'NOT INDEXED' if few else 'INDEXED BY average_key'} "  # noqa: S608
        f"WHERE id > ? AND {_KEY} AND from_ns >= ? AND from_ns < ? ORDER BY from_ns, version",
        (after, *key, from_ns, to_ns),
    )
    return curves.rows(found.fetchall())

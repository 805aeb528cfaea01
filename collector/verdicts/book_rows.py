"""Rows of the book of verdicts and the records they stand for; the layout of `verdicts.db`.

Pure: `book.py` moves the rows. NaN is never written, it becomes NULL; open mappings (percentiles, inputs,
evidence) are JSON, so that any SQLite client can read them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from collector.marks import Filed, decode
from collector.verdicts.records import Average, Change, Exceedance, Standing

SCHEMA_VERSION = 1

AVERAGE = (
    "plant", "point", "parameter", "window", "from_ns", "to_ns", "value", "unit", "coverage", "valid",
    "count", "evaluated", "maximum", "percentiles", "inputs", "version", "sums",
)  # fmt: skip
EXCEEDANCE = (
    "plant", "point", "parameter", "pack", "clause", "cite", "title", "window", "from_ns", "to_ns", "value",
    '"limit"', "unit", "standing", "verified", "low", "late", "change", "version", "evidence",
)  # fmt: skip

MARK = ("position", "received_ns", "plant", "point", "from_ns", "to_ns", "payload")

_TRIGGERS = "\n".join(
    f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'verdicts are append-only'); END;"
    for table in ("average", "exceedance")
    for event in ("update", "delete")
)
SCHEMA = f"""
CREATE TABLE average (
    id INTEGER PRIMARY KEY AUTOINCREMENT, plant TEXT NOT NULL, point TEXT NOT NULL, parameter TEXT NOT NULL,
    window TEXT NOT NULL, from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, value REAL, unit TEXT NOT NULL,
    coverage REAL NOT NULL, valid INTEGER NOT NULL, count INTEGER NOT NULL, evaluated REAL, maximum REAL,
    percentiles BLOB NOT NULL, inputs BLOB NOT NULL, version INTEGER NOT NULL, derived_ns INTEGER NOT NULL,
    sums BLOB NOT NULL DEFAULT x'7b7d'
) STRICT;
CREATE UNIQUE INDEX average_key ON average (plant, point, window, parameter, from_ns, version);
CREATE TABLE exceedance (
    id INTEGER PRIMARY KEY AUTOINCREMENT, plant TEXT NOT NULL, point TEXT NOT NULL, parameter TEXT NOT NULL,
    pack TEXT NOT NULL, clause TEXT NOT NULL, cite TEXT NOT NULL, title TEXT NOT NULL, window TEXT NOT NULL,
    from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, value REAL NOT NULL, "limit" REAL NOT NULL,
    unit TEXT NOT NULL, standing TEXT NOT NULL, verified INTEGER NOT NULL, low REAL, late INTEGER NOT NULL,
    change TEXT NOT NULL, version INTEGER NOT NULL, evidence BLOB NOT NULL, derived_ns INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX exceedance_key ON exceedance (plant, point, pack, clause, from_ns, version);
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
{_TRIGGERS}
PRAGMA user_version = {SCHEMA_VERSION};
"""
# For a book made before days had sums: its months and years wait until it is derived anew.
SUMS_COLUMN = "ALTER TABLE average ADD COLUMN sums BLOB NOT NULL DEFAULT x'7b7d'"
# Beside the schema, so that a book made before there were marks gets them too.
MARKS_SCHEMA = """
CREATE TABLE IF NOT EXISTS mark (
    position INTEGER PRIMARY KEY, received_ns INTEGER NOT NULL, plant TEXT NOT NULL, point TEXT NOT NULL,
    from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, payload BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS mark_place ON mark (plant, point, from_ns);
CREATE TRIGGER IF NOT EXISTS mark_no_update BEFORE UPDATE ON mark
    BEGIN SELECT RAISE(ABORT, 'verdicts are append-only'); END;
CREATE TRIGGER IF NOT EXISTS mark_no_delete BEFORE DELETE ON mark
    BEGIN SELECT RAISE(ABORT, 'verdicts are append-only'); END;
"""


def _number(value: float | None) -> float | None:
    """A number as the book keeps it: None instead of NaN."""
    return None if value is None or math.isnan(value) else float(value)


def average_values(a: Average, derived_ns: int) -> tuple[Any, ...]:
    """The row of an average: the columns AVERAGE, then derived_ns."""
    return (
        a.plant, a.point, a.parameter, a.window, a.from_ns, a.to_ns, _number(a.value), a.unit, a.coverage, a.valid,
        a.count, _number(a.evaluated), _number(a.maximum), _pack(a.percentiles), _pack(a.inputs), a.version,
        _pack(a.sums), derived_ns,
    )  # fmt: skip


def exceedance_values(e: Exceedance, derived_ns: int) -> tuple[Any, ...]:
    """The row of an exceedance: the columns EXCEEDANCE, then derived_ns."""
    return (
        e.plant, e.point, e.parameter, e.pack, e.clause, e.cite, e.title, e.window, e.from_ns, e.to_ns, e.value,
        e.limit, e.unit, e.standing, e.verified, _number(e.low), e.late, e.change, e.version, _pack(e.evidence),
        derived_ns,
    )  # fmt: skip


def mark_values(filed: Filed) -> tuple[Any, ...]:
    """The row of a mark: the columns MARK."""
    mark = filed.mark
    return (filed.position, filed.received_ns, mark.plant, mark.point, mark.from_ns, mark.to_ns, filed.payload)


def mark(row: tuple[Any, ...]) -> Filed:
    """The mark in the columns MARK of a row."""
    return Filed(row[0], row[1], row[-1], decode(row[-1]))


def _pack(mapping: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(mapping) if mapping else b"{}"


def _unpack(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body) if body != b"{}" else {}


def average(row: tuple[Any, ...]) -> Average:
    """The average in the columns AVERAGE of a row."""
    values = dict(zip(AVERAGE, row, strict=True))
    values.update(
        valid=bool(values["valid"]), percentiles=_unpack(values["percentiles"]), inputs=_unpack(values["inputs"]),
        sums=_unpack(values["sums"]),
    )  # fmt: skip
    return Average(**values)


def exceedance(row: tuple[Any, ...]) -> Exceedance:
    """The exceedance in the columns EXCEEDANCE of a row."""
    values = {name.strip('"'): value for name, value in zip(EXCEEDANCE, row, strict=True)}
    values.update(
        standing=Standing(values["standing"]),
        change=Change(values["change"]),
        verified=bool(values["verified"]),
        late=bool(values["late"]),
        evidence=_unpack(values["evidence"]),
    )
    return Exceedance(**values)

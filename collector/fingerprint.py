"""One SHA-256 for everything that a collector has stored and judged: equal hashes, equal rows.

The rows are hashed in canonical order, so that neither the order in which they came nor the layout of a
file shows: measurements by (gateway, epoch, seq, index), average versions and exceedances by their
keys. What goes in, in this order:

- two JSON lines, the series that have measurements and the streams they came by, each sorted, then the
  columns one after the other, little-endian: stream u32, seq u64, index u16, series u32, time i64, value
  f64 (NaN = 7ff8000000000000), status u8; the first two numbers are places in the JSON lines;
- each row of `average`, then of `exceedance`, as one JSON line, without the row's id.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.store import Rows, Store
from collector.verdicts.book import BookError

_ORDER = {
    "average": "plant, point, window, parameter, from_ns, version",
    "exceedance": "plant, point, pack, clause, from_ns, version",
}


def fingerprint(store: Store, verdicts: Path, *, from_ns: int, to_ns: int) -> str:
    """The hash, in hex, of measurements with from_ns <= time < to_ns and windows that start there."""
    sha = hashlib.sha256()
    for part in measurements(store.keys(), from_ns, to_ns):
        sha.update(part)
    if verdicts.exists():
        _verdicts(sha, verdicts, from_ns, to_ns)
    return sha.hexdigest()


def measurements(rows: Rows, from_ns: int, to_ns: int) -> list[bytes]:
    """The bytes that measurements add to the hash."""
    within = (rows.columns.time_ns >= from_ns) & (rows.columns.time_ns < to_ns)
    series = [(s.plant, s.point, s.sensor, s.parameter, s.unit) for s in rows.columns.series]
    streams = [(gateway, bytes(epoch).hex()) for gateway, epoch in rows.streams]
    series_line, series_place = _table(series, rows.columns.series_index[within])
    streams_line, streams_place = _table(streams, rows.stream_index[within])
    stream, seq, index = streams_place[rows.stream_index[within]], rows.seq[within], rows.index[within]
    order = np.lexsort((index, seq, stream))
    value = np.where(np.isnan(rows.columns.value[within]), np.nan, rows.columns.value[within])
    columns: list[tuple[npt.NDArray[Any], str]] = [
        (stream, "<u4"), (seq, "<u8"), (index, "<u2"), (series_place[rows.columns.series_index[within]], "<u4"),
        (rows.columns.time_ns[within], "<i8"), (value, "<f8"), (rows.columns.status[within], "u1"),
    ]  # fmt: skip
    return [series_line, streams_line, *(column[order].astype(form).tobytes() for column, form in columns)]


def _table(names: Sequence[tuple[str, ...]], used: npt.NDArray[Any]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The names that are used, sorted, as a JSON line, and the place of each name in it."""
    wanted = sorted(names[place] for place in np.unique(used))
    place = {name: number for number, name in enumerate(wanted)}
    return _line(wanted), np.array([place.get(name, -1) for name in names], np.int64)


def _verdicts(sha: hashlib._Hash, file: Path, from_ns: int, to_ns: int) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", timeout=30, uri=True)) as database:
            for table, order in _ORDER.items():
                sql = f"SELECT * FROM {table} WHERE from_ns >= ? AND from_ns < ? ORDER BY {order}"  # noqa: S608 - constants
                for row in database.execute(sql, (from_ns, to_ns)):
                    sha.update(_line([v.decode() if isinstance(v, bytes) else v for v in row[1:]]))
    except sqlite3.Error as error:
        raise BookError(f"{file} cannot be read: {error}") from error


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

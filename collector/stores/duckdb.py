"""The store on DuckDB: one file, one process, any number of threads.

Rules of this file:

- measurements lie in the order in which they arrived, which is nearly that of time, so that DuckDB
  skips what a query cannot want; there is no key index, which would cost more than all the rest;
- rows, series, newest values and cursor change in one transaction: an entry of the journal is in
  the store exactly when the cursor has passed it;
- a key that is there already is not added again. Numbers of a stream above its highest are new
  without looking; only others are looked up;
- times lie in the file moved to where they belong: rows that come after a move are moved when they
  are added, those that are there are moved where they lie.

A missing value is NULL in the file and NaN outside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt

from collector.shifts import Moved, Shifts
from collector.store import AHEAD_NS, Rows, Shift, Slice, StoreError
from gateway.measurement import Columns, Float64, Series, Status

Stream: TypeAlias = tuple[str, bytes]
Batch: TypeAlias = Mapping[str, npt.NDArray[Any]]

_LAYOUT = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS state (layout INTEGER, position BIGINT);
INSERT INTO state SELECT {_LAYOUT}, 0 WHERE NOT EXISTS (FROM state);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER, plant VARCHAR, point VARCHAR, sensor VARCHAR, parameter VARCHAR, unit VARCHAR);
CREATE TABLE IF NOT EXISTS stream (id INTEGER PRIMARY KEY, gateway VARCHAR, epoch BLOB, highest UBIGINT);
CREATE TABLE IF NOT EXISTS measurement (
    series INTEGER, stream INTEGER, time_ns BIGINT, value DOUBLE, status UTINYINT, seq UBIGINT, idx USMALLINT);
CREATE TABLE IF NOT EXISTS latest (series INTEGER PRIMARY KEY, time_ns BIGINT, value DOUBLE, status UTINYINT);
ALTER TABLE latest ADD COLUMN IF NOT EXISTS ahead BOOLEAN DEFAULT false;
CREATE TABLE IF NOT EXISTS shift (
    stream INTEGER, from_seq UBIGINT, to_seq UBIGINT, shift_ns BIGINT, told_in UBIGINT);
"""
# The file is ours alone: nothing is fetched or read from elsewhere. Memory beyond this goes to disk.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class DuckdbStore:
    """Measurements in a DuckDB file; implements `collector.store.Store`. Safe to call from any thread."""

    problem, expired = "", 0

    def __init__(self, path: str | Path) -> None:
        """Open the store in a file, making it if it is not there; raises StoreError."""
        self._path = Path(path)
        self._writing = threading.Lock()
        self._received_ns = 0  # of what was added last
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._root = duckdb.connect(str(self._path), config=_CONFIG)
        except (duckdb.Error, OSError) as error:
            raise StoreError(_explain(self._path, error)) from error
        with self._errors():
            self._writer = self._root.cursor()
            self._writer.execute(_SCHEMA)
            self._load()

    def _load(self) -> None:
        """Read what is kept in memory: cursor, series, streams and newest values."""
        layout, self._position = self._writer.execute("SELECT layout, position FROM state").fetchall()[0]
        if layout != _LAYOUT:
            raise StoreError(f"{self._path}: layout {layout} is of another version; move the file away to rebuild it")
        rows = self._writer.execute("SELECT plant, point, sensor, parameter, unit FROM series ORDER BY id").fetchall()
        self._series = {Series(*row): place for place, row in enumerate(rows)}
        streams = self._writer.execute("SELECT gateway, epoch, highest FROM stream ORDER BY id").fetchall()
        self._streams: dict[Stream, int] = {(row[0], row[1]): place for place, row in enumerate(streams)}
        self._highest: list[int] = [row[2] for row in streams]
        latest = self._writer.execute("SELECT series, time_ns, value, status, ahead FROM latest").fetchall()
        self._latest = {row[0]: (row[1], np.nan if row[2] is None else row[2], row[3], row[4]) for row in latest}
        told = self._writer.execute("SELECT stream, from_seq, to_seq, shift_ns, told_in FROM shift").fetchall()
        names = list(self._streams)
        self._shifts = Shifts(Shift(*names[row[0]], *row[1:]) for row in told)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise StoreError(_explain(self._path, error)) from error

    def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
        """Add measurements and move the cursor to `position`, both or neither; known keys are not added again."""
        with self._writing, self._errors():
            if position <= self._position:
                return
            self._writer.execute("BEGIN")
            try:
                self._append(self._shifts.rows(rows))
                self._move(shifts)
                self._writer.execute("UPDATE state SET position = ?", [position])
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):  # a COMMIT that failed has rolled back already
                    self._writer.execute("ROLLBACK")
                self._load()
                raise
            self._position = position

    def _append(self, rows: Rows) -> None:
        if not len(rows):
            return
        series = self._series_ids(rows.columns.series)[rows.columns.series_index]
        stream = self._stream_ids(rows.streams)[rows.stream_index]
        batch: Batch = {
            "series": series, "stream": stream, "time_ns": rows.columns.time_ns, "value": rows.columns.value,
            "status": rows.columns.status, "seq": rows.seq, "idx": rows.index,
        }  # fmt: skip
        unknown = self._unknown(batch)
        if unknown is not None:
            batch = {name: column[unknown] for name, column in batch.items()}
        if len(batch["seq"]):
            self._insert("measurement", batch)
            self._raise_highest(batch)
            received_ns = rows.received_ns if unknown is None or rows.received_ns is None else rows.received_ns[unknown]
            self._renew_latest(batch, received_ns)

    def _insert(self, table: str, batch: Batch, suffix: str = "") -> None:
        columns = ", ".join(batch)
        with self._registered("batch", batch):
            self._writer.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM batch {suffix}")  # noqa: S608

    @contextmanager
    def _registered(self, name: str, batch: Batch) -> Iterator[None]:
        # DuckDB reads the arrays where they lie and wants them contiguous.
        arrays = {key: np.ascontiguousarray(column) for key, column in batch.items()}
        self._writer.register(name, arrays)
        try:
            yield
        finally:
            self._writer.unregister(name)

    def _series_ids(self, table: tuple[Series, ...]) -> npt.NDArray[np.int32]:
        """The ids of some series; those that are new get one."""
        for one in table:
            if one not in self._series:
                id = self._series[one] = len(self._series)
                values = [id, one.plant, one.point, one.sensor, one.parameter, one.unit]
                self._writer.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", values)
        return np.array([self._series[one] for one in table], np.int32)

    def _stream_ids(self, table: tuple[Stream, ...]) -> npt.NDArray[np.int32]:
        for one in table:
            if one not in self._streams:
                id = self._streams[one] = len(self._streams)
                self._highest.append(0)
                self._writer.execute("INSERT INTO stream VALUES (?, ?, ?, 0)", [id, *one])
        return np.array([self._streams[one] for one in table], np.int32)

    def _unknown(self, batch: Batch) -> npt.NDArray[Any] | None:
        """The rows whose keys are neither in the store nor twice among them; None = all."""
        stream, seq, index = batch["stream"], batch["seq"], batch["idx"]
        turn = np.ones(len(seq), np.bool_)
        turn[1:] = (seq[1:] != seq[:-1]) | (stream[1:] != stream[:-1])
        runs = np.unique(_keys(stream=stream[turn], seq=seq[turn]))
        rising = bool((turn[1:] | (index[1:] > index[:-1])).all())
        unique = rising and len(runs) == np.count_nonzero(turn)
        old = seq <= np.array(self._highest, np.uint64)[stream]
        if unique and not old.any():
            return None
        known = np.zeros(len(seq), np.bool_)
        if not unique:
            known[:] = True
            known[np.unique(_keys(stream=stream, seq=seq, idx=index), return_index=True)[1]] = False
        if old.any():
            known[
                self._stored({"row": np.flatnonzero(old), "stream": stream[old], "seq": seq[old], "idx": index[old]})
            ] = True
        return np.flatnonzero(~known)

    def _stored(self, suspect: Batch) -> npt.NDArray[Any]:
        """Which rows of a batch have a key that is in the store."""
        with self._registered("suspect", suspect):
            # The inner join is small and lets DuckDB skip what lies elsewhere in the file.
            return self._writer.execute(
                "WITH near AS (SELECT stream, seq, idx FROM measurement "
                "SEMI JOIN (SELECT DISTINCT stream, seq FROM suspect) USING (stream, seq)) "
                "SELECT row FROM suspect SEMI JOIN near USING (stream, seq, idx)"
            ).fetchnumpy()["row"]

    def _raise_highest(self, batch: Batch) -> None:
        ids, place = np.unique(batch["stream"], return_inverse=True)
        highest = np.array(self._highest, np.uint64)[ids]
        known = highest.copy()
        np.maximum.at(highest, place, batch["seq"].astype(np.uint64))
        if (raised := highest > known).any():
            with self._registered("raised", {"id": ids[raised], "highest": highest[raised]}):
                self._writer.execute(
                    "UPDATE stream SET highest = raised.highest FROM raised WHERE stream.id = raised.id"
                )
            for id, seq in zip(ids[raised].tolist(), highest[raised].tolist(), strict=True):
                self._highest[id] = seq

    def _move(self, shifts: Sequence[Shift]) -> None:
        """Move rows that are there, and remember to move those that come."""
        touched: set[int] = set()
        for shift in shifts:
            (stream,) = self._stream_ids(((shift.gateway, shift.epoch),)).tolist()
            changes = self._shifts.add(shift)
            values = [stream, shift.from_seq, shift.to_seq, shift.shift_ns, shift.told_in]
            self._writer.execute("INSERT INTO shift VALUES (?, ?, ?, ?, ?)", values)
            for change in changes:
                touched |= self._move_range(stream, change)
        for series in sorted(touched):
            self._find_latest(series)

    def _move_range(self, stream: int, change: Moved) -> set[int]:
        """Move the rows of some batches; the series they are of."""
        where = "FROM measurement WHERE stream = ? AND seq BETWEEN ? AND ?"
        span = [stream, change.from_seq, change.to_seq]
        found = self._writer.execute(f"SELECT DISTINCT series {where}", span).fetchall()
        good = (
            f"CASE WHEN status = {Status.UNSYNCED.value} AND value IS NOT NULL THEN {Status.OK.value} ELSE status END"
        )
        self._writer.execute(
            f"UPDATE measurement SET time_ns = time_ns + ?, status = {good} "  # noqa: S608 - constants
            "WHERE stream = ? AND seq BETWEEN ? AND ?",
            [change.new_ns - (change.old_ns or 0), *span],
        )
        return {series for (series,) in found}

    def _find_latest(self, series: int) -> None:
        """Look up the newest value of a series whose rows were moved."""
        newest = self._writer.execute(
            "SELECT time_ns, value, status, time_ns > ? AS ahead FROM measurement WHERE series = ? "
            "ORDER BY ahead, time_ns DESC, stream DESC, seq DESC, idx DESC LIMIT 1",
            [self._received_ns + AHEAD_NS, series],
        ).fetchone()
        assert newest, "a moved row is there"
        self._latest[series] = (newest[0], np.nan if newest[1] is None else newest[1], newest[2], newest[3])
        self._writer.execute(
            "UPDATE latest SET time_ns = ?, value = ?, status = ?, ahead = ? WHERE series = ?", [*newest, series]
        )

    def _renew_latest(self, batch: Batch, received_ns: npt.NDArray[np.int64] | None) -> None:
        """Keep the newest value of each series; of several at one time the one that came last.

        What is dated long after its receipt only stands in where there is nothing else.
        """
        if received_ns is None:
            ahead = np.zeros(len(batch["seq"]), np.bool_)
        else:
            ahead = batch["time_ns"] > received_ns + AHEAD_NS
            self._received_ns = max(self._received_ns, int(received_ns.max()))
        order = np.lexsort((batch["time_ns"], ~ahead, batch["series"]))
        last = order[np.append(batch["series"][order][1:] != batch["series"][order][:-1], True)]
        newer = [
            row
            for row in last
            if (known := self._latest.get(int(batch["series"][row]))) is None
            or (not known[3], known[0]) <= (not ahead[row], batch["time_ns"][row])
        ]
        for row in newer:
            values = (*(batch[name][row].item() for name in ("time_ns", "value", "status")), bool(ahead[row]))
            self._latest[int(batch["series"][row])] = values
        newest = {name: batch[name][newer] for name in ("series", "time_ns", "value", "status")}
        newest["ahead"] = ahead[newer]
        self._insert(
            "latest", newest,
            "ON CONFLICT DO UPDATE SET time_ns = excluded.time_ns, value = excluded.value, status = excluded.status, "
            "ahead = excluded.ahead",
        )  # fmt: skip

    def cursor(self) -> int:
        """The journal position up to which measurements are in the store."""
        return int(self._position)

    def series(self) -> list[Series]:
        """Every series that has measurements."""
        with self._writing:
            return sorted(one for one, id in self._series.items() if id in self._latest)

    def measurements(self, series: Series, from_ns: int, to_ns: int, limit: int) -> Slice:
        """The first `limit` measurements with from_ns <= time < to_ns."""
        id = self._series.get(series, -1)
        found = self._query(
            "SELECT time_ns, value, status FROM measurement WHERE series = ? AND time_ns >= ? AND time_ns < ? "
            "ORDER BY time_ns, stream, seq, idx LIMIT ?",
            [id, from_ns, to_ns, limit],
        )
        return Slice(series, found["time_ns"], _values(found["value"]), found["status"])

    def latest(self) -> list[tuple[Series, int, float, int]]:
        """The newest measurement of every series."""
        with self._writing:
            return sorted((one, *self._latest[id][:3]) for one, id in self._series.items() if id in self._latest)

    def keys(self) -> Rows:
        """Every stored row, read back by query."""
        found = self._query(
            "SELECT series, stream, time_ns, value, status, seq, idx FROM measurement ORDER BY stream, seq, idx", []
        )
        with self._writing:
            series, streams = tuple(self._series), tuple(self._streams)
        return Rows(
            Columns(
                series, found["series"].astype(np.uint16), found["time_ns"], _values(found["value"]), found["status"]
            ),
            streams,
            found["stream"].astype(np.uint16),
            found["seq"],
            found["idx"],
        )

    def _query(self, sql: str, values: list[Any]) -> dict[str, npt.NDArray[Any]]:
        with self._errors(), self._root.cursor() as cursor:
            return cursor.execute(sql, values).fetchnumpy()

    def close(self) -> None:
        """Write everything into the one file and release it."""
        with self._writing, self._errors():
            self._writer.close()
            self._root.close()


def _keys(**columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Columns as one array of rows that can be compared."""
    table = np.empty(len(columns["seq"]), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def _values(column: npt.NDArray[Any]) -> Float64:
    """NULL as NaN."""
    return np.ma.filled(column, np.nan).astype(np.float64, copy=False)


def _explain(path: Path, error: Exception) -> str:
    text = str(error).splitlines()[0]
    if "lock" in text:
        return f"{path}: another process has the store open ({text}); stop it: a DuckDB file has one owner"
    if "not a valid" in text or "corrupt" in text.lower():
        return f"{path}: {text}; move the file away: the store is built again from the journal"
    return f"{path}: {text}"

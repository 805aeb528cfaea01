"""A store in memory: what a store does, in the plainest way, for tests and for trying things out.

It keeps the contract of `collector.store.Store` (tests/collector/test_store_contract.py) and is
gone with its process.
"""

from __future__ import annotations

import threading

import numpy as np

from collector.store import Rows, Slice
from gateway.measurement import Columns, Series, empty_columns

_Key = tuple[str, bytes, int, int]


class MemoryStore:
    """Measurements in a dictionary of keys; implements `collector.store.Store`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[_Key, tuple[Series, int, float, int]] = {}
        self._latest: dict[Series, tuple[int, float, int]] = {}
        self._cursor = 0

    def append(self, rows: Rows, position: int) -> None:
        """Add measurements and move the cursor to `position`; known keys are not added again."""
        with self._lock:
            if position <= self._cursor:
                return
            columns = rows.columns
            for row in range(len(rows)):
                stream = rows.streams[rows.stream_index[row]]
                key = (*stream, int(rows.seq[row]), int(rows.index[row]))
                if key in self._rows:
                    continue
                series = columns.series[columns.series_index[row]]
                values = (int(columns.time_ns[row]), float(columns.value[row]), int(columns.status[row]))
                self._rows[key] = (series, *values)
                if series not in self._latest or self._latest[series][0] <= values[0]:
                    self._latest[series] = values
            self._cursor = position

    def cursor(self) -> int:
        """The journal position up to which measurements are in the store."""
        return self._cursor

    def series(self) -> list[Series]:
        """Every series that has measurements."""
        with self._lock:
            return sorted(self._latest)

    def measurements(self, series: Series, from_ns: int, to_ns: int, limit: int) -> Slice:
        """The first `limit` measurements with from_ns <= time < to_ns."""
        with self._lock:
            found = [(row[1], key, row) for key, row in self._rows.items() if row[0] == series]
        rows = [row for time_ns, _, row in sorted(found, key=lambda item: item[:2]) if from_ns <= time_ns < to_ns]
        return Slice(
            series,
            np.array([row[1] for row in rows[:limit]], np.int64),
            np.array([row[2] for row in rows[:limit]], np.float64),
            np.array([row[3] for row in rows[:limit]], np.uint8),
        )

    def latest(self) -> list[tuple[Series, int, float, int]]:
        """The newest measurement of every series."""
        with self._lock:
            return [(series, *values) for series, values in sorted(self._latest.items())]

    def keys(self) -> Rows:
        """Every stored row."""
        with self._lock:
            items = list(self._rows.items())
        series = {one: place for place, one in enumerate(sorted({row[0] for _, row in items}))}
        streams = {one: place for place, one in enumerate(sorted({key[:2] for key, _ in items}))}
        columns = Columns(
            tuple(series),
            np.array([series[row[0]] for _, row in items], np.uint16),
            np.array([row[1] for _, row in items], np.int64),
            np.array([row[2] for _, row in items], np.float64),
            np.array([row[3] for _, row in items], np.uint8),
        )
        return Rows(
            columns if items else empty_columns(),
            tuple(streams),
            np.array([streams[key[:2]] for key, _ in items], np.uint16),
            np.array([key[2] for key, _ in items], np.uint64),
            np.array([key[3] for key, _ in items], np.uint16),
        )

    def close(self) -> None:
        """Nothing to release."""

"""A store in memory: what a store does, in the plainest way, for tests and for trying things out.

It keeps the contract of `collector.store.Store` (tests/collector/test_store_contract.py) and is
gone with its process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from collector.shifts import Shifts
from collector.store import AHEAD_NS, Rows, Shift, Slice
from gateway.measurement import Columns, Series, Status, empty_columns

_Key = tuple[str, bytes, int, int]


class MemoryStore:
    """Measurements in a dictionary of keys; implements `collector.store.Store`."""

    problem, expired = "", 0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raw: dict[_Key, tuple[Series, int, float, int]] = {}
        self._received: dict[_Key, int] = {}
        self._shifts = Shifts()
        self._cursor = 0

    def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
        """Add measurements and move the cursor to `position`; known keys are not added again."""
        with self._lock:
            if position <= self._cursor:
                return
            columns = rows.columns
            for row in range(len(rows)):
                stream = rows.streams[rows.stream_index[row]]
                key = (*stream, int(rows.seq[row]), int(rows.index[row]))
                if key in self._raw:
                    continue
                series = columns.series[columns.series_index[row]]
                values = (int(columns.time_ns[row]), float(columns.value[row]), int(columns.status[row]))
                self._raw[key] = (series, *values)
                self._received[key] = 2**62 if rows.received_ns is None else int(rows.received_ns[row])
            for shift in shifts:
                self._shifts.add(shift)
            self._cursor = position

    @property
    def _rows(self) -> dict[_Key, tuple[Series, int, float, int]]:
        """All measurements, moved to where they belong."""
        shown = {}
        for key, (series, time_ns, value, status) in self._raw.items():
            shift = self._shifts.of(*key[:3])
            good = shift is not None and status == Status.UNSYNCED and np.isfinite(value)
            shown[key] = (series, time_ns + (shift or 0), value, int(Status.OK) if good else status)
        return shown

    def cursor(self) -> int:
        """The journal position up to which measurements are in the store."""
        return self._cursor

    def series(self) -> list[Series]:
        """Every series that has measurements."""
        with self._lock:
            return sorted({row[0] for row in self._raw.values()})

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
            found: dict[Series, tuple[bool, int, float, int]] = {}
            for key, (series, time_ns, value, status) in self._rows.items():
                this = (time_ns <= self._received[key] + AHEAD_NS, time_ns, value, status)
                if series not in found or found[series][:2] <= this[:2]:
                    found[series] = this
        return [(series, *values[1:]) for series, values in sorted(found.items())]

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

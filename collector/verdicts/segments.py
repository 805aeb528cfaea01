"""Segments: which rows of a column lie in each window, where rows stand in the order of time.

Windows are spans of time, and so what lies in one is a run of consecutive rows: sums, maxima and counts are taken
from run to run, without a number of the window beside every row. Rules of this file:

- a window may have several runs (a calendar night has two), and runs may overlap (rolling windows); where they
  overlap, what lies between any two edges is summed once and carried up;
- an empty window has the sum 0, and NaN as its largest value.

Arrays in, arrays out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, Int64

Booleans = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]  # of floats or whole numbers
MOST = 1 << 22  # rows that are sorted or copied at once: memory has a bound, however long windows are


@dataclass(frozen=True, slots=True)
class Segments:
    """Runs of rows, one or more a window.

    start, stop: first row of each run, and the row after its last, shape (m,), start <= stop, both rising.
    window: the window of each run, rising, shape (m,). windows: how many there are, n; each has a run.
    """

    start: Int64
    stop: Int64
    window: npt.NDArray[np.intp]
    windows: int

    def count(self) -> Int64:
        """How many rows each window has, shape (n,)."""
        return self._joined(np.add, self.stop - self.start).astype(np.int64, copy=False)

    def number(self, rows: Booleans) -> Int64:
        """How many of some rows each window has, shape (n,). rows: shape of the column."""
        return self.among(rows).count()

    def among(self, rows: Booleans) -> Segments:
        """The same windows in a column that has only some of the rows."""
        before = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(rows, out=before[1:])
        return Segments(before[self.start], before[self.stop], self.window, self.windows)

    def total(self, column: Numbers) -> Float64:
        """The sum of each window, shape (n,); whole numbers are summed exactly."""
        with np.errstate(over="ignore", invalid="ignore"):  # beyond what a double holds is infinity, or nothing
            return self._joined(np.add, self._each(np.add, column, 0)).astype(np.float64, copy=False)

    def largest(self, column: Float64) -> Float64:
        """The largest value of each window, shape (n,); NaN where it has no row."""
        found = self._joined(np.maximum, self._each(np.maximum, column, -np.inf))
        return np.where(self.count() > 0, found, np.nan)

    def by_code(self, code: npt.NDArray[np.uint8], codes: int) -> Int64:
        """How many rows of each code each window has, shape (n, codes). code: 0 to codes - 1, one a row."""
        found = np.zeros((self.windows, codes), np.int64)
        for there in np.flatnonzero(np.bincount(code, minlength=codes)):
            found[:, there] = self.number(code == there)
        return found

    def single(self) -> Booleans | None:
        """Which windows have a row, where none has several; else None."""
        count = self.stop - self.start
        if len(self.start) != self.windows or not len(count) or count.max() > 1:
            return None
        return np.asarray(count > 0)

    def ranked(self, column: Float64) -> Iterator[tuple[npt.NDArray[np.intp], Float64]]:
        """Windows of equal numbers of rows together: their places, and their values in rising order, one window a line.

        Those without a row are left out.
        """
        count = self.count()
        for places in np.split(*_classes(count)):
            rows = int(count[places[0]]) if len(places) else 0
            step = max(MOST // max(rows, 1), 1)
            for first in range(0, len(places) if rows else 0, step):
                some = places[first : first + step]
                values = column[self.take(some).rows()].reshape(-1, rows)
                yield some, np.sort(values, axis=1)

    def chunks(self) -> Iterator[tuple[slice, npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Neighbouring windows of at most MOST rows in all: which, their rows, the window of each row among them."""
        ends = np.cumsum(self.count())
        first = 0
        while first < self.windows:
            reach = MOST + (int(ends[first - 1]) if first else 0)
            last = max(int(np.searchsorted(ends, reach, "right")), first + 1)
            part = self.take(np.arange(first, last))
            yield slice(first, last), part.rows(), np.repeat(part.window, part.stop - part.start)
            first = last

    def rows(self) -> npt.NDArray[np.intp]:
        """The rows of all windows, one window after the other."""
        count = self.stop - self.start
        return np.asarray(np.arange(int(count.sum())) + np.repeat(self.start - (np.cumsum(count) - count), count))

    def take(self, places: npt.NDArray[np.intp]) -> Segments:
        """Some of the windows, in this order."""
        if len(self.start) == self.windows:
            return Segments(self.start[places], self.stop[places], np.arange(len(places)), len(places))
        first = np.searchsorted(self.window, places)
        count = np.searchsorted(self.window, places, "right") - first
        runs = Segments(first, first + count, np.arange(len(places)), len(places)).rows()
        return Segments(self.start[runs], self.stop[runs], np.repeat(np.arange(len(places)), count), len(places))

    def _joined(self, how: np.ufunc, found: Numbers) -> Numbers:
        """One result a window of one a run."""
        if len(found) == self.windows:
            return found
        return np.asarray(how.reduceat(found, np.flatnonzero(np.diff(self.window, prepend=-1))))

    def _each(self, how: np.ufunc, column: Numbers, nothing: float) -> Numbers:
        """One result a run."""
        some = self.stop > self.start
        result = np.full(len(some), nothing, column.dtype)
        if some.any():
            result[some] = _reduced(how, column, self.start[some], self.stop[some])
        return result


def _reduced(how: np.ufunc, column: Numbers, start: Int64, stop: Int64) -> Numbers:
    """One result a run of at least one row."""
    if (stop - start == 1).all():
        return np.asarray(column[start])
    if (start[1:] == stop[:-1]).all():
        return np.asarray(how.reduceat(column[: stop[-1]], start))
    if (start[1:] >= stop[:-1]).all():  # every other result is that of a gap
        return np.asarray(how.reduceat(column[: stop[-1]], np.stack((start, stop), axis=1).ravel()[:-1])[::2])
    edges = np.unique(np.concatenate((start, stop)))
    between = how.reduceat(column[: edges[-1]], edges[:-1])
    pairs = np.stack((np.searchsorted(edges, start), np.searchsorted(edges, stop)), axis=1).ravel()
    return np.asarray(how.reduceat(np.append(between, between[-1:]), pairs)[::2])


def _classes(count: Int64) -> tuple[npt.NDArray[np.intp], Sequence[int] | npt.NDArray[np.intp]]:
    """Places in the order of their count, and where the next count begins."""
    order = np.argsort(count, kind="stable")
    return order, np.flatnonzero(np.diff(count[order])) + 1

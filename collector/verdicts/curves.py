"""Averages of one series by column, for charts.

A chart asks for thousands of averages of a few series, again each minute, while the book has them row by row among
all others. So columns that were asked for once are kept, and only what came since is read (`Shelf`). Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, Int64

COLUMNS = "from_ns, value, maximum, evaluated, valid"  # of a row, as `read` takes them
ROWS_MAX = 4_000_000  # that a shelf keeps: 130 MB, nine years of hours of 50 series


@dataclass(frozen=True, slots=True)
class Curve:
    """Averages of one series by column, for charts; newest versions, ordered by time.

    from_ns: shape (n,). value, maximum, evaluated: shape (n,), NaN where there is none. valid: shape (n,).
    """

    from_ns: Int64
    value: Float64
    maximum: Float64
    evaluated: Float64
    valid: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.from_ns)

    def part(self, from_ns: int, to_ns: int, limit: int) -> Curve:
        """The first `limit` of the windows that start in [from_ns, to_ns)."""
        first, last = np.searchsorted(self.from_ns, (from_ns, to_ns)).tolist()
        return self._take(slice(first, max(first, min(last, first + limit))))

    def with_rows(self, rows: Curve) -> Curve:
        """This and others, which take the place of what they have the time of."""
        if not len(rows):
            return self
        both = Curve(*(np.concatenate(pair) for pair in zip(self._all(), rows._all(), strict=True)))
        return both.newest()

    def newest(self) -> Curve:
        """Of those of one time the last one, ordered by time."""
        order = np.argsort(self.from_ns, kind="stable")
        time_ns = self.from_ns[order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = time_ns[1:] != time_ns[:-1]
        return self._take(order[last])

    def _take(self, rows: slice | npt.NDArray[np.intp]) -> Curve:
        return Curve(*(column[rows] for column in self._all()))

    def _all(self) -> tuple[npt.NDArray[Any], ...]:
        return self.from_ns, self.value, self.maximum, self.evaluated, self.valid


def read(rows: Sequence[tuple[Any, ...]]) -> Curve:
    """Rows of COLUMNS, the later versions of each time after the earlier ones, as a curve."""
    columns = list(zip(*rows, strict=True)) or [()] * 5
    value, maximum, evaluated = (np.array(column, np.float64) for column in columns[1:4])  # None becomes NaN
    found = Curve(np.array(columns[0], np.int64), value, maximum, evaluated, np.array(columns[4], np.bool_))
    return found.newest()


class Shelf:
    """Curves that were asked for, each with the row of the book up to which it was read. Not for two threads at once.

    Those that were asked for longest ago go where there are more than rows_max rows.
    """

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max, self._rows = rows_max, 0
        self._kept: dict[Hashable, tuple[int, Curve]] = {}

    def get(self, key: Hashable) -> tuple[int, Curve] | None:
        """The row up to which a curve was read, and the curve; None where it is not here."""
        return self._kept.get(key)

    def put(self, key: Hashable, upto: int, curve: Curve) -> None:
        """Keep a curve, in the place of what it was."""
        if before := self._kept.pop(key, None):
            self._rows -= len(before[1])
        self._kept[key] = upto, curve
        self._rows += len(curve)
        while self._rows > self._rows_max:
            oldest = next(iter(self._kept))
            self._rows -= len(self._kept.pop(oldest)[1])

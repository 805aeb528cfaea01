"""A measurement and its batch form, by column.

One measurement is one value of one parameter at one instant, with its status (docs/glossary.md).
The line never handles single measurements: polls, batches, the journal, the store and the verdicts
all move `Columns`, equal-length arrays in which row i is one measurement. Rules of this file:

- a missing value is NaN *with* a status other than OK; OK always comes with a finite value;
- times are nanoseconds since 1970-01-01 UTC, the instant the interval of the value starts;
- `series_index` points into `series`, the table of who measured what, where and in which unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
UInt16: TypeAlias = npt.NDArray[np.uint16]
UInt8: TypeAlias = npt.NDArray[np.uint8]

SECOND_NS = 1_000_000_000


class Status(IntEnum):
    """What a value is worth; the numbers are part of the wire format and never change.

    Source: HJ 212-2017 table 8 (flags).
    """

    OK = 0
    MAINTENANCE = 1
    CALIBRATION = 2
    FAULT = 3
    OUT_OF_RANGE = 4
    STOPPED = 5
    MANUAL = 6
    NO_COMM = 7
    STALE = 8
    UNSYNCED = 9

    @property
    def hj212_flag(self) -> str:
        """The one-letter data flag of HJ 212-2017 table 8."""
        return "NMCDTFSBBN"[self]


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """Who measures what, where and in which unit: the key of a time series."""

    plant: str
    point: str
    sensor: str
    parameter: str
    unit: str


FEW = 50  # values up to which Python's own functions over a list are faster than numpy's over an array


class Columns(msgspec.Struct, frozen=True):
    """Measurements by column; row i of the four arrays is one measurement.

    series: table that series_index points into.
    series_index: shape (n,).
    time_ns: start of the value's interval, shape (n,). [ns since 1970 UTC]
    value: shape (n,), NaN where there is none. [unit of the series]
    status: shape (n,), codes of Status.
    """

    series: tuple[Series, ...]
    series_index: UInt16
    time_ns: Int64
    value: Float64
    status: UInt8

    def __post_init__(self) -> None:
        n = len(self.time_ns)
        assert len(self.series_index) == len(self.value) == len(self.status) == n, "columns differ in length"

    def __len__(self) -> int:
        return len(self.time_ns)

    def span(self) -> tuple[int, int]:
        """The earliest and the latest instant; (0, 0) where there is nothing. [ns since 1970 UTC]"""
        if not len(self.time_ns):
            return 0, 0
        if len(self.time_ns) > FEW:
            return int(self.time_ns.min()), int(self.time_ns.max())
        times = self.time_ns.tolist()
        return min(times), max(times)

    def take(self, rows: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Columns:
        """The measurements of some rows, in the order given."""
        return Columns(self.series, self.series_index[rows], self.time_ns[rows], self.value[rows], self.status[rows])


def empty_columns(series: tuple[Series, ...] = ()) -> Columns:
    """No measurements at all."""
    return Columns(
        series, np.empty(0, np.uint16), np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8)
    )


def concatenate(parts: Sequence[Columns]) -> Columns:
    """One table of all measurements of several, in the order given; equal series are merged."""
    if not parts:
        return empty_columns()
    if len(parts) == 1:
        return parts[0]
    if all(part.series is parts[0].series or part.series == parts[0].series for part in parts):
        series, indexes = parts[0].series, [part.series_index for part in parts]
    else:
        place: dict[Series, int] = {}
        tables = {id(part.series): part.series for part in parts}  # many parts share few tables
        moved = {
            table: np.array([place.setdefault(s, len(place)) for s in series], np.uint16)
            for table, series in tables.items()
        }
        indexes = [moved[id(part.series)][part.series_index] if len(part) else part.series_index for part in parts]
        series = tuple(place)
    return Columns(
        series,
        np.concatenate(indexes),
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.status for part in parts]),
    )

"""Averages of one series by column, for charts, and the parts in which the book keeps them so.

A chart asks for thousands of averages of a few series, again each minute, while the book has them row by row among
all others. So it keeps what a chart shows of them a second time: the windows of a series lie in parts of one length,
each part is one body. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.windows import FIXED_NS, HOUR_NS
from gateway.measurement import Float64, Int64

COLUMNS = "from_ns, value, maximum, evaluated, valid"  # of a row of the book, as `rows` takes them
# What the body of a part consists of. Whoever changes this or PART, counts LAYOUT in `book_curves` up.
ROW = np.dtype([("from_ns", "<i8"), ("value", "<f8"), ("maximum", "<f8"), ("evaluated", "<f8"), ("valid", "?")])
PART = 256  # windows of a part: 8 kB, which are written anew when rows come; a year of hours is 35 parts
Rows = npt.NDArray[np.void]  # of ROW, shape (n,)


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


def rows(found: Sequence[tuple[Any, ...]]) -> Rows:
    """Rows of COLUMNS, None where there is no value, as an array with NaN there."""
    return np.array(found, ROW)


def newest(found: Rows) -> Rows:
    """Of rows of one time the last one, ordered by time."""
    time_ns = np.ascontiguousarray(found["from_ns"])
    if (time_ns[1:] > time_ns[:-1]).all():  # as most are
        return found
    order = np.argsort(time_ns, kind="stable")
    time_ns = time_ns[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = time_ns[1:] != time_ns[:-1]
    return found[order[last]]


def curve(found: Rows, from_ns: int, to_ns: int, limit: int) -> Curve:
    """The first `limit` of the windows that start in [from_ns, to_ns). found: as `newest` gives them."""
    columns = [np.ascontiguousarray(found[name]) for name in COLUMNS.split(", ")]
    first, last = np.searchsorted(columns[0], (from_ns, to_ns)).tolist()
    return Curve(*(column[first : max(first, min(last, first + limit))] for column in columns))


def part_ns(window: str) -> int:
    """The length of a part. [ns] window: kind of the windows in it; those of a day and more start at most daily."""
    return PART * FIXED_NS.get(window, 24 * HOUR_NS)


def packed(found: Rows) -> tuple[int, bytes]:
    """Checksum and body of a part."""
    body = found.tobytes()
    return zlib.crc32(body), body


def whole(crc: int, body: bytes) -> bool:
    """Whether a body is what was packed."""
    return zlib.crc32(body) == crc


def unpacked(bodies: Sequence[bytes]) -> Rows:
    """The rows of whole bodies, one after another."""
    return np.frombuffer(b"".join(bodies), ROW)

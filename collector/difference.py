"""Where a store differs from what the journal says: row by row, named by (gateway, epoch, seq, index).

Rows are told apart by their key. One that both have with another series, time, value or status is altered; one that
only the journal has is missing; one that only the store has, or has twice, is added. Pure: rows in, sentences out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from collector.store import Rows

Keys = tuple[npt.NDArray[Any], ...]


def differences(found: Rows, expected: Rows) -> list[tuple[str, str]]:
    """What is wrong with each row of a store that is not as expected, and which row it is; in the order of keys."""
    keys, contents = _columns(found, expected)
    origin = np.concatenate([np.ones(len(found), np.uint8), np.zeros(len(expected), np.uint8)])
    order = np.lexsort((origin, *keys[::-1]))
    same_key = _equal(keys, order)
    same_rest = _equal(contents, order)
    ours = origin[order] == 0
    # An expected row comes before those of the store that have its key.
    paired = same_key & ours[:-1] & ~ours[1:]
    answered = np.append(paired, False)
    pair = np.append(False, paired)
    wrong = {
        "missing": ours & ~answered,
        "altered": pair & np.append(False, ~same_rest),
        "added": ~ours & ~pair,
    }  # fmt: skip
    told = [(place, what) for what, where in wrong.items() for place in np.flatnonzero(where).tolist()]
    return [(what, _name(found, expected, int(order[place]))) for place, what in sorted(told)]


def _columns(found: Rows, expected: Rows) -> tuple[Keys, Keys]:
    """Keys and contents of both, with one numbering of streams and series, and values as bits."""
    streams = sorted({*found.streams, *expected.streams})
    series = list({*found.columns.series, *expected.columns.series})
    place, number = {one: n for n, one in enumerate(streams)}, {one: n for n, one in enumerate(series)}
    sides = (found, expected)
    stream = [np.array([place[s] for s in rows.streams], np.int64)[rows.stream_index] for rows in sides]
    kind = [np.array([number[s] for s in rows.columns.series], np.int64)[rows.columns.series_index] for rows in sides]
    value = [np.where(np.isnan(rows.columns.value), np.nan, rows.columns.value).view(np.int64) for rows in sides]
    join = np.concatenate
    return (
        (join(stream), join([rows.seq for rows in sides]), join([rows.index for rows in sides])),
        (join(kind), join([rows.columns.time_ns for rows in sides]), join(value),
         join([rows.columns.status for rows in sides])),
    )  # fmt: skip


def _equal(columns: Keys, order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each row equals the one before it, in an order."""
    equal = np.ones(max(0, len(order) - 1), bool)
    for column in columns:
        ordered = column[order]
        equal &= ordered[1:] == ordered[:-1]
    return equal


def _name(found: Rows, expected: Rows, place: int) -> str:
    rows, at = (found, place) if place < len(found) else (expected, place - len(found))
    gateway, epoch = rows.streams[int(rows.stream_index[at])]
    series = rows.columns.series[int(rows.columns.series_index[at])]
    return (
        f"batch {int(rows.seq[at])} of gateway {gateway}, epoch {bytes(epoch).hex()[:16]}, value {int(rows.index[at])} "
        f"({series.plant}/{series.point}/{series.sensor}/{series.parameter})"
    )

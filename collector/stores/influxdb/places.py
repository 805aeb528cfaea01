"""Where measurements lie among those of the same series and instant.

A server of time series keeps one point for a series and an instant: a second one overwrites it. But a
clock that is set back measures instants twice, and both measurements count. So what comes to an instant
that is taken lies in a series of its own, beside the first, told apart by the tag `again`: 1, 2, ... The
tag is absent on what came first, which is nearly everything, so it costs nothing where clocks are right.

The place of a measurement is decided by what came before it in the journal, and a measurement that is there
already keeps its place: so whatever is written again after a crash overwrites itself.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.measurement import Int64

Key: TypeAlias = tuple[int, int, int]  # stream number, batch number, place in the batch
Taken: TypeAlias = Mapping[tuple[int, int], Mapping[Key, int]]  # (series, time) -> who is there, and where
Ids: TypeAlias = npt.NDArray[np.int64]

NEAR_NS = 600 * 1_000_000_000  # times that are looked up together; a gap this long is looked over


def again(series: Ids, time_ns: Int64, keys: tuple[Ids, Ids, Ids], taken: Taken) -> Ids:
    """The place of each measurement, shape (n,); 0 = nothing was there before.

    series: number of each one's series. keys: stream, batch and place in the batch. taken: what is there.
    """
    place, order = _occurrence(series, time_ns)
    if not taken:
        return place
    groups: dict[tuple[int, int], list[int]] = {}
    for row in order.tolist():
        instant = (int(series[row]), int(time_ns[row]))
        if instant in taken:
            groups.setdefault(instant, []).append(row)
    stream, seq, index = keys
    for instant, rows in groups.items():
        there = dict(taken[instant])
        used = set(there.values())
        for row in rows:
            key = (int(stream[row]), int(seq[row]), int(index[row]))
            if key not in there:
                there[key] = next(n for n in range(len(used) + 1) if n not in used)
                used.add(there[key])
            place[row] = there[key]
    return place


def _occurrence(series: Ids, time_ns: Int64) -> tuple[Ids, npt.NDArray[np.intp]]:
    """How many rows before each have its series and time; and an order that puts such rows together."""
    order = np.lexsort((time_ns, series))
    count = np.arange(len(order))
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (series[order][1:] != series[order][:-1]) | (time_ns[order][1:] != time_ns[order][:-1])
    place = np.empty(len(order), np.int64)
    place[order] = count - np.maximum.accumulate(np.where(fresh, count, 0)) if len(order) else count
    return place, order


def spans(time_ns: Int64, near_ns: int = NEAR_NS) -> Iterator[tuple[int, int]]:
    """Spans that hold some times, both ends included; times far apart are in different ones.

    >>> list(spans(np.array([7, 1, 2]), 3))
    [(1, 2), (7, 7)]
    """
    ordered = np.unique(time_ns)
    if not len(ordered):
        return
    ends = np.flatnonzero(np.diff(ordered) > near_ns)
    yield from zip(
        ordered[np.append(0, ends + 1)].tolist(), ordered[np.append(ends, len(ordered) - 1)].tolist(), strict=True
    )


def runs(doomed: Int64, kept: Int64) -> Iterator[tuple[int, int]]:
    """Spans that hold every doomed time and no kept one, both ends included.

    >>> list(runs(np.array([1, 2, 5, 6]), np.array([4, 9])))
    [(1, 2), (5, 6)]
    """
    ordered = np.unique(doomed)
    if not len(ordered):
        return
    after = np.searchsorted(np.sort(kept), ordered)
    ends = np.flatnonzero(np.diff(after) > 0)
    yield from zip(
        ordered[np.append(0, ends + 1)].tolist(), ordered[np.append(ends, len(ordered) - 1)].tolist(), strict=True
    )

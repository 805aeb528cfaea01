"""How measurements that wait become batches that fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gateway import wire
from gateway.measurement import FEW, SECOND_NS, Columns

MAX_SPAN_NS = SECOND_NS  # real time between the first and the last value put into one batch


def spans(waiting: Iterable[tuple[int, Columns]]) -> Iterable[list[Columns]]:
    """Runs of values that were put within MAX_SPAN_NS."""
    group: list[Columns] = []
    first = 0
    for put_ns, columns in waiting:
        if group and put_ns - first > MAX_SPAN_NS:
            yield group
            group = []
        if not group:
            first = put_ns
        group.append(columns)
    if group:
        yield group


def cut(columns: Columns) -> list[Columns]:
    """Measurements cut into batches that fit, each with the series it needs and no more."""
    batches: list[Columns] = []
    if not len(columns):
        return []
    rest = [columns]
    if len(columns) > wire.MAX_VALUES:
        rest = [columns.take(slice(at, at + wire.MAX_VALUES)) for at in range(0, len(columns), wire.MAX_VALUES)][::-1]
    while rest:
        part = _compact(rest.pop())
        if wire.fits(part):
            batches.append(part)
        else:
            half = len(part) // 2
            assert half, "one measurement always fits"
            rest += [part.take(slice(half, None)), part.take(slice(half))]
    return batches


def _compact(columns: Columns) -> Columns:
    """The same measurements with a table of only the series that occur."""
    if len(columns) <= FEW and len(set(columns.series_index.tolist())) == len(columns.series):
        return columns
    counts = np.bincount(columns.series_index, minlength=len(columns.series))
    if np.logical_and.reduce(counts):
        return columns
    used = counts > 0
    place = (np.cumsum(used) - 1).astype(np.uint16)
    series = tuple([columns.series[number] for number in np.flatnonzero(used).tolist()])
    return Columns(series, place[columns.series_index], columns.time_ns, columns.value, columns.status)

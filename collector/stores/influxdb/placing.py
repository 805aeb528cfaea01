"""Rows of the journal made ready for the server: moved, without known keys, each at its place.

It asks the server only about instants that may be taken: a time above the newest of its series is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.store import AHEAD_NS, Rows
from collector.stores.influxdb.lines import encode, head_of
from collector.stores.influxdb.places import Key, again, spans
from collector.stores.influxdb.reading import Found, Reader
from collector.stores.influxdb.state import State, stream_number
from gateway.measurement import Float64, Int64, Series, UInt8


@dataclass(frozen=True, slots=True)
class Placed:
    """Measurements as the server takes them, by column, shape (n,).

    streams: all that were given, also where no row of theirs is left. series, which: whose row i is.
    heads, head: text before the fields. moved_ns: by how much the time was moved; None = nothing was moved.
    """

    streams: Sequence[tuple[str, bytes]]
    series: Sequence[Series]
    which: Int64
    heads: Sequence[str]
    head: npt.NDArray[np.intp]
    time_ns: Int64
    value: Float64
    status: UInt8
    stream: Int64
    seq: npt.NDArray[np.uint64]
    index: npt.NDArray[np.uint16]
    moved_ns: Int64 | None
    received_ns: Int64 | None

    def __len__(self) -> int:
        return len(self.time_ns)

    def lines(self, first: int, last: int) -> list[str]:
        """The text of some rows, `last` not included."""
        part = slice(first, last)
        moved_ns = None if self.moved_ns is None else self.moved_ns[part]
        key = (self.stream[part], self.seq[part], self.index[part])
        return encode(
            self.heads, self.head[part], self.time_ns[part], self.value[part], self.status[part], key, moved_ns
        )

    def present(self, rows: npt.NDArray[np.bool_]) -> Iterable[Series]:
        """The series that some rows are of."""
        return (self.series[n] for n in np.unique(self.which[rows]).tolist())

    def highest(self, known: Mapping[Series, int]) -> dict[Series, int]:
        """The newest time of each series, these rows included."""
        found = dict(known)
        for n in np.unique(self.which).tolist():
            newest = int(self.time_ns[self.which == n].max())
            found[self.series[n]] = max(found.get(self.series[n], newest), newest)
        return found

    def newest(
        self, known: Mapping[Series, tuple[int, float, int, bool]], rows: npt.NDArray[np.bool_]
    ) -> dict[Series, tuple[int, float, int, bool]]:
        """The newest value of each series, some rows included; of several at one time the one that came last.

        What is dated long after its receipt only stands in where there is nothing else.
        """
        ahead = np.zeros(len(self), np.bool_)
        if self.received_ns is not None:
            ahead = self.time_ns > self.received_ns + AHEAD_NS
        kept = np.flatnonzero(rows)
        order = kept[np.lexsort((self.time_ns[kept], ~ahead[kept], self.which[kept]))]
        last = order[np.append(self.which[order][1:] != self.which[order][:-1], True)] if len(order) else order
        found = dict(known)
        for row in last.tolist():
            one = self.series[int(self.which[row])]
            this = (int(self.time_ns[row]), float(self.value[row]), int(self.status[row]), bool(ahead[row]))
            if one not in found or (not found[one][3], found[one][0]) <= (not this[3], this[0]):
                found[one] = this
        return found


def placed(reader: Reader, state: State, highest: Mapping[Series, int], rows: Rows) -> Placed:
    """The rows that are not in the store yet; raises StoreError. highest: the newest time of each series there."""
    numbers = np.array([stream_number(*one) for one in rows.streams], np.int64)
    stream = numbers[rows.stream_index] if len(rows) else np.empty(0, np.int64)
    new = _unknown(reader, state, stream, rows)
    moves = state.moves()
    shown = moves.rows(rows) if moves else rows
    columns, given = shown.columns, rows.columns
    series = tuple(dict.fromkeys(columns.series))
    ids = np.array([series.index(one) for one in columns.series], np.int64)
    which = ids[columns.series_index[new]] if len(new) else np.empty(0, np.int64)
    time_ns, seq, index = columns.time_ns[new], rows.seq[new], rows.index[new]
    keys = (stream[new], seq.astype(np.int64), index.astype(np.int64))
    place = again(which, time_ns, keys, _taken(reader, series, which, time_ns, highest))
    places = int(place.max(initial=0)) + 1
    kinds, head = np.unique(which * places + place, return_inverse=True)
    heads = [head_of(series[kind // places], kind % places) for kind in kinds.tolist()]
    return Placed(
        rows.streams, series, which, heads, head, time_ns, columns.value[new], columns.status[new],
        stream[new], seq, index, (columns.time_ns - given.time_ns)[new] if moves else None,
        None if rows.received_ns is None else rows.received_ns[new],
    )  # fmt: skip


def _unknown(reader: Reader, state: State, stream: Int64, rows: Rows) -> npt.NDArray[np.intp]:
    """The rows whose keys are neither in the store nor twice among them."""
    known = np.zeros(len(rows), np.bool_)
    seq, index = rows.seq, rows.index
    order = np.lexsort((index, seq, stream))
    same = np.logical_and.reduce([c[order][1:] == c[order][:-1] for c in (stream, seq, index)])
    known[order[1:][same]] = True  # the order keeps equal ones as they came
    for number in np.unique(stream).tolist():
        if number not in state.streams:
            continue
        mine = np.flatnonzero(stream == number)
        suspect = mine[state.streams[number].batches.contains(seq[mine])]
        if len(suspect):
            there = _keys_of(reader, number, int(seq[suspect].min()), int(seq[suspect].max()))
            pairs = zip(seq[suspect].tolist(), index[suspect].tolist(), strict=True)
            known[suspect[[pair in there for pair in pairs]]] = True
    return np.flatnonzero(~known)


def of_batches(number: int, first: int, last: int) -> str:
    """The condition that picks the measurements of some batches of a stream."""
    return f'"stream" = {number} AND "seq" >= {first} AND "seq" <= {min(last, 2**53)}'


def _keys_of(reader: Reader, number: int, first: int, last: int) -> set[tuple[int, int]]:
    found = reader.groups(of_batches(number, first, last))
    return {pair for one in found for pair in zip(one.seq.tolist(), one.index.tolist(), strict=True)}


def _taken(
    reader: Reader, series: Sequence[Series], which: Int64, time_ns: Int64, highest: Mapping[Series, int]
) -> dict[tuple[int, int], dict[Key, int]]:
    """Who is at the instants that some rows come to: (series, time) -> key -> place."""
    taken: dict[tuple[int, int], dict[Key, int]] = {}
    for n in np.unique(which).tolist():
        times = time_ns[which == n]
        top = highest.get(series[n])
        old = times[times <= top] if top is not None else times[:0]
        for first, last in spans(old):
            for page in reader.pages(series[n], first, last + 1):
                note(taken, n, page)
    return taken


def note(taken: dict[tuple[int, int], dict[Key, int]], number: int, found: Found) -> None:
    """Enter points that are there."""
    keys = zip(found.stream.tolist(), found.seq.tolist(), found.index.tolist(), strict=True)
    for time_ns, key, place in zip(found.time_ns.tolist(), keys, found.again.tolist(), strict=True):
        taken.setdefault((number, time_ns), {})[key] = place

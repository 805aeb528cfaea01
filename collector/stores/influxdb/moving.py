"""Measurements that are there, moved to where they belong: written anew, then deleted where they were.

Each carries by how much it was moved, so that whatever a crash leaves, it is known where its batch put it, and
moving again ends in the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collector.shifts import Moved
from collector.store import StoreError
from collector.stores.influxdb.lines import encode, head_of
from collector.stores.influxdb.places import Key, again, runs, spans
from collector.stores.influxdb.placing import note, of_batches
from collector.stores.influxdb.reading import Found, Reader, of_series
from collector.stores.influxdb.state import stream_number
from collector.stores.influxdb.transport import Transport
from collector.stores.influxdb.writing import write
from gateway.measurement import Int64, Series, Status


def relocate(transport: Transport, reader: Reader, change: Moved) -> set[Series]:
    """Move the measurements of some batches; the series they are of. Raises StoreError."""
    number = stream_number(change.gateway, change.epoch)
    touched: set[Series] = set()
    for group in reader.groups(of_batches(number, change.from_seq, change.to_seq)):
        target = group.time_ns - group.moved_ns + change.new_ns
        # By nothing too: a clock that was right after all takes the flag away.
        wrong = (group.time_ns != target) | (group.moved_ns != change.new_ns) | _to_be_good(group)
        touched.add(group.series)
        if wrong.any():
            _copy(transport, reader, group.take(wrong), target[wrong], change.new_ns)
            gone = group.time_ns != target
            _delete(reader, group.take(gone))
    return touched


def _copy(transport: Transport, reader: Reader, found: Found, target: Int64, shift_ns: int) -> None:
    taken: dict[tuple[int, int], dict[Key, int]] = {}
    for first, last in spans(target):
        for page in reader.pages(found.series, first, last + 1):
            note(taken, 0, page)
    keys = (found.stream, found.seq.astype(np.int64), found.index.astype(np.int64))
    place = again(np.zeros(len(found), np.int64), target, keys, taken)
    heads = [head_of(found.series, n) for n in range(int(place.max()) + 1)]
    status = np.where(_to_be_good(found), np.uint8(Status.OK), found.status)
    lines = encode(
        heads, place.astype(np.intp), target, found.value, status, (found.stream, found.seq, found.index),
        np.full(len(found), shift_ns, np.int64),
    )  # fmt: skip
    written = write(transport, lambda start, end: lines[start:end], len(lines))
    if written.bad:  # it stays where it is until somebody has looked at it
        raise StoreError(f"{transport.server.name}: a moved measurement is refused: {written.bad[0][2]}")


def _to_be_good(found: Found) -> npt.NDArray[np.bool_]:
    """Which were flagged for their time alone."""
    flagged: npt.NDArray[np.bool_] = found.status == Status.UNSYNCED
    return flagged & np.isfinite(found.value)


def _delete(reader: Reader, found: Found) -> None:
    """Remove points of one series and place, and nothing beside them."""
    if not len(found):
        return
    place, first, last = int(found.again[0]), int(found.time_ns.min()), int(found.time_ns.max())
    there = reader.groups(f"{of_series(found.series)} AND time >= {first} AND time <= {last}")
    mine = [one.time_ns for one in there if one.series == found.series and int(one.again[0]) == place]
    kept = np.setdiff1d(np.concatenate([*mine, np.empty(0, np.int64)]), found.time_ns)
    for begin, end in runs(found.time_ns, kept):
        reader.delete(found.series, place, begin, end)

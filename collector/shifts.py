"""Times that a wrong clock gave, moved to where they belong.

A gateway whose clock was wrong says, once it is right, which of its batches that clock has dated and
by how much their times have to be moved (`gateway.clock`). The batches stay in the journal as they
are; the journal tells the move in an event, and whoever derives something from it applies it. Rules:

- a measurement keeps its key and appears once, at the corrected time; one that was flagged unsynced
  is plainly good then, since its time was all that was wrong with it;
- of several moves of one batch the one that the gateway said last holds, and each counts from the
  time in the batch: so the order in which batches and moves arrive changes nothing.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from collector.store import Entry, EntryKind, Rows, Shift
from gateway.measurement import Columns, Int64, Status

REBASED = "rebased"  # what such an event is called


@dataclass(frozen=True, slots=True)
class Moved:
    """A range of batches whose move has changed. old_ns, new_ns: the move before and now; None = none. [ns]"""

    gateway: str
    epoch: bytes
    from_seq: int
    to_seq: int
    old_ns: int | None
    new_ns: int


class Shifts:
    """The moves that are known."""

    def __init__(self, known: Iterable[Shift] = ()) -> None:
        self._streams: dict[tuple[str, bytes], dict[tuple[int, int], Shift]] = {}
        for shift in known:
            self.add(shift)

    def __bool__(self) -> bool:
        return bool(self._streams)

    def all(self) -> list[Shift]:
        """Every move that is known, ordered."""
        return sorted(shift for told in self._streams.values() for shift in told.values())

    def add(self, shift: Shift) -> list[Moved]:
        """One more move; what it changes, in ranges each of which was moved as one before."""
        told = self._streams.setdefault((shift.gateway, shift.epoch), {})
        known = told.get((shift.from_seq, shift.to_seq))
        if known is not None and known.told_in >= shift.told_in:
            return []
        ends = {seq for s in told.values() for seq in (s.from_seq, s.to_seq + 1)}
        cuts = sorted({shift.from_seq, shift.to_seq + 1} | {e for e in ends if shift.from_seq < e <= shift.to_seq})
        spans = list(zip(cuts, (cut - 1 for cut in cuts[1:]), strict=False))
        before = [self.of(shift.gateway, shift.epoch, first) for first, _ in spans]
        told[shift.from_seq, shift.to_seq] = shift
        return [
            Moved(shift.gateway, shift.epoch, first, last, old, new)
            for (first, last), old in zip(spans, before, strict=True)
            if (new := self.of(shift.gateway, shift.epoch, first)) is not None and new != old
        ]

    def of(self, gateway: str, epoch: bytes, seq: int) -> int | None:
        """By how much a batch is moved; None = not at all. [ns]"""
        told = self._streams.get((gateway, epoch))
        covering = [s for s in told.values() if s.from_seq <= seq <= s.to_seq] if told else []
        return max(covering, key=lambda s: (s.told_in, s.from_seq, s.to_seq)).shift_ns if covering else None

    def columns(self, entry: Entry, columns: Columns) -> Columns:
        """The measurements of a batch where they belong."""
        return moved(columns, self.of(entry.gateway, entry.epoch, entry.seq)) if self._streams else columns

    def rows(self, rows: Rows) -> Rows:
        """Measurements of any batches where they belong."""
        if not any(stream in self._streams for stream in rows.streams):
            return rows
        keys, place = np.unique(np.stack((rows.stream_index.astype(np.uint64), rows.seq)), axis=1, return_inverse=True)
        found = [self.of(*rows.streams[int(stream)], int(seq)) for stream, seq in keys.T]
        shift_ns = np.array([shift or 0 for shift in found], np.int64)[place]
        known = np.array([shift is not None for shift in found], np.bool_)[place]
        return replace(rows, columns=_moved(rows.columns, shift_ns, known))


def moved(columns: Columns, shift_ns: int | None) -> Columns:
    """Measurements of one batch, moved; None = they stay."""
    if shift_ns is None:
        return columns
    n = len(columns)
    return _moved(columns, np.full(n, shift_ns, np.int64), np.ones(n, np.bool_))


def _moved(columns: Columns, shift_ns: Int64, known: npt.NDArray[np.bool_]) -> Columns:
    good = known & (columns.status == Status.UNSYNCED) & np.isfinite(columns.value)
    status = np.where(good, np.uint8(Status.OK), columns.status)
    return Columns(columns.series, columns.series_index, columns.time_ns + shift_ns, columns.value, status)


class _Told(msgspec.Struct):
    """The figures of such an event."""

    from_seq: int
    to_seq: int
    shift_ns: int
    told_in: int


class _Event(msgspec.Struct):
    """The little of an event that is read here."""

    what: str
    detail: msgspec.Raw = msgspec.Raw(b"{}")


_event = msgspec.json.Decoder(_Event).decode


_told = msgspec.json.Decoder(_Told).decode


def told_by(entry: Entry) -> Shift | None:
    """The move that an entry of the journal tells; None where it tells none."""
    if entry.kind is not EntryKind.EVENT:
        return None
    event = _event(entry.payload)
    if event.what != REBASED:
        return None
    told = _told(event.detail)
    return Shift(entry.gateway, entry.epoch, told.from_seq, told.to_seq, told.shift_ns, told.told_in)


def told_in(entries: Sequence[Entry]) -> list[Shift]:
    """The moves that some entries of the journal tell, in their order."""
    return [shift for entry in entries if (shift := told_by(entry)) is not None]

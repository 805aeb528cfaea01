"""The ports that join the collector's wings: the journal as others read it, and the store.

The journal is the truth, the store a projection of it that can be thrown away. Whoever derives
something from the journal (projector, evaluator) follows it by position and commits its own
cursor together with what it derived, so that a crash between the two cannot double or lose rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.measurement import SECOND_NS, Columns, Float64, Int64, Series, UInt8

AHEAD_NS = 300 * SECOND_NS  # a time so far after the receipt comes of a wrong clock


class EntryKind(StrEnum):
    """What a journal entry holds.

    quarantine: bytes that are not, or not yet, believed. conflict: a batch under a number that another one has.
    event: what the collector noticed (`collector.intake.events`). mark: what a person says of measurements
    (`collector.marks`).
    """

    BATCH = "batch"
    TICK = "tick"
    QUARANTINE = "quarantine"
    CONFLICT = "conflict"
    EVENT = "event"
    MARK = "mark"


class Entry(msgspec.Struct, frozen=True):
    """One row of the journal.

    position: contiguous from 1 over all segments; the cursor of all followers.
    received_ns: the collector's clock when the bytes arrived, never falling from row to row. [ns since 1970 UTC]
    gateway, epoch, seq, payload: of a batch, as received (signature included); "", b"", 0, b"" for a tick. An event
    names gateway and epoch where it is of one, and has number 0; a mark has its payload alone.
    first_ns, last_ns: earliest and latest measurement inside; 0 where there is none. [ns since 1970 UTC]
    """

    position: int
    received_ns: int
    kind: EntryKind
    gateway: str = ""
    epoch: bytes = b""
    seq: int = 0
    payload: bytes = b""
    first_ns: int = 0
    last_ns: int = 0


class NotHere(Exception):
    """Entries that the journal had are not here: the text names the months and says what to do."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A month that the journal had and has not here any more. state: archived or expired.

    first, last: positions of its entries. sha256: of its sealed file, in hex.
    """

    month: str
    state: str
    first: int
    last: int
    sha256: str


class JournalReader(Protocol):
    """The journal as its followers see it. Safe to call from any thread. Raises NotHere."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > after, ordered by position."""

    def overlapping(self, from_ns: int, to_ns: int, upto: int) -> list[Entry]:
        """Every batch with a measurement in [from_ns, to_ns) and position <= upto, ordered by position."""

    def batches(self, gateway: str, epoch: bytes, seqs: tuple[int, int], limit: int) -> list[Entry]:
        """The first `limit` batches of a stream in a range of numbers, both ends included, ordered by number."""

    def wait(self, after: int, timeout_s: float) -> int:
        """The last committed position, as soon as it is above `after` or the time is over."""


@dataclass(frozen=True, slots=True, order=True)
class Shift:
    """Batches whose times a wrong clock gave: the times have to be moved by shift_ns. [ns]

    from_seq, to_seq: which of the stream, both included. told_in: the number of the batch that says so.
    """

    gateway: str
    epoch: bytes
    from_seq: int
    to_seq: int
    shift_ns: int
    told_in: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Measurements as the store takes and gives them: columns plus the key that makes each unique.

    gateway, epoch: who sent row i, as an index into `streams` of (gateway id, epoch), shape (n,).
    seq, index: batch number and place in the batch, shape (n,). The key is (gateway, epoch, seq, index).
    received_ns: when row i arrived, shape (n,); None = nobody says. [ns since 1970 UTC]
    """

    columns: Columns
    streams: tuple[tuple[str, bytes], ...]
    stream_index: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint64]
    index: npt.NDArray[np.uint16]
    received_ns: Int64 | None = None

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of one series, ordered by time. time_ns, value, status: shape (n,)."""

    series: Series
    time_ns: Int64
    value: Float64
    status: UInt8


class StoreError(Exception):
    """The store's file or server refuses; the text says which and what to do. Nothing that is read was changed."""


class Store(Protocol):
    """A time-series store of measurements. Safe to call from any thread.

    Raises StoreError when the server or file refuses; nothing is lost then, since the cursor did not move.
    """

    @property
    def problem(self) -> str:
        """What is wrong though measurements are taken, as a sentence; "" = nothing."""

    @property
    def expired(self) -> int:
        """How many measurements it left out since it was opened, as they are older than it keeps."""

    def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
        """Add measurements and move the cursor to `position`, both or neither; known keys are not added again.

        rows: with the times of their batches. shifts: what is to be moved from now on, whenever it came
        (`collector.shifts`).
        """

    def cursor(self) -> int:
        """The journal position up to which measurements are in the store; 0 = nothing yet."""

    def series(self) -> list[Series]:
        """Every series that has measurements."""

    def measurements(self, series: Series, from_ns: int, to_ns: int, limit: int) -> Slice:
        """The first `limit` measurements with from_ns <= time < to_ns."""

    def latest(self) -> list[tuple[Series, int, float, int]]:
        """The newest measurement of every series: series, time [ns], value, status.

        One that is more than AHEAD_NS after its receipt only stands in where there is no other.
        """

    def keys(self) -> Rows:
        """Every stored row, read back by query (time, value and status included)."""

    def close(self) -> None:
        """Release file or connection."""

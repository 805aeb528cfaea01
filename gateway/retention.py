"""What leaves the outbox without having been acknowledged, and how that is told: as a gap record.

A row that is acknowledged stays for some weeks as evidence, so that a collector restored from a
backup can be filled again; it is the first to go when the outbox is over its limit. A row without
acknowledgement goes only when there is nothing else left, oldest first, or when its bytes are
damaged; what goes is declared in the same transaction, so that no number of a stream is ever
missing without a word. Records (hello, gap, clock) hold no measurements, are small, and stay.

Age alone never takes a row without acknowledgement: the clock it would be judged by may be wrong.

Pure. Source: docs/reference/wire.md (gap).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec

from gateway.document import Table
from gateway.lanes import Key

LOW_WATER = 0.98  # of the limit: room is made for a while at once, so that a gap record tells of many rows
RING_DAYS = 30.0
MAX_BYTES = 2 << 30  # some two months of the reference site

Reason = Literal["outbox_full", "corrupt", "operator"]


@dataclass(frozen=True, slots=True)
class Limits:
    """days: how long acknowledged rows stay. bytes: how large the outbox may become."""

    days: float = RING_DAYS
    bytes: int = MAX_BYTES


def read_limits(table: Table) -> Limits:
    """The limits in the table `[outbox]` of a site file."""
    with table:
        days = table.number("days", RING_DAYS, low=1, high=3660)
        max_mb = table.integer("max_mb", MAX_BYTES >> 20, low=64, high=1 << 24)
        return Limits(days=days or RING_DAYS, bytes=(max_mb or 0) << 20)


class Held(msgspec.Struct, frozen=True):
    """What an outbox knows of a row without reading it. size: bytes it takes. Times are the measurements' own. [ns]"""

    epoch: bytes
    seq: int
    n: int
    first_ns: int
    last_ns: int
    size: int

    @property
    def key(self) -> Key:
        """Epoch and seq."""
        return self.epoch, self.seq


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of an epoch that nobody can send any more.

    n: measurements in them, as far as known. t_first, t_last: the time they span, 0 where there were none. [ns]
    """

    ep: bytes
    from_seq: int
    to_seq: int
    n: int
    t_first: int
    t_last: int
    reason: Reason

    def fields(self) -> dict[str, Any]:
        """What a gap record adds to its header."""
        return {"gap": asdict(self)}


def gaps(rows: Iterable[Held], reason: Reason) -> list[Gap]:
    """The gap records for some rows: one for each run of numbers."""
    return [_gap(run, reason) for run in _runs(rows)]


def spans(rows: Iterable[Held]) -> list[tuple[bytes, int, int]]:
    """The same rows by epoch, first and last seq."""
    return [(run[0].epoch, run[0].seq, run[-1].seq) for run in _runs(rows)]


def _runs(rows: Iterable[Held]) -> list[list[Held]]:
    runs: list[list[Held]] = []
    for row in sorted(rows, key=lambda row: row.key):
        if runs and runs[-1][-1].epoch == row.epoch and runs[-1][-1].seq + 1 == row.seq:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _gap(run: Sequence[Held], reason: Reason) -> Gap:
    filled = [row for row in run if row.n]
    first = min((row.first_ns for row in filled), default=0)
    last = max((row.last_ns for row in filled), default=0)
    return Gap(run[0].epoch, run[0].seq, run[-1].seq, sum(row.n for row in run), first, last, reason)


@dataclass(frozen=True, slots=True)
class Room:
    """What makes room: rows to delete as they are, and rows to delete and declare."""

    free: tuple[Held, ...] = ()
    given_up: tuple[Held, ...] = ()


def excess(used: int, limit: int, *, over: bool = False) -> int:
    """How many bytes have to go; 0 = none. over: room is being made, so go on down to the low water mark."""
    return max(0, used - int(limit * LOW_WATER)) if over or used > limit else 0


def make_room(wanted: int, acked: Sequence[Held], unacked: Sequence[Held]) -> Room:
    """Which rows go to free so many bytes. acked, unacked: the oldest first.

    Rows without acknowledgement go only when no acknowledged one is left.
    """
    free = _oldest(wanted, acked)
    if free or wanted <= 0:
        return Room(free=free)
    return Room(given_up=_oldest(wanted, [row for row in unacked if row.n]))


def _oldest(wanted: int, rows: Iterable[Held]) -> tuple[Held, ...]:
    taken: list[Held] = []
    for row in rows:
        if wanted <= 0:
            break
        taken.append(row)
        wanted -= row.size
    return tuple(taken)

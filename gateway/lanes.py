"""Two lanes out of the outbox: what is measured now goes before what an outage left behind.

A *live* lane begins near the newest batch, so that a dashboard is fresh seconds after an outage of
days; the *backlog* holds all that is older, and is sent from the oldest on. Both send in the order
of the stream. Where the live lane has stood still for long it jumps to the newest batches again,
and what it jumps over becomes backlog. Nothing is ever skipped: the backlog's place is below the
live lane's, and all that lies between goes out before the two are one again.

Pure: a spool is asked for rows, which a simulator answers as well as a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

Key = tuple[bytes, int]  # epoch and seq
START: Key = (b"", 0)
END: Key = (b"\xff" * 16, 1 << 62)
TAIL = 8  # the newest batches that are live when a lane begins or jumps


class Row(msgspec.Struct, frozen=True):
    """A sealed batch. n: measurements in it, 0 for a record."""

    epoch: bytes
    seq: int
    n: int
    payload: bytes

    @property
    def key(self) -> Key:
        """Epoch and seq."""
        return self.epoch, self.seq


class Spool(Protocol):
    """Where committed rows are asked for."""

    def pending(self, limit: int, after: Key) -> list[Row]:
        """Up to `limit` rows without acknowledgement above a key, in order."""

    def row(self, key: Key) -> Row | None:
        """One row, if it is still without acknowledgement."""

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement; START where there are no more."""


@dataclass(slots=True)
class Lanes:
    """How far the lanes have come: each has sent, or left to the other, all up to its key."""

    live: Key = START
    backlog: Key = START

    @property
    def behind(self) -> bool:
        """Whether there may be backlog."""
        return self.backlog < self.live

    def begin(self, tail: Key) -> None:
        """Nothing is on the way: all up to `tail` is backlog, what is above is live."""
        self.live, self.backlog = tail, START

    def jump(self, tail: Key) -> None:
        """The live lane goes on above `tail`, unless it is there already."""
        self.live = max(self.live, tail)

    def rewind(self) -> None:
        """What had left the outbox's way is back: all below the live lane is backlog again."""
        self.backlog = START

    def went_live(self, key: Key) -> None:
        """The live lane has sent a batch."""
        assert key > self.live, "batches of a lane leave in the order of the stream"
        if not self.behind:
            self.backlog = key
        self.live = key

    def went_back(self, key: Key) -> None:
        """The backlog has sent a batch, or passed one that is on its way already."""
        assert self.backlog < key <= self.live, "the backlog ends where the live lane began"
        self.backlog = key

    def caught_up(self) -> None:
        """No backlog is left."""
        self.backlog = self.live

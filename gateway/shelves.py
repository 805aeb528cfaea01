"""What the outbox asks of its storage, and what storage answers: a disk, or a simulated one.

Every write is all or nothing, and on the disk when it returns; one that fails has changed nothing.
Nothing here decides what is kept: that is `gateway.keeper`.

Errors: SpoolFull (no room: nothing is lost, try again), SpoolError (anything worse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from gateway import wire
from gateway.lanes import Key, Row
from gateway.retention import Gap, Held

SYNCHRONOUS = "FULL"  # SQLite's word for: COMMIT returns when the disk has it, and a power cut takes nothing back
Sealed: TypeAlias = tuple[bytes, int, int, int, int, bytes]  # epoch, seq, n, first_ns, last_ns, payload


class SpoolError(Exception):
    """The outbox cannot be used or written; says which file and what to do."""


class SpoolFull(SpoolError):
    """The disk is full. Nothing is lost yet: the values stay in memory and the next flush tries again."""


class Meta(msgspec.Struct, frozen=True):
    """What an outbox knows of itself.

    last_epoch, last_seq, last_hash: the last batch stored; a new outbox has none. ack: generation, its random
    bytes and number of the last acknowledgement accepted. clean: its process ended as meant. boot_id: the
    machine's start in which it was used last. seen_ns: no right clock shows less; 0 = nothing is
    known. [ns since 1970 UTC]
    """

    last_epoch: bytes = b""
    last_seq: int = 0
    last_hash: bytes = wire.NO_HASH
    ack: tuple[int, bytes, int] | None = None
    clean: bool = True
    boot_id: str = ""
    seen_ns: int = 0


class Change(msgspec.Struct, frozen=True):
    """What one commit does. rows, gone: to store, to delete. told: what gap records among them say."""

    sealed_ns: int
    meta: Meta
    rows: Sequence[Sealed] = ()
    gone: Sequence[Held] = ()
    told: Sequence[tuple[Key, Gap]] = ()


class Shelves(Protocol):
    """The storage of one outbox. Damaged rows are never returned as rows, but as what is known of them (`Held`)."""

    def meta(self) -> Meta:
        """As last committed."""

    def count(self) -> int:
        """Rows without acknowledgement."""

    def commit(self, change: Change) -> None:
        """Store and delete in one go."""

    def waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        """Up to `limit` rows without acknowledgement above a key, in order: the sound ones, and the damaged ones."""

    def one(self, key: Key) -> tuple[list[Row], list[Held]]:
        """A row without acknowledgement, sound or damaged, if there is one."""

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement; `lanes.START` where there are no more."""

    def lowest(self, epoch: bytes) -> int | None:
        """The lowest seq of an epoch without acknowledgement."""

    def oldest(self, limit: int, *, acked: bool) -> list[Held]:
        """The oldest rows: those acknowledged first, or those with measurements and without acknowledgement."""

    def told_by(self, rows: Sequence[Held]) -> list[Gap]:
        """What gap records among some rows said."""

    def used_bytes(self) -> int:
        """How much is kept, as the limit counts it."""

    def mark(self, ack: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        """Mark what an acknowledgement names, and note it as the last one; how many rows were newly marked, and undone.

        undo: first undo the marks of all that it does not name.
        """

    def expire(self, before_ns: int, limit: int) -> int:
        """Delete rows that were marked before an instant, where that is cheap up to `limit` of them; how many."""

    def release(self) -> bool:
        """Make room by dropping many acknowledged rows at once, the oldest ones; False where that cannot be done."""

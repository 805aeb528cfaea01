"""A gateway's memory card: the storage of its outbox, which can be full, broken, damaged, or lie.

An honest card holds what was committed, whatever happens to process or machine. A lying one answers before
it has anything: from then on every state is remembered, and a power cut goes back to one of them. What leaves
the card other than by a rule of the outbox is noted with its reason, for the oracle.

Implements `gateway.shelves.Shelves`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from gateway import shelves, wire
from gateway.lanes import START, Key, Row
from gateway.retention import Gap, Held
from gateway.salvage import Found
from gateway.seal import SIGNATURE_BYTES
from gateway.shelves import Change, Meta, Sealed, SpoolError, SpoolFull
from simulators.world.dice import Dice

ROW_BYTES = 200  # a row's columns, besides its payload
_LAST = 2**63


class Witness(Protocol):
    """Who is told what becomes of rows."""

    def left(self, card: Card, rows: Iterable[Sealed], why: str) -> None:
        """Rows are no longer on a card."""

    def back(self, card: Card) -> None:
        """A card went back in time."""

    def changed(self, card: Card, change: Change, gone: Sequence[tuple[Sealed, bool]], used: int) -> None:
        """Rows were stored and deleted. gone: with whether they were acknowledged. used: bytes before that."""

    def expired(self, card: Card, keys: Sequence[Key]) -> None:
        """Rows were deleted because they were acknowledged long ago."""

    def marked(self, card: Card, keys: Sequence[Key], before: tuple[int, bytes, int] | None) -> None:
        """Rows were marked as acknowledged. before: the acknowledgement that counted last until then."""


@dataclass(slots=True)
class State:
    """What is on a card. unacked: keys without acknowledgement, rising. counter: of process starts."""

    rows: dict[Key, Sealed] = field(default_factory=dict)
    acked: dict[Key, int] = field(default_factory=dict)
    unacked: list[Key] = field(default_factory=list)
    told: dict[Key, Gap] = field(default_factory=dict)
    meta: Meta = field(default_factory=Meta)
    ack: tuple[int, bytes, int] | None = None
    counter: int = 0
    used: int = 0

    def copy(self) -> State:
        """The same, from now on changed for itself."""
        return replace(
            self, rows=dict(self.rows), acked=dict(self.acked), unacked=list(self.unacked), told=dict(self.told)
        )


class Card:
    """One card. full: no room. failing: the next write fails for good. damaged: rows whose bytes have changed.

    aside: what was salvaged from a card that could not be read, until it is committed again.
    """

    def __init__(self, gateway: str, witness: Witness, dice: Dice, state: State | None = None) -> None:
        self.gateway = gateway
        self.full = self.failing = False
        self.damaged: set[Key] = set()
        self.aside: dict[Key, Found] | None = None
        self.state = state or State()
        self.lied: list[State] = []
        self._lying = False
        self._witness, self._dice = witness, dice

    def copy(self) -> Card:
        """A copy of the card as it is now."""
        return Card(self.gateway, self._witness, self._dice, self.state.copy())

    # --- what befalls it -----------------------------------------------------------------------------

    def lie(self, lying: bool) -> None:
        """Begin to answer before anything is written, or write it all."""
        self._lying = lying
        if not lying:
            self.lied.clear()

    def cut_power(self) -> None:
        """The machine went dark: what a lying card had not written is gone, from some commit on."""
        if not self.lied:
            return
        before, self.state = self.state, self.lied[self._dice.below(len(self.lied))]
        self.lied.clear()
        gone = [row for key, row in before.rows.items() if key not in self.state.rows]
        self.damaged &= self.state.rows.keys()
        self._witness.back(self)
        self._witness.left(self, gone, "cut" if self._lying else "never asked to be kept")

    def flip(self, keys: Iterable[Key]) -> None:
        """Bits of some rows have changed."""
        self.damaged.update(keys)

    def ruin(self, share: float) -> None:
        """The file cannot be read; of a share of its rows nothing can be salvaged."""
        rows = dict(sorted(self.state.rows.items()))
        lost = [row for key, row in rows.items() if key in self.damaged or self._dice.chance(share)]
        if len(lost) == len(rows):
            lost = lost[1:]
        for row in lost:
            del rows[row[0], row[1]]
        self.state = State(counter=self.state.counter)
        self.damaged.clear()
        self.lied.clear()
        self.aside = {key: _found(row) for key, row in rows.items()}
        self._witness.left(self, lost, "ruined")

    def settle(self) -> None:
        """All that was salvaged is committed again."""
        self.aside = None

    def held(self) -> list[Sealed]:
        """All rows that it holds or that were salvaged from it."""
        return [*self.state.rows.values(), *(one.row for one in (self.aside or {}).values())]

    # --- shelves.Shelves -----------------------------------------------------------------------------

    def meta(self) -> Meta:
        """As last committed."""
        return msgspec.structs.replace(self.state.meta, ack=self.state.ack)

    def count(self) -> int:
        """Rows without acknowledgement."""
        return len(self.state.unacked)

    def _writes(self) -> None:
        if self.failing:
            raise SpoolError("the card fails")
        if self.full:
            raise SpoolFull("the card is full")
        if self._lying or shelves.SYNCHRONOUS != "FULL":  # a card keeps what it is asked to keep
            self.lied.append(self.state.copy())

    def commit(self, change: Change) -> None:
        """Store and delete in one go."""
        self._writes()
        state, used, gone = self.state, self.state.used, []
        for held in change.gone:
            if row := state.rows.pop(held.key, None):
                gone.append((row, held.key in state.acked))
                self._forget(held.key, row)
        for row in change.rows:
            key = row[0], row[1]
            assert key not in state.rows, f"batch {key[1]} is stored twice"
            state.rows[key] = row
            state.used += len(row[5]) + ROW_BYTES
            if state.unacked and key < state.unacked[-1]:
                insort(state.unacked, key)
            else:
                state.unacked.append(key)
        state.told.update(change.told)
        state.meta = change.meta
        self._witness.changed(self, change, gone, used)

    def _forget(self, key: Key, row: Sealed) -> None:
        self.state.used -= len(row[5]) + ROW_BYTES
        self.damaged.discard(key)
        if self.state.acked.pop(key, None) is None:
            del self.state.unacked[bisect_left(self.state.unacked, key)]

    def waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        """Rows without acknowledgement above a key."""
        start = bisect_right(self.state.unacked, after)
        return self._read(self.state.unacked[start : start + limit])

    def one(self, key: Key) -> tuple[list[Row], list[Held]]:
        """A row without acknowledgement."""
        return self._read([key] if key in self.state.rows and key not in self.state.acked else [])

    def _read(self, keys: Sequence[Key]) -> tuple[list[Row], list[Held]]:
        rows, damaged = self.state.rows, self.damaged
        sound = [Row(row[0], row[1], row[2], row[5]) for key in keys if key not in damaged for row in (rows[key],)]
        return sound, [_held(rows[key]) for key in keys if key in damaged] if damaged else []

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement."""
        return self.state.unacked[-rows - 1] if len(self.state.unacked) > rows else START

    def lowest(self, epoch: bytes) -> int | None:
        """The lowest seq of an epoch without acknowledgement."""
        place = bisect_left(self.state.unacked, (epoch, 0))
        found = self.state.unacked[place : place + 1]
        return found[0][1] if found and found[0][0] == epoch else None

    def oldest(self, limit: int, *, acked: bool) -> list[Held]:
        """The oldest rows."""
        rows = self.state.rows
        if acked:
            return [_held(rows[key]) for key in sorted(self.state.acked, key=self.state.acked.__getitem__)[:limit]]
        return [_held(rows[key]) for key in self.state.unacked if rows[key][2]][:limit]

    def told_by(self, rows: Sequence[Held]) -> list[Gap]:
        """What gap records among some rows said."""
        return [self.state.told[row.key] for row in rows if row.key in self.state.told]

    def used_bytes(self) -> int:
        """Bytes that rows take."""
        return self.state.used

    def mark(self, ack: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        """Mark what an acknowledgement names."""
        self._writes()
        state = self.state
        named = [(epoch.ep, span) for epoch in ack.epochs for span in ((0, epoch.upto), *epoch.have)]
        undone = self._unmark(ack) if undo else 0
        marked: list[Key] = []
        for epoch, (first, last) in named:
            start = bisect_left(state.unacked, (epoch, first))
            end = bisect_right(state.unacked, (epoch, min(last, _LAST)), start)
            if start < end:
                marked += state.unacked[start:end]
                del state.unacked[start:end]
        for key in marked:
            state.acked[key] = now_ns
        before, state.ack = state.ack, (*ack.gen, ack.n)
        self._witness.marked(self, marked, before)
        return len(marked), undone

    def _unmark(self, ack: wire.Ack) -> int:
        named = {epoch.ep: epoch for epoch in ack.epochs}
        back = [key for key in self.state.acked if not _names(named.get(key[0]), key[1])]
        for key in back:
            del self.state.acked[key]
            insort(self.state.unacked, key)
        return len(back)

    def expire(self, before_ns: int, limit: int) -> int:
        """Delete rows that were marked before an instant."""
        self._writes()
        acked = self.state.acked
        keys = sorted((key for key, marked_ns in acked.items() if marked_ns < before_ns), key=acked.__getitem__)[:limit]
        self._witness.expired(self, keys)
        for key in keys:
            self._forget(key, self.state.rows.pop(key))
        return len(keys)

    def release(self) -> bool:
        """A card has no more than rows."""
        return False


def _names(epoch: wire.EpochAck | None, seq: int) -> bool:
    return epoch is not None and (seq <= epoch.upto or any(first <= seq <= last for first, last in epoch.have))


def _held(row: Sealed) -> Held:
    return Held(*row[:5], len(row[5]) + ROW_BYTES)


def _found(row: Sealed) -> Found:
    header = wire.decode(row[5][1 + SIGNATURE_BYTES :]).header
    return Found((row[0], row[1]), header.low, row[2], row[3], row[4], row[5])

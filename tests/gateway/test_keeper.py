"""The outbox's rules on a storage that a test can fill and damage."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import outbox, seal, wire
from gateway.configuration import Configuration, hash_of
from gateway.keeper import Instant, Keeper, Start
from gateway.lanes import START
from gateway.outbox import Outbox
from gateway.shelves import SpoolFull
from simulators.world.card import Card
from simulators.world.dice import Dice
from tests.effort import examples
from tests.gateway.batches import KEY, columns


class Nobody:
    """Does not care what becomes of rows."""

    def __getattr__(self, name: str):
        return lambda *_: None


def test_damage_that_found_the_disk_full_is_declared_once_there_is_room():
    card = Card("riverside-gw", Nobody(), Dice(1, "card"))
    found = Keeper(card, "riverside", "riverside-gw", KEY, now=lambda: Instant(1_793_500_000_000_000_000, 1))
    found.begin(Start(1, bytes(8), "boot", "test"))
    found.keep([columns(5) for _ in range(6)])
    last = found.pending(99)[-1].key
    card.flip([(found.epoch, 3), (found.epoch, 5)])
    card.full = True
    assert [row.seq for row in found.pending(99)] == [1, 2, 4, 6, 7]
    assert [row.seq for row in found.pending(1, (found.epoch, 2))] == [4], "none is passed over that lies behind"
    assert found.unacked == 7, "nothing is said yet"
    card.full = False
    told = found.pending(99, last)  # those who send ask for what comes after, and for nothing below it again
    gaps = [wire.decode(seal.verify(row.payload, KEY.public_key())).fields["gap"] for row in told]
    assert [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in gaps] == [(3, 3, "corrupt"), (5, 5, "corrupt")]
    assert found.unacked == 7
    assert found.counts["damaged_batches"] == 2


def text(number: int) -> str:
    return f"scale {number}\n"


class Life:
    """A gateway whose configuration changes, whose disk is full at times, and which is killed at times.

    Every value it puts is the number of the configuration it was measured by.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.card = chance, Card("riverside-gw", Nobody(), Dice(1, "card"))
        self.number = self.put = self.starts = 0
        self.noted = ""  # what stands beside the outbox as the last text
        self.start()

    def start(self) -> None:
        self.card.full, self.starts = False, self.starts + 1
        self.found, self.box = self._keeper(), Outbox()
        self.found.begin(Start(self.starts, bytes(8), "boot", "test"))
        self.noted = text(self.number)

    def _keeper(self) -> Keeper:
        configuration = Configuration(text(self.number), before=self.noted)
        return Keeper(
            self.card, "riverside", "riverside-gw", KEY, configuration=configuration,
            now=lambda: Instant(1_793_500_000_000_000_000, 1),
        )  # fmt: skip

    def measure(self) -> None:
        some = columns(self.chance.randrange(1, 700))
        self.box.put(replace(some, value=some.value * 0 + self.number), 1)
        self.put += len(some)

    def change(self) -> None:
        before, self.number = self.number, self.number + 1
        self.box.change(Configuration(text(self.number), before=text(before)))

    def flush(self) -> None:
        with contextlib.suppress(SpoolFull):
            dropped, self.box.untold = self.box.untold, None
            try:
                if dropped:
                    self.found.give_up(dropped)
            except SpoolFull:
                self.box.untold = dropped
                raise
            parts = self.box.take()
            try:
                self.found.keep(parts)
            except SpoolFull:
                self.box.restore(parts)
                raise
            if not self.box.held():
                self.noted = text(self.number)

    def batches(self) -> list[wire.Batch]:
        return [wire.decode(seal.verify(r.payload, KEY.public_key())) for r in self.found.pending(1 << 20, START)]


@settings(max_examples=examples(40))
@given(st.integers(0, 2**32), st.sampled_from([900, 1_000_000]))
def test_every_value_is_sealed_under_the_configuration_it_was_measured_by(seed: int, room: int) -> None:
    """Whatever the disk does, and whenever the process is killed; memory with little room keeps the order, too."""
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "MAX_WAITING", room)
        life = Life(chance)
        lost = 0
        for _ in range(60):
            match chance.choice(["measure", "measure", "change", "flush", "flush", "full", "room", "die"]):
                case "measure":
                    life.measure()
                case "change":
                    life.change()
                case "flush":
                    life.flush()
                case "full" | "room" as how:
                    life.card.full = how == "full"
                case "die" if chance.random() < 0.3:
                    lost += life.box.values + (life.box.untold.n if life.box.untold else 0)
                    life.start()
        life.card.full = False
        life.flush()
    found, measured_by, told = life.batches(), b"", set()
    for batch in found:
        if batch.header.kind == "hello":
            measured_by = batch.header.cfg
        if batch.header.kind == "config":
            record = batch.fields["config"]
            assert record["hash"] == batch.header.cfg == hash_of(record["text"])
            assert record["before"] in (wire.NO_HASH, *told), "it continues one that was told"
            measured_by = record["hash"]
            told.add(measured_by)
        assert batch.header.cfg == measured_by, "a record comes before what is measured by it"
        assert {hash_of(text(int(value))) for value in batch.columns.value} <= {measured_by}
    given_up = sum(batch.fields["gap"]["n"] for batch in found if batch.header.kind == "gap")
    assert sum(batch.header.n for batch in found) + given_up + lost == life.put, "nothing is lost"
    assert found[-1].header.cfg == hash_of(text(life.number)) or found[-1].header.kind == "gap"
    assert life.found._cfg == hash_of(text(life.number))


def test_a_change_is_one_commit_with_what_was_measured_on_both_sides_of_it() -> None:
    life = Life(random.Random(1))
    life.box.put(columns(3), 1)
    life.change()
    life.box.put(columns(4), 1)
    assert (life.box.due_ns(), life.box.values) == (0, 7)
    life.card.full = True
    life.flush()
    assert [batch.header.kind for batch in life.batches()] == ["hello", "config"]
    life.card.full = False
    life.flush()
    kinds = [(batch.header.kind, batch.header.n, batch.header.cfg) for batch in life.batches()[2:]]
    old, new = hash_of(text(0)), hash_of(text(1))
    assert kinds == [("data", 3, old), ("config", 0, new), ("data", 4, new)]

"""The outbox's rules on a storage that a test can fill and damage."""

from __future__ import annotations

from gateway import seal, wire
from gateway.keeper import Instant, Keeper, Start
from simulators.world.card import Card
from simulators.world.dice import Dice
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
    assert found.unacked == 7, "nothing is said yet"
    card.full = False
    told = found.pending(99, last)  # those who send ask for what comes after, and for nothing below it again
    gaps = [wire.decode(seal.verify(row.payload, KEY.public_key())).fields["gap"] for row in told]
    assert [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in gaps] == [(3, 3, "corrupt"), (5, 5, "corrupt")]
    assert found.unacked == 7
    assert found.counts["damaged_batches"] == 2

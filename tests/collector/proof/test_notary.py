"""The notary: trees grow with the journal, checkpoints come with its hours, whatever stops in between."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from collector.intake.journal import Journal
from collector.proof.checkpoint import notes, open_note, origin
from collector.proof.leaf_file import LeafFile, read_kept
from collector.proof.leaves import entry_leaf, plant_of
from collector.proof.notary import Notary
from collector.proof.tree import Tree
from collector.store import Entry, EntryKind
from tests.collector.batches import START_NS
from tests.collector.proof.kit import MINUTE_NS, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, hours=1)


def opened(house: House, stack: ExitStack) -> tuple[Journal, LeafFile, Notary]:
    journal = stack.enter_context(closing(Journal(house.collector / "journal")))
    leaves = stack.enter_context(closing(LeafFile(house.tree)))
    return journal, leaves, Notary(journal, leaves, house.collector / "checkpoints", house.key)


def test_checkpoints_are_a_function_of_the_journal(house: House) -> None:
    texts = []
    for step in (1, 7, 1000):
        folder = house.collector / f"checkpoints-{step}"
        with ExitStack() as stack:
            journal = stack.enter_context(closing(Journal(house.collector / "journal")))
            if step == 1:
                for hour in (1, 2, 3):
                    journal.append(house.entries(hour))
            leaves = stack.enter_context(closing(LeafFile(house.folder / f"{step}.db")))
            while leaves.position() < journal.last:  # one that starts anew each time
                notary = Notary(journal, leaves, folder, house.key)
                notary.take(journal.read(notary.position, step))
        texts.append((folder / "harbour.txt").read_text())
    assert texts[0] == texts[1] == texts[2]
    name, key = origin("harbour", house.key.public_key()), house.key.public_key()
    made = [open_note(note, name, key) for note in notes(texts[0])]
    assert [checkpoint.tick_ns // (60 * MINUTE_NS) for checkpoint in made] == sorted(
        {(START_NS + minute * MINUTE_NS + 10**9) // (60 * MINUTE_NS) for minute in range(0, 240, 10)}
    )
    kept = read_kept(house.folder / "1.db")
    tree = Tree(leaf for _, leaf in kept.leaves["harbour"])
    assert tree.size == 24
    assert all(checkpoint.root == tree.root(checkpoint.size) for checkpoint in made)
    assert list(kept.notes["harbour"]) == notes(texts[0])


def test_it_follows_the_journal_by_itself(house: House) -> None:
    with ExitStack() as stack:
        journal, leaves, notary = opened(house, stack)
        notary.start()
        end = time.monotonic() + 10
        while leaves.position() < journal.last:
            assert time.monotonic() < end
            time.sleep(0.01)
        notary.stop()
        assert notary.trouble == notary.damage == ""
        assert (house.collector / "checkpoints" / "riverside.txt").exists()


def test_leaves_are_those_of_the_batches_alone(house: House) -> None:
    batch = house.entries(1)[0]
    unread = Entry(0, START_NS + 90 * MINUTE_NS, EntryKind.QUARANTINE, "harbour-gw", bytes(16), 5, b"?" * 99)
    with ExitStack() as stack:
        journal, _, notary = opened(house, stack)
        journal.append([batch, unread, Entry(0, START_NS + 90 * MINUTE_NS, EntryKind.TICK)])
        notary.take(journal.read(0, 1000))
        placed = journal.read(journal.last - 3, 1)[0]
    kept = read_kept(house.tree)
    assert kept.leaves["riverside"][-1] == (placed.position, entry_leaf(placed))
    assert {plant: len(leaves) for plant, leaves in kept.leaves.items()} == {"riverside": 7, "harbour": 6}
    assert plant_of(batch.payload) == "riverside"
    assert plant_of(b"") == plant_of(batch.payload[:90]) == plant_of(bytes(200)) == ""


def test_a_folder_that_cannot_be_written_is_told_and_the_tree_goes_on(house: House) -> None:
    (house.collector / "checkpoints").write_text("a file where the folder should be")
    with ExitStack() as stack:
        journal, leaves, notary = opened(house, stack)
        notary.take(journal.read(0, 1000))
        assert "checkpoints cannot be added" in notary.damage
        assert leaves.position() == journal.last

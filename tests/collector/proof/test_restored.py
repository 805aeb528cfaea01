"""A journal comes back from a backup, and the tree is ahead of it: proofs go on, the old tree is evidence."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from api.cli import main
from collector.intake.events import event
from collector.intake.journal import Journal
from collector.proof.aside import set_aside
from collector.proof.leaf_file import LeafFile, read_kept
from collector.proof.notary import Notary
from collector.restored import tell_restored
from tests.collector.proof.kit import House, verify

Capture = pytest.CaptureFixture[str]


def follow(house: House) -> None:
    """Let the notary read everything."""
    with closing(Journal(house.collector / "journal")) as journal, closing(LeafFile(house.tree)) as leaves:
        notary = Notary(journal, leaves, house.collector / "checkpoints", house.key)
        notary.take(journal.read(notary.position, 10**6))
        assert not notary.damage


def append(house: House, hour: int) -> None:
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append(house.entries(hour))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two hours are in the backup; the third is in the tree alone."""
    house = House(tmp_path, hours=2)
    follow(house)
    journal, mark = house.collector / "journal", house.collector / "journal.mark"
    shutil.copytree(journal, tmp_path / "journal")
    shutil.copy(mark, tmp_path / "journal.mark")
    append(house, 2)
    follow(house)
    shutil.rmtree(journal)
    shutil.move(tmp_path / "journal", journal)
    shutil.move(tmp_path / "journal.mark", mark)
    return house


def test_proofs_go_on_and_the_old_tree_is_kept(house: House, capsys: Capture) -> None:
    old, texts = read_kept(house.tree), house.collector / "checkpoints"
    before = (texts / "harbour.txt").read_text()
    with closing(Journal(house.collector / "journal")) as journal:
        generation = journal.generation[0]
    assert main(["journal", "restored", str(house.sites)]) == 0
    assert "ends at position 36" in capsys.readouterr().out
    with closing(Journal(house.collector / "journal")) as journal:
        assert journal.generation[0] > generation
        (told,) = [event(entry) for entry in journal.events(0, 10)]
        assert (told.what, told.security, told.detail["position"], told.detail["leaves"]) == ("restored", True, 36, 12)
        aside = house.collector / told.detail["tree"]
    assert read_kept(aside) == old
    assert read_kept(house.tree).position == 36
    append(house, 3)
    append(house, 4)
    follow(house)
    assert before.startswith((texts / "harbour.txt").read_text()[:200])
    file = house.export()
    code, said = verify(file, capsys, "--witness", str(texts / "harbour.txt"))
    assert "it was rewritten" not in said
    lost = house.folder / "witness.txt"
    lost.write_text(before)
    code, said = verify(file, capsys, "--witness", str(lost))
    assert (code, "it was rewritten" in said) == (1, True), "who holds a checkpoint of the time that was lost sees it"


def test_a_tree_that_is_not_ahead_is_left_alone(house: House) -> None:
    before = house.tree.read_bytes()
    assert set_aside(house.tree, house.collector / "checkpoints", 54, "x") is None
    with closing(Journal(house.collector / "journal", restored=True)) as journal:
        journal.append(house.entries(2))
        assert "set aside" not in tell_restored(journal, house.collector)
    assert house.tree.read_bytes() == before


def test_it_is_said_which_others_are_ahead(house: House, capsys: Capture) -> None:
    journal, backup = house.collector / "journal", house.folder / "backup"
    shutil.copytree(journal, backup)
    append(house, 2)
    assert main(["rebuild", str(house.sites)]) == 0
    shutil.rmtree(journal)
    shutil.move(backup, journal)
    assert main(["journal", "restored", str(house.sites)]) == 0
    assert "ahead of it: store.duckdb; before the start: emitwatch rebuild" in capsys.readouterr().out
    assert main(["rebuild", str(house.sites)]) == 0
    assert main(["journal", "restored", str(house.sites)]) == 0
    assert "before the start" not in capsys.readouterr().out

"""A journal that went back in time begins a new generation, so that gateways fill it again."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.generation import Mark, decode, encode, following, went_back
from collector.intake.journal import Journal
from tests.collector.test_journal import batch
from tests.effort import examples


@settings(max_examples=examples(100))
@given(st.integers(0, 2**60), st.binary(min_size=8, max_size=8), st.integers(0, 2**60), st.integers(0, 2**60))
def test_only_a_journal_that_is_short_or_another_went_back(gen: int, id: bytes, marked: int, found: int) -> None:
    mark = decode(encode(Mark(gen, id, marked)))
    assert mark == Mark(gen, id, marked)
    assert went_back(mark, (gen, id), found) is (found < marked)
    assert went_back(mark, (gen + 1, id), found)
    assert not went_back(None, (gen, id), found)
    assert following(mark, gen - 1, 5) > max(gen, 4)


@settings(max_examples=examples(100))
@given(st.binary(max_size=60))
def test_a_mark_that_cannot_be_read_is_none(data: bytes) -> None:
    assert decode(data) is None


def test_a_restored_journal_is_found_out_and_begins_a_generation(tmp_path: Path) -> None:
    folder, backup = tmp_path / "journal", tmp_path / "backup"
    journal = Journal(folder)
    journal.append([batch(1)])
    journal.close()
    shutil.copytree(folder, backup)
    journal = Journal(folder)
    first = journal.generation
    assert not journal.restored
    journal.append([batch(2)])
    journal.mark()
    journal.close()
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    for seq, expected in ((2, True), (3, False)):
        journal = Journal(folder)
        assert journal.restored is expected
        assert journal.generation[0] > first[0]
        assert journal.generation[1] != first[1]
        journal.append([batch(seq)])
        again = journal.generation
        journal.close()
    assert again == journal.generation, "once"


def test_a_kill_leaves_a_mark_that_lags_and_that_is_no_restore(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([batch(1)])
    generation = journal.generation
    old = (tmp_path / "journal.mark").read_bytes()
    journal.append([batch(2)])
    journal.close()
    for left in (old, b"", None):
        (tmp_path / "journal.mark").write_bytes(left) if left is not None else (tmp_path / "journal.mark").unlink()
        journal = Journal(tmp_path / "journal")
        assert (journal.generation, journal.restored) == (generation, False)
        journal.close()


def test_an_operator_may_say_that_it_was_restored(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([batch(1)])
    generation = journal.generation
    journal.close()
    journal = Journal(tmp_path / "journal", restored=True)
    assert journal.restored
    assert journal.generation[0] > generation[0]
    journal.close()
    shutil.rmtree(tmp_path / "journal")
    anew = Journal(tmp_path / "journal")
    assert anew.generation[0] > journal.generation[0], "above all before it"
    anew.close()

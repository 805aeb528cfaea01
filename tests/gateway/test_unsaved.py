"""What memory held while the disk took nothing is told by the next start, once, and only where it is true."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import seal, wire
from gateway.outbox import Dropped
from gateway.outbox_store import OutboxStore
from gateway.shelves import SpoolError, SpoolFull
from gateway.spooler import Spooler
from gateway.unsaved import FILE, SIZE, Unsaved
from tests.gateway.batches import KEY, columns

LAST = (b"an epoch........", 7)
HELD = Dropped(40, 10**18, 10**18 + 5)


class Disk:
    """Makes commits fail while `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        commit = OutboxStore.commit

        def tried(store: OutboxStore, change: Any) -> None:
            if self.error:
                raise self.error
            commit(store, change)

        monkeypatch.setattr(OutboxStore, "commit", tried)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Spooler]:
    with contextlib.closing(Spooler(folder, "riverside", "riverside-gw", KEY)) as spooler:
        yield spooler


def killed(folder: Path) -> Path:
    """The folder as a kill at this instant leaves it."""
    copy = folder.with_name(f"gw-{len(list(folder.parent.iterdir()))}")
    shutil.copytree(folder, copy)
    return copy


def gaps(spooler: Spooler) -> list[dict[str, Any]]:
    spooler.flush()
    batches = [wire.decode(seal.verify(row.payload, KEY.public_key())) for row in spooler.pending(999)]
    return [batch.fields["gap"] for batch in batches if batch.header.kind == "gap"]


@pytest.mark.parametrize("errors", [[SpoolFull("full")], [SpoolFull("full"), SpoolError("broken")]])
def test_what_was_in_memory_at_the_end_is_told_once(tmp_path: Path, disk: Disk, errors: list[Exception]) -> None:
    table = columns(6)
    with opened(tmp_path / "gw") as spooler:
        spooler.put(columns(3))
        spooler.flush()
        spooler.put(table)
        for error in errors:
            disk.error = error
            with pytest.raises(SpoolError):
                spooler.flush()
        left = killed(spooler.folder)
        disk.error = None
    with opened(left) as spooler:
        again = killed(left)  # before it could be told
    with opened(again) as spooler:
        [gap] = gaps(spooler)
        assert (gap["n"], gap["t_first"], gap["t_last"]) == (6, *table.span())
        later = killed(again)
    with opened(later) as spooler:
        assert len(gaps(spooler)) == 1, "not a second time"


def test_what_was_written_after_all_is_not_given_up(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "gw") as spooler:
        spooler.put(columns(6))
        disk.error = SpoolFull("full")
        with pytest.raises(SpoolFull):
            spooler.flush()
        disk.error = None
        with monkeypatch.context() as before_clearing:
            before_clearing.setattr(Unsaved, "clear", lambda _: None)
            spooler.flush()
            left = killed(spooler.folder)
        spooler.flush()
        cleared = killed(spooler.folder)
    for folder in (left, cleared):
        with opened(folder) as spooler:
            assert gaps(spooler) == []


def test_a_record_that_found_room_hides_nothing(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path / "gw") as spooler:
        spooler.put(columns(6))
        disk.error = SpoolFull("full")
        with pytest.raises(SpoolFull):
            spooler.flush()
        disk.error = None
        spooler.tell("storage", "the outbox lives on its reserve", {})
        left = killed(spooler.folder)
    with opened(left) as spooler:
        assert [gap["n"] for gap in gaps(spooler)] == [6]


def test_what_comes_while_the_disk_is_full_counts_as_kept_once_it_is_noted(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path / "gw") as spooler:
        first = spooler.put(columns(6))
        disk.error = SpoolFull("full")
        with pytest.raises(SpoolFull):
            spooler.flush()
        second = spooler.put(columns(4))
        assert spooler.kept(first)
        assert not spooler.kept(second)
        spooler.note_unsaved()
        assert spooler.kept(second)
        left = killed(spooler.folder)
        disk.error = None
    with opened(left) as spooler:
        assert [gap["n"] for gap in gaps(spooler)] == [10]


def test_an_outbox_that_lost_its_end_since_tells_it_too(tmp_path: Path) -> None:
    with opened(tmp_path / "gw") as spooler:
        spooler.put(columns(3))
        spooler.flush()
        epoch, seq = spooler._keeper.last
    Unsaved(tmp_path / "gw").note((epoch, seq + 1), HELD)
    with opened(tmp_path / "gw") as spooler:
        assert [gap["n"] for gap in gaps(spooler)] == [HELD.n]


def test_a_note_that_is_damaged_says_nothing(tmp_path: Path) -> None:
    unsaved = Unsaved(tmp_path)
    assert unsaved.read() is None
    unsaved.note(LAST, HELD)
    assert Unsaved(tmp_path).read() == (LAST, HELD)
    whole = (tmp_path / FILE).read_bytes()
    assert len(whole) == SIZE, "its room is there already"
    for place in range(0, 100, 7):
        (tmp_path / FILE).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert unsaved.read() is None
    (tmp_path / FILE).write_bytes(whole[:10])
    assert unsaved.read() is None
    unsaved.note(LAST, HELD)
    unsaved.clear()
    assert unsaved.read() is None


def test_no_note_can_be_written_and_nothing_is_in_the_way(tmp_path: Path) -> None:
    unsaved = Unsaved(tmp_path / "nowhere")
    unsaved.note(LAST, HELD)
    unsaved.clear()
    assert unsaved.read() is None

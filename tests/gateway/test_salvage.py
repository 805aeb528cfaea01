"""A damaged outbox: what is intact is found, whatever else is wrong, and the rest is declared."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import pytest

from gateway import seal, wire
from gateway.outbox_files import read_batches
from gateway.salvage import Found, missing, salvage
from gateway.spooler import Spooler, SpoolError
from tests.gateway.batches import EPOCH, KEY, ack, columns
from tests.gateway.files import abandon, newest

ROWS = 301
FILES = ("outbox/000001.db", "outbox/000001.db-wal")


def opened(folder: Path) -> Spooler:
    return Spooler(folder, "riverside", "riverside-gw", KEY)


def verify(payload: bytes) -> bytes:
    return seal.verify(payload, KEY.public_key())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outbox of 300 batches of all sizes and a hello, half of them still in its log."""
    folder = tmp_path_factory.mktemp("whole")
    found = opened(folder)
    rng = random.Random(1)
    for turn in range(300):
        found.put(columns(rng.choice((1, 5, 40, 200, 500))))
        found.flush()
        if turn == 150:
            newest(found).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = tmp_path_factory.mktemp("copy")
    (copy / "outbox").mkdir()
    for name in FILES:
        shutil.copy(folder / name, copy / name)
    found.close()
    return copy


def test_every_row_of_a_sound_file_is_found(whole):
    file, log = ((whole / name).read_bytes() for name in FILES)
    found = salvage(file, log, verify)
    assert sorted(seq for _, seq in found) == list(range(1, ROWS + 1))
    assert missing(found) == []
    assert salvage(b"", b"", verify) == {}
    assert salvage(b"no database" * 1000, b"x" * 9000, verify) == {}


def test_a_damaged_outbox_is_set_aside_and_the_next_epoch_says_so(whole, tmp_path):
    (tmp_path / "outbox").mkdir()
    shutil.copy(whole / FILES[0], tmp_path / FILES[0])
    with (tmp_path / FILES[0]).open("r+b") as file:
        file.write(b"no database any more")
    with contextlib.closing(opened(tmp_path)) as found:
        rows = found.pending(9999)
        hello = wire.decode(verify(rows[-1].payload))
        assert hello.fields["reason"] == "corrupt"
        assert hello.fields["prev_last_seq"] == rows[-2].seq
        assert hello.header.prev == seal.digest(rows[-2].payload)
        assert found.unacked() == len(rows) == found.counts()["salvaged_batches"] + 1
        assert found.acked(ack(rows[0].epoch, 9999)) == len(rows) - 1
    assert [path.name for path in tmp_path.glob("outbox/*salvaged*")] == ["000001.salvaged-2"]
    with contextlib.closing(opened(tmp_path)) as found:
        assert wire.decode(verify(found.pending(9)[-1].payload)).fields["reason"] == "start"


def test_a_salvage_that_was_cut_short_begins_anew(whole, tmp_path):
    (tmp_path / "outbox").mkdir()
    shutil.copy(whole / FILES[0], tmp_path / "outbox/000001.damaged")
    opened(tmp_path / "other").close()
    shutil.copy(tmp_path / "other" / FILES[0], tmp_path / FILES[0])
    opened(tmp_path).close()
    assert len(read_batches(tmp_path)) > 100
    assert not (tmp_path / "outbox/000001.damaged").exists()


def test_damage_found_in_use_is_salvaged_at_the_next_start(whole, tmp_path):
    (tmp_path / "outbox").mkdir()
    shutil.copy(whole / FILES[0], tmp_path / FILES[0])
    first = opened(tmp_path)
    first.put(columns(5))
    first.flush()
    newest(first).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / FILES[0]).open("r+b") as file:
        for page in range(1, Path(file.name).stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff")
    newest(first).execute("PRAGMA shrink_memory")
    with pytest.raises(SpoolError, match="next start salvages"):
        first.pending(9999)
    abandon(first)
    opened(tmp_path).close()
    assert not (tmp_path / "outbox/000001.suspect").exists()


def test_only_what_was_not_known_to_be_acknowledged_is_missed():
    def found(seq: int, low: int) -> Found:
        return Found((EPOCH, seq), low, 1, 5, 6, b"")

    rows = {(EPOCH, seq): found(seq, low) for seq, low in ((2, 1), (7, 5), (9, 6), (12, 6))}
    assert [(gap.from_seq, gap.to_seq) for gap in missing(rows)] == [(6, 6), (8, 8), (10, 11)]

"""A damaged outbox: what is intact is found, whatever else is wrong, and the rest is declared."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from pathlib import Path

import pytest

from gateway import seal, wire
from gateway.outbox_files import read_batches, read_gaps
from gateway.salvage import Found, missing, salvage
from gateway.spooler import Spooler, SpoolError
from tests.effort import examples
from tests.gateway.batches import EPOCH, KEY, ack, columns

ROWS = 301


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
            found._store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = tmp_path_factory.mktemp("copy")
    for name in ("outbox.db", "outbox.db-wal"):
        shutil.copy(folder / name, copy / name)
    found.close()
    return copy


def test_every_row_of_a_sound_file_is_found(whole):
    file, log = ((whole / name).read_bytes() for name in ("outbox.db", "outbox.db-wal"))
    found = salvage(file, log, verify)
    assert sorted(seq for _, seq in found) == list(range(1, ROWS + 1))
    assert missing(found) == []
    assert salvage(b"", b"", verify) == {}
    assert salvage(b"no database" * 1000, b"x" * 9000, verify) == {}


@pytest.mark.parametrize("seed", range(examples(12, 2000)))
def test_a_flipped_bit_costs_a_page_at_most_and_is_declared(whole, tmp_path, seed):
    rng = random.Random(seed)
    for name in ("outbox.db", "outbox.db-wal"):
        shutil.copy(whole / name, tmp_path / name)
    target = tmp_path / rng.choice(("outbox.db", "outbox.db-wal"))
    data = bytearray(target.read_bytes())
    place = rng.randrange(100) if seed % 4 == 0 else rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    target.write_bytes(data)
    with contextlib.closing(opened(tmp_path)) as found:
        rows = found.pending(9999)
        held = {row.seq for row in rows if row.epoch != found.epoch}
        for row in rows:
            verify(row.payload)
        gaps = {seq for gap in read_gaps(tmp_path / "outbox.db") for seq in range(gap.from_seq, gap.to_seq + 1)}
    assert len(held) >= 0.97 * max(held)
    assert held | gaps >= set(range(1, max(held) + 1)), "all but a lost end is there or declared"


def test_a_damaged_outbox_is_set_aside_and_the_next_epoch_says_so(whole, tmp_path):
    shutil.copy(whole / "outbox.db", tmp_path / "outbox.db")
    with (tmp_path / "outbox.db").open("r+b") as file:
        file.write(b"no database any more")
    with contextlib.closing(opened(tmp_path)) as found:
        rows = found.pending(9999)
        hello = wire.decode(verify(rows[-1].payload))
        assert hello.fields["reason"] == "corrupt"
        assert hello.fields["prev_last_seq"] == rows[-2].seq
        assert hello.header.prev == seal.digest(rows[-2].payload)
        assert found.unacked() == len(rows) == found.counts()["salvaged_batches"] + 1
        assert found.acked(ack(rows[0].epoch, 9999)) == len(rows) - 1
    assert [path.name for path in tmp_path.glob("*salvaged*")] == ["outbox.salvaged-2"]
    with contextlib.closing(opened(tmp_path)) as found:
        assert wire.decode(verify(found.pending(9)[-1].payload)).fields["reason"] == "start"


def test_a_salvage_that_was_cut_short_begins_anew(whole, tmp_path):
    shutil.copy(whole / "outbox.db", tmp_path / "outbox.damaged")
    opened(tmp_path / "other").close()
    shutil.copy(tmp_path / "other" / "outbox.db", tmp_path / "outbox.db")
    opened(tmp_path).close()
    assert len(read_batches(tmp_path / "outbox.db")) > 100
    assert not (tmp_path / "outbox.damaged").exists()


def test_damage_found_in_use_is_salvaged_at_the_next_start(whole, tmp_path):
    shutil.copy(whole / "outbox.db", tmp_path / "outbox.db")
    first = opened(tmp_path)
    first.put(columns(5))
    first.flush()
    first._store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "outbox.db").open("r+b") as file:
        for page in range(1, Path(file.name).stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff")
    first._store._database.execute("PRAGMA shrink_memory")
    with pytest.raises(SpoolError, match="next start salvages"):
        first.pending(9999)
    first._store._database.close()
    os.close(first._lock)
    opened(tmp_path).close()
    assert not (tmp_path / "outbox.suspect").exists()


def test_only_what_was_not_known_to_be_acknowledged_is_missed():
    def found(seq: int, low: int) -> Found:
        return Found((EPOCH, seq), low, 1, 5, 6, b"")

    rows = {(EPOCH, seq): found(seq, low) for seq, low in ((2, 1), (7, 5), (9, 6), (12, 6))}
    assert [(gap.from_seq, gap.to_seq) for gap in missing(rows)] == [(6, 6), (8, 8), (10, 11)]

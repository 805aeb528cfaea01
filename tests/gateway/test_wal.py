"""A write-ahead log as SQLite left it: whole, cut at an honest end, or damaged."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import wal
from tests.effort import examples


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, int]:
    """A database and its log, used once and begun again, a large transaction taken back, and small ones after it.

    The number is how much of the log was committed.
    """
    path, rng = tmp_path_factory.mktemp("wal") / "a.db", random.Random(1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA cache_size = 10")
        database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        for _ in range(60):
            database.execute("INSERT INTO t (b) VALUES (?)", (rng.randbytes(3000),))
        database.execute("PRAGMA wal_checkpoint(RESTART)")
        for _ in range(10):
            database.execute("INSERT INTO t (b) VALUES (?)", (rng.randbytes(rng.choice((20, 900, 6000))),))
        database.execute("BEGIN")
        database.executemany("INSERT INTO t (b) VALUES (?)", [(rng.randbytes(3000),) for _ in range(40)])
        database.execute("ROLLBACK")
        for _ in range(8):
            database.execute("INSERT INTO t (b) VALUES (?)", (rng.randbytes(100),))
        log = Path(f"{path}-wal").read_bytes()
        return path.read_bytes(), log, committed(log)


def committed(log: bytes) -> int:
    """How many bytes of the log SQLite would read: up to the last commit that follows from the header."""
    salts, end = log[16:24], 0
    for at in range(wal.HEADER, len(log) - wal.FRAME + 1, wal.FRAME):
        if log[at + 8 : at + 16] != salts or wal.flaw(HEAD, log[: at + wal.FRAME]):
            break
        if log[at + 4 : at + 8] != bytes(4):
            end = at + wal.FRAME
    return end


HEAD = bytes(18) + b"\x02\x02" + bytes(80)


def test_a_log_with_remains_of_what_was_taken_back_and_of_earlier_use_is_whole(files):
    file, log, _ = files
    assert wal.flaw(file[:100], log) == ""
    assert wal.HEADER < files[2] < len(log) - 10 * wal.FRAME
    assert wal.flaw(b"", b"") == ""


@given(cut=st.floats(0, 1))
@settings(max_examples=examples(60))
def test_a_log_that_ends_anywhere_is_whole(files, cut):
    file, log, _ = files
    assert wal.flaw(file[:100], log[: int(len(log) * cut)]) == ""


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), last=st.booleans())
@settings(max_examples=examples(200))
def test_a_flipped_bit_in_what_was_committed_is_found(files, place, bit, last):
    file, log, end = files
    at = end - wal.FRAME + int(place * wal.FRAME_HEADER) if last else int(place * end)
    data = bytearray(log)
    data[at] ^= 1 << bit
    assert wal.flaw(file[:100], bytes(data))


def test_a_file_that_does_not_say_it_has_a_log_is_damaged(files):
    file, log, _ = files
    assert wal.flaw(file[:18] + b"\x01" + file[19:100], log)
    assert wal.flaw(b"", log)

"""The journal: appended, never changed, on the disk when append returns."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.inbox import Ranges
from collector.intake.journal import Journal, JournalError
from collector.store import Entry, EntryKind
from gateway import seal
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS
from tests.effort import examples

EPOCH = b"e" * 16
MONTH_NS = 31 * 86400 * SECOND_NS


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal")
    yield opened
    opened.close()


def batch(seq: int, first_ns: int = START_NS, last_ns: int = START_NS, *, received_ns: int = START_NS) -> Entry:
    payload = b"payload %d" % seq
    return Entry(0, received_ns, EntryKind.BATCH, "gw", EPOCH, seq, payload, first_ns, last_ns)


def tick(received_ns: int) -> Entry:
    return Entry(0, received_ns, EntryKind.TICK)


def test_entries_come_back_as_they_were(journal: Journal) -> None:
    quarantined = Entry(0, START_NS + 1, EntryKind.QUARANTINE, "nobody", payload=b"?")
    assert journal.append([batch(1), quarantined]) == 2
    assert journal.append([tick(START_NS + 2)]) == 3
    first, second, third = journal.read(0, 10)
    assert first == Entry(1, START_NS, EntryKind.BATCH, "gw", EPOCH, 1, b"payload 1", START_NS, START_NS)
    assert second == Entry(2, START_NS + 1, EntryKind.QUARANTINE, "nobody", payload=b"?")
    assert third == Entry(3, START_NS + 2, EntryKind.TICK)
    assert journal.read(1, 1) == [second]
    assert journal.read(3, 10) == []
    assert journal.append([]) == 3


def test_receive_times_never_fall(journal: Journal) -> None:
    journal.append([tick(100), tick(50), tick(101)])
    journal.append([tick(7)])
    assert [entry.received_ns for entry in journal.read(0, 10)] == [100, 100, 101, 101]


def test_a_month_gets_a_file_and_positions_go_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    stream = {("gw", EPOCH): Ranges(3), ("other", EPOCH): Ranges(1, ((4, 5),))}
    for month in range(3):
        journal.append([batch(3 * month + n, received_ns=START_NS + month * MONTH_NS) for n in (1, 2, 3)], stream)
        stream = {("gw", EPOCH): Ranges(3 * month + 6)}
    assert [path.name for path in sorted(tmp_path.glob("*.db"))] == ["2026-11.db", "2026-12.db", "2027-01.db"]
    for _ in range(2):
        assert [entry.position for entry in journal.read(1, 6)] == [2, 3, 4, 5, 6, 7]
        assert [entry.seq for entry in journal.read(5, 100)] == [6, 7, 8, 9]
        assert [entry.seq for entry in journal.overlapping(START_NS, START_NS + 1, 7)] == [1, 2, 3, 4, 5, 6, 7]
        assert list(journal.streams().items()) == [
            (("other", EPOCH), Ranges(1, ((4, 5),))),
            (("gw", EPOCH), Ranges(9)),
        ]
        assert journal.hashes(("gw", EPOCH), 2) == {seal.digest(b"payload 2")}
        journal = reopened(journal, tmp_path)
    assert journal.append([tick(0)]) == 10
    journal.close()


def reopened(journal: Journal, folder: Path) -> Journal:
    journal.close()
    return Journal(folder)


def test_a_clock_that_falls_back_does_not_reopen_a_month(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([tick(START_NS + MONTH_NS)])
    journal.append([tick(START_NS)])
    assert [path.name for path in tmp_path.glob("*.db")] == ["2026-12.db"]
    journal.close()


def test_a_month_that_could_not_begin_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, streams = Journal(tmp_path), {("gw", EPOCH): Ranges(1)}
    journal.append([batch(1)], streams)
    generation = journal.generation

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("collector.intake.segment.put_streams", full)
        with pytest.raises(JournalError, match="full"):
            journal.append([batch(2, received_ns=START_NS + MONTH_NS)])
    journal = reopened(journal, tmp_path)
    assert (journal.last, journal.generation, journal.streams()) == (1, generation, streams)
    assert journal.append([tick(START_NS)]) == 2
    assert journal.append([tick(START_NS + MONTH_NS)]) == 3
    journal = reopened(journal, tmp_path)
    assert [entry.received_ns for entry in journal.read(0, 9)] == [START_NS, START_NS, START_NS + MONTH_NS]
    assert (journal.generation, journal.streams()) == (generation, streams)
    journal.close()


def test_a_file_that_was_only_begun_is_taken_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([batch(1)])
    journal.close()
    (tmp_path / "2026-12.db").touch()
    journal = Journal(tmp_path)
    assert journal.append([tick(START_NS + MONTH_NS)]) == 2
    assert [path.name for path in sorted(tmp_path.glob("*.db"))] == ["2026-11.db", "2026-12.db"]
    journal.close()


@settings(max_examples=examples(60))
@given(
    st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 2000)), max_size=30),
    st.lists(st.tuples(st.integers(0, 2200), st.integers(0, 2200), st.integers(0, 30)), min_size=1, max_size=5),
)
def test_batches_are_found_by_the_time_of_their_measurements(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]], wanted: list[tuple[int, int, int]]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal"))
    journal.append([batch(seq, first, first + length) for seq, (first, length) in enumerate(spans, 1)])
    for from_ns, to_ns, upto in wanted:
        found = [entry.seq for entry in journal.overlapping(from_ns, to_ns, upto)]
        assert found == [
            seq for seq, (first, length) in enumerate(spans[:upto], 1) if first < to_ns and first + length >= from_ns
        ]
    journal.close()


def test_batches_without_measurements_overlap_nothing(journal: Journal) -> None:
    wild = batch(2, START_NS, 2**62 - 1)
    journal.append([batch(1, 0, 0), tick(START_NS), wild])
    assert [entry.seq for entry in journal.overlapping(0, 2**62, 10)] == [2]
    assert journal.overlapping(0, START_NS, 10) == []


AGAIN = "REPLACE INTO entry SELECT position + 1, received_ns, kind, gateway, epoch, seq, hash, 0, 0, 0, x'' FROM entry"


def test_nothing_can_be_changed_or_deleted(journal: Journal, tmp_path: Path) -> None:
    journal.append([batch(1)])
    with sqlite3.connect(tmp_path / "journal" / "2026-11.db") as database:
        for sql in (
            "UPDATE entry SET payload = x'00'",
            "DELETE FROM entry",
            "REPLACE INTO entry SELECT * FROM entry",
            AGAIN,
        ):
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(sql)
    database.close()
    assert journal.read(0, 9)[0].payload == b"payload 1"


def test_an_append_is_all_or_nothing(journal: Journal) -> None:
    journal.append([batch(1)])
    with pytest.raises(JournalError, match="append-only"):
        journal.append([batch(2), batch(1)], {("gw", EPOCH): Ranges(2)})
    assert (journal.last, journal.streams()) == (1, {})
    assert journal.append([batch(2)]) == 2


def test_waiting_ends_with_a_commit_or_the_time(journal: Journal) -> None:
    assert journal.wait(0, 0.01) == 0
    timer = threading.Timer(0.05, journal.append, [[batch(1)]])
    timer.start()
    started = time.monotonic()
    assert journal.wait(0, 40) == 1
    assert time.monotonic() - started < 30
    timer.join()


def test_waiting_ends_when_nothing_more_can_come(journal: Journal) -> None:
    timer = threading.Timer(0.05, journal.finish)
    timer.start()
    started = time.monotonic()
    assert journal.wait(0, 40) == journal.wait(0, 40) == 0
    assert time.monotonic() - started < 30
    timer.join()


def test_readers_of_other_threads_see_whole_commits(journal: Journal) -> None:
    seen: list[int] = []

    def follow() -> None:
        position = 0
        while position < 600:
            journal.wait(position, 1)
            for entry in journal.read(position, 7):
                seen.append(entry.seq)
                position = entry.position

    follower = threading.Thread(target=follow)
    follower.start()
    for start in range(1, 600, 20):
        journal.append([batch(seq) for seq in range(start, start + 20)])
    follower.join(40)
    assert seen == list(range(1, 601))


def test_every_start_counts_and_the_generation_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([tick(1)])
    generation = journal.generation
    assert (len(generation[1]), journal.starts) == (8, 1)
    for starts in (2, 3):
        journal = reopened(journal, tmp_path)
        assert (journal.generation, journal.starts) == (generation, starts)
    journal.close()


def test_a_journal_made_anew_starts_above_the_one_before(tmp_path: Path) -> None:
    before = int(time.time())
    journal = Journal(tmp_path)
    assert journal.generation[0] >= before
    journal.close()


def test_a_second_collector_is_refused(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="another collector"):
        Journal(tmp_path / "journal")


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.append([batch(1)])
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.read(0, 1)
    with pytest.raises(JournalError, match="closed"):
        journal.append([batch(2)])


def test_what_is_no_journal_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "2026-11.db").write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match=r"2026-11\.db.*journal of this collector"):
        Journal(tmp_path)
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path / "2026-11.db")


WRITER = """
import sys
from collector.intake.inbox import Ranges
from collector.intake.journal import Journal
from collector.store import Entry, EntryKind
journal = Journal(sys.argv[1])
seq = journal.last
while True:
    entries = [Entry(0, seq + n, EntryKind.BATCH, "gw", b"e" * 16, seq + n, bytes(500), 1, 2) for n in range(1, 8)]
    seq += 7
    print(journal.append(entries, {("gw", b"e" * 16): Ranges(seq)}), flush=True)
"""


@pytest.mark.system
def test_what_was_committed_outlives_a_killed_collector(tmp_path: Path) -> None:
    for _ in range(examples(4, 40)):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        with writer.stdout:
            said = [int(writer.stdout.readline()) for _ in range(20)]
            writer.send_signal(signal.SIGKILL)
            said += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.wait()
        journal = Journal(tmp_path)
        assert journal.last >= said[-1]
        assert [entry.position for entry in journal.read(0, 10**6)] == list(range(1, journal.last + 1))
        assert journal.streams() == {("gw", EPOCH): Ranges(journal.last)}
        journal.close()


def test_a_full_disk_is_told_apart_and_loses_nothing(journal: Journal) -> None:
    """A file that may not grow is what a full disk looks like to SQLite."""
    journal.append([batch(1)])
    writer = journal._segments[-1]._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(JournalError, match="full") as refused:
        journal.append([Entry(0, START_NS, EntryKind.QUARANTINE, payload=bytes(100_000))])
    assert refused.value.full
    assert journal.last == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert journal.append([batch(2)]) == 2

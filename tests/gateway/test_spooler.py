"""The outbox on disk: what was committed is there after any end, and leaves only by acknowledgement."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import keeper, seal, spooler, wire
from gateway.clock import Discipline
from gateway.configuration import Configuration, hash_of
from gateway.measurement import SECOND_NS
from gateway.outbox import held, newer
from gateway.retention import Limits
from gateway.spooler import Spooler, SpoolError, SpoolFull, outbox_folder, read_batches, read_gaps
from tests.effort import examples
from tests.gateway.batches import EPOCH, KEY, NOON_NS, ack, columns, equal
from tests.gateway.files import abandon, newest, newest_path

DAY_NS = 86400 * SECOND_NS


class Hands:
    """Clocks set by hand."""

    def __init__(self) -> None:
        self.wall_ns, self.mono_ns = NOON_NS, 0

    def forward(self, ns: int) -> None:
        self.wall_ns += ns
        self.mono_ns += ns


def opened(folder: Path, hands: Hands | None = None, **other: object) -> Spooler:
    if hands:
        other |= {"now_ns": lambda: hands.wall_ns, "mono_ns": lambda: hands.mono_ns}
    return Spooler(folder, "riverside", "riverside-gw", KEY, **other)  # type: ignore[arg-type]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Spooler]:
    with contextlib.closing(opened(tmp_path)) as found:
        yield found


def batches(found: Spooler) -> list[wire.Batch]:
    return [wire.decode(seal.verify(row.payload, KEY.public_key())) for row in found.pending(10_000)]


def test_an_epoch_starts_with_hello_and_its_batches_form_a_chain(outbox):
    for _ in range(3):
        outbox.put(columns(700))
        assert outbox.flush() == 2
    rows, found = outbox.pending(100), batches(outbox)
    assert [b.header.seq for b in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [b.header.kind for b in found] == ["hello"] + ["data"] * 6
    assert [b.header.n for b in found] == [row.n for row in rows] == [0, 500, 200, 500, 200, 500, 200]
    assert found[0].header.prev == bytes(32)
    for before, batch in zip(rows, found[1:], strict=False):
        assert batch.header.prev == seal.digest(before.payload)
    assert {b.header.ep for b in found} == {outbox.epoch}
    assert equal(found[1].columns, columns(500))


def test_nothing_is_sent_before_it_is_committed(outbox):
    outbox.put(columns(3))
    assert len(outbox.pending(10)) == 1, "the hello alone"
    assert not outbox.drained()
    outbox.flush()
    assert len(outbox.pending(10)) == 2
    assert outbox.flush() == 0


def test_a_commit_wakes_who_waits_for_it(outbox):
    calls: list[int] = []
    outbox.on_commit = lambda: calls.append(outbox.unacked())
    outbox.flush()
    outbox.put(columns(3))
    outbox.flush()
    assert calls == [2]


def test_a_value_is_due_within_a_second(tmp_path):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands)) as found:
        assert found.due_s() is None
        found.put(columns(1))
        assert found.due_s() == 0.5
        hands.forward(10**9)
        assert found.due_s() == 0.0


def test_each_start_is_a_new_epoch_that_says_how_the_last_one_ended(tmp_path, monkeypatch):
    ends = []
    for number in range(4):
        found = opened(tmp_path, version="0.1.0")
        hello = next(b for b in reversed(batches(found)) if b.header.kind == "hello")
        ends.append((found.epoch, hello.fields["prev_ep"], hello.fields["prev_last_seq"], hello.fields["reason"]))
        assert hello.fields["version"] == "0.1.0"
        found.put(columns(number))
        found.flush()
        if number == 0:
            found.close()
        else:
            abandon(found)
        if number == 2:
            monkeypatch.setattr(spooler, "boot_id", lambda: "another boot")
    assert [reason for _, _, _, reason in ends] == ["start", "start", "crash", "power"]
    assert [int.from_bytes(epoch[:8]) for epoch, _, _, _ in ends] == [1, 2, 3, 4]
    assert [prev for _, prev, _, _ in ends] == [b""] + [epoch for epoch, _, _, _ in ends[:-1]]
    assert [last for _, _, last, _ in ends] == [0, 1, 2, 2]


def test_the_chain_goes_on_from_epoch_to_epoch(tmp_path):
    first = opened(tmp_path)
    first.put(columns(3))
    first.flush()
    last = first.pending(10)[-1]
    abandon(first)
    with contextlib.closing(opened(tmp_path)) as second:
        hello = batches(second)[-1]
        assert hello.header.prev == hello.fields["prev_last_hash"] == seal.digest(last.payload)
        assert [row.seq for row in second.pending(10)] == [1, 2, 1], "oldest epoch first"


def test_the_epoch_grows_even_when_its_file_or_the_outbox_is_lost(tmp_path):
    for lost in ((), ("epoch",), ("outbox/000001.db", "outbox/000001.db-wal"), ()):
        for name in lost:
            (tmp_path / name).unlink(missing_ok=True)
        opened(tmp_path).close()
    with contextlib.closing(opened(tmp_path)) as found:
        assert int.from_bytes(found.epoch[:8]) == 5


def test_rows_come_in_order_after_a_key(outbox):
    outbox.put(columns(2000))
    outbox.flush()
    first = outbox.pending(2)
    assert [row.seq for row in first] == [1, 2]
    assert [row.seq for row in outbox.pending(9, first[-1].key)] == [3, 4, 5]
    assert outbox.row((outbox.epoch, 4)) == outbox.pending(9)[3]


def test_an_acknowledgement_ends_the_way_of_what_it_names(outbox):
    outbox.put(columns(4000))
    outbox.flush()
    assert outbox.acked(ack(outbox.epoch, 2, have=((5, 6),))) == 4
    assert [row.seq for row in outbox.pending(99)] == [3, 4, 7, 8, 9]
    assert outbox.row((outbox.epoch, 5)) is None
    assert (outbox.unacked(), outbox.drained()) == (5, False)
    assert outbox.acked(ack(outbox.epoch, 99, n=2)) == 5
    assert (outbox.unacked(), outbox.drained()) == (0, True)
    assert outbox.counts()["acked_batches"] == 9
    assert len(read_batches(outbox.folder)) == 9, "acknowledged rows stay"


def test_what_is_not_above_the_last_acknowledgement_is_ignored_even_after_a_restart(tmp_path):
    found = opened(tmp_path)
    found.put(columns(4))
    found.flush()
    assert found.acked(ack(found.epoch, 1, n=5)) == 1
    assert found.acked(ack(found.epoch, 2, n=5)) == 0
    assert found.acked(ack(found.epoch, 2, n=6, gw="another-gw")) == 0
    epoch = found.epoch
    found.close()
    with contextlib.closing(opened(tmp_path)) as again:
        assert again.unacked() == 2
        assert again.acked(ack(epoch, 2, n=5)) == 0
        assert again.counts()["acks_ignored"] == 1
        assert again.acked(ack(epoch, 2, n=6)) == 1
        assert again.unacked() == 1


def test_low_is_the_oldest_that_is_still_held(outbox):
    for upto in (0, 1, 3, 4):
        outbox.acked(ack(outbox.epoch, upto, n=upto + 1))
        outbox.put(columns(3))
        outbox.flush()
        last = outbox.pending(10)[-1]
        low = wire.decode(seal.verify(last.payload, KEY.public_key())).header.low
        assert low == min(row.seq for row in outbox.pending(10))


def test_acknowledged_rows_stay_thirty_days(tmp_path):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands)) as found:
        found.put(columns(600))
        found.flush()
        found.acked(ack(found.epoch, 3))
        for days, kept in ((29, 4), (2, 2), (40, 3)):
            hands.forward(days * DAY_NS)
            found.put(columns(1))
            found.flush()
            assert len(read_batches(tmp_path)) == kept, "unacknowledged rows are never deleted"


def test_a_clock_that_stood_in_1970_takes_no_evidence_away_when_it_is_set(tmp_path):
    hands = Hands()
    hands.wall_ns = SECOND_NS
    with contextlib.closing(opened(tmp_path, hands)) as found:
        found.put(columns(600))
        found.flush()
        found.acked(ack(found.epoch, 3))
        hands.wall_ns = NOON_NS
        hands.forward(3600 * SECOND_NS)
        found.put(columns(1))
        found.flush()
        assert [seq for _, seq, _ in read_batches(tmp_path)] == [1, 2, 3, 4, 5]


def test_batches_carry_both_clocks_and_what_the_clock_is_worth(tmp_path):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands, discipline=lambda: Discipline(synced=True, err_ms=7))) as found:
        hands.forward(SECOND_NS)
        hands.wall_ns += 3600 * SECOND_NS
        found.put(columns(1))
        found.flush()
        header = batches(found)[-1].header
    assert (header.wall_ns, header.mono_ns) == (NOON_NS + 3601 * SECOND_NS, SECOND_NS)
    assert (header.clk.state, header.clk.err_ms, header.clk.step_id) == ("synced", 7, 1)


def test_a_step_is_a_record_before_the_values_of_the_new_clock_and_survives_a_full_disk(tmp_path):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands)) as found:
        hands.forward(SECOND_NS)
        hands.wall_ns -= 3600 * SECOND_NS
        pages = newest(found).execute("PRAGMA page_count").fetchone()[0]
        newest(found).execute(f"PRAGMA max_page_count = {pages}")
        found.put(columns(5000))
        with pytest.raises(SpoolFull):
            found.flush()
        newest(found).execute("PRAGMA max_page_count = 100000")
        found.flush()
        record = batches(found)[1]
        assert [b.header.kind for b in batches(found)] == ["hello", "clock"] + ["data"] * 10
    assert record.fields["clock"] == {
        "mono_ns": SECOND_NS,
        "wall_before_ns": NOON_NS + SECOND_NS,
        "wall_after_ns": NOON_NS - 3599 * SECOND_NS,
        "step_id": 1,
    }


def test_an_outbox_has_one_user(tmp_path):
    with contextlib.closing(opened(tmp_path)), pytest.raises(SpoolError, match="another process"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_what_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be used"):
        opened(tmp_path / "file" / "outbox")
    opened(tmp_path / "b").close()
    with contextlib.closing(sqlite3.connect(newest_path(tmp_path / "b"))) as database:
        database.executescript(f"PRAGMA user_version = 9; PRAGMA application_id = {0x656D7709}")
    with pytest.raises(SpoolError, match="newer version"):
        opened(tmp_path / "b")


def test_a_full_disk_loses_nothing(tmp_path):
    with contextlib.closing(opened(tmp_path)) as found:
        pages = newest(found).execute("PRAGMA page_count").fetchone()[0]
        newest(found).execute(f"PRAGMA max_page_count = {pages + 2}")
        found.put(columns(5000))
        with pytest.raises(SpoolFull, match="nothing is lost"):
            found.flush()
        found.put(columns(7))
        assert found.counts()["waiting_values"] == 5007
        assert len(found.pending(99)) == 1
        newest(found).execute("PRAGMA max_page_count = 100000")
        assert found.flush() == 11
        rows = found.pending(99)
        assert [row.seq for row in rows] == list(range(1, 13)), "the failed try has used no number"
        for before, batch in zip(rows, batches(found)[1:], strict=False):
            assert batch.header.prev == seal.digest(before.payload)


def test_a_change_of_the_configuration_that_found_the_disk_full_is_recorded_once_there_is_room(tmp_path):
    with contextlib.closing(opened(tmp_path, configuration=Configuration("scale 1\n"))) as found:
        pages = newest(found).execute("PRAGMA page_count").fetchone()[0]
        newest(found).execute(f"PRAGMA max_page_count = {pages + 1}")
        assert found.recorded
        found.put(columns(5000))
        found.change(Configuration("scale 2\n", before="scale 1\n"))
        found.put(columns(5000))
        assert found.due_s() == 0.0
        for _ in range(3):
            with pytest.raises(SpoolFull):
                found.flush()
            assert not found.recorded
        newest(found).execute("PRAGMA max_page_count = 100000")
        found.flush()
        assert found.recorded
        told = [batch for batch in batches(found) if batch.header.kind != "data"]
        assert [batch.header.kind for batch in told] == ["hello", "config", "config"]
        cut = told[-1].header.seq
        for batch in batches(found):
            assert batch.header.cfg == hash_of("scale 1\n" if batch.header.seq < cut else "scale 2\n")
        assert sum(batch.header.n for batch in batches(found) if batch.header.seq < cut) == 5000


def test_a_broken_disk_is_told_from_a_full_one(tmp_path):
    found = opened(tmp_path)
    newest(found).execute("DROP TABLE batch")
    found.put(columns(1))
    with pytest.raises(SpoolError, match="cannot be used") as caught:
        found.flush()
    assert not isinstance(caught.value, SpoolFull)
    assert found.counts()["waiting_values"] == 1
    for read in (
        lambda: found.pending(3),
        lambda: found.row((found.epoch, 1)),
        lambda: found.acked(ack(found.epoch, 1)),
    ):
        with pytest.raises(SpoolError, match="cannot be used"):
            read()
    abandon(found)


def test_many_threads_put_while_one_flushes(outbox):
    def put() -> None:
        for _ in range(50):
            outbox.put(columns(10))

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        outbox.flush()
    outbox.flush()
    assert sum(n for _, _, n in read_batches(outbox.folder)) == 2000


def test_where_an_outbox_lives():
    assert outbox_folder("/data", "gw") == Path("/data/gateways/gw")


WRITER = """
import sys
from gateway.spooler import Spooler
from tests.gateway.batches import KEY, columns
spooler = Spooler(sys.argv[1], "riverside", "riverside-gw", KEY)
while True:
    spooler.put(columns(20))
    spooler.flush()
    print(spooler.epoch.hex(), spooler._keeper._chain.seq, flush=True)
"""


@pytest.mark.parametrize("cycle", range(examples(1, 100)))
def test_what_was_committed_survives_kill_9(tmp_path, cycle):
    said: set[tuple[bytes, int]] = set()
    for round in range(2):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(20)]
        time.sleep(0.003 * ((cycle * 7 + round * 3) % 11))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        words = [line.split() for line in lines if line.endswith(b"\n")]
        said |= {(bytes.fromhex(epoch.decode()), int(seq)) for epoch, seq in words}
    with contextlib.closing(opened(tmp_path)) as found:
        rows = found.pending(100_000)
        assert said <= {row.key for row in rows}
        previous = bytes(32)
        for row, batch in zip(rows, batches(found), strict=False):
            assert batch.header.prev == previous
            previous = seal.digest(row.payload)
        assert batches(found)[-1].fields["reason"] == "crash"


def test_close_commits_what_waits(tmp_path):
    found = opened(tmp_path)
    found.put(columns(9))
    found.close()
    assert [n for _, _, n in read_batches(tmp_path)] == [0, 9]


def test_an_outbox_that_is_closed_is_told_like_a_broken_disk(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.close()
    with pytest.raises(SpoolError, match="cannot be used"):
        outbox.pending(1)


# --- a journal restored from a backup --------------------------------------------------------------------


def test_a_restored_journal_takes_back_the_marks_of_what_it_lacks(tmp_path):
    epochs = []
    for _ in range(2):
        with contextlib.closing(opened(tmp_path)) as found:
            found.put(columns(3000))
            found.flush()
            epochs.append(found.epoch)
    with contextlib.closing(opened(tmp_path)) as found:
        everything = tuple(wire.EpochAck(epoch, 9) for epoch in (*epochs, found.epoch))
        found.acked(replace(ack(b"", 0), epochs=everything))
        assert found.drained()
        older = (wire.EpochAck(epochs[1], 2, ((4, 5),)), wire.EpochAck(found.epoch, 1))
        assert found.acked(replace(ack(b"", 0, gen=(2, b"restored")), epochs=older)) == 0
        lacking = [(epochs[0], seq) for seq in range(1, 8)] + [(epochs[1], seq) for seq in (3, 6, 7)]
        assert [row.key for row in found.pending(99)] == lacking
        assert (found.unacked(), found.counts()["refilled_batches"]) == (10, 10)
        assert found.acked(replace(ack(b"", 0, n=99), epochs=everything)) == 0, "the old journal's word is over"
    with contextlib.closing(opened(tmp_path)) as found:
        assert len(found.pending(99)) == 11, "also after a restart"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=6))
@settings(max_examples=examples(25))
def test_rows_wait_exactly_where_the_last_journal_lacks_them(acks):
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(opened(Path(folder))) as found:
        found.put(columns(5000))
        found.flush()
        waiting, last = {(found.epoch, seq) for seq in range(1, 12)}, None
        for n, (generation, upto, above, named) in enumerate(acks):
            have = ((upto + 2, upto + 2 + above),)
            said = ack(found.epoch if named else EPOCH, upto, n=n + 1, have=have, gen=(generation, bytes(8)))
            everything = {(found.epoch, seq) for seq in range(1, 12)}
            if newer(said, last):
                if last and generation > last[0]:
                    waiting = everything
                waiting = waiting - set(held(said, everything))
                last = (*said.gen, said.n)
            found.acked(said)
            assert {row.key for row in found.pending(99)} == waiting
            assert found.unacked() == len(waiting)


# --- what is given up is declared ----------------------------------------------------------------------


def damage(folder: Path, change: str, *keys: int) -> None:
    """Alter rows behind the outbox's back."""
    with contextlib.closing(sqlite3.connect(newest_path(folder))) as database:
        for seq in keys:
            database.execute(f"UPDATE batch SET {change} WHERE seq = ?", (seq,))
        database.commit()


@pytest.mark.parametrize(
    "change",
    ["payload = zeroblob(length(payload))", "n = n + 1", "first_ns = first_ns - 1", "last_ns = 'x'", "payload = 7"],
)
def test_a_damaged_row_is_never_sent_and_a_gap_record_takes_its_place(outbox, change):
    outbox.put(columns(5000))
    outbox.flush()
    damage(outbox.folder, change, 4, 5, 9)
    rows, found = outbox.pending(99), batches(outbox)
    assert [row.seq for row in rows] == [1, 2, 3, 6, 7, 8, 10, 11, 12, 13]
    gaps = [batch.fields["gap"] for batch in found if batch.header.kind == "gap"]
    assert [(gap["ep"], gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in gaps] == [
        (outbox.epoch, 4, 5, "corrupt"),
        (outbox.epoch, 9, 9, "corrupt"),
    ]
    assert (outbox.unacked(), outbox.counts()["damaged_batches"]) == (10, 3)
    assert outbox.row((outbox.epoch, 9)) is None


def test_a_damaged_row_that_is_sent_again_is_declared(outbox):
    outbox.put(columns(600))
    outbox.flush()
    damage(outbox.folder, "payload = x'00'", 2)
    assert outbox.row((outbox.epoch, 2)) is None
    assert [(gap.from_seq, gap.to_seq, gap.n) for gap in read_gaps(outbox.folder)] == [(2, 2, 500)]


def test_a_damaged_gap_record_is_said_again(outbox):
    outbox.put(columns(600))
    outbox.flush()
    damage(outbox.folder, "payload = x'00'", 2)
    outbox.pending(9)
    damage(outbox.folder, "payload = x'00'", 4)
    found = [batch.fields["gap"] for batch in batches(outbox) if batch.header.kind == "gap"]
    assert sorted((gap["from_seq"], gap["to_seq"]) for gap in found) == [(2, 2), (4, 4)]


def test_an_outbox_over_its_limit_gives_up_evidence_first_then_the_oldest_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "PRUNE_ROWS", 7)
    kept: dict[tuple[bytes, int], int] = {}
    with contextlib.closing(opened(tmp_path, limits=Limits(bytes=1 << 18))) as found:
        for turn in range(60):
            found.put(columns(1500, start_ns=NOON_NS + turn * 10**12))
            found.flush()
            kept |= {row.key: row.n for row in found.pending(999)}
            if turn == 5:
                found.acked(ack(found.epoch, 16))
        used = newest(found).execute("PRAGMA page_count").fetchone()[0] * 4096
        assert used < 1.3 * (1 << 18), "the file does not grow beyond its limit"
        held = {row.key for row in found.pending(999)}
        gaps = read_gaps(tmp_path)
        given_up = {(gap.ep, seq) for gap in gaps for seq in range(gap.from_seq, gap.to_seq + 1)}
        assert given_up
        assert {gap.reason for gap in gaps} == {"outbox_full"}
        assert not any(seq <= 16 for _, seq in given_up), "acknowledged rows went without a word"
        assert {key for key in kept if key[1] > 16} == {key for key in held | given_up if key[1] > 16}
        assert sum(gap.n for gap in gaps) == sum(kept[key] for key in given_up) == found.counts()["given_up_values"]
        assert (found.epoch, 1) not in given_up, "a hello stays"
        assert found.unacked() == len(held)


@pytest.mark.parametrize("schema", [1, 2])
def test_an_outbox_of_an_earlier_version_is_taken_over(tmp_path, schema):
    with contextlib.closing(opened(tmp_path)) as old:
        old.put(columns(600))
        old.acked(ack(old.epoch, 1, n=7))
        epoch = old.epoch
    newest_path(tmp_path).replace(tmp_path / "outbox.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        database.executescript(f"DELETE FROM meta; PRAGMA user_version = {schema}; PRAGMA application_id = 0")
        single = {
            "last_epoch": epoch,
            "last_seq": 3,
            "ack_generation": 1,
            "ack_random": bytes(8),
            "ack_n": 7,
            "clean": 1,
        }
        database.executemany("INSERT INTO meta VALUES (?, ?)", single.items())
        if schema == 1:
            database.executescript("ALTER TABLE batch DROP COLUMN hash; DROP TABLE gap")
        database.commit()
    with contextlib.closing(opened(tmp_path)) as found:
        assert [row.n for row in found.pending(9)] == [500, 100, 0]
        assert batches(found)[-1].fields["prev_last_seq"] == 3
        assert batches(found)[-1].fields["reason"] == "start"
        assert found.acked(ack(epoch, 3, n=7)) == 0, "it is not above the last one"
    assert not (tmp_path / "outbox.db").exists()

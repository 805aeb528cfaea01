"""The outbox's files: begun, unlinked, damaged alone, and together like one."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import outbox, outbox_rows, reserve, seal, segments, wire
from gateway.lanes import START, Key, Row
from gateway.outbox_store import OutboxStore
from gateway.retention import Gap, Held, Limits
from gateway.shelves import Change, Meta, SpoolError, SpoolFull
from gateway.spooler import Spooler, read_batches, read_gaps
from tests.effort import examples
from tests.gateway import flips
from tests.gateway.batches import KEY, NOON_NS, ack, columns
from tests.gateway.files import abandon

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS


class Hands:
    """Clocks set by hand."""

    def __init__(self) -> None:
        self.wall_ns, self.mono_ns = NOON_NS, 0

    def forward(self, ns: int) -> None:
        self.wall_ns += ns
        self.mono_ns += ns


def verify(payload: bytes) -> bytes:
    return seal.verify(payload, KEY.public_key())


def opened(folder: Path, hands: Hands, **other: object) -> Spooler:
    clocks = {"now_ns": lambda: hands.wall_ns, "mono_ns": lambda: hands.mono_ns}
    return Spooler(folder, "riverside", "riverside-gw", KEY, **(clocks | other))  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "outbox").glob("*.db"))


def filled(folder: Path, hands: Hands, days: int = 5, batches: int = 4) -> Spooler:
    """An outbox of some days, a file each, with so many batches in each but a hello more in the first."""
    found = opened(folder, hands)
    for _ in range(days):
        found._keeper.keep([columns(3)] * batches)
        hands.forward(DAY_NS)
    return found


# --- begun and unlinked ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("wall_ns", "mono_ns"), [(DAY_NS, 1), (-400 * DAY_NS, DAY_NS), (1, DAY_NS)])
def test_a_file_is_begun_after_a_day_by_either_clock(tmp_path, wall_ns, mono_ns):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands)) as found:
        hands.wall_ns += wall_ns
        hands.mono_ns += mono_ns
        found.put(columns(1))
        found.flush()
        assert files(tmp_path) == ["000001.db", "000002.db"]
        assert [row.seq for row in found.pending(9)] == [1, 2, 3][: len(found.pending(9))]


def test_a_clock_that_flaps_begins_no_file_each_time(tmp_path):
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands)) as found:
        for turn in range(12):
            hands.wall_ns = NOON_NS + (turn % 2) * 3 * DAY_NS
            found.put(columns(1))
            found.flush()
        assert len(files(tmp_path)) == 2


def test_a_file_is_begun_above_its_share_of_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SMALLEST", 1 << 16)
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands, limits=Limits(bytes=1 << 21))) as found:
        for _ in range(40):
            found.put(columns(4000))
            found.flush()
        sizes = [survey.bytes for survey in found._store._files.surveys.values()]
        assert 4 < len(sizes) <= segments.SHARE + 1
        assert all(1 << 17 <= size < 3 << 17 for size in sizes[:-1])
        assert len(found.pending(9999)) == found.unacked()


def test_a_file_goes_when_all_in_it_was_acknowledged_long_enough_ago(tmp_path):
    hands = Hands()
    with contextlib.closing(filled(tmp_path, hands)) as found:
        found.acked(ack(found.epoch, 9, have=((12, 17),)))
        hands.forward(29 * DAY_NS)
        found.flush()
        assert len(files(tmp_path)) == 5
        hands.forward(2 * DAY_NS)
        for _ in range(5):
            hands.forward(HOUR_NS)
            found.flush()
        assert files(tmp_path) == ["000003.db", "000005.db"], "one with rows that wait stays, and so does the newest"
        assert {seq for _, seq, _ in read_batches(tmp_path)} == {10, 11, 12, 13, 18, 19, 20, 21}
        assert [row.seq for row in found.pending(99)] == [10, 11, 18, 19, 20, 21]


def test_over_the_limit_whole_files_go_before_anything_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SMALLEST", 1 << 16)
    hands = Hands()
    with contextlib.closing(opened(tmp_path, hands, limits=Limits(bytes=1 << 20))) as found:
        for turn in range(60):
            found.put(columns(6000))
            found.flush()
            if turn < 15:
                found.acked(ack(found.epoch, 12 * turn, n=turn + 1))
            kept = sum(path.stat().st_size for path in (tmp_path / "outbox").iterdir())
            assert kept < 3 << 20
            if found.counts()["given_up_batches"]:
                break
        assert turn > 15
        assert files(tmp_path)[0] != "000001.db"
        assert min(seq for _, seq, n in read_batches(tmp_path) if n) > 12 * 14, "what is acknowledged went first"
        for _ in range(12):
            found.put(columns(6000))
            found.flush()
        assert {gap.reason for gap in read_gaps(tmp_path)} == {"outbox_full"}
        held = {row.seq for row in found.pending(9999)}
        gone = {seq for gap in read_gaps(tmp_path) for seq in range(gap.from_seq, gap.to_seq + 1)}
        assert held | gone >= set(range(12 * 14 + 1, max(held) + 1))
        assert not held & gone


def test_no_more_than_a_few_files_are_open(tmp_path):
    hands = Hands()
    with contextlib.closing(filled(tmp_path, hands, days=12, batches=1)) as found:
        assert len(files(tmp_path)) == 12
        assert [row.seq for row in found.pending(99)] == list(range(1, 14))
        for seq in range(1, 14):
            assert found.row((found.epoch, seq))
            assert len(found._store._files._open) <= segments.MAX_OPEN


# --- damage and crashes --------------------------------------------------------------------------------------


def test_a_damaged_file_is_salvaged_alone(tmp_path):
    hands = Hands()
    first = filled(tmp_path, hands, batches=60)
    first.acked(ack(first.epoch, 20))
    epoch = first.epoch
    first.close()
    damaged = tmp_path / "outbox" / "000003.db"
    others = {name: (tmp_path / "outbox" / name).read_bytes() for name in files(tmp_path) if name != damaged.name}
    data = bytearray(damaged.read_bytes())
    data[: 4096 * 2] = bytes(4096 * 2)
    data[-4096:] = bytes(4096)
    damaged.write_bytes(data)
    with contextlib.closing(opened(tmp_path, hands)) as found:
        rows = found.pending(9999)
        hello = next(b for b in map(decoded, rows) if b.header.ep == found.epoch)
        assert hello.fields["reason"] == "corrupt"
        assert (hello.fields["prev_ep"], hello.fields["prev_last_seq"]) == (epoch, 301), "the newest file knows"
        held = {row.seq for row in rows if row.epoch == epoch}
        lost = {seq for gap in read_gaps(tmp_path) for seq in range(gap.from_seq, gap.to_seq + 1)}
        assert held | lost == set(range(21, 302))
        assert not held & lost
        assert lost < set(range(122, 182)), "also what was lost at an edge is known"
        assert lost
        assert [row.key for row in rows] == sorted(row.key for row in rows)
    for name, before in others.items():
        assert (tmp_path / "outbox" / name).read_bytes() == before
    with contextlib.closing(opened(tmp_path, hands)) as found:
        assert found.counts()["salvaged_batches"] == 0
        assert len(found.pending(9999)) == len(rows) + 1


def test_what_the_newest_file_lost_at_its_end_is_declared_exactly(tmp_path):
    hands = Hands()
    first = filled(tmp_path, hands, batches=60)
    epoch, newest_file = first.epoch, tmp_path / "outbox" / files(tmp_path)[-1]
    first.close()
    for at in range(newest_file.stat().st_size - 4096, 0, -4096):
        data = bytearray(newest_file.read_bytes())
        if seal_in(data[at : at + 4096], b"emwstate"):
            continue
        data[at : at + 4096] = bytes(4096)
        newest_file.write_bytes(data)
        break
    with contextlib.closing(opened(tmp_path, hands)) as found:
        rows = found.pending(9999)
        held = {row.seq for row in rows if row.epoch == epoch}
        lost = {seq for gap in read_gaps(tmp_path) for seq in range(gap.from_seq, gap.to_seq + 1)}
        assert held | lost == set(range(1, 302))
        assert lost
        assert next(b for b in map(decoded, rows) if b.header.ep == found.epoch).fields["prev_last_seq"] == 301


def seal_in(page: bytes, word: bytes) -> bool:
    return word in page


def decoded(row: Row) -> wire.Batch:
    return wire.decode(verify(row.payload))


def test_damage_found_in_an_older_file_ends_the_gateway_once_what_waits_is_committed(tmp_path):
    hands = Hands()
    first = filled(tmp_path, hands, batches=60)
    epoch = first.epoch
    damaged = tmp_path / "outbox" / "000002.db"
    first.close()
    found = opened(tmp_path, hands)
    damaged.write_bytes(damaged.read_bytes()[:4096] + b"\xff" * (damaged.stat().st_size - 4096))
    with pytest.raises(SpoolError, match="next start salvages"):
        found.pending(9999)
    found.put(columns(7))
    with pytest.raises(SpoolError, match="next start salvages"):
        found.flush()
    last = found.epoch
    with pytest.raises(SpoolError, match="next start salvages"):
        found.close()
    with contextlib.closing(opened(tmp_path, hands)) as again:
        rows = again.pending(9999)
        assert [row.n for row in rows if row.epoch == last] == [0, 7]
        assert {row.seq for row in rows if row.epoch == epoch} == {*range(1, 62), *range(122, 302)}
        assert [(gap.from_seq, gap.to_seq) for gap in read_gaps(tmp_path)] == [(62, 121)]


@pytest.mark.parametrize("files", [examples(40, 2000)])
@pytest.mark.timeout(2400)
def test_every_flipped_bit_is_found_or_harmless(files):
    tally = flips.run(files)
    assert (tally.files, tally.unsaid, tally.altered) == (files, 0, 0), tally
    assert tally.kept >= 0.99 * tally.intact, tally
    assert tally.changed >= files // 3


def test_a_crash_between_a_gap_record_and_its_deletions_is_made_good(tmp_path, monkeypatch):
    hands = Hands()
    found = filled(tmp_path, hands)
    store = found._store
    first = store.oldest(3, acked=False)
    monkeypatch.setattr(type(store), "_owe", lambda *_: None)
    found._keeper._commit([("gap", columns(0), gap.fields()) for gap in gaps(first)], first)
    abandon(found)
    monkeypatch.undo()
    assert {seq for _, seq, _ in read_batches(tmp_path)} >= {held.seq for held in first}, "they are still there"
    with contextlib.closing(opened(tmp_path, hands)) as again:
        assert not {held.key for held in first} & {row.key for row in again.pending(99)}
        assert again.unacked() == len(again.pending(99))
    assert not {held.seq for held in first} & {
        seq for epoch, seq, _ in read_batches(tmp_path) if epoch == first[0].epoch
    }


def gaps(rows: Sequence[Held]) -> list[Gap]:
    from gateway.retention import gaps as found

    return found(rows, "outbox_full")


def test_what_a_full_disk_does_not_let_go_is_shown_no_more_and_goes_later(tmp_path, monkeypatch):
    hands = Hands()
    with contextlib.closing(filled(tmp_path, hands)) as found:
        first, real = found._store.oldest(3, acked=False), outbox_rows.delete_spans

        def full(*_: object) -> None:
            raise no_room()

        monkeypatch.setattr(outbox_rows, "delete_spans", full)
        found._keeper._commit([("gap", columns(0), gap.fields()) for gap in gaps(first)], first)
        assert [row.seq for row in found.pending(99)] == [1, *range(5, 23)]
        assert found.row(first[0].key) is None
        assert not {held.key for held in first} & {held.key for held in found._store.oldest(99, acked=False)}
        monkeypatch.setattr(outbox_rows, "delete_spans", real)
        found.put(columns(1))
        found.flush()
        assert {seq for _, seq, _ in read_batches(tmp_path)} == {1, *range(5, 24)}


def no_room() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def test_marks_that_a_full_disk_cut_short_are_counted_once(tmp_path, monkeypatch):
    hands = Hands()
    with contextlib.closing(filled(tmp_path, hands)) as found:
        real, calls = outbox_rows.mark, []

        def second_is_full(*given: object) -> int:
            calls.append(given)
            if len(calls) == 2:
                raise no_room()
            return real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(outbox_rows, "mark", second_is_full)
        monkeypatch.setattr(reserve.Reserve, "release", lambda _: False)
        with pytest.raises(SpoolFull):
            found.acked(ack(found.epoch, 21))
        assert found.acked(ack(found.epoch, 21)) == 21
        assert found.unacked() == 0
        assert found.drained()


# --- the reserve, and a broken disk ----------------------------------------------------------------------------


def test_the_reserve_is_for_records_and_marks_and_is_laid_again(tmp_path, monkeypatch):
    with contextlib.closing(opened(tmp_path, Hands())) as found:
        laid = tmp_path / "reserve"
        assert laid.stat().st_blocks * 512 >= reserve.SIZE, "really allocated"
        found.put(columns(1))
        found.flush()
        full = Full(monkeypatch, tmp_path)
        found.put(columns(5))
        with pytest.raises(SpoolFull):
            found.flush()
        assert laid.stat().st_size == reserve.SIZE, "measurements wait in memory"
        assert found.acked(ack(found.epoch, 1)) == 1
        assert laid.stat().st_size == 0
        with pytest.raises(SpoolFull, match="reserve"):
            found.flush()
        full.end()
        assert found.flush() == 1
        assert laid.stat().st_size == reserve.SIZE
        assert [row.n for row in found.pending(9)] == [1, 5]


def test_what_memory_has_no_room_for_is_declared_with_a_number_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING", 1000)
    with contextlib.closing(opened(tmp_path, Hands())) as found:
        found.put(columns(1))
        found.flush()
        full = Full(monkeypatch, tmp_path, reserved=False)
        for turn in range(4):
            found.put(columns(400, start_ns=NOON_NS + turn * 10**12))
            with contextlib.suppress(SpoolFull):
                found.flush()
        assert (found.counts()["waiting_values"], found.counts()["dropped"]) == (800, 800)
        full.end()
        found.flush()
        batches = [decoded(row) for row in found.pending(9)]
        assert [(b.header.seq, b.header.kind, b.header.n) for b in batches] == [
            (1, "hello", 0), (2, "data", 1), (4, "gap", 0), (5, "data", 400), (6, "data", 400),
        ]  # fmt: skip
        assert batches[2].fields["gap"] == {
            "ep": found.epoch, "from_seq": 3, "to_seq": 3, "n": 800, "t_first": NOON_NS,
            "t_last": NOON_NS + 10**12 + 133 * 10**9, "reason": "outbox_full",
        }  # fmt: skip
        assert batches[2].header.prev == seal.digest(found.pending(9)[1].payload)
        found.put(columns(1))
        found.flush()
        assert [row.seq for row in found.pending(9)] == [1, 2, 4, 5, 6, 7], "it is said once"


def test_a_record_of_what_was_dropped_may_take_the_reserve(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING", 1000)
    with contextlib.closing(opened(tmp_path, Hands())) as found:
        full = Full(monkeypatch, tmp_path)
        for _ in range(3):
            found.put(columns(500))
            with pytest.raises(SpoolFull):
                found.flush()
        with pytest.raises(SpoolFull):
            found.flush()
        assert [row.n for row in found.pending(9)] == [0, 0], "the record is there, the measurements still wait"
        assert found.storage()["reserve"] == "spent"
        assert found.storage()["alarm"] == 95
        full.end()
        found.flush()
        assert found.storage()["reserve"] == "laid"
        assert [row.n for row in found.pending(9)] == [0, 0, 500, 500]


class Full:
    """A disk on which nothing has room while the reserve is laid, or nothing at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, reserved: bool = True) -> None:
        self._folder, self.full, self._reserved = folder, True, reserved
        real = (outbox_rows.insert, outbox_rows.mark)
        for name, work in zip(("insert", "mark"), real, strict=True):
            monkeypatch.setattr(outbox_rows, name, lambda *given, work=work: self.room() and work(*given))
        monkeypatch.setattr(reserve, "free_bytes", lambda _: 0 if self.full else 1 << 40)

    def room(self) -> bool:
        if self.full and ((self._folder / "reserve").stat().st_size or not self._reserved):
            raise no_room()
        return True

    def end(self) -> None:
        self.full = False


def test_after_a_failed_fsync_nothing_is_tried_again(tmp_path, monkeypatch):
    found = opened(tmp_path, Hands())
    found.put(columns(1))

    def broken(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    real = outbox_rows.insert
    monkeypatch.setattr(outbox_rows, "insert", broken)
    with pytest.raises(SpoolError, match="I/O"):
        found.flush()
    monkeypatch.setattr(outbox_rows, "insert", real)
    for work in (found.flush, lambda: found.pending(1), lambda: found.acked(ack(found.epoch, 1)), found.close):
        with pytest.raises(SpoolError, match="nothing is tried again"):
            work()
    log = tmp_path / "outbox" / "000001.db-wal"
    assert log.exists(), "the log was not moved into the file at the end"
    with contextlib.closing(opened(tmp_path, Hands())) as again:
        assert again.unacked() == 2


# --- the same answers as storage in memory -------------------------------------------------------------------------


class Memory:
    """Shelves in memory: what they say is right."""

    def __init__(self) -> None:
        self.rows: dict[Key, tuple[int, bytes, int | None]] = {}
        self.said = Meta()

    def commit(self, change: Change) -> None:
        for held in change.gone:
            self.rows.pop(held.key, None)
        self.rows |= {row[:2]: (row[2], row[5], None) for row in change.rows}
        self.said = change.meta

    def waiting(self, limit: int, after: Key) -> tuple[list[Row], list[Held]]:
        unacked = ((key, n, payload) for key, (n, payload, acked) in sorted(self.rows.items()) if acked is None)
        return [Row(*key, n, payload) for key, n, payload in unacked if key > after][:limit], []

    def tail(self, rows: int) -> Key:
        keys = [row.key for row in self.waiting(10**9, START)[0]]
        return keys[-rows - 1] if len(keys) > rows else START

    def lowest(self, epoch: bytes) -> int | None:
        return min((row.seq for row in self.waiting(10**9, START)[0] if row.epoch == epoch), default=None)

    def mark(self, said: wire.Ack, now_ns: int, *, undo: bool) -> tuple[int, int]:
        named = set(outbox.held(said, list(self.rows)))
        before = {key for key, row in self.rows.items() if row[2] is not None}
        undone = before - named if undo else set()
        for key in named - before:
            self.rows[key] = (*self.rows[key][:2], now_ns)
        for key in undone:
            self.rows[key] = (*self.rows[key][:2], None)
        return len(named - before), len(undone)


EPOCHS = tuple(number.to_bytes(8) + b"01234567" for number in range(1, 4))
STEPS = st.one_of(
    st.tuples(st.just("store"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("give up"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("mark"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("reopen"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("epoch"), st.integers(0, 1), st.booleans()),
)


@given(st.lists(STEPS, max_size=20), st.integers(0, 2**32))
@settings(max_examples=examples(25))
def test_files_and_memory_answer_alike(steps, seed):
    rng, memory, now_ns, seq, epoch = random.Random(seed), Memory(), NOON_NS, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        store = OutboxStore(Path(folder), verify, mono_ns=lambda: 0)
        for number, (what, count, flag) in enumerate(steps):
            if what == "store":
                now_ns += DAY_NS if flag else 1
                rows = [
                    (EPOCHS[epoch], seq + i, rng.randrange(3), 5, 6, rng.randbytes(50)) for i in range(1, count + 1)
                ]
                seq += count
                change = Change(now_ns, Meta(EPOCHS[epoch], seq), rows)
                store.commit(change)
                memory.commit(change)
            elif what == "give up":
                gone = store.oldest(count, acked=flag)
                assert all(held.key in memory.rows and (memory.rows[held.key][2] is not None) == flag for held in gone)
                change = Change(now_ns, Meta(EPOCHS[epoch], seq), gone=gone)
                store.commit(change)
                memory.commit(change)
            elif what == "mark":
                named = (wire.EpochAck(EPOCHS[epoch], count // 2, ((count, count + 3),)),)
                said = wire.Ack(gw="g", gen=(1 + flag, bytes(8)), n=number, epochs=named, win=1, now=0)
                assert store.mark(said, now_ns, undo=flag) == memory.mark(said, now_ns, undo=flag)
            elif what == "reopen":
                store.close()
                store = OutboxStore(Path(folder), verify, mono_ns=lambda: 0)
                assert store.found is None
            elif epoch < 2:
                epoch, seq = epoch + 1, 0
            assert store.waiting(99, START) == memory.waiting(99, START)
            after = (EPOCHS[epoch], rng.randrange(9))
            assert store.waiting(3, after) == memory.waiting(3, after)
            assert store.one(after)[0] == [row for row in memory.waiting(99, START)[0] if row.key == after]
            assert [store.tail(rows) for rows in range(5)] == [memory.tail(rows) for rows in range(5)]
            assert [store.lowest(ep) for ep in EPOCHS] == [memory.lowest(ep) for ep in EPOCHS]
            assert store.count() == len(memory.waiting(999, START)[0])
            assert {(e, s) for e, s, _ in read_batches(folder)} <= set(memory.rows)
        store.close()


def test_a_log_whose_file_is_gone_is_salvaged(tmp_path):
    hands = Hands()
    first = opened(tmp_path / "a", hands)
    first.put(columns(3))
    first.flush()
    (tmp_path / "b" / "outbox").mkdir(parents=True)
    shutil.copy(tmp_path / "a" / "outbox" / "000001.db-wal", tmp_path / "b" / "outbox")
    first.close()
    with contextlib.closing(opened(tmp_path / "b", hands)) as found:
        assert [row.n for row in found.pending(9)] == [0, 3, 0]
        assert found.counts()["salvaged_batches"] == 2

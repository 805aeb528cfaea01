"""The way out as rules: how values become batches, and that each goes out until it is acknowledged."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import outbox, wire
from gateway.lanes import Key
from gateway.measurement import SECOND_NS, Series, concatenate, empty_columns
from gateway.outbox import Outbox, Sender
from tests.effort import examples
from tests.gateway.batches import EPOCH, ack, columns, equal, ranges, tables
from tests.gateway.shelf import Shelf

MS = 1_000_000
LATER = (8).to_bytes(8) + bytes(8)


# --- values become batches ---------------------------------------------------------------------------


@given(st.lists(st.tuples(tables(max_size=80), st.integers(0, 2 * SECOND_NS)), max_size=8))
@settings(max_examples=examples(50))
def test_batches_hold_what_was_put_in_its_order_and_keep_the_limits(puts):
    box, now, when = Outbox(), 0, []
    for table, wait in puts:
        now += wait
        box.put(table, now)
        when += [now] * len(table)
    parts = box.take()
    assert equal(concatenate(parts), concatenate([table for table, _ in puts]))
    assert all(wire.fits(part) and len(part) for part in parts)
    start = 0
    for part in parts:
        span = when[start : start + len(part)]
        assert span[-1] - span[0] <= SECOND_NS, "values put within a second of real time"
        start += len(part)
    assert box.take() == []


def test_a_backlog_travels_in_full_batches_whatever_time_it_covers():
    box = Outbox()
    box.put(columns(1400, start_ns=5), now_ns=0)
    box.put(columns(700), now_ns=SECOND_NS)
    assert [len(part) for part in box.take()] == [500, 500, 500, 500, 100]


def test_a_batch_names_only_the_series_it_needs():
    series = tuple(Series("p", "q", "s", f"P{i}", "u") for i in range(300))
    table = columns(3, series=series)
    [part] = outbox.cut(replace(table, series_index=np.array([7, 250, 7], np.uint16)))
    assert part.series == (series[7], series[250])
    assert part.series_index.tolist() == [0, 1, 0]


def test_many_long_names_make_smaller_batches():
    series = tuple(Series("p" * 64, "q" * 64, "s" * 64, f"{i:064}", "u" * 64) for i in range(500))
    table = columns(500, series=series)
    parts = outbox.cut(table)
    assert len(parts) > 1
    assert all(wire.fits(part) for part in parts)
    assert equal(concatenate(parts), table)


def test_values_wait_a_little_for_company():
    box = Outbox()
    assert box.due_ns() is None
    box.put(empty_columns(), 5)
    assert box.due_ns() is None
    box.put(columns(3), 5)
    assert box.due_ns() == 5 + outbox.HOLD_NS
    box.put(columns(497), 9)
    assert box.due_ns() == 0, "a full batch waits for nobody"


def test_what_could_not_be_kept_comes_first_when_tried_again():
    box = Outbox()
    box.put(columns(600), 0)
    parts = box.take()
    box.put(columns(2, start_ns=9), 1)
    box.restore(parts)
    assert (box.values, box.due_ns()) == (602, 0)
    assert [len(part) for part in box.take()] == [500, 100, 2]


def test_memory_is_bounded_and_what_was_dropped_is_counted(monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING", 1000)
    box = Outbox()
    box.put(columns(600, start_ns=1), 0)
    box.restore(box.take())
    for start in range(2, 7):
        box.put(columns(200, start_ns=start), start)
    assert box.values + box.dropped == 1600
    assert box.values <= 1000
    assert box.dropped == 600, "the oldest go first, in whole batches"
    box.put(columns(200, start_ns=7), 7)
    assert (box.values, box.dropped) == (1000, 800)
    assert box.take()[0].time_ns[0] == 3


# --- acknowledgements ------------------------------------------------------------------------------------


def test_only_a_later_acknowledgement_of_the_same_journal_or_a_higher_generation_counts():
    last = (4, b"journal1", 10)
    assert outbox.newer(ack(EPOCH, 1), None)
    assert outbox.newer(ack(EPOCH, 1, gen=(4, b"journal1"), n=11), last)
    assert outbox.newer(ack(EPOCH, 1, gen=(5, b"journal2"), n=1), last)
    assert not outbox.newer(ack(EPOCH, 1, gen=(4, b"journal1"), n=10), last)
    assert not outbox.newer(ack(EPOCH, 1, gen=(3, b"journal0"), n=99), last)
    assert not outbox.newer(ack(EPOCH, 1, gen=(4, b"journal9"), n=99), last)


def test_held_is_what_is_contiguous_and_the_ranges_above():
    keys = [(EPOCH, seq) for seq in range(1, 12)] + [(LATER, 1)]
    held = outbox.held(ack(EPOCH, 3, have=((5, 6), (9, 9))), keys)
    assert held == [(EPOCH, seq) for seq in (1, 2, 3, 5, 6, 9)]


# --- batches go out -----------------------------------------------------------------------------------------


def fly(sender: Sender, rows: int, now: int = 0, size: int = 2000) -> Shelf:
    shelf = Shelf()
    shelf.add(EPOCH, rows, size)
    sender.connected(now)
    go(sender, shelf, now)
    return shelf


def go(sender: Sender, shelf: Shelf, now: int, credit: int = 10_000) -> list[int]:
    """All the sender gives out now."""
    went: list[int] = []
    while rows := sender.turn(shelf, credit - len(went), now):
        went += [row.seq for row in rows]
    return went


def acked(sender: Sender, shelf: Shelf, now: int, upto: int, **other: object) -> None:
    said = ack(EPOCH, upto, **other)
    shelf.acked(said)
    sender.acked(said, now)


def test_the_window_is_32_until_the_collector_gives_credit():
    sender = Sender()
    shelf = fly(sender, 3000)
    assert (sender.room, sender.flying) == (0, 32)
    acked(sender, shelf, 50 * MS, 10, win=200)
    assert (sender.room, sender.flying) == (200 - 22, 22)
    acked(sender, shelf, 60 * MS, 10, n=2, win=10**9)
    assert sender.room == outbox.MAX_WINDOW - 22


def test_the_window_is_half_a_mebibyte_until_the_collector_gives_credit():
    sender = Sender()
    shelf = fly(sender, 400, size=50_000)
    assert sender.flying == (1 << 19) // 50_000
    sender.acked(ack(EPOCH, 0, win=128), 1)
    go(sender, shelf, 1)
    assert sender.flying == (2 << 20) // 50_000
    huge = Sender()
    fly(huge, 3, size=2 << 20)
    assert huge.flying == 1, "one batch may always go"


def test_no_credit_stops_everything_until_the_next_connection():
    sender = Sender()
    shelf = fly(sender, 3)
    acked(sender, shelf, MS, 1, win=0)
    assert sender.silent(61 * SECOND_NS, waiting=True), "also when it has forbidden to send and gone away"
    assert (sender.room, sender.overdue(10**12), sender.next_ns()) == (0, [], None)
    assert go(sender, shelf, MS) == []
    sender.connected(2 * MS)
    assert sender.room == 32


def test_what_is_not_acknowledged_goes_again_after_twice_the_wait_each_time():
    sender, key, now = Sender(), (EPOCH, 1), 0
    shelf = fly(sender, 1)
    waits = []
    for _ in range(9):
        due = sender.next_ns()
        assert due is not None
        assert sender.overdue(due - 1) == []
        assert sender.overdue(due) == [key]
        waits.append((due - now) / SECOND_NS)
        now = due
        assert go(sender, shelf, now) == [1]
    for wait, expected in zip(waits, (2, 4, 8, 16, 32, 60, 60, 60, 60), strict=True):
        assert 0.8 * expected <= wait <= 1.2 * expected
    assert len(set(waits)) == len(waits), "gateways do not send again in step"
    assert sender.resent == 9


def test_the_wait_follows_the_line():
    sender = Sender()
    shelf = fly(sender, 1)
    acked(sender, shelf, 3 * SECOND_NS, 1)
    assert sender.rto_ns == 12 * SECOND_NS
    for seq in range(2, 60):
        now = seq * SECOND_NS
        shelf.add(EPOCH)
        assert go(sender, shelf, now) == [seq]
        acked(sender, shelf, now + MS, seq, n=seq)
    assert sender.rto_ns == outbox.RTO_MIN_NS


def test_a_batch_sent_twice_teaches_nothing_about_the_line():
    sender = Sender()
    shelf = fly(sender, 1)
    assert go(sender, shelf, 50 * SECOND_NS) == [1]
    acked(sender, shelf, 59 * SECOND_NS, 1)
    assert sender.rto_ns == outbox.RTO_MIN_NS


def test_a_collector_that_comes_back_gets_what_it_missed_at_once():
    sender = Sender()
    shelf = fly(sender, 4)
    for again in range(1, 4):
        assert len(go(sender, shelf, again * 10 * SECOND_NS)) == 4
    now = 31 * SECOND_NS
    assert sender.overdue(now) == []
    acked(sender, shelf, now, 2)
    assert sender.overdue(now) == [(EPOCH, 3), (EPOCH, 4)]


def test_a_new_connection_starts_from_the_oldest():
    sender = Sender()
    shelf = fly(sender, 4)
    sender.connected(SECOND_NS)
    assert (sender.flying, sender.room) == (0, 32)
    assert go(sender, shelf, SECOND_NS) == [1, 2, 3, 4]


def test_a_minute_without_acknowledgement_is_a_reason_to_doubt_the_connection():
    sender = Sender()
    sender.connected(0)
    assert not sender.silent(10**12, waiting=False), "nothing waits"
    fly(sender, 1)
    assert not sender.silent(60 * SECOND_NS, waiting=True)
    assert sender.silent(61 * SECOND_NS, waiting=True)
    sender.acked(ack(EPOCH, 0), 61 * SECOND_NS)
    assert not sender.silent(62 * SECOND_NS, waiting=True)


def test_a_puback_frees_the_window_only_where_no_acknowledgement_can():
    for acknowledged in (True, False):
        sender = Sender(acknowledged=acknowledged)
        fly(sender, 2)
        sender.puback((EPOCH, 1))
        assert sender.flying == (2 if acknowledged else 1)
        assert not Sender(acknowledged=False).silent(10**12, waiting=True)


def test_a_row_that_is_gone_is_forgotten():
    sender = Sender()
    shelf = fly(sender, 2)
    del shelf.waiting[EPOCH, 1]
    assert go(sender, shelf, 50 * SECOND_NS) == [2]
    assert sender.flying == 1


# --- two lanes ----------------------------------------------------------------------------------------------


def test_after_an_outage_the_newest_goes_first_and_the_backlog_with_it():
    sender = Sender()
    shelf = fly(sender, 0)
    shelf.add(EPOCH, 1000)
    sender.connected(0)
    went = go(sender, shelf, 0)
    assert went == [*range(993, 1001), *range(1, 25)], "the live tail, and all other credit for the backlog"
    shelf.add(EPOCH)
    acked(sender, shelf, MS, 1, win=32)
    assert go(sender, shelf, MS) == [1001], "what is measured now waits for one free place at most"


def test_the_backlog_keeps_half_of_the_window():
    sender = Sender()
    shelf = fly(sender, 500)
    sender.connected(0)
    go(sender, shelf, 0, credit=0)
    shelf.add(EPOCH, 500)
    went = go(sender, shelf, 0)
    assert [s for s in went if s > 484] == list(range(493, 509))
    assert [s for s in went if s <= 484] == list(range(1, 17))


def test_a_live_lane_that_stood_still_jumps_to_the_newest():
    sender = Sender()
    shelf = fly(sender, 64)
    for now in range(0, 8 * SECOND_NS, SECOND_NS):
        shelf.add(EPOCH, 100)
        go(sender, shelf, now)
    now = 8 * SECOND_NS
    sender.acked(ack(EPOCH, 0, have=((1, 64),), win=64), now)
    shelf.acked(ack(EPOCH, 64))
    went = go(sender, shelf, now)
    assert went == [*range(857, 865), *range(65, 121)]


def test_a_back_fill_goes_in_the_order_of_the_stream():
    sender = Sender(live=False)
    shelf = Shelf()
    shelf.add(EPOCH, 300)
    sender.connected(0)
    assert go(sender, shelf, 0) == list(range(1, 33))


def test_a_journal_of_a_higher_generation_gets_what_it_lacks_after_what_is_live():
    sender = Sender()
    shelf = fly(sender, 40)
    rows = dict(shelf.waiting)
    acked(sender, shelf, MS, 40)
    shelf.waiting = {key: row for key, row in rows.items() if key[1] > 5}
    shelf.add(EPOCH)
    sender.acked(ack(EPOCH, 5, gen=(2, b"restored")), 2 * MS, lacking=True)
    assert go(sender, shelf, 2 * MS) == [41, *range(6, 41)]


@given(st.integers(0, 2**32), st.integers(0, 400), st.integers(16, 300), st.integers(8, 64))
@settings(max_examples=examples(60, 2000))
def test_live_data_are_fresh_while_any_backlog_drains(seed, backlog, win, credit):
    """One batch a second after an outage, over a line that answers within half a second."""
    rng, sender, shelf, now = random.Random(seed), Sender(), Shelf(), 0
    for epoch in (EPOCH, LATER):
        if backlog:
            shelf.add(epoch, rng.randint(1, backlog))
    sender.connected(0)
    epoch, arrived, made, turn = LATER[:7] + b"\x09" + bytes(8), {}, {}, 0
    while shelf.waiting or len(made) < 20:
        if now % SECOND_NS == 0 and len(made) < 20:
            made[shelf.add(epoch)[0]] = now
        went: list[Key] = []
        while rows := sender.turn(shelf, credit - len(went), now):
            went += [row.key for row in rows]
        assert sender.flying <= max(64, win)
        arrived |= {key: now for key in went if key not in arrived}
        now += SECOND_NS // 2
        turn += 1
        said = wire.Ack(gw="g", gen=(1, bytes(8)), n=turn, epochs=tuple(held(arrived)), win=win, now=0)
        shelf.acked(said)
        sender.acked(said, now)
        assert turn < 20_000
    assert all(arrived[key] - when <= 5 * SECOND_NS for key, when in made.items())
    assert sender.flying == 0


def held(keys: Iterable[Key]) -> list[wire.EpochAck]:
    """What a journal that holds the keys acknowledges."""
    epochs: dict[bytes, list[int]] = {}
    for epoch, seq in sorted(keys):
        epochs.setdefault(epoch, []).append(seq)
    return [wire.EpochAck(epoch, *ranges(seqs)) for epoch, seqs in epochs.items()]


@given(st.integers(0, 2**32), st.integers(1, 300), st.floats(0.0, 0.6))
@settings(max_examples=examples(100, 2000))
def test_over_a_line_that_loses_everything_arrives_and_nothing_stays_on_the_way(seed, rows, loss):
    """Random loss of batches and acknowledgements and broken connections, in virtual time."""
    rng, sender, now, arrived = random.Random(seed), Sender(), 0, set()
    sender.connected(0)
    shelf = Shelf()
    for turn in range(100_000):
        if rng.random() < 0.01:
            sender.connected(now)
        if turn < rows:
            shelf.add(EPOCH)
        for seq in go(sender, shelf, now):
            if rng.random() >= loss:
                arrived.add(seq)
        assert sender.flying <= outbox.MAX_WINDOW
        if rng.random() >= loss:
            [said] = held((EPOCH, seq) for seq in arrived) or [wire.EpochAck(EPOCH, 0)]
            answer = wire.Ack(gw="g", gen=(1, bytes(8)), n=turn, epochs=(said,), win=400, now=0)
            shelf.acked(answer)
            sender.acked(answer, now)
        if turn >= rows and not shelf.waiting:
            break
        now += 200 * MS
    assert arrived == set(range(1, rows + 1))
    assert sender.flying == 0

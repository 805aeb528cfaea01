"""The way out as rules: how values become batches, and that each goes out until it is acknowledged."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import outbox, wire
from gateway.measurement import SECOND_NS, Series, concatenate, empty_columns
from gateway.outbox import Outbox, Sender
from tests.effort import examples
from tests.gateway.batches import EPOCH, ack, columns, equal, tables

MS = 1_000_000
LATER = (8).to_bytes(8) + bytes(8)


# --- values become batches ---------------------------------------------------------------------------


@given(st.lists(st.tuples(tables(max_size=80), st.integers(0, 2 * SECOND_NS)), max_size=8))
@settings(max_examples=examples(50), deadline=None)
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


def fly(sender: Sender, seqs: range, now: int) -> None:
    for seq in seqs:
        sender.sent((EPOCH, seq), 2000, now)


def test_the_window_is_64_until_the_collector_gives_credit():
    sender = Sender()
    sender.connected(0)
    assert sender.room == 64
    fly(sender, range(1, 65), 0)
    assert (sender.room, sender.flying, sender.after) == (0, 64, (EPOCH, 64))
    sender.acked(ack(EPOCH, 10, win=200), 50 * MS)
    assert (sender.room, sender.flying) == (200 - 54, 54)
    sender.acked(ack(EPOCH, 10, n=2, win=10**9), 60 * MS)
    assert sender.room == outbox.MAX_WINDOW - 54


def test_no_credit_stops_everything_until_the_next_connection():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 4), 0)
    sender.acked(ack(EPOCH, 1, win=0), MS)
    assert (sender.room, sender.overdue(10**12), sender.next_ns()) == (0, [], None)
    sender.connected(2 * MS)
    assert sender.room == 64


def test_what_is_not_acknowledged_goes_again_after_twice_the_wait_each_time():
    sender, key, now = Sender(), (EPOCH, 1), 0
    sender.connected(0)
    fly(sender, range(1, 2), 0)
    waits = []
    for _ in range(9):
        due = sender.next_ns()
        assert due is not None
        assert sender.overdue(due - 1) == []
        assert sender.overdue(due) == [key]
        waits.append((due - now) / SECOND_NS)
        now = due
        sender.sent(key, 2000, now)
    for wait, expected in zip(waits, (2, 4, 8, 16, 32, 60, 60, 60, 60), strict=True):
        assert 0.8 * expected <= wait <= 1.2 * expected
    assert len(set(waits)) == len(waits), "gateways do not send again in step"
    assert sender.resent == 9


def test_the_wait_follows_the_line():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 2), 0)
    sender.acked(ack(EPOCH, 1), 3 * SECOND_NS)
    assert sender.rto_ns == 12 * SECOND_NS
    for seq in range(2, 60):
        now = seq * SECOND_NS
        sender.sent((EPOCH, seq), 9, now)
        sender.acked(ack(EPOCH, seq, n=seq), now + MS)
    assert sender.rto_ns == outbox.RTO_MIN_NS


def test_a_batch_sent_twice_teaches_nothing_about_the_line():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 2), 0)
    sender.sent((EPOCH, 1), 9, 50 * SECOND_NS)
    sender.acked(ack(EPOCH, 1), 59 * SECOND_NS)
    assert sender.rto_ns == outbox.RTO_MIN_NS


def test_a_collector_that_comes_back_gets_what_it_missed_at_once():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 5), 0)
    for seq in range(1, 5):
        for again in range(4):
            sender.sent((EPOCH, seq), 9, again * 10 * SECOND_NS)
    now = 40 * SECOND_NS
    assert sender.overdue(now) == []
    sender.acked(ack(EPOCH, 2), now)
    assert sender.overdue(now) == [(EPOCH, 3), (EPOCH, 4)]


def test_a_new_connection_starts_from_the_oldest():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 5), 0)
    sender.connected(SECOND_NS)
    assert (sender.flying, sender.after, sender.room) == (0, outbox.START, 64)


def test_a_minute_without_acknowledgement_is_a_reason_to_doubt_the_connection():
    sender = Sender()
    sender.connected(0)
    assert not sender.silent(10**12), "nothing is on the way"
    fly(sender, range(1, 2), 0)
    assert not sender.silent(60 * SECOND_NS)
    assert sender.silent(61 * SECOND_NS)
    sender.acked(ack(EPOCH, 0), 61 * SECOND_NS)
    assert not sender.silent(62 * SECOND_NS)


def test_a_puback_frees_the_window_only_where_no_acknowledgement_can():
    for acknowledged in (True, False):
        sender = Sender(acknowledged=acknowledged)
        sender.connected(0)
        fly(sender, range(1, 3), 0)
        sender.puback((EPOCH, 1))
        assert sender.flying == (2 if acknowledged else 1)
        assert not Sender(acknowledged=False).silent(10**12)


def test_a_row_that_is_gone_is_forgotten():
    sender = Sender()
    sender.connected(0)
    fly(sender, range(1, 2), 0)
    sender.forget((EPOCH, 1))
    sender.forget((EPOCH, 1))
    assert sender.flying == 0


@given(st.integers(0, 2**32), st.integers(1, 300), st.floats(0.0, 0.6))
@settings(max_examples=examples(100, 2000), deadline=None)
def test_over_a_line_that_loses_everything_arrives_and_nothing_stays_on_the_way(seed, rows, loss):
    """Random loss of batches and acknowledgements and broken connections, in virtual time."""
    rng, sender, now, arrived, acked_upto = random.Random(seed), Sender(), 0, set(), 0
    sender.connected(0)
    for turn in range(100_000):
        if rng.random() < 0.01:
            sender.connected(now)
        going = sender.overdue(now)
        first = max(sender.after[1] if sender.after != outbox.START else 0, acked_upto) + 1
        going += [(EPOCH, seq) for seq in range(first, min(first + sender.room, rows + 1))]
        for key in going:
            sender.sent(key, 100, now)
            if rng.random() >= loss:
                arrived.add(key[1])
        assert sender.flying <= outbox.MAX_WINDOW
        if rng.random() >= loss:
            upto = next(seq for seq in range(rows + 1) if seq + 1 not in arrived)
            sender.acked(ack(EPOCH, upto, n=turn), now)
            acked_upto = max(acked_upto, upto)
        if acked_upto == rows:
            break
        now += 200 * MS
    assert acked_upto == rows
    assert arrived == set(range(1, rows + 1))
    assert sender.flying == 0

"""The clock's verdict: steps are counted, what is known to be wrong is flagged, and later told by how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import OFF_NS, RELEASED_NS, STEP_NS, Change, Clock, Discipline, Standing
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.wire import Clk
from tests.effort import examples

SYNCED = Discipline(synced=True, err_ms=4)
HOUR_NS = 3600 * SECOND_NS
TRUE_NS = RELEASED_NS + 40 * 86400 * SECOND_NS  # what it is at monotonic time 0
LEVEL = (Series("mill", "fence", "slm", "LAeq", "dB(A)"),)


def test_it_is_unsynced_until_it_was_synced_and_then_holds_over():
    clock = Clock()
    states = [clock.observe(100, 100).state, clock.observe(200, 200, SYNCED).state, clock.observe(300, 300).state]
    assert states == ["unsynced", "synced", "holdover"]


def test_it_says_the_largest_error():
    assert Clock().observe(0, 0, SYNCED) == Clk("synced", 4, 0)
    assert Clock().observe(0, 0, Discipline(synced=False, err_ms=-1)) == Clk("unsynced", 0, 0)


@given(st.lists(st.integers(-3 * STEP_NS, 3 * STEP_NS), max_size=20))
@settings(max_examples=examples(100))
def test_every_step_and_nothing_else_is_counted(changes):
    clock, mono, offset = Clock(), 0, 1_790_000_000_000_000_000
    clock.observe(mono + offset, mono)
    for change in changes:
        mono, offset = mono + 1_000_000_000, offset + change
        step_id = clock.observe(mono + offset, mono).step_id
    assert not changes or step_id == sum(abs(change) > STEP_NS for change in changes)
    found = [change.wall_after_ns - change.wall_before_ns for change in clock.changes]
    assert found == [change for change in changes if abs(change) > STEP_NS], "each tells by how much"
    assert [change.step_id for change in clock.changes] == list(range(1, len(found) + 1))


def test_the_first_sync_is_recorded_once_and_with_a_step_as_one_change():
    clock = Clock()
    clock.observe(1_000, 0)
    clock.observe(5_000_000_010, 10, SYNCED)
    clock.observe(5_000_000_020, 20)
    clock.observe(5_000_000_030, 30, SYNCED)
    assert clock.changes == (Change(10, 1_010, 5_000_000_010, 1),)
    clock.recorded(2)
    assert clock.changes == ()
    slow = Clock()
    slow.observe(100, 100)
    slow.observe(209, 200, SYNCED)
    assert slow.changes == (Change(200, 200, 209, 0),)
    steady = Clock()
    steady.observe(100, 100, SYNCED)
    steady.observe(200, 200, SYNCED)
    assert steady.changes == (), "a clock that was synced from the start has nothing to tell"


class Gateway:
    """A clock with a monotonic second a commit; each commit is a record for every change, and one batch."""

    def __init__(self, off_ns: int, earliest_ns: int | None = RELEASED_NS) -> None:
        self.clock, self.off_ns, self.mono_ns, self.seq = Clock(earliest_ns), off_ns, 0, 1
        self.moved: list[tuple[int, int, int]] = []

    def commit(self, discipline: Discipline = Discipline(False, 0)) -> int:  # noqa: B008
        """The number of the batch."""
        self.mono_ns += SECOND_NS
        self.clock.observe(TRUE_NS + self.mono_ns + self.off_ns, self.mono_ns, discipline)
        records = self.clock.records(self.seq)
        self.clock.recorded(self.seq)
        for record in records:
            self.moved += [tuple(one.values()) for one in record["clock"].get("moved", ())]
        self.seq += len(records) + 1
        return self.seq - 1

    def acknowledged(self, rtt_ns: int | None = SECOND_NS, behind_ns: int = 0) -> None:
        """The collector, whose clock is right, has answered on the way from now."""
        self.clock.heard(TRUE_NS + self.mono_ns - behind_ns, self.mono_ns, rtt_ns)

    @property
    def standing(self) -> Standing:
        return self.clock.standing


def test_an_honest_machine_without_a_time_server_is_presumed_right():
    gateway = Gateway(0)
    gateway.commit()
    assert gateway.standing is Standing.PRESUMED
    gateway.acknowledged()
    gateway.commit()
    assert gateway.standing is Standing.RIGHT
    assert gateway.clock.report() == {"standing": "right", "steps": 0, "off_s": None}


def test_a_clock_that_starts_in_1970_is_wrong_and_its_batches_are_moved_once_it_jumps():
    gateway = Gateway(-TRUE_NS)
    first, last = gateway.commit(), gateway.commit()
    assert gateway.standing is Standing.WRONG
    gateway.off_ns = 0
    gateway.commit()
    assert gateway.standing is Standing.PRESUMED
    assert gateway.moved == [(first, last, TRUE_NS)]
    gateway.commit()
    gateway.acknowledged()
    gateway.commit(SYNCED)
    assert len(gateway.moved) == 1, "it is said once"


@pytest.mark.parametrize("off_ns", [HOUR_NS, -HOUR_NS])
def test_what_the_collector_says_of_the_clock_counts_from_the_last_step_on(off_ns):
    gateway = Gateway(off_ns)
    first = gateway.commit()
    assert gateway.standing is Standing.PRESUMED, "nobody knows yet"
    gateway.acknowledged()
    last = gateway.commit()
    assert gateway.standing is Standing.WRONG
    assert gateway.clock.report()["off_s"] == pytest.approx(off_ns / SECOND_NS, abs=2.5)
    gateway.off_ns = 0
    gateway.commit()
    assert gateway.standing is Standing.RIGHT, "by what the collector said before"
    assert gateway.moved == [(first, last, -off_ns)]


def test_a_slow_way_is_no_wrong_clock():
    gateway = Gateway(0)
    gateway.commit()
    gateway.acknowledged(rtt_ns=90 * SECOND_NS, behind_ns=80 * SECOND_NS)
    gateway.commit()
    assert gateway.standing is Standing.PRESUMED
    gateway.acknowledged(rtt_ns=None, behind_ns=HOUR_NS)
    gateway.commit()
    assert gateway.standing is Standing.PRESUMED, "a word that waited at the broker is old"


def test_what_was_doubted_is_moved_or_given_its_word_back_once_the_clock_is_right():
    gateway = Gateway(HOUR_NS)  # an hour ahead, and nobody knows
    ahead = gateway.commit()
    gateway.off_ns = 0
    doubted = gateway.commit()
    assert gateway.standing is Standing.WRONG, "it shows less than it has shown"
    assert gateway.moved == []
    gateway.acknowledged()
    gateway.commit()
    assert gateway.standing is Standing.RIGHT
    assert gateway.moved == [(1, ahead, -HOUR_NS), (doubted, doubted, 0)]


def test_a_clock_that_is_led_back_bit_by_bit_leaves_its_batches_flagged():
    gateway = Gateway(0)
    gateway.commit()
    gateway.acknowledged(rtt_ns=0)
    gateway.commit()
    for _ in range(40):
        gateway.off_ns += STEP_NS // 2
        gateway.commit()
    assert gateway.standing is Standing.WRONG
    for _ in range(40):
        gateway.off_ns -= STEP_NS // 2
        gateway.commit()
    assert gateway.standing is Standing.RIGHT
    assert gateway.moved == []


def test_a_time_server_outweighs_the_collector_and_the_difference_shows():
    gateway = Gateway(HOUR_NS)
    gateway.commit(SYNCED)
    gateway.acknowledged()
    gateway.commit(SYNCED)
    assert gateway.standing is Standing.RIGHT
    assert gateway.clock.report()["off_s"] == pytest.approx(3600, abs=2)


def columns(*time_ns: int, status: int = Status.OK) -> Columns:
    n = len(time_ns)
    return Columns(
        LEVEL, np.zeros(n, np.uint16), np.array(time_ns, np.int64), np.full(n, 50.0), np.full(n, status, np.uint8)
    )


def test_values_of_a_wrong_clock_are_flagged_and_those_of_before_a_step_dated_anew():
    gateway = Gateway(-TRUE_NS)
    gateway.commit()
    flagged = gateway.clock.dated(columns(SECOND_NS), gateway.mono_ns)
    assert flagged.status.tolist() == [Status.UNSYNCED]
    assert gateway.clock.dated(columns(1, status=Status.FAULT), 1).status.tolist() == [Status.FAULT]
    gateway.off_ns = 0
    gateway.commit()
    now_ns = TRUE_NS + gateway.mono_ns
    mixed = gateway.clock.dated(columns(gateway.mono_ns - SECOND_NS, now_ns), gateway.mono_ns)
    assert mixed.time_ns.tolist() == [now_ns - SECOND_NS, now_ns]
    assert mixed.status.tolist() == [Status.OK] * 2
    late = columns(SECOND_NS)
    assert gateway.clock.dated(late, gateway.mono_ns + HOUR_NS).time_ns.tolist() == [SECOND_NS], "that is old data"


def test_a_clock_that_is_set_twice_between_two_commits_misdates_nothing():
    gateway = Gateway(0)
    gateway.commit()
    polls = []
    for off_ns in (0, -HOUR_NS, 7 * OFF_NS):
        gateway.mono_ns += SECOND_NS // 4
        wall_ns = TRUE_NS + gateway.mono_ns + off_ns
        gateway.clock.glance(wall_ns, gateway.mono_ns)
        polls.append((wall_ns, TRUE_NS + gateway.mono_ns))
    gateway.commit()
    sealed = gateway.clock.dated(columns(*(wall_ns for wall_ns, _ in polls)), gateway.mono_ns)
    assert sealed.time_ns.tolist() == [true_ns for _, true_ns in polls]
    assert gateway.clock.changes == (), "only what a batch was sealed by is a step"


def test_a_back_fill_brings_its_own_clock_which_is_not_judged():
    gateway = Gateway(-TRUE_NS, None)
    gateway.commit()
    gateway.acknowledged()
    gateway.off_ns = 0
    gateway.commit()
    assert gateway.standing is Standing.PRESUMED
    assert gateway.moved == []
    past = columns(SECOND_NS)
    assert gateway.clock.dated(past, gateway.mono_ns) is past


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, HOUR_NS, -HOUR_NS, 7 * OFF_NS]), st.booleans()), min_size=1, max_size=12)
)
@settings(max_examples=examples(100))
def test_in_the_end_every_batch_is_where_it_belongs(history):
    gateway = Gateway(0)
    truth: dict[int, int] = {}
    for off_ns, asked in [*history, (0, True), (0, True)]:
        gateway.off_ns = off_ns
        truth[gateway.commit()] = off_ns
        if asked:
            gateway.acknowledged(rtt_ns=0)
    gateway.commit()
    shift = {seq: shift for first, last, shift in gateway.moved for seq in range(first, last + 1)}
    assert {seq: off + shift.get(seq, 0) for seq, off in truth.items()} == dict.fromkeys(truth, 0)

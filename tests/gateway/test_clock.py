"""The clock's verdict: steps are counted, corrections are not, and losing the time server shows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import STEP_NS, Change, Clock, Discipline
from gateway.wire import Clk
from tests.effort import examples

SYNCED = Discipline(synced=True, err_ms=4)


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
    clock.recorded()
    assert clock.changes == ()
    slow = Clock()
    slow.observe(100, 100)
    slow.observe(209, 200, SYNCED)
    assert slow.changes == (Change(200, 200, 209, 0),)
    steady = Clock()
    steady.observe(100, 100, SYNCED)
    steady.observe(200, 200, SYNCED)
    assert steady.changes == (), "a clock that was synced from the start has nothing to tell"

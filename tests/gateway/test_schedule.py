"""The schedule: regular ticks, none twice, none early, missed ones counted - whatever the caller's delays."""

from __future__ import annotations

import doctest

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import schedule as module
from gateway.schedule import NEVER_NS, Schedule
from tests.effort import examples

SECOND = 1_000_000_000


@settings(max_examples=examples(200))
@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=5),
    st.integers(-(10**6), 10**6),
    st.integers(-(10**6), 10**6),
    st.lists(st.integers(0, 5000), max_size=30),
)
def test_every_tick_is_given_once_or_counted_as_missed(
    intervals: list[int], start: int, origin: int, steps: list[int]
) -> None:
    schedule = Schedule(intervals, start, origin_ns=origin)
    given_ticks: list[list[int]] = [[] for _ in intervals]
    now = start
    for step in steps:
        now += step
        for index in schedule.due(now):
            given_ticks[index].append(schedule.tick_ns(index))
        assert schedule.due(now) == []
        assert schedule.next_ns(now) > now
        assert schedule.next_ns(now) - now <= min(intervals)
    if not steps:
        return
    for index, interval in enumerate(intervals):
        ticks = given_ticks[index]
        assert all((tick - origin) % interval == 0 and start <= tick <= now for tick in ticks)
        assert ticks == sorted(set(ticks))
        passed = (now - origin) // interval - (start - 1 - origin) // interval
        assert len(ticks) + schedule.missed[index] == passed
        if ticks:
            assert now - ticks[-1] < interval


def test_ticks_stand_at_whole_seconds_of_a_clock_that_reads_as_utc() -> None:
    schedule = Schedule([SECOND, 5 * SECOND], 1_700_000_001_300_000_000)
    assert schedule.next_ns(1_700_000_001_300_000_000) == 1_700_000_002 * SECOND
    assert schedule.due(1_700_000_005 * SECOND + 4_000_000) == [0, 1]
    assert schedule.tick_ns(0) == schedule.tick_ns(1) == 1_700_000_005 * SECOND
    assert schedule.missed == [3, 0]


def test_a_late_poll_does_not_move_the_rhythm() -> None:
    schedule = Schedule([100], 0)
    ticks = []
    for now in (0, 150, 205, 399, 400):
        ticks += [schedule.tick_ns(index) for index in schedule.due(now)]
    assert ticks == [0, 100, 200, 300, 400]
    assert schedule.missed == [0]


@settings(max_examples=examples(100))
@given(st.integers(1, 1000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_ticks_that_are_passed_over_never_come(interval: int, start: int, upto: int) -> None:
    schedule, whole = Schedule([interval, 7], start), Schedule([interval], start)
    schedule.skip(0, upto)
    first = max(start + -start % interval, (upto // interval + 1) * interval if upto >= start else 0)
    assert schedule.due(first - 1) in ([], [1])
    assert 0 in schedule.due(first)
    assert schedule.tick_ns(0) == first
    whole.due(first)
    assert whole.tick_ns(0) == first, "the rhythm is the same"


def test_no_sensors_have_no_next_tick() -> None:
    assert Schedule([], 0).due(10) == []
    assert Schedule([], 0).next_ns(0) == NEVER_NS


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

"""The journal's time: never falling, never standing still, back at the clock in the end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.timekeeper import AHEAD_NS, BACK_NS, Step, Timekeeper
from gateway.measurement import SECOND_NS
from tests.effort import examples

TICK_NS = 5 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
NOON_NS = 1_793_500_000 * SECOND_NS


def run(*steps_ns: int, held_ns: int = 0) -> tuple[list[int], list[Step]]:
    """Times and steps told at ticks; before each tick the clock is set by so much."""
    keeper, now_ns, clock_ns, times, told = Timekeeper(), 0, NOON_NS, [], []
    for step_ns in steps_ns:
        now_ns, clock_ns = now_ns + TICK_NS, clock_ns + TICK_NS + step_ns
        time_ns, step = keeper.read(now_ns, clock_ns, max([held_ns, *times]))
        times.append(time_ns)
        told += [step] if step else []
    return times, told


@settings(max_examples=examples(200))
@given(st.lists(st.integers(-3 * HOUR_NS, 3 * HOUR_NS) | st.just(0), min_size=2, max_size=30))
def test_time_goes_on_whatever_is_done_to_the_clock(steps_ns: list[int]) -> None:
    times, told = run(*steps_ns)
    assert all(b - a >= TICK_NS // 2 for a, b in pairwise(times))
    known = [step.by_ns for step in told]
    assert known == [step_ns for step_ns in steps_ns[1:] if step_ns < -BACK_NS or step_ns > AHEAD_NS]


def test_a_clock_that_is_left_alone_is_followed_to_the_nanosecond() -> None:
    times, told = run(0, 0, 7, -3, 0)
    assert times == [NOON_NS + n * TICK_NS + d for n, d in ((1, 0), (2, 0), (3, 7), (4, 4), (5, 4))]
    assert told == []


def test_after_a_step_back_time_goes_at_half_pace_until_the_clock_has_caught_up() -> None:
    times, told = run(0, -4 * TICK_NS, *[0] * 9)
    assert told == [Step(-4 * TICK_NS, 4 * TICK_NS - TICK_NS // 2)]
    assert [b - a for a, b in pairwise(times)] == [TICK_NS // 2] * 8 + [TICK_NS] * 2


def test_a_clock_behind_the_journal_at_the_start_is_told_once() -> None:
    times, told = run(0, 0, 0, held_ns=NOON_NS + HOUR_NS)
    assert [step.by_ns for step in told] == [TICK_NS - HOUR_NS]
    assert times == [NOON_NS + HOUR_NS + n * TICK_NS // 2 for n in range(3)]


def test_a_clock_that_jumped_and_came_back_between_two_ticks_is_told() -> None:
    keeper = Timekeeper()
    keeper.read(0, NOON_NS, 0)
    time_ns, step = keeper.read(TICK_NS, NOON_NS + TICK_NS, NOON_NS + HOUR_NS)
    assert time_ns == NOON_NS + HOUR_NS
    assert step == Step(TICK_NS - HOUR_NS, HOUR_NS - TICK_NS)

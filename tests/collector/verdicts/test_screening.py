"""What goes into an average: one value an instant, and only good ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.screening import (
    Signal,
    joined,
    settled,
    signal,
    spacing_ns,
    status_named,
    steadied,
    usable,
)
from collector.verdicts.windows import MINUTE_NS
from gateway.measurement import SECOND_NS, Status
from tests.effort import examples

rows = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([1.0, 2.0, float("nan")]), st.sampled_from(list(Status))), max_size=20
)


def columns(found: list[tuple[int, float, Status]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, values, statuses = zip(*found, strict=True) if found else ((), (), ())
    return np.array(times, np.int64), np.array(values, np.float64), np.array(statuses, np.uint8)


@effort(max_examples=examples(200))
@given(rows)
def test_an_instant_has_one_value_and_a_good_one_where_there_is_one(found: list[tuple[int, float, Status]]) -> None:
    times, values, statuses = columns(found)
    keep = settled(times, values, statuses)
    assert times[keep].tolist() == sorted(set(times.tolist()))
    good = usable(values, statuses)
    for row in keep:
        rivals = np.flatnonzero(times == times[row])
        best = rivals[good[rivals]] if good[rivals].any() else rivals
        assert row == best[-1]


@effort(max_examples=examples(100))
@given(rows, st.integers(0, 20))
def test_settling_in_parts_is_settling_the_whole(found: list[tuple[int, float, Status]], cut: int) -> None:
    times, values, statuses = columns(found)
    whole = settled(times, values, statuses)
    head = settled(times[:cut], values[:cut], statuses[:cut])
    order = np.concatenate((head, np.arange(min(cut, len(times)), len(times)))).astype(np.intp)
    twice = order[settled(times[order], values[order], statuses[order])]
    assert twice.tolist() == whole.tolist()


def test_only_good_values_are_used() -> None:
    status = np.arange(len(Status), dtype=np.uint8)
    assert usable(np.ones(len(Status)), status).tolist() == [s is Status.OK for s in Status]
    assert not usable(np.array([np.nan, np.inf]), np.zeros(2, np.uint8)).any()


@pytest.mark.parametrize("status", Status)
def test_a_status_is_found_by_name(status: Status) -> None:
    assert status_named(status.name) == status
    assert status_named(f" {status.name.lower()} ") == status


@pytest.mark.parametrize(("flag", "status"), [("N", Status.OK), ("B", Status.NO_COMM), ("f", Status.STOPPED)])
def test_a_status_is_found_by_its_flag(flag: str, status: Status) -> None:
    assert status_named(flag) == status


def test_the_usual_distance_is_not_stretched_by_gaps() -> None:
    assert spacing_ns(np.array([0, 60, 120, 180, 9000, 9060], np.int64) * SECOND_NS) == 60 * SECOND_NS
    assert spacing_ns(np.array([5], np.int64)) == 60 * SECOND_NS


def level(times: list[int], value: float, sensor: str, interval: int = 1) -> Signal:
    n = len(times)
    return signal(
        "LAeq", "dB(A)", time_ns=np.array(times, np.int64), value=np.full(n, value), status=np.zeros(n, np.uint8),
        interval_ns=interval, sensor=sensor,
    )  # fmt: skip


def test_a_replaced_instrument_continues_the_signal() -> None:
    both = joined([level([0, 1, 2], 50.0, "old", 1), level([2, 3], 60.0, "new", 10)])
    assert both.value.tolist() == [50.0, 50.0, 60.0, 60.0]
    assert both.interval_ns.tolist() == [1, 1, 10, 10]
    assert both.coarsest_ns == 10
    part = both.within(1, 3)
    assert (part.time_ns.tolist(), [part.sensors[i] for i in part.sensor_index]) == ([1, 2], ["old", "new"])


def wandering(off: list[float], interval: int = 5 * SECOND_NS) -> Signal:
    """Values around full minutes, so many seconds off."""
    times = [n * MINUTE_NS + round(s * SECOND_NS) for n, s in enumerate(off, 1)]
    return level(times, 50.0, "logger", interval)


@pytest.mark.parametrize("off", [0.001, 0.2, 0.5])
def test_a_value_just_before_a_full_minute_is_of_the_minute_where_times_wander(off: float) -> None:
    steady = steadied(wandering([-off, off, 0.0, -off]))
    assert steady.time_ns.tolist() == [MINUTE_NS, 2 * MINUTE_NS + round(off * SECOND_NS), 3 * MINUTE_NS, 4 * MINUTE_NS]
    assert steadied(steady) is steady


@pytest.mark.parametrize(
    "one",
    [
        wandering([-0.2] * 20),  # dated a little early, all of them
        wandering([-0.2] + [0.2] * 19),
        wandering([0.0, 0.2, 0.4]),
        wandering([-0.6, 0.6]),  # more than a tenth of what they stand for
        wandering([-1.5, 1.5], MINUTE_NS),
        level([7 * SECOND_NS, 14 * SECOND_NS], 50.0, "logger", 7 * SECOND_NS),
        level([], 50.0, "logger"),
    ],
)
def test_other_times_stay_as_they_are(one: Signal) -> None:
    assert steadied(one) is one


def test_no_value_is_lost_where_one_lies_on_the_full_minute() -> None:
    near = np.array([-2, -1, 0, 1, 59_999, 60_001], np.int64) * 1_000_000
    one = level((MINUTE_NS + near).tolist(), 50.0, "logger", 5 * SECOND_NS)
    assert ((steadied(one).time_ns - MINUTE_NS) // 1_000_000).tolist() == [-2, -1, 0, 1, 60_000, 60_001]


def test_each_instrument_wanders_by_its_own_interval() -> None:
    old, new = wandering([-0.3, 0.3]), level([5 * MINUTE_NS - 300_000_000], 50.0, "new", SECOND_NS)
    assert (steadied(joined([old, new])).time_ns % MINUTE_NS).tolist() == [0, 300_000_000, MINUTE_NS - 300_000_000]


@effort(max_examples=examples(50))
@given(st.lists(st.integers(0, 20 * MINUTE_NS), max_size=200, unique=True), st.sampled_from([1, 5, 60]))
def test_times_still_rise_and_move_little(times: list[int], interval: int) -> None:
    one = level(sorted(times), 50.0, "logger", interval * SECOND_NS)
    moved = steadied(one).time_ns - one.time_ns
    assert (np.diff(steadied(one).time_ns) > 0).all()
    assert ((moved >= 0) & (moved <= min(interval * SECOND_NS // 10, SECOND_NS))).all()

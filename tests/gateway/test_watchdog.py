"""Who has been silent for how long, and that it is told once."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.measurement import SECOND_NS, Status
from gateway.watchdog import SILENT_INTERVALS, Watchdog

START_NS = 77 * SECOND_NS
LIMIT_NS = SILENT_INTERVALS * 10 * SECOND_NS


def watchdog() -> Watchdog:
    """Three sensors: of two series every 10 s, of one every 0.1 s, of three every 60 s."""
    return Watchdog([2, 1, 3], [10 * SECOND_NS, SECOND_NS // 10, 60 * SECOND_NS], START_NS)


def see(dog: Watchdog, series: list[int], status: Status, now_ns: int) -> None:
    dog.see(np.array(series), np.full(len(series), status, np.uint8), now_ns)


def test_a_sensor_that_never_was_there_falls_silent_once():
    dog = watchdog()
    assert dog.look(START_NS + 10 * SECOND_NS) == ([], [])
    assert dog.look(START_NS + 10 * SECOND_NS + 1) == ([1], []), "however short its interval, not before ten seconds"
    assert dog.look(START_NS + LIMIT_NS) == ([], [])
    assert dog.look(START_NS + LIMIT_NS + 1) == ([0], [])
    assert dog.look(START_NS + 10**15) == ([2], [])
    assert dog.look(START_NS + 10**16) == ([], [])


def test_it_is_back_with_the_first_value_of_all_its_series():
    dog, late_ns = watchdog(), START_NS + 2 * LIMIT_NS
    dog.look(late_ns)
    see(dog, [0], Status.OK, late_ns)
    assert dog.look(late_ns) == ([], []), "one of its parameters is still missing"
    see(dog, [1], Status.OK, late_ns)
    assert dog.look(late_ns) == ([], [0])
    assert dog.ages_ns(late_ns).tolist() == [0, 2 * LIMIT_NS, 2 * LIMIT_NS]


@pytest.mark.parametrize("status", list(Status))
def test_only_a_good_value_is_young_and_only_what_explains_itself_is_not_silent(status):
    dog, late_ns = watchdog(), START_NS + LIMIT_NS + 1
    see(dog, [0, 1], status, late_ns)
    gone, _ = dog.look(late_ns)
    excused = {Status.OK, Status.MAINTENANCE, Status.CALIBRATION, Status.STOPPED, Status.MANUAL}
    assert (0 in gone) is (status not in excused)
    assert dog.ages_ns(late_ns)[0] == (0 if status is Status.OK else LIMIT_NS + 1)


def test_nobody_is_never_silent():
    assert Watchdog([], [], START_NS).look(10**18) == ([], [])

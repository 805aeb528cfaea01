"""How full an outbox is, and how long it will last."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.spooler import Spooler
from gateway.storage import HOUR_NS, Pace, Room, assess, report
from tests.effort import examples
from tests.gateway.batches import KEY, ack, columns


@pytest.mark.parametrize(
    ("waiting", "free", "reserve", "alarm", "hours"),
    [
        (0, 1000, "laid", 0, 10.0),
        (49, 1000, "laid", 0, 5.1),
        (50, 1000, "laid", 50, 5.0),
        (80, 1000, "laid", 80, 2.0),
        (95, 1000, "none", 95, 0.5),
        (100, 1000, "laid", 95, 0.0),
        (40, 10, "laid", 80, 1.0),
        (40, 0, "laid", 95, 0.0),
        (0, 1000, "spent", 95, 10.0),
    ],
)
def test_an_alarm_comes_by_what_waits_of_all_that_could_wait(waiting, free, reserve, alarm, hours):
    room = Room(used=min(100, waiting), waiting=waiting, limit=100, free=free, reserve=reserve)
    found = assess(room, 10.0)
    assert (found.alarm, found.hours_left) == (alarm, hours)


SIZE = st.integers(0, 10**12)


@given(SIZE, SIZE, SIZE, SIZE, st.floats(0, 1e12))
@settings(max_examples=examples(100))
def test_shares_and_hours_are_sane(used, waiting, limit, free, pace):
    found = assess(Room(used, min(used, waiting), limit, free, "laid"), pace)
    assert 0 <= found.share <= 1
    assert (found.hours_left is None) == (pace == 0)
    assert found.hours_left is None or found.hours_left >= 0


def test_the_pace_is_that_of_the_last_hour():
    pace = Pace()
    assert pace.per_hour(0, 0) == 0
    for minute in range(600):
        pace.note(minute * HOUR_NS // 60, 1000 * min(minute, 300))
    assert pace.per_hour(300 * HOUR_NS // 60, 300_000) <= 60_000
    assert pace.per_hour(599 * HOUR_NS // 60, 300_000) == 0
    pace = Pace()
    pace.note(0, 500)
    assert pace.per_hour(HOUR_NS // 2, 1500) == 2000


def test_the_state_says_how_storage_stands(tmp_path):
    now = [0]
    with contextlib.closing(Spooler(tmp_path, "riverside", "riverside-gw", KEY, mono_ns=lambda: now[0])) as found:
        found.flush()
        now[0] = HOUR_NS // 10
        found.put(columns(5000))
        found.flush()
        said = found.storage()
        assert said["used_bytes"] >= said["waiting_bytes"] > 5000
        assert (said["alarm"], said["reserve"]) == (0, "laid")
        assert said["hours_left"] > 100
        found.acked(ack(found.epoch, 99))
        assert found.storage()["waiting_bytes"] == 0
    assert set(said) == set(report(Room(1, 1, 1, 1, "laid"), assess(Room(1, 1, 1, 1, "laid"), 0.0)))

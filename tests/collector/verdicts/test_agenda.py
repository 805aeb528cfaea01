"""The agenda: windows are due once, when everybody who touched them has gone past."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

from collector.verdicts import agenda as module
from collector.verdicts.agenda import GRACE_NS, SILENCE_NS, Agenda, Task
from collector.verdicts.day_sums import LONG
from gateway.measurement import SECOND_NS, Series, concatenate
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, RULES, fence, one

START_NS = 1_795_182_600 * SECOND_NS
NOX = Series("mill", "stack", "cems", "NOx", "mg/m3")
HEAT = Series("mill", "stack", "gas", "temperature", "degC")


def agenda(dumped: bytes = b"") -> Agenda:
    return Agenda(*RULES, dumped)


def minutes(tasks: list[Task]) -> list[int]:
    """Numbers of the minutes that are due, counted from the start."""
    found = [w for task in tasks for kind, w in task.windows.items() if kind == "1m"]
    return sorted(((start - START_NS) // MINUTE_NS) for w in found for start in w.from_ns.tolist())


def span(first_s: int, count: int, step_s: int = 5) -> np.ndarray:
    return START_NS + (first_s + np.arange(count) * step_s) * SECOND_NS


def test_a_value_covers_its_interval() -> None:
    """The last value of a minute completes it; nobody waits for the one after."""
    plan = agenda()
    plan.arrive("gw:1", START_NS + MINUTE_NS, one(NOX, span(0, 12), 1.0))
    assert minutes(plan.tick(START_NS + MINUTE_NS + GRACE_NS - 1)) == []
    assert minutes(plan.tick(START_NS + MINUTE_NS + GRACE_NS)) == [0]
    assert minutes(plan.tick(START_NS + MINUTE_NS + GRACE_NS)) == []


def test_a_stream_that_is_behind_is_waited_for_until_it_is_silent() -> None:
    plan, now = agenda(), START_NS + HOUR_NS
    plan.arrive("gw:1", now, concatenate([one(NOX, span(0, 24), 1.0), one(HEAT, span(0, 13), 1.0)]))
    assert minutes(plan.tick(now)) == [0]  # the second minute lacks most of its temperatures
    assert minutes(plan.tick(now + SILENCE_NS - 1)) == []
    assert minutes(plan.tick(now + SILENCE_NS)) == [1]


def test_two_streams_are_both_waited_for() -> None:
    plan, now = agenda(), START_NS + HOUR_NS
    plan.arrive("gw:1", now, one(NOX, span(0, 12), 1.0))
    plan.arrive("history:1", now, one(NOX, span(0, 3), 1.0))
    assert minutes(plan.tick(now)) == []
    plan.arrive("history:1", now, one(NOX, span(15, 9), 1.0))
    assert minutes(plan.tick(now)) == [0]


def test_what_is_sent_again_counts_as_behind() -> None:
    plan, now = agenda(), START_NS + HOUR_NS
    plan.arrive("gw:1", now, one(NOX, span(600, 12), 1.0))
    plan.arrive("gw:1", now, one(NOX, span(0, 3), 1.0))
    assert minutes(plan.tick(now)) == []
    plan.arrive("gw:1", now, one(NOX, span(660, 12), 1.0))
    assert minutes(plan.tick(now)) == [0, 10, 11]


def test_much_is_spread_over_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOWS_MAX", 7)
    plan, now = agenda(), START_NS + HOUR_NS
    plan.arrive("gw:1", now, one(NOX, span(0, 12 * 30), 1.0))
    due = [minutes(plan.tick(now)) for _ in range(6)]
    assert [number for some in due for number in some] == list(range(30))
    assert max(map(len, due)) == 7
    assert plan.overdue(now) == 0


def test_tasks_lie_together_in_time() -> None:
    plan, now = agenda(), START_NS + 30 * 24 * HOUR_NS
    plan.arrive("gw:1", now, fence(np.concatenate((span(0, 6, 10), span(20 * 86400, 6, 10))), 50.0))
    tasks = plan.tick(now + SILENCE_NS)
    tasks = [task for task in tasks if not task.long]
    assert len(tasks) == 2
    assert tasks[0].to_ns < tasks[1].from_ns
    for task in tasks:
        assert all(w.from_ns[0] >= task.from_ns and w.to_ns[-1] <= task.to_ns for w in task.windows.values())


def test_the_state_goes_on_in_the_next_process() -> None:
    one_agenda, now = agenda(), START_NS + HOUR_NS
    one_agenda.arrive("gw:1", now, one(NOX, span(0, 40), 1.0))
    one_agenda.tick(now)
    other = agenda(one_agenda.dump())
    assert other.dump() == one_agenda.dump()
    assert other.overdue(now + HOUR_NS) == one_agenda.overdue(now + HOUR_NS) > 0
    after = now + SILENCE_NS
    assert minutes(other.tick(after)) == minutes(one_agenda.tick(after)) == [3]
    assert other.dump() == one_agenda.dump()


def test_points_that_are_gone_are_passed_over() -> None:
    before = agenda()
    before.arrive("gw:1", START_NS, one(NOX, span(0, 6), 1.0))
    before.tick(START_NS)
    rules = {key: law for key, law in RULES[0].items() if key[1] != "stack"}
    assert Agenda(rules, RULES[1], before.dump()).overdue(START_NS + 24 * HOUR_NS) == 0


def test_the_state_is_small_when_nothing_is_open() -> None:
    plan, now = agenda(), START_NS + 40 * 24 * HOUR_NS
    for epoch in range(50):
        plan.arrive(f"gw:{epoch}", now, one(NOX, span(0, 6), 1.0))
    plan.tick(now + SILENCE_NS)
    assert len(plan.dump()) < 150, "its year has not ended, and one entry says so"


def test_tables_of_series_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch may bring a table of its own: what is remembered has a bound, forgetting changes nothing."""
    monkeypatch.setattr(module, "_TABLES_MAX", 3)
    plan = agenda()
    batches = [one(Series("mill", point, f"s{n}", "NOx", ""), span(0, 2), 1.0)
               for n in range(5) for point in ("stack", "elsewhere")]  # fmt: skip
    before = [sys.getrefcount(batch.series) for batch in batches]
    for _ in range(2):
        judged = [plan.touch("gw:1", batch).tolist() for batch in batches]
        assert judged == [[True, True], [False, False]] * 5
    held = [sys.getrefcount(batch.series) - count for batch, count in zip(batches, before, strict=True)]
    assert 1 <= sum(held) <= 3


# --- long windows ----------------------------------------------------------------------------------

DAY_NS = 24 * HOUR_NS
MIDNIGHT_NS = START_NS + 130 * MINUTE_NS  # of 21 November


def long(tasks: list[Task]) -> dict[str, int]:
    """How many long windows of each kind are due."""
    found = Counter[str]()
    for task in tasks:
        assert task.long is not task.windows.keys().isdisjoint(LONG)
        found.update({kind: len(w) for kind, w in task.windows.items() if kind in LONG})
    return dict(found)


def test_a_minute_lies_in_one_month_one_year_and_thirty_rolling_windows() -> None:
    plan, now = agenda(), START_NS + 400 * DAY_NS
    plan.arrive("gw:1", now, one(NOX, span(0, 12), 1.0))
    assert long(plan.tick(now)) == {}, "its stream may go on"
    assert long(plan.tick(now + SILENCE_NS)) == {"month": 1, "30d": 30, "year": 1}
    assert long(plan.tick(now + SILENCE_NS)) == {}


def test_long_windows_wait_for_their_end_and_come_with_the_last_day() -> None:
    plan = agenda()
    plan.arrive("gw:1", MIDNIGHT_NS, one(NOX, span(0, 12 * 130), 1.0))
    assert "24h" not in {kind for task in plan.tick(MIDNIGHT_NS) for kind in task.windows}
    tasks = plan.tick(MIDNIGHT_NS + GRACE_NS)
    assert long(tasks) == {"30d": 1}
    assert [task.long for task in tasks] == [False, True], "made of what is derived before"


def test_other_days_of_a_stream_make_their_own_windows_dirty() -> None:
    plan, later = agenda(), START_NS + 40 * DAY_NS
    for start_s in (0, 60, 40 * 86400, 120):
        plan.arrive("gw:1", later + HOUR_NS, one(NOX, span(start_s, 12), 1.0))
        plan.tick(later + HOUR_NS)
    assert long(plan.tick(later + 400 * DAY_NS)) == {"month": 2, "30d": 60, "year": 1}


def test_long_windows_wait_for_the_last_day_of_a_mark() -> None:
    plan, now = agenda(), START_NS + 400 * DAY_NS
    plan.mark(("mill", "stack"), START_NS, START_NS + 3 * DAY_NS)
    plan.mark(("mill", "fence"), START_NS, START_NS + DAY_NS)
    found = [long(plan.tick(now)) for _ in range(5)]
    # A mark begins in the evening: the first day that is taken up ends in the next evening. What ends before the rest
    # of the mark begins is not touched by it any more.
    assert found == [{"30d": 1}, {"30d": 1}, {"month": 1, "30d": 31, "year": 1}, {"month": 1, "30d": 31, "year": 1}, {}]


def test_a_stream_that_comes_back_after_silence_is_waited_for_again() -> None:
    """Also where it sends the minute again that its clock, ahead of time, had touched before it fell silent."""
    plan, early = agenda(), MIDNIGHT_NS - 4 * HOUR_NS
    last = span(120 * 60, 12)  # of 23:50 to 23:51
    plan.arrive("gw:1", early, one(NOX, last, 1.0))
    for now in (early, early + SILENCE_NS):
        assert plan.tick(now) == []
    plan.arrive("gw:1", MIDNIGHT_NS, one(NOX, last, 1.0))
    behind = plan.tick(MIDNIGHT_NS + GRACE_NS)
    assert minutes(behind) == [120]
    assert {kind for task in behind for kind in task.windows}.isdisjoint({"24h", *LONG})
    assert long(plan.tick(MIDNIGHT_NS + SILENCE_NS)) == {"30d": 1}

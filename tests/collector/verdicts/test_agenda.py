"""The agenda: windows are due once, when everybody who touched them has gone past."""

from __future__ import annotations

import numpy as np
import pytest

from collector.verdicts import agenda as module
from collector.verdicts.agenda import GRACE_NS, SILENCE_NS, Agenda, Task
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
    assert len(plan.dump()) < 100

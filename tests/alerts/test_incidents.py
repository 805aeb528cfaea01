from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.incidents import advance, quiet_time
from alerts.records import Case, Command, EventKind, IncidentState, Reason
from collector.verdicts.records import Change, Exceedance, Standing
from tests.alerts.kit import HOUR, QUIET, T0, exceedance, step
from tests.effort import examples

WATCH = ("riverside", "stack-1", "NOx")


class Memory:
    """Cases as the ledger keeps them, and all calls and events so far."""

    def __init__(self) -> None:
        self.cases: dict[int, Case] = {}
        self.calls: list[tuple[int, Reason]] = []
        self.events: list[tuple[int, EventKind]] = []

    def feed(self, exceedances: list[tuple[int, Exceedance]], commands: list[Command] = (), judged: int = 0) -> bool:
        done = advance(
            self.cases.values(), exceedances, commands, judged={WATCH: judged} if judged else {},
            next_id=len(self.cases) + 1, now_ns=9, quiet_ns=QUIET,
        )  # fmt: skip
        for case in done.cases:
            old = self.cases.get(case.incident.id)
            assert case.incident.version == (old.incident.version + 1 if old else 1), "each step makes one version"
            self.cases[case.incident.id] = Case(case.incident, {**(old.members if old else {}), **case.members})
        self.calls += [(call.incident.id, call.reason) for call in done.calls]
        self.events += [(event.incident, event.kind) for event in done.events]
        return bool(done.cases or done.events or done.calls)

    def shape(self) -> list[tuple[object, ...]]:
        return [
            (i, c.incident.place, c.incident.from_ns, c.incident.to_ns, c.incident.count, sorted(c.members.items()))
            for i, c in sorted(self.cases.items())
        ]  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, Exceedance]]:
    """What a book may hold: versions of windows at two points, rising; withdrawn ones may come back."""
    version: dict[tuple[str, int], int] = {}
    standing_up: dict[tuple[str, int], bool] = {}
    found = []
    for number in range(1, draw(st.integers(0, 40)) + 1):
        key = (draw(st.sampled_from(["stack-1", "stack-2"])), draw(st.integers(0, 30)))
        up = standing_up.get(key, False)
        change = draw(st.sampled_from([Change.AMENDED, Change.WITHDRAWN])) if up else Change.OPENED
        version[key] = version.get(key, 0) + 1
        standing_up[key] = change is not Change.WITHDRAWN
        value = draw(st.sampled_from([51.0, 70.0, 90.0]))
        late = draw(st.booleans())
        one = exceedance(key[1], point=key[0], version=version[key], change=change, value=value, late=late)
        found.append((number, one))
    return found


def chunks(history: list[tuple[int, Exceedance]], sizes: list[int]) -> list[list[tuple[int, Exceedance]]]:
    parts, at = [], 0
    for size in [*sizes, len(history)]:
        parts.append(history[at : at + size])
        at += size
    return parts


@settings(max_examples=examples(150, 600))
@given(histories(), st.lists(st.integers(0, 7)), st.data())
def test_a_replay_changes_nothing(history: list, sizes: list[int], data: st.DataObject) -> None:
    memory = Memory()
    for part in chunks(history, sizes):
        memory.feed(part, judged=T0 + data.draw(st.integers(0, 40)) * HOUR)
    from_where = data.draw(st.integers(0, len(history)))
    before = memory.shape(), list(memory.calls)
    memory.feed(history[from_where:])
    assert (memory.shape(), memory.calls) == before
    assert not memory.feed(history), "the second replay leaves no trace at all"


@settings(max_examples=examples(150, 600))
@given(histories(), st.lists(st.integers(0, 7)))
def test_every_exceedance_that_stands_is_in_one_incident(history: list, sizes: list[int]) -> None:
    memory = Memory()
    for part in chunks(history, sizes):
        memory.feed(part)
    last = {(e.point, e.from_ns): e for _, e in history}
    standing = sorted(key for key, e in last.items() if e.change is not Change.WITHDRAWN)
    held = sorted(
        (c.incident.point, m.from_ns) for c in memory.cases.values() for m in c.members.values() if not m.withdrawn
    )
    assert held == standing
    for case in memory.cases.values():
        incident, live = case.incident, [m for m in case.members.values() if not m.withdrawn]
        assert incident.count == len(live)
        if not live:
            assert incident.state is IncidentState.CLOSED
            assert incident.closed_by == "withdrawn"
            continue
        assert incident.from_ns == min(m.from_ns for m in live)
        assert incident.to_ns == max(m.to_ns for m in live)
        assert incident.worst.value == max(m.value for m in live)
        for member in live:
            assert member.version == last[incident.point, member.from_ns].version, "the newest version counts"


@settings(max_examples=examples(150, 600))
@given(histories(), st.lists(st.integers(0, 7)))
def test_how_many_come_at_once_does_not_matter(history: list, sizes: list[int]) -> None:
    one, many = Memory(), Memory()
    one.feed(history)
    for part in chunks(history, sizes):
        many.feed(part)
    assert one.shape() == many.shape()


@settings(max_examples=examples(150, 600))
@given(histories(), st.lists(st.integers(0, 7)), st.data())
def test_people_are_told_once_that_it_opened(history: list, sizes: list[int], data: st.DataObject) -> None:
    memory = Memory()
    for part in chunks(history, sizes):
        memory.feed(part, judged=T0 + data.draw(st.integers(0, 40)) * HOUR)
    opened = [id for id, reason in memory.calls if reason is Reason.OPENED]
    assert len(opened) == len(set(opened))
    for id, case in memory.cases.items():
        reasons = [reason for other, reason in memory.calls if other == id]
        assert reasons[:1] == [Reason.OPENED] or not reasons or case.incident.count == 0
        assert reasons.count(Reason.LIVE) <= 1


def test_repeats_fold_into_the_open_one() -> None:
    memory = Memory()
    for hour in range(10):
        memory.feed([(hour + 1, exceedance(hour, value=51.0 + hour % 5))])
    assert memory.calls == [(1, Reason.OPENED)]
    incident = memory.cases[1].incident
    assert (incident.count, incident.from_ns, incident.to_ns) == (10, T0, T0 + 10 * HOUR)
    assert incident.worst.value == 55.0
    assert incident.worst.exceedance == 10, "of equals the newest is shown"
    assert incident.latest.exceedance == 10


def test_a_gap_as_long_as_the_quiet_time_opens_another() -> None:
    near = step([], [exceedance(0), exceedance(6)])
    far = step([], [exceedance(0), exceedance(7)])
    assert [case.incident.count for case in near.cases] == [2]
    assert [case.incident.count for case in far.cases] == [1, 1]
    assert far.cases[0].incident.closed_by == "quiet", "the new one shows that the old one is over"


def test_it_closes_when_the_data_were_calm_for_the_quiet_time() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))])
    assert not memory.feed([], judged=T0 + 6 * HOUR)
    assert memory.feed([], judged=T0 + 7 * HOUR)
    assert memory.cases[1].incident.state is IncidentState.CLOSED
    assert not memory.feed([], judged=T0 + 8 * HOUR)
    assert memory.calls == [(1, Reason.OPENED), (1, Reason.CLOSED)]


def test_without_newer_averages_it_stays_open() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))])
    assert not memory.feed([])
    assert memory.cases[1].incident.state is IncidentState.OPEN


def test_a_clause_with_a_long_window_waits_for_the_next_one() -> None:
    day = step([], [exceedance(0, to_ns=T0 + 24 * HOUR, window="24h")]).cases[0].incident
    assert quiet_time(day, QUIET) == 24 * HOUR


def test_consecutive_days_are_one_incident() -> None:
    days = [exceedance(24 * n, to_ns=T0 + 24 * (n + 1) * HOUR, window="24h") for n in (0, 1, 3)]
    assert [case.incident.count for case in step([], days).cases] == [2, 1]


def test_withdrawn_closes_and_says_so() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0)), (2, exceedance(1))])
    memory.feed([(3, exceedance(0, version=2, change=Change.WITHDRAWN))])
    assert memory.cases[1].incident.state is IncidentState.OPEN
    assert memory.cases[1].incident.from_ns == T0 + HOUR
    memory.feed([(4, exceedance(1, version=2, change=Change.WITHDRAWN))])
    assert memory.cases[1].incident.closed_by == "withdrawn"
    assert memory.calls == [(1, Reason.OPENED), (1, Reason.WITHDRAWN)]
    memory.feed([(5, exceedance(1, version=3))])
    assert memory.calls[2:] == [(2, Reason.OPENED)], "what stands again is a new incident"


def test_opened_and_withdrawn_at_once_is_told_to_nobody() -> None:
    done = step([], [exceedance(0), exceedance(0, version=2, change=Change.WITHDRAWN)])
    assert [c.incident.closed_by for c in done.cases] == ["withdrawn"]
    assert done.calls == ()


def test_a_withdrawal_of_something_unknown_is_ignored() -> None:
    done = step([], [exceedance(0, version=2, change=Change.WITHDRAWN)])
    assert (done.cases, done.events, done.calls) == ((), (), ())


def test_a_late_one_that_is_over_is_told_once() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0, late=True)), (2, exceedance(1, late=True))], judged=T0 + 40 * HOUR)
    assert memory.cases[1].incident.state is IncidentState.CLOSED
    memory.feed([(3, exceedance(2, late=True))], judged=T0 + 40 * HOUR)
    assert memory.cases[1].incident.count == 3
    memory.feed([(4, exceedance(2, late=True, version=2, change=Change.WITHDRAWN))], judged=T0 + 40 * HOUR)
    assert memory.calls == [(1, Reason.OPENED)]


def test_a_late_one_closes_and_reopens_silently() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0, late=True))])
    memory.feed([], judged=T0 + 7 * HOUR)
    memory.feed([(2, exceedance(5, late=True))], judged=T0 + 7 * HOUR)
    assert [kind for _, kind in memory.events] == [EventKind.OPENED, EventKind.CLOSED, EventKind.REOPENED]
    assert memory.calls == [(1, Reason.OPENED)]


def test_the_past_that_reaches_the_present_is_told() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0, late=True))])
    memory.feed([(2, exceedance(1))])
    memory.feed([(3, exceedance(2))])
    assert memory.calls == [(1, Reason.OPENED), (1, Reason.LIVE)]
    assert not memory.cases[1].incident.late


def test_a_present_one_amended_late_stays_present() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))])
    memory.feed([(2, exceedance(0, version=2, change=Change.AMENDED, value=80.0, late=True))])
    assert not memory.cases[1].incident.late
    assert memory.cases[1].incident.worst.value == 80.0
    assert memory.calls == [(1, Reason.OPENED)]


def test_it_opens_again_when_it_lasts_after_all() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))])
    memory.feed([], [Command(id=1, incident=1, who="bo", note="", at_ns=8)])
    memory.feed([], judged=T0 + 7 * HOUR)
    memory.feed([(2, exceedance(5))], judged=T0 + 7 * HOUR)
    incident = memory.cases[1].incident
    assert (incident.state, incident.openings) == (IncidentState.OPEN, 2), "somebody has to look at it again"
    assert memory.calls[2:] == [(1, Reason.REOPENED)]


def test_the_first_acknowledgement_counts_and_others_are_notes() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))])
    words = [Command(id=n, incident=1, who=who, note=f"note {n}", at_ns=n) for n, who in ((1, "bo"), (2, "li"))]
    memory.feed([], words)
    incident = memory.cases[1].incident
    assert (incident.state, incident.acknowledged_by, incident.note) == (IncidentState.ACKNOWLEDGED, "bo", "note 1")
    assert [kind for _, kind in memory.events[1:]] == [EventKind.ACKNOWLEDGED, EventKind.NOTED]
    assert not memory.feed([], words), "a command applied once is ignored"
    assert not memory.feed([], [Command(id=3, incident=99, who="x", note="", at_ns=1)]), "so is one about nothing"


def test_a_closed_one_can_be_acknowledged_and_stays_closed() -> None:
    memory = Memory()
    memory.feed([(1, exceedance(0))], judged=T0 + 9 * HOUR)
    memory.feed([], [Command(id=1, incident=1, who="bo", note="", at_ns=8)])
    assert memory.cases[1].incident.state is IncidentState.CLOSED
    assert memory.cases[1].incident.acknowledged_by == "bo"


def test_points_and_clauses_have_incidents_of_their_own() -> None:
    done = step([], [exceedance(0), exceedance(0, point="stack-2"), exceedance(0, clause="so2-hour", parameter="SO2")])
    assert len(done.cases) == len(done.calls) == 3


def test_the_strongest_standing_and_any_doubt_show() -> None:
    early = exceedance(0, standing=Standing.EARLY_WARNING)
    done = step([], [early, exceedance(1, standing=Standing.FINDING, verified=False)])
    assert done.cases[0].incident.standing is Standing.FINDING
    assert not done.cases[0].incident.verified


@pytest.mark.parametrize(
    ("value", "over"), [(61.7, 11.7), (9.6, 0.6), (5.2, 0.8)], ids=["above", "above two-sided", "below"]
)
def test_how_far_over_counts_on_both_sides(value: float, over: float) -> None:
    sides = {"low": 6.0, "limit": 9.0} if value < 10 else {"low": None, "limit": 50.0}
    member = step([], [exceedance(0, value=value, **sides)]).cases[0].incident.worst
    assert member.over == pytest.approx(over)


def test_members_may_be_left_out_where_nothing_touches_them() -> None:
    case = step([], [exceedance(0), exceedance(1)]).cases[0]
    done = step([replace(case, members={})], [], judged={WATCH: T0 + 9 * HOUR})
    assert done.cases[0].incident.closed_by == "quiet"
    assert done.cases[0].incident.count == 2

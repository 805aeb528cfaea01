"""Allowances: hours of plant states that excuse, by year and quarter, and what goes over them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.allowances import Allowance, excused, spent
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.states import State
from collector.verdicts.windows import HOUR_NS
from gateway.settings import Label
from tests.collector.verdicts.test_pack_file import GOOD
from tests.effort import examples

ZONE = "Asia/Shanghai"
UPSET, DRYING, MAINTENANCE = rule_packs()["gb18485-2014"].allowances


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()) * 10**9


def state(name: str, begin: str, hours: float) -> State:
    return State(state=name, from_ns=at(begin), to_ns=at(begin) + round(hours * HOUR_NS))


SPRING = at("2026-03-01")


@st.composite
def marked(draw: st.DrawFn) -> list[State]:
    """Spans within some weeks, in hours from the first of March."""
    spans = draw(
        st.lists(st.tuples(st.sampled_from(UPSET.states), st.integers(0, 400), st.integers(-5, 60)), max_size=8)
    )
    return [
        State(state=name, from_ns=SPRING + begin * HOUR_NS, to_ns=SPRING + (begin + length) * HOUR_NS)
        for name, begin, length in spans
    ]


def test_the_states_of_an_incinerator_share_sixty_hours_a_year() -> None:
    found = spent(UPSET, [state("breakdown", "2026-02-01", 40), state("start_up", "2026-05-01", 30)], ZONE)
    (year,) = found
    assert (year.allowance, year.period, year.hours, year.over_hours) == ("upset", "2026", 70.0, 10.0)
    second = at("2026-05-01")
    assert year.excused[1] == (second, second + 20 * HOUR_NS)


def test_each_state_has_its_own_allowance() -> None:
    marks = [
        state("drying", "2026-02-01", 100),
        state("stopped", "2026-02-10", 500),
        state("breakdown", "2026-03-01", 60),
    ]
    assert [(s.hours, s.over_hours) for s in spent(UPSET, marks, ZONE)] == [(60.0, 0.0)]
    assert [(s.hours, s.over_hours) for s in spent(DRYING, marks, ZONE)] == [(100.0, 0.0)]
    assert spent(MAINTENANCE, marks, ZONE) == []


def test_a_year_and_a_quarter_begin_anew_by_the_local_clock() -> None:
    over_new_year = [state("breakdown", "2025-12-30", 96)]
    assert [(s.period, s.hours, s.over_hours) for s in spent(UPSET, over_new_year, ZONE)] == [
        ("2025", 48.0, 0.0), ("2026", 48.0, 0.0),
    ]  # fmt: skip
    repair = [state("maintenance", "2026-03-31", 48), state("maintenance", "2026-06-01", 20)]
    assert [(s.period, s.hours, s.over_hours) for s in spent(MAINTENANCE, repair, ZONE)] == [
        ("2026-Q1", 24.0, 0.0), ("2026-Q2", 44.0, 14.0),
    ]  # fmt: skip


def test_spans_that_overlap_count_once() -> None:
    twice = [
        state("breakdown", "2026-03-01", 10),
        state("accident", "2026-03-01", 4),
        state("breakdown", "2026-03-01", 10),
    ]
    (year,) = spent(UPSET, twice, ZONE)
    assert year.hours == 10.0
    assert year.excused == ((SPRING, SPRING + 10 * HOUR_NS),)


def test_only_marked_time_within_the_hours_is_excused() -> None:
    marks = [state("breakdown", "2026-03-01", 80), state("maintenance", "2026-03-10", 1)]
    hours = np.array([-1, 0, 59, 60, 79, 216, 217])
    found = excused((UPSET, DRYING, MAINTENANCE), marks, ZONE, SPRING + hours * HOUR_NS)
    assert found.tolist() == [False, True, True, False, False, True, False]


@settings(max_examples=examples(100))
@given(marked(), st.randoms(use_true_random=False))
def test_the_order_of_marks_does_not_matter_and_nothing_over_the_hours_is_excused(
    marks: list[State], random: object
) -> None:
    shuffled = list(marks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = spent(UPSET, marks, ZONE)
    assert spent(UPSET, shuffled, ZONE) == found
    for one in found:
        hours = sum(to_ns - from_ns for from_ns, to_ns in one.excused) / HOUR_NS
        assert hours == one.hours - one.over_hours == min(one.hours, UPSET.hours)


@settings(max_examples=examples(50))
@given(marked())
def test_splitting_a_mark_changes_nothing(marks: list[State]) -> None:
    halves = []
    for one in marks:
        middle = (one.from_ns + one.to_ns) // 2
        halves += [State(state=one.state, from_ns=one.from_ns, to_ns=middle)]
        halves += [State(state=one.state, from_ns=middle, to_ns=one.to_ns)]
    assert spent(UPSET, halves, ZONE) == spent(UPSET, marks, ZONE)


ALLOWED = (
    GOOD
    + """
[[allowance]]
id = "upset"
title = { en = "Upset", zh = "故障" }
states = ["breakdown", "accident"]
hours = 60
per = "year"
cite = "toy 8"
verified = false
"""
)


def test_a_pack_may_excuse_hours_of_a_state() -> None:
    pack, faults = parse_rules(ALLOWED, "toy.toml")
    assert pack is not None, faults
    assert pack.allowances == (
        Allowance(
            id="upset", title=Label("Upset", "故障"), states=("breakdown", "accident"), hours=60.0, per="year",
            cite="toy 8", verified=False,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('"breakdown", ', '"sleep", ', "allowance[0].states", "not known"),
        ("hours = 60\n", "", "allowance[0].hours", "missing"),
        ("hours = 60\n", "hours = -1\n", "allowance[0].hours", "outside"),
        ('per = "year"', 'per = "week"', "allowance[0].per", "not known"),
        ('cite = "toy 8"\n', "", "allowance[0].cite", "missing"),
    ],
)
def test_what_is_wrong_with_an_allowance_is_told(old: str, new: str, path: str, message: str) -> None:
    _, faults = parse_rules(ALLOWED.replace(old, new, 1), "toy.toml")
    assert any(fault.path == path and message in fault.message for fault in faults), faults


def test_a_state_in_two_allowances_is_a_fault() -> None:
    _, faults = parse_rules(ALLOWED + ALLOWED[ALLOWED.index("[[allowance]]") :], "toy.toml")
    assert {fault.path for fault in faults} == {"allowance[1].states"}

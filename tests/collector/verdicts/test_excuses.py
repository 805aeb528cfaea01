"""Allowances over plant states: so many marked hours a year excuse, and no more."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.excuses import excusing, held, moved, told_in
from collector.verdicts.points import point_rules
from collector.verdicts.state_sources import timeline
from collector.verdicts.states import ALWAYS, STATES, State, Timeline
from collector.verdicts.windows import HOUR_NS
from gateway.catalogue import parameters
from tests.effort import examples

FURNACE = rule_packs()["gb18485-2014"]
BEGIN_NS = 1_767_225_600 * 10**9 + 100 * HOUR_NS  # in January 2026
ZONE = "Asia/Shanghai"


def said(state: str, from_h: float, to_h: float) -> State:
    return State(state=state, from_ns=BEGIN_NS + round(from_h * HOUR_NS), to_ns=BEGIN_NS + round(to_h * HOUR_NS))


def told(found: Timeline) -> list[tuple[float, str]]:
    return [
        ((s - BEGIN_NS) / HOUR_NS, STATES[c]) for s, c in zip(found.start_ns.tolist(), found.code.tolist(), strict=True)
    ]


def taken(*states: State) -> list[tuple[float, str]]:
    return told(excusing(FURNACE, timeline({}, {}, states), states, ZONE))


def test_beyond_its_hours_a_state_is_judged_as_operation_is() -> None:
    assert taken(said("start_up", 0, 50), said("breakdown", 100, 130)) == [
        (0, "start_up"), (50, "operating"), (100, "breakdown"), (110, "operating"),
    ]  # fmt: skip
    assert taken(said("drying", 0, 700), said("start_up", 700, 760)) == [
        (0, "drying"),
        (700, "start_up"),
        (760, "operating"),
    ]
    assert taken(said("stopped", 0, 2000)) == [(0, "stopped"), (2000, "operating")], "a furnace may stand for long"


def test_what_no_mark_says_spends_nothing_and_excuses_nothing() -> None:
    by_channel = timeline({}, {}, [said("start_up", 0, 5), said("stopped", 5, 9)])
    assert told(excusing(FURNACE, by_channel, [], ZONE)) == [(5, "stopped"), (9, "operating")]
    assert excusing(FURNACE, ALWAYS, [], ZONE) is ALWAYS
    assert excusing(rule_packs()["ied-2010-75-annex-v"], by_channel, [], ZONE) is by_channel


def test_the_later_mark_takes_back_hours_that_were_spent() -> None:
    marks = [said("start_up", 0, 60), said("operating", 10, 60), said("breakdown", 100, 150)]
    assert held(marks) == [said("start_up", 0, 10), said("breakdown", 100, 150)]
    assert taken(*marks) == [(0, "start_up"), (10, "operating"), (100, "breakdown"), (150, "operating")]


def test_marks_of_the_whole_year_matter_where_hours_are_limited() -> None:
    span = BEGIN_NS, BEGIN_NS + HOUR_NS
    for pack, years in (("gb18485-2014", True), ("ied-2010-75-annex-v", False)):
        rules, _ = point_rules(
            "p", "x", "stack", timezone=ZONE, packs=[rule_packs()[pack]], settings={}, parameters=parameters()
        )
        year = rules.windows("year", *span)
        assert told_in(rules, *span) == ((int(year.from_ns[0]), int(year.to_ns[0])) if years else span)


def test_hours_spent_here_are_missing_there() -> None:
    late = [said("breakdown", 100, 160)]
    assert moved(FURNACE.allowances, [], late, ZONE) == [(late[0].from_ns, late[0].to_ns)]
    both = [*late, said("start_up", 0, 10)]
    (early, lost) = moved(FURNACE.allowances, late, both, ZONE)
    assert early == (both[1].from_ns, both[1].to_ns)
    assert lost == (said("x", 150, 160).from_ns, said("x", 150, 160).to_ns)
    assert moved(FURNACE.allowances, both, both, ZONE) == []
    assert moved(FURNACE.allowances, late, [*late, said("stopped", 300, 400)], ZONE) == []


SAID = st.lists(
    st.builds(said, st.sampled_from(["start_up", "breakdown", "stopped", "operating", "drying"]), st.integers(0, 200),
              st.integers(0, 200)), max_size=5,
)  # fmt: skip


@given(SAID, SAID)
@settings(max_examples=examples(60), deadline=None)
def test_outside_of_what_moved_nothing_changes(before: list[State], more: list[State]) -> None:
    after = [*before, *more]
    old = excusing(FURNACE, timeline({}, {}, before), before, ZONE)
    new = excusing(FURNACE, timeline({}, {}, after), after, ZONE)
    at = BEGIN_NS + np.arange(-1, 201, dtype=np.int64) * HOUR_NS
    touched = np.zeros(len(at), np.bool_)
    for from_ns, to_ns in [*moved(FURNACE.allowances, before, after, ZONE), *((s.from_ns, s.to_ns) for s in more)]:
        touched |= (at >= from_ns) & (at < to_ns)
    assert ((old.at(at) == new.at(at)) | touched).all()
    capped = np.isin(new.at(at), [STATES.index("start_up"), STATES.index("breakdown")])
    assert capped.sum() <= 60

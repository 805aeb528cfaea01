"""Plant states: painted one over the other, counted exactly, and what of a window is left for a clause."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.marks import PLANT_STATES
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.quadrants import hour_valid
from collector.verdicts.states import ALWAYS, STATES, Scope, Spans, State, Timeline, marked, painted, seconds_by_state
from collector.verdicts.windows import HOUR_NS, MINUTE_NS, Windows, windows
from gateway.document import Fault
from tests.collector.verdicts.test_pack_file import GOOD, PARAMETERS
from tests.effort import examples

ALL = frozenset(STATES)
RUNNING = ALL - {"stopped"}


def said(state: str, from_ns: int, to_ns: int) -> State:
    return State(state=state, from_ns=from_ns, to_ns=to_ns)


def line(*states: State) -> Timeline:
    return marked(ALWAYS, states)


def scope(timeline: Timeline, judged: frozenset[str], operating: frozenset[str] = ALL, other_max: float = 0.0) -> Scope:
    return Scope(timeline=timeline, judged=judged, operating=operating, other_max=other_max)


SAID = st.lists(
    st.builds(said, st.sampled_from(STATES), st.integers(-50, 50), st.integers(-50, 50)), max_size=8
)  # fmt: skip


@given(SAID, st.lists(st.integers(-60, 60), min_size=1, max_size=20))
@settings(max_examples=examples(200))
def test_the_last_that_speaks_of_an_instant_holds(states: list[State], instants: list[int]) -> None:
    timeline = line(*states)
    found = timeline.at(np.array(instants, np.int64))
    for instant, code in zip(instants, found.tolist(), strict=True):
        over = [one.state for one in states if one.from_ns <= instant < one.to_ns]
        assert STATES[code] == (over[-1] if over else "operating")
    assert (np.diff(timeline.start_ns) > 0).all()
    assert (np.diff(timeline.code.astype(int), prepend=0) != 0).all(), "what follows itself is one"


@given(SAID, st.lists(st.tuples(st.integers(-60, 60), st.integers(1, 30)), min_size=1, max_size=6))
@settings(max_examples=examples(200))
def test_the_states_of_a_window_add_up_to_it(states: list[State], pieces: list[tuple[int, int]]) -> None:
    begin = np.array([a for a, _ in pieces], np.int64)
    end = begin + np.array([b for _, b in pieces], np.int64)
    some = Windows("1h", begin, end, begin, end, np.arange(len(begin)))
    timeline = line(*states)
    by_state = {state: timeline.held(some, (state,)) for state in STATES}
    assert np.sum(list(by_state.values()), axis=0).tolist() == some.length_ns.tolist()
    instants = [timeline.at(np.arange(a, b)).tolist() for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
    for code, state in enumerate(STATES):
        assert by_state[state].tolist() == [codes.count(code) for codes in instants]
    two = ("operating", "stopped")
    assert (timeline.held(some, two) == by_state["operating"] + by_state["stopped"]).all()


def test_the_pieces_of_a_window_count_and_what_lies_between_does_not() -> None:
    nights = windows("calendar_night", "UTC", 0, 24 * HOUR_NS)
    stopped = line(said("stopped", 5 * HOUR_NS, 23 * HOUR_NS))
    assert (stopped.held(nights, ("stopped",)) / HOUR_NS).tolist() == [2.0]
    assert {name: column.tolist() for name, column in seconds_by_state(stopped, nights).items()} == {
        "operating": [6 * 3600.0], "stopped": [2 * 3600.0],
    }  # fmt: skip


def test_where_nobody_says_anything_the_plant_operates() -> None:
    hours = windows("1h", "UTC", 0, 2 * HOUR_NS)
    assert ALWAYS.present == {"operating"}
    assert ALWAYS.held(hours, ALL).tolist() == [HOUR_NS, HOUR_NS]
    assert ALWAYS.held(hours, ("stopped",)).tolist() == [0, 0]
    assert seconds_by_state(ALWAYS, hours) == {}
    assert line(said("stopped", 3, 3)) is ALWAYS
    empty = np.empty(0, np.int64)
    assert painted(ALWAYS, Spans(empty, empty, empty.astype(np.uint8))) is ALWAYS


def test_a_short_window_is_clean_only_where_all_it_ran_is_judged() -> None:
    hours = windows("1h", "UTC", 0, 3 * HOUR_NS)
    days = windows("24h", "UTC", 0, 3 * HOUR_NS)
    timeline = line(said("stopped", 0, 30 * MINUTE_NS), said("start_up", HOUR_NS, HOUR_NS + 6 * MINUTE_NS))
    steady = scope(timeline, frozenset({"operating"}), RUNNING)
    assert steady.clean(hours).tolist() == [True, False, True], "what was stopped is no operating time"
    assert steady.clean(days).tolist() == [True], "a day is made of what is left"
    assert (steady.length_ns(hours) / MINUTE_NS).tolist() == [30, 54, 60]
    assert scope(timeline, frozenset({"operating"})).clean(hours).tolist() == [False, False, True]
    assert scope(timeline, frozenset({"operating"}), RUNNING, 0.1).clean(hours).tolist() == [True, True, True]
    assert scope(timeline, RUNNING, RUNNING).clean(hours).tolist() == [True, True, True]
    assert steady.counts(np.array([0, HOUR_NS, 2 * HOUR_NS], np.int64)).tolist() == [False, False, True]


def test_the_quarters_of_an_hour_in_which_a_unit_ran() -> None:
    """What 40 CFR 60.13(h)(2) asks of an hour of partial operation, and the operating time of 40 CFR 75."""
    timeline = line(said("stopped", 20 * MINUTE_NS, 60 * MINUTE_NS))
    quarters = windows("15m", "UTC", 0, HOUR_NS)
    ran = timeline.held(quarters, RUNNING).reshape(-1, 4) > 0
    assert ran.tolist() == [[True, True, False, False]]
    us = rule_packs()["40cfr60"].us
    assert us is not None
    assert us.hour is not None
    assert hour_valid([[3.0, 18.0]], us.hour, ran=ran).tolist() == [True]
    assert hour_valid([[3.0, 18.0]], us.hour).tolist() == [False]
    assert float(timeline.held(windows("1h", "UTC", 0, HOUR_NS), RUNNING)[0] / HOUR_NS) == pytest.approx(1 / 3)


def test_marks_have_the_states_names() -> None:
    assert tuple(kind.value for kind in PLANT_STATES) == STATES


# --- in a pack ------------------------------------------------------------------------------------

STATED = GOOD.replace("[[clause]]", """
[states]
operating = ["operating", "start_up"]
judged = ["operating"]
cite = "toy 9"
verified = false

[[clause]]""", 1)  # fmt: skip


def parse(text: str) -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(text, "toy.toml", PARAMETERS)


def test_a_pack_says_what_it_judges_and_what_operating_time_is() -> None:
    pack, faults = parse(STATED.replace("minimum = 45", 'missing = 3\nof = "operating"'))
    assert faults == []
    assert pack is not None
    assert pack.states is not None
    assert pack.states.operating == ("operating", "start_up")
    assert pack.states.judged == ("operating",)
    assert (pack.validity[0].missing, pack.validity[0].operating, pack.validity[0].minimum) == (3, True, None)
    assert pack.clauses[0].states == ()
    own, faults = parse(STATED.replace('unit = "mg/m3"', 'unit = "mg/m3"\nstates = ["any"]'))
    assert own is not None, faults
    assert own.clauses[0].states == STATES
    plain, _ = parse(GOOD)
    assert plain is not None
    assert plain.states is None
    one, _ = parse(STATED.replace('judged = ["operating"]\n', ""))
    assert one is not None
    assert one.states is not None
    assert one.states.judged == ("operating", "start_up")
    other, _ = parse(STATED.replace('operating = ["operating", "start_up"]\n', ""))
    assert other is not None
    assert other.states is not None
    assert other.states.operating == STATES


@pytest.mark.parametrize(("old", "new", "path", "message"), [
    ('judged = ["operating"]', 'judged = ["asleep"]', "states.judged", "not known"),
    ('judged = ["operating"]', 'judged = ["stopped"]', "states.judged", "more than"),
    ('operating = ["operating", "start_up"]\njudged = ["operating"]\n', "", "states", "neither"),
    ('cite = "toy 9"\n', "", "states.cite", "missing"),
    ('verified = false\n\n[[clause]]', '\n[[clause]]', "states.verified", "missing"),
    ('unit = "mg/m3"', 'unit = "mg/m3"\nstates = ["asleep"]', "clause[0].states", "not known"),
    ("minimum = 45", 'minimum = 45\nof = "time"', "validity[0].of", "not known"),
    ("minimum = 45", "minimum = 45\nmissing = 3", "validity[0]", "one of"),
    ("minimum = 45", "missing = -1", "validity[0].missing", "outside"),
    ("minimum = 45", "missing = 60", "validity[0].missing", "a 1h has 60 of 1m"),
])  # fmt: skip
def test_what_is_wrong_with_states_is_told(old: str, new: str, path: str, message: str) -> None:
    assert old in STATED
    pack, faults = parse(STATED.replace(old, new, 1))
    assert pack is None
    assert any(fault.path == path and message in fault.message for fault in faults), [str(fault) for fault in faults]


def test_operating_time_needs_states() -> None:
    _, faults = parse(GOOD.replace("minimum = 45", 'minimum = 45\nof = "operating"'))
    assert [fault.path for fault in faults] == ["validity[0].of"]

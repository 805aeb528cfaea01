"""What gateways say of themselves: shown as far as it is known, whatever comes."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.metrics import numbers
from collector.intake.states import MAX_BYTES, States
from gateway.measurement import SECOND_NS
from tests.effort import examples

NOW_NS = 77 * SECOND_NS
GOOD: dict[str, Any] = {
    "state": "online", "plant": "p", "gateway": "g", "time": "2026-11-22T08:00:00Z", "links": {"slm": "gone"},
    "sensors": {"all": 2, "answering": 1, "silent": 1, "oldest_good_s": 99.5}, "good_s": {"slm": 99.5, "made-up": 1.0},
    "storage": {"share": 0.25, "hours_left": None, "reserve": "laid"}, "polls_failed": 4, "unknown": {"a": [1]},
    "clock": {"standing": "right", "steps": 0, "off_s": None},
}  # fmt: skip


def told(payload: bytes, *, retained: bool = False, sensors: tuple[str, ...] = ("slm",)) -> dict[str, Any]:
    states = States()
    states.note("g", payload, NOW_NS, retained=retained)
    return states.told("g", sensors, NOW_NS + 5 * SECOND_NS)


def test_the_figures_that_are_known_are_shown() -> None:
    assert told(json.dumps(GOOD).encode()) == {
        "age_s": 5.0, "retained": False, "online": True, "problem": "", "time": "2026-11-22T08:00:00Z",
        "sensors": {"all": 2, "answering": 1, "silent": 1, "oldest_good_s": 99.5}, "good_s": {"slm": 99.5},
        "storage": {"share": 0.25}, "clock": {"standing": "right", "steps": 0}, "polls_failed": 4,
    }  # fmt: skip
    assert States().told("g", (), NOW_NS) == {"age_s": None, "online": None, "problem": ""}


def test_a_gateway_that_has_gone_and_one_of_the_first_version() -> None:
    assert told(b'{"state": "offline", "gateway": "g"}')["online"] is False
    old = told(b'{"state": "online", "polls_answered": 7, "links": {}}')
    assert (old["online"], old["polls_answered"], old["good_s"]) == (True, 7, {})


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'{"sensors": 3}', b'{"polls_failed": "x"}', b"x" * 90_000,
     b'{"a":' * 9000, b'{"good_s": {"slm": 1e999}}', b'{"polls_failed": ' + b"9" * 400 + b"}",
     b'{"storage": {"share": ' + b"9" * 400 + b"}}", b'{"storage": {"share": 1e300}}'],
)  # fmt: skip
def test_what_is_no_state_is_a_problem_and_no_figure(payload: bytes) -> None:
    found = told(payload)
    assert found["problem"]
    assert found["online"] is None
    assert len(found["problem"]) <= 200


@settings(max_examples=examples(100))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=6),
        max_leaves=15,
    )
)
def test_whatever_comes_can_be_shown(value: object) -> None:
    found = told(json.dumps(value).encode())
    json.dumps(found)
    assert all(isfinite(number) for _, _, number in numbers("emitwatch_gateways", {"g": {"state": found}}))
    assert set(found.get("good_s", {})) <= {"slm"}


def test_what_the_broker_kept_is_no_younger_when_it_comes_again() -> None:
    states, payload = States(), json.dumps(GOOD).encode()
    states.note("g", payload, NOW_NS, retained=True)
    states.note("g", payload, NOW_NS + 60 * SECOND_NS, retained=True)
    found = states.told("g", (), NOW_NS + 60 * SECOND_NS)
    assert (found["age_s"], found["retained"]) == (60.0, True)
    states.note("g", payload, NOW_NS + 70 * SECOND_NS, retained=False)
    found = states.told("g", (), NOW_NS + 70 * SECOND_NS)
    assert (found["age_s"], found["retained"]) == (0.0, False)


def test_no_more_is_kept_than_an_honest_gateway_sends() -> None:
    assert "more than" in told(b" " * (MAX_BYTES + 1))["problem"]

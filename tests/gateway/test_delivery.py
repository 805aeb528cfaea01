"""What stands in the way of delivery: one state, told once, ended only by what ends it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import delivery
from gateway.delivery import CALM_NS, NONE, SILENT, Delivery, obstacle
from gateway.measurement import SECOND_NS
from tests.effort import examples

STATES = {0x10: "no_subscriber", 0x87: "not_authorized", 0x95: "packet_too_large", 0x97: "quota_exceeded"}


def test_reason_codes_have_names_and_hints():
    assert {code: obstacle(code).state for code in STATES} == STATES
    assert (obstacle(0), obstacle(0x04)) == (NONE, NONE)
    assert obstacle(0x83).state == "refused"
    assert "0x83" in obstacle(0x83).what
    assert all(one.hint for one in delivery.REASONS.values())
    assert "password" in delivery.hint(0x86)
    assert "broker runs" in delivery.hint(0)


def test_a_refusal_is_told_once_and_ends_when_nothing_was_refused_for_a_while():
    found, now = Delivery(), 10 * SECOND_NS
    told = [found.answered(code, now + at) for at, code in enumerate((0x87, 0, 0x87, 0, 0x87))]
    assert [one and one.state for one in told] == ["not_authorized", None, None, None, None]
    assert found.refused == 3
    assert found.heard(now + CALM_NS - 1, progress=True) is None
    assert found.heard(now + 2 * CALM_NS, progress=False) is None, "a beacon says nothing about refused batches"
    assert found.answered(0, now + 2 * CALM_NS) is NONE
    assert found.since_ns == now + 2 * CALM_NS


def test_a_refusal_explains_the_silence_it_leads_to():
    found = Delivery()
    told = found.silence(1)
    assert told is not None
    assert (told.state, told.what) == (SILENT, "not acknowledged for 60 s")
    assert "3.1.1" not in told.hint
    assert found.silence(2) is None
    told = found.answered(0x87, 3)
    assert told is not None
    assert told.state == "not_authorized"
    assert told.what == "not acknowledged for 60 s: the broker forbids publishing"
    assert found.heard(4, progress=False) is None
    assert found.now == obstacle(0x87)
    assert found.answered(0, 4 + CALM_NS) is NONE


def test_where_a_broker_refuses_without_a_word_the_silence_says_what_else_it_may_be():
    told = Delivery(mute=True).silence(1)
    assert told is not None
    assert "access rules" in told.hint


def test_a_broker_that_hands_out_no_acknowledgements_is_told_until_one_comes():
    found = Delivery()
    told = found.deaf(1)
    assert told is not None
    assert told.state == "no_acknowledgements"
    assert found.deaf(2) is None
    assert found.heard(3, progress=False) is NONE


steps = st.tuples(
    st.sampled_from(["answered", "heard", "silence"]), st.sampled_from([0, *STATES]), st.integers(0, 10**10)
)


@given(st.lists(steps, max_size=40))
@settings(max_examples=examples(100))
def test_every_change_is_told_and_nothing_else(events):
    found, now, last = Delivery(), 0, "ok"
    for kind, code, wait in events:
        now += wait
        if kind == "answered":
            told = found.answered(code, now)
        elif kind == "heard":
            told = found.heard(now, progress=code == 0)
        else:
            told = found.silence(now)
        assert told == (found.now if found.now.state != last else None)
        last = found.now.state

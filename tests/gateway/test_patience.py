"""Time-outs that units teach: always within the limits, never too short for what was seen, and they find slow units."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.patience import FACTOR, FIRST_NS, HIGH_NS, KNOWN, LOW_NS, NEWEST, Patience
from tests.effort import examples

MS = 1_000_000
took = st.integers(0, HIGH_NS)


def patience(*answers: int) -> Patience:
    found = Patience()
    for answer in answers:
        found.heard(answer)
    return found


@settings(max_examples=examples(100))
@given(st.lists(st.one_of(took, st.none()), max_size=250))
def test_a_timeout_is_within_its_limits_and_longer_than_the_newest_answers(events):
    found = Patience()
    for event in events:
        found.missed() if event is None else found.heard(event)
        assert LOW_NS <= found.learned_ns <= found.least_ns <= found.timeout_ns <= HIGH_NS
    newest = [event for event in events if event is not None][-NEWEST:]
    assert found.timeout_ns >= min(FACTOR * max(newest, default=0), HIGH_NS)


def test_it_starts_generous_and_is_short_once_a_unit_is_known_to_be_quick():
    assert Patience().timeout_ns == FIRST_NS
    assert patience(*[5 * MS] * (KNOWN - 1)).timeout_ns == FIRST_NS
    assert patience(*[5 * MS] * KNOWN).timeout_ns == LOW_NS
    assert patience(*[80 * MS] * KNOWN).timeout_ns == FACTOR * 80 * MS


def test_one_slow_answer_in_a_hundred_is_not_what_is_expected_of_the_next():
    found = patience(*[50 * MS] * 200, 900 * MS)
    assert found.timeout_ns == FACTOR * 900 * MS, "the newest count"
    for _ in range(NEWEST):
        found.heard(50 * MS)
    assert found.timeout_ns == FACTOR * 50 * MS


@settings(max_examples=examples(100))
@given(quick=st.integers(0, HIGH_NS // 2), slow=st.integers(1, HIGH_NS - 1))
def test_a_unit_that_became_slower_is_found_again_and_stays_found(quick, slow):
    found = patience(*[quick] * 100)
    tries = 0
    while slow > found.timeout_ns:
        found.missed()
        tries += 1
    assert tries <= 6
    found.heard(slow)
    for _ in range(200):
        assert found.timeout_ns > slow
        found.heard(slow)


def test_a_dead_unit_does_not_always_cost_the_most():
    found, costs = patience(*[5 * MS] * 100), []
    for _ in range(70):
        found.missed()
        costs.append(found.timeout_ns)
    assert costs[:7] == [200 * MS, 400 * MS, 800 * MS, 1600 * MS, 3200 * MS, HIGH_NS, LOW_NS]
    assert max(costs) == HIGH_NS

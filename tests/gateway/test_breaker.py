"""What fails is left alone, ever longer, and what tries cost stays within a share of the time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.breaker import FAILURES, Breaker, Budget
from gateway.measurement import SECOND_NS
from tests.effort import examples


def test_rest_grows_and_ends_with_the_first_success():
    breaker, now, waits = Breaker(), 0, []
    for _ in range(FAILURES - 1):
        breaker.failed(now)
        assert not breaker.resting(now)
    for _ in range(8):
        breaker.failed(now)
        assert breaker.resting(now)
        assert not breaker.resting(breaker.until_ns)
        waits.append((breaker.until_ns - now) / SECOND_NS)
        now = breaker.until_ns
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    breaker.worked()
    assert not breaker.resting(now)
    assert breaker.failures == 0


def test_one_that_is_woken_is_tried_at_once_as_if_it_had_failed_but_once():
    breaker = Breaker(7, 10**18)
    breaker.wake()
    assert (breaker.failures, breaker.resting(0)) == (1, False)


@settings(max_examples=examples(100))
@given(
    share=st.sampled_from([0.005, 0.1, 0.5]),
    saved_ns=st.integers(1, 5 * SECOND_NS),
    steps=st.lists(st.tuples(st.integers(0, SECOND_NS), st.integers(0, 5 * SECOND_NS)), max_size=200),
)
def test_a_budget_is_never_overdrawn_by_more_than_one_try(share, saved_ns, steps):
    budget, now, spent = Budget(share, saved_ns, 0), 0, 0
    most = 0
    for pause, cost in steps:
        now += pause
        if budget.affords(cost, now):
            budget.spend(cost)
            now += cost
            spent, most = spent + cost, max(most, cost - saved_ns)
        assert spent <= share * now + max(most, 0) + 1


def test_a_budget_does_not_close_for_ever():
    budget = Budget(0.1, SECOND_NS // 2, 0)
    assert not budget.affords(5 * SECOND_NS, 4 * SECOND_NS)
    assert budget.affords(5 * SECOND_NS, 5 * SECOND_NS), "as much as can be is saved up"
    budget.spend(5 * SECOND_NS)
    assert not budget.affords(1, 50 * SECOND_NS)
    assert budget.affords(1, 51 * SECOND_NS)

"""Which broker is used when: the next one after some vain tries, the first again after a while."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.brokers import BACK_NS, TRIES, Route
from tests.effort import examples
from tests.gateway.batches import broker


def route(alternates: int) -> Route:
    return Route(broker(1, alternates=tuple(f"mqtt://127.0.0.1:{port}" for port in range(2, 2 + alternates))))


def port(found: Route) -> int:
    return found.broker.port


def test_after_some_vain_tries_the_next_broker_is_used_and_then_the_first_again():
    found = route(2)
    assert [found.failed(0) for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert port(found) == 2
    assert [found.failed(0) for _ in range(TRIES)][-1]
    assert port(found) == 3
    assert [found.failed(0) for _ in range(TRIES)][-1]
    assert port(found) == 1


def test_an_acknowledgement_starts_the_count_anew():
    found = route(1)
    for _ in range(3 * TRIES):
        assert not found.failed(0)
        found.heard()
    assert port(found) == 1


def test_the_first_broker_is_looked_at_again_once_and_left_at_once_if_it_is_in_vain():
    found = route(2)
    for _ in range(TRIES):
        found.failed(5)
    found.heard()
    assert not found.back(5 + BACK_NS - 1)
    assert found.back(5 + BACK_NS)
    assert port(found) == 1
    assert found.failed(6 + BACK_NS)
    assert port(found) == 2
    assert not found.back(7 + BACK_NS), "not before another while"
    assert found.back(6 + 2 * BACK_NS)
    found.heard()
    assert port(found) == 1
    assert not found.failed(0), "it is the one in use again, and has all its tries"


@given(st.lists(st.sampled_from(["failed", "heard", "back"]), max_size=60))
@settings(max_examples=examples(50))
def test_a_gateway_without_alternates_stays_where_it_is(events):
    found = route(0)
    for now_ns, event in enumerate(events):
        match event:
            case "failed":
                assert not found.failed(now_ns * BACK_NS)
            case "heard":
                found.heard()
            case "back":
                assert not found.back(now_ns * BACK_NS)
        assert port(found) == 1

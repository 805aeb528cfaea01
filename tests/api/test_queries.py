from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.problems import Problem
from api.queries import raw_page, read_cursor, read_span
from collector.store import Slice
from gateway.measurement import SECOND_NS, Series
from tests.effort import examples

SERIES = Series("p", "x", "s", "LAeq", "dB(A)")
TIMES = st.lists(st.integers(0, 12), max_size=12).map(sorted)


def part(times: list[int]) -> Slice:
    time_ns = np.array(times, np.int64) * SECOND_NS
    return Slice(SERIES, time_ns, time_ns.astype(np.float64), np.zeros(len(times), np.uint8))


def first(parts: list[Slice], from_ns: int, limit: int) -> list[Slice]:
    """What the store gives: the first of each series from an instant on."""
    found = []
    for one in parts:
        rows = np.flatnonzero(one.time_ns >= from_ns)[:limit]
        found.append(Slice(SERIES, one.time_ns[rows], one.value[rows], one.status[rows]))
    return found


@settings(max_examples=examples(150))
@given(st.sets(st.integers(0, 30), max_size=20), st.sets(st.integers(0, 30), max_size=20), st.integers(2, 9))
def test_pages_together_are_the_whole(one: set[int], two: set[int], limit: int) -> None:
    """Two sensors of one parameter, each with one value an instant: no page repeats or skips anything."""
    parts = [part(sorted(one)), part(sorted(two))]
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = raw_page(SERIES, first(parts, read_cursor(cursor), limit + 1), limit)
        assert len(page["items"]) <= limit
        seen += [item["time"] for item in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        assert pages < 100
        cursor = page["next"]
    whole = raw_page(SERIES, parts, 1000)["items"]
    assert seen == [item["time"] for item in whole]


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30, "²"])
def test_a_cursor_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="not one of ours"):
        read_cursor(text)


def test_a_span_defaults_to_the_day_before_now() -> None:
    span = read_span("", "", 2 * 86_400 * SECOND_NS)
    assert (span.from_ns, span.to_ns) == (86_400 * SECOND_NS, 2 * 86_400 * SECOND_NS)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Problem, match="later"):
        read_span("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", 0)

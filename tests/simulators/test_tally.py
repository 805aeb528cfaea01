"""Lost and doubled measurements are found, whatever batches and rows they are in."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.tally import Streams, tally
from tests.effort import examples

STREAMS = [("a", b"1"), ("a", b"2"), ("b", b"1"), ("c", b"")]


@settings(max_examples=examples(100))
@given(
    batches=st.dictionaries(st.tuples(st.integers(0, 3), st.integers(1, 2**36 - 1)), st.integers(0, 10), max_size=20),
    missing=st.sets(st.integers(0, 200), max_size=5),
    again=st.lists(st.integers(0, 200), max_size=5),
    order=st.permutations(STREAMS),
)
def test_the_sets_are_compared(
    batches: dict[tuple[int, int], int], missing: set[int], again: list[int], order: list[tuple[str, bytes]]
) -> None:
    every = [(stream, seq, index) for (stream, seq), n in batches.items() for index in range(n)]
    kept = [key for number, key in enumerate(every) if number not in missing]
    kept += [kept[number] for number in again if number < len(kept)]
    streams = Streams()
    measured = streams.batches((*STREAMS[stream], seq, n) for (stream, seq), n in batches.items())
    # The store numbers streams in its own order.
    columns = np.array(kept, np.uint64).reshape(-1, 3).T
    place = np.array([order.index(stream) for stream in STREAMS], np.uint16)
    stored = streams.rows(
        order, place[columns[0].astype(np.intp)], columns[1].astype(np.uint64), columns[2].astype(np.uint16)
    )
    found = tally(measured, stored)
    counts = Counter(kept)
    assert found.measured == len(every)
    assert found.stored == len(counts)
    assert found.lost == len(set(every) - set(kept))
    assert found.duplicated == sum(counts.values()) - len(counts)
    assert found.foreign == 0


def test_a_key_that_nobody_measured_is_foreign() -> None:
    streams = Streams()
    measured = streams.batches([("a", b"1", 1, 2)])
    stored = streams.rows([("b", b"1")], np.zeros(2, np.uint16), np.ones(2, np.uint64), np.arange(2, dtype=np.uint16))
    found = tally(measured, stored)
    assert (found.lost, found.foreign, found.duplicated) == (2, 2, 0)


def test_nothing_measured_nothing_lost() -> None:
    streams = Streams()
    empty = streams.rows([], np.empty(0, np.uint16), np.empty(0, np.uint64), np.empty(0, np.uint16))
    assert tally(streams.batches([("a", b"1", 1, 0)]), empty).lost == 0

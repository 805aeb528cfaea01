"""What every store does with what is written to it, and what only takes lines does too: the part about writing.

Times are whole milliseconds after 1970 and numbers have a few decimals, as that is what the coarsest of them keeps:
VictoriaMetrics. It is read back by its export (`victoria`), and left out of what moves measurements that are there,
since it can neither overwrite a point nor delete one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store import Rows, Store
from collector.stores.memory import MemoryStore
from gateway.measurement import Status, empty_columns
from tests.collector.backends import STORES, VICTORIA, backend
from tests.collector.test_store_contract import (
    ACID,
    LEVEL,
    OXYGEN,
    STREAMS,
    A,
    B,
    C,
    Row,
    content,
    moves,
    rows,
    unsynced,
)
from tests.collector.victoria import MS
from tests.effort import examples


@pytest.fixture(params=(*STORES, VICTORIA))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with backend(request.param, tmp_path, request) as opener:
        yield opener()


def at(*given: Row) -> Rows:
    """Rows whose times are given in milliseconds."""
    return rows(*((row[0], row[1] * MS, *row[2:]) for row in given))


def test_measurements_come_back_as_they_were(store: Store) -> None:
    store.append(at((LEVEL, 10, 55.5, A, 1, 0), (OXYGEN, 10, None, A, 1, 1), (LEVEL, 20, -0.0, A, 1, 2)), 3)
    assert store.cursor() == 3
    assert store.series() == sorted([LEVEL, OXYGEN])
    found = store.measurements(LEVEL, 0, 100 * MS, 10)
    assert found.series == LEVEL
    times = [10 * MS, 20 * MS]
    assert (found.time_ns.tolist(), found.value.tolist(), found.status.tolist()) == (times, [55.5, 0.0], [0, 0])
    assert [column.dtype for column in (found.time_ns, found.value, found.status)] == [np.int64, np.float64, np.uint8]
    missing = store.measurements(OXYGEN, 0, 100 * MS, 10)
    assert np.isnan(missing.value).tolist() == [True]
    assert missing.status.tolist() == [Status.NO_COMM]
    assert len(store.measurements(ACID, 0, 100 * MS, 10).time_ns) == 0


def test_known_keys_are_not_added_again(store: Store) -> None:
    first = at((LEVEL, 10, 1.0, A, 5, 0), (LEVEL, 20, 2.0, A, 5, 1))
    store.append(first, 1)
    store.append(first, 1)
    store.append(first, 2)
    store.append(at((LEVEL, 20, 2.0, A, 5, 1), (LEVEL, 30, 3.0, A, 5, 2), (LEVEL, 5, 0.0, A, 4, 0)), 3)
    store.append(at((LEVEL, 40, 4.0, C, 1, 0), (LEVEL, 40, 4.0, C, 1, 0)), 4)
    assert [row[:4] for row in content(store)] == [
        (*A, 4, 0), (*A, 5, 0), (*A, 5, 1), (*A, 5, 2), (*C, 1, 0)
    ]  # fmt: skip
    assert store.cursor() == 4


def test_a_position_that_was_passed_changes_nothing(store: Store) -> None:
    store.append(at((LEVEL, 10, 1.0, A, 1, 0)), 5)
    store.append(at((LEVEL, 20, 1.0, A, 2, 0)), 5)
    store.append(at((LEVEL, 20, 1.0, A, 2, 0)), 4)
    assert len(store.keys()) == 1
    assert store.cursor() == 5


def test_nothing_to_add_still_moves_the_cursor(store: Store) -> None:
    store.append(Rows(empty_columns(), (), *(np.empty(0, kind) for kind in (np.uint16, np.uint64, np.uint16))), 9)
    assert store.cursor() == 9
    assert store.series() == []


def test_streams_that_share_numbers_do_not_meet(store: Store) -> None:
    store.append(at(*((LEVEL, 10, 1.0, stream, 1, 0) for stream in STREAMS)), 1)
    assert len(store.keys()) == 3


def test_the_newest_is_newest_by_time_and_then_by_arrival(store: Store) -> None:
    store.append(at((LEVEL, 30, 3.0, A, 1, 0), (LEVEL, 10, 1.0, A, 1, 1), (ACID, 5, 7.0, A, 1, 2)), 1)
    assert store.latest() == [(ACID, 5 * MS, 7.0, 0), (LEVEL, 30 * MS, 3.0, 0)]
    store.append(at((LEVEL, 20, 2.0, A, 2, 0)), 2)
    assert store.latest()[1] == (LEVEL, 30 * MS, 3.0, 0)
    store.append(at((LEVEL, 30, 8.0, A, 3, 0), (LEVEL, 30, 9.0, A, 3, 1)), 3)
    assert store.latest()[1] == (LEVEL, 30 * MS, 9.0, 0)
    store.append(at((LEVEL, 31, None, A, 4, 0)), 4)
    series, time_ns, value, status = store.latest()[1]
    assert (series, time_ns, np.isnan(value), status) == (LEVEL, 31 * MS, True, Status.NO_COMM)


def test_a_move_that_is_told_first_places_what_comes(store: Store) -> None:
    store.append(rows(), 1, moves((2, 3, 1000 * MS, 4)))
    store.append(
        unsynced((LEVEL, 8 * MS, 3.0, A, 3, 0), (LEVEL, 9 * MS, 4.0, A, 4, 0), (LEVEL, 7 * MS, 1.0, B, 3, 0)), 2
    )
    found = store.measurements(LEVEL, 0, 10**13, 10)
    assert found.time_ns.tolist() == [7 * MS, 9 * MS, 1008 * MS]
    assert found.status.tolist() == [Status.UNSYNCED, Status.UNSYNCED, Status.OK]


def test_names_come_back_as_they_were(store: Store) -> None:
    odd = [type(LEVEL)("a b,c=d", "q'\\", "s\n", "\u541c\u58f0", ""), type(LEVEL)("", "", "", "x", "\u00b5g/m\u00b3")]
    store.append(at(*((series, 1 + n, 1.5, A, 1, n) for n, series in enumerate(odd))), 1)
    assert {row[4] for row in content(store)} == set(odd)


FINE = st.integers(0, 50), st.floats(-1e6, 1e6)
COARSE = st.integers(1, 50).map(MS.__mul__), st.integers(-(10**9), 10**9).map(lambda n: n / 1000)
KINDS = [("duckdb", FINE), ("influxdb-1.6", FINE), (VICTORIA, COARSE)]


@pytest.mark.timeout(examples(180, 1800))  # each example is dozens of requests
@settings(max_examples=examples(10, 300))
@given(st.data())
@pytest.mark.parametrize(("kind", "grain"), KINDS, ids=[kind for kind, _ in KINDS])
def test_all_stores_hold_the_same(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, kind: str,
    grain: tuple[st.SearchStrategy[int], st.SearchStrategy[float]], data: st.DataObject,
) -> None:  # fmt: skip
    time_ns, value = grain
    row = st.tuples(
        st.sampled_from([LEVEL, OXYGEN, ACID]), time_ns, st.none() | value,
        st.sampled_from(STREAMS), st.integers(1, 6), st.integers(0, 3),
    )  # fmt: skip
    appends = data.draw(st.lists(st.tuples(st.lists(row, max_size=8), st.integers(1, 12), st.booleans()), max_size=8))
    with backend(kind, tmp_path_factory.mktemp("store"), request) as opener:
        plain, real = MemoryStore(), opener()
        for some, position, reopen in appends:
            for store in (plain, real):
                store.append(rows(*some), position)
            if reopen:
                real.close()
                real = opener()
            assert content(real) == content(plain)
            assert real.cursor() == plain.cursor()
            assert real.series() == plain.series()
            assert repr(real.latest()) == repr(plain.latest())

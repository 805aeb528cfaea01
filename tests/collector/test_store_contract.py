"""What every store does: the same tests over all of them (`backends`). What is about writing: `test_store_writing`."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store import AHEAD_NS, Rows, Shift, Store, StoreError
from collector.stores import duckdb as duckdb_module
from collector.stores.duckdb import DuckdbStore
from collector.stores.memory import MemoryStore
from gateway.measurement import Columns, Series, Status
from tests.collector.backends import STORES, backend
from tests.effort import examples

LEVEL = Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)")
OXYGEN = Series("riverside", "stack-1", "cems-1", "O2", "%")
ACID = Series("harbour", "outfall", "water", "pH", "")
STREAMS = (("gw-a", b"a" * 16), ("gw-a", b"\x00" * 16), ("gw-b", b"b" * 16))

Row = tuple[Series, int, float | None, tuple[str, bytes], int, int]


def rows(*given: Row) -> Rows:
    """Rows of (series, time, value, stream, seq, index)."""
    series = tuple(dict.fromkeys(row[0] for row in given))
    streams = tuple(dict.fromkeys(row[3] for row in given))
    value = np.array([np.nan if row[2] is None else row[2] for row in given], np.float64)
    return Rows(
        Columns(
            series,
            np.array([series.index(row[0]) for row in given], np.uint16),
            np.array([row[1] for row in given], np.int64),
            value,
            np.where(np.isnan(value), Status.NO_COMM, Status.OK).astype(np.uint8),
        ),
        streams,
        np.array([streams.index(row[3]) for row in given], np.uint16),
        np.array([row[4] for row in given], np.uint64),
        np.array([row[5] for row in given], np.uint16),
    )


def content(store: Store) -> list[tuple[object, ...]]:
    """Everything in a store in the order of keys."""
    kept = store.keys()
    columns = kept.columns
    return sorted(
        (
            *kept.streams[kept.stream_index[n]], int(kept.seq[n]), int(kept.index[n]),
            columns.series[columns.series_index[n]], int(columns.time_ns[n]), str(columns.value[n]),
            int(columns.status[n]),
        )
        for n in range(len(kept))
    )  # fmt: skip


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with backend(request.param, tmp_path, request) as opener:
        yield opener()


A, B, C = STREAMS


def test_an_empty_store_is_at_position_zero(store: Store) -> None:
    assert store.cursor() == 0
    assert store.series() == store.latest() == []
    assert len(store.keys()) == 0
    assert len(store.measurements(LEVEL, 0, 2**62, 10).time_ns) == 0


def test_a_range_is_ordered_half_open_and_limited(store: Store) -> None:
    store.append(rows(*((LEVEL, time, float(time), B, 7, n) for n, time in enumerate([50, 10, 40, 20, 30]))), 1)
    assert store.measurements(LEVEL, 20, 50, 10).time_ns.tolist() == [20, 30, 40]
    assert store.measurements(LEVEL, 0, 100, 2).time_ns.tolist() == [10, 20]
    assert store.measurements(LEVEL, 20, 20, 10).time_ns.tolist() == []


def test_readers_and_the_writer_do_not_disturb_one_another(store: Store) -> None:
    sizes: tuple[list[int], list[int]] = ([], [])
    done = threading.Event()

    def look(sizes: list[int]) -> None:
        while not done.is_set():
            sizes.append(len(store.keys()))
            store.latest(), store.series()
            assert len(store.measurements(LEVEL, 0, 2**62, 10_000).time_ns) % 10 == 0

    readers = [threading.Thread(target=look, args=[seen]) for seen in sizes]
    for reader in readers:
        reader.start()
    for position in range(1, 31):
        store.append(rows(*((LEVEL, position * 10 + n, 1.0, A, position, n) for n in range(10))), position)
    done.set()
    for reader in readers:
        reader.join()
    for seen in sizes:
        assert seen == sorted(seen)
        assert all(size % 10 == 0 for size in seen), "a reader saw half a transaction"
    assert len(store.keys()) == 300


# --- DuckDB alone ---------------------------------------------------------------------------------


def test_a_failed_append_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DuckdbStore(tmp_path / "store.duckdb")
    store.append(rows((LEVEL, 10, 1.0, A, 1, 0)), 1)
    before = content(store)
    real_insert = DuckdbStore._insert

    def refuse(self: DuckdbStore, table: str, *args: object) -> None:
        if table == "latest":
            raise duckdb_module.duckdb.IOException("disk full")
        real_insert(self, table, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(DuckdbStore, "_insert", refuse)
    with pytest.raises(StoreError, match="disk full"):
        store.append(rows((ACID, 99, 1.0, C, 7, 0), (LEVEL, 99, 1.0, A, 9, 0)), 2)
    monkeypatch.undo()
    assert (content(store), store.cursor(), store.series()) == (before, 1, [LEVEL])
    store.append(rows((ACID, 99, 1.0, C, 7, 0), (LEVEL, 98, 1.0, A, 2, 0)), 2)
    assert len(store.keys()) == 3
    assert store.latest() == [(ACID, 99, 1.0, 0), (LEVEL, 98, 1.0, 0)]
    store.close()


class _Failing:
    """A connection whose next COMMIT fails, which ends the transaction as DuckDB itself does."""

    def __init__(self, real: Any) -> None:
        self.real, self.fails = real, True

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "COMMIT" and self.fails:
            self.fails = False
            self.real.execute("ROLLBACK")
            raise duckdb_module.duckdb.IOException("disk full")
        return self.real.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_a_failed_commit_changes_nothing(tmp_path: Path) -> None:
    store = DuckdbStore(tmp_path / "store.duckdb")
    store._writer = _Failing(store._writer)  # type: ignore[assignment]
    added = rows((ACID, 99, 1.0, C, 7, 0), (LEVEL, 98, 1.0, A, 2, 0))
    with pytest.raises(StoreError, match="disk full"):
        store.append(added, 2)
    assert (store.cursor(), store.series(), store.latest()) == (0, [], [])
    store.append(rows((OXYGEN, 7, 21.0, A, 1, 0)), 1)
    store.append(added, 2)
    held = (content(store), store.latest())
    store.close()
    store = DuckdbStore(tmp_path / "store.duckdb")
    assert (content(store), store.latest()) == held
    store.close()


def test_a_store_that_another_process_has_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=r"store\.duckdb: another process has the store open.*stop it"):
            DuckdbStore(path)


def opening(make: Callable[[Path], object], path: Path) -> str:
    make(path)
    with pytest.raises(StoreError) as refused:
        DuckdbStore(path)
    return str(refused.value)


def test_what_is_no_store_is_refused_with_a_hint(tmp_path: Path) -> None:
    assert "move the file away" in opening(lambda path: path.write_bytes(b"?" * 20_000), tmp_path / "junk")
    assert "directory" in opening(lambda path: path.mkdir(), tmp_path / "folder").lower()
    later = tmp_path / "later"
    DuckdbStore(later).close()

    def raise_layout(path: Path) -> None:
        with duckdb_module.duckdb.connect(str(path)) as connection:
            connection.execute("UPDATE state SET layout = 99")

    assert "layout 99" in opening(raise_layout, later)


# --- moved times, and times ahead of their receipt ---------------------------------------------------


def unsynced(*given: Row) -> Rows:
    """Rows that a wrong clock has dated."""
    made = rows(*given)
    status = np.where(made.columns.status == Status.OK, np.uint8(Status.UNSYNCED), made.columns.status)
    return replace(made, columns=msgspec.structs.replace(made.columns, status=status))


def moves(*given: tuple[int, int, int, int]) -> list[Shift]:
    """Moves of stream A: first and last number, shift, told in."""
    return [Shift(*A, *one) for one in given]


def test_a_move_places_what_is_there_and_what_comes_and_adds_no_row(store: Store) -> None:
    store.append(unsynced((LEVEL, 5, 1.0, A, 2, 0), (LEVEL, 6, None, A, 2, 1), (LEVEL, 7, 2.0, B, 2, 0)), 1)
    store.append(rows(), 2, moves((2, 3, 1000, 4)))
    store.append(unsynced((LEVEL, 8, 3.0, A, 3, 0), (LEVEL, 9, 4.0, A, 4, 0)), 3)
    found = store.measurements(LEVEL, 0, 2**62, 10)
    assert found.time_ns.tolist() == [7, 9, 1005, 1006, 1008]
    nothing, flagged, good = Status.NO_COMM, Status.UNSYNCED, Status.OK
    assert found.status.tolist() == [flagged, flagged, good, nothing, good]
    assert len(store.keys()) == 5
    assert store.latest() == [(LEVEL, 1008, 3.0, Status.OK)]
    store.append(rows(), 4, moves((2, 3, -3, 9), (2, 3, 500, 7)))
    assert store.measurements(LEVEL, 0, 2**62, 10).time_ns.tolist() == [2, 3, 5, 7, 9], "what was said last holds"
    assert store.latest() == [(LEVEL, 9, 4.0, Status.UNSYNCED)]


def test_a_move_by_nothing_takes_the_flag_away(store: Store) -> None:
    store.append(unsynced((LEVEL, 5, 1.0, A, 1, 0), (LEVEL, 5, 2.0, A, 1, 1), (LEVEL, 9, None, A, 1, 2)), 1)
    store.append(rows(), 2, moves((1, 1, 0, 2)))
    store.append(rows((LEVEL, 7, 3.0, A, 2, 0)), 3)
    found = store.measurements(LEVEL, 0, 100, 10)
    assert (found.time_ns.tolist(), found.value.tolist()[:3]) == ([5, 5, 7, 9], [1.0, 2.0, 3.0])
    assert found.status.tolist() == [Status.OK, Status.OK, Status.OK, Status.NO_COMM]


@pytest.mark.timeout(examples(180, 1800))
@given(st.data())
@settings(max_examples=examples(5))
@pytest.mark.parametrize("kind", ["duckdb", "influxdb-1.6"])
def test_moves_and_rows_in_any_order_come_to_the_same(
    request: pytest.FixtureRequest, kind: str, data: st.DataObject
) -> None:
    batches = [unsynced((LEVEL, 100 + seq, float(seq), A, seq, 0)) for seq in range(1, 8)]
    ranges = st.tuples(st.integers(1, 7), st.integers(1, 7)).map(sorted)
    told = st.lists(st.tuples(ranges, st.integers(-50, 50)), max_size=4)
    shifts = moves(*((*span, shift, 10 + n) for n, (span, shift) in enumerate(data.draw(told))))
    expected = {}
    for seq in range(1, 8):
        covering = [shift for shift in shifts if shift.from_seq <= seq <= shift.to_seq]
        expected[seq] = 100 + seq + (covering[-1].shift_ns if covering else 0)
    with TemporaryDirectory() as folder, backend(kind, Path(folder), request) as opened:
        stores: list[Store] = [MemoryStore(), opened()]
        for position, thing in enumerate(data.draw(st.permutations([*batches, *shifts])), 1):
            for one in stores:
                one.append(*((rows(), position, [thing]) if isinstance(thing, Shift) else (thing, position)))
        assert content(stores[0]) == content(stores[1])
        assert stores[0].latest() == stores[1].latest()
        found = stores[1].keys()
        assert dict(zip(found.seq.tolist(), found.columns.time_ns.tolist(), strict=True)) == expected
        stores[1].close()
        again = opened()
        again.append(unsynced((LEVEL, 200, 1.0, A, 3, 1)), 99)
        moved = expected[3] - 103
        assert again.measurements(LEVEL, 200 + moved, 201 + moved, 1).value.tolist() == [1.0], "moves are kept"
        again.close()


def test_a_time_ahead_of_its_receipt_is_not_the_newest(store: Store) -> None:
    def received(made: Rows, now_ns: int) -> Rows:
        return replace(made, received_ns=np.full(len(made), now_ns, np.int64))

    store.append(received(rows((LEVEL, AHEAD_NS * 1000, 99.0, A, 2, 0)), 10), 1)
    assert store.latest()[0][2] == 99.0, "better than nothing"
    store.append(received(rows((LEVEL, 20, 50.0, A, 3, 0), (LEVEL, AHEAD_NS * 900, 98.0, A, 3, 1)), 20), 2)
    assert store.latest() == [(LEVEL, 20, 50.0, Status.OK)]
    store.append(received(rows((LEVEL, 30 + AHEAD_NS, 51.0, A, 4, 0)), 30), 3)
    assert store.latest() == [(LEVEL, 30 + AHEAD_NS, 51.0, Status.OK)]
    assert len(store.keys()) == 4, "it is kept"

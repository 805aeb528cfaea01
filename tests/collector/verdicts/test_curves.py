"""Curves that are kept are those of the book, whatever came meanwhile."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.book import Book
from collector.verdicts.curves import Curve, Shelf, read
from collector.verdicts.records import Average
from tests.effort import examples

HOUR_NS = 3600 * 10**9


def average(hour: int, value: float | None, version: int, window: str, point: str) -> Average:
    return Average(
        plant="p", point=point, parameter="NOx", window=window, from_ns=hour * HOUR_NS, to_ns=(hour + 1) * HOUR_NS,
        value=value, unit="mg/m3", coverage=1.0, valid=value is not None, count=1, version=version,
    )  # fmt: skip


changes = st.lists(
    st.tuples(st.integers(0, 12), st.none() | st.integers(0, 9).map(float), st.sampled_from("ab")), max_size=8
)


@settings(max_examples=examples(25, 500))
@given(
    commits=st.lists(changes, max_size=5), window=st.sampled_from(["1m", "1h"]),
    span=st.tuples(st.integers(-1, 13), st.integers(-1, 13)), limit=st.integers(0, 9),
)  # fmt: skip
def test_a_curve_is_the_newest_versions_of_its_span(commits: Any, window: str, span: Any, limit: int) -> None:
    versions: dict[tuple[int, str], int] = {}
    newest: dict[tuple[int, str], float | None] = {}
    with TemporaryDirectory() as folder, closing(Book(Path(folder) / "verdicts.db")) as book:
        for number, commit in enumerate(commits, 1):
            rows = []
            for hour, value, point in commit:
                versions[hour, point] = versions.get((hour, point), 0) + 1
                newest[hour, point] = value
                rows.append(average(hour, value, versions[hour, point], window, point))
            book.commit(rows, [], derived_ns=number, state=b"", position=number)
            for point in "ab":
                found = book.curve(
                    "p", point, parameter="NOx", window=window, from_ns=span[0] * HOUR_NS, to_ns=span[1] * HOUR_NS,
                    limit=limit,
                )  # fmt: skip
                hours = sorted(h for h, of in newest if of == point and span[0] <= h < span[1])[:limit]
                assert (found.from_ns // HOUR_NS).tolist() == hours
                expected = np.array([newest[hour, point] for hour in hours], np.float64)
                np.testing.assert_array_equal(found.value, expected)
                assert found.valid.tolist() == (~np.isnan(expected)).tolist()


def curve(n: int) -> Curve:
    return read([(hour, 1.0, None, 2.0, 1) for hour in range(n)])


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    shelf = Shelf(rows_max=10)
    assert shelf.get("a") is None
    shelf.put("a", 1, curve(4))
    shelf.put("b", 2, curve(5))
    shelf.put("a", 3, curve(5))
    assert [shelf.get(key) is not None for key in "ab"] == [True, True]
    shelf.put("c", 4, curve(1))
    assert [shelf.get(key) is not None for key in "abc"] == [True, False, True]
    assert shelf.get("a") == (3, shelf.get("a")[1])  # type: ignore[index]
    shelf.put("long", 5, curve(11))
    assert [shelf.get(key) for key in ("a", "c", "long")] == [None, None, None], "it is longer than the shelf"


def test_of_no_rows_there_is_a_curve_too() -> None:
    assert len(read(())) == 0
    assert read(()).with_rows(read(())).part(0, 1, 1).valid.tolist() == []
    assert np.isnan(curve(1).maximum[0])

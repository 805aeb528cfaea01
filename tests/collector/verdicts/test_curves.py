"""Curves are those of the rows of the book, whatever came meanwhile and whatever became of the columns."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import book_curves, curves
from collector.verdicts.book import END_NS, Book
from collector.verdicts.records import Average
from tests.effort import examples

HOUR_NS = 3600 * 10**9


def average(hour: int, value: float | None, version: int, window: str, point: str) -> Average:
    return Average(
        plant="p", point=point, parameter="NOx", window=window, from_ns=hour * HOUR_NS, to_ns=(hour + 1) * HOUR_NS,
        value=value, unit="mg/m3", coverage=1.0, valid=value is not None, count=1, version=version,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """Parts, steps and what is left behind are so small that a handful of rows shows all there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "PART", 4)
        patch.setattr(book_curves, "FEW", 3)
        patch.setattr(book_curves, "STEP", 7)
        yield


changes = st.lists(
    st.tuples(st.integers(-2, 12), st.none() | st.integers(0, 9).map(float), st.sampled_from("ab")), max_size=8
)


@settings(max_examples=examples(25, 500))
@given(
    commits=st.lists(changes, max_size=5), window=st.sampled_from(["1m", "1h", "24h"]),
    span=st.tuples(st.integers(-3, 13), st.integers(-3, 13)), limit=st.integers(0, 9),
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


# --- columns that are lost -------------------------------------------------------------------------

WINDOWS = ("1h", "1m", "24h")
HARM = {
    "none": "",
    "of no version": "DROP TABLE curve; DROP TABLE curve_upto",
    "without parts": "DROP TABLE curve",
    "of another layout": "DROP TABLE curve; CREATE TABLE curve (other TEXT); UPDATE curve_upto SET layout = 0",
    "a part removed": "DELETE FROM curve WHERE rowid = (SELECT min(rowid) FROM curve)",
    "a part cut": "UPDATE curve SET body = substr(body, 2) WHERE rowid % 2",
    "parts changed": "UPDATE curve SET body = zeroblob(length(body))",
    "written without": "UPDATE curve_upto SET upto = upto / 2",
}


DAMAGED = {"a part cut", "parts changed"}


def commit(book: Book, version: int, hours: Any) -> None:
    """Averages of some hours, as windows of three kinds."""
    rows = [average(hour, hour + version / 8, version, window, "a") for hour in hours for window in WINDOWS]
    book.commit(rows, [], derived_ns=version, state=b"", position=version)


def agree(book: Book) -> None:
    """What charts show is what the rows say."""
    for window in WINDOWS:
        found = book.curve("p", "a", parameter="NOx", window=window, from_ns=-END_NS, to_ns=END_NS)
        shown = list(zip(found.from_ns.tolist(), found.value.tolist(), found.valid.tolist(), strict=True))
        rows = [row.average for row in book.averages(window=window)]
        assert shown == sorted((row.from_ns, row.value, row.valid) for row in rows)


def fold_all(book: Book) -> list[Any]:
    """The parts, with not a single row behind."""
    book_curves.fold(book._writer, END_NS)
    return book._rows("SELECT * FROM curve ORDER BY plant, point, window, parameter, part")


def year(path: Path) -> None:
    """A book of twenty hours, some of them in two versions."""
    with closing(Book(path)) as book:
        for day in range(4):
            commit(book, 1, range(day * 5, day * 5 + 5))
        commit(book, 2, [1, 2, 9])


@settings(max_examples=examples(10, 500))
@given(harm=st.sampled_from(sorted(HARM)), late=st.lists(st.integers(0, 20), unique=True, max_size=5))
def test_columns_that_are_lost_are_made_anew(harm: str, late: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "verdicts.db"
        year(path)
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT count(*) FROM curve").fetchone() == (6,)
            database.executescript(HARM[harm])
        with closing(Book(path)) as book:
            agree(book)
            commit(book, 3, late)
            agree(book)
            while book.fold(book_curves.STEP):
                agree(book)
            if harm not in DAMAGED:  # what nothing comes to stays damaged, and is read from the rows
                kept = fold_all(book)
                book._writer.execute("DELETE FROM curve")
                assert fold_all(book) == kept
            agree(book)


def test_a_damaged_part_is_whole_again_when_something_comes_to_it(tmp_path: Path) -> None:
    year(path := tmp_path / "verdicts.db")
    with closing(Book(path)) as book:
        kept = fold_all(book)
        book._writer.execute(HARM["parts changed"])
        commit(book, 2, [0, *range(3, 9), *range(10, 20)])
        commit(book, 3, [1, 2, 9])
        assert len(fold_all(book)) == len(kept)
        assert all(curves.whole(crc, body) for *_, crc, body in fold_all(book))
        agree(book)


def test_the_columns_of_an_older_book_come_by_steps(tmp_path: Path) -> None:
    year(path := tmp_path / "verdicts.db")
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE curve; DROP TABLE curve_upto")
    with closing(Book(path)) as book:
        assert book_curves.behind(book._writer) == (0, 69), "nothing is done at the start"
        steps = 1
        while book.fold(book_curves.STEP):
            assert book_curves.behind(book._writer) == (steps * book_curves.STEP, 69)
            agree(book)
            steps += 1
        assert steps == (69 - book_curves.FEW) // book_curves.STEP + 1


def test_of_many_rows_few_are_left_behind(tmp_path: Path) -> None:
    with closing(Book(tmp_path / "verdicts.db")) as book:
        for version in range(1, 6):
            commit(book, version, range(30))
            upto, latest = book_curves.behind(book._writer)
            assert latest - upto < book_curves.FEW


def test_a_crash_while_columns_are_written_leaves_them_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed, images = curves.packed, list[Path]()

    def photographed(rows: curves.Rows) -> tuple[int, bytes]:
        images.append(tmp_path / f"image-{len(images)}")
        shutil.copytree(tmp_path / "book", images[-1])
        return packed(rows)

    monkeypatch.setattr(curves, "packed", photographed)
    year(tmp_path / "book" / "verdicts.db")
    assert len(images) > 9
    for image in images:
        with closing(Book(image / "verdicts.db")) as book:
            agree(book)
            upto, latest = book_curves.behind(book._writer)
            assert upto < latest, "the commit before is there, what it was interrupted at is not"


def test_columns_that_cannot_be_written_keep_no_average_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(rows: curves.Rows) -> tuple[int, bytes]:
        raise sqlite3.OperationalError("database or disk is full")

    with closing(Book(tmp_path / "verdicts.db")) as book:
        with monkeypatch.context() as patch:
            patch.setattr(curves, "packed", full)
            commit(book, 1, range(9))
            assert not book.fold()
        assert book.cursor() == 1
        agree(book)
        commit(book, 2, range(9))
        agree(book)


def test_columns_that_are_lost_under_an_open_book_harm_nobody(tmp_path: Path) -> None:
    with closing(Book(tmp_path / "verdicts.db")) as book, closing(sqlite3.connect(tmp_path / "verdicts.db")) as other:
        commit(book, 1, range(9))
        other.execute("DROP TABLE curve")
        other.commit()
        commit(book, 2, range(9))
        assert book.cursor() == 2
        agree(book)


def test_a_chart_drawn_meanwhile_is_of_one_moment(tmp_path: Path) -> None:
    with closing(Book(tmp_path / "verdicts.db")) as book:
        commit(book, 1, range(12))
        writer = Thread(target=lambda: [commit(book, version, range(12)) for version in range(2, 40)])
        writer.start()
        while writer.is_alive():
            found = book.curve("p", "a", parameter="NOx", window="1h", from_ns=0, to_ns=END_NS)
            assert len(set((found.value - np.arange(12)).tolist())) == 1
        writer.join()
        agree(book)


def test_of_no_rows_there_is_a_curve_too() -> None:
    none = curves.curve(curves.newest(curves.rows([])), 0, 1, 1)
    assert (len(none), none.valid.tolist()) == (0, [])
    one = curves.curve(curves.rows([(0, 1.0, None, 2.0, 1)]), 0, 1, 1)
    assert np.isnan(one.maximum[0])

"""The book keeps every version, forgets nothing, and commits a tick as a whole."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.verdicts.book import Book, BookError
from collector.verdicts.records import Average, Change, Exceedance, Standing

HOUR_NS = 3_600_000_000_000


def average(hour: int = 0, **changes: Any) -> Average:
    values: dict[str, Any] = {
        "plant": "p", "point": "stack-1", "parameter": "NOx", "window": "1h", "from_ns": hour * HOUR_NS,
        "to_ns": (hour + 1) * HOUR_NS, "value": 45.5, "unit": "mg/m3", "coverage": 0.75, "valid": True, "count": 540,
        "evaluated": 51.25, "maximum": 60.0, "percentiles": {"L90": 1.5}, "inputs": {"counts": {"ok": 540}},
    }  # fmt: skip
    return Average(**{**values, **changes})


def exceedance(hour: int = 0, **changes: Any) -> Exceedance:
    values: dict[str, Any] = {
        "plant": "p", "point": "stack-1", "parameter": "NOx", "pack": "ultra-low-2015", "clause": "nox-hour",
        "cite": "table 1", "title": "NOx", "window": "1h", "from_ns": hour * HOUR_NS, "to_ns": (hour + 1) * HOUR_NS,
        "value": 51.25, "limit": 50.0, "unit": "mg/m3", "standing": Standing.EVIDENCE, "verified": True,
        "evidence": {"clause": {"cite": "table 1"}},
    }  # fmt: skip
    return Exceedance(**{**values, **changes})


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "collector" / "verdicts.db")
    yield opened
    opened.close()


def test_a_record_comes_back_as_it_went_in(book: Book) -> None:
    book.commit([average()], [exceedance()], derived_ns=7, state=b"s", position=9)
    (kept,) = book.averages()
    (found,) = book.exceedances()
    assert (kept.id, kept.derived_ns, kept.average) == (1, 7, average())
    assert (found.id, found.derived_ns, found.exceedance) == (1, 7, exceedance())
    assert book.exceedance(1) == found
    assert book.exceedance(2) is None
    assert book.state() == (9, b"s")
    assert book.cursor() == 9


def test_nothing_is_not_a_number(book: Book) -> None:
    nothing = average(value=None, evaluated=float("nan"), maximum=None, valid=False, percentiles={}, inputs={})
    book.commit([nothing], [], derived_ns=0, state=b"", position=1)
    (kept,) = book.averages()
    assert (kept.average.value, kept.average.evaluated, kept.average.maximum) == (None, None, None)
    assert not kept.average.valid


def test_the_newest_version_is_shown_and_the_old_one_kept(book: Book) -> None:
    book.commit([average(), average(1)], [exceedance()], derived_ns=1, state=b"", position=1)
    book.commit(
        [average(value=1.0, version=2)],
        [exceedance(change=Change.WITHDRAWN, version=2)],
        derived_ns=2, state=b"", position=2,
    )  # fmt: skip
    assert [(r.id, r.average.version) for r in book.averages()] == [(2, 1), (3, 2)]
    assert [(r.id, r.average.version) for r in book.averages(newest=False)] == [(1, 1), (2, 1), (3, 2)]
    assert [r.exceedance.change for r in book.exceedances()] == [Change.OPENED, Change.WITHDRAWN]
    assert [r.exceedance.change for r in book.exceedances(newest=True)] == [Change.WITHDRAWN]
    curve = book.curve("p", "stack-1", parameter="NOx", window="1h", from_ns=0, to_ns=2 * HOUR_NS)
    assert curve.value.tolist() == [1.0, 45.5]
    assert curve.from_ns.tolist() == [0, HOUR_NS]
    assert curve.valid.tolist() == [True, True]


def test_readers_filter_and_page(book: Book) -> None:
    rows = [average(hour, point=point) for hour in range(4) for point in ("a", "b")]
    book.commit(
        rows, [exceedance(h, clause=c) for h in range(3) for c in ("x", "y")], derived_ns=0, state=b"", position=1
    )
    assert [r.average.from_ns for r in book.averages(point="a", from_ns=HOUR_NS, to_ns=3 * HOUR_NS)] == [
        HOUR_NS,
        2 * HOUR_NS,
    ]
    first = book.averages(limit=3)
    assert [r.id for r in first] == [1, 2, 3]
    assert [r.id for r in book.averages(limit=3, after_id=first[-1].id)] == [4, 5, 6]
    assert [r.id for r in book.exceedances(clause="y", after_id=2)] == [4, 6]
    assert book.latest_id() == 6
    empty = book.curve("p", "nobody", parameter="NOx", window="1h", from_ns=0, to_ns=1)
    assert len(empty.value) == len(empty.valid) == 0


def test_nothing_can_be_changed_or_removed(book: Book, tmp_path: Path) -> None:
    book.commit([average()], [exceedance()], derived_ns=1, state=b"", position=1)
    with sqlite3.connect(tmp_path / "collector" / "verdicts.db") as other:
        for sql in (
            "UPDATE average SET value = 1",
            "DELETE FROM average",
            "UPDATE exceedance SET late = 1",
            "DELETE FROM exceedance",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(sql)
    other.close()


def test_a_failed_commit_leaves_nothing(book: Book) -> None:
    book.commit([average()], [], derived_ns=1, state=b"old", position=1)
    with pytest.raises(sqlite3.IntegrityError):
        book.commit([average(1), average()], [], derived_ns=2, state=b"new", position=2)
    assert len(book.averages()) == 1
    assert book.state() == (1, b"old")
    book.commit([average(1)], [], derived_ns=3, state=b"new", position=3)
    assert len(book.averages()) == 2


def test_a_follower_waits_for_news(book: Book) -> None:
    assert book.wait(0, 0.01) == 0
    later = threading.Timer(0.05, lambda: book.commit([], [exceedance()], derived_ns=1, state=b"", position=1))
    later.start()
    assert book.wait(0, 4.0) == 1
    later.join()


def test_a_book_survives_closing(tmp_path: Path) -> None:
    first = Book(tmp_path / "verdicts.db")
    first.commit([average()], [], derived_ns=1, state=b"s", position=5)
    first.close()
    second = Book(tmp_path / "verdicts.db")
    assert (second.state(), len(second.averages())) == ((5, b"s"), 1)
    second.close()


def test_a_foreign_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all, but long enough to look at" * 20)
    with pytest.raises(BookError, match="rebuild"):
        Book(tmp_path / "a.db")
    newer = sqlite3.connect(tmp_path / "b.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(BookError, match="format 99"):
        Book(tmp_path / "b.db")

"""Marks in the verdicts: what is judged under them, when, and that it is a function of the journal alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.marks import Filed, Kind, Mark, Named, Old, SheetFile, SoundCheck, Swap, sign
from collector.store import Entry, EntryKind
from collector.verdicts.agenda import MARKED_NS
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from collector.verdicts.marks import Layer, overlay
from collector.verdicts.screening import signal
from collector.verdicts.states import State
from gateway.measurement import SECOND_NS, Status
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, MemoryJournal, fence, site
from tests.effort import examples

KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
START_NS = 1_793_500_000 * SECOND_NS // HOUR_NS * HOUR_NS  # 2026-11-01T02:00Z, 10:00 at the mill
RULES = site_rules([site()])


def marked(from_ns: int, to_ns: int, kind: Kind = Kind.INVALID, **more: Any) -> Mark:
    fields = {
        "plant": "mill", "point": "fence", "from_ns": from_ns, "to_ns": to_ns, "kind": kind, "reason": "a crow",
        "author": "li.na", "role": "plant", "made_ns": 1, "old": Old(1, 0, "00" * 32),
    }  # fmt: skip
    return Mark(**{**fields, **more})


def filed(position: int, mark: Mark) -> Filed:
    return Filed(position, 1, b"", mark)


def say(journal: MemoryJournal, now_ns: int, mark: Mark) -> int:
    position = len(journal.entries) + 1
    journal.add(Entry(position, now_ns, EntryKind.MARK, payload=sign(mark, KEY)))
    return position


def follow(journal: MemoryJournal, book: Book) -> Line:
    line = Line(journal, book, *RULES)
    for entry in journal.read(line.position, 10**6):
        line.take(entry)
    return line


def hours(n: int, level: float = 70.0) -> MemoryJournal:
    """Levels over the limit of the day, every ten seconds for some hours, and ticks behind them."""
    journal = MemoryJournal()
    for hour in range(n):
        times = START_NS + hour * HOUR_NS + np.arange(0, HOUR_NS, 10 * SECOND_NS)
        journal.batch(START_NS + (hour + 1) * HOUR_NS, fence(times, level))
        journal.tick(START_NS + (hour + 1) * HOUR_NS + 20 * SECOND_NS)
    return journal


def versions(book: Book, **query: Any) -> list[tuple[int, float | None, Any]]:
    rows = book.averages(newest=False, parameter="LAeq", **query)
    return [(row.average.version, row.average.value, row.average.inputs.get("marks")) for row in rows]


HOUR = {"window": "1h", "from_ns": START_NS, "to_ns": START_NS + 1}


def test_a_mark_makes_new_versions_of_the_windows_it_touches_and_of_no_others(tmp_path: Path) -> None:
    journal = hours(3)
    now_ns = START_NS + 3 * HOUR_NS + MINUTE_NS
    first = say(journal, now_ns, marked(START_NS, START_NS + 20 * MINUTE_NS))
    journal.tick(now_ns)
    back = say(journal, now_ns, marked(START_NS, START_NS + 20 * MINUTE_NS, Kind.REVOCATION,
                                       revokes=Named(first, "00" * 32)))  # fmt: skip
    journal.tick(now_ns + 5 * SECOND_NS)
    book = Book(tmp_path / "verdicts.db")
    follow(journal, book)
    level = pytest.approx(70)
    assert versions(book, **HOUR) == [(1, level, None), (2, level, [first]), (3, level, None)]
    counts = [row.average.count for row in book.averages(newest=False, parameter="LAeq", **HOUR)]
    assert counts == [360, 240, 360]
    minute = {"window": "1m", "from_ns": START_NS, "to_ns": START_NS + 1}
    assert versions(book, **minute) == [(1, level, None), (2, None, [first]), (3, level, None)]
    later = {"window": "1h", "from_ns": START_NS + HOUR_NS, "to_ns": START_NS + 3 * HOUR_NS}
    assert [version for version, _, _ in versions(book, **later)] == [1, 1]
    assert [one.position for one in book.marks()] == [first, back]
    book.close()


def test_what_is_to_come_is_judged_under_the_mark_when_it_comes(tmp_path: Path) -> None:
    journal = MemoryJournal()
    position = say(journal, START_NS - MINUTE_NS, marked(START_NS, START_NS + HOUR_NS, Kind.MAINTENANCE))
    journal.tick(START_NS - MINUTE_NS)
    journal.entries += [Entry(e.position + 2, e.received_ns, e.kind, e.gateway, e.epoch, e.seq, e.payload, e.first_ns,
                              e.last_ns) for e in hours(1).entries]  # fmt: skip
    book = Book(tmp_path / "verdicts.db")
    follow(journal, book)
    assert versions(book, **HOUR) == [(1, None, [position])]
    book.close()


SILENT: list[dict[str, Any]] = [
    {"kind": Kind.NOTE},
    {"kind": Kind.SWAP, "sensor": "slm", "swap": Swap(serial="N-2", as_found=93.9, as_left=94.0)},
    {"kind": Kind.SOUND_CHECK, "sensor": "slm",
     "sound_check": SoundCheck(level=94, as_found=94.2, as_left=94, tolerance=0.5, passed=True)},
    {"kind": Kind.SHEET, "sheet": SheetFile(name="a.pdf", bytes=1, sha256="0" * 64)},
]  # fmt: skip


@pytest.mark.parametrize("said", SILENT, ids=lambda said: said["kind"].value)
def test_what_changes_nothing_dirties_nothing(tmp_path: Path, said: dict[str, Any]) -> None:
    journal = hours(1)
    book = Book(tmp_path / "verdicts.db")
    follow(journal, book)
    loaded = journal.loaded
    say(journal, START_NS + HOUR_NS + MINUTE_NS, marked(START_NS, START_NS + HOUR_NS, **said))
    journal.tick(START_NS + HOUR_NS + MINUTE_NS)
    follow(journal, book)
    assert journal.loaded == loaded, "nothing is judged anew"
    assert versions(book, **HOUR) == [(1, pytest.approx(70), None)]
    assert len(book.marks()) == 1
    book.close()


@pytest.mark.parametrize("stop", range(4, 12))
def test_a_stop_anywhere_leads_to_the_same_book(tmp_path: Path, stop: int) -> None:
    """A mark of three days is taken up a day a tick; where the process stops in between, it goes on there."""
    journal = hours(3)
    now_ns = START_NS + 3 * HOUR_NS + MINUTE_NS
    say(journal, now_ns, marked(START_NS - 2 * MARKED_NS, START_NS + 2 * HOUR_NS, Kind.CORRECTION, parameter="LAeq",
                                offset=-1.0))  # fmt: skip
    journal.ticks(now_ns, now_ns + 25 * SECOND_NS)
    whole, parts = Book(tmp_path / "whole.db"), Book(tmp_path / "parts.db")
    follow(journal, whole)
    line = Line(journal, parts, *RULES)
    for entry in journal.read(0, stop):
        line.take(entry)
    follow(journal, parts)
    assert [a.average for a in whole.averages(newest=False)] == [a.average for a in parts.averages(newest=False)]
    assert [e.exceedance for e in whole.exceedances()] == [e.exceedance for e in parts.exceedances()]
    assert whole.marks() == parts.marks()
    assert [value for _, value, _ in versions(whole, **HOUR)] == [pytest.approx(70), pytest.approx(69)]
    whole.close()
    parts.close()


TIMES = np.arange(10, dtype=np.int64)
VALUES = np.arange(10.0)
GOOD = np.zeros(10, np.uint8)
OF_SENSOR = {"slm": TIMES < 8, "old": TIMES >= 8}


def test_the_later_mark_has_the_last_word_and_each_starts_from_what_was_measured() -> None:
    marks = [
        filed(1, marked(0, 6, Kind.CORRECTION, parameter="LAeq", scale=2.0)),
        filed(2, marked(2, 4)),
        filed(3, marked(3, 9, Kind.CORRECTION, parameter="LAeq", offset=100.0)),
        filed(4, marked(5, 7, Kind.CORRECTION, parameter="LAeq", values=((5, 55.0),))),
        filed(5, marked(0, 10, Kind.CALIBRATION, sensor="old")),
    ]
    status = GOOD.copy()
    status[5] = Status.FAULT
    laid = overlay(marks, TIMES, VALUES, status, OF_SENSOR)
    assert laid.mark.tolist() == [1, 1, 2, 3, 3, 4, 3, 3, 5, 5]
    assert laid.value.tolist() == [0, 2, 2, 103, 104, 55, 106, 107, 8, 9]
    assert laid.status.tolist() == [0, 0, Status.FAULT, 0, 0, 0, 0, 0, Status.CALIBRATION, Status.CALIBRATION]
    assert (np.arange(10.0) == VALUES).all()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10), st.sampled_from(list(Kind)[:3])), max_size=8))
@settings(max_examples=examples(100))
def test_a_row_has_the_status_of_the_last_mark_over_it(spans: list[tuple[int, int, Kind]]) -> None:
    marks = [filed(n, marked(a, a + b, kind)) for n, (a, b, kind) in enumerate(spans, 1)]
    laid = overlay(marks, TIMES, VALUES, GOOD, OF_SENSOR)
    for time_ns in range(10):
        over = [one for one in marks if one.mark.from_ns <= time_ns < one.mark.to_ns]
        assert laid.mark[time_ns] == (over[-1].position if over else 0)
        assert (laid.status[time_ns] == 0) == (not over)


def test_a_layer_knows_what_was_taken_back() -> None:
    marks = [filed(1, marked(0, 5)), filed(2, marked(0, 5, Kind.REVOCATION, revokes=Named(1, "00" * 32))),
             filed(3, marked(3, 9, Kind.NOTE)), filed(4, marked(4, 6))]  # fmt: skip
    layer = Layer(marks)
    assert [one.position for one in layer.standing("mill", "fence", 0, 10)] == [4]
    assert [one.position for one in Layer(marks[:1]).standing("mill", "fence", 0, 10)] == [1]
    assert layer.standing("mill", "fence", 6, 10) == layer.standing("mill", "stack", 0, 10) == []
    assert (layer.revoked_by(1), layer.revoked_by(4)) == (2, 0)
    assert all(a.position < b.position for a, b in pairwise(marks))


def test_a_state_of_the_plant_changes_no_value_and_hides_no_mark() -> None:
    marks = [filed(1, marked(0, 6)), filed(2, marked(2, 9, Kind.STOPPED))]
    laid = overlay(marks, TIMES, VALUES, GOOD, OF_SENSOR)
    assert laid.mark.tolist() == [1] * 6 + [0] * 4
    assert (laid.value == VALUES).all()
    layer = Layer(marks)
    assert layer.states("mill", "fence", 0, 10) == [State(state="stopped", from_ns=2, to_ns=9)]
    assert layer.states("mill", "fence", 9, 10) == []
    layer.add(filed(3, marked(2, 9, Kind.REVOCATION, revokes=Named(2, "00" * 32))))
    assert layer.states("mill", "fence", 0, 10) == []


def test_a_mark_of_the_whole_point_leaves_the_channel_of_its_state() -> None:
    signals = {
        name: signal(name, "", time_ns=TIMES, value=VALUES, status=GOOD, interval_ns=1)
        for name in ("SO2", "plant_state")
    }
    layer = Layer([filed(1, marked(0, 10))])
    found = layer.over("mill", "fence", signals)
    assert (found["SO2"].status == Status.FAULT).all()
    assert (found["plant_state"].status == Status.OK).all()
    own = Layer([filed(1, marked(0, 10, parameter="plant_state"))]).over("mill", "fence", signals)
    assert (own["plant_state"].status != Status.OK).all()

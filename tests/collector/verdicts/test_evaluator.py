"""The evaluator is a function of the journal: not of reads, restarts or memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.shifts import Shifts, told_in
from collector.store import Entry, EntryKind
from collector.verdicts import evaluator as module
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Evaluator, Line, measurements, site_rules
from collector.verdicts.judgement import derive
from collector.verdicts.recent import Recent
from collector.verdicts.records import Change
from collector.verdicts.windows import windows
from gateway.document import FaultyFiles
from gateway.measurement import SECOND_NS, Series, Status
from tests.collector.verdicts.lines import (
    HOUR_NS,
    MINUTE_NS,
    RULES,
    SITE,
    MemoryJournal,
    fence,
    newest,
    one,
    rows,
    run,
    site,
)  # fmt: skip
from tests.effort import examples

# 2026-11-20 21:50 in Shanghai: ten minutes before the night.
START_NS = 1_795_182_600 * SECOND_NS
STACK = [
    Series("mill", "stack", "cems", "NOx", "mg/m3"), Series("mill", "stack", "cems", "O2", "%"),
    Series("mill", "stack", "gas", "temperature", "degC"), Series("mill", "stack", "gas", "pressure", "kPa"),
    Series("mill", "stack", "gas", "moisture", "%"),
]  # fmt: skip
CONDITIONS = {"NOx": 30.0, "O2": 8.0, "temperature": 100.0, "pressure": -0.5, "moisture": 10.0}


@pytest.fixture
def book(tmp_path: Path) -> Any:
    opened = Book(tmp_path / "verdicts.db")
    yield opened
    opened.close()


def test_judging_steps_back_while_a_backlog_pours_in_and_only_then() -> None:
    assert module.rest_s(module.READ, 0.2, 700) == pytest.approx(17 / 15), "a seventh of the time"
    assert module.rest_s(module.READ, 9.0, 7000) == 3.0
    assert module.rest_s(module.READ, 0.2, 300) == 0.0, "it is behind, and makes it good"
    assert module.rest_s(20, 0.02, 50) == 0.0, "it keeps up"


@st.composite
def journals(draw: st.DrawFn) -> MemoryJournal:
    """Some minutes of a mill: two gateways, late and repeated spans, gaps, ticks at any time, one new epoch."""
    journal, now = MemoryJournal(), START_NS
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    epoch = 1
    for _ in range(draw(st.integers(3, 25))):
        now += draw(st.integers(0, 70)) * SECOND_NS
        match draw(st.sampled_from(["live", "live", "late", "stack", "tick", "tick", "restart", "other", "move"])):
            case "live":
                times = np.arange(now - 60 * SECOND_NS, now, 10 * SECOND_NS) // SECOND_NS * SECOND_NS
                journal.batch(now, fence(times, rng.normal(52, 8, len(times))), epoch=epoch)
            case "late":
                back = draw(st.integers(1, 30)) * MINUTE_NS
                times = np.arange(now - back, now - back + draw(st.integers(1, 40)) * 10 * SECOND_NS, 10 * SECOND_NS)
                values = np.where(rng.random(len(times)) < 0.1, np.nan, rng.normal(55, 9, len(times)))
                journal.batch(now, fence(times, values), gateway="history")
            case "stack":
                times = np.arange(now - 3 * MINUTE_NS, now, 5 * SECOND_NS)
                for series in STACK:
                    journal.batch(now, one(series, times, rng.normal(CONDITIONS[series.parameter], 1.0, len(times))))
            case "restart":
                epoch += 1
            case "move":
                seqs = sorted(draw(st.tuples(st.integers(2, 9), st.integers(2, 9))))
                shift = draw(st.sampled_from([0, 60, -600, 7200])) * SECOND_NS
                journal.move(now, (seqs[0], seqs[1]), shift, told_in=10 + len(journal.entries), epoch=epoch)
            case "other":
                journal.batch(now, one(Series("elsewhere", "p", "s", "LAeq", "dB(A)"), [now], 99.0), plant="elsewhere")
            case "tick":
                journal.tick(now)
        for _ in range(draw(st.integers(0, 2))):
            now += 10 * SECOND_NS
            journal.tick(now)
    for _ in range(20):
        now += 30 * SECOND_NS
        journal.tick(now)
    return journal


@settings(max_examples=examples(12, 300))
@given(journal=journals(), data=st.data())
def test_restarts_at_any_place_and_reads_of_any_size_give_the_same_rows(journal: MemoryJournal, data: Any) -> None:
    with TemporaryDirectory() as folder:
        whole, broken = Book(f"{folder}/a.db"), Book(f"{folder}/b.db")
        run(journal, whole)
        journal.most = data.draw(st.integers(1, 9))
        everywhere = range(1, len(journal.entries) + 1)
        stops = data.draw(st.just(list(everywhere)) | st.lists(st.sampled_from(everywhere), max_size=8))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "COMMIT_AFTER", data.draw(st.sampled_from([1, 3, 500])))
            run(journal, broken, stops)
        assert rows(broken) == rows(whole)
        whole.close()
        broken.close()


@settings(max_examples=examples(8, 200))
@given(journal=journals())
def test_what_is_known_in_the_end_is_what_all_measurements_together_say(journal: MemoryJournal) -> None:
    with TemporaryDirectory() as folder:
        book = Book(f"{folder}/a.db")
        run(journal, book)
        recent, shifts = Recent(RULES[1], virgin=True), Shifts(told_in(journal.entries))
        for entry in journal.entries:
            columns = measurements(entry)
            if columns is not None:
                recent.add(shifts.columns(entry, columns))
        end = journal.entries[-1].received_ns
        for (plant, point), rules in RULES[0].items():
            span = START_NS - HOUR_NS, end - MINUTE_NS
            wanted = {"1m": windows("1m", rules.timezone, *span)}
            signals = recent.signals(plant, point, START_NS - 24 * HOUR_NS, end + HOUR_NS)
            expected = {(a.parameter, a.from_ns): a for a in derive(rules, signals, wanted).averages}
            got = {(a.parameter, a.from_ns): a for (p, _, w, _), a in newest(book).items() if p == point and w == "1m"}
            emptied = {key for key, a in got.items() if key not in expected and not (a.count or a.inputs)}
            assert got.keys() - emptied == expected.keys()
            for key, average in expected.items():
                assert (got[key].value, got[key].count, got[key].evaluated) == (
                    average.value,
                    average.count,
                    average.evaluated,
                )
        book.close()


def test_a_live_minute_is_derived_once_after_the_grace(book: Book) -> None:
    journal = MemoryJournal()
    for second in range(0, 120, 10):
        now = START_NS + second * SECOND_NS
        journal.batch(now, fence([now], 50.0))
        if second % 5 == 0:
            journal.tick(now)
    run(journal, book)
    (only,) = book.averages(window="1m")
    assert only.average.value == pytest.approx(50.0)
    assert (only.average.from_ns, only.average.coverage, only.average.version) == (START_NS, 1.0, 1)
    assert only.derived_ns == START_NS + 80 * SECOND_NS  # end + grace, at the next tick


def test_a_backlog_is_derived_once_it_has_gone_past(book: Book) -> None:
    journal, now = MemoryJournal(), START_NS + 10 * HOUR_NS
    for minute in range(120):
        times = START_NS + (minute * 60 + np.arange(0, 60, 10)) * SECOND_NS
        journal.batch(now, fence(times, 50.0 + minute % 7), gateway="history")
        now += SECOND_NS // 3
        if minute % 10 == 9:
            journal.tick(now)
    journal.ticks(now, now + 70 * SECOND_NS)
    run(journal, book)
    assert {row.average.version for row in book.averages(newest=False)} == {1}
    minutes, hours = book.averages(window="1m"), book.averages(window="1h")
    assert len(minutes) == 120
    assert [row.average.count for row in hours] == [60, 360, 300]  # 21:50-22:00, 22-23, 23-23:50
    # The first hour came with the tick after the stream had gone past it, the last one when the stream was silent.
    assert hours[0].derived_ns < hours[1].derived_ns < now
    assert hours[2].derived_ns >= now + 60 * SECOND_NS - SECOND_NS


def test_late_measurements_make_the_next_version(book: Book) -> None:
    journal = MemoryJournal()
    times = START_NS + np.arange(0, 60, 10) * SECOND_NS
    journal.batch(START_NS + 60 * SECOND_NS, fence(times[:3], 50.0))
    journal.ticks(START_NS + 60 * SECOND_NS, START_NS + 130 * SECOND_NS)
    journal.batch(START_NS + 200 * SECOND_NS, fence(times[3:], 60.0))
    journal.batch(START_NS + 200 * SECOND_NS, fence(times[:3], 50.0), epoch=2)  # the same again: nothing new by itself
    journal.ticks(START_NS + 200 * SECOND_NS, START_NS + 300 * SECOND_NS)
    run(journal, book)
    found = [r.average for r in book.averages(window="1m", newest=False)]
    assert [(a.version, a.count) for a in found] == [(1, 3), (2, 6)]


def test_the_same_measurements_again_make_no_version(book: Book) -> None:
    journal = MemoryJournal()
    times = START_NS + np.arange(0, 600, 10) * SECOND_NS
    journal.batch(START_NS + 600 * SECOND_NS, fence(times, 70.0))
    journal.ticks(START_NS + 600 * SECOND_NS, START_NS + 680 * SECOND_NS)
    run(journal, book)
    before = rows(book)
    journal.batch(START_NS + 700 * SECOND_NS, fence(times, 70.0), epoch=2)
    journal.ticks(START_NS + 700 * SECOND_NS, START_NS + 780 * SECOND_NS)
    run(journal, book)
    assert rows(book) == before


def peaks(value: float, now: int, journal: MemoryJournal, *, epoch: int = 1) -> None:
    """A minute of peaks at 22:30, in the night."""
    times = START_NS + 40 * MINUTE_NS + np.arange(0, 60, 10) * SECOND_NS
    levels = np.full(len(times), 55.0)
    levels[2] = value
    journal.batch(now, fence(times, levels, parameter="LAFmax"), epoch=epoch)
    journal.ticks(now, now + 90 * SECOND_NS)


def test_an_exceedance_is_opened_amended_withdrawn_and_opened_again(book: Book) -> None:
    journal, now = MemoryJournal(), START_NS + 42 * MINUTE_NS
    for epoch, value in enumerate((66.0, 67.0, 60.0, 68.0), 1):
        peaks(value, now, journal, epoch=epoch)
        now += 30 * MINUTE_NS
    run(journal, book)
    found = [row.exceedance for row in book.exceedances(clause="night-peak")]
    assert [(e.change, e.version, e.value, e.late) for e in found] == [
        (Change.OPENED, 1, 66.0, False),
        (Change.AMENDED, 2, 67.0, False),
        (Change.WITHDRAWN, 3, 67.0, False),
        (Change.OPENED, 4, 68.0, True),
    ]
    proof = found[-1].evidence
    assert proof["average"]["version"] == 4
    assert proof["clause"]["limit"] == 65
    assert [r["parameter"] for r in proof["sensors"][0]["registers"]] == ["LAeq", "LAFmax"]
    assert len(proof["measurements"]["items"]) == 6
    assert ["2026-11-20T14:30:20Z", 68.0, "ok"] in proof["measurements"]["items"]


def test_a_converted_hour_breaks_its_limit_and_says_how(book: Book) -> None:
    journal = MemoryJournal()
    hour = START_NS + 10 * MINUTE_NS
    times = np.arange(hour, hour + HOUR_NS, 5 * SECOND_NS)
    for series in STACK:
        journal.batch(hour + HOUR_NS, one(series, times, CONDITIONS[series.parameter]))
    journal.ticks(hour + HOUR_NS, hour + HOUR_NS + 80 * SECOND_NS)
    run(journal, book)
    (found,) = [row.exceedance for row in book.exceedances()]
    # HJ 212 appendix D: 30 / (273/373 * 100600/101325) / 0.9 * 15/(21 - 8/0.9)
    oxygen = 8.0 / 0.9
    expected = 30 * 373 / 273 * 101325 / 100600 / 0.9 * 15 / (21 - oxygen)
    assert found.key == "ultra-low-2015/nox-hour"
    assert found.value == pytest.approx(expected)
    proof = found.evidence
    assert [step["step"] for step in proof["average"]["corrections"]] == [
        "standard_state",
        "dry_basis",
        "reference_oxygen",
    ]
    assert proof["average"]["corrections"][2]["oxygen_percent"] == pytest.approx(oxygen)
    assert proof["average"]["counts"] == {"ok": 720}
    assert proof["measurements"]["interval"] == "1m"
    assert len(proof["measurements"]["items"]) == 60
    assert set(proof["conditions"]) == {"O2", "temperature", "pressure", "moisture"}
    assert {s["sensor"] for s in proof["sensors"]} == {"cems", "gas"}
    register = proof["sensors"][0]["registers"][0]
    assert {"fc", "address", "type", "order", "scale", "manual"} <= set(register)


def test_ammonia_is_judged_by_the_temperature_of_the_same_day(book: Book) -> None:
    midnight = START_NS + 130 * MINUTE_NS
    times = np.arange(midnight, midnight + 24 * HOUR_NS, MINUTE_NS)
    for temperature, epoch in ((11.0, 1), (13.0, 2)):
        journal = MemoryJournal()
        for series, value in (
            (Series("mill", "outfall", "water", "NH3-N", "mg/L"), 6.0),
            (Series("mill", "outfall", "water", "water_temperature", "degC"), temperature),
            (Series("mill", "outfall", "flow", "flow", "L/s"), 20.0),
        ):
            journal.batch(midnight + 24 * HOUR_NS, one(series, times, value), epoch=epoch)
        journal.ticks(midnight + 24 * HOUR_NS, midnight + 24 * HOUR_NS + 80 * SECOND_NS)
        own = Book(book._path.parent / f"{epoch}.db")
        run(journal, own)
        keys = {row.exceedance.key for row in own.exceedances(window="24h")}
        assert ("gb18918-2002/nh3n-day" in keys) == (temperature > 12.0)
        own.close()


def test_missing_values_are_counted_and_shown(book: Book) -> None:
    journal = MemoryJournal()
    times = START_NS + np.arange(0, 60, 10) * SECOND_NS
    journal.batch(START_NS + MINUTE_NS, fence(times, np.nan, status=Status.NO_COMM))
    journal.ticks(START_NS + MINUTE_NS, START_NS + 3 * MINUTE_NS)
    run(journal, book)
    (row,) = book.averages(window="1m")
    assert (row.average.value, row.average.valid, row.average.coverage) == (None, False, 0.0)
    assert row.average.inputs["counts"] == {"no_comm": 6}


def test_memory_does_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    journal = MemoryJournal()
    for hour in range(14):
        now = START_NS + (hour + 1) * HOUR_NS
        times = np.arange(now - HOUR_NS, now, 10 * SECOND_NS)
        journal.batch(now, fence(times, 50.0 + hour))
        journal.ticks(now, now + 60 * SECOND_NS)
    late = START_NS + 15 * HOUR_NS
    journal.batch(late, fence([START_NS + 5 * SECOND_NS], 80.0), gateway="history")
    journal.ticks(late, late + 80 * SECOND_NS)
    roomy, narrow = Book(tmp_path / "a.db"), Book(tmp_path / "b.db")
    run(journal, roomy)
    assert journal.loaded == 0
    monkeypatch.setattr("collector.verdicts.recent.ROWS_MAX", 500)
    run(journal, narrow)
    assert journal.loaded > 0
    assert rows(narrow) == rows(roomy)
    roomy.close()
    narrow.close()


def test_the_thread_follows_the_journal_and_survives_a_failure(
    book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    journal, failures = MemoryJournal(), iter([OSError("disk full"), ValueError("a fault of ours")])
    commit = book.commit

    def failing(*args: Any, **kwargs: Any) -> None:
        if error := next(failures, None):
            raise error
        commit(*args, **kwargs)

    monkeypatch.setattr(book, "commit", failing)
    thread = Evaluator(journal, book, [site()])
    thread.start()
    times = START_NS + np.arange(0, 60, 10) * SECOND_NS
    journal.batch(START_NS + MINUTE_NS, fence(times, 50.0))
    journal.ticks(START_NS + MINUTE_NS, START_NS + 3 * MINUTE_NS)
    deadline = time.monotonic() + 30
    while thread.cursor() < len(journal.entries) and time.monotonic() < deadline:
        time.sleep(0.02)
    thread.stop()
    assert thread.trouble == ""
    assert thread.cursor() == len(journal.entries)
    assert [row.average.count for row in book.averages(window="1m")] == [6]
    assert thread.overdue() == 0


def test_the_columns_of_an_older_book_are_made_while_nothing_is_to_be_judged(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    steps = iter([True, True, True])
    done = threading.Event()

    class Quiet(MemoryJournal):
        def wait(self, after: int, timeout_s: float) -> int:
            waits.append(timeout_s)
            if timeout_s:
                done.set()
            return super().wait(after, min(timeout_s, 0.01))

    monkeypatch.setattr(book, "fold", lambda: next(steps, False))
    thread = Evaluator(Quiet(), book, [site()])
    thread.start()
    assert done.wait(30)
    thread.stop()
    assert next(wait for wait in waits if wait) == module.WAIT_S
    assert next(steps, None) is None, "it does not wait while there is more to do"


def test_a_batch_that_cannot_be_read_is_passed_over() -> None:
    bad = Entry(
        position=1, received_ns=1, kind=EntryKind.BATCH, payload=b"\x01" + bytes(64) + b"?", first_ns=1, last_ns=1
    )
    assert measurements(bad) is None
    assert measurements(Entry(position=1, received_ns=1, kind=EntryKind.TICK)) is None


def test_a_gateway_speaks_for_its_own_plant_alone(book: Book) -> None:
    journal = MemoryJournal()
    foreign = fence([START_NS], 99.0)
    journal.batch(START_NS, foreign, plant="elsewhere")
    journal.ticks(START_NS, START_NS + 3 * MINUTE_NS)
    run(journal, book)
    assert not book.averages()


def test_a_clock_far_ahead_makes_nothing_dirty(book: Book) -> None:
    journal = MemoryJournal()
    journal.batch(START_NS, fence([START_NS + 400 * 24 * HOUR_NS], 99.0))
    journal.batch(START_NS, fence([START_NS + 20 * 365 * 24 * HOUR_NS, START_NS - 20 * 365 * 24 * HOUR_NS], 99.0))
    journal.ticks(START_NS, START_NS + 3 * MINUTE_NS)
    line = run(journal, book)
    assert {row.average.from_ns < START_NS for row in book.averages()} == {True}
    assert line.overdue == 0


@pytest.mark.parametrize("memory", [6_000_000, 0])
@pytest.mark.parametrize("told_first", [False, True])
def test_what_a_wrong_clock_dated_is_judged_where_it_belongs(
    book: Book, monkeypatch: pytest.MonkeyPatch, *, memory: int, told_first: bool
) -> None:
    monkeypatch.setattr("collector.verdicts.recent.ROWS_MAX", memory)
    journal, true = MemoryJournal(), START_NS + np.arange(0, 600, 10) * SECOND_NS
    now = START_NS + 11 * MINUTE_NS
    if told_first:
        journal.move(now, (2, 2), 26 * HOUR_NS, told_in=9)
    journal.batch(now, fence(true - 26 * HOUR_NS, 90.0))
    journal.ticks(now, now + 2 * MINUTE_NS)
    if not told_first:
        assert {row.average.from_ns < START_NS - HOUR_NS for row in book_of(journal, book).averages()} == {True}
        journal.move(now + 3 * MINUTE_NS, (2, 2), 26 * HOUR_NS, told_in=9)
        journal.ticks(now + 3 * MINUTE_NS, now + 5 * MINUTE_NS)
    line = run(journal, book)
    found = {key: average for key, average in newest(book).items() if key[2] == "1m"}
    assert [a.count for key, a in sorted(found.items()) if key[3] >= START_NS] == [6] * 10
    gone = [a for key, a in found.items() if key[3] < START_NS]
    assert {(a.value, a.valid, a.count, a.coverage) for a in gone} == (set() if told_first else {(None, False, 0, 0.0)})
    assert line._agenda.shifts.all()[0].shift_ns == 26 * HOUR_NS
    again = Line(journal, book, *RULES)
    assert again._agenda.shifts.all() == line._agenda.shifts.all(), "a later process knows"


def test_a_value_of_a_doubted_time_is_counted_and_not_averaged(book: Book) -> None:
    journal, times = MemoryJournal(), START_NS + np.arange(0, 60, 10) * SECOND_NS
    journal.batch(START_NS + MINUTE_NS, fence(times, 90.0, status=Status.UNSYNCED))
    journal.ticks(START_NS + MINUTE_NS, START_NS + 3 * MINUTE_NS)
    run(journal, book)
    (row,) = book.averages(window="1m")
    assert (row.average.value, row.average.inputs["counts"]) == (None, {"unsynced": 6})
    journal.move(START_NS + 4 * MINUTE_NS, (2, 2), 0, told_in=9)
    journal.ticks(START_NS + 4 * MINUTE_NS, START_NS + 6 * MINUTE_NS)
    run(journal, book)
    assert [a.count for key, a in newest(book).items() if key[2] == "1m"] == [6], "its time was right after all"


def book_of(journal: MemoryJournal, book: Book) -> Book:
    run(journal, book)
    return book


def test_entries_must_come_in_order(book: Book) -> None:
    journal = MemoryJournal()
    journal.tick(START_NS)
    journal.tick(START_NS)
    line = Line(journal, book, *RULES)
    with pytest.raises(AssertionError, match="without a gap"):
        line.take(journal.entries[1])


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('rules = ["gb12348-2008"]', 'rules = ["gb12348"]', "point[0].rules"),
        ("area_class = 2", "area_class = 9", "point[0].settings.area_class"),
        ('profile = "emitwatch-noise"', 'profile = "nobody"', "sensor[0].profile"),
    ],
)
def test_a_site_that_does_not_fit_is_refused(old: str, new: str, path: str) -> None:
    with pytest.raises(FaultyFiles) as caught:
        site_rules([site(SITE.replace(old, new))])
    assert path in [fault.path for fault in caught.value.faults]

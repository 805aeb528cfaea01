"""Months, rolling 30 days, years and their counts in the running line: once each, and again when a day changes."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector.judge_command import judged
from collector.marks import Kind
from collector.verdicts.agenda import PointKey
from collector.verdicts.book import Book
from collector.verdicts.day_sums import DAY, LONG
from collector.verdicts.evaluator import Line
from collector.verdicts.judgement import derive
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Change, Standing
from collector.verdicts.screening import signal
from gateway.measurement import SECOND_NS, Series
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, RULES, MemoryJournal, fence, one, rows
from tests.collector.verdicts.test_averages import PACKS, PARAMETERS
from tests.collector.verdicts.test_marks import marked, say
from tests.effort import examples

DAY_NS = 24 * HOUR_NS
HALF_NS = HOUR_NS // 2
ZONE = RULES[0]["mill", "fence"].timezone
# 2026-11-20 00:00 in Shanghai.
START_NS = int(datetime(2026, 11, 19, 16, tzinfo=UTC).timestamp()) * SECOND_NS
NOISE = {("mill", "fence"): RULES[0]["mill", "fence"]}
SLOW = {("mill", "slm", "LAeq"): HALF_NS}


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with closing(Book(tmp_path / "verdicts.db")) as opened:
        yield opened


def follow(
    journal: MemoryJournal, book: Book, law: Mapping[PointKey, PointRules] = NOISE,
    intervals: Mapping[tuple[str, str, str], int] = SLOW, *, stops: Iterable[int] = (), history: Sequence[str] = (),
) -> None:  # fmt: skip
    """Take the whole journal, dying and starting again after each of some positions."""
    left = set(stops)
    line = Line(journal, book, law, intervals, history=history)
    for position in range(line.position, len(journal.entries)):
        if line.position > position:
            continue  # read again after a stop
        while line.position <= position:
            line.take(journal.entries[line.position])
        if position + 1 in left:
            line = Line(journal, book, law, intervals, history=history)


def levels(first: int, last: int, level: float = 50.0) -> Any:
    """Half-hour levels from one day to before another, counted from the start."""
    times = START_NS + np.arange(first * DAY_NS, last * DAY_NS, HALF_NS)
    return fence(times, level + np.arange(len(times)) % 7)


def days(count: int, *, skip: slice = slice(0)) -> MemoryJournal:
    """Half-hours of some days, day by day as they are measured, but for some rows."""
    journal = MemoryJournal()
    whole = levels(0, count)
    lacking = np.arange(len(whole))[skip]
    for day in range(count):
        rows = np.arange(day * 48, (day + 1) * 48)
        end = START_NS + (day + 1) * DAY_NS
        journal.batch(end, whole.take(rows[~np.isin(rows, lacking)]))
        for after in (20, 90):
            journal.tick(end + after * SECOND_NS)
    return journal


def versions(book: Book) -> dict[str, Counter[int]]:
    """How many windows of each kind have how many versions."""
    found: dict[tuple[str, int], int] = Counter()
    for row in book.averages(newest=False):
        found[row.average.window, row.average.from_ns] += 1
    kinds: dict[str, Counter[int]] = {}
    for (kind, _), number in found.items():
        kinds.setdefault(kind, Counter())[number] += 1
    return kinds


def test_a_month_a_year_and_every_thirty_days_are_derived_once_when_they_have_ended(book: Book) -> None:
    journal = days(45)
    follow(journal, book)
    assert {kind: versions(book)[kind] for kind in (DAY, *LONG)} == {
        DAY: {1: 45}, "month": {1: 2}, "30d": {1: 45}, "year": {1: 1},
    }  # fmt: skip
    for row in book.averages(window="month") + book.averages(window="year") + book.averages(window="30d"):
        late = row.derived_ns - row.average.to_ns
        assert 15 * SECOND_NS <= late <= 90 * SECOND_NS, "right after its last day"


def test_they_are_what_all_measurements_say(book: Book) -> None:
    follow(days(45), book)
    whole = levels(0, 45)
    one = signal(
        "LAeq", "dB(A)", time_ns=whole.time_ns, value=whole.value, status=whole.status, interval_ns=HALF_NS,
    )  # fmt: skip
    law = NOISE["mill", "fence"]
    wanted = {kind: law.windows(kind, START_NS, START_NS + 45 * DAY_NS) for kind in LONG}
    expected = {(a.window, a.from_ns): a for a in derive(law, {"LAeq": one}, wanted).averages}
    found = [row.average for kind in LONG for row in book.averages(window=kind)]
    assert len(found) == 48
    for average in found:
        other = expected[average.window, average.from_ns]
        assert average.value == pytest.approx(other.value, abs=2e-9)
        assert (average.count, average.coverage, average.valid) == (other.count, other.coverage, other.valid)


def test_a_late_hour_of_a_past_month_makes_version_2_of_its_day_its_month_its_year_and_thirty_windows(
    book: Book,
) -> None:
    hour = slice(5 * 48 + 10, 5 * 48 + 12)  # of 25 November
    journal = days(45, skip=hour)
    follow(journal, book)
    before = len(book.averages(newest=False))
    now = START_NS + 45 * DAY_NS + HOUR_NS
    journal.batch(now, levels(0, 45).take(hour))
    for after in (5, 20, 90, 200):
        journal.tick(now + after * SECOND_NS)
    follow(journal, book)
    second = [row.average for row in book.averages(newest=False) if row.average.version > 1]
    assert {average.version for average in second} == {2}
    assert Counter(average.window for average in second) == {
        DAY: 1, "night": 1, "calendar_night": 1, "month": 1, "30d": 30, "year": 1
    }  # fmt: skip
    late = START_NS + 5 * DAY_NS + 5 * HOUR_NS
    assert all(average.from_ns <= late < average.to_ns for average in second)
    hours = len(book.averages(newest=False)) - before - len(second)
    assert hours == 1, "and the hour itself, which was not there"


def test_what_comes_at_once_is_derived_once(book: Book) -> None:
    journal, now = MemoryJournal(), START_NS + 70 * DAY_NS
    for day in range(60):
        journal.batch(now, levels(day, day + 1), gateway="history")
        journal.tick(now := now + 2 * SECOND_NS)
    for _ in range(30):
        journal.tick(now := now + 5 * SECOND_NS)
    follow(journal, book, history=["history"])
    assert {kind: dict(versions(book)[kind]) for kind in (DAY, *LONG)} == {
        DAY: {1: 60}, "month": {1: 2}, "30d": {1: 70}, "year": {1: 1}
    }  # fmt: skip


def test_a_mark_over_many_days_makes_one_version_of_each_long_window(book: Book) -> None:
    journal = days(45)
    now = START_NS + 45 * DAY_NS + HOUR_NS
    say(journal, now, marked(START_NS + DAY_NS, START_NS + 7 * DAY_NS))
    for _ in range(20):
        journal.tick(now := now + 5 * SECOND_NS)
    follow(journal, book)
    found = versions(book)
    assert found[DAY] == {1: 39, 2: 6}
    assert found["month"] == {1: 1, 2: 1}
    assert found["year"] == {2: 1}
    assert found["30d"] == {1: 10, 2: 35}
    assert all(row.average.inputs["marks"] for row in book.averages(window="year"))


@pytest.mark.parametrize("seed", range(examples(1, 20)))
def test_a_stop_anywhere_leads_to_the_same_book(seed: int, book: Book, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    journal = days(45, skip=slice(100, 103))
    now = START_NS + 45 * DAY_NS + HOUR_NS
    journal.batch(now, levels(0, 45).take(slice(100, 103)), epoch=2)
    say(journal, now, marked(START_NS + 20 * DAY_NS, START_NS + 23 * DAY_NS))
    for _ in range(20):
        journal.tick(now := now + 5 * SECOND_NS)
    follow(journal, book)
    with closing(Book(tmp_path / "other.db")) as other:
        follow(journal, other, stops=rng.choice(len(journal.entries), 12, replace=False).tolist())
        assert rows(other) == rows(book)


def test_a_book_of_before_gets_its_column_and_its_months_wait(tmp_path: Path) -> None:
    journal = days(45)
    path = tmp_path / "verdicts.db"
    with closing(Book(path)) as book:
        follow(journal, book)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            "DROP TRIGGER average_no_update; DROP TRIGGER average_no_delete; ALTER TABLE average DROP COLUMN sums; "
            "DELETE FROM average WHERE window IN ('month', '30d', 'year');"
        )
    now = START_NS + 45 * DAY_NS + HOUR_NS
    journal.batch(now, levels(0, 1, 70.0), epoch=2)
    for after in (5, 20, 90):
        journal.tick(now + after * SECOND_NS)
    with closing(Book(path)) as book:
        follow(journal, book)
        assert [row.average.version for row in book.averages(window=DAY)].count(2) == 1
        assert {row.average.from_ns for row in book.averages(window="30d")} == {START_NS - 29 * DAY_NS}
        assert not book.averages(window="month"), "its other days have no sums"


# --- counts of a year ------------------------------------------------------------------------------

YEAR_NS = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
SO2, O2 = Series("mill", "stack", "cems", "SO2", "mg/m3"), Series("mill", "stack", "cems", "O2", "%")
HOURLY = {("mill", "cems", "SO2"): HOUR_NS, ("mill", "cems", "O2"): HOUR_NS}
SETTINGS = {"reference_oxygen": 6.0, "basis": "dry", "state": "standard", "elv_so2": 100.0}


def stack(pack: str = "ied-2010-75-annex-v", settings: Mapping[str, Any] = SETTINGS) -> dict[PointKey, PointRules]:
    law, faults = point_rules(
        "mill", "stack", "stack", timezone="UTC", packs=[PACKS[pack]], settings=settings, parameters=PARAMETERS
    )
    assert not faults, faults
    return {("mill", "stack"): law}


def hours(count: int, value: float, *, lacking: int = 0) -> MemoryJournal:
    """Some days of hourly sulphur dioxide at reference oxygen, each without its first hours."""
    journal = MemoryJournal()
    for day in range(count):
        times = YEAR_NS + day * DAY_NS + np.arange(lacking, 24) * HOUR_NS
        end = YEAR_NS + (day + 1) * DAY_NS
        for series, values in ((SO2, value), (O2, 6.0)):
            journal.batch(end, one(series, times, values))
        for after in (5, 20, 90):
            journal.tick(end + after * SECOND_NS)
    return journal


def counts(book: Book) -> list[tuple[str, int, Change, float, float, int]]:
    return [
        (e.clause, e.version, e.change, e.value, e.limit, (e.to_ns - YEAR_NS) // DAY_NS)
        for e in (row.exceedance for row in book.exceedances(window="year"))
    ]


def test_a_share_of_the_year_is_broken_once_nothing_can_mend_it(book: Book) -> None:
    journal = hours(22, 300.0)
    follow(journal, book, stack(), HOURLY)
    least = round(100 * 19 * 24 / 8760, 9)  # the 19th day is the first after 438 hours, which is 5 % of 8760
    assert counts(book) == [("so2-hour-share", 1, Change.OPENED, least, 5.0, 19)]
    found = book.exceedances(window="year")[0].exceedance
    assert (found.standing, found.verified, found.unit, found.late) == (Standing.EVIDENCE, False, "%", False)
    assert found.evidence["counted"]["left"] == 8760 - 19 * 24
    assert found.evidence["counted"]["days"]["items"][0] == ["2027-01-01T00:00:00Z", 24, 24, 200.0, None, None]
    assert found.evidence["measurements"]["interval"] == DAY
    assert len(found.evidence["measurements"]["items"]) == 19
    assert found.evidence["sensors"] == [{"sensor": "cems", "parameters": ["SO2"]}]
    now = YEAR_NS + 22 * DAY_NS + HOUR_NS
    scaled = marked(YEAR_NS, YEAR_NS + 5 * DAY_NS, Kind.CORRECTION, point="stack", parameter="SO2", scale=0.5)
    position = say(journal, now, scaled)
    for _ in range(10):
        journal.tick(now := now + 5 * SECOND_NS)
    follow(journal, book, stack(), HOURLY)
    assert [(version, change) for _, version, change, *_ in counts(book)] == [(1, Change.OPENED), (2, Change.WITHDRAWN)]
    assert book.exceedances(window="year")[1].exceedance.evidence["withdrawn_under"] == [position]


def test_a_year_that_has_ended_is_judged_by_what_it_has(book: Book) -> None:
    journal = hours(30, 300.0)
    journal.batch(YEAR_NS + 366 * DAY_NS, one(SO2, [YEAR_NS + 366 * DAY_NS - 2 * HOUR_NS], 90.0))
    for after in (20, 90, 200):
        journal.tick(YEAR_NS + 366 * DAY_NS + after * SECOND_NS)
    follow(journal, book, stack(), HOURLY)
    assert [row[:3] for row in counts(book)] == [
        ("so2-hour-share", 1, Change.OPENED), ("so2-hour-share", 2, Change.AMENDED)
    ]  # fmt: skip
    assert counts(book)[-1][3:] == (100.0, 5.0, 365)
    months = [row.exceedance for row in book.exceedances(window="month")]
    assert [(e.clause, e.value) for e in months] == [("so2-month", 280.0)], "less the confidence interval"
    assert len(months[0].evidence["measurements"]["items"]) == 30


def test_a_day_that_changes_when_its_year_has_ended_is_judged_with_the_whole_year_alone(book: Book) -> None:
    journal = hours(20, 300.0)
    for after in (20, 90, 200):
        journal.tick(YEAR_NS + 365 * DAY_NS + after * SECOND_NS)
    follow(journal, book, stack(), HOURLY)
    assert [row[1:3] for row in counts(book)] == [(1, Change.OPENED), (2, Change.AMENDED)]
    now = YEAR_NS + 365 * DAY_NS + HOUR_NS
    # What is left is not 5 % of a whole year any more, but the year has no more days to come.
    scaled = marked(YEAR_NS, YEAR_NS + 5 * DAY_NS, Kind.CORRECTION, point="stack", parameter="SO2", scale=0.5)
    say(journal, now, scaled)
    for _ in range(10):
        journal.tick(now := now + 5 * SECOND_NS)
    follow(journal, book, stack(), HOURLY)
    third = counts(book)[2:]
    assert third == [("so2-hour-share", 3, Change.AMENDED, 75.0, 5.0, 365)], "once, of 15 days of 20"
    counted = book.exceedances(window="year")[-1].exceedance.evidence["counted"]
    assert (counted["counted"], counted["above"], counted["left"]) == (480, 360, 0)


def test_the_eleventh_day_that_is_lost_is_told(book: Book) -> None:
    journal = hours(13, 90.0, lacking=4)  # of hours three may be missing
    follow(journal, book, stack(), HOURLY)
    assert counts(book) == [("so2-days-lost", 1, Change.OPENED, 11.0, 10.0, 11)]
    found = book.exceedances(window="year")[0].exceedance
    assert (found.standing, found.unit) == (Standing.EARLY_WARNING, "d")
    assert found.evidence["counted"]["days"]["items"][-1] == ["2027-01-11T00:00:00Z", 4, 24]


def test_a_share_of_a_day_is_judged_with_the_day(book: Book) -> None:
    law = stack("ied-2010-75-annex-vi", {"reference_oxygen": 11.0, "basis": "dry", "state": "standard"})
    intervals = {("mill", "cems", "CO"): 10 * MINUTE_NS, ("mill", "cems", "O2"): 10 * MINUTE_NS}
    times = YEAR_NS + np.arange(144) * 10 * MINUTE_NS
    high = np.where(np.arange(144) < 12, 400.0, 20.0)  # 12 of 144 are more than 5 %, and four half-hours are too
    journal = MemoryJournal()
    for values in (high, np.full(144, 20.0)):
        now = YEAR_NS + DAY_NS + len(journal.entries) * MINUTE_NS
        for parameter, unit, column in (("CO", "mg/m3", values), ("O2", "%", np.full(144, 11.0))):
            journal.batch(now, one(Series("mill", "stack", "cems", parameter, unit), times, column))
        for after in (5, 20, 90):
            journal.tick(now + after * SECOND_NS)
    follow(journal, book, law, intervals)
    found = [e for row in book.exceedances(window=DAY) if (e := row.exceedance).clause == "co-10-minutes-share"]
    assert [(e.version, e.change) for e in found] == [(1, Change.OPENED), (2, Change.WITHDRAWN)]
    assert (found[0].value, found[0].limit) == (round(1200 / 144, 9), 5.0)


def test_a_share_of_the_year_is_judged_of_a_file_too() -> None:
    law = stack()["mill", "stack"]
    times = YEAR_NS + np.arange(20 * 24) * HOUR_NS
    signals = [
        signal(name, unit, time_ns=times, value=np.full(len(times), value), status=np.zeros(len(times), np.uint8),
               interval_ns=HOUR_NS)
        for name, unit, value in (("SO2", "mg/m3", 300.0), ("O2", "%", 6.0))
    ]  # fmt: skip
    found = [e for e in judged(law, signals).exceedances if e.window == "year"]
    assert [(e.clause, (e.to_ns - YEAR_NS) // DAY_NS) for e in found] == [("so2-hour-share", 20)]
    fewer = [s.within(0, YEAR_NS + 9 * DAY_NS) for s in signals]
    assert not [e for e in judged(law, fewer).exceedances if e.window == "year"]


# --- days without any measurement --------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])  # said when the month has ended, or before
def test_a_month_in_which_the_plant_stood_is_judged_by_the_days_it_ran(book: Book, late: bool) -> None:
    law = stack(settings={**SETTINGS, "elv_so2": 20.0})
    journal = hours(10, 60.0)
    end = YEAR_NS + 31 * DAY_NS
    weeks = range(YEAR_NS + 10 * DAY_NS, end, 7 * DAY_NS)
    stop = [marked(week, week + 7 * DAY_NS, Kind.STOPPED, point="stack") for week in weeks]
    for mark in stop if not late else ():
        say(journal, mark.from_ns, mark)
    for after in (20, 90, 200):
        journal.tick(end + after * SECOND_NS)
    follow(journal, book, law, HOURLY)
    if late:
        (month,) = (row.average for row in book.averages(window="month") if row.average.parameter == "SO2")
        assert (month.valid, month.coverage) == (False, pytest.approx(10 / 31))
        assert not book.exceedances(window="month")
        now = end + HOUR_NS
        for mark in stop:
            say(journal, now, mark)
        for _ in range(30):
            journal.tick(now := now + 5 * SECOND_NS)
        follow(journal, book, law, HOURLY)
    month = [row.average for row in book.averages(window="month") if row.average.parameter == "SO2"][-1]
    assert (month.version, month.valid, month.coverage) == (1 + late, True, 1.0)
    assert month.inputs["states"] == {"operating": 10 * 86400.0, "stopped": 21 * 86400.0}
    found = [row.exceedance for row in book.exceedances(window="month")]
    assert [(e.clause, e.value, e.change) for e in found] == [("so2-month", 56.0, Change.OPENED)]

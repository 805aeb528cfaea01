"""Rating levels in windows: sensitive hours and holidays of a day, the loudest hour of a night, as judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts import rating
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal
from collector.verdicts.unjudged import unjudged
from gateway.measurement import SECOND_NS
from tests.collector.verdicts.lines import HOUR_NS, MILL, MINUTE_NS, MemoryJournal, fence, site
from tests.collector.verdicts.test_averages import PACKS, law, series
from tests.effort import examples

NAN = float("nan")
BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)
TA = PACKS["ta-laerm-1998"]
Found = Mapping[tuple[str, datetime], Average]


def at(day: date, hour: int = 0) -> int:
    """An instant by the clock in Berlin."""
    return round(datetime(day.year, day.month, day.day, hour, tzinfo=BERLIN).timestamp()) * SECOND_NS


def point(**settings: Any) -> PointRules:
    return law("noise", {"area": "WA", "surveillance": False, **settings}, "ta-laerm-1998", "Europe/Berlin")


def hourly(levels: Any, day: date = FRIDAY, hour: int = 0, parameter: str = "LAeq") -> Signal:
    """One level an hour, from an hour of a day on, as minutes."""
    return series(parameter, np.repeat(np.asarray(levels, np.float64), 60), start=at(day, hour))


def judged(rules: PointRules, *signals: Signal) -> Derived:
    first = min(int(s.time_ns[0]) for s in signals)
    last = max(int(s.time_ns[-1]) for s in signals) + MINUTE_NS
    wanted = {kind: rules.windows(kind, first, last) for kind in ("1h", "24h", "day", "night")}
    return derive(rules, {s.parameter: s for s in signals}, wanted)


def made(rules: PointRules, *signals: Signal) -> Found:
    """The rating levels, by window and when it begins in Berlin."""
    return {
        (a.window, datetime.fromtimestamp(a.from_ns // SECOND_NS, BERLIN).replace(tzinfo=None)): a
        for a in judged(rules, *signals).averages
        if a.parameter == "Lr"
    }


def of_day(rules: PointRules, *signals: Signal, day: date = FRIDAY) -> Average:
    return made(rules, *signals)["day", datetime(day.year, day.month, day.day, 6)]


# --- the day -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "more", "hours"),
    [(FRIDAY, 1.9283, 3), (SATURDAY, 1.9283, 3), (SUNDAY, 3.6252, 7),
     (date(2026, 3, 29), 3.6252, 7), (date(2026, 10, 25), 3.6252, 7)],
)  # fmt: skip
def test_sensitive_hours_of_working_days_and_sundays(day: date, more: float, hours: int) -> None:
    """10 lg((13 + 3 * 10^0.6) / 16) = 1.93 dB, 10 lg((9 + 7 * 10^0.6) / 16) = 3.63 dB; clock changes are at night."""
    found = of_day(point(), hourly([50.0] * 23, day), day=day)
    assert (found.value, found.unit, found.valid) == (pytest.approx(50.0 + more, abs=1e-4), "dB(A)", True)
    told = found.inputs["derived"]
    assert (told["how"], told["of"], told["LAeq"], told["sensitive_hours"]) == ("rating", ["LAeq"], 50.0, hours)
    assert (told["rest_day"], told["verified"], told["pack"]) == (hours == 7, hours == 3, "ta-laerm-1998")


def test_holidays_are_what_the_site_lists() -> None:
    plain, free = point(), point(holidays=[FRIDAY, "2026-12-25"])
    levels = hourly([50.0] * 48)
    assert free.settings["holidays"] == ("2026-11-20", "2026-12-25")
    assert of_day(plain, levels).value == pytest.approx(51.9283, abs=1e-4)
    assert of_day(free, levels).value == pytest.approx(53.6252, abs=1e-4)
    assert of_day(free, levels, day=SATURDAY).value == pytest.approx(51.9283, abs=1e-4)
    assert of_day(free, levels).inputs["derived"]["holidays"] == 2


@pytest.mark.parametrize("area", ["GI", "GE", "MU", "MI"])
def test_other_areas_have_no_sensitive_hours(area: str) -> None:
    found = of_day(point(area=area), hourly([50.0] * 24, SUNDAY), day=SUNDAY)
    assert (found.value, found.inputs["derived"]["verified"]) == (50.0, True)


@pytest.mark.parametrize(
    ("settings", "more"), [({"tone": 3}, 3.0), ({"tone": 6, "impulse": 2.5}, 8.5), ({"impulse": 0.1}, 0.1)]
)
def test_supplements_of_the_point_count_in_every_hour(settings: dict[str, Any], more: float) -> None:
    found = made(point(area="GI", **settings), hourly([50.0] * 24))
    assert [a.value for a in found.values()] == [pytest.approx(50.0 + more)] * len(found)
    assert {window for window, _ in found} == {"1h", "day", "night"}


def test_impulses_are_what_was_measured_of_them() -> None:
    peaks = hourly([58.0] * 12, parameter="LAFTeq")
    found = made(point(area="GI", impulse=3.0), hourly([50.0] * 24), peaks)
    assert [found["1h", datetime(2026, 11, 20, hour)].value for hour in (11, 12)] == [58.0, 53.0]
    told = found["1h", datetime(2026, 11, 20, 11)].inputs["derived"]
    assert (told["of"], told["impulsive"], told["tonal"]) == (["LAeq", "LAFTeq"], 8.0, 0.0)
    assert made(point(area="GI"), hourly([50.0] * 24), hourly([49.0] * 24, parameter="LAFTeq"))[
        "1h", datetime(2026, 11, 20, 11)
    ].value == 50.0  # fmt: skip


def test_an_hour_whose_impulses_were_lost_has_no_rating_level() -> None:
    peaks = [58.0] * 24
    peaks[10] = NAN
    rules, signals = point(area="GI", impulse=3.0), (hourly([50.0] * 24), hourly(peaks, parameter="LAFTeq"))
    found = made(rules, *signals)
    lost, day = found["1h", datetime(2026, 11, 20, 10)], found["day", datetime(2026, 11, 20, 6)]
    assert (lost.value, lost.valid) == (None, False)
    assert (lost.inputs["derived"]["lacking"], lost.inputs["derived"]["impulsive"]) == ({"LAFTeq": 1}, None)
    assert (day.value, day.valid, day.coverage) == (pytest.approx(58.0), True, 15 / 16)
    assert day.inputs["derived"]["lacking"] == {"LAFTeq": 1}
    both = made(rules, hourly([NAN] * 24), signals[1])["day", datetime(2026, 11, 20, 6)]
    assert both.inputs["derived"]["lacking"] == {"LAeq": 16, "LAFTeq": 1}


def test_a_day_counts_the_hours_that_are_there() -> None:
    levels = [50.0] * 24
    levels[6] = 80.0
    whole = of_day(point(), hourly(levels))
    levels[6] = NAN
    rules = point()
    less = of_day(rules, hourly(levels))
    assert whole.value == pytest.approx(10 * np.log10((10**8.6 + 13 * 1e5 + 2 * 10**5.6) / 16))
    assert less.value == pytest.approx(10 * np.log10((13 * 1e5 + 2 * 10**5.6) / 15))
    assert (less.valid, less.coverage, less.inputs["parts"]["valid"]) == (True, 15 / 16, 15)
    assert less.inputs["derived"]["lacking"] == {"LAeq": 1}
    few = of_day(rules, hourly([NAN] * 11 + [50.0] * 13))
    assert (few.valid, few.coverage) == (False, 11 / 16)
    assert of_day(rules, hourly([NAN] * 10 + [50.0] * 14)).valid
    none = of_day(rules, hourly([NAN] * 24))
    assert (none.value, none.valid, none.inputs["derived"]["lacking"]) == (None, False, {"LAeq": 16})


# --- the night ---------------------------------------------------------------------------------------

NIGHT = [44.0, 45.0, 43.0, 41.0, 40.0, 39.0, 42.0, 46.0]


def test_the_night_is_its_loudest_full_hour() -> None:
    found = made(point(), hourly(NIGHT, hour=22))
    night = found["night", datetime(2026, 11, 20, 22)]
    assert (night.value, night.valid, night.coverage) == (46.0, True, 1.0)
    assert (night.inputs["derived"]["LAeq"], night.inputs["derived"]["loudest_from_h"]) == (46.0, 5.0)
    assert {a.window for a in found.values()} == {"1h", "night"}
    result = judged(point(), hourly(NIGHT, hour=22))
    assert [(e.clause, e.parameter, e.value) for e in result.exceedances] == [
        ("night-hour", "Lr", level) for level in NIGHT if level > 40.0
    ]
    assert all(e.verified for e in result.exceedances)
    evidence = result.exceedances[0].evidence
    assert evidence["average"]["derived"]["LAeq"] == 44.0
    assert evidence["conditions"]["LAeq"]["count"] == 60


def test_what_an_hour_exceeds_the_night_exceeds_whatever_is_missing() -> None:
    found = made(point(), hourly([NAN, NAN, NAN, 45.0, NAN, 45.0, NAN, NAN], hour=22))
    night = found["night", datetime(2026, 11, 20, 22)]
    assert (night.value, night.valid, night.inputs["parts"]["valid"]) == (45.0, False, 2)
    assert night.inputs["derived"]["loudest_from_h"] == 1.0
    assert night.inputs["derived"]["lacking"] == {"LAeq": 6}
    silent = made(point(), hourly([NAN] * 8, hour=22))["night", datetime(2026, 11, 20, 22)]
    assert (silent.value, silent.valid) == (None, False)
    assert silent.inputs["derived"]["loudest_from_h"] is None


def test_the_night_of_a_site_moves_the_day() -> None:
    early = made(point(night=["21:00", "05:00"]), hourly([50.0] * 24))
    assert early["day", datetime(2026, 11, 20, 5)].inputs["derived"]["sensitive_hours"] == 2  # 6 to 7, 20 to 21
    assert early["1h", datetime(2026, 11, 20, 21)].value == 50.0
    half = made(point(night=["22:30", "06:30"]), hourly([50.0] * 32))
    day = half["day", datetime(2026, 11, 20, 6, 30)]
    assert (day.value, day.inputs["derived"]["lacking"]) == (None, {"full hours": 1})
    night = half["night", datetime(2026, 11, 20, 22, 30)]
    assert (night.value, night.valid, night.coverage) == (50.0, True, 7 / 8)
    assert half["1h", datetime(2026, 11, 20, 22)].inputs["derived"]["lacking"] == {"full hours": 1}


# --- verdicts ----------------------------------------------------------------------------------------


def test_sensitive_hours_make_a_breach_and_what_is_unverified_says_so() -> None:
    """Of 53.7 dB by day a working day is 55.63, and 56 is above 55; with holidays there is nothing to add by hand."""
    loud = hourly([30.0] * 6 + [53.7] * 16 + [30.0] * 2)
    (found,) = judged(point(), loud).exceedances
    assert (found.clause, found.value, found.limit, found.verified) == ("day-level", 56.0, 55.0, True)
    assert found.evidence["measurements"]["interval"] == "1h"
    assert len(found.evidence["measurements"]["items"]) == 16
    (rest,) = judged(point(holidays=["2026-11-20"]), loud).exceedances
    assert (rest.value, rest.verified) == (57.0, False)
    assert judged(point(area="MI"), loud).exceedances == []
    assert judged(point(surveillance=True), loud).exceedances == []


def test_the_level_that_is_rated_is_told_as_taken() -> None:
    rules = point()
    result = judged(rules, hourly([50.0] * 24), hourly([51.0] * 24, parameter="LAFTeq"))
    assert unjudged(rules, ["LAeq", "LAFTeq"], result.averages) == []
    other = law("noise", {"area_class": 2}, "gb12348-2008")
    assert {a.parameter for a in judged(other, hourly([50.0] * 24)).averages} == {"LAeq"}


LEVELS = st.lists(st.floats(20.0, 100.0) | st.just(NAN), min_size=16, max_size=16)


@effort(max_examples=examples(25), deadline=None)
@given(LEVELS, st.sampled_from(["WA", "MI"]), st.booleans(), st.sampled_from([0, 3, 6]), st.floats(0.0, 9.0))
def test_windows_agree_with_the_calculation(
    levels: list[float], area: str, rest: bool, tone: int, impulse: float
) -> None:
    holidays = ["2026-11-20"] if rest else []
    rules = point(area=area, tone=tone, impulse=impulse, holidays=holidays)
    more: dict[str, Any] = {"tonal_db": tone, "impulsive_db": impulse}
    day = rating.day_rating(TA, levels, settings={"area": area}, rest_day=rest, **more).rating_db
    found = of_day(rules, hourly(levels, hour=6)).value
    assert (NAN if found is None else found) == pytest.approx(day, nan_ok=True, abs=1e-6)
    night = made(rules, hourly(levels[:8], hour=22))["night", datetime(2026, 11, 20, 22)]
    expected = rating.loudest_hour(TA, levels[:8], **more)
    assert (NAN if night.value is None else night.value) == pytest.approx(expected.rating_db, nan_ok=True, abs=1e-6)
    if expected.hour is not None:
        hour = (int(night.inputs["derived"]["loudest_from_h"]) - 22) % 24
        assert levels[hour] == pytest.approx(levels[expected.hour])  # of two alike, averages have the dust taken off


@effort(max_examples=examples(25), deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=15), st.lists(st.floats(), min_size=1, max_size=15))
def test_no_numbers_make_it_fall(levels: list[float], peaks: list[float]) -> None:
    found = made(point(tone=3), hourly(levels, hour=20), hourly(peaks, hour=19, parameter="LAFTeq"))
    assert all(a.value is None or not np.isnan(a.value) for a in found.values())
    assert all(a.value is not None and np.isfinite(a.value) for a in found.values() if a.valid)


# --- the running line --------------------------------------------------------------------------------

TOWN = (
    MILL.replace("Asia/Shanghai", "Europe/Berlin")
    + """
[[point]]
id = "fence"
kind = "noise"
rules = ["ta-laerm-1998", "iso1996-2-2017"]
[point.settings]
area = "WA"
surveillance = false
tone = 3
holidays = [2026-11-20, 2026-12-25]
residual_day = 41
residual_night = 44
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 60
"""
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "verdicts.db")
    yield opened
    opened.close()


def test_the_running_line_rates_as_a_file_is_rated_and_late_hours_change_their_windows_alone(book: Book) -> None:
    rules, intervals = site_rules([site(TOWN)])
    hours = 40
    start, end = at(FRIDAY), at(FRIDAY) + hours * HOUR_NS
    value = np.random.default_rng(5).normal(50.0, 4.0, hours * 60)
    times = start + MINUTE_NS * np.arange(hours * 60, dtype=np.int64)
    late = (times >= at(FRIDAY, 20)) & (times < at(FRIDAY, 23))  # two sensitive hours of the day, one of the night
    journal = MemoryJournal()
    for hour in range(hours):
        mine = (times >= start + hour * HOUR_NS) & (times < start + (hour + 1) * HOUR_NS) & ~late
        if mine.any():
            journal.batch(start + (hour + 1) * HOUR_NS, fence(times[mine], value[mine]))
            journal.tick(start + (hour + 1) * HOUR_NS + 2 * MINUTE_NS)
    line = Line(journal, book, rules, intervals)

    def follow() -> dict[tuple[str, str, int], Average]:
        for entry in journal.read(line.position, 10**6):
            line.take(entry)
        found = [row.average for name in ("Lr", "Ls") for row in book.averages(parameter=name)]
        return {(a.parameter, a.window, a.from_ns): a for a in found}

    before = follow()
    journal.batch(end + HOUR_NS, fence(times[late], value[late]))
    journal.tick(end + HOUR_NS + 2 * MINUTE_NS)
    after = follow()
    changed = {key for key, average in after.items() if average != before.get(key)}
    touched = [("1h", at(FRIDAY, hour)) for hour in (20, 21, 22)] + [("day", at(FRIDAY, 6)), ("night", at(FRIDAY, 22))]
    assert changed == {(name, *window) for name in ("Lr", "Ls") for window in touched}
    (whole,) = rules.values()
    signal = series("LAeq", value, start=start)
    wanted = {kind: whole.windows(kind, start, end) for kind in ("1h", "day", "night")}
    result = derive(whole, {"LAeq": signal}, wanted)
    ended = [a for a in result.averages if a.parameter in ("Lr", "Ls") and a.to_ns <= end]
    expected = {(a.parameter, a.window, a.from_ns): a for a in ended}
    assert {key: (a.value, a.valid, a.coverage, a.evaluated, a.inputs["derived"]) for key, a in after.items()} == {
        key: (a.value, a.valid, a.coverage, a.evaluated, a.inputs["derived"]) for key, a in expected.items()
    }
    stands = {(r.exceedance.clause, r.exceedance.from_ns): r.exceedance.value for r in book.exceedances()}
    assert stands == {(e.clause, e.from_ns): e.value for e in result.exceedances if e.to_ns <= end}
    assert {clause for clause, _ in stands} == {"day-level", "night-hour"}

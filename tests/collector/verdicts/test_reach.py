"""What slow channels say of the plant's state and of the weather: the running line judges as `judge` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.judge_command import judged
from collector.verdicts.agenda import LONG
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.reach import PLAIN, Reach, Reaches, spoken
from collector.verdicts.records import Average, Change
from collector.verdicts.screening import signal
from gateway import catalogue
from gateway.measurement import SECOND_NS, Columns, Series, Status, concatenate
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, MemoryJournal, one
from tests.collector.verdicts.test_marks import marked, say
from tests.effort import examples

PARAMETERS = catalogue.parameters()
PACKS = rule_packs()
LIMITS = {"reference_oxygen": 6.0, "elv_so2": 20.0, "elv_so2_month": 20.0, "elv_so2_year": 20.0}
CODES = "0=stopped,1=operating,2=start_up"
STACK = {"SO2": 400.0, "O2": 6.0}
HOURS = 2
ZONES = ("Europe/Berlin", "Asia/Kolkata")  # half an hour off
Channels = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, int]]


def law(kind: str, pack: str, zone: str, **more: Any) -> PointRules:
    found, faults = point_rules(
        "mill", "x", kind, timezone=zone, packs=[PACKS[pack]], settings=more, parameters=PARAMETERS
    )
    assert faults == []
    return found


@cache
def points(zone: str) -> dict[str, tuple[PointRules, dict[str, float], str, tuple[float, ...]]]:
    """Each kind of point: its rules, what it measures every minute, the channel that tells, and what that may say."""
    threshold = law("stack", "bimschv-13-2021", zone, operating_where="velocity > 8", **LIMITS)
    codes = law("stack", "bimschv-13-2021", zone, state_codes=CODES, **LIMITS)
    plain = law("stack", "bimschv-13-2021", zone, **LIMITS)
    noise = law("noise", "gb12348-2008", zone, area_class=2)
    return {
        "threshold": (threshold, STACK, "velocity", (5.0, 12.0)),
        "code": (codes, STACK, "plant_state", (0.0, 1.0, 2.0, 7.0)),
        "status": (plain, STACK, "dust", (1.0, np.nan)),  # nan: it has the status `stopped`
        "wind": (noise, {"LAeq": 60.0}, "wind_speed", (2.0, 7.0)),
        "rain": (noise, {"LAeq": 60.0}, "rain", (0.0, 1.0)),
    }


def channel(times: np.ndarray, values: Any, interval_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    value = np.broadcast_to(np.asarray(values, np.float64), times.shape).copy()
    return times, value, np.where(np.isnan(value), Status.STOPPED, Status.OK).astype(np.uint8), interval_ns


def columns(data: Channels, names: Iterable[str]) -> Columns:
    parts = []
    for name in names:
        times, value, status, _ = data[name]
        series = Series("mill", "x", f"s-{name}", name, PARAMETERS[name].unit)
        parts.append(Columns((series,), np.zeros(len(times), np.uint16), times, value, status))
    return concatenate(parts)


def live(data: Channels) -> Iterator[tuple[int, Columns]]:
    """Each value in the minutes in which it was measured."""
    every = columns(data, data)
    turns = every.time_ns // (4 * MINUTE_NS)
    for turn in np.unique(turns).tolist():
        part = every.take(turns == turn)
        yield int(part.time_ns.max()) + 2 * SECOND_NS, part


def late(data: Channels) -> Iterator[tuple[int, Columns]]:
    """What tells the state or the weather after all else."""
    *first, last = data
    yield from live({name: data[name] for name in first})
    every = columns(data, [last])
    for row in range(len(every)):
        yield int(every.time_ns.max()) + (row + 2) * HOUR_NS, every.take(slice(row, row + 1))


def shuffled(data: Channels) -> Iterator[tuple[int, Columns]]:
    every = columns(data, data)
    order = np.random.default_rng(len(every)).permutation(len(every))
    for number, rows in enumerate(np.array_split(order, 7)):
        yield int(every.time_ns.max()) + (number + 1) * HOUR_NS, every.take(rows)


Found = tuple[dict[Any, Average], set[Any]]


def by_line(rules: PointRules, data: Channels, journal: MemoryJournal, more: Any = ()) -> Found:
    """What the running line makes of a journal, when a day has passed over it. more: intervals of other sensors."""
    end = journal.entries[-1].received_ns
    journal.ticks(end + 25 * HOUR_NS, end + 25 * HOUR_NS + 1)
    intervals = {("mill", f"s-{name}", name): interval_ns for name, (*_, interval_ns) in data.items()}
    intervals |= dict(more)
    with TemporaryDirectory() as folder:
        book = Book(Path(folder) / "verdicts.db")
        line = Line(journal, book, {("mill", "x"): rules}, intervals)
        for entry in journal.read(0, 10**6):
            line.take(entry)
        kinds = [kind for kind in rules.built if kind not in LONG]
        averages = [a for kind in kinds for a in book.known_averages("mill", "x", kind, 0, 1 << 62)]
        broken = [e for kind in kinds for e in book.known_exceedances("mill", "x", kind, 0, 1 << 62)]
        book.close()
    return known(averages), {(e.clause, e.from_ns) for e in broken if e.change is not Change.WITHDRAWN}


def by_judge(rules: PointRules, data: Channels) -> Found:
    signals = [
        signal(name, PARAMETERS[name].unit, time_ns=times, value=value, status=status, interval_ns=interval_ns)
        for name, (times, value, status, interval_ns) in data.items()
    ]
    found = judged(rules, signals)
    return known(found.averages), {(e.clause, e.from_ns) for e in found.exceedances if e.window not in LONG}


def known(averages: Iterable[Average]) -> dict[Any, Average]:
    some = (replace(a, version=1, sums={}) for a in averages if a.window not in LONG)
    return {(a.parameter, a.window, a.from_ns): a for a in some if a.count or a.inputs}


def journalled(pieces: Iterable[tuple[int, Columns]]) -> MemoryJournal:
    journal = MemoryJournal()
    for now_ns, part in pieces:
        journal.batch(now_ns, part)
        journal.tick((now_ns // MINUTE_NS + 1) * MINUTE_NS + 30 * SECOND_NS)
    return journal


def agree(line: Found, judge: Found) -> None:
    assert line[1] == judge[1]
    assert line[0].keys() == judge[0].keys()
    for key, average in judge[0].items():
        assert line[0][key] == average, key


def measured(rules: PointRules, often: dict[str, float], hours: int = HOURS, shift_s: int = 0) -> tuple[int, Channels]:
    """Midnight at a point, and what it measures every minute from then on."""
    start = int(datetime(2026, 6, 1, tzinfo=ZoneInfo(rules.timezone)).timestamp()) * SECOND_NS
    times = start + shift_s * SECOND_NS + np.arange(60 * hours, dtype=np.int64) * MINUTE_NS
    return start, {name: channel(times, value, MINUTE_NS) for name, value in often.items()}


@settings(max_examples=examples(8, 150), deadline=None)
@given(st.data(), st.sampled_from(["threshold", "code", "status", "wind", "rain"]), st.sampled_from(ZONES),
       st.sampled_from([1, 10, 60]), st.sampled_from([live, late, shuffled]))  # fmt: skip
def test_the_line_judges_as_judge_does(data: Any, what: str, zone: str, step: int, order: Any) -> None:
    rules, often, name, values = points(zone)[what]
    start, known = measured(rules, often, shift_s=data.draw(st.sampled_from([0, 30]) if what == "wind" else st.just(0)))
    hour = start // HOUR_NS * HOUR_NS  # on the hours of UTC, in a zone that has its own half an hour later
    times = np.arange(hour, start + HOURS * HOUR_NS, step * MINUTE_NS, dtype=np.int64)
    said = data.draw(st.lists(st.sampled_from(values), min_size=len(times), max_size=len(times)))
    known[name] = channel(times, said, step * MINUTE_NS)
    agree(by_line(rules, known, journalled(order(known))), by_judge(rules, known))


@pytest.mark.parametrize("order", [live, late, shuffled])
def test_nobody_is_accused_for_an_hour_in_which_an_hourly_channel_says_that_the_plant_stood(order: Any) -> None:
    rules, often, name, _ = points("Asia/Kolkata")["threshold"]
    start, known = measured(rules, often)
    known[name] = channel(start - HOUR_NS // 2 + HOUR_NS * np.arange(3), [2.0, 20.0, 2.0], HOUR_NS)
    _, broken = found = by_line(rules, known, journalled(order(known)))
    halves = [(at - start) / HOUR_NS for clause, at in broken if clause == "so2-half-hour"]
    assert sorted(halves) == [0.5, 1.0]
    agree(found, by_judge(rules, known))


def test_levels_of_ten_minutes_go_where_the_weather_after_their_window_is_bad() -> None:
    rules = law("noise", "gb12348-2008", "Europe/Berlin", area_class=2)
    start, known = measured(rules, {})
    known["LAeq"] = channel(start + 5 * MINUTE_NS + 10 * MINUTE_NS * np.arange(12), 60.0, 10 * MINUTE_NS)
    known["rain"] = channel(start + MINUTE_NS * np.arange(120), np.arange(120) == 62, MINUTE_NS)
    found = by_line(rules, known, journalled(live(known)))
    assert found[0]["LAeq", "1h", start].inputs["counts"] == {"ok": 5, "rain": 1}
    agree(found, by_judge(rules, known))


def test_a_mark_over_a_slow_channel_is_felt_as_long_as_its_value_stands() -> None:
    rules, often, name, _ = points("Europe/Berlin")["code"]
    start, known = measured(rules, often)
    known[name] = channel(start + HOUR_NS * np.arange(2), 0.0, HOUR_NS)
    journal = journalled(live(known))
    say(journal, journal.entries[-1].received_ns, marked(start, start + MINUTE_NS, point="x", parameter=name))
    averages, broken = by_line(rules, known, journal)
    assert {at for clause, at in broken if clause == "so2-half-hour"} == {start, start + HOUR_NS // 2}
    assert averages["SO2", "1m", start + 40 * MINUTE_NS].valid


def test_of_two_instruments_each_speaks_for_as_long_as_its_values_stand() -> None:
    """A slow one, which comes last, is replaced by a fast one."""
    rules, often, name, _ = points("Europe/Berlin")["code"]
    start, known = measured(rules, often)
    known[name] = channel(start + 45 * MINUTE_NS + MINUTE_NS * np.arange(30), 1.0, MINUTE_NS)
    journal = journalled(live(known))
    now_ns = journal.entries[-1].received_ns
    hourly = Series("mill", "x", "s-slow", name, "")
    for hour in (0, 1):
        journal.batch(now_ns + hour * MINUTE_NS, one(hourly, [start + hour * HOUR_NS - MINUTE_NS // 2], 0.0))
        journal.tick(now_ns + (hour + 2) * MINUTE_NS)
    averages, _ = by_line(rules, known, journal, {("mill", "s-slow", name): HOUR_NS})
    minutes = [averages["SO2", "1m", start + minute * MINUTE_NS].valid for minute in range(120)]
    assert minutes == [False] * 45 + [True] * 30 + [False] * 45


REACHES = st.builds(Reach, st.sampled_from([1, 60, 300]), st.integers(0, 400), st.integers(0, 200))


@given(REACHES, st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 1000))
@settings(max_examples=examples(300))
def test_what_is_heard_is_what_is_spoken(reach: Reach, time_ns: int, from_ns: int, long_ns: int) -> None:
    begin, end = (int(edge[0]) for edge in spoken(np.array([time_ns]), reach.grid_ns, reach.stands_ns, reach.back_ns))
    first, after = reach.heard(from_ns, from_ns + long_ns)
    assert begin <= time_ns < end
    assert (first <= time_ns < after) == (begin < from_ns + long_ns and end > from_ns)


def test_channels_that_tell_nothing_reach_no_further_than_their_minute() -> None:
    rules = {("mill", "x"): law("stack", "bimschv-13-2021", "Europe/Berlin", **LIMITS)}
    reaches = Reaches(rules, {("mill", "s-SO2", "SO2"): 5 * SECOND_NS, ("other", "s", "SO2"): HOUR_NS})
    assert reaches.of(Series("mill", "nowhere", "s-SO2", "SO2", "mg/m3")) is PLAIN
    for sensor in ("s-SO2", "unknown"):
        assert not reaches.of(Series("mill", "x", sensor, "SO2", "mg/m3")).beyond
    assert reaches.around(("mill", "x"), 90, 100) == reaches.touched(("mill", "x"), 90, 100) == (90, 100)
    assert reaches.heard(Series("mill", "x", "s-SO2", "SO2", "mg/m3"), 90, 100) == (90, 90)

"""A maximum is judged however slowly its channel measures, and where it cannot be, that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.points import PointRules
from collector.verdicts.records import Change
from collector.verdicts.unjudged import unjudged
from gateway.measurement import SECOND_NS, Columns, Series
from tests.collector.verdicts.lines import MemoryJournal
from tests.collector.verdicts.test_averages import DAY_NS, HOUR_NS, MIDNIGHT, MINUTE_NS, NOISE, law, series
from tests.effort import examples

RESIDENTIAL = law("noise", {"area": "WA"}, "ta-laerm-1998")  # at most 85 dB by day, 60 dB at night
SHIFTED = law("noise", {"area": "WA", "night": ["22:30", "06:30"]}, "ta-laerm-1998")
PEAKS = ("day-peak", "night-peak")


def day(rules: PointRules, minutes: int, levels: Mapping[int, float], otherwise: float = 40.0) -> Derived:
    """A day of maxima over some minutes each. levels: by number of the value."""
    values = np.full(1440 // minutes, otherwise)
    values[list(levels)] = list(levels.values())
    signals = {"LAFmax": series("LAFmax", values, step_s=60.0 * minutes)}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + DAY_NS) for kind in rules.built}
    return derive(rules, signals, wanted)


def told(rules: PointRules, found: Derived) -> list[str]:
    return unjudged(rules, ["LAFmax"], found.averages)


@pytest.mark.parametrize(("minutes", "window"), [(1, "1m"), (5, "1h"), (10, "1h"), (15, "1h"), (30, "1h"), (60, "1h")])
def test_peaks_of_slow_meters_are_judged_in_the_shortest_windows_there_are(minutes: int, window: str) -> None:
    found = day(RESIDENTIAL, minutes, {}, otherwise=120.0)
    length = 1 if window == "1m" else 60
    whole = {("day-peak", window): 960 // length, ("night-peak", window): 480 // length}
    assert Counter((e.clause, e.window) for e in found.exceedances) == whole
    assert told(RESIDENTIAL, found) == []


def test_a_peak_is_shown_with_the_average_of_the_window_it_was_judged_in() -> None:
    (found,) = day(RESIDENTIAL, 5, {3 * 12 + 7: 60.1, 9 * 12: 85.0}).exceedances
    assert (found.clause, found.from_ns, found.to_ns) == ("night-peak", MIDNIGHT + 3 * HOUR_NS, MIDNIGHT + 4 * HOUR_NS)
    assert (found.value, found.limit) == (60.1, 60.0)
    assert (found.evidence["average"]["window"], found.evidence["average"]["maximum"]) == ("1h", 60.1)


@settings(max_examples=examples(25))
@given(
    st.sampled_from([5, 10, 15, 20, 30, 60]),
    st.dictionaries(st.integers(0, 1439), st.sampled_from([60.0, 60.1, 85.0, 85.1, np.nan, 120.0]), max_size=6),
)
def test_what_breaks_in_an_hour_breaks_in_one_of_its_minutes(minutes: int, levels: dict[int, float]) -> None:
    """Slow values judge the hours in which the same ones, told minute by minute, break the clause."""
    slow = {minute // minutes: level for minute, level in levels.items()}
    fast = {n * minutes + i: level for n, level in slow.items() for i in range(minutes)}
    found = [
        {(e.clause, (e.from_ns - MIDNIGHT) // HOUR_NS) for e in day(RESIDENTIAL, step, values).exceedances}
        for step, values in ((minutes, slow), (1, fast))
    ]
    assert found[0] == found[1]


def test_an_hour_across_the_edge_of_the_night_is_told_and_not_judged() -> None:
    found = day(SHIFTED, 5, {}, otherwise=120.0)
    hours = {(e.clause, (e.from_ns - MIDNIGHT) // HOUR_NS) for e in found.exceedances}
    night = {("night-peak", hour) for hour in (*range(6), 23)}
    assert hours == night | {("day-peak", hour) for hour in range(7, 22)}
    assert told(SHIFTED, found) == [
        f"LAFmax: not judged by ta-laerm-1998/{id}, for a value stands for longer than 1m, "
        f"windows of 1h across the edge of its {id.removesuffix('-peak')}: 2"
        for id in PEAKS
    ]
    assert told(SHIFTED, day(SHIFTED, 1, {}, otherwise=120.0)) == []


def test_values_slower_than_an_hour_are_told() -> None:
    found = day(RESIDENTIAL, 120, {}, otherwise=120.0)
    reason = "for a value stands for longer than an hour"
    assert found.exceedances == []
    assert told(RESIDENTIAL, found) == [f"LAFmax: not judged by ta-laerm-1998/{id}, {reason}" for id in PEAKS]


@pytest.mark.parametrize("later_s", [60, 300])
def test_the_running_line_goes_on_where_a_channel_gets_slower(tmp_path: Path, later_s: int) -> None:
    """The hour in which that happens takes over what was said of the minute that it starts with."""
    journal, book = MemoryJournal(), Book(tmp_path / "verdicts.db")
    rules = {("p", "x"): NOISE}

    def run(interval_s: int, from_ns: int, to_ns: int) -> None:
        times = np.arange(from_ns, to_ns, interval_s * SECOND_NS)
        n = len(times)
        one = (Series("p", "x", "slm", "LAFmax", "dB(A)"),)
        columns = Columns(one, np.zeros(n, np.uint16), times, np.full(n, 99.0), np.zeros(n, np.uint8))
        journal.batch(to_ns + SECOND_NS, columns, plant="p")
        journal.ticks(to_ns + 2 * SECOND_NS, to_ns + 2 * MINUTE_NS)
        line = Line(journal, book, rules, {("p", "slm", "LAFmax"): interval_s * SECOND_NS})
        for entry in journal.read(line.position, 500):
            line.take(entry)

    half = MIDNIGHT + HOUR_NS // 2
    run(60, MIDNIGHT, half)
    run(later_s, half, MIDNIGHT + HOUR_NS)
    found = [row.exceedance for row in book.exceedances(newest=True)]
    first = next(e for e in found if e.from_ns == MIDNIGHT)
    book.close()
    if later_s == 60:
        assert Counter((e.window, e.version) for e in found) == {("1m", 1): 60}
    else:
        assert (first.window, first.version, first.change) == ("1h", 2, Change.AMENDED)
        assert (first.to_ns, first.value) == (MIDNIGHT + HOUR_NS, 99.0)

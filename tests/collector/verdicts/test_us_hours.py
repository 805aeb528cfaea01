"""Hours valid by quadrants: in averages of files and in the running line, with tests and part of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.marks import Kind
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from collector.verdicts.judgement import derive
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.quadrants import hour_valid, qa_hour_valid
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal, signal
from collector.verdicts.states import State
from gateway.measurement import SECOND_NS, Series, Status
from tests.collector.verdicts.lines import HOUR_NS, MILL, MINUTE_NS, MemoryJournal, newest, one, site
from tests.collector.verdicts.test_averages import MIDNIGHT, PACKS, PARAMETERS
from tests.collector.verdicts.test_marks import marked, say
from tests.collector.verdicts.test_pack_file import GOOD
from tests.effort import examples

US = PACKS["40cfr60"]
assert US.us is not None
assert US.us.hour is not None
RULE = US.us.hour
CAL, KEPT = Status.CALIBRATION, Status.MAINTENANCE


def law(*packs: str, **settings: Any) -> PointRules:
    rules, faults = point_rules(
        "p", "x", "stack", timezone="Asia/Shanghai", packs=[PACKS[id] for id in packs or ("40cfr60",)],
        settings=settings, parameters=PARAMETERS,
    )  # fmt: skip
    assert not faults, faults
    return rules


def values(
    at: Any, value: Any = 10.0, *, parameter: str = "SO2", status: Any = 0, interval_ns: int = MINUTE_NS
) -> Signal:
    """Values at some minutes after midnight."""
    time_ns = MIDNIGHT + np.round(np.asarray(at, np.float64) * MINUTE_NS).astype(np.int64)
    return signal(
        parameter, PARAMETERS[parameter].unit, time_ns=time_ns, interval_ns=interval_ns,
        value=np.broadcast_to(np.asarray(value, np.float64), time_ns.shape).copy(),
        status=np.broadcast_to(np.asarray(status, np.uint8), time_ns.shape).copy(),
    )  # fmt: skip


def hours(rules: PointRules, *signals: Signal, said: tuple[State, ...] = (), count: int = 1) -> list[Average]:
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + count * HOUR_NS)}
    found = derive(rules, {s.parameter: s for s in signals}, wanted, said=said).averages
    return [a for a in found if a.parameter == signals[0].parameter]


def stood(from_min: float, to_min: float) -> State:
    return State(state="stopped", from_ns=MIDNIGHT + round(from_min * MINUTE_NS),
                 to_ns=MIDNIGHT + round(to_min * MINUTE_NS))  # fmt: skip


@pytest.mark.parametrize(
    ("at", "valid"),
    [([0, 15, 30, 45], True), ([14, 29, 44, 59], True), ([0, 15, 30], False), ([*range(15), *range(30, 60)], False),
     ([0, 14, 15, 29, 30, 44], False), (range(60), True)],
)  # fmt: skip
def test_an_hour_needs_a_value_in_each_quadrant_however_many_others_there_are(at: Any, valid: bool) -> None:
    (found,) = hours(law(), values(at))
    assert (found.value, found.valid) == (10.0, valid)
    assert found.inputs["parts"]["quadrants"] is True


def test_all_values_of_an_hour_go_into_it_however_few_a_quadrant_has() -> None:
    """40 CFR 60.13(h)(2): (100 + 45 * 10) / 46, and not the mean of the quarters, 32.5."""
    (found,) = hours(law(), values([7, *range(15, 60)], [100.0] + [10.0] * 45))
    assert (found.value, found.valid) == (pytest.approx(550.0 / 46.0), True)
    assert found.inputs["parts"]["valid"] == 4
    rules = law("40cfr60", "ultra-low-2015", reference_oxygen=6.0)  # which makes days of hours
    two = values([7, *range(15, 120)], [100.0] + [10.0] * 45 + [20.0] * 60)
    (day,) = derive(rules, {"SO2": two}, {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + HOUR_NS)}).averages
    assert day.value == pytest.approx((550.0 / 46.0 + 20.0) / 2.0)


@pytest.mark.parametrize("seconds", [5, 60])
def test_what_is_converted_counts_every_value_alike_too(seconds: int) -> None:
    """At 11 % oxygen everything is (21 - 6) / (21 - 11) = 1.5 times as much at 6 %."""
    rules = law("40cfr60", "ultra-low-2015", reference_oxygen=6.0)
    at = np.array([7.0, *np.arange(15.0, 60.0, seconds / 60.0)])
    level = np.where(at < 15.0, 100.0, 10.0)
    so2 = values(at, level, interval_ns=seconds * SECOND_NS)
    (found,) = hours(rules, so2, values(np.arange(60), 11.0, parameter="O2"))
    assert found.value == pytest.approx(level.mean())
    assert found.inputs["standard_dry"] == pytest.approx(level.mean())
    assert found.inputs["converted"] == pytest.approx(1.5 * level.mean())


def test_values_that_stand_for_unequal_times_count_by_these() -> None:
    """A minute of 100 once, and 45 minutes of 10 told every 5 s or once a minute."""
    rules = law("40cfr60", "ultra-low-2015", reference_oxygen=6.0)
    slow, fast = np.array([7, *range(30, 60)]), np.arange(15.0, 30.0, 1.0 / 12.0)
    at = np.concatenate([slow[:1], fast, slow[1:]])
    mixed = replace(
        values(at, np.where(at < 15.0, 100.0, 10.0)), sensor_index=np.isin(at, fast).astype(np.uint16),
        sensors=("slow", "fast"), intervals_ns=(MINUTE_NS, 5 * SECOND_NS),
    )  # fmt: skip
    (found,) = hours(rules, mixed, values(np.arange(60), 11.0, parameter="O2"))
    assert (found.value, found.inputs["converted"]) == (pytest.approx(550.0 / 46.0), pytest.approx(1.5 * 550.0 / 46.0))


@pytest.mark.parametrize(
    ("good", "valid"), [([5, 20], True), ([5, 19], False), ([5, 22], True), ([40, 55], True), ([5], False), ([], False)]
)
def test_an_hour_with_a_test_needs_two_values_far_enough_apart(good: list[int], valid: bool) -> None:
    """40 CFR 60.13(h)(2): 15 minutes are enough, 14 are not."""
    for code in (CAL, KEPT):
        at = sorted({*good, 2})
        (found,) = hours(law(), values(at, status=[0 if minute in good else code for minute in at]))
        assert found.valid is valid
        assert found.count == len(good)


def test_what_a_mark_says_of_a_test_counts_as_the_status_does() -> None:
    at = np.arange(60)
    faulty = np.where(at < 30, Status.FAULT, 0)
    assert [a.valid for a in hours(law(), values(at, status=faulty))] == [False]
    assert [a.valid for a in hours(law(), values(at, status=np.where(at == 0, CAL, faulty)))] == [True]


@pytest.mark.parametrize(
    ("at", "spans", "valid"),
    [
        ([16, 31, 46], [(0, 15)], True),  # it ran in three quadrants
        ([16, 31, 46], [(0, 14.9)], False),  # a moment of the first
        ([2], [(5, 60)], True), ([2], [(16, 60)], False), ([50, 3], [(5, 49)], True),
        ([], [(0, 60)], False),
    ],
)  # fmt: skip
def test_of_an_hour_in_which_the_unit_ran_in_part_those_quadrants_count(
    at: list[float], spans: list[tuple[float, float]], valid: bool
) -> None:
    there = [*sorted(at), 61]
    found = hours(law(), values(there), said=tuple(stood(*span) for span in spans), count=2)
    assert [a.valid for a in found if a.from_ns == MIDNIGHT] == ([valid] if at else [])


def test_a_short_run_with_a_test_needs_one_value() -> None:
    (found,) = hours(law(), values([1, 3], status=[CAL, 0]), said=(stood(5, 60),))
    assert found.valid
    (none,) = hours(law(), values([1, 3], status=[CAL, CAL]), said=(stood(5, 60),))
    assert (none.valid, none.value) == (False, None)


def test_values_that_stand_for_more_than_a_quadrant_fill_the_hour() -> None:
    assert [a.valid for a in hours(law(), values([0], interval_ns=HOUR_NS))] == [True]
    half = [hours(law(), values(at, interval_ns=30 * MINUTE_NS))[0].valid for at in ([0, 30], [0], [30])]
    assert half == [True, False, False]
    quarters = [hours(law(), values(at, interval_ns=15 * MINUTE_NS))[0].valid for at in ([0, 15, 30, 45], [0, 15, 45])]
    assert quarters == [True, False]


def test_an_hour_is_converted_where_all_that_went_in_could_be() -> None:
    at = np.arange(60)
    rules = law("40cfr60", "ultra-low-2015", reference_oxygen=6.0)
    tested = values(at, 30.0, status=np.where(at < 30, CAL, 0))
    (found,) = hours(rules, tested, values(at, 6.0, parameter="O2"))
    assert (found.valid, found.inputs["converted"]) == (True, 30.0)
    (less,) = hours(rules, tested, values(at[:40], 6.0, parameter="O2"))
    assert (less.valid, "converted" in less.inputs and less.inputs["converted"] is not None) == (True, False)


def test_another_pack_of_the_point_counts_in_its_own_way() -> None:
    at = np.arange(60)
    rules = law("40cfr60", "ultra-low-2015", reference_oxygen=6.0)
    signals = [values(at[:50], 60.0), values(at, 6.0, parameter="O2")]
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    lost = np.where((at[:50] >= 15) & (at[:50] < 20), Status.FAULT, 0)
    for so2, valid, broken in (
        (signals[0], True, ["so2-hour"]), (values(at[:50], 60.0, status=lost), True, ["so2-hour"]),
        (values([1, 16, 31, 46], 60.0), True, []), (values([*range(15), *range(30, 60)], 60.0), False, ["so2-hour"]),
    ):  # fmt: skip
        found = derive(rules, {"SO2": so2, "O2": signals[1]}, wanted)
        assert [a.valid for a in found.averages if a.parameter == "SO2"] == [valid]
        assert [e.clause for e in found.exceedances] == broken


@pytest.mark.parametrize(
    ("at", "tested", "broken"),
    [([1, 16, 31, 46], [], True), ([1, 16, 46], [], False), ([2, 16, 31], [2], True), ([2, 16, 30], [2], False)],
)
def test_a_permit_is_judged_by_it_where_it_says_nothing_of_validity(
    at: list[int], tested: list[int], broken: bool
) -> None:
    begin, end = GOOD.index("[[validity]]"), GOOD.index("[[clause]]")
    permit, faults = parse_rules(GOOD[:begin] + GOOD[end:], "permit.toml", PARAMETERS)
    assert permit is not None, faults
    rules, wrong = point_rules(
        "p", "x", "stack", timezone="America/Chicago", packs=[permit, US], settings={"size": "small"},
        parameters=PARAMETERS,
    )  # fmt: skip
    assert not wrong, wrong
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    so2 = values(at, 41.0, status=[CAL if minute in tested else 0 for minute in at])
    found = derive(rules, {"SO2": so2}, wanted)
    assert [e.clause for e in found.exceedances] == ["so2-hour"] * broken


STATUSES = st.sampled_from([0, 0, 0, Status.FAULT, CAL, KEPT])


@effort(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 719), STATUSES), min_size=1, max_size=30, unique_by=lambda pair: pair[0]),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_hours_agree_with_the_calculation(seen: list[tuple[int, int]], ran: list[bool]) -> None:
    """Whatever the values are: 5 s each, in quadrants in which the unit ran or not."""
    seen = sorted(seen)
    at, status = np.array([place for place, _ in seen]) / 12.0, np.array([code for _, code in seen])
    said = tuple(stood(15 * n, 15 * n + 15) for n in range(4) if not ran[n])
    (found,) = hours(law(), values(at, status=status, interval_ns=5 * SECOND_NS), said=said)
    there = np.array([ran[int(minute // 15)] for minute in at])
    good = np.where((status == 0) & there, at, np.nan)
    rule = qa_hour_valid if np.isin(status, [CAL, KEPT]).any() else hour_valid
    assert found.valid is bool(rule(good, RULE, ran=ran))


SITE = (
    MILL
    + """
[[point]]
id = "stack"
kind = "stack"
rules = ["40cfr60"]
[[sensor]]
id = "cems"
point = "stack"
link = "tcp://127.0.0.1:5022?unit=1"
profile = "sick-mcs100ft"
interval_s = 60
parameters = ["NOx"]
"""
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "verdicts.db")
    yield opened
    opened.close()


def test_the_running_line_takes_all_values_too(book: Book) -> None:
    rules, intervals = site_rules([site(SITE)])
    journal, at = MemoryJournal(), np.array([7, *range(15, 60), *range(60, 120)])
    level = np.where(at == 7, 100.0, 10.0)
    journal.batch(MIDNIGHT + 2 * HOUR_NS, one(Series("mill", "stack", "cems", "NOx", "mg/m3"),
                                              MIDNIGHT + at * MINUTE_NS, level))  # fmt: skip
    journal.tick(MIDNIGHT + 2 * HOUR_NS + 2 * MINUTE_NS)
    line = Line(journal, book, rules, intervals)
    for entry in journal.read(line.position, 10**6):
        line.take(entry)
    (whole,) = rules.values()
    expected = [a.value for a in hours(whole, values(at, level, parameter="NOx"), count=2)]
    assert [newest(book)["stack", "NOx", "1h", MIDNIGHT + n * HOUR_NS].value for n in range(2)] == expected
    assert expected == [pytest.approx(550.0 / 46.0), 10.0]


def test_the_running_line_counts_as_a_file_is_counted_and_follows_marks(book: Book) -> None:
    rules, intervals = site_rules([site(SITE)])
    journal = MemoryJournal()
    at = np.array([*range(60), *range(60, 75), *range(90, 120), *range(120, 150)])
    journal.batch(MIDNIGHT + 3 * HOUR_NS, one(Series("mill", "stack", "cems", "NOx", "mg/m3"),
                                              MIDNIGHT + at * MINUTE_NS, 10.0))  # fmt: skip
    journal.tick(MIDNIGHT + 3 * HOUR_NS + 2 * MINUTE_NS)
    line = Line(journal, book, rules, intervals)

    def follow() -> list[tuple[bool, int]]:
        for entry in journal.read(line.position, 10**6):
            line.take(entry)
        known = newest(book)
        return [(a.valid, a.version) for n in range(3) for a in [known["stack", "NOx", "1h", MIDNIGHT + n * HOUR_NS]]]

    assert follow() == [(True, 1), (False, 1), (False, 1)]
    now_ns = MIDNIGHT + 3 * HOUR_NS + 3 * MINUTE_NS
    start = MIDNIGHT + HOUR_NS
    say(journal, now_ns, marked(start, start + 5 * MINUTE_NS, Kind.CALIBRATION, point="stack", parameter="NOx"))
    say(journal, now_ns, marked(start + 90 * MINUTE_NS, start + 120 * MINUTE_NS, Kind.STOPPED, point="stack"))
    journal.tick(now_ns + MINUTE_NS)
    assert follow() == [(True, 1), (True, 2), (True, 2)]
    (whole,) = rules.values()
    seen = values(at, parameter="NOx", status=np.where((at >= 60) & (at < 65), CAL, 0))
    assert [a.valid for a in hours(whole, seen, said=(stood(150, 180),), count=3)] == [True, True, True]

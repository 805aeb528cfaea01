"""Points for charts: the limits of a day, how instruments answered, what gateways say; and the file of samples."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.charts import logbook as module
from collector.charts.feed import BEGIN, Point
from collector.charts.judged import Averages, Exceedances, average_point, link_points
from collector.charts.limits import Ahead, limit_points
from collector.charts.logbook import Logbook, Sampler
from collector.charts.samples import sampled
from collector.intake.sorter import Counts
from collector.intake.states import States
from collector.verdicts.book import Book
from collector.verdicts.records import Average
from gateway.measurement import SECOND_NS
from tests.collector.test_influx_mirror import EXCEEDANCE, average, commit
from tests.collector.test_projector import eventually
from tests.collector.verdicts.lines import HOUR_NS, RULES
from tests.effort import examples

# 2026-11-20 08:00 in Shanghai, where the mill of RULES stands.
MORNING_NS = 1_795_132_800 * SECOND_NS
MIDNIGHT_NS = MORNING_NS - 8 * HOUR_NS
MILL = RULES[0]


def told(point: str, time_ns: int = MORNING_NS, **tags: str) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Hours after midnight and fields of the limits of a day, by clause."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for one in limit_points(MILL["mill", point], time_ns):
        if tags.items() <= one.tags.items():
            hour = (one.time_ns - MIDNIGHT_NS) / HOUR_NS
            found.setdefault(one.tags["clause"], []).append((hour, dict(one.fields)))
    return found


def test_a_night_has_its_limit_from_evening_to_morning_and_begins_once() -> None:
    night = told("fence", window="night", statistic="value")["gb12348-2008/night-level"]
    assert [hour for hour, _ in night] == list(range(22, 30))
    assert [fields for _, fields in night] == [{"value": 50.0, "daily": 50.0}, *[{"value": 50.0}] * 7]
    day = told("fence", window="day")["gb12348-2008/day-level"]
    assert [hour for hour, _ in day] == list(range(6, 22))
    assert day[0][1] == {"value": 60.0, "daily": 60.0}


def test_hours_have_theirs_each_and_both_bounds_are_told() -> None:
    hours = told("stack", window="1h")["ultra-low-2015/so2-hour"]
    assert hours == [(hour, {"value": 35.0, "daily": 35.0}) for hour in range(24)]
    for bound, value in (("low", 6.0), ("high", 9.0)):
        assert told("outfall", parameter="pH", window="24h", bound=bound)["gb18918-2002/ph-day"][0] == (
            0, {"value": value, "daily": value},
        )  # fmt: skip


@settings(max_examples=examples(30, 500))
@given(day=st.integers(-900, 400), place=st.sampled_from(sorted(MILL)))
def test_what_is_drawn_is_what_is_judged(day: int, place: tuple[str, str]) -> None:
    rules, time_ns = MILL[place], MORNING_NS + day * 24 * HOUR_NS
    law = {clause.key: clause for clause in rules.on(time_ns)}
    found = limit_points(rules, time_ns)
    assert {one.tags["clause"] for one in found} == law.keys()
    for one in found:
        clause = law[one.tags["clause"]]
        assert one.fields["value"] == clause.bounds()[one.tags["bound"] == "high"]
    for key, clause in law.items():
        windows = rules.windows(clause.window, time_ns - 8 * HOUR_NS, time_ns + 16 * HOUR_NS)
        mine = [p for p in found if p.tags["clause"] == key and "daily" in p.fields]
        begins = windows.from_ns[rules.applies(clause, windows.from_ns)]
        assert {p.time_ns for p in mine} == set(begins[begins >= time_ns - 8 * HOUR_NS].tolist())


def test_today_and_tomorrow_are_told_once_and_anew_when_the_law_changes() -> None:
    now_ns = [MORNING_NS]
    ahead = Ahead(MILL, lambda: now_ns[0])
    (row,) = ahead.read(BEGIN, 10)
    assert row.drops[0].from_ns == MIDNIGHT_NS
    times = [one.time_ns for one in row.points]
    assert (min(times), max(times)) == (MIDNIGHT_NS, MIDNIGHT_NS + 53 * HOUR_NS)  # the end of tomorrow's night
    assert {one.time_ns for one in row.points if one.tags["window"] == "night"} >= {MIDNIGHT_NS}, "yesterday's night"
    assert ahead.read((row.id, row.check), 10) == []
    assert Ahead(MILL, lambda: now_ns[0]).read((row.id, row.check), 10) == [], "the same after a restart"
    fence = MILL["mill", "fence"]
    other = {**MILL, ("mill", "fence"): replace(fence, settings={**fence.settings, "area_class": 3}, _clauses={})}
    (changed,) = Ahead(other, lambda: now_ns[0]).read((row.id, row.check), 10)
    assert changed.id == row.id
    now_ns[0] += 24 * HOUR_NS
    (next_day,) = ahead.read((row.id, row.check), 10)
    assert next_day.drops[0].from_ns == MIDNIGHT_NS + 24 * HOUR_NS


def hour_of(parameter: str, counts: dict[str, int], **changes: Any) -> Average:
    return replace(average(0), plant="mill", point="stack", parameter=parameter, inputs={"counts": counts}, **changes)


def test_a_link_is_as_good_as_the_hours_of_its_instrument() -> None:
    rules = MILL["mill", "stack"]
    (one,) = link_points(hour_of("NOx", {"ok": 700, "fault": 2, "no_comm": 18}), rules)
    assert one.tags == {"plant": "mill", "point": "stack", "gateway": "gw", "sensor": "cems", "parameter": "NOx"}
    assert one.fields == {"answers": 702.0, "faults": 18.0, "share": 0.975}
    (empty,) = link_points(hour_of("NOx", {}, version=2), rules)
    assert (empty.fields, empty.anew) == ({"answers": 0.0, "faults": 0.0}, True)
    assert link_points(hour_of("NOx", {"ok": 1}, window="24h"), rules) == ()
    assert link_points(hour_of("NOx_mass", {"ok": 1}), rules) == (), "it is derived, no instrument measures it"


def test_an_average_says_what_went_in_and_goes_first_where_it_says_less() -> None:
    one = average(0, inputs={"counts": {"ok": 59, "wind": 1}, "converted": 45.0, "standard_dry": None})
    fields = average_point(one).fields
    assert {name: fields[name] for name in ("n_ok", "n_wind", "converted", "L10")} == {
        "n_ok": 59.0, "n_wind": 1.0, "converted": 45.0, "L10": 55.5,
    }  # fmt: skip
    assert "standard_dry" not in fields
    assert average_point(replace(one, inputs={}, version=2), one).anew
    assert not average_point(replace(one, value=1.0, version=2), one).anew


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path / "verdicts.db")) as opened:
        yield opened


def test_a_day_brings_its_limits_along(book: Book) -> None:
    day = replace(
        average(0), plant="mill", point="fence", window="24h", from_ns=MIDNIGHT_NS, to_ns=MIDNIGHT_NS + 24 * HOUR_NS
    )
    commit(book, [day, replace(day, version=2), replace(day, point="gone")], [EXCEEDANCE])
    feed = Averages(book, MILL)
    first, second, gone = feed.read(BEGIN, 10)
    assert {one.name for one in first.points} == {"average", "limit"}
    assert [one.name for one in (*second.points, *gone.points)] == ["average", "average"]
    assert feed.read((second.id, second.check), 10) == [gone]
    assert feed.read((second.id, second.check + 1), 10) == [first, second, gone], "another book"
    (row,) = Exceedances(book).read(BEGIN, 10)
    assert Exceedances(book).read((row.id, row.check), 10) == []
    assert Exceedances(book).read((row.id + 5, row.check), 10) == [row]


def said(**state: Any) -> dict[str, Any]:
    """What `health` tells of a gateway that says something of itself."""
    states = States()
    if state:
        states.note("gw", json.dumps(state).encode(), 0, retained=False)
    counts = asdict(Counts(received_ns=MORNING_NS - 5 * SECOND_NS, fresh=3))
    return {"plant": "mill", **counts, "state": states.told("gw", ["slm"], 30 * SECOND_NS)}


def test_a_gateway_is_sampled_as_far_as_it_speaks() -> None:
    state = {
        "state": "online", "unacked_batches": 7, "storage": {"share": 0.25, "hours_left": 9}, "polls_failed": 2,
        "clock": {"standing": "wrong", "off_s": 61.5}, "good_s": {"slm": 4.5, "stranger": 9},
    }  # fmt: skip
    gateway, link = sampled({"gw": said(**state)}, MORNING_NS + 5 * SECOND_NS, 0)
    assert (gateway.name, gateway.tags, gateway.time_ns) == ("gateway", {"plant": "mill", "gateway": "gw"}, MORNING_NS)
    expected = {
        "online": 1.0, "ack_age_s": 10.0, "backlog_batches": 7.0, "storage_share": 0.25, "hours_left": 9.0,
        "clock_off_s": 61.5, "clock_right": 0.0, "clock_wrong": 0.0, "polls_failed": 2.0, "fresh": 3.0,
    }  # fmt: skip
    assert expected.items() <= gateway.fields.items()
    assert "polls_answered" not in gateway.fields
    assert (link.tags["sensor"], link.fields) == ("slm", {"good_s": 4.5})
    (silent,) = sampled({"gw": said()}, MORNING_NS, MORNING_NS - SECOND_NS)
    assert (silent.fields["online"], silent.fields["ack_age_s"]) == (0.0, 1.0)
    assert "clock_off_s" not in silent.fields
    right = {"state": "online", "clock": {"standing": "right", "off_s": None}}
    (one,) = sampled({"gw": said(**right)}, MORNING_NS, 0)
    assert (one.fields["clock_off_s"], one.fields["clock_right"]) == (0.0, 1.0)


def sample(n: int) -> Point:
    return Point("gateway", {"plant": "mill"}, {"online": float(n)}, n * SECOND_NS)


def test_samples_are_kept_followed_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "samples.db"
    with closing(Logbook(path)) as logbook:
        assert logbook.read(BEGIN, 10) == []
        for n in range(1, 6):
            logbook.add([sample(n)])
        logbook.add([])
        rows = logbook.read(BEGIN, 3)
        assert [row.points for row in rows] == [(sample(n),) for n in (1, 2, 3)]
        assert [row.points for row in logbook.read((rows[-1].id, rows[-1].check), 9)] == [(sample(4),), (sample(5),)]
        assert len(logbook.read((rows[-1].id, 77), 9)) == 5, "the mark is of another file"
    path.write_bytes(b"no database at all" * 100)
    monkeypatch.setattr(module, "BYTES_MAX", 200_000)
    monkeypatch.setattr(module, "_OLDEST", 10)
    with closing(Logbook(path)) as logbook:
        for n in range(100):
            logbook.add([sample(n * 1000 + m) for m in range(100)])
        rows = logbook.read(BEGIN, 1000)
        assert 5 < len(rows) < 60, "the oldest are gone"
        assert rows[-1].id == 100
        assert logbook.read((3, 3), 1000) == rows, "what went meanwhile keeps nobody from the rest"
    assert path.stat().st_size < 400_000


def test_the_sampler_takes_one_at_once_and_says_what_keeps_it(tmp_path: Path) -> None:
    with closing(Logbook(tmp_path / "samples.db")) as logbook:
        sampler = Sampler(logbook, lambda: {"gw": said()})
        sampler.start()
        eventually(lambda: len(logbook.read(BEGIN, 10)) > 0)
        sampler.stop()
        assert not sampler.trouble
    with pytest.raises(sqlite3.Error):
        logbook.add([sample(1)])
    for _ in range(2):
        sampler.sample(MORNING_NS)
        assert sampler.trouble == "how gateways are is not kept for charts: Cannot operate on a closed database."
    with closing(Logbook(tmp_path / "others.db")) as others:
        sampler._logbook = others
        sampler.sample(MORNING_NS)
        assert not sampler.trouble


def test_no_window_is_left_out_of_a_day_with_a_changed_clock() -> None:
    assert np.diff([hour for hour, _ in told("stack", window="1h")["ultra-low-2015/so2-hour"]]).tolist() == [1.0] * 23

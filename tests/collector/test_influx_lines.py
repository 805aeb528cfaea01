"""Line protocol: the encoder against shared cases, against influxdb-client's, and against a real server."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.stores.influxdb.lines import FIELDS, encode, head_of, line, tags, tame, wild
from collector.stores.influxdb.places import again, runs, spans
from collector.stores.influxdb.ranges import RANGES_MAX, Ranges
from gateway.measurement import Series
from tests.effort import examples

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
NAMES = st.text(max_size=12)
SERIES = st.builds(Series, NAMES, NAMES, NAMES, NAMES, NAMES)


@pytest.mark.shared
def test_lines_are_as_in_the_cases_of_others(shared: Path) -> None:
    cases = json.loads((shared / "cases/influx/line_protocol_encode.json").read_text())
    tried = 0
    for case in cases.values():
        point = case["input"]["point"]
        if "result" not in case["output"]:
            continue  # an empty tag: refused there, left out here
        fields: dict[str, Any] = {}
        for one in point["fields"]:
            ((kind, value),) = one["value"].items()
            fields[one["key"]] = float(value) if kind == "float" else value
        made = line(point["name"], {tag["key"]: tag["value"] for tag in point["tags"]}, fields, point["time"])
        assert made == case["output"]["result"]
        tried += 1
    assert tried == 57


def one_line(series: Series, place: int, value: float, status: int, key: tuple[int, int, int], moved: int) -> str:
    stream, seq, index = key
    (made,) = encode(
        [head_of(series, place)], np.zeros(1, np.intp), np.array([7], np.int64), np.array([value]),
        np.array([status], np.uint8),
        (np.array([stream]), np.array([seq], np.uint64), np.array([index], np.uint16)), np.array([moved], np.int64),
    )  # fmt: skip
    return made


@settings(max_examples=examples(200, 5000))
@given(
    SERIES, st.integers(0, 3), FLOATS, st.integers(0, 9),
    st.tuples(st.integers(0, 2**48), st.integers(1, 2**53), st.integers(0, 499)), st.integers(-(2**60), 2**60),
)  # fmt: skip
def test_a_column_is_as_point_by_point_and_as_the_clients(
    series: Series, place: int, value: float, status: int, key: tuple[int, int, int], moved: int
) -> None:
    from influxdb_client import Point, WritePrecision

    fields = dict(zip(FIELDS, (value, status, *key, *divmod(moved, 10**9)), strict=True))
    kept = {name: float(number) for name, number in fields.items() if not name.startswith("moved") or moved}
    made = one_line(series, place, value, status, key, moved)
    ours = line("measurement", tags(series, place), kept, 7)
    assert (head(ours), numbers(ours)) == (head(made), numbers(made))
    point = Point("measurement").time(7, WritePrecision.NS)
    for name, text in tags(series, place).items():
        point = point.tag(name, text)
    for name, number in kept.items():
        if np.isfinite(number):
            point = point.field(name, number)
    theirs = point.to_line_protocol()
    assert numbers(theirs) == numbers(made)
    assert head(theirs) == head(made)


def head(made: str) -> str:
    """What stands before the fields of a line of numbers."""
    return made.rpartition(" ")[0].rpartition(" ")[0]


def numbers(made: str) -> dict[str, float]:
    """The fields of a line of numbers, and its time."""
    fields, _, time_ns = made.rpartition(" ")
    text = fields.rpartition(" ")[2]
    pairs = (part.split("=") for part in text.split(","))
    return {**{name: float(number) for name, number in pairs}, "time": float(time_ns)}


def test_a_point_without_values_is_no_line() -> None:
    with pytest.raises(ValueError, match="no field"):
        line("m", {}, {"a": float("nan"), "b": float("inf")}, 1)
    assert line("m", {"t": ""}, {"a": True, "b": -0.0}, 1) == "m a=true,b=-0 1"
    nothing = (np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint16))
    assert encode([], np.empty(0, np.intp), nothing[0], np.empty(0), np.empty(0, np.uint8), nothing) == []


def test_what_is_moved_says_so_and_nothing_else_does() -> None:
    series = Series("p", "q", "s", "O2", "%")
    made = [one_line(series, 0, 20.9, 0, (5, 6, 7), moved) for moved in (0, -1)]
    head = "measurement,parameter=O2,plant=p,point=q,sensor=s,unit=%"
    assert made[0] == f"{head} value=20.9,status=0,stream=5,seq=6,index=7 7"
    assert made[1] == made[0].replace("index=7", "index=7,moved_s=-1,moved_ns=999999999")
    none = one_line(Series("", "", "", "x", ""), 2, float("nan"), 7, (1, 2, 3), 0)
    assert none == "measurement,again=2,parameter=x status=7,stream=1,seq=2,index=3 7"


@given(st.lists(NAMES, unique=True, max_size=5))
def test_any_name_fits_a_tag_and_comes_back(names: list[str]) -> None:
    tamed = [tame(name) for name in names]
    assert [wild(name) for name in tamed] == names
    assert len(set(tamed)) == len(names)
    assert not any(char in name for name in tamed for char in "\n\r\\")


# --- places and ranges ------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 30)), max_size=20))
def test_every_measurement_has_a_place_of_its_own_and_keeps_it(rows: list[tuple[int, int, int]]) -> None:
    rows = list({row[2]: row for row in rows}.values())
    series, time_ns, index = (np.array([row[n] for row in rows], np.int64) for n in range(3))
    keys = (np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64), index)
    first = again(series, time_ns, keys, {})
    instants = list(zip(series.tolist(), time_ns.tolist(), first.tolist(), strict=True))
    assert len(set(instants)) == len(rows)
    assert all(place == 0 or (one, at, place - 1) in instants for one, at, place in instants)
    half = len(rows) // 2  # a crash has left some of them
    taken: dict[tuple[int, int], dict[tuple[int, int, int], int]] = {}
    for n in range(half, len(rows)):
        taken.setdefault((int(series[n]), int(time_ns[n])), {})[0, 1, int(index[n])] = int(first[n])
    assert again(series, time_ns, keys, taken).tolist() == first.tolist()


def test_spans_and_runs_hold_what_they_should() -> None:
    nothing = np.empty(0, np.int64)
    assert list(spans(nothing)) == list(runs(nothing, np.array([1]))) == []
    assert list(spans(np.array([100, 1, 5, 101]), 10)) == [(1, 5), (100, 101)]
    assert list(runs(np.array([3, 1, 2]), nothing)) == [(1, 3)]
    assert list(runs(np.array([1, 3, 5]), np.array([2, 6]))) == [(1, 1), (3, 5)]


@settings(max_examples=examples(100))
@given(st.lists(st.lists(st.integers(1, 60), max_size=9), max_size=6))
def test_ranges_hold_the_numbers_they_were_given(groups: list[list[int]]) -> None:
    ranges, held = Ranges.of(), set[int]()
    for group in groups:
        ranges = ranges.with_numbers(np.array(group, np.uint64))
        held |= set(group)
        assert np.flatnonzero(ranges.contains(np.arange(62, dtype=np.uint64))).tolist() == sorted(held)
        pairs = ranges.pairs()
        assert all(a[1] + 1 < b[0] for a, b in pairwise(pairs))
        assert Ranges.of(pairs).pairs() == pairs


def test_too_many_ranges_are_joined_where_the_gap_is_least() -> None:
    numbers = np.arange(1, 4 * RANGES_MAX, 3, dtype=np.uint64)
    numbers = numbers[numbers != 31]
    ranges = Ranges.of().with_numbers(numbers)
    assert len(ranges.first) <= RANGES_MAX
    assert ranges.contains(numbers).all()
    assert not ranges.contains(np.array([0, 31], np.uint64)).any()

"""Every measurement and status that went into a window is listed, or it is told where it is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.averages import averages
from collector.verdicts.judgement import derive
from collector.verdicts.listed import CONDITION_ROWS_MAX, ROWS_MAX, VALUES_MAX, listed
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal, joined, signal
from collector.verdicts.tables import Tables
from collector.verdicts.windows import DAILY
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import (
    DAY_NS,
    HOUR_NS,
    MIDNIGHT,
    MINUTE_NS,
    NOISE,
    PARAMETERS,
    STACK,
    WATER,
    conditions,
    law,
    series,
)
from tests.effort import examples

OTHER_NIGHT = law("noise", {"area_class": 2, "night": ["22:30", "06:30"]}, "gb12348-2008")


def told(rules: PointRules, window: str, *signals: Signal, at: int = MIDNIGHT, **options: Any) -> dict[str, Any]:
    """The listing of the first signal's parameter in the window that holds an instant."""
    known = {one.parameter: one for one in signals}
    begin, end = min(int(s.time_ns[0]) for s in signals), max(int(s.time_ns[-1]) + s.coarsest_ns for s in signals)
    tables = Tables(rules, known, begin, end)
    wanted = rules.windows(window, at, at + 1)
    average = next(a for a in averages(rules, tables, {window: wanted}) if a.parameter == signals[0].parameter)
    found = listed(rules, average, average.parameter, signals=known, tables=tables, **options)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def statuses(found: dict[str, Any]) -> Counter[str]:
    """How many values of each status a listing tells of."""
    total: Counter[str] = Counter()
    place = found["columns"].index("status" if found["interval"] == "raw" else "statuses")
    for row in found["items"]:
        total.update({row[place]: 1} if found["interval"] == "raw" else row[place])
    return total


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["1m", "1h", *DAILY]),
    step_s=st.sampled_from([7, 60, 300, 3600]),
    rules=st.sampled_from([NOISE, OTHER_NIGHT]),
    rows_max=st.sampled_from([ROWS_MAX, CONDITION_ROWS_MAX, 5]),
)
def test_the_sums_over_the_list_are_those_of_the_window(
    seed: int, kind: str, step_s: int, rules: PointRules, rows_max: int
) -> None:
    rng = np.random.default_rng(seed)
    n = 48 * 3600 // step_s
    status = rng.choice([Status.OK, Status.CALIBRATION, Status.FAULT], n, p=[0.8, 0.1, 0.1])
    level = series("LAeq", rng.normal(55, 5, n), step_s=step_s, status=status)
    if kind == "1m" and step_s > 60:
        return
    at = MIDNIGHT + DAY_NS + (12 if kind == "day" else 3) * HOUR_NS
    found = told(rules, kind, level, at=at, rows_max=rows_max)
    windows = rules.windows(kind, at, at + 1)
    inside = windows.place(level.time_ns) == 0
    assert found["count"] == inside.sum()
    assert statuses(found) == Counter(Status(code).name.lower() for code in level.status[inside].tolist())
    assert (found["left"] is None) == (found["interval"] == "raw") == (found["count"] <= VALUES_MAX)
    if found["left"]:
        assert (found["left"]["count"], found["left"]["by"]) == (found["count"], found["interval"])


def test_a_night_of_two_pieces_lists_nothing_of_the_day_between() -> None:
    found = told(NOISE, "calendar_night", series("LAeq", np.full(1440, 50.0)))
    assert (found["interval"], len(found["items"])) == ("1m", 480)
    assert found["pieces"] == [
        ["2026-11-19T16:00:00Z", "2026-11-19T22:00:00Z"], ["2026-11-20T14:00:00Z", "2026-11-20T16:00:00Z"],
    ]  # fmt: skip
    hours = told(NOISE, "calendar_night", series("LAeq", np.full(1440, 50.0)), rows_max=CONDITION_ROWS_MAX)
    assert (hours["interval"], len(hours["items"])) == ("1h", 8)


def test_windows_across_the_edge_of_a_night_are_not_listed() -> None:
    """A night from 22:30 is not made of hours: its minutes are listed, however many there are."""
    found = told(OTHER_NIGHT, "night", series("LAeq", np.full(2880, 50.0)), at=MIDNIGHT + DAY_NS, rows_max=9)
    assert (found["interval"], len(found["items"])) == ("1m", 480)


@pytest.mark.parametrize(("kind", "interval", "rows"), [("month", "1h", 720), ("year", "24h", 365), ("30d", "1h", 720)])
def test_long_windows_are_listed_by_hours_and_days(kind: str, interval: str, rows: int) -> None:
    rules = replace(NOISE, built=(*NOISE.built, kind))
    level = series("LAeq", np.full(731 * 144, 50.0), step_s=600, start=MIDNIGHT - 365 * DAY_NS)
    found = told(rules, kind, level, at=MIDNIGHT)
    assert (found["interval"], len(found["items"])) == (interval, rows)
    assert statuses(found) == {"ok": found["count"]}
    query = parse_qs(urlsplit(found["left"]["query"]).query)
    assert query == {
        "plant": ["p"], "point": ["x"], "parameter": ["LAeq"], "from": [found["from"]], "to": [found["to"]],
        "interval": ["raw"],
    }  # fmt: skip
    assert f"--from {found['from']} --to {found['to']}" in found["left"]["command"]


def test_values_of_several_instruments_name_theirs() -> None:
    old = signal("LAeq", "dB(A)", time_ns=np.array([MIDNIGHT]), value=np.array([50.0]),
                 status=np.array([0], np.uint8), interval_ns=MINUTE_NS, sensor="old")  # fmt: skip
    new = replace(old, time_ns=old.time_ns + MINUTE_NS, sensors=("new",))
    found = told(NOISE, "1h", joined([old, new]))
    assert found["columns"] == ["time", "value", "status", "sensor"]
    assert [row[3] for row in found["items"]] == ["old", "new"]


def test_a_number_that_json_cannot_write_is_told_by_its_status() -> None:
    found = told(NOISE, "1h", series("LAeq", [50.0, np.inf], status=[0, int(Status.OUT_OF_RANGE)]))
    assert [row[1:] for row in found["items"]] == [[50.0, "ok"], [None, "out_of_range"]]


def test_a_parameter_without_measurements_of_its_own_is_told_by_its_table() -> None:
    level = series("LAeq", np.full(60, 50.0))
    tables = Tables(NOISE, {"LAeq": level}, MIDNIGHT, MIDNIGHT + HOUR_NS)
    (average,) = averages(NOISE, tables, {"1h": NOISE.windows("1h", MIDNIGHT, MIDNIGHT + 1)})
    found = listed(NOISE, average, "LAeq", signals={}, tables=tables)
    assert (found["interval"], found["count"], found["left"]) == ("1m", 60, None)


def test_what_is_shorter_than_its_values_lists_nothing() -> None:
    hours = Tables(NOISE, {"LAeq": series("LAeq", [50.0], step_s=3600)}, MIDNIGHT, MIDNIGHT + HOUR_NS)
    minute = Average(
        plant="p", point="x", parameter="LAeq", window="1m", from_ns=MIDNIGHT - MINUTE_NS, to_ns=MIDNIGHT, value=None,
        unit="dB(A)", coverage=0.0, valid=False, count=0,
    )  # fmt: skip
    found = listed(NOISE, minute, "LAeq", signals={}, tables=hours)
    assert (found["count"], found["items"], found["left"]) == (0, [], None)


def test_gas_conditions_are_listed_with_their_values() -> None:
    signals = {s.parameter: s for s in (series("NOx", np.full(1440, 300.0)), *conditions(1440))}
    wanted = {"1h": STACK.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    (found,) = derive(STACK, signals, wanted).exceedances
    told = found.evidence["conditions"]
    assert set(told) == {"O2", "temperature", "pressure", "moisture"}
    for name, one in told.items():
        assert (one["interval"], len(one["items"]), one["count"]) == ("1m", 60, 720)
        assert one["unit"] == PARAMETERS[name].unit
        assert one["items"][0][1:] == [signals[name].value[0], None, True, {"ok": 12}]


def test_what_a_limit_depends_on_is_listed_too() -> None:
    day = {"24h": WATER.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    water = [series(name, np.full(1440, value)) for name, value in
             (("NH3-N", 9.0), ("flow", 9.0), ("water_temperature", 15.0))]  # fmt: skip
    (found,) = derive(WATER, {s.parameter: s for s in water}, day).exceedances
    told = found.evidence["conditions"]
    assert set(told) == {"flow", "water_temperature"}
    assert (told["water_temperature"]["interval"], len(told["water_temperature"]["items"])) == ("1h", 24)
    assert statuses(told["water_temperature"]) == {"ok": 1440}


def test_windows_that_a_clause_counts_are_listed() -> None:
    rules = law("stack", {"reference_oxygen": 11.0}, "gb18485-2014")
    furnace = np.full(1440, 900.0)
    furnace[:60] = 840.0
    day = {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    (found,) = derive(rules, {"furnace_temperature": series("furnace_temperature", furnace)}, day).exceedances
    told = found.evidence["parts"]
    assert (told["interval"], len(told["items"]), told["columns"][-1]) == ("5m", 288, "judged")
    assert sum(row[-1] < 850.0 for row in told["items"]) == found.value == 12


def test_validated_values_that_a_day_is_the_mean_of_are_listed() -> None:
    rules = law("stack", {}, "ied-2010-75-annex-vi")
    signals = {"SO2": series("SO2", np.full(1440, 110.0)), "O2": series("O2", np.full(1440, 11.0))}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + DAY_NS) for kind in ("30m", "24h")}
    found = {e.clause: e.evidence for e in derive(rules, signals, wanted).exceedances}
    told = found["so2-day"]["parts"]
    assert (told["interval"], len(told["items"])) == ("30m", 48)
    assert {(row[1], row[2], row[-1]) for row in told["items"]} == {(110.0, 110.0, 100.0)}
    assert "parts" not in found["so2-half-hour-b"]


def test_times_within_a_second_are_told() -> None:
    found = told(NOISE, "1m", series("LAeq", [50.0, 51.0], step_s=0.25))
    assert [row[0] for row in found["items"]] == ["2026-11-19T16:00:00Z", "2026-11-19T16:00:00.25Z"]


def test_values_that_a_calibration_function_made_stand_beside_what_was_measured() -> None:
    measured = series("SO2", [30.0, np.nan])
    made = replace(measured, value=2.0 * measured.value + 1.0, raw=measured.value)
    found = told(STACK, "1m", made)
    assert found["columns"] == ["time", "value", "status", "measured"]
    assert [row[3] for row in found["items"]] == [30.0]
    assert [row[1] for row in found["items"]] == [61.0]

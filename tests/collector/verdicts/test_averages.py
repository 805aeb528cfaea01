"""Averages over windows: energy for levels, valid parts for means, flow for water, gas conditions for stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts import noise
from collector.verdicts.averages import averages
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal, signal
from collector.verdicts.tables import Tables
from gateway import catalogue
from gateway.measurement import SECOND_NS, Status
from tests.effort import examples

MINUTE_NS, HOUR_NS, DAY_NS = 60 * SECOND_NS, 3600 * SECOND_NS, 86400 * SECOND_NS
MIDNIGHT = (
    int((datetime(2026, 11, 20) - timedelta(hours=8) - datetime(1970, 1, 1)).total_seconds()) * SECOND_NS
)  # Shanghai
PARAMETERS = catalogue.parameters()
PACKS = rule_packs()


def law(kind: str, settings: Mapping[str, Any], pack: str = "", zone: str = "Asia/Shanghai") -> PointRules:
    rules, faults = point_rules(
        "p", "x", kind, timezone=zone, packs=[PACKS[pack]] if pack else [], settings=settings, parameters=PARAMETERS
    )
    assert not faults, faults
    return rules


NOISE = law("noise", {"area_class": 2}, "gb12348-2008")
GAS = {"reference_oxygen": 6.0, "basis": "wet", "state": "actual", "barometric_pa": 101325.0}
STACK = law("stack", GAS, "ultra-low-2015")
WATER = law("water", {"class": "1A"}, "gb18918-2002")


def series(parameter: str, values: Any, *, step_s: float = 60, start: int = MIDNIGHT, status: Any = 0) -> Signal:
    value = np.atleast_1d(np.asarray(values, np.float64))
    codes = np.where(np.isnan(value), Status.NO_COMM, np.broadcast_to(status, value.shape)).astype(np.uint8)
    step = round(step_s * SECOND_NS)
    times = start + np.arange(len(value), dtype=np.int64) * step
    return signal(parameter, PARAMETERS[parameter].unit, time_ns=times, value=value, status=codes, interval_ns=step)


def made(rules: PointRules, *signals: Signal) -> dict[tuple[str, str, int], Average]:
    """Averages by parameter, window and number of the window since midnight's day began."""
    first = min(int(s.time_ns[0]) for s in signals)
    last = max(int(s.time_ns[-1]) + s.coarsest_ns for s in signals)
    wanted = {kind: rules.windows(kind, first, last) for kind in rules.built}
    tables = Tables(rules, {s.parameter: s for s in signals}, first - 2 * DAY_NS, last + 2 * DAY_NS)
    return {(a.parameter, a.window, (a.from_ns - MIDNIGHT) // MINUTE_NS): a for a in averages(rules, tables, wanted)}


@effort(max_examples=examples(12))
@given(seed=st.integers(0, 2**32 - 1), minutes=st.integers(1, 700), start=st.integers(0, 2000), gaps=st.floats(0, 0.5))
def test_levels_of_any_window_are_the_energy_mean_of_its_values(
    seed: int, minutes: int, start: int, gaps: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(55, 8, minutes)
    values[rng.random(minutes) < gaps] = np.nan
    found = made(NOISE, series("LAeq", values, start=MIDNIGHT + start * MINUTE_NS))
    times = MIDNIGHT + (start + np.arange(minutes)) * MINUTE_NS
    for (_, kind, _), average in found.items():
        windows = NOISE.windows(kind, average.from_ns, average.from_ns + 1)
        number = int(np.searchsorted(windows.from_ns, average.from_ns))
        inside = values[windows.place(times) == number]
        good = inside[~np.isnan(inside)]
        assert average.count == len(good)
        assert average.coverage == pytest.approx(len(good) * MINUTE_NS / windows.length_ns[number])
        assert average.inputs["counts"].get("no_comm", 0) == len(inside) - len(good)
        if len(good):
            assert average.value == pytest.approx(noise.energy_average(good))
            assert average.maximum == good.max()
            assert average.percentiles == pytest.approx(noise.percentile_levels(good))
        else:
            assert (average.value, average.percentiles, average.valid) == (None, {}, False)


def test_a_night_is_evaluated_as_an_inspector_would() -> None:
    found = made(NOISE, series("LAeq", np.full(480, 50.5), start=MIDNIGHT + 22 * HOUR_NS))
    night = found["LAeq", "night", 22 * 60]
    assert (night.value, night.evaluated, night.coverage, night.valid) == (pytest.approx(50.5), 50.0, 1.0, True)
    assert found["LAeq", "1h", 22 * 60].evaluated is None
    assert {kind for _, kind, _ in found} == {"1m", "1h", "24h", "night", "calendar_night"}
    evening = found["LAeq", "calendar_night", 0]
    assert (evening.coverage, evening.valid) == (0.25, False)


def test_a_maximum_stays_a_maximum() -> None:
    found = made(NOISE, series("LAFmax", [60.0, 71.0, 65.0], step_s=1))
    minute = found["LAFmax", "1m", 0]
    assert (minute.value, minute.maximum, minute.percentiles) == (71.0, 71.0, {})


def test_an_hour_of_gas_is_made_of_its_valid_minutes() -> None:
    values = np.full(720, 30.0)
    values[:12] = 90.0  # one whole minute
    values[12:23] = np.nan  # 11 of 12 values of the next one
    values[23] = 1000.0  # its only value: the minute is not valid, and takes no part
    found = made(STACK, series("NOx", values, step_s=5), *conditions(720))
    hour = found["NOx", "1h", 0]
    assert hour.value == pytest.approx((90 + 58 * 30) / 59)
    assert hour.inputs["parts"]["valid"] == 59
    assert hour.valid
    assert not found["NOx", "1m", 1].valid
    assert found["NOx", "1m", 1].value == 1000.0
    assert hour.coverage == pytest.approx(709 / 720)


def conditions(n: int, oxygen: Any = 8.0, step_s: float = 5) -> list[Signal]:
    gas = {"O2": oxygen, "temperature": 100.0, "pressure": -0.5, "moisture": 10.0}
    return [series(name, np.broadcast_to(value, (n,)).copy(), step_s=step_s) for name, value in gas.items()]


def test_corrections_stand_in_the_record_with_what_they_took() -> None:
    found = made(STACK, series("NOx", np.full(720, 30.0), step_s=5), *conditions(720))
    hour = found["NOx", "1h", 0]
    standard = 30 * 101325 / (101325 - 500) * 373 / 273
    converted = standard / 0.9 * 15 / (21 - 8 / 0.9)
    assert hour.value == pytest.approx(30.0)
    assert hour.evaluated == pytest.approx(converted)
    assert hour.inputs["standard_dry"] == pytest.approx(standard / 0.9)
    assert hour.inputs["corrections"] == [
        {"step": "standard_state", "temperature_c": 100.0, "static_pa": -500.0, "barometric_pa": 101325.0},
        {"step": "dry_basis", "moisture_percent": 10.0},
        {
            "step": "reference_oxygen",
            "oxygen_percent": pytest.approx(8 / 0.9),
            "reference_percent": 6.0,
            "air_percent": 21.0,
        },
    ]
    assert found["NOx", "1m", 0].evaluated == pytest.approx(converted)
    assert found["O2", "1h", 0].evaluated is None
    assert "corrections" not in found["O2", "1h", 0].inputs


def test_minutes_are_converted_each_with_its_own_oxygen() -> None:
    oxygen = np.repeat([5.0, 12.0], 360)
    found = made(STACK, series("NOx", np.full(720, 30.0), step_s=5), *conditions(720, oxygen))
    each = [found["NOx", "1m", minute].evaluated or 0.0 for minute in range(60)]
    assert found["NOx", "1h", 0].evaluated == pytest.approx(np.mean(each))


@pytest.mark.parametrize(("bad", "judged"), [(15, True), (16, False)])
def test_an_hour_without_oxygen_enough_is_not_evaluated(bad: int, judged: bool) -> None:
    oxygen = np.full(720, 8.0)
    oxygen[: bad * 12] = np.nan
    hour = made(STACK, series("NOx", np.full(720, 30.0), step_s=5), *conditions(720, oxygen))["NOx", "1h", 0]
    assert hour.valid
    assert (hour.evaluated is not None) == judged


def test_air_in_the_duct_gives_no_value_and_no_exception() -> None:
    hour = made(STACK, series("NOx", np.full(720, 30.0), step_s=5), *conditions(720, 21.3))["NOx", "1h", 0]
    assert (hour.value, hour.evaluated, hour.inputs["converted"]) == (pytest.approx(30.0), None, None)


def test_gas_without_its_conditions_is_not_evaluated() -> None:
    hour = made(STACK, series("NOx", np.full(720, 30.0), step_s=5))["NOx", "1h", 0]
    assert hour.evaluated is None
    assert hour.inputs["corrections"][1] == {"step": "dry_basis", "moisture_percent": None}


@pytest.mark.parametrize(("hours", "valid"), [(19, False), (20, True), (24, True)])
def test_a_day_of_gas_needs_twenty_hours(hours: int, valid: bool) -> None:
    values = np.concatenate([np.full(60, float(hour)) for hour in range(hours)])
    found = made(STACK, series("dust", values), *conditions(60 * hours, step_s=60))
    day = found["dust", "24h", 0]
    assert day.valid == valid
    assert day.value == pytest.approx(np.mean(range(hours)))
    assert found["dust", "day", 0].value == day.value


def test_an_hourly_file_has_hours_and_days_but_no_minutes() -> None:
    found = made(law("stack", {}, "ultra-low-2015"), series("NOx", np.arange(24.0), step_s=3600))
    assert {kind for _, kind, _ in found} == {"1h", "24h", "day"}
    assert all(a.valid for a in found.values())
    assert found["NOx", "24h", 0].value == pytest.approx(11.5)


def test_water_is_weighted_by_the_flow_that_carried_it() -> None:
    concentration, flow = np.repeat([40.0, 100.0], 30), np.repeat([30.0, 10.0], 30)
    hour = made(WATER, series("COD", concentration), series("flow", flow))["COD", "1h", 0]
    assert hour.value == pytest.approx(55.0)
    assert hour.inputs["method"] == "flow_weighted"
    assert made(WATER, series("COD", concentration))["COD", "1h", 0].value == pytest.approx(70.0)


def test_a_day_of_water_is_weighted_by_the_hours_flow() -> None:
    concentration, flow = np.repeat([40.0, 100.0], 720), np.repeat([30.0, 10.0], 720)
    found = made(WATER, series("COD", concentration), series("flow", flow))
    assert found["COD", "24h", 0].value == pytest.approx(55.0)
    assert found["flow", "24h", 0].value == pytest.approx(20.0)


def test_where_nothing_flows_there_is_no_mean_of_what_flowed() -> None:
    hour = made(WATER, series("COD", np.full(60, 40.0)), series("flow", np.zeros(60)))["COD", "1h", 0]
    assert (hour.value, hour.valid) == (None, False)


def test_ph_is_represented_by_its_median() -> None:
    assert made(WATER, series("pH", [7.0] * 40 + [2.0] * 20))["pH", "1h", 0].value == 7.0


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 23)])
def test_a_day_when_the_clock_changes_is_whole_with_fewer_hours(zone: str, hours: int) -> None:
    rules = law("noise", {"area_class": 2}, "gb12348-2008", zone)
    start = int(datetime(2026, 3, 28, 23).timestamp() - datetime(1970, 1, 1).timestamp()) * SECOND_NS
    signals = {"LAeq": series("LAeq", np.full(hours * 60, 50.0), start=start)}
    windows = rules.windows("24h", start, start + HOUR_NS)
    (day,) = averages(rules, Tables(rules, signals, start, start + hours * HOUR_NS), {"24h": windows})
    assert (day.coverage, day.to_ns - day.from_ns) == (1.0, hours * HOUR_NS)


def test_windows_that_roll_overlap_and_are_each_whole() -> None:
    rules = law("water", {"class": "1A"}, "gb18918-2002")
    values = np.repeat(np.arange(40.0), 24)
    signals = {"COD": series("COD", values, step_s=3600)}
    windows = rules.windows("30d", MIDNIGHT, MIDNIGHT + 40 * 24 * HOUR_NS)
    span = int(windows.from_ns.min()), int(windows.to_ns.max())
    found = averages(rules, Tables(rules, signals, *span), {"30d": windows})
    whole = [a for a in found if a.coverage == 1.0]
    assert [a.value for a in whole] == pytest.approx([np.mean(range(d, d + 30)) for d in range(11)])


def test_a_point_without_rules_has_averages_too() -> None:
    found = made(law("noise", {}), series("LAeq", np.full(60, 50.0)))
    assert found["LAeq", "1h", 0].valid
    assert found["LAeq", "1h", 0].evaluated is None


def test_what_is_judged_as_measured_is_evaluated_as_measured() -> None:
    found = made(
        WATER, series("NH3-N", np.full(24, 6.25), step_s=3600), series("conductivity", np.ones(24), step_s=3600)
    )
    day = found["NH3-N", "24h", 0]
    assert (day.value, day.evaluated, day.valid) == (6.25, 6.25, True)
    others = [a for (name, kind, _), a in found.items() if name == "conductivity" or kind == "day"]
    assert {a.window for a in others} >= {"1h", "24h"}
    assert {a.evaluated for a in others} == {None}  # no clause is about them


def test_a_peak_is_judged_by_its_maximum_and_not_evaluated() -> None:
    found = made(NOISE, series("LAFmax", np.full(60, 70.0), step_s=1, start=MIDNIGHT + 23 * HOUR_NS))
    assert found["LAFmax", "1m", 23 * 60].evaluated is None


def test_what_a_clause_about_the_night_judges_is_evaluated_at_night() -> None:
    text = replace(PACKS["gb12348-2008"].clause("night-level"), window="1h", period="night")
    rules = replace(NOISE, packs=(replace(PACKS["gb12348-2008"], clauses=(text,)),), _clauses={})
    found = made(rules, series("LAeq", np.full(120, 50.5), start=MIDNIGHT + 21 * HOUR_NS))
    assert [found["LAeq", "1h", hour * 60].evaluated for hour in (21, 22)] == [None, 50.0]

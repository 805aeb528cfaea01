"""Derived series: loads by the hour and in sums, levels of whole days, each apart from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts import corrections, rating
from collector.verdicts.derived import DerivedTables, offered
from collector.verdicts.judgement import derive, settle
from collector.verdicts.pack import ValidityText
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal
from collector.verdicts.unjudged import unjudged
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import (
    DAY_NS,
    HOUR_NS,
    MIDNIGHT,
    PACKS,
    PARAMETERS,
    law,
    series,
)
from tests.collector.verdicts.test_judgement import limited, with_clauses
from tests.effort import examples

NAN = float("nan")
DRY = {"reference_oxygen": 6.0, "area_m2": 10.0, "barometric_pa": 100_800.0}
STACK = law("stack", DRY, "ultra-low-2015")
# cn.md 3.1 as a point: 12 m/s through 10 m2 at 110 degC, -500 Pa and 8 % moisture.
GAS = {"velocity": 12.0, "temperature": 110.0, "pressure": -0.5, "moisture": 8.0, "O2": 8.0, "SO2": 30.0}
WATER = law("water", {"class": "1A"}, "gb18918-2002")
Found = Mapping[tuple[str, str, int], Average]


def made(rules: PointRules, *signals: Signal, kinds: tuple[str, ...] = ("1h", "24h"), days: int = 1) -> Found:
    """Averages by parameter, window and hour from midnight."""
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + days * DAY_NS) for kind in kinds}
    found = derive(rules, {signal.parameter: signal for signal in signals}, wanted).averages
    return {(a.parameter, a.window, (a.from_ns - MIDNIGHT) // HOUR_NS): a for a in found}


def gas(minutes: int = 1440, **changes: Any) -> list[Signal]:
    """Minutes of a stack; a change is other values of a channel, None leaves it out."""
    values = {**GAS, **changes}
    return [series(name, np.broadcast_to(v, minutes)) for name, v in values.items() if v is not None]


# --- loads of a stack --------------------------------------------------------------------------------


def test_an_hour_of_mass_is_the_dry_value_times_the_dry_flow() -> None:
    found = made(STACK, *gas())
    hour = found["SO2_mass_flow", "1h", 0]
    assert (hour.unit, hour.valid, hour.coverage) == ("kg/h", True, 1.0)
    assert hour.value == pytest.approx(8.4128, abs=5e-5)  # stack-09; of the converted value it would be 9.7071
    assert found["SO2", "1h", 0].evaluated == pytest.approx(34.615, abs=1e-3)
    told = hour.inputs["derived"]
    assert (told["SO2_standard_dry"], told["area_m2"], "lacking" in told) == (30.0, 10.0, False)
    assert told["dry_gas_flow"] == pytest.approx(280_426.962486)  # stack-08
    assert told["of"] == ["SO2", "velocity", "temperature", "pressure", "moisture"]
    mass = found["SO2_mass", "1h", 0]
    assert (mass.value, mass.unit) == (hour.value, "kg")
    flow = found["dry_gas_flow", "1h", 0]
    assert (flow.value, flow.unit) == (pytest.approx(280_426.962486), "m3/h")
    assert flow.inputs["derived"]["velocity"] == 12.0


def test_sums_are_those_of_the_hours_as_shown() -> None:
    values = np.repeat(np.linspace(10.0, 60.0, 48), 60)
    found = made(STACK, *gas(2880, SO2=values), kinds=("1h", "24h", "month", "30d", "year"), days=2)
    hours = [found["SO2_mass", "1h", hour].value or NAN for hour in range(48)]
    days = [found["SO2_mass", "24h", hour].value or NAN for hour in (0, 24)]
    assert days == pytest.approx([sum(hours[:24]), sum(hours[24:])], abs=1e-9)
    longer = [a for (name, kind, _), a in found.items() if name == "SO2_mass" and kind in ("month", "year", "30d")]
    assert {a.window for a in longer} == {"month", "year", "30d"}
    assert max(a.value or 0.0 for a in longer) == pytest.approx(sum(days), abs=1e-9)
    assert found["SO2_mass_flow", "24h", 0].value == pytest.approx(np.mean(hours[:24]), abs=1e-9)
    assert found["dry_gas_volume", "24h", 0].value == pytest.approx(24 * 280_426.962486)
    assert found["SO2_mass", "24h", 0].inputs["derived"]["hours"] == 24.0


def test_normalised_and_validated_values_are_kept_apart() -> None:
    """Mass stays what it is whatever is subtracted for a limit, and oxygen has no part in it."""
    for changes in ({"O2": None}, {"O2": 20.0}, {"O2": NAN}):
        assert made(STACK, *gas(**changes))["SO2_mass", "1h", 0].value == pytest.approx(8.4128, abs=5e-5)


def test_a_wet_gas_at_its_own_temperature_is_brought_to_the_dry_standard_first() -> None:
    rules = law("stack", {**DRY, "basis": "wet", "state": "actual"})
    found = made(rules, *gas())
    dry = corrections.dry_basis(corrections.standard_state(30.0, 110.0, 100_800.0, -500.0), 8.0)
    assert found["SO2_mass", "1h", 0].inputs["derived"]["SO2_standard_dry"] == pytest.approx(float(dry))
    # Mass is the same whatever basis it is computed on: the wet value times the actual flow.
    assert found["SO2_mass", "1h", 0].value == pytest.approx(30.0 * 432_000 * 1e-6)


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"velocity": NAN}, ["velocity"]), ({"velocity": -0.1}, ["velocity"]), ({"velocity": None}, ["velocity"]),
        ({"moisture": None, "pressure": NAN}, ["pressure", "moisture"]), ({"SO2": NAN}, ["SO2"]),
    ],
)  # fmt: skip
def test_missing_inputs_give_no_value_and_say_so(changes: dict[str, Any], lacking: list[str]) -> None:
    found = made(STACK, *gas(**changes))
    hour, day = found["SO2_mass", "1h", 3], found["SO2_mass", "24h", 0]
    assert (hour.value, hour.valid, hour.coverage) == (None, False, 0.0)
    assert hour.inputs["derived"]["lacking"] == dict.fromkeys(lacking, 1)
    assert (day.value, day.valid) == (None, False)
    assert day.inputs["derived"]["lacking"] == dict.fromkeys(lacking, 24)


@pytest.mark.parametrize(("there", "valid"), [(20, True), (19, False)])
def test_a_day_is_valid_by_its_hours_and_tells_which_are_missing(there: int, valid: bool) -> None:
    velocity = np.where(np.arange(1440) < there * 60, 12.0, NAN)
    day = made(STACK, *gas(velocity=velocity))["SO2_mass", "24h", 0]
    assert day.value == pytest.approx(there * 8.4128, abs=1e-3)
    assert (day.valid, day.coverage) == (valid, pytest.approx(there / 24))
    assert day.inputs["derived"]["lacking"] == {"velocity": 24 - there}
    assert day.inputs["parts"]["valid"] == there


def test_a_month_counts_its_valid_days_where_the_rule_does() -> None:
    month = ValidityText(window="month", part="24h", minimum=2, share=None, setting="", cite="x", verified=False)
    pack = replace(PACKS["ultra-low-2015"], validity=(*PACKS["ultra-low-2015"].validity, month))
    rules, _ = point_rules(
        "p", "x", "stack", timezone="Asia/Shanghai", packs=[pack], settings=DRY, parameters=PARAMETERS
    )
    whole, short = made(rules, *gas(2880), kinds=("month",), days=2), made(rules, *gas(2000), kinds=("month",), days=2)
    for found, valid, days in ((whole, True, 2.0), (short, False, 1.0)):
        (sums,) = [a for (name, _, _), a in found.items() if name == "SO2_mass"]
        assert (sums.valid, sums.inputs["parts"]["valid"]) == (valid, days)


@pytest.mark.parametrize(("state", "factor"), [("standard_dry", 1.0), ("actual", 280_426.962486 / 432_000)])
def test_a_flow_meter_may_stand_for_velocity_and_area(state: str, factor: float) -> None:
    rules = law("stack", {**DRY, "flow_state": state}, "ultra-low-2015")
    found = made(rules, *gas(velocity=None, gas_flow=1000.0))
    assert found["dry_gas_flow", "1h", 0].value == pytest.approx(1000.0 * factor)
    assert found["SO2_mass", "1h", 0].inputs["derived"]["flow_state"] == state


def test_a_stack_without_area_or_meter_has_no_loads() -> None:
    rules = law("stack", {"reference_oxygen": 6.0}, "ultra-low-2015")
    assert {name for name, _, _ in made(rules, *gas())} == set(GAS)
    assert offered(rules, list(GAS)) == {}


def test_what_is_measured_is_not_derived() -> None:
    own = series("SO2_mass", np.full(1440, 7.0))
    found = made(STACK, *gas(), own)
    assert found["SO2_mass", "1h", 0].value == 420.0  # the sum of what a channel of that name gave
    assert "derived" not in found["SO2_mass", "1h", 0].inputs
    assert "derived" in found["SO2_mass_flow", "1h", 0].inputs


def test_loads_are_of_hours_and_longer_windows() -> None:
    tables = DerivedTables(STACK, {s.parameter: s for s in gas()}, MIDNIGHT, MIDNIGHT + DAY_NS)
    assert tables.base("SO2_mass") == "1h"
    assert tables.base("SO2") == "1m"
    assert [tables.table("SO2_mass", kind) is None for kind in ("1m", "30m", "1h", "day")] == [True, True, False, False]
    slow = series("SO2", [30.0], step_s=86_400)
    assert DerivedTables(STACK, {"SO2": slow}, MIDNIGHT, MIDNIGHT + DAY_NS).table("SO2_mass", "1h") is None
    daily = made(STACK, slow, *(s for s in gas() if s.parameter != "SO2"))
    assert ("SO2_mass", "24h", 0) not in daily  # of a value a day no hours can be told
    hourly = made(STACK, *gas(), series("velocity", [12.0], step_s=86_400))["SO2_mass", "1h", 0]
    assert hourly.inputs["derived"]["lacking"] == {"velocity": 1}


# --- loads of waste water ----------------------------------------------------------------------------


def water(**changes: Any) -> list[Signal]:
    values = {"COD": 40.1, "flow": 17.5, **changes}
    return [series(name, np.broadcast_to(value, 1440)) for name, value in values.items() if value is not None]


def test_water_carries_concentration_times_volume() -> None:
    found = made(WATER, *water())
    assert found["COD_mass", "1h", 0].value == pytest.approx(2.5263, abs=5e-5)  # water-02
    assert found["COD_mass", "24h", 0].value == pytest.approx(60.63, abs=5e-3)
    assert [found["volume", kind, 0].value for kind in ("1h", "24h")] == pytest.approx([63.0, 1512.0])
    assert found["volume", "1h", 0].unit == "m3"
    told = found["COD_mass", "1h", 0].inputs["derived"]
    assert (told["of"], told["COD"], told["flow"]) == (["COD", "flow"], 40.1, 17.5)


def test_water_that_does_not_flow_carries_nothing() -> None:
    found = made(WATER, *water(flow=np.where(np.arange(1440) < 60, 0.0, 17.5)))
    assert found["COD_mass", "1h", 0].value == 0.0
    assert found["COD_mass", "24h", 0].value == pytest.approx(23 * 2.5263, abs=1e-3)
    assert found["COD_mass", "24h", 0].valid


@pytest.mark.parametrize(("changes", "lacking"), [({"flow": -1.0}, ["flow"]), ({"COD": NAN}, ["COD"])])
def test_water_says_what_is_lacking(changes: dict[str, Any], lacking: list[str]) -> None:
    hour = made(WATER, *water(**changes))["COD_mass", "1h", 0]
    assert (hour.value, hour.inputs["derived"]["lacking"]) == (None, dict.fromkeys(lacking, 1))


def test_water_without_a_flow_has_no_loads() -> None:
    assert {name for name, _, _ in made(WATER, *water(flow=None))} == {"COD"}
    late = made(WATER, series("COD", np.full(1440, 40.0)), series("flow", np.full(60, 17.5)))
    assert [hour for name, kind, hour in late if (name, kind) == ("COD_mass", "1h")] == [0]
    assert late["COD_mass", "24h", 0].value == pytest.approx(40.0 * 63.0 / 1000)


# --- levels of whole days ----------------------------------------------------------------------------

CITY = law("noise", {"ambient_class": "2"}, "gb3096-2008")
EU = law("noise", {}, "2002-49-ec")


def levels(*periods: tuple[int, float], hours: int = 24) -> Signal:
    """Minutes of a day's levels: each from its hour on."""
    values = np.full(hours * 60, NAN)
    for hour, level in periods:
        values[hour * 60 :] = level
    return series("LAeq", values)


def test_a_day_of_one_level_is_6_db_above_it() -> None:
    day = made(CITY, levels((0, 52.5)))["Ldn", "24h", 0]
    assert (day.value, day.unit, day.valid, day.coverage) == (pytest.approx(58.5206, abs=1e-4), "dB(A)", True, 1.0)
    told = day.inputs["derived"]
    assert told["periods"] == {
        "day": {"hours": ["06:00", "22:00"], "add": 0.0}, "night": {"hours": ["22:00", "06:00"], "add": 10.0},
    }  # fmt: skip
    assert (told["pack"], told["day"], told["night"], told["verified"]) == ("gb3096-2008", 52.5, 52.5, False)
    assert "Ldn" not in {name for name, kind, _ in made(CITY, levels((0, 52.5))) if kind == "1h"}


def test_lden_of_the_directive() -> None:
    found = made(EU, levels((0, 55.0), (7, 65.0), (19, 62.0), (23, 55.0)), kinds=("24h", "month", "year"))
    days = [a for (name, _, _), a in found.items() if name == "Lden"]
    assert [a.window for a in days] == ["24h", "month", "year"]
    assert [a.value for a in days] == pytest.approx([65.403975] * 3, abs=1e-6)
    assert [a.valid for a in days] == [True, False, False]
    german = law("noise", {"day_hours": ["06:00", "18:00"], "evening_hours": ["18:00", "22:00"],
                           "night_hours": ["22:00", "06:00"]}, "2002-49-ec")  # fmt: skip
    day = made(german, levels((0, 50.0), (6, 60.0), (18, 55.0), (22, 50.0)))["Lden", "24h", 0]
    assert day.value == pytest.approx(60.0)


def test_night_hours_of_a_site_move_the_day_too() -> None:
    rules = law("noise", {"ambient_class": "2", "night": ["23:00", "07:00"]}, "gb3096-2008")
    day = made(rules, levels((0, 50.0), (7, 60.0), (23, 50.0)))["Ldn", "24h", 0]
    assert day.value == pytest.approx(60.0)
    assert day.inputs["derived"]["periods"]["day"]["hours"] == ["07:00", "23:00"]


def test_a_day_is_valid_where_each_period_is() -> None:
    half_a_night = made(CITY, levels((2, 52.5)))["Ldn", "24h", 0]  # 6 of 8 hours of night
    assert half_a_night.valid
    assert half_a_night.value == pytest.approx(58.5206, abs=1e-4)
    less = made(CITY, levels((3, 52.5)))["Ldn", "24h", 0]
    assert not less.valid
    none = made(CITY, series("LAeq", np.full(16 * 60, 52.5), start=MIDNIGHT + 6 * HOUR_NS))["Ldn", "24h", 0]
    assert (none.value, none.valid) == (None, False)
    assert none.inputs["derived"]["lacking"] == {"night": 1}
    hours = replace(CITY.validity["24h"], part="1h", minimum=18, share=None)
    counted = replace(CITY, validity={**CITY.validity, "24h": hours})
    assert [made(counted, levels((hour, 52.5)))["Ldn", "24h", 0].valid for hour in (2, 3)] == [True, False]


def test_periods_beside_the_full_hour_leave_no_level() -> None:
    rules = law("noise", {"ambient_class": "2", "night": ["22:30", "06:30"]}, "gb3096-2008")
    day = made(rules, levels((0, 52.5)))["Ldn", "24h", 0]
    assert day.value is None
    assert day.inputs["derived"]["lacking"] == {"full hours": 2}
    overlapping = law("noise", {"evening_hours": ["19:00", "00:00"]}, "2002-49-ec")
    assert made(overlapping, levels((0, 52.5)))["Lden", "24h", 0].value is None


@effort(max_examples=examples(20), deadline=None)
@given(st.lists(st.floats(20.0, 100.0), min_size=24, max_size=24))
def test_a_day_agrees_with_the_rating_of_its_hours(hourly: list[float]) -> None:
    found = made(EU, series("LAeq", np.repeat(hourly, 60)), kinds=("24h",))["Lden", "24h", 0]
    assert found.value == pytest.approx(rating.day_evening_night(PACKS["2002-49-ec"], hourly)["composite_db"], abs=1e-6)


@pytest.mark.parametrize(("night", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_on_which_clocks_change_weigh_their_periods_all_the_same(night: str, hours: int) -> None:
    rules = law("noise", {}, "2002-49-ec", zone="Europe/Berlin")
    start = int(np.datetime64(f"{night}T00:00").astype("datetime64[ns]").astype(np.int64))
    start -= HOUR_NS * (2 if hours == 25 else 1)
    clock = series("LAeq", np.repeat([50.0] * (hours - 17) + [60.0] * 12 + [55.0] * 4 + [50.0], 60), start=start)
    (day,) = [
        a for a in derive(rules, {"LAeq": clock}, {"24h": rules.windows("24h", start, start + HOUR_NS)}).averages
        if a.parameter == "Lden"
    ]  # fmt: skip
    assert day.to_ns - day.from_ns == hours * HOUR_NS
    parts = {"day": 60.0, "evening": 55.0, "night": 50.0}
    assert day.value == pytest.approx(float(rating.composite(PACKS["2002-49-ec"], parts)))


# --- nitrogen oxides ---------------------------------------------------------------------------------


def test_nox_is_no_as_no2_and_no2() -> None:
    rules = law("stack", {**DRY, "nox_from": "NO+NO2"}, "ultra-low-2015")
    no, no2 = series("NO", np.full(60, 30.0)), series("NO2", np.full(720, 4.0), step_s=5)
    found = made(rules, *gas(60), no, no2, series("NOx", np.full(60, 900.0)), kinds=("1m", "1h"))
    assert found["NOx", "1h", 0].value == pytest.approx(50.0)
    assert found["NOx", "1h", 0].evaluated == pytest.approx(50.0 * 15 / 13)
    assert found["NOx_mass_flow", "1h", 0].value == pytest.approx(50.0 * 280_426.962486e-6)
    assert (found["NO", "1h", 0].value, found["NO2", "1h", 0].value) == (30.0, 4.0)


def test_of_one_oxide_there_is_no_sum() -> None:
    rules = law("stack", {"nox_from": "NO+NO2"}, "ultra-low-2015")
    no2 = series("NO2", [1.0, 2.0, NAN, 4.0], status=[0, Status.CALIBRATION, 0, 0])
    hour = made(rules, series("NO", [3.0, 3.0, 3.0]), no2)["NOx", "1h", 0]
    assert hour.inputs["counts"] == {"ok": 1, "calibration": 1, "no_comm": 2}
    assert hour.value == pytest.approx(3.0 * 46 / 30 + 1.0)
    alone = made(rules, series("NO", [3.0]))["NOx", "1h", 0]
    assert (alone.value, alone.inputs["counts"]) == (None, {"no_comm": 1})
    assert ("NOx", "1h", 0) not in made(rules, series("SO2", [3.0]))
    apart = law("stack", {}, "ultra-low-2015")
    assert ("NOx", "1h", 0) not in made(apart, series("NO", [3.0]), series("NO2", [3.0]))


# --- judged like any other ---------------------------------------------------------------------------


def test_a_clause_may_limit_a_load() -> None:
    like = PACKS["ultra-low-2015"].clause("nox-hour")
    hourly = limited(like, "rate", 8.4, parameter="SO2_mass_flow", unit="kg/h", corrected="as measured")
    daily = limited(like, "load", 200.0, parameter="SO2_mass", unit="kg", window="24h", corrected="as measured")
    loose = limited(like, "loose", 8.5, parameter="SO2_mass_flow", unit="kg/h", corrected="as measured")
    rules = with_clauses(STACK, (hourly, daily, loose))
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + DAY_NS) for kind in ("1h", "24h")}
    found = derive(rules, {s.parameter: s for s in gas()}, wanted, proof=False)
    assert sorted(e.clause for e in found.exceedances) == ["load", *["rate"] * 24]
    rate = next(e for e in found.exceedances if e.clause == "rate")
    assert (rate.value, rate.limit, rate.unit) == (pytest.approx(8.4128, abs=5e-5), 8.4, "kg/h")
    told = unjudged(rules, [s.parameter for s in gas()], found.averages)
    assert not [line for line in told if line.startswith(("velocity", "moisture", "SO2:"))]


def test_the_evidence_of_a_load_goes_down_to_what_it_was_made_of() -> None:
    like = PACKS["ultra-low-2015"].clause("nox-hour")
    text = limited(like, "rate", 8.4, parameter="SO2_mass_flow", unit="kg/h", corrected="as measured")
    rules = with_clauses(STACK, (text,))
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    (found,) = derive(rules, {s.parameter: s for s in gas(60)}, wanted).exceedances
    made_of = ["SO2", "velocity", "temperature", "pressure", "moisture"]
    assert found.evidence["average"]["derived"]["of"] == made_of
    assert set(made_of) <= set(found.evidence["conditions"])
    assert found.evidence["clause"]["parameter"] == "SO2_mass_flow"


def test_another_input_makes_a_new_version() -> None:
    wanted = {"1h": STACK.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    first, second = (derive(STACK, {s.parameter: s for s in gas(60, velocity=v)}, wanted) for v in (12.0, 11.0))
    known = {(a.parameter, a.window, a.from_ns): a for a in first.averages}
    assert settle(first, known, {}, now_ns=MIDNIGHT + HOUR_NS).averages == []
    news = settle(second, known, {}, now_ns=MIDNIGHT + HOUR_NS).averages
    assert {a.parameter for a in news} == {"velocity", "dry_gas_flow", "dry_gas_volume", "SO2_mass", "SO2_mass_flow"}
    assert {a.version for a in news} == {2}


ANY = st.floats() | st.floats(-100.0, 1000.0)


@effort(max_examples=examples(40), deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(GAS)), ANY), st.floats(0.01, 100.0), st.integers(1, 120))
def test_no_numbers_make_it_fall(changes: dict[str, float], area: float, minutes: int) -> None:
    rules = law("stack", {**DRY, "area_m2": area}, "ultra-low-2015")
    for average in made(rules, *gas(minutes, **changes)).values():
        assert average.value is None or not np.isnan(average.value)
        if "derived" in average.inputs and average.valid:
            assert average.value is not None
            assert np.isfinite(average.value)


@effort(max_examples=examples(20), deadline=None)
@given(st.integers(1, 600), st.integers(0, 2**32 - 1))
def test_windows_come_out_the_same_alone_and_together(minutes: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(30.0, 5.0, minutes)
    whole = made(STACK, *gas(minutes, SO2=values))
    alone = derive(STACK, {s.parameter: s.within(MIDNIGHT, MIDNIGHT + HOUR_NS) for s in gas(minutes, SO2=values)},
                   {"1h": STACK.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}).averages  # fmt: skip
    assert all(whole[a.parameter, "1h", 0] == a for a in alone)
    assert len([a for a in alone if "derived" in a.inputs]) == 4

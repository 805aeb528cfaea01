"""Substituted mass: the substitutes of a total stand apart from what was measured, and say what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collector.verdicts.derived import DerivedTables
from collector.verdicts.judgement import derive
from collector.verdicts.records import Average
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import DAY_NS, HOUR_NS, MIDNIGHT, law, series

RULES = law("stack", {"flow_state": "standard_dry"}, "hj75-2017")
NAN = float("nan")
# 1000 m3/h of 1000 mg/m3 is a kilogramme an hour. The first of October in Shanghai begins a quarter.
START_NS = MIDNIGHT - 50 * DAY_NS


def totals(mass: Any, *, status: Any = 0, leave: slice = slice(0, 0)) -> dict[tuple[str, str], Average]:
    """Averages of months and years of hours that let out so many kilogrammes."""
    values = np.asarray(mass, np.float64)
    gas = series("SO2", values * 1000.0, step_s=3600, start=START_NS, status=status)
    kept = np.ones(len(values), np.bool_)
    kept[leave] = False
    signals = {"SO2": gas.rows(kept), "gas_flow": series("gas_flow", np.full(len(values), 1000.0), step_s=3600,
                                                         start=START_NS)}  # fmt: skip
    wanted = {
        kind: RULES.windows(kind, START_NS, START_NS + len(values) * HOUR_NS) for kind in ("month", "year", "24h")
    }
    return {(a.parameter, a.window): a for a in derive(RULES, signals, wanted).averages}


def test_the_substitutes_of_a_total_are_a_series_of_their_own() -> None:
    mass = np.full(300, 2.0)
    mass[50], mass[200:220], mass[110] = 7.0, NAN, 3.0  # 7 lies among the last 180 valid hours, 20 to 200
    found = totals(mass)
    own, measured = found["SO2_mass_substituted", "month"], found["SO2_mass", "month"]
    assert measured.value == pytest.approx(278 * 2.0 + 10.0)
    assert (own.value, own.unit, own.valid) == (pytest.approx(20 * 7.0), "kg", True)
    told = own.inputs["derived"]
    assert (told["how"], told["of"], told["pack"], told["verified"]) == (
        "mass_substituted", ["SO2_mass"], "hj75-2017", False,
    )  # fmt: skip
    assert (told["hours_by_180"], told["measured_kg"]) == (20.0, measured.value)
    assert told["total_kg"] == pytest.approx((measured.value or 0.0) + (own.value or 0.0))
    assert own.inputs["parts"]["valid"] == 20.0
    assert "lacking" not in told
    assert ("SO2_mass_substituted", "24h") not in found
    assert found["SO2_mass_substituted", "year"].value == own.value


def test_longer_gaps_look_back_further_and_hours_without_measurements_are_gaps() -> None:
    mass = np.full(1000, 2.0)
    mass[10], mass[850] = 9.0, 5.0
    own = totals(mass, leave=slice(900, 930))["SO2_mass_substituted", "month"]  # 97 % of the quarter, 30 hours
    assert (own.value, own.inputs["derived"]["hours_by_720"]) == (pytest.approx(150.0), 30.0)
    half = totals(mass, leave=slice(300, 900))["SO2_mass_substituted", "year"]
    assert (half.value, half.valid) == (0.0, False)
    assert half.inputs["derived"]["lacking"] == {"substitutes": 600}
    most = totals(mass, leave=slice(700, 900))["SO2_mass_substituted", "year"]
    assert (most.value, most.inputs["derived"]["hours_by_2160"]) == (pytest.approx(1800.0), 200.0)


def test_hours_in_which_the_plant_stood_still_are_no_gap() -> None:
    status = np.zeros(300, np.uint8)
    status[100:200] = Status.STOPPED
    own = totals(np.full(300, 2.0), status=status)["SO2_mass_substituted", "month"]
    assert (own.value, own.valid, own.inputs["parts"]["valid"]) == (0.0, True, 0.0)


def test_before_the_first_and_after_the_last_hour_nothing_is_missing() -> None:
    own = totals(np.full(300, 2.0), leave=slice(0, 100))["SO2_mass_substituted", "month"]
    assert (own.value, own.valid) == (0.0, True)
    late = totals(np.full(300, 2.0), leave=slice(200, 300))["SO2_mass_substituted", "month"]
    assert (late.value, late.valid) == (0.0, True)


def test_only_where_a_pack_says_how() -> None:
    without = law("stack", {"flow_state": "standard_dry"}, "ultra-low-2015")
    signals = {"SO2": series("SO2", [1.0], step_s=3600), "gas_flow": series("gas_flow", [1.0], step_s=3600)}
    tables = DerivedTables(without, signals, MIDNIGHT, MIDNIGHT + DAY_NS)
    assert [name for name in tables.parameters if "SO2" in name] == ["SO2", "SO2_mass", "SO2_mass_flow"]
    there = DerivedTables(RULES, signals, MIDNIGHT, MIDNIGHT + DAY_NS)
    assert there.base("SO2_mass_substituted") == "month"
    assert there.table("SO2_mass_substituted", "24h") is None
    assert there.unit("SO2_mass_substituted") == "kg"

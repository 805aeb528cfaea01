"""What cannot be is flagged and averaged into nothing, whatever the instrument calls it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.judgement import Derived, derive
from collector.verdicts.plausible import LARGEST, bounds, plausible
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import (
    GAS,
    HOUR_NS,
    MIDNIGHT,
    NOISE,
    STACK,
    WATER,
    conditions,
    law,
    series,
)
from tests.effort import examples

ANY = st.one_of(
    st.floats(-100.0, 200.0), st.floats(), st.sampled_from([-0.001, 0.0, 20.999, 21.0, 1e13, 1e308, float("inf")])
)


def good(signal: Signal) -> Signal:
    """A signal whose instrument calls all its values good."""
    return replace(signal, status=np.zeros(len(signal), np.uint8))


def judged(rules: PointRules, *signals: Signal) -> Derived:
    return derive(rules, {s.parameter: s for s in signals}, {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)})


def hour(rules: PointRules, *signals: Signal) -> dict[str, Average]:
    return {average.parameter: average for average in judged(rules, *signals).averages}


@settings(max_examples=examples(60))
@given(st.lists(ANY, min_size=60, max_size=60), st.sampled_from(["LAeq", "NOx", "COD"]))
def test_no_number_makes_a_wrong_one(values: list[float], parameter: str) -> None:
    rules = {"LAeq": NOISE, "NOx": STACK, "COD": WATER}[parameter]
    gas = [good(series(name, values)) for name in ("O2", "moisture", "temperature", "pressure", "flow")]
    found = judged(rules, good(series(parameter, values)), *gas)
    for average in found.averages:
        for value in (average.value, average.evaluated, average.maximum):
            assert value is None or np.isfinite(value)
        if "derived" in average.inputs:
            continue
        low, high = bounds(average.parameter, average.unit, None, rules.strictest(average.parameter))
        inside = [value for value in values if low <= value <= high]
        assert average.count == len(inside) == average.inputs["counts"].get("ok", 0)
        if average.valid and average.value is not None:
            assert min(inside) - 1e-6 <= average.value <= max(inside) + 1e-6
    for broken in found.exceedances:
        assert np.isfinite(broken.value)


@pytest.mark.parametrize(
    ("rules", "parameter", "value"),
    [
        (STACK, "NOx", -5.0),
        (STACK, "NOx", 1e300),
        (STACK, "O2", -0.1),
        (STACK, "O2", 21.0),
        (STACK, "O2", 25.0),
        (STACK, "moisture", 100.5),
        (WATER, "COD", -1.5),
        (NOISE, "LAeq", 1e308),
        (NOISE, "LAeq", float("inf")),
        (NOISE, "LAeq", float("-inf")),
    ],
)
def test_what_cannot_be_is_flagged_and_no_value(rules: PointRules, parameter: str, value: float) -> None:
    found = hour(rules, good(series(parameter, np.full(60, value))))[parameter]
    assert (found.value, found.valid, found.count) == (None, False, 0)
    assert found.inputs["counts"] == {"out_of_range": 60}


def test_a_good_value_that_is_none_is_missing() -> None:
    found = hour(NOISE, good(series("LAeq", [50.0] * 59 + [float("nan")])))["LAeq"]
    assert found.inputs["counts"] == {"ok": 59, "no_comm": 1}


@pytest.mark.parametrize(
    ("rules", "parameter", "value"),
    [(STACK, "NOx", 0.0), (STACK, "O2", 0.0), (STACK, "O2", 20.99), (STACK, "temperature", -20.0),
     (STACK, "pressure", -0.5), (WATER, "flow", -1.0), (NOISE, "LAeq", -3.0)],
)  # fmt: skip
def test_what_can_be_is_averaged(rules: PointRules, parameter: str, value: float) -> None:
    found = hour(rules, series(parameter, np.full(60, value)))[parameter]
    assert (found.value, found.valid) == (pytest.approx(value), True)


def test_a_few_impossible_values_do_not_move_the_hour() -> None:
    values = np.full(60, 30.0)
    values[:15] = -500.0
    gas = conditions(60, step_s=60)
    found = hour(STACK, series("NOx", values), *gas)["NOx"]
    whole = hour(STACK, series("NOx", np.full(60, 30.0)), *gas)["NOx"]
    assert (found.value, found.evaluated, found.valid) == (30.0, whole.evaluated, True)
    values[15] = -500.0
    assert not hour(STACK, series("NOx", values), *gas)["NOx"].valid


@pytest.mark.parametrize(("oxygen", "converted"), [(-3.0, False), (8.0, True), (21.0, False), (22.0, False)])
def test_no_concentration_is_converted_with_impossible_oxygen(oxygen: float, converted: bool) -> None:
    rules = law("stack", {"reference_oxygen": 6.0}, "ultra-low-2015")
    found = hour(rules, series("NOx", np.full(60, 30.0)), series("O2", np.full(60, oxygen)))["NOx"]
    assert (found.value, found.evaluated is not None) == (30.0, converted)


def test_an_average_says_why_it_has_no_converted_value() -> None:
    rules = law("stack", {"reference_oxygen": 6.0}, "ultra-low-2015")

    def step(*oxygen: float) -> tuple[Average, dict[str, Any]]:
        levels = np.repeat(oxygen, 60 // len(oxygen))
        found = hour(rules, series("NOx", np.full(60, 30.0)), series("O2", levels))["NOx"]
        return found, found.inputs["corrections"][-1]

    found, told = step(20.5)
    assert (found.value, found.valid, found.evaluated) == (30.0, True, None)
    assert (told["oxygen_max"], told["diluted_percent"], told["air_percent"]) == (20.0, 100.0, 21.0)
    assert found.inputs["standard_dry"] == 30.0
    found, told = step(20.5, 8.0, 8.0, 8.0)
    assert found.evaluated == pytest.approx(30.0 * 15.0 / 13.0)
    assert (told["oxygen_max"], told["diluted_percent"]) == (20.0, 25.0)
    assert told["oxygen_percent"] == 8.0  # of the minutes that were converted
    found, told = step(8.0)
    assert "diluted_percent" not in told
    half = step(20.5, 8.0)[0]
    assert (half.evaluated, half.inputs["standard_dry"]) == (None, 30.0)  # too few minutes for an hour


def test_a_zero_may_wander_as_far_as_the_point_says() -> None:
    rules, values = law("stack", {**GAS, "zero_noise": 0.5}, "ultra-low-2015"), np.tile([-0.5, 0.7], 30)
    assert hour(rules, series("NOx", values))["NOx"].value == pytest.approx(0.1)
    found = hour(rules, series("NOx", values - 0.01))["NOx"]
    assert found.inputs["counts"] == {"ok": 30, "out_of_range": 30}
    assert bounds("Hg", "ug/m3", 0.5) == (-500.0, LARGEST)


def test_a_zero_wanders_by_a_little_of_the_limit_where_the_point_says_nothing() -> None:
    assert STACK.strictest("NOx") == 50.0
    found = hour(STACK, series("NOx", np.tile([-1.25, 1.45], 30)))["NOx"]
    assert (found.value, found.count, found.valid) == (pytest.approx(0.1), 60, True)
    found = hour(STACK, series("NOx", np.tile([-1.26, 1.45], 30)))["NOx"]
    assert found.inputs["counts"] == {"ok": 30, "out_of_range": 30}
    exact = law("stack", {**GAS, "zero_noise": 0.0}, "ultra-low-2015")
    assert hour(exact, series("NOx", np.tile([-0.01, 1.45], 30)))["NOx"].count == 30
    assert STACK.strictest("CO") is None  # nothing limits it: nothing below zero counts
    assert hour(STACK, good(series("CO", np.full(60, -0.01))))["CO"].count == 0


@settings(max_examples=examples(30))
@given(st.floats(0.0, 1000.0), st.one_of(st.none(), st.floats(0.0, 1000.0)))
def test_what_is_kept_below_zero_is_stated_or_little(limit: float, stated: float | None) -> None:
    low, high = bounds("SO2", "mg/m3", stated, limit)
    assert low == -(limit * 0.025 if stated is None else stated)
    assert low <= 0.0 < high
    assert bounds("SO2", "mg/m3", stated, -limit)[0] <= 0.0
    assert bounds("Hg", "ug/m3", stated, limit)[0] == -(limit * 0.025 if stated is None else stated / 0.001)


def test_evidence_says_what_was_left_out_and_why() -> None:
    values = np.full(60, 80.0)
    values[3], values[4] = -5.0, 7.0
    signals = [series("NOx", values, status=np.where(np.arange(60) == 4, Status.CALIBRATION, Status.OK))]
    (broken,) = judged(STACK, *signals, *conditions(60, step_s=60)).exceedances
    items = broken.evidence["measurements"]["items"]
    assert [item[1:] for item in items[2:6]] == [
        [80.0, "ok"], [-5.0, "out_of_range"], [7.0, "calibration"], [80.0, "ok"]
    ]  # fmt: skip


def test_a_signal_that_can_be_stays_as_it_is() -> None:
    signal = series("LAeq", [50.0, 60.0])
    assert plausible(signal, {}) is signal


def test_statuses_that_say_more_stay() -> None:
    states: Any = [Status.FAULT, Status.STOPPED, Status.OK]
    found = plausible(series("SO2", [-9.0, -9.0, -9.0], status=states), {})
    assert found.status.tolist() == [Status.FAULT, Status.STOPPED, Status.OUT_OF_RANGE]

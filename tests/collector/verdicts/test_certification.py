from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.certification import (
    CalibrationError,
    Control,
    RelativeAccuracy,
    calibration_control,
    calibration_error,
    linearity_error,
    relative_accuracy,
)
from collector.verdicts.us_rules import CalibrationLife, UsRules
from tests.effort import examples

NAN = float("nan")
MONITOR = [401.0, 398.0, 410.0, 405.0, 399.0, 402.0, 407.0, 400.0, 396.0]
REFERENCE = [410.0, 409.0, 418.0, 416.0, 405.0, 414.0, 417.0, 409.0, 408.0]


def rules() -> UsRules:
    found = rule_packs()["40cfr75"].us
    assert found is not None
    return found


def life() -> CalibrationLife:
    found = rules().calibration_life
    assert found is not None
    return found


# --- calibration --------------------------------------------------------------------------------------------


def calibrated(parameter: str, span: float, difference: float, test: str = "daily") -> CalibrationError:
    return calibration_error(span, span / 2.0, span / 2.0 + difference, rules().calibration_of(parameter, test))


@pytest.mark.parametrize(
    ("parameter", "test", "span", "difference", "in_control", "alternative"),
    [
        ("SO2", "daily", 500.0, 25.0, True, False),
        ("SO2", "daily", 500.0, 25.2, True, False),  # 5.04 % is 5.0 %
        ("SO2", "daily", 500.0, 25.3, False, False),
        ("SO2", "daily", 200.0, 10.0, True, False),
        ("NOx", "daily", 190.0, -10.0, True, True),
        ("NOx", "daily", 201.0, 10.5, False, False),
        ("NOx", "daily", 50.0, 5.0, True, True),
        ("NOx", "daily", 50.0, 5.1, False, False),
        ("NOx", "daily", 51.0, 5.1, True, True),
        ("O2", "daily", 25.0, 1.0, True, False),
        ("CO2", "daily", 20.0, -1.1, False, False),
        ("gas_flow", "daily", 1e6, 6e4, True, False),
        ("gas_flow", "daily", 1e6, 6.1e4, False, False),
        ("Hg", "daily", 10.0, 1.0, True, True),
        ("Hg", "daily", 10.0, 1.1, False, False),
        ("SO2", "seven_day", 500.0, 12.5, True, False),
        ("SO2", "seven_day", 150.0, 5.0, True, True),
        ("SO2", "seven_day", 200.0, 5.2, False, False),
        ("O2", "seven_day", 25.0, 0.6, False, False),
    ],
)
def test_calibration_errors(
    parameter: str, test: str, span: float, difference: float, in_control: bool, alternative: bool
) -> None:
    found = calibrated(parameter, span, difference, test)
    assert (bool(found.in_control), bool(found.alternative)) == (in_control, alternative)
    assert float(found.difference) == pytest.approx(abs(difference))
    assert float(found.error_percent) == pytest.approx(abs(difference) / span * 100.0)


def test_a_monitor_drifts_before_it_is_out_of_control() -> None:
    found = calibration_error(500.0, 250.0, [250.0, 262.5, 263.0, 275.0, 276.0], rules().calibration_of("SO2"))
    assert found.on_target.tolist() == [True, True, False, False, False]
    assert found.in_control.tolist() == [True, True, True, True, False]
    assert found.evaluated.tolist() == [0.0, 2.5, 2.6, 5.0, 5.2]


ANY = st.one_of(st.floats(), st.floats(0.0, 1000.0))


@settings(max_examples=examples(200))
@given(ANY, ANY, ANY, st.sampled_from([("SO2", "daily"), ("O2", "daily"), ("NOx", "seven_day")]))
def test_any_calibration_has_an_outcome(span: float, reference: float, response: float, of: tuple[str, str]) -> None:
    rule = rules().calibration_of(*of)
    found = calibration_error(span, reference, response, rule)
    assert math.isnan(found.error_percent) or found.error_percent >= 0.0
    assert not (math.isnan(found.difference) and found.in_control)
    assert not found.alternative or found.in_control
    assert float(found.difference) == float(
        calibration_error(span, response, reference, rule).difference
    ) or math.isnan(found.difference)


def test_what_was_not_measured_is_not_in_control() -> None:
    found = calibration_error([0.0, -5.0, NAN, 100.0], 50.0, [50.0, 50.0, 50.0, NAN], rules().calibration_of("SO2"))
    assert not found.in_control.any()
    assert np.isnan(found.error_percent).all()


def test_rules_are_found_by_test_too() -> None:
    with pytest.raises(ValueError, match="no rule for 'Hg'; there are rules for: SO2, NOx, CO2, O2, gas_flow"):
        rules().calibration_of("Hg", "seven_day")
    with pytest.raises(ValueError, match="there are rules for: none"):
        rules().calibration_of("SO2", "yearly")


# --- how long a calibration holds ---------------------------------------------------------------------------


def control(ran: list[bool], tests: list[int], passed: list[bool]) -> list[str]:
    return [Control(code).name for code in calibration_control(ran, tests, passed, life())]


def test_a_passed_calibration_holds_for_26_hours() -> None:
    found = control([True] * 40, [2], [True])
    assert found[:2] == ["UNTESTED"] * 2
    assert found[2:28] == ["IN_CONTROL"] * 26
    assert found[28:] == ["EXPIRED"] * 12


def test_a_failed_one_ends_it_until_the_next_is_passed() -> None:
    found = control([True] * 10, [0, 4, 7], [True, False, True])
    assert found == ["IN_CONTROL"] * 4 + ["FAILED"] * 3 + ["IN_CONTROL"] * 3
    assert control([True] * 3, [1, 1], [False, True]) == ["UNTESTED"] + ["IN_CONTROL"] * 2
    assert control([True] * 3, [1, 1], [True, False]) == ["UNTESTED"] + ["FAILED"] * 2


def test_a_start_up_has_eight_hours_more_when_the_unit_stood_still_at_the_end() -> None:
    ran = [True] * 20 + [False] * 20 + [True] * 20  # the 26th hour, 25, is without operation; it ran again at 40
    found = control(ran, [0], [True])
    assert found[:26] == ["IN_CONTROL"] * 26
    assert found[26:48] == ["GRACE"] * 22
    assert found[48:] == ["EXPIRED"] * 12
    ran[25] = True  # it ran in the last hour: no grace
    assert set(control(ran, [0], [True])[26:]) == {"EXPIRED"}


def test_tests_before_the_first_hour_count_and_no_test_is_told() -> None:
    assert control([True] * 30, [-10], [True]) == ["IN_CONTROL"] * 16 + ["EXPIRED"] * 14
    assert control([True] * 3, [], []) == ["UNTESTED"] * 3
    assert control([True] * 3, [-100], [True]) == ["EXPIRED"] * 3
    assert control([], [1], [True]) == []
    assert control([False] * 30, [0], [True])[26:] == ["GRACE"] * 4  # it has not run since


@settings(max_examples=examples(100))
@given(st.lists(st.booleans(), max_size=80), st.lists(st.tuples(st.integers(-40, 80), st.booleans()), max_size=6))
def test_control_is_what_a_person_would_read_from_the_rule(ran: list[bool], tests: list[tuple[int, bool]]) -> None:
    found = control(ran, [hour for hour, _ in tests], [passed for _, passed in tests])
    for hour, state in enumerate(found):
        done = sorted((when, number) for number, (when, _) in enumerate(tests) if when <= hour)
        if not done:
            assert state == "UNTESTED"
            continue
        when, number = done[-1]
        end = when + 25
        again = next((h for h in range(max(end, 0), len(ran)) if ran[h]), len(ran))
        if not tests[number][1]:
            assert state == "FAILED"
        elif hour <= end:
            assert state == "IN_CONTROL"
        else:
            assert state == ("GRACE" if end >= 0 and not ran[end] and hour - again < 8 else "EXPIRED")


# --- linearity ----------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_linearity_tests_of_real_plants_come_out_as_the_agency_has_them(shared: Path) -> None:
    tests = json.loads((shared / "cases" / "stack" / "epa_linearity.json").read_text())["tests"]
    assert len(tests) >= 3
    for level in (level for test in tests for level in test["levels"]):
        shown, true = (np.mean([pair[side] for pair in level["injections"]]) for side in (0, 1))
        found = linearity_error(true, shown, rules().linearity_of("NOx"))
        want = level["expected"]
        assert round(float(shown), 3) == want["meanMeasured"]
        assert float(found.evaluated_percent) == want["percentError"]
        assert bool(found.alternative) == bool(want["alternateSpec"])
        assert found.passes


def test_a_level_of_a_linearity_test_as_the_agency_has_it() -> None:
    # Real injections (33.3, 33.1, 33.1 against 33.4): the agency has 0.7 %.
    found = linearity_error(33.4, np.mean([33.3, 33.1, 33.1]), rules().linearity_of("NOx"))
    assert float(found.evaluated_percent) == 0.7


@pytest.mark.parametrize(
    ("parameter", "reference", "mean", "passes", "alternative"),
    [
        ("SO2", 250.0, 237.5, True, False),
        ("SO2", 250.0, 237.0, False, False),
        ("SO2", 40.0, 35.0, True, True),
        ("SO2", 40.0, 34.9, False, False),
        ("O2", 8.0, 8.5, True, True),
        ("O2", 8.0, 8.6, False, False),
        ("CO2", 15.0, 15.75, True, False),
        ("CO2", 0.0, 0.3, True, True),  # no percentage of nothing, but a difference
        ("CO2", NAN, 0.3, False, False),
    ],
)
def test_linearity(parameter: str, reference: float, mean: float, passes: bool, alternative: bool) -> None:
    found = linearity_error(reference, mean, rules().linearity_of(parameter))
    assert (bool(found.passes), bool(found.alternative)) == (passes, alternative)


# --- RATA ---------------------------------------------------------------------------------------------------


def rata(parameter: str, scale: float = 1.0, monitor: list[float] = MONITOR) -> RelativeAccuracy:
    shown = [value * scale for value in monitor]
    return relative_accuracy(shown, [value * scale for value in REFERENCE], rules().rata_of(parameter))


def test_every_step_of_a_rata() -> None:
    found = rata("SO2")
    assert found.runs == 9
    assert found.mean_difference == pytest.approx(9.777778, abs=1e-6)
    assert found.standard_deviation == pytest.approx(1.986063, abs=1e-6)
    assert found.confidence_coefficient == pytest.approx(1.52662, abs=1e-5)  # t = 2.306
    assert found.relative_accuracy_percent == pytest.approx(2.745267, abs=1e-5)
    assert (found.evaluated_percent, found.passes, found.quarters, found.alternative) == (2.7, True, 4, False)
    assert (found.bias_adjustment_factor, found.least_factor) == (1.024, 1.024)


def test_a_monitor_that_reads_high_is_not_corrected() -> None:
    found = relative_accuracy(REFERENCE, MONITOR, rules().rata_of("SO2"))
    assert found.mean_difference < 0.0
    assert found.bias_adjustment_factor == 1.0
    assert rata("CO2", 0.025).bias_adjustment_factor == 1.0  # diluents never are


@pytest.mark.parametrize(
    ("parameter", "level", "low_by", "quarters", "alternative"),
    [
        ("SO2", 400.0, 29.0, 4, False),  # 7.25 %
        ("SO2", 400.0, 39.0, 2, False),  # 9.75 %
        ("SO2", 400.0, 41.0, 0, False),
        ("SO2", 100.0, 12.0, 4, True),
        ("SO2", 100.0, 15.0, 2, True),
        ("SO2", 100.0, 15.1, 0, False),
        ("SO2", 250.0, 12.0, 4, False),
        ("NOx_rate", 0.2, 0.015, 4, False),  # 7.5 %
        ("NOx_rate", 0.1, 0.015, 4, True),
        ("NOx_rate", 0.1, 0.02, 2, True),
        ("NOx_rate", 0.1, 0.021, 0, False),
        ("O2", 5.0, 0.7, 4, True),
        ("O2", 5.0, 1.0, 2, True),
        ("O2", 5.0, 1.1, 0, False),
        ("gas_flow", 1e6, 9e4, 2, False),
        ("gas_flow", 1e6, 1.1e5, 0, False),
    ],
)
def test_ways_to_pass(parameter: str, level: float, low_by: float, quarters: int, alternative: bool) -> None:
    found = relative_accuracy([level - low_by] * 9, [level] * 9, rules().rata_of(parameter))
    assert (found.passes, found.quarters, found.alternative) == (quarters > 0, quarters, alternative)


def test_a_low_emitter_need_not_apply_more_than_1_111() -> None:
    found = relative_accuracy([85.0] * 9, [100.0] * 9, rules().rata_of("SO2"))
    assert (found.bias_adjustment_factor, found.least_factor) == (1.176, 1.111)
    found = relative_accuracy([340.0] * 9, [400.0] * 9, rules().rata_of("SO2"))
    assert (found.bias_adjustment_factor, found.least_factor) == (1.176, 1.176)
    found = relative_accuracy([99.0] * 9, [100.0] * 9, rules().rata_of("SO2"))
    assert (found.bias_adjustment_factor, found.least_factor) == (1.01, 1.01)


def test_runs_without_a_number_are_left_out_and_too_few_pass_nothing() -> None:
    found = relative_accuracy([*MONITOR, NAN, 400.0], [*REFERENCE, 400.0, math.inf], rules().rata_of("SO2"))
    assert found == rata("SO2")
    few = relative_accuracy(MONITOR[:8], REFERENCE[:8], rules().rata_of("SO2"))
    assert (few.passes, few.quarters, few.runs) == (False, 0, 8)
    for runs in (0, 1):
        found = relative_accuracy(MONITOR[:runs], REFERENCE[:runs], rules().rata_of("SO2"))
        assert not found.passes
        assert math.isnan(found.confidence_coefficient)
        assert math.isnan(found.bias_adjustment_factor)


def test_nothing_has_no_relative_accuracy() -> None:
    found = relative_accuracy([0.0] * 9, [0.0] * 9, rules().rata_of("CO2"))
    assert math.isnan(found.relative_accuracy_percent)
    assert (found.passes, found.alternative) == (True, True)  # the difference is nothing
    assert math.isnan(found.bias_adjustment_factor)


def test_runs_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="2 values of the monitor and 1 of the reference are no pairs"):
        relative_accuracy([1.0, 2.0], [1.0], rules().rata_of("SO2"))


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.floats(1.0, 1e3), st.floats(1.0, 1e3)), min_size=9, max_size=40), st.floats(0.1, 10.0))
def test_relative_accuracy_knows_no_unit_and_no_order(runs: list[tuple[float, float]], scale: float) -> None:
    rule = rules().rata_of("gas_flow")
    shown, true = zip(*runs, strict=True)
    found = relative_accuracy(shown, true, rule)
    other = relative_accuracy([v * scale for v in reversed(shown)], [v * scale for v in reversed(true)], rule)
    assert other.relative_accuracy_percent == pytest.approx(found.relative_accuracy_percent)
    assert found.bias_adjustment_factor >= 1.0
    assert found.bias_adjustment_factor <= 1.0005 + max(found.mean_difference, 0.0) / found.mean_monitor

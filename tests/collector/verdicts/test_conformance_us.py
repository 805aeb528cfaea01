from __future__ import annotations

import math
from pathlib import Path

import pytest

from collector.catalogue import rule_packs
from collector.verdicts.conformance import Case, calculations, parse_cases, run

KNOWN = calculations(rule_packs())
CASES, FAULTS = parse_cases((Path(__file__).parents[2] / "conformance" / "us.toml").read_text(), "us")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_worked_examples_come_out(case: Case) -> None:
    assert FAULTS == []
    (outcome,) = run([case], KNOWN)
    assert outcome.passed, outcome.message


GAP = {
    "lookback": [float(n) for n in range(1, 721)], "hour_before": 210.0, "hour_after": 240.0, "gap_hours": 24,
    "availability_percent": 96.2, "maximum_potential": 1500.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "value", "modc"),
    [
        ({}, 225.0, "06"),
        ({"gap_hours": 25}, 648.0, "08"),
        ({"gap_hours": 25, "hour_before": 900.0}, 648.0, "08"),  # their mean is 570
        ({"gap_hours": 25, "hour_before": 1400.0}, 820.0, "08"),  # the neighbours are worse
        ({"availability_percent": 95.0}, 225.0, "06"),
        ({"availability_percent": 94.99}, 684.0, "09"),
        ({"availability_percent": 90.0, "gap_hours": 8}, 225.0, "06"),
        ({"availability_percent": 89.9, "gap_hours": 1}, 720.0, "10"),
        ({"availability_percent": 80.0}, 720.0, "10"),
        ({"availability_percent": 79.9}, 1500.0, "12"),
        ({"availability_percent": None}, 1500.0, "12"),
        ({"hour_before": None}, 1500.0, "12"),
        ({"hour_after": None}, None, ""),  # the gap is open yet
        ({"initial": True, "gap_hours": 200}, 225.0, "07"),
        ({"initial": True, "hour_before": None}, 1500.0, "12"),
        ({"parameter": "NOx"}, 360.5, "11"),
        ({"parameter": "NOx", "initial": True}, 360.5, "07"),
        ({"parameter": "NOx", "initial": True, "lookback": []}, 1500.0, "12"),
        ({"parameter": "NOx", "lookback": []}, 1500.0, "12"),
        ({"parameter": "NOx", "gap_hours": 25}, 648.0, "08"),
        ({"parameter": "O2", "gap_hours": 25}, 72.0, "08"),  # 10th percentile, the lesser
        ({"parameter": "O2", "gap_hours": 25, "hour_before": 20.0, "hour_after": 30.0}, 25.0, "08"),
        ({"parameter": "O2", "availability_percent": 85.0}, 1.0, "10"),
        ({"parameter": "gas_flow", "gap_hours": 24}, 0.0, "11"),  # to the nearest 1000 scf/h
        ({"hour_before": 210.1, "hour_after": 240.2}, 225.2, "06"),  # 225.15, a half away from zero
    ],
)
def test_every_tier(change: dict[str, object], value: float | None, modc: str) -> None:
    given = GAP | change
    case = Case(
        id="x", calculation="part75_substitute", given=given, expect={"value": value, "modc": modc}, within=1e-9,
        source="",
    )  # fmt: skip
    assert run([case], KNOWN)[0].message == ""


def attempt(calculation: str, given: dict[str, object], expect: dict[str, object]) -> str:
    case = Case(id="x", calculation=calculation, given=given, expect=expect, within=1e-9, source="")
    return run([case], KNOWN)[0].message


def test_a_calibration_that_was_not_passed_again_spoils_the_hour() -> None:
    given: dict[str, object] = {"minutes": list(range(60)), "passed_minute": None}
    assert attempt("us_qa_hour_valid", given, {"valid": False}) == ""
    assert attempt("us_qa_hour_valid", {**given, "passed_minute": 30}, {"valid": True}) == ""


def test_parameters_that_nobody_has_rules_for_are_told() -> None:
    for calculation, given in (
        ("part75_substitute", GAP),
        ("rata", {"monitor": [], "reference": []}),
        ("linearity", {"reference": 1.0, "monitor_mean": 1.0}),
        ("daily_calibration", {"span": 1.0, "reference": 1.0, "response": 1.0}),
    ):
        assert "no rule for 'phlogiston'; there are rules for: " in attempt(
            calculation, {**given, "parameter": "phlogiston"}, {}
        )


def test_without_packs_only_equations_are_left() -> None:
    known = calculations({})
    assert "part75_equation" in known
    assert not {"us_hour_valid", "part75_substitute", "rata", "linearity", "daily_calibration"} & set(known)


def test_what_cannot_be_computed_is_not_passed() -> None:
    assert attempt("linearity", {"reference": 0.0, "monitor_mean": 9.0}, {"error_percent": None, "passes": False}) == ""
    given: dict[str, object] = {"span": 100.0, "reference": 50.0, "response": math.nan}
    assert attempt("daily_calibration", given, {"error_percent": None, "in_control": False}) == ""

from __future__ import annotations

import doctest
import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from collector.catalogue import grade_rules, rule_packs
from collector.verdicts.conformance import Calculation, Case, calculations, parse_cases, run

FOLDER = Path(__file__).parents[2] / "conformance"
KNOWN = calculations(rule_packs(), grade_rules())


def cases(*names: str) -> list[Case]:
    found: list[Case] = []
    for name in names:
        read, faults = parse_cases((FOLDER / f"{name}.toml").read_text(), name)
        assert faults == []
        found += read
    return found


IN_SCOPE = cases("noise", "rounding", "water", "stack", "audit")


@pytest.mark.parametrize("case", IN_SCOPE, ids=lambda case: case.id)
def test_the_worked_examples_come_out(case: Case) -> None:
    (outcome,) = run([case], KNOWN)
    assert outcome.passed, outcome.message


def test_what_nobody_wrote_fails_as_not_implemented() -> None:
    case = Case(id="x", calculation="phlogiston", given={}, expect={"value": 1.0}, within=0.0, source="")
    assert "phlogiston: not implemented" in run([case], KNOWN)[0].message


def attempt(result: object, expect: dict[str, object], within: float = 0.0, key: str | None = None) -> str:
    case = Case(id="x", calculation="toy", given={}, expect=expect, within=within, source="")
    return run([case], {"toy": Calculation(lambda: result, key)})[0].message


@pytest.mark.parametrize(
    ("result", "want", "within", "good"),
    [
        (1.0, 1.004, 0.005, True),
        (1.0, 1.006, 0.005, False),
        (1.0, 1, 0.0, True),
        (2, 3, 5.0, False),  # integers are exact
        (3, 3.2, 0.5, True),
        (True, True, 0.0, True),
        (1, True, 0.0, False),
        (1.0, False, 5.0, False),
        ("day", "day", 0.0, True),
        ("day", "night", 9.0, False),
        (None, None, 0.0, True),
        (float("nan"), None, 0.0, True),
        (None, 0.0, 9.0, False),
        (0.0, None, 9.0, False),
        ([1.0, None], [1.001, None], 0.01, True),
        ([1.0], [1.0, 2.0], 9.0, False),
        (1.0, [1.0], 9.0, False),
        (float("inf"), float("inf"), 0.0, True),
    ],
)
def test_results_are_compared_by_their_kind(result: object, want: object, within: float, good: bool) -> None:
    assert (attempt(result, {"v": want}, within, "v") == "") is good


def test_only_what_is_expected_is_compared() -> None:
    assert attempt({"a": 1.0, "b": 2.0}, {"a": 1.0}) == ""
    assert "c is not among the results (a, b)" in attempt({"a": 1.0, "b": 2.0}, {"c": 1.0})


def test_an_exception_is_a_failure_that_says_what_it_was() -> None:
    case = Case(id="x", calculation="ldn", given={"dya_db": 1.0}, expect={}, within=0.0, source="")
    assert "ValueError" in run([case], KNOWN)[0].message


@pytest.mark.parametrize(
    ("calculation", "given", "expect"),
    [
        ("reference_oxygen", {"concentration": 60.0, "oxygen_percent": 21, "reference_percent": 11}, None),
        ("reference_oxygen", {"concentration": 60, "oxygen_percent": None, "reference_percent": 11.0}, None),
        ("reference_oxygen", {"concentration": 60, "oxygen_percent": 8, "reference_percent": None}, 60.0),
        ("reference_oxygen", {"concentration": [60, None], "oxygen_percent": 21, "reference_percent": 6}, [None, None]),
        ("energy_average", {"levels_db": [60, None, 60]}, 60.0),
        ("energy_average", {"levels_db": []}, None),
        ("flow_weighted_mean", {"concentrations": [40, None], "flows": [1, 2]}, 40.0),
        ("flow_weighted_mean", {"concentrations": [40], "flows": [0]}, None),
        ("median_ph", {"values": [7, None, 9]}, 8.0),
        ("dry_basis", {"concentration": 50, "moisture_percent": 100}, None),
        ("standard_state", {"concentration": 40, "temperature_c": 0}, 40.0),
        ("gas_hour_valid", {"valid_minutes": 45}, True),
        ("gas_day_valid", {"valid_hours": 19}, False),
        ("short_term_valid", {"valid": 0, "total": 0}, False),
        ("round_half_up", {"value": -0.2465, "places": 3}, -0.247),
        ("round_half_even", {"value": None, "places": 1}, None),
        ("noise_period", {"time": "22:00:00"}, "night"),
    ],
)
def test_calculations_take_what_people_write(calculation: str, given: dict[str, object], expect: object) -> None:
    key = KNOWN[calculation].key
    assert key is not None
    case = Case(id="x", calculation=calculation, given=given, expect={key: expect}, within=1e-9, source="")
    (outcome,) = run([case], KNOWN)
    assert outcome.passed, outcome.message


@pytest.mark.parametrize("area_class", [*range(5), "3"])
def test_boundary_levels_of_every_class_and_period(area_class: object) -> None:
    for period, limits in (("day", (50, 55, 60, 65, 70)), ("night", (40, 45, 50, 55, 55))):
        limit = limits[int(str(area_class))]
        for level, complies in ((limit + 0.4, True), (limit + 0.6, False), (limit + 1, False), (limit, True)):
            given = {"area_class": area_class, "period": period, "leq_db": level}
            expect = {"limit_db": limit, "evaluated_db": float(round(level)), "complies": complies}
            case = Case(id="x", calculation="gb12348_boundary", given=given, expect=expect, within=0.0, source="")
            assert run([case], KNOWN)[0].message == ""


@pytest.mark.parametrize(
    ("calculation", "given", "message"),
    [
        ("gb12348_boundary", {"area_class": 5, "period": "day", "leq_db": 60.0}, "none of 0, 1, 2, 3, 4"),
        ("gb12348_boundary", {"area_class": 1, "period": "noon", "leq_db": 60.0}, "no clause 'noon-level'"),
        ("gb12348_peak", {"area_class": 1, "kind": "rare", "lmax_db": 60.0}, "none of occasional, frequent"),
    ],
)
def test_what_a_standard_does_not_know_is_said(calculation: str, given: dict[str, object], message: str) -> None:
    case = Case(id="x", calculation=calculation, given=given, expect={}, within=0.0, source="")
    assert message in run([case], KNOWN)[0].message


def test_without_packs_the_calculations_of_standards_are_not_there() -> None:
    known = calculations({})
    assert "energy_average" in known
    standards = ("gb12348", "gas_", "qal3", "ta_laerm", "bs4142", "residual", "day_evening_night")
    assert not any(name.startswith(standards) for name in known)


def test_faults_of_a_file_are_told_and_good_cases_kept() -> None:
    text = """
    [[case]]
    id = "good"
    calculation = "ldn"
    expect = { ldn_db = "none" }
    [[case]]
    calculation = "ldn"
    expects = {}
    """
    found, faults = parse_cases(text, "f.toml")
    assert [case.id for case in found] == ["good"]
    assert found[0].expect == {"ldn_db": None}
    assert {fault.path for fault in faults} == {"case[1].id", "case[1].expect", "case[1].expects"}
    found, faults = parse_cases("[[case", "f.toml")
    assert (found, len(faults)) == ([], 1)


@pytest.mark.parametrize(
    "name",
    [
        "corrections",
        "noise",
        "pack",
        "quality",
        "quantiles",
        "rounding",
        "validated",
        "validity",
        "water",
    ],
)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"collector.verdicts.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_a_calculation_is_there_with_the_rules_it_takes_from_its_pack() -> None:
    packs = rule_packs()
    named = {"gb12348_boundary", "gb12348_peak", "gb12348_background"}
    assert calculations(packs).keys() >= named
    bare = replace(packs["gb12348-2008"], background=None)
    assert calculations({**packs, bare.id: bare}).keys() & named == named - {"gb12348_background"}
    assert calculations({}).keys().isdisjoint(named)

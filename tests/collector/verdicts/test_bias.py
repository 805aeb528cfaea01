"""Bias factors of RATAs in the masses of a stack. Masses: tests/conformance/stack.toml, stack-08, stack-09."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.verdicts.points import PointRules
from tests.collector.verdicts.certified import RATA, point
from tests.collector.verdicts.test_derived import STACK, Found, gas, made

EARLY = RATA.replace("2026-03-02", "2020-03-02").replace("2026-03-03", "2020-03-03")
FLOW = EARLY.replace('"SO2"', '"gas_flow"').replace('"ppm"', '"scf/h"') + "factor = 1.05\n"


def with_audits(*parts: str) -> Found:
    rules: PointRules = replace(STACK, assurance=point(*parts, timezone="Asia/Shanghai"))
    return made(rules, *gas())


def test_a_factor_makes_mass_larger_and_nothing_else() -> None:
    plain, found = made(STACK, *gas()), with_audits(EARLY)
    for name in ("SO2_mass_flow", "SO2_mass"):
        value = plain[name, "1h", 0].value
        assert value is not None
        assert found[name, "1h", 0].value == pytest.approx(1.024 * value)
        assert found[name, "24h", 0].inputs["bias"]["SO2"]["factor"] == 1.024
    assert found["SO2_mass", "1h", 0].inputs["derived"]["bias_factor"] == 1.024
    for name in ("SO2", "dry_gas_flow", "O2"):
        assert found[name, "1h", 0] == plain[name, "1h", 0]


def test_mass_has_the_factor_of_its_flow_too() -> None:
    found = with_audits(EARLY, FLOW)
    assert found["SO2_mass", "1h", 0].value == pytest.approx(8.4128 * 1.024 * 1.05, rel=1e-4)
    assert set(found["SO2_mass", "1h", 0].inputs["bias"]) == {"SO2", "gas_flow"}
    assert "bias" not in found["dry_gas_flow", "1h", 0].inputs


def test_an_audit_of_something_else_or_later_changes_nothing() -> None:
    plain = made(STACK, *gas())
    late = EARLY.replace("2020-03", "2199-03")
    assert with_audits(late) == plain
    assert with_audits(EARLY.replace('"SO2"', '"CO2"').replace('"ppm"', '"%"')) == plain

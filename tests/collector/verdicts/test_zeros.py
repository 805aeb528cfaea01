"""A stack that does not say how far its analysers' zero wanders is told what is taken instead."""

from __future__ import annotations

from collector.verdicts.zeros import zero_hint
from tests.collector.verdicts.test_averages import GAS, law


def test_each_concentration_is_told_with_its_default() -> None:
    told = zero_hint(law("stack", GAS, "ultra-low-2015"), ["SO2", "dust", "O2", "CO", "velocity", "made_up"])
    assert ": CO 0 (no limit) mg/m3, SO2 -0.875 mg/m3, dust -0.25 mg/m3; " in told
    assert "2.5%" in told
    assert "O2" not in told.replace("SO2", "")


def test_nothing_is_told_where_nothing_is_left_open() -> None:
    assert zero_hint(law("stack", {**GAS, "zero_noise": 0.5}, "ultra-low-2015"), ["SO2"]) == ""
    assert zero_hint(law("stack", {**GAS, "zero_noise": 0.0}, "ultra-low-2015"), ["SO2"]) == ""
    assert zero_hint(law("stack", GAS, "ultra-low-2015"), ["O2", "temperature"]) == ""
    assert zero_hint(law("water", {"class": "1A"}, "gb18918-2002"), ["COD"]) == ""

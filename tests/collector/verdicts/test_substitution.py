"""Substitution: tiers by capture and gap, what they look back on, and that a substitute says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.substitution import (
    Substitution,
    Tier,
    capture_percent,
    capture_percent_by,
    fill,
    substitute,
)
from gateway.document import Fault
from tests.collector.verdicts.test_pack_file import GOOD
from tests.effort import examples

NAN = math.nan


def of(pack: str) -> Substitution:
    found = rule_packs()[pack].substitution
    assert found is not None
    return found


GAS, WATER = of("hj75-2017"), of("hj356-2019")
HOURS = st.lists(st.floats(0.0, 1000.0) | st.just(NAN), max_size=60)


@pytest.mark.parametrize(
    ("capture", "gap", "hours"),
    [
        (100.0, 1, 180), (90.0, 24, 180), (90.0, 25, 720), (100.0, 2000, 720), (89.99, 1, 2160), (75.0, 500, 2160),
        (74.99, 1, None), (0.0, 1, None), (NAN, 1, None), (95.0, 0, None), (95.0, -3, None), (95.0, NAN, None),
        (95.0, math.inf, None),
    ],
)  # fmt: skip
def test_the_tiers_of_hj_75(capture: float, gap: float, hours: int | None) -> None:
    lookback = np.concatenate((np.full(1000, 9.0), np.full(1500, 7.0), np.full(600, 5.0), np.full(180, 3.0)))
    found = substitute(GAS, lookback, capture, gap)
    assert found.window_hours == hours
    assert found.substituted == (hours is not None)
    if hours is None:
        assert math.isnan(found.value)
    else:
        assert (found.value, found.taken) == ({180: 3.0, 720: 5.0, 2160: 7.0}[hours], hours)


def test_only_valid_hours_are_looked_back_on() -> None:
    found = substitute(GAS, [8.0, *[NAN] * 300, 5.0, 6.0, math.inf], 95.0, 3)
    assert (found.value, found.taken) == (8.0, 3)
    nothing = substitute(GAS, [NAN] * 5, 95.0, 3)
    assert (nothing.substituted, nothing.taken, nothing.window_hours) == (False, 0, 180)
    assert math.isnan(nothing.value)


def test_water_looks_back_as_long_as_the_gap_is() -> None:
    cod = substitute(WATER, [90.0, 10.0, 20.0, 60.0], 80.0, 3, "COD")
    assert (cod.value, cod.window_hours, cod.statistic) == (30.0, 3, "mean")
    ph = substitute(WATER, [2.0, 7.0, 7.1, 9.9], 80.0, 3, "pH")
    assert (ph.value, ph.statistic) == (7.1, "median")


def test_a_mean_too_large_is_no_value() -> None:
    assert not substitute(WATER, [1.7e308, 1.7e308], 95.0, 2).substituted


def test_capture_counts_the_hours_in_which_the_plant_ran() -> None:
    values = [1.0, NAN, 2.0, NAN, 3.0]
    assert capture_percent(values) == 60.0
    assert capture_percent(values, [True, False, True, True, True]) == 75.0
    assert math.isnan(capture_percent(values, False))
    assert math.isnan(capture_percent([]))


def test_each_quarter_is_captured_for_itself() -> None:
    quarter = np.array([0, 0, 1, 1, 1, 3])
    found = capture_percent_by([1.0, NAN, 2.0, 2.0, NAN, 9.0], [True] * 4 + [False, True], quarter, 4)
    assert found[[0, 1, 3]].tolist() == [50.0, 100.0, 100.0]
    assert math.isnan(found[2])


def test_gaps_are_filled_and_say_so() -> None:
    values = [4.0, 6.0, 5.0, NAN, NAN, 2.0, NAN]
    found = fill(GAS, values, 95.0)
    assert found.value.tolist() == [4.0, 6.0, 5.0, 6.0, 6.0, 2.0, 6.0]
    assert found.substituted.tolist() == [False, False, False, True, True, False, True]
    assert found.window_hours.tolist() == [0, 0, 0, 180, 180, 0, 180]


def test_hours_without_the_plant_are_no_gap_and_not_looked_back_on() -> None:
    values, running = [4.0, 99.0, NAN, NAN, 1.0], [True, False, False, True, True]
    found = fill(GAS, values, 95.0, running=running)
    assert found.substituted.tolist() == [False, False, False, True, False]
    assert found.value[3] == 4.0
    assert math.isnan(found.value[2])


def test_out_of_control_hours_look_back_from_the_last_calibration() -> None:
    values = [4.0, 9.0, NAN, 3.0, NAN]
    found = fill(GAS, values, 95.0, good_before=[0, 0, 1, 0, 99])
    assert found.value[[2, 4]].tolist() == [4.0, 9.0]  # no hour after the gap's beginning counts
    assert not fill(GAS, values, 95.0, good_before=[-5] * 5).substituted.any()


def test_a_gap_over_the_end_of_a_quarter_has_the_tier_of_each() -> None:
    values = [*[1.0] * 800, *[2.0] * 300, *[NAN] * 4]
    found = fill(GAS, values, [95.0] * 1101 + [80.0, 70.0, NAN])
    assert found.window_hours[-4:].tolist() == [180, 2160, 0, 0]
    assert np.isnan(found.value[-2:]).all()
    assert found.substituted[-4:].tolist() == [True, True, False, False]


def test_the_length_of_a_gap_counts_in_a_row() -> None:
    for gap, hours in ((24, 180), (25, 720)):
        found = fill(GAS, [7.0, *[NAN] * gap, 1.0], 95.0)
        assert set(found.window_hours[1:-1].tolist()) == {hours}


@settings(max_examples=examples(200))
@given(HOURS, st.floats() | st.floats(0.0, 100.0))
def test_what_was_measured_stays_and_what_was_filled_was_measured(values: list[float], capture: float) -> None:
    found = fill(GAS, values, capture)
    array = np.array(values, np.float64)
    measured = ~np.isnan(array)
    assert (found.value[measured] == array[measured]).all()
    assert not (found.substituted & measured).any()
    assert (np.isnan(found.value) == ~(measured | found.substituted)).all()
    assert set(found.value[found.substituted]) <= set(array[measured])
    assert ((found.window_hours > 0) == found.substituted).all()


@settings(max_examples=examples(200))
@given(st.lists(st.floats(), max_size=30), st.floats(), st.floats())
def test_no_number_is_refused(values: list[float], capture: float, gap: float) -> None:
    for rule in (GAS, WATER):
        found = substitute(rule, values, capture, gap)
        assert found.substituted == math.isfinite(found.value)
        assert np.isfinite(fill(rule, values, capture).value[fill(rule, values, capture).substituted]).all()


@settings(max_examples=examples(100))
@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60), st.floats(75.0, 100.0), st.integers(1, 60))
def test_a_substitute_for_mass_is_never_below_what_it_looks_back_on(
    values: list[float], capture: float, gap: int
) -> None:
    found = substitute(GAS, values, capture, gap)
    assert found.value == max(values[-180:])


# --- in a pack ------------------------------------------------------------------------------------------

PACK = (
    GOOD
    + """
[substitution]
cite = "toy 7"
verified = false
tier = [
    { capture_from = 90, gap_upto = 24, hours = 10, statistic = "maximum" },
    { capture_from = 90, gap_above = 24, hours = "gap", statistic = "mean" },
]

[[substitution.example]]
capture = 90
gap = 24
hours = 10
source = "toy"

[[substitution.example]]
capture = 99
gap = 30
hours = 30
source = "toy"

[[substitution.example]]
capture = 89
gap = 30
hours = "none"
source = "toy"
"""
)


def parse(text: str) -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(text, "toy.toml")


def test_a_pack_may_say_what_stands_for_a_gap() -> None:
    pack, faults = parse(PACK)
    assert faults == []
    assert pack is not None
    assert pack.substitution is not None
    assert pack.substitution.tiers == (
        Tier(statistic="maximum", hours=10, capture_from=90.0, gap_upto=24.0),
        Tier(statistic="mean", hours=None, capture_from=90.0, gap_above=24.0),
    )
    assert (pack.substitution.cite, pack.substitution.verified) == ("toy 7", False)
    silent, _ = parse(GOOD)
    assert silent is not None
    assert silent.substitution is None


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('cite = "toy 7"\n', "", "substitution.cite", "missing"),
        ("hours = 10,", "hours = 0,", "substitution.tier[0].hours", "outside"),
        ('"mean" }', '"mode" }', "substitution.tier[1].statistic", "not known"),
        ("gap_above = 24,", "gap_above = 23,", "substitution.tier[1]", "holds for the same gaps"),
        ("capture_from = 90, gap_above = 24,", "", "substitution.tier[1]", "holds for the same gaps"),
        ("hours = 10\n", "hours = 11\n", "substitution.example[0].hours", "by the tiers it is 10"),
        ('hours = "none"', "hours = 5", "substitution.example[2].hours", "by the tiers it is none"),
        ("gap = 24\nhours = 10", "gap = 25\nhours = 25", "substitution.tier[0]", "no example shows it"),
        ("capture_from = 90,", "capture_form = 90,", "substitution.tier[0].capture_form", "unknown key"),
        (
            'gap = 30\nhours = 30\nsource = "toy"\n',
            "gap = 30\nhours = 30\n",
            "substitution.example[1].source",
            "missing",
        ),
    ],
)
def test_what_is_wrong_with_a_substitution_is_told(old: str, new: str, path: str, message: str) -> None:
    assert PACK.count(old) >= 1
    _, faults = parse(PACK.replace(old, new, 1))
    assert any(fault.path == path and message in fault.message for fault in faults), faults


def test_a_substitution_without_tiers_is_a_fault() -> None:
    _, faults = parse(GOOD + '[substitution]\ncite = "toy"\nverified = true\n')
    assert [(fault.path, fault.message) for fault in faults] == [("substitution.tier", "missing")]


def test_tiers_of_other_parameters_do_not_overlap() -> None:
    extra = '    { hours = 5, statistic = "median", parameters = ["pH"] },\n]'
    shown = '[[substitution.example]]\ncapture = 1\ngap = 1\nparameter = "pH"\nhours = 5\nsource = "toy"\n'
    _, faults = parse(PACK.replace('statistic = "mean" },\n]', f'statistic = "mean" }},\n{extra}') + shown)
    assert faults == []
    twice = extra.replace("]", ', "COD"]', 1)
    _, faults = parse(PACK.replace('statistic = "mean" },\n]', f'statistic = "mean" }},\n{extra[:-1]}{twice}') + shown)
    assert [fault.path for fault in faults if "same gaps" in fault.message] == ["substitution.tier[3]"]

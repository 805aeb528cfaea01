from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import water
from tests.effort import examples

NAN = float("nan")
PAIRS = st.lists(st.tuples(st.floats(0.0, 500.0), st.floats(0.001, 100.0)), min_size=1, max_size=30)


@settings(max_examples=examples(100))
@given(PAIRS)
def test_a_weighted_mean_gives_back_the_mass(pairs: list[tuple[float, float]]) -> None:
    concentration, flow = np.array(pairs).T
    mean = water.flow_weighted_mean(concentration, flow)
    assert concentration.min() - 1e-9 <= mean <= concentration.max() + 1e-9
    mass = water.water_mass(concentration, flow, 60.0).sum()
    assert float(water.water_mass(mean, flow.sum(), 60.0)) == pytest.approx(mass)


@settings(max_examples=examples(100))
@given(st.lists(st.one_of(st.floats(0.0, 14.0), st.just(NAN)), max_size=30), st.integers(1, 4))
def test_groups_have_the_median_of_their_members(values: list[float], groups: int) -> None:
    array, group = np.array(values, np.float64), np.arange(len(values)) % groups
    found = water.median_by(array, group, groups)
    for number in range(groups):
        members = array[(group == number) & ~np.isnan(array)]
        assert found[number] == pytest.approx(np.median(members) if members.size else NAN, nan_ok=True)


def test_water_that_did_not_flow_weighs_nothing() -> None:
    assert water.flow_weighted_mean([40.0, 100.0], [30.0, 0.0]) == 40.0
    assert water.flow_weighted_mean([40.0, 100.0, NAN], [30.0, NAN, 5.0]) == 40.0
    assert math.isnan(water.flow_weighted_mean([40.0], [0.0]))
    assert math.isnan(water.flow_weighted_mean([], []))
    by = water.flow_weighted_mean_by([40.0, 100.0, 7.0], [30.0, 10.0, 1.0], np.array([0, 0, 2]), 3)
    assert by[[0, 2]].tolist() == [55.0, 7.0]
    assert math.isnan(by[1])


def test_ph_is_represented_by_its_median() -> None:
    assert water.median_ph([6.9, 8.1, NAN, 7.0]) == 7.0
    assert math.isnan(water.median_ph([]))


def test_volume_and_mass_of_the_standards_example() -> None:
    assert water.water_volume(17.5, [600, 3600, 86400]).tolist() == [10.5, 63.0, 1512.0]
    assert water.water_mass(40.1, 17.5, [600, 3600, 86400]).round(2).tolist() == [0.42, 2.53, 60.63]

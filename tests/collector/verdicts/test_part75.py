from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import part75
from collector.verdicts.part75 import EQUATIONS, capped_diluent, hour_total, part75_equation, rounded_away
from collector.verdicts.rounding import round_half_up
from tests.effort import examples

NAN, INF = float("nan"), float("inf")
# What each equation may be asked with, and what it gives then, worked by hand from the formula.
WORKED = {
    "F-1": ({"so2_ppm": 350, "flow_scfh": 25e6}, 1452.5),
    "F-2": ({"so2_ppm": 400, "flow_scfh": 25e6, "h2o_percent": 8}, 1527.2),
    "19-1": ({"nox_ppm": 150, "fd": 9780, "o2_percent": 6}, 0.246),
    "F-5": ({"nox_ppm": 150, "fd": 9780, "o2_percent": 6}, 0.246),
    "19-2": ({"nox_ppm": 100, "fw": 10610, "o2_percent": 7}, 0.199),  # 0.126683 * 20.9 / 13.3357 = 0.19854
    "19-3": ({"nox_ppm": 150, "fd": 9780, "o2_percent": 6, "h2o_percent": 8}, 0.277),
    "19-4": ({"nox_ppm": 138, "fd": 9780, "o2_percent": 6, "h2o_percent": 8}, 0.246),  # 138 wet is 150 dry
    "19-5": ({"nox_ppm": 150, "fd": 9780, "o2_percent": 5.5, "h2o_percent": 8}, 0.245),
    "19-6": ({"nox_ppm": 120, "fc": 1800, "co2_percent": 10.5}, 0.246),
    "19-7": ({"nox_ppm": 120, "fc": 1800, "co2_percent": 10.5}, 0.246),
    "F-6": ({"nox_ppm": 120, "fc": 1800, "co2_percent": 10.5}, 0.246),
    "19-8": ({"nox_ppm": 108, "fc": 1800, "co2_percent": 10.5, "h2o_percent": 10}, 0.246),  # 108 wet is 120 dry
    "19-9": ({"nox_ppm": 120, "fc": 1800, "co2_percent": 9.45, "h2o_percent": 10}, 0.246),  # 10.5 dry is 9.45 wet
    "F-11": ({"co2_percent": 10.5, "flow_scfh": 25e6}, 149.6),
    "F-14A": ({"o2_percent": 6, "fc": 1800, "fd": 9780}, 13.1),  # 18.405 * 14.9 / 20.9
    "F-14B": ({"o2_percent": 6, "h2o_percent": 10, "fc": 1800, "fd": 9780}, 11.3),  # 0.88062 * 12.81
    "F-15": ({"co2_percent": 10.5, "flow_scfh": 25e6, "fc": 1800}, 1458.3),
    "F-16": ({"co2_percent": 10.5, "flow_scfh": 25e6, "fc": 1800, "h2o_percent": 8}, 1341.7),
    "F-17": ({"o2_percent": 6, "flow_scfh": 25e6, "fd": 9780, "h2o_percent": 10}, 1566.8),  # 2556.24 * 12.81 / 20.9
    "F-18": ({"o2_percent": 6, "flow_scfh": 25e6, "fd": 9780, "h2o_percent": 10}, 1640.2),  # 2300.61 * 14.9 / 20.9
    "F-24A": ({"nox_lb_mmbtu": 0.246, "heat_input_mmbtu_h": 1458.3}, 358.7),
    "F-31": ({"o2_dry_percent": 6.5, "o2_wet_percent": 5.9}, 9.2),
}  # fmt: skip
NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, 20.9, 21.0, 100.0, -1.0, NAN, INF]))


@pytest.mark.parametrize("name", EQUATIONS)
def test_every_equation_gives_what_was_worked_by_hand(name: str) -> None:
    given, want = WORKED[name]
    assert float(part75_equation(name, **given)) == want


@settings(max_examples=examples(100))
@given(st.sampled_from(sorted(EQUATIONS)), st.data())
def test_any_numbers_give_a_result_or_none_never_a_negative_one(name: str, data: st.DataObject) -> None:
    found = float(part75_equation(name, **{need: data.draw(NUMBERS) for need in EQUATIONS[name].needs}))
    assert np.isnan(found) or 0.0 <= found < INF


@pytest.mark.parametrize("o2", [20.9, 21.0, 25.0])
def test_air_is_no_flue_gas(o2: float) -> None:
    for name in ("19-1", "19-3", "19-4", "19-5"):
        given = {"nox_ppm": 150, "fd": 9780, "o2_percent": o2}
        moist = {} if name == "19-1" else {"h2o_percent": 8}
        assert np.isnan(part75_equation(name, **given, **moist))
    assert float(part75_equation("F-14A", o2_percent=o2, fc=1800, fd=9780)) == 0.0  # and none of it is CO2
    assert np.isnan(part75_equation("F-31", o2_dry_percent=o2, o2_wet_percent=o2 + 0.5))


def test_a_year_of_hours_is_computed_at_once() -> None:
    oxygen = np.linspace(2.0, 22.0, 8760)
    found = part75_equation("19-1", nox_ppm=150, fd=9780, o2_percent=oxygen)
    assert found.shape == oxygen.shape
    assert np.array_equal(np.isnan(found), oxygen >= 20.9)
    assert (np.diff(found[oxygen < 20.9]) >= 0.0).all()  # thinner gas stands for more


def test_moist_air_of_its_own_may_be_given() -> None:
    given = {"nox_ppm": 100, "fw": 10610, "o2_percent": 7}
    assert float(part75_equation("19-2", **given, bwa=0.027)) == WORKED["19-2"][1]
    assert float(part75_equation("19-2", **given, bwa=0.3)) > WORKED["19-2"][1]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("19-99", {}, "no equation '19-99'; there are: F-1,"),
        ("F-1", {"so2_ppm": 1}, r"missing \['flow_scfh'\]"),
        ("F-1", {"so2_ppm": 1, "flow_scfh": 1, "fd": 1}, r"too many \['fd'\]"),
    ],
)
def test_a_mistake_of_the_caller_is_told(name: str, given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part75_equation(name, **given)


@settings(max_examples=examples(200))
@given(st.integers(-(10**9), 10**9), st.integers(0, 6), st.integers(0, 6))
def test_decimals_are_rounded_as_decimals(digits: int, written: int, places: int) -> None:
    value = digits / 10**written
    assert float(rounded_away(value, places)) == float(round_half_up(value, places))


def test_products_that_miss_a_half_by_a_bit_are_halves() -> None:
    assert rounded_away([0.15 * 3, 1.005 * 100 / 100, -(0.15 * 3)], 1).tolist() == [0.5, 1.0, -0.5]
    assert rounded_away([499.5, 500.0, 1500.0, 1499.0], -3).tolist() == [0.0, 1000.0, 2000.0, 1000.0]


def test_what_cannot_be_rounded_stays() -> None:
    found = rounded_away([NAN, INF, -INF, 1e300, 2.0**60], 3)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [INF, -INF, 1e300, 2.0**60]


def test_an_hour_in_part_counts_in_part() -> None:
    assert hour_total(100.0, [0.0, 0.5, 1.0]).tolist() == [0.0, 50.0, 100.0]
    assert np.isnan(hour_total(100.0, [-0.1, 1.1, NAN])).all()


def test_lean_gas_is_counted_as_the_cap() -> None:
    co2, o2 = capped_diluent([4.0, 8.0, NAN], [16.0, 9.0, NAN], least_co2=5.0, most_o2=14.0)
    assert (co2[:2].tolist(), o2[:2].tolist()) == ([5.0, 8.0], [14.0, 9.0])
    assert np.isnan([co2[2], o2[2]]).all()


def test_the_examples_in_docstrings_are_true() -> None:
    found = doctest.testmod(part75)
    assert (found.attempted > 0, found.failed) == (True, 0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts import corrections
from collector.verdicts.corrections import StackSettings, convert, stack_settings
from tests.effort import examples

NAN = float("nan")
CELSIUS = st.floats(-40.0, 400.0)
PASCAL = st.floats(-5_000.0, 5_000.0)
OXYGEN = st.floats(0.0, 20.0)


@settings(max_examples=examples(100))
@given(CELSIUS, PASCAL, st.floats(0.0, 60.0), st.floats(0.1, 500.0))
def test_mass_is_the_same_counted_wet_or_dry_actual_or_standard(
    temperature: float, static: float, moisture: float, concentration: float
) -> None:
    flow = corrections.stack_flow(12.0, 10.0, temperature, 100_800.0, static, moisture / 100.0)
    standard = corrections.standard_state(concentration, temperature, 100_800.0, static)
    dry = corrections.dry_basis(standard, moisture)
    there = corrections.mass_rate(dry, flow.standard_dry_m3_h)
    assert float(there) == pytest.approx(float(corrections.mass_rate(concentration, flow.actual_m3_h)))


@settings(max_examples=examples(100))
@given(OXYGEN, st.floats(0.0, 20.0), st.floats(0.1, 500.0))
def test_conversion_there_and_back_is_nothing(oxygen: float, reference: float, concentration: float) -> None:
    there = corrections.reference_oxygen(concentration, oxygen, reference)
    assert float(corrections.reference_oxygen(there, reference, oxygen)) == pytest.approx(concentration)
    assert float(corrections.reference_oxygen(concentration, oxygen, oxygen)) == pytest.approx(concentration)


def test_air_has_no_converted_value_and_no_exception() -> None:
    found = corrections.reference_oxygen([60.0, 60.0, 60.0, 60.0, NAN], [20.9, 21.0, 21.3, NAN, 8.0], 11.0)
    assert found[0] == pytest.approx(6000.0)
    assert np.isnan(found[1:]).all()
    assert np.isnan(corrections.reference_oxygen(60.0, 8.0, 21.0))


def test_no_reference_is_no_conversion() -> None:
    assert corrections.reference_oxygen([60.0, 30.0], [21.3, NAN], None).tolist() == [60.0, 30.0]


def test_impossible_gas_has_no_value() -> None:
    assert np.isnan(corrections.dry_basis(50.0, [100.0, 120.0, -1.0])).all()
    assert np.isnan(corrections.standard_state(40.0, -273.0))
    assert np.isnan(corrections.standard_state(40.0, 20.0, 0.0))
    assert np.isnan(corrections.stack_flow(1.0, 1.0, 20.0, moisture_fraction=1.0).standard_dry_m3_h)


def test_a_column_of_polls_is_converted_at_once() -> None:
    stack = StackSettings(
        reference_oxygen=6.0, basis="wet", oxygen_basis="dry", state="actual", barometric_pa=100_800.0
    )
    value = np.array([40.0, 40.0, NAN])
    found = convert(
        value, stack, oxygen_percent=[8.0, 21.0, 8.0], temperature_c=120.0, static_pa=-500.0, moisture_percent=8.0
    )
    assert found.steps == ("standard_state", "dry_basis", "reference_oxygen")
    assert found.standard_dry[0] == pytest.approx(58.170872 / 0.92)
    assert found.converted[0] == pytest.approx(58.170872 / 0.92 * 15.0 / 13.0)
    assert np.isnan(found.converted[1:]).all()
    assert found.standard_dry[1] == found.standard_dry[0]  # mass needs no oxygen


def test_what_is_not_needed_may_be_missing() -> None:
    found = convert([40.0], StackSettings())
    assert (found.standard_dry.tolist(), found.converted.tolist(), found.steps) == ([40.0], [40.0], ())
    found = convert(40.0, StackSettings(state="actual"), temperature_c=NAN)
    assert np.isnan(found.converted)


def test_wet_oxygen_is_brought_to_dry_gas_before_it_converts() -> None:
    found = convert(
        45.0, StackSettings(reference_oxygen=6.0, oxygen_basis="wet"), oxygen_percent=7.36, moisture_percent=8.0
    )
    assert float(found.oxygen_dry) == pytest.approx(8.0)
    assert float(found.converted) == pytest.approx(51.923077)


def test_settings_of_a_point_fill_in_what_is_silent() -> None:
    assert stack_settings({}) == StackSettings()
    assert stack_settings({"basis": "wet", "state": "actual", "area_m2": 9.6}) == StackSettings(
        basis="wet", oxygen_basis="wet", state="actual", area_m2=9.6
    )


@settings(max_examples=examples(100))
@given(OXYGEN, st.floats(0.0, 20.0), st.floats(0.1, 500.0))
def test_the_exception_never_lowers_a_value(oxygen: float, reference: float, concentration: float) -> None:
    found = float(corrections.reference_oxygen_above(concentration, oxygen, reference))
    usual = float(corrections.reference_oxygen(concentration, oxygen, reference))
    assert found == pytest.approx(max(usual, concentration))


def test_the_exception_is_for_points_that_have_it() -> None:
    stack = StackSettings(reference_oxygen=6.0)
    assert float(convert(150.0, stack, oxygen_percent=4.0).converted) == pytest.approx(132.35, abs=0.005)
    stack = stack_settings({"reference_oxygen": 6.0, "oxygen_exception": True})
    assert float(convert(150.0, stack, oxygen_percent=4.0).converted) == 150.0
    found = corrections.reference_oxygen_above([150.0, 150.0], [NAN, 21.0], 6.0)
    assert np.isnan(found).all()
    assert np.isnan(corrections.reference_oxygen_above(150.0, 4.0, 21.0))  # no such reference
    assert corrections.reference_oxygen_above([150.0], [4.0], None).tolist() == [150.0]

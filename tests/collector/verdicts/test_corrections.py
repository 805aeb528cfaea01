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


def test_us_texts_count_air_as_20_9() -> None:
    stack = stack_settings({"reference_oxygen": 6.0, "air_oxygen": 20.9})
    assert float(convert(45.0, stack, oxygen_percent=8.0).converted) == pytest.approx(45.0 * 14.9 / 12.9)
    assert np.isnan(corrections.reference_oxygen(45.0, [20.9, 20.95], 6.0, 20.9)).all()
    assert float(corrections.reference_oxygen_above(45.0, 8.0, 6.0, 20.9)) == pytest.approx(45.0 * 14.9 / 12.9)


@pytest.mark.parametrize("more", [{}, {"oxygen_exception": True}])
def test_near_the_oxygen_of_air_nothing_is_converted(more: dict[str, object]) -> None:
    stack = stack_settings({"reference_oxygen": 6.0, **more})
    found = convert(30.0, stack, oxygen_percent=[8.0, 20.0, 20.01, 20.5, 21.0, -3.0, NAN])
    assert np.isfinite(found.converted).tolist() == [True, True, False, False, False, False, False]
    assert found.diluted[:6].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    assert np.isnan(found.diluted[6])
    assert (found.standard_dry == 30.0).all()  # mass is let out all the same
    own = stack_settings({"reference_oxygen": 6.0, "oxygen_max": 14.0})
    assert np.isnan(convert(30.0, own, oxygen_percent=14.5).converted)
    none = stack_settings({"reference_oxygen": 6.0, "oxygen_max": 0.0})
    assert np.isnan(convert(30.0, none, oxygen_percent=0.1).converted)
    assert not convert(30.0, StackSettings(), oxygen_percent=20.9).diluted.any()


@settings(max_examples=examples(100))
@given(
    st.floats(-5.0, 25.0),
    st.floats(0.0, 20.9),
    st.floats(0.0, 1000.0),
    st.sampled_from([21.0, 20.9]),
    st.floats(0.0, 21.0),
)
def test_a_conversion_is_right_or_none(
    oxygen: float, reference: float, concentration: float, air: float, most: float
) -> None:
    stack = StackSettings(reference_oxygen=reference, air_oxygen=air, oxygen_max=most)
    found = float(convert(concentration, stack, oxygen_percent=oxygen).converted)
    if 0.0 <= oxygen <= most and oxygen < air and reference < air:
        assert found == pytest.approx(concentration * (air - reference) / (air - oxygen))
    else:
        assert np.isnan(found)


# --- more of one thing is more of the other --------------------------------------------------------------

GAS = st.fixed_dictionaries(
    {"oxygen_percent": st.floats(0.0, 19.0), "temperature_c": CELSIUS, "static_pa": PASCAL,
     "moisture_percent": st.floats(0.0, 60.0)}
)  # fmt: skip
STACKS = st.builds(
    StackSettings, reference_oxygen=st.one_of(st.none(), st.floats(0.0, 19.0)), basis=st.sampled_from(["wet", "dry"]),
    state=st.sampled_from(["actual", "standard"]), air_oxygen=st.sampled_from([21.0, 20.9]),
    oxygen_exception=st.booleans(),
)  # fmt: skip


@settings(max_examples=examples(100))
@given(STACKS, GAS, st.floats(0.0, 500.0), st.floats(0.0, 500.0))
def test_more_gas_is_never_less_converted(
    stack: StackSettings, gas: dict[str, float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    found = convert([low, high], stack, **gas)
    for column in (found.standard_dry, found.converted):
        assert column[0] <= column[1]
        assert (column >= 0.0).all()


@settings(max_examples=examples(100))
@given(STACKS, GAS, st.floats(0.1, 500.0), st.floats(0.1, 10.0))
def test_conversion_is_proportional(stack: StackSettings, gas: dict[str, float], value: float, times: float) -> None:
    found = convert([value, value * times], stack, **gas)
    assert found.converted[1] == pytest.approx(times * found.converted[0])
    assert found.standard_dry[1] == pytest.approx(times * found.standard_dry[0])


@settings(max_examples=examples(100))
@given(st.floats(0.0, 19.0), st.floats(0.0, 19.0), st.floats(0.0, 19.0))
def test_more_air_in_the_gas_is_a_larger_factor(reference: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = corrections.reference_oxygen([100.0, 100.0], [low, high], reference)
    assert found[0] <= found[1]
    assert (found[0] < 100.0 - 1e-9) <= (low < reference)


@settings(max_examples=examples(100))
@given(CELSIUS, PASCAL, st.floats(0.0, 99.0), st.floats(0.1, 500.0), st.floats(1.0, 300.0))
def test_each_correction_goes_back(
    temperature: float, static: float, moisture: float, concentration: float, molar_mass: float
) -> None:
    there = float(corrections.standard_state(concentration, temperature, 100_800.0, static))
    ratio = float(corrections.standard_state(1.0, temperature, 100_800.0, static))
    assert there / ratio == pytest.approx(concentration)
    assert float(corrections.dry_basis(concentration, moisture)) * (1.0 - moisture / 100.0) == pytest.approx(
        concentration
    )
    assert float(corrections.ppm_to_mg_m3(concentration, molar_mass)) / molar_mass * 22.4 == pytest.approx(
        concentration
    )
    assert float(corrections.standard_state(concentration, 0.0)) == pytest.approx(concentration)
    assert float(corrections.dry_basis(concentration, 0.0)) == concentration


@settings(max_examples=examples(100))
@given(
    st.lists(
        st.one_of(st.floats(), st.sampled_from([NAN, float("inf"), -float("inf"), 21.0, 0.0])), min_size=5, max_size=5
    )
)
def test_no_number_is_an_exception(values: list[float]) -> None:
    stack = StackSettings(reference_oxygen=6.0, basis="wet", state="actual")
    concentration, oxygen, temperature, static, moisture = values
    found = convert(
        [concentration], stack, oxygen_percent=oxygen, temperature_c=temperature, static_pa=static,
        moisture_percent=moisture,
    )  # fmt: skip
    assert found.converted.shape == (1,)
    flow = corrections.stack_flow(concentration, oxygen, temperature, 101_325.0, static, moisture)
    alone = [
        corrections.reference_oxygen_above(concentration, oxygen, static),
        corrections.mass_rate(concentration, oxygen),
        corrections.ppm_to_mg_m3(concentration, oxygen),
    ]
    for result in (found.converted, found.standard_dry, flow.actual_m3_h, flow.standard_dry_m3_h, *alone):
        assert not np.isinf(result).any()

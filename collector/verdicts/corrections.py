"""From what a stack analyser sees to what the limit is about: standard state, dry gas, reference oxygen.

HJ 212-2017 appendix D gives the order: the concentration as measured is brought to 273 K and
101325 Pa (18), to dry gas (19), and to the oxygen content the limit names (28). Mass is dry standard
concentration times dry standard flow, never the oxygen-converted value (32). 273, not 273.15: the
standard counts so throughout.

Near the oxygen of air the conversion tells of the oxygen monitor and not of the gas: at 20 % an error of 0.2 %
changes the result by a fifth, at 20.5 % the factor to 6 % is 30. Above a setting, `oxygen_max`, there is no
converted value, and how often that was so stands with the average. No text here has a number for it.

Arrays in, arrays out (a number comes back as an array of no dimension); NaN stands for "no value" and is what an
undefined conversion gives. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Setting
from gateway.measurement import Float64
from gateway.settings import Label
from gateway.units import MOLAR_VOLUME

STANDARD_PA = 101_325.0
STANDARD_K = 273.0
AIR_OXYGEN_PERCENT = 21.0
OXYGEN_MAX_PERCENT = 20.0  # our own choice, unverified; kilns whose limits are about 18 % lie below it

_METHOD = "HJ 212-2017 appendix D"
# What is too large for a number comes out as none, and is not warned of.
_QUIET = np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
SETTINGS = (
    Setting(
        name="reference_oxygen", kind="number", low=0.0, high=20.9, cite=_METHOD,
        title=Label("Reference oxygen of the limits [%]; none = no conversion", "基准氧含量 [%]"),
    ),
    Setting(
        name="air_oxygen", kind="choice", choices=(21.0, 20.9), default=AIR_OXYGEN_PERCENT,
        cite="21: HJ 212-2017 appendix D (28), 2010/75/EU Annex VI part 7, 13. and 17. BImSchV; 20.9: 40 CFR 60, 75",
        title=Label("Oxygen of air in the conversion [%]", "折算用空气含氧量 [%]"),
    ),
    Setting(
        name="oxygen_max", kind="number", low=0.0, high=AIR_OXYGEN_PERCENT, default=OXYGEN_MAX_PERCENT,
        cite="own choice, unverified: no text here says from which oxygen content on nothing is converted",
        title=Label("Oxygen content above which nothing is converted [%]", "不再折算的含氧量上限 [%]"),
    ),
    Setting(
        name="basis", kind="choice", choices=("dry", "wet"), default="dry", cite=_METHOD,
        title=Label("Gas in which concentrations are measured", "浓度测量基准（干基、湿基）"),
    ),
    Setting(
        name="oxygen_basis", kind="choice", choices=("dry", "wet"), cite=_METHOD,
        title=Label("Gas in which O2 is measured, where it is not as basis", "含氧量测量基准"),
    ),
    Setting(
        name="state", kind="choice", choices=("standard", "actual"), default="standard", cite=_METHOD,
        title=Label("Volume that concentrations are measured in", "浓度测量状态（标况、工况）"),
    ),
    Setting(
        name="area_m2", kind="number", low=0.001, high=10_000.0, cite=_METHOD,
        title=Label("Cross-section of the stack [m2]", "烟道截面积 [m2]"),
    ),
    Setting(
        name="flow_state", kind="choice", choices=("actual", "standard_dry"), cite=_METHOD,
        title=Label("Gas in which gas_flow is measured, where it is the stack's flow", "流量计测量状态"),
    ),
    Setting(
        name="nox_from", kind="choice", choices=("NOx", "NO+NO2"), default="NOx", cite=_METHOD,
        title=Label("What NOx is: measured as such, or NO as NO2 and NO2 together", "氮氧化物来源"),
    ),
    Setting(
        name="barometric_pa", kind="number", low=50_000.0, high=110_000.0, default=STANDARD_PA, cite=_METHOD,
        title=Label("Air pressure at the stack [Pa]", "大气压 [Pa]"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """How the analysers of a stack measure, and what the limits are about.

    reference_oxygen: oxygen content of the limits, None = no conversion. [%]
    basis, oxygen_basis: "wet" or "dry" gas in concentrations, in O2. state: "actual" or "standard" volume.
    area_m2: cross-section, None = no flow. barometric_pa: air pressure.
    flow_state: "actual" or "standard_dry", the gas in which gas_flow is measured; "" = it is not the flow of the stack.
    oxygen_exception: oxygen is converted only above the reference (a setting of the packs that say so).
    air_oxygen: what air has in the conversion, 21 or 20.9. [%] oxygen_max: nothing is converted above it, dry. [%]
    """

    reference_oxygen: float | None = None
    basis: str = "dry"
    oxygen_basis: str = "dry"
    state: str = "standard"
    area_m2: float | None = None
    barometric_pa: float = STANDARD_PA
    oxygen_exception: bool = False
    air_oxygen: float = AIR_OXYGEN_PERCENT
    oxygen_max: float = OXYGEN_MAX_PERCENT
    flow_state: str = ""


def stack_settings(settings: Mapping[str, Any]) -> StackSettings:
    """The stack part of a point's settings as `limits.read_settings` gives them (checked already)."""
    basis = settings.get("basis") or "dry"
    return StackSettings(
        reference_oxygen=settings.get("reference_oxygen"),
        basis=basis,
        oxygen_basis=settings.get("oxygen_basis") or basis,
        state=settings.get("state") or "standard",
        area_m2=settings.get("area_m2"),
        barometric_pa=settings.get("barometric_pa") or STANDARD_PA,
        oxygen_exception=bool(settings.get("oxygen_exception")),
        air_oxygen=settings.get("air_oxygen") or AIR_OXYGEN_PERCENT,
        oxygen_max=OXYGEN_MAX_PERCENT if settings.get("oxygen_max") is None else settings["oxygen_max"],
        flow_state=settings.get("flow_state") or "",
    )


@_QUIET
def standard_state(
    concentration: npt.ArrayLike,
    temperature_c: npt.ArrayLike,
    barometric_pa: npt.ArrayLike = STANDARD_PA,
    static_pa: npt.ArrayLike = 0.0,
) -> Float64:
    """Concentration at 273 K and 101325 Pa. [mg/m3]

    concentration: in the gas as it is. [mg/m3] temperature_c: of the gas. [degC]
    barometric_pa: air pressure, static_pa: of the gas against it (negative under suction). [Pa]
    Source: HJ 212-2017 appendix D (18).
    >>> round(float(standard_state(40.0, 120.0, 100800.0, -500.0)), 4)
    58.1709
    """
    return _known(_array(concentration) / _volume_ratio(temperature_c, barometric_pa, static_pa))


@_QUIET
def dry_basis(concentration: npt.ArrayLike, moisture_percent: npt.ArrayLike) -> Float64:
    """Concentration in the dry part of a wet gas; NaN for steam alone. [as given]

    moisture_percent: water vapour by volume, 0 to under 100. [%]
    Source: HJ 212-2017 appendix D (19).
    >>> round(float(dry_basis(50.0, 8.0)), 4)
    54.3478
    """
    moisture = _array(moisture_percent)
    dry = np.where((moisture >= 0.0) & (moisture < 100.0), 1.0 - moisture / 100.0, np.nan)
    return _known(_array(concentration) / dry)


@_QUIET
def ppm_to_mg_m3(ppm: npt.ArrayLike, molar_mass_g: npt.ArrayLike) -> Float64:
    """Mass concentration at standard state of a gas given by volume. [mg/m3]

    ppm: parts in a million by volume. [umol/mol] molar_mass_g: 46 for NOx counted as NO2. [g/mol]
    Source: HJ 212-2017 appendix D; 22.4 L/mol.
    >>> round(float(ppm_to_mg_m3(100.0, 46.0)), 4)
    205.3571
    """
    return _known(_array(ppm) * _array(molar_mass_g) / MOLAR_VOLUME)


@_QUIET
def reference_oxygen(
    concentration: npt.ArrayLike,
    oxygen_percent: npt.ArrayLike,
    reference_percent: npt.ArrayLike | None,
    air_percent: float = AIR_OXYGEN_PERCENT,
) -> Float64:
    """Concentration converted to the oxygen content the limit names; NaN from the O2 of air on, and below 0. [mg/m3]

    concentration: dry, standard state. [mg/m3] oxygen_percent: dry, in the same gas. [%]
    reference_percent: None = the limit names none, and nothing is converted. [%] air_percent: 21 or 20.9. [%]
    Source: HJ 212-2017 appendix D (28), with 21; 40 CFR 60 appendix A Method 19, with 20.9.
    >>> round(float(reference_oxygen(45.0, 8.0, 6.0)), 2), round(float(reference_oxygen(45.0, 8.0, 6.0, 20.9)), 2)
    (51.92, 51.98)
    """
    value = _array(concentration)
    if reference_percent is None:
        return value.copy()
    oxygen = _array(oxygen_percent)
    air = air_percent - np.where(oxygen >= 0.0, oxygen, np.nan)
    reference = air_percent - _array(reference_percent)
    # In air there is no flue gas to convert: the text has no value there, and so have we.
    return _known(value * np.where(reference > 0.0, reference, np.nan) / np.where(air > 0.0, air, np.nan))


@_QUIET
def reference_oxygen_above(
    concentration: npt.ArrayLike,
    oxygen_percent: npt.ArrayLike,
    reference_percent: npt.ArrayLike | None,
    air_percent: float = AIR_OXYGEN_PERCENT,
) -> Float64:
    """As reference_oxygen, but where there is no more oxygen than the reference the value stays. [mg/m3]

    For what an abatement device reduces: the conversion would lower it there.
    Source: 13. BImSchV paragraph 19(1) sentence 2; 17. BImSchV paragraph 17(1) sentence 2.
    >>> float(reference_oxygen_above(150.0, 4.0, 6.0)), float(reference_oxygen_above(150.0, 9.0, 6.0))
    (150.0, 187.5)
    """
    converted = reference_oxygen(concentration, oxygen_percent, reference_percent, air_percent)
    if reference_percent is None:
        return converted
    stays = _array(oxygen_percent) <= _array(reference_percent)
    return np.where(stays & ~np.isnan(converted), _array(concentration), converted)


@dataclass(frozen=True, slots=True)
class Flow:
    """Volume flow of a stack, wet at its own temperature and dry at standard state. [m3/h]"""

    actual_m3_h: Float64
    standard_dry_m3_h: Float64


@_QUIET
def stack_flow(
    velocity_m_s: npt.ArrayLike,
    area_m2: npt.ArrayLike,
    temperature_c: npt.ArrayLike,
    barometric_pa: npt.ArrayLike = STANDARD_PA,
    static_pa: npt.ArrayLike = 0.0,
    moisture_fraction: npt.ArrayLike = 0.0,
) -> Flow:
    """Volume flow from the mean velocity in the cross-section. [m3/h]

    velocity_m_s: [m/s] area_m2: [m2] moisture_fraction: water vapour by volume, 0 to 1; others as in standard_state.
    Source: HJ 212-2017 appendix D (30), (31).
    >>> round(float(stack_flow(12.0, 10.0, 110.0, 100800.0, -500.0, 0.08).standard_dry_m3_h))
    280427
    """
    actual = 3600.0 * _array(velocity_m_s) * _array(area_m2)
    dry = 1.0 - _array(moisture_fraction)
    standard = actual * _volume_ratio(temperature_c, barometric_pa, static_pa) * np.where(dry > 0.0, dry, np.nan)
    return Flow(_known(actual), _known(standard))


@_QUIET
def mass_rate(concentration_mg_m3: npt.ArrayLike, flow_m3_h: npt.ArrayLike) -> Float64:
    """Mass let out an hour. [kg/h]

    concentration_mg_m3, flow_m3_h: both dry at standard state; never the oxygen-converted concentration.
    Source: HJ 212-2017 appendix D (32).
    >>> round(float(mass_rate(30.0, 280426.96)), 4)
    8.4128
    """
    return _known(_array(concentration_mg_m3) * _array(flow_m3_h) * 1e-6)


@dataclass(frozen=True, slots=True)
class Converted:
    """A concentration on its way: dry at standard state (for mass), and at reference oxygen (for the limit). [mg/m3]

    oxygen_dry: the oxygen content used. [%] steps: names of the corrections done, in order, for the evidence.
    diluted: 1 where nothing was converted because the gas has more oxygen than `oxygen_max`, else 0; NaN where its
    oxygen is not known.
    """

    standard_dry: Float64
    converted: Float64
    oxygen_dry: Float64
    steps: tuple[str, ...]
    diluted: Float64


@_QUIET
def convert(
    concentration: npt.ArrayLike,
    stack: StackSettings,
    *,
    oxygen_percent: npt.ArrayLike = np.nan,
    temperature_c: npt.ArrayLike = np.nan,
    static_pa: npt.ArrayLike = np.nan,
    moisture_percent: npt.ArrayLike = np.nan,
) -> Converted:
    """All corrections a stack's settings call for, in the order of the standard. [mg/m3]

    concentration and the four gas conditions: shapes as numpy broadcasts them, NaN = not known. What a
    correction needs and is not known makes its result NaN; what is not needed may be NaN. In gas that has more oxygen
    than the stack's `oxygen_max` there is no converted value, only the dry one.
    Source: HJ 212-2017 appendix D (18), (19), (28).
    """
    value, oxygen, steps = _array(concentration), _array(oxygen_percent), list[str]()
    if stack.state == "actual":
        value = standard_state(value, temperature_c, stack.barometric_pa, static_pa)
        steps.append("standard_state")
    if stack.basis == "wet":
        value = dry_basis(value, moisture_percent)
        steps.append("dry_basis")
    if stack.oxygen_basis == "wet":
        oxygen = dry_basis(oxygen, moisture_percent)
    conversion = reference_oxygen_above if stack.oxygen_exception else reference_oxygen
    if stack.reference_oxygen is None:
        return Converted(value, value.copy(), oxygen, tuple(steps), np.zeros(oxygen.shape))
    steps.append("reference_oxygen")
    diluted = np.where(np.isnan(oxygen), np.nan, oxygen > stack.oxygen_max)
    converted = conversion(value, np.where(diluted == 0.0, oxygen, np.nan), stack.reference_oxygen, stack.air_oxygen)
    return Converted(value, converted, oxygen, tuple(steps), diluted)


def _known(value: Float64) -> Float64:
    """A result, NaN where it is no finite number."""
    return np.where(np.isfinite(value), value, np.nan)


def _array(value: npt.ArrayLike) -> Float64:
    return np.asarray(value, np.float64)


def _volume_ratio(temperature_c: npt.ArrayLike, barometric_pa: npt.ArrayLike, static_pa: npt.ArrayLike) -> Float64:
    """Standard volume over actual volume of the same gas; NaN where there can be none. [1]"""
    kelvin = STANDARD_K + _array(temperature_c)
    pressure = _array(barometric_pa) + _array(static_pa)
    ratio = STANDARD_K / np.where(kelvin > 0.0, kelvin, np.nan) * pressure / STANDARD_PA
    return np.where(ratio > 0.0, ratio, np.nan)

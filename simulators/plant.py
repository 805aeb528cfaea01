"""The plant that is not there: what every parameter of every point is worth at any instant.

`values` is a function of a seed, a place and absolute time, and of nothing else. It keeps no state,
so that history and live values, asked for in any order and by several processes, are one continuous
plant. Noise follows day and night, stack gas follows load and oxygen, outfalls follow production.
Rules of this file:

- chance is looked up by the number of the second, slot or day (`simulators.chance`), never drawn;
- a stack is computed as dry gas at standard state and reference oxygen, the way its limits are
  written, and then turned back into what the analyser sees: hot, wet, diluted (`_as_analysed`);
- the scenario of the reference plants stands in LEVELS, EMISSIONS and WATERS: one fence is loud
  every night, one boiler loses its NOx control for about two hours every day, the rest complies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gateway.measurement import SECOND_NS, Float64, Int64
from gateway.settings import Point, Site
from simulators import chance

DAY_S = 86_400
HOUR_S = 3_600
SLOT_S = 240  # at most one loud event in each slot
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point of a plant as far as its values depend on it. settings: those of the point in the site file."""

    plant: str
    point: str
    kind: str
    timezone: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Levels:
    """Noise of a place: usual level by day and by night [dB(A)], loud events in an hour and their level [dB(A)]."""

    day: float
    night: float
    events_per_hour: float
    event: float


@dataclass(frozen=True, slots=True)
class Emissions:
    """Gas of a stack, dry, at standard state and reference oxygen. [mg/m3]

    nox_upset: NOx while its control fails, once a day for about two hours; 0 = it never fails.
    """

    so2: float
    nox: float
    dust: float
    co: float
    nox_upset: float = 0.0


@dataclass(frozen=True, slots=True)
class Waters:
    """Water of an outfall at full production: flow [L/s], COD and NH3-N [mg/L]."""

    flow: float
    cod: float
    nh3n: float


# (plant, point) -> what the scenario has there. The dwellings north of the fence hear the mills all night.
LEVELS = {
    ("riverside", "fence-north"): Levels(56.5, 53.2, 1.2, 69.0),
    ("riverside", "fence-east"): Levels(59.0, 50.5, 0.8, 63.0),
    ("riverside", "fence-south"): Levels(54.0, 47.0, 0.4, 60.0),
    ("harbour", "gate"): Levels(54.5, 44.5, 0.6, 57.0),
}
QUIET = Levels(52.0, 42.5, 0.3, 55.0)
EMISSIONS = {
    ("riverside", "stack-1"): Emissions(19.0, 35.0, 4.6, 75.0, nox_upset=68.0),
    ("riverside", "stack-2"): Emissions(16.0, 33.0, 3.8, 60.0),
}
CLEAN = Emissions(15.0, 30.0, 3.5, 50.0)
WATERS = {
    ("riverside", "outfall-1"): Waters(42.0, 31.0, 2.4),
    ("riverside", "outfall-2"): Waters(110.0, 14.0, 0.8),
    ("harbour", "outfall"): Waters(3.2, 27.0, 1.9),
}
SMALL = Waters(8.0, 20.0, 1.2)


def place(site: Site, point: Point) -> Place:
    """The place of a point of a site file."""
    return Place(
        plant=site.plant.id, point=point.id, kind=point.kind, timezone=site.plant.timezone, settings=point.settings
    )


def values(seed: int, where: Place, parameters: Sequence[str], time_ns: Int64) -> Float64:
    """What k parameters of a place are worth at n instants.

    parameters: codes of gateway/parameters.toml; one that the plant knows nothing about drifts around 10.
    time_ns: shape (n,), in any order. [ns since 1970 UTC]
    Returns shape (n, k), always finite. [unit of each parameter]
    """
    now = _Moments(seed, where, time_ns)
    known = _MODELS[where.kind](now)
    result = np.empty((len(time_ns), len(parameters)))
    for number, parameter in enumerate(parameters):
        result[:, number] = known[parameter] if parameter in known else 10.0 + now.drift(f"other {parameter}", 600.0)
    return result


class _Moments:
    """n instants at one place, and the chance that belongs to them. Results have shape (n,)."""

    def __init__(self, seed: int, where: Place, time_ns: Int64) -> None:
        self.where = where
        self.name = f"{seed}/{where.plant}/{where.point}"
        self.second = time_ns // SECOND_NS
        self.time_s = time_ns / SECOND_NS
        self.local_s = self.time_s + _offset_s(where.timezone, self.second)
        self.hour = self.local_s % DAY_S / HOUR_S
        self.day = np.floor(self.local_s / DAY_S).astype(np.int64)

    def jitter(self, name: str) -> Float64:
        """Independent from second to second, mean 0, deviation 1."""
        return chance.normal(chance.key(f"{self.name}/{name}"), self.second)

    def drift(self, name: str, period_s: float) -> Float64:
        """Slow, between -1 and 1."""
        return chance.drift(chance.key(f"{self.name}/{name}"), self.time_s, period_s)

    def share(self, name: str, counter: Int64) -> Float64:
        """At least 0 and less than 1, one for each day or slot."""
        return chance.uniform(chance.key(f"{self.name}/{name}"), counter)

    def between(self, start_h: float, end_h: float) -> Float64:
        """1 between two local hours, 0 outside, with an hour of change inside at both ends."""
        rise = np.clip(self.hour - start_h, 0.0, 1.0)
        return np.asarray(np.minimum(rise, np.clip(end_h - self.hour, 0.0, 1.0)))


def _offset_s(timezone: str, second: Int64) -> Float64:
    """Local time minus UTC, looked up once for each quarter of an hour of data. [s]"""
    quarters, back = np.unique(second // 900, return_inverse=True)
    zone = ZoneInfo(timezone)
    found = [(EPOCH + timedelta(seconds=int(q) * 900)).astimezone(zone).utcoffset() for q in quarters]
    return np.array([offset.total_seconds() if offset else 0.0 for offset in found])[back]


# --- noise ----------------------------------------------------------------------------------------


def _noise(now: _Moments) -> dict[str, Float64]:
    """LAeq and LAFmax of each second. [dB(A)]"""
    usual = LEVELS.get((now.where.plant, now.where.point), QUIET)
    steady = usual.night + (usual.day - usual.night) * now.between(6.0, 22.0)
    steady += 0.35 * now.drift("weather", DAY_S) + 0.6 * now.drift("mill", 1800.0)
    steady += 0.7 * now.drift("traffic", 45.0) + 0.5 * now.jitter("second")
    event = _event(now, usual)
    leq = 10.0 * np.log10(10.0 ** (steady / 10.0) + 10.0 ** (event / 10.0))
    return {"LAeq": leq, "LAFmax": leq + 1.0 + 0.5 * np.abs(now.jitter("fast"))}


def _event(now: _Moments, usual: Levels) -> Float64:
    """Level of a passing lorry or a steam valve, one in some slots; -100 and less where there is none. [dB(A)]"""
    slot = now.second // SLOT_S
    happens = now.share("event", slot) < usual.events_per_hour * SLOT_S / HOUR_S
    middle_s = 30.0 + (SLOT_S - 60.0) * now.share("event middle", slot)
    width_s = 3.0 + 6.0 * now.share("event width", slot)
    height = usual.event + 3.0 * (2.0 * now.share("event height", slot) - 1.0)
    off = (now.time_s - slot * SLOT_S - middle_s) / width_s
    return np.where(happens, height - 12.0 * np.minimum(off * off, 10.0), -100.0)


# --- stack ----------------------------------------------------------------------------------------


def _stack(now: _Moments) -> dict[str, Float64]:
    """Gas, dust and state of the flue gas, as the instruments of the stack see them."""
    usual = EMISSIONS.get((now.where.plant, now.where.point), CLEAN)
    load = 0.78 + 0.09 * np.sin((now.hour - 13.0) / 24.0 * 2.0 * np.pi) + 0.06 * now.drift("load", 7200.0)
    load += 0.01 * now.drift("grate", 120.0)
    oxygen = 6.1 + 6.0 * (0.85 - load) + 0.25 * now.drift("air", 300.0) + 0.04 * now.jitter("O2")
    nox = usual.nox + 2.5 * now.drift("flame", 1800.0) + 1.5 * now.drift("fuel", 180.0) + 0.7 * now.jitter("NOx")
    nox += max(usual.nox_upset - usual.nox, 0.0) * _upset(now)
    dry = {
        "SO2": usual.so2 * (1.0 + 0.12 * now.drift("coal", 3600.0) + 0.05 * now.drift("spray", 300.0)),
        "NOx": nox,
        "dust": usual.dust * (1.0 + 0.15 * now.drift("ash", 2400.0) + 0.04 * now.jitter("dust")),
        "CO": usual.co * (1.0 + 0.3 * now.drift("burnout", 900.0) + 0.05 * now.jitter("CO")),
        "HCl": 3.0 + 0.6 * now.drift("HCl", 1800.0),
        "NH3": 1.6 + 0.4 * now.drift("NH3", 1800.0),
        "HF": 0.3 + 0.05 * now.drift("HF", 1800.0),
    }
    # NOx counts as NO2; nineteen twentieths of the molecules are NO (30 of 46 in mass).
    dry |= {"NO": nox * 0.95 * 30.0 / 46.0, "NO2": nox * 0.05}
    state = {
        "temperature": 51.0 + 5.0 * (load - 0.78) + 1.2 * now.drift("temperature", 1200.0),
        "pressure": -0.16 + 0.03 * now.drift("draught", 240.0),
        "moisture": 12.4 + 0.8 * now.drift("moisture", 1800.0),
        "velocity": 2.0 + 13.5 * load + 0.25 * now.drift("velocity", 60.0) + 0.05 * now.jitter("velocity"),
    }
    area_m2 = _setting(now.where, "area_m2", 8.0)
    state["gas_flow"] = state["velocity"] * area_m2 * HOUR_S
    return state | _as_analysed(now.where, dry, state, oxygen)


def _upset(now: _Moments) -> Float64:
    """1 while the NOx control fails, 0 otherwise: once each local day, two hours and a bit, ten minutes up and down.

    The whole of it lies inside one date, so that any 48 hours hold at least one, with a full clock hour in it.
    """
    start_h = 0.5 + 20.0 * now.share("upset", now.day)
    length_h = 2.05 + 0.3 * now.share("upset length", now.day)
    before, after = (now.hour - start_h) * 6.0 + 1.0, (start_h + length_h - now.hour) * 6.0 + 1.0
    return np.asarray(np.clip(np.minimum(before, after), 0.0, 1.0))


def _as_analysed(
    where: Place, dry: Mapping[str, Float64], state: Mapping[str, Float64], oxygen: Float64
) -> dict[str, Float64]:
    """Concentrations at reference oxygen, dry and at standard state, turned back into what the analyser reads.

    Source: the inverse of HJ 75-2017 annex C (standard state, dry basis, reference oxygen).
    """
    reference = _setting(where, "reference_oxygen", 6.0)
    factor = (21.0 - oxygen) / (21.0 - reference)
    if where.settings.get("state") == "actual":
        absolute_pa = _setting(where, "barometric_pa", 101_325.0) + 1000.0 * state["pressure"]
        factor = factor * absolute_pa / 101_325.0 * 273.0 / (273.0 + state["temperature"])
    wet = where.settings.get("basis") == "wet"
    share_of_dry = 1.0 - state["moisture"] / 100.0
    oxygen_wet = where.settings.get("oxygen_basis", where.settings.get("basis")) == "wet"
    seen = {name: np.maximum(value, 0.0) * factor * (share_of_dry if wet else 1.0) for name, value in dry.items()}
    seen["O2"] = oxygen * (share_of_dry if oxygen_wet else 1.0)
    seen["CO2"] = (20.9 - oxygen) * 0.9 * (share_of_dry if wet else 1.0)
    return seen


def _setting(where: Place, name: str, default: float) -> float:
    found = where.settings.get(name, default)
    return float(found) if isinstance(found, int | float) else default


# --- water ----------------------------------------------------------------------------------------


def _water(now: _Moments) -> dict[str, Float64]:
    """Flow and load of an outfall: two shifts from 6 to 22, half the production at night and on Sundays."""
    usual = WATERS.get((now.where.plant, now.where.point), SMALL)
    # 1970-01-01 was a Thursday, so Sundays are the days 3, 10, 17, ..
    workday = np.where(now.day % 7 == 3, 0.5, 1.0)
    production = 0.5 + 0.5 * now.between(5.5, 22.5) * workday
    season = np.sin((now.time_s / DAY_S / 365.25 - 0.3) * 2.0 * np.pi)
    flow = usual.flow * production * (1.0 + 0.06 * now.drift("pumps", 1200.0) + 0.01 * now.jitter("flow"))
    load = 0.8 + 0.2 * production + 0.1 * now.drift("load", 5400.0)
    warmth = 6.0 * season + 1.2 * np.sin((now.hour - 10.0) / 12.0 * np.pi) + 0.4 * now.drift("warmth", HOUR_S)
    return {
        "flow": flow,
        "velocity": flow / max(usual.flow, 1e-9) * 1.4,
        "total_volume": usual.flow * 0.7 * (now.time_s - 1_577_836_800.0) / 1000.0,  # since 2020-01-01
        "pH": 7.35 + 0.25 * now.drift("pH", 7200.0) + 0.02 * now.jitter("pH"),
        "COD": usual.cod * load * (1.0 + 0.01 * now.jitter("COD")),
        "NH3-N": usual.nh3n * load * (1.0 + 0.01 * now.jitter("NH3-N")),
        "TN": 8.5 * load,
        "TP": 0.22 * load,
        "SS": 5.0 * load,
        "BOD5": usual.cod * 0.18 * load,
        "water_temperature": 19.0 + warmth,
    }


_MODELS = {"noise": _noise, "stack": _stack, "water": _water}

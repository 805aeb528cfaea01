"""Loads: what a point let out, hour by hour and in sums: gas flow, volume, mass.

Rules of this file:

- mass is the dry concentration at standard state times the dry flow at standard state (HJ 212-2017 appendix D (32)):
  never a value converted to reference oxygen, never a validated one. In water it is concentration times volume;
- everything is made by the hour, of hours that are valid by the rule in force: an hour in which one of its inputs is
  not there has no value, and tells which. Longer windows are sums (or means, of flows) of the hours that have one;
- so a sum with hours missing is too small. Its coverage says by how much of its time, and it is valid where as many
  hours are there as the rule asks of such a window. Nothing is substituted here;
- flow of a stack is velocity times cross-section (`area_m2`), or what a flow meter gives (`flow_state` says in which
  gas); a flow below zero is none. Without these settings a stack has no loads.

Pure. NaN = no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from collector.verdicts import corrections, water
from collector.verdicts.corrections import StackSettings
from collector.verdicts.origin import Origin
from collector.verdicts.screening import Booleans
from collector.verdicts.tables import DIGITS, FLOW, Table
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS, Windows
from gateway.measurement import Float64

HOUR = "1h"
FLOWS = ("velocity", "gas_flow", FLOW)  # none of them is below zero
_CITE = "HJ 212-2017 appendix D"
_CONDITIONS = {"temperature": 1.0, "pressure": 1e3, "moisture": 0.01}  # to degC, Pa and a share


class Source(Protocol):
    """Where tables of measured parameters come from."""

    def windows(self, kind: str) -> Windows:
        """All windows of a kind."""

    def table(self, parameter: str, kind: str) -> Table | None:
        """The table of a parameter; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A quantity by the hour; row i of every column is hour i.

    windows: the hours. rate: NaN = none, shape (n,). [unit of the quantity an hour]
    measured: whether anything was measured of what it is made of first. coverage: share that its inputs cover.
    of, fixed, taken: as in Origin. lacking: by input, in which hours it is not there.
    """

    windows: Windows
    rate: Float64
    measured: Booleans
    coverage: Float64
    of: tuple[str, ...]
    cite: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, Float64] = field(default_factory=dict)
    lacking: Mapping[str, Booleans] = field(default_factory=dict)


def flow_channel(stack: StackSettings) -> str:
    """What the flow of a stack is measured as, by its settings; "" = it has none."""
    return "gas_flow" if stack.flow_state else "velocity" if stack.area_m2 is not None else ""


def dry_gas_flow(stack: StackSettings, source: Source) -> Hours:
    """Flow of a stack, dry at standard state. [m3/h]

    stack: with a `flow_channel`. Source: HJ 212-2017 appendix D (30), (31).
    """
    channel = flow_channel(stack)
    speed = _known(source, channel)
    if stack.flow_state == "standard_dry":
        return _hours(source, speed, {channel: speed}, cite=_CITE, fixed={"flow_state": stack.flow_state})
    conditions = {name: _known(source, name) for name in _CONDITIONS}
    temperature, static, moisture = (conditions[name] * factor for name, factor in _CONDITIONS.items())
    # A flow meter's cubic metres an hour are a velocity through one square metre.
    velocity, area = (speed / 3600.0, 1.0) if stack.area_m2 is None or stack.flow_state else (speed, stack.area_m2)
    flow = corrections.stack_flow(velocity, area, temperature, stack.barometric_pa, static, moisture).standard_dry_m3_h
    told: dict[str, Any] = {"flow_state": stack.flow_state} if stack.flow_state else {"area_m2": area}
    told["barometric_pa"] = stack.barometric_pa
    return _hours(source, flow, {channel: speed, **conditions}, cite=f"{_CITE} (30), (31)", fixed=told)


def gas_mass(stack: StackSettings, source: Source, of: str) -> Hours:
    """Mass of a gas or of dust that a stack lets out. [kg/h]

    of: the concentration, which has hours. stack: with a `flow_channel`. Source: HJ 212-2017 appendix D (32).
    """
    flow, table = dry_gas_flow(stack, source), source.table(of, HOUR)
    assert table is not None, "what has no hours has no loads"
    assert table.standard_dry is not None, "a stack's concentrations are corrected"
    dry = np.where(table.valid, table.standard_dry, np.nan)
    found = _hours(source, corrections.mass_rate(dry, flow.rate), {of: dry}, cite=f"{_CITE} (32)", fixed=flow.fixed)
    return replace(
        found, of=(of, *flow.of), coverage=np.minimum(found.coverage, flow.coverage),
        taken={f"{of}_standard_dry": dry, "dry_gas_flow": flow.rate}, lacking={**found.lacking, **flow.lacking},
    )  # fmt: skip


def water_volume(source: Source) -> Hours:
    """Volume of water let out. [m3/h] Source: HJ 212-2017 appendix D."""
    flow = _known(source, FLOW)
    return _hours(source, water.water_volume(flow, 3600.0), {FLOW: flow}, cite=_CITE)


def water_mass(source: Source, of: str) -> Hours:
    """Mass that waste water carries. [kg/h] of: the concentration. Source: HJ 212-2017 appendix D."""
    volume, carried = water_volume(source), _known(source, of)
    flow = volume.taken[FLOW]
    # Where nothing flows there is no mean concentration by flow, and there is no mass.
    mass = np.where(flow == 0.0, 0.0, water.water_mass(carried, flow, 3600.0))
    found = _hours(source, mass, {of: carried}, cite=_CITE)
    return replace(
        found, of=(of, FLOW), coverage=np.minimum(found.coverage, volume.coverage),
        measured=found.measured & volume.measured, taken={**found.taken, FLOW: flow},
        lacking={of: np.isnan(mass) & ~np.isnan(flow), **volume.lacking},
    )  # fmt: skip


def load_table(how: str, like: Table, hours: Hours, validity: Validity, days: Table | None, *, summed: bool) -> Table:
    """A table of what hours come to.

    how: as in Origin. like: of the main input, of the same kind of window, an hour or longer. validity: of that kind.
    summed: amounts of the whole window, else the mean rate.
    days: of the same quantity, where the rule counts days; None = it counts hours.
    """
    windows, length = like.windows, hours.windows.length_ns
    inside, there = windows.whole(hours.windows), np.isfinite(hours.rate)
    number, measured = inside.number(there), inside.number(hours.measured)
    total = inside.total(np.where(there, hours.rate * (length / HOUR_NS if summed else 1.0), 0.0))
    value = np.where(number > 0, total if summed else total / np.maximum(number, 1), np.nan)
    covered = inside.total(np.where(there, hours.coverage * length, 0.0))
    parts, expected, valid = number.astype(np.float64), inside.count().astype(np.float64), number > 0
    taken: Mapping[str, Float64] = hours.taken
    if windows.kind != HOUR:
        parts, expected = _parts(validity, windows, inside.total(np.where(there, length, 0)), days)
        valid, taken = valid & validity.enough(parts, expected), {"hours": number.astype(np.float64)}
    return replace(
        like, method=how, value=snapped(value), valid=valid, parts=parts, expected=expected, weight=None,
        coverage=np.minimum(covered / windows.length_ns, 1.0), measured=np.where(measured > 0, like.measured, 0),
        maximum=np.full(len(windows), np.nan), percentiles=None, converted=None, standard_dry=None, steps=(),
        conditions={},
        origin=Origin(
            how=how, of=hours.of, cite=hours.cite, verified=True, fixed=hours.fixed,
            taken={name: snapped(column) for name, column in taken.items()},
            lacking={
                name: inside.number(mask & hours.measured).astype(np.float64) for name, mask in hours.lacking.items()
            },
        ),
    )  # fmt: skip


def snapped(column: Float64) -> Float64:
    """A column without the dust of binary arithmetic, as those of tables are."""
    return np.asarray(np.round(column, DIGITS), np.float64)


def _known(source: Source, parameter: str) -> Float64:
    """The hours of a measured parameter, NaN where they are not valid, or a flow goes backwards."""
    table = source.table(parameter, HOUR)
    if table is None:
        return np.full(len(source.windows(HOUR)), np.nan)
    least = 0.0 if parameter in FLOWS else -np.inf
    return np.where(table.valid & (table.value >= least), table.value, np.nan)


def _hours(
    source: Source, rate: Float64, inputs: Mapping[str, Float64], *, cite: str, fixed: Mapping[str, Any] | None = None
) -> Hours:
    """A quantity by the hour, made of inputs by the hour, the first of which says what was measured."""
    windows, table = source.windows(HOUR), source.table(next(iter(inputs)), HOUR)
    nothing = np.zeros(len(windows))
    return Hours(
        # Rounded here, so that a sum is that of the hours as they are shown.
        windows=windows, rate=snapped(rate), measured=(nothing if table is None else table.measured) > 0,
        coverage=nothing if table is None else table.coverage, of=tuple(inputs), cite=cite, fixed=fixed or {},
        taken=inputs, lacking={name: np.isnan(column) for name, column in inputs.items()},
    )  # fmt: skip


def _parts(validity: Validity, windows: Windows, there_ns: Float64, days: Table | None) -> tuple[Float64, Float64]:
    """How many parts of a window there are, and could be, as the rule counts them."""
    if days is not None:
        whole = windows.whole(days.windows)
        return whole.number(days.valid).astype(np.float64), whole.count().astype(np.float64)
    unit = FIXED_NS.get(validity.part, HOUR_NS)
    return np.round(there_ns / unit, 6), windows.length_ns / unit

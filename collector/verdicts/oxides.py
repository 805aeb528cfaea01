"""Nitrogen oxides of two channels: NO, counted as NO2, and NO2 are one signal NOx where a point says so.

Many analysers measure NO, some NO2 beside it; limits are about the sum. Each value of the sum is made of the values of
one interval; where one of the two is missing or bad there is no sum, and it says so with the status of that one.
What was measured stays as it is. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collector.verdicts.screening import Booleans, Signal, usable
from gateway.measurement import Float64, Int64, Status, UInt8
from gateway.parameters import Parameters

NO, NO2, NOX = "NO", "NO2", "NOx"
FROM_BOTH = "NO+NO2"  # the choice of the setting nox_from
CITE = "NO counted as NO2, by molar mass (HJ 212-2017 annex D)"


def summed(settings: Mapping[str, Any], parameters: Parameters, signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """The signals of a point, with NOx made of NO and NO2 where its settings say so; a measured NOx gives way.

    settings: of the point, as `limits.read_settings` gives them.
    """
    found = dict(signals)
    if settings.get("nox_from") != FROM_BOTH:
        return found
    found.pop(NOX, None)
    if NO in signals or NO2 in signals:
        found[NOX] = nitrogen_oxides(signals.get(NO), signals.get(NO2), factor(parameters))
    return found


def factor(parameters: Parameters) -> float:
    """Mass of NO2 that NO comes to. [1]"""
    light, heavy = parameters[NO].molar_mass, parameters[NO2].molar_mass
    assert light is not None, "NO is a gas"
    assert heavy is not None, "NO2 is a gas"
    return heavy / light


def nitrogen_oxides(no: Signal | None, no2: Signal | None, factor: float) -> Signal:
    """The sum of two signals by interval: `factor` of the first and the second. At least one of them is there. [mg/m3]

    Intervals are those of the slower channel, counted from 1970. Source: HJ 212-2017 annex D.
    """
    there = [signal for signal in (no, no2) if signal is not None]
    interval_ns = max(signal.coarsest_ns for signal in there)
    slots = np.unique(np.concatenate([signal.time_ns // interval_ns for signal in there]))
    value, status = np.zeros(len(slots)), np.full(len(slots), Status.OK, np.uint8)
    for signal, times in ((no, factor), (no2, 1.0)):
        mean, worst = _by_slot(signal, slots, interval_ns)
        value += times * mean
        status = np.where(status == Status.OK, worst, status)
    return Signal(
        parameter=NOX, unit=there[0].unit, sensors=tuple(f for s in there for f in s.sensors[:1]) or ("",),
        intervals_ns=(interval_ns,) * len(there), sensor_index=np.zeros(len(slots), np.uint16),
        time_ns=slots * interval_ns, value=value, status=status,
    )  # fmt: skip


def _by_slot(signal: Signal | None, slots: Int64, interval_ns: int) -> tuple[Float64, UInt8]:
    """Mean of the good values of each interval, and its status: that of its last value where none is good."""
    value, status = np.full(len(slots), np.nan), np.full(len(slots), Status.NO_COMM, np.uint8)
    if signal is None:
        return value, status
    place = np.searchsorted(slots, signal.time_ns // interval_ns)
    good: Booleans = usable(signal.value, signal.status)
    status[place] = signal.status  # rows are in the order of time, so the last of an interval stays
    count = np.bincount(place[good], minlength=len(slots))
    total = np.bincount(place[good], signal.value[good], len(slots))
    some = count > 0
    value[some], status[some] = total[some] / count[some], Status.OK
    return value, status

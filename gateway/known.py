"""What a gateway knows of what it measures: which values are doubtful, and how long ago each sensor gave a good one.

When it goes on with other sensors, what it knows of those that stay it keeps. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.harvest import Reading, readings
from gateway.measurement import Series
from gateway.plausible import Plausibility
from gateway.sensors import Sensor
from gateway.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Known:
    """Of some sensors. series: of all their readings, one after the other, as `doubts` and `watchdog` number them."""

    sensors: tuple[Sensor, ...]
    series: tuple[Series, ...]
    doubts: Plausibility
    watchdog: Watchdog

    def with_past(self, before: Known, asked: Sequence[Reading], same: Mapping[int, int]) -> Known:
        """This, and what was known before: ages of every series that was there, doubts of readings that are the same.

        asked: the readings. same: those that are, and as which they were numbered.
        """
        was = {series: row for row, series in enumerate(before.series)}
        rows = np.array([was.get(series, -1) for series in self.series], np.intp)
        alike = np.array([number in same for number, reading in enumerate(asked) for _ in reading.series], np.bool_)
        self.doubts.take_over(before.doubts, np.where(alike, rows, -1))
        named = {sensor.settings.id: number for number, sensor in enumerate(before.sensors)}
        places = np.array([named.get(sensor.settings.id, -1) for sensor in self.sensors], np.intp)
        self.watchdog.take_over(before.watchdog, rows, places)
        return self


def nothing_yet(sensors: Sequence[Sensor], asked: Sequence[Reading], now_ns: int) -> Known:
    """At the start. asked: the readings of the sensors, in the same order. now_ns: monotonic. [ns]"""
    series = tuple(series for reading in asked for series in reading.series)
    checks = [r.sensor.profile.register(name).checks for r in asked for name in r.plan.parameters]
    slowest = [max(reading.interval_ns for reading in readings(sensor)) for sensor in sensors]
    watchdog = Watchdog([len(sensor.series) for sensor in sensors], slowest, now_ns)
    return Known(tuple(sensors), series, Plausibility(checks, [one.point for one in series]), watchdog)

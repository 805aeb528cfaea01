"""What a gateway knows of what it measures: which values are doubtful, and how long ago each sensor gave a good one.

When it goes on with other sensors, what it knows of those that stay it keeps. With thousands of them that takes a
while, so all but the copying can be done beforehand, beside the polling (`outlook`). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.harvest import Reading, readings
from gateway.measurement import Series
from gateway.plans import Index
from gateway.plausible import Plausibility
from gateway.revision import Revision, revise
from gateway.sensors import Sensor
from gateway.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Known:
    """Of some sensors. asked: their readings, in the same order.

    series: of all their readings, one after the other, as `doubts` and `watchdog` number them.
    """

    sensors: tuple[Sensor, ...]
    asked: tuple[Reading, ...]
    series: tuple[Series, ...]
    doubts: Plausibility
    watchdog: Watchdog


@dataclass(frozen=True, slots=True)
class Outlook:
    """Other sensors, before they are polled. known: of them; nothing yet.

    rows, alike, places: as which each series was known before, the same of series whose reading is the same, and as
    which each sensor was; -1 = it was not.
    """

    known: Known
    revision: Revision
    rows: Index
    alike: Index
    places: Index

    def come_true(self, before: Known) -> Known:
        """Known now is what was known before: ages of every series that was there, doubts of readings that stay."""
        self.known.doubts.take_over(before.doubts, self.alike)
        self.known.watchdog.take_over(before.watchdog, self.rows, self.places)
        return self.known


def nothing_yet(sensors: Sequence[Sensor], now_ns: int) -> Known:
    """Of some sensors at the start. now_ns: monotonic. [ns]"""
    read = [readings(sensor) for sensor in sensors]
    asked = tuple(reading for some in read for reading in some)
    series = tuple(series for reading in asked for series in reading.series)
    checks = [r.sensor.profile.register(name).checks for r in asked for name in r.plan.parameters]
    slowest = [max(reading.interval_ns for reading in some) for some in read]
    watchdog = Watchdog([len(sensor.series) for sensor in sensors], slowest, now_ns)
    return Known(tuple(sensors), asked, series, Plausibility(checks, [one.point for one in series]), watchdog)


def outlook(before: Known, sensors: Sequence[Sensor], now_ns: int) -> Outlook:
    """What is to be known of other sensors. now_ns: monotonic. [ns]"""
    found = nothing_yet(sensors, now_ns)
    revision = revise(before.asked, found.asked)
    was = {series: row for row, series in enumerate(before.series)}
    rows = np.array([was.get(series, -1) for series in found.series], np.intp)
    stay = np.array([n in revision.kept for n, reading in enumerate(found.asked) for _ in reading.series], np.bool_)
    named = {sensor.settings.id: number for number, sensor in enumerate(before.sensors)}
    places = np.array([named.get(sensor.settings.id, -1) for sensor in found.sensors], np.intp)
    return Outlook(found, revision, rows, np.where(stay, rows, -1), places)

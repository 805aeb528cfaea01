"""What a gateway knows of what it measures: what its values are worth, and how long ago each sensor gave a good one.

When it goes on with other sensors, what it knows of those that stay it keeps. With thousands of them that takes a
while, so all but the copying can be done beforehand, beside the polling (`outlook`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from gateway.contacts import Contacts
from gateway.counters import Totals
from gateway.harvest import Reading, readings
from gateway.inspection import Inspections, Note, Told
from gateway.measurement import SECOND_NS, Columns, Series
from gateway.plans import Index
from gateway.plausible import Plausibility
from gateway.revision import Revision, revise
from gateway.sensors import Sensor
from gateway.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Known:
    """Of some sensors. asked: their readings, in the same order.

    series: of all their readings, one after the other, as all that goes by rows numbers them.
    """

    sensors: tuple[Sensor, ...]
    asked: tuple[Reading, ...]
    series: tuple[Series, ...]
    doubts: Plausibility
    totals: Totals
    contacts: Contacts
    inspections: Inspections
    watchdog: Watchdog

    def judge(self, start: int, columns: Columns, now_ns: int) -> tuple[Columns, list[Note]]:
        """A table of new values with the statuses that they deserve, and what there is to record of them.

        start: number of its first series. now_ns: monotonic. [ns]
        """
        rows = columns.series_index.astype(np.intp) + start
        laid = self.contacts.lay(rows, columns.time_ns, columns.status)
        status, findings = self.doubts.judge_table(rows, columns.time_ns, columns.value, laid)
        self.watchdog.see(rows, status, now_ns)
        notes: list[Note] = []
        for finding in findings:
            series = self.series[finding.row]
            detail = {"sensor": series.sensor, "parameter": series.parameter, "value": finding.value}
            notes.append(("implausible" if finding.began else "plausible", finding.sentence(series), detail))
        for jump in self.totals.read_table(rows, columns.time_ns, columns.value, columns.status):
            series = self.series[jump.row]
            notes.append((jump.what, jump.sentence(series), jump.figures(series)))
        return replace(columns, status=status) if status is not columns.status else columns, notes

    def state(self, problems: Mapping[str, str], now_ns: int) -> dict[str, Any]:
        """How the sensors are, for the gateway's state. problems: of each, "" = it answers. now_ns: monotonic. [ns]

        links: the problems. good_s: how long ago the last good value of each was. [s] silent: who gave none for some
        intervals, and no reason. inputs: problems of those that cannot be read. sensors: counts.
        """
        ids = [sensor.settings.id for sensor in self.sensors]
        ages_s = (self.watchdog.ages_ns(now_ns) / SECOND_NS).round(1).tolist()
        silent = np.flatnonzero(self.watchdog.silent).tolist()
        answering = sum(not problem for problem in problems.values())
        return {
            "sensors": {
                "all": len(ids), "answering": answering, "silent": len(silent),
                "oldest_good_s": max(ages_s, default=None),
            },
            "links": problems,
            "good_s": dict(zip(ids, ages_s, strict=True)),
            "silent": [ids[number] for number in silent],
            "inputs": {one.name: one.problem for one in self.contacts.sources() if one.problem},
        }  # fmt: skip


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
        self.known.totals.take_over(before.totals, self.alike)
        self.known.contacts.take_over(before.contacts)
        self.known.inspections.take_over(before.inspections)
        self.known.watchdog.take_over(before.watchdog, self.rows, self.places)
        return self.known


def nothing_yet(sensors: Sequence[Sensor], now_ns: int, tick_ns: int = 0, told: Told | None = None) -> Known:
    """Of some sensors at the start. now_ns: monotonic. [ns]

    tick_ns: the same instant by the clock that ticks are of. told: what was recorded of how instruments are set.
    """
    read = [readings(sensor) for sensor in sensors]
    asked = tuple(reading for some in read for reading in some)
    series = tuple(series for reading in asked for series in reading.series)
    checks = [r.sensor.profile.register(name).checks for r in asked for name in r.plan.parameters]
    slowest = [max(reading.interval_ns for reading in some) for some in read]
    return Known(
        tuple(sensors), asked, series, Plausibility(checks, [one.point for one in series]), Totals(checks),
        Contacts(sensors, series, tick_ns), Inspections(sensors, now_ns, told or {}),
        Watchdog([len(sensor.series) for sensor in sensors], slowest, now_ns),
    )  # fmt: skip


def outlook(
    before: Known, sensors: Sequence[Sensor], now_ns: int, tick_ns: int = 0, told: Told | None = None
) -> Outlook:
    """What is to be known of other sensors. The rest as for `nothing_yet`."""
    found = nothing_yet(sensors, now_ns, tick_ns, told)
    revision = revise(before.asked, found.asked)
    was = {series: row for row, series in enumerate(before.series)}
    rows = np.array([was.get(series, -1) for series in found.series], np.intp)
    stay = np.array([n in revision.kept for n, reading in enumerate(found.asked) for _ in reading.series], np.bool_)
    named = {sensor.settings.id: number for number, sensor in enumerate(before.sensors)}
    places = np.array([named.get(sensor.settings.id, -1) for sensor in found.sensors], np.intp)
    return Outlook(found, revision, rows, np.where(stay, rows, -1), places)

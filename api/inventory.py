"""What is watched: plants, their points, the sensors there, and the clauses that hold for each point.

Built once from the site files when the interface starts; what changes from second to second (newest
values, open incidents) is put beside it when somebody asks. A point's state is the worst thing that
can be said of it now: `exceeded` while an incident about a clause is open, else `no_data` where no
sensor has delivered a usable value lately, else `ok`. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from api.times import format_time
from api.views import STATUS_NAMES, Item, names, number
from collector.verdicts.concurrent import night_hours
from collector.verdicts.limits import Clause, read_settings, resolve
from collector.verdicts.pack import RulePack
from collector.verdicts.records import Average
from collector.verdicts.windows import windows
from gateway.measurement import SECOND_NS, Series, Status
from gateway.parameters import Parameters
from gateway.sensors import Sensor
from gateway.settings import Point, Site

# A sensor is silent when this many of its polls brought nothing, and never before MIN_SILENCE_NS: a
# collector that restarts must not turn every point grey.
SILENT_POLLS = 5
MIN_SILENCE_NS = 60 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
# How far back the newest window of a kind is looked for: some of them, so that one late window hides nothing.
LOOK_BACK_NS = {
    "1m": HOUR_NS // 4, "5m": HOUR_NS, "10m": HOUR_NS, "15m": HOUR_NS, "30m": 2 * HOUR_NS, "1h": 4 * HOUR_NS,
}  # fmt: skip
LONG_LOOK_BACK_NS = {"month": 63 * 24 * HOUR_NS, "30d": 33 * 24 * HOUR_NS, "year": 732 * 24 * HOUR_NS}

# (plant, point, parameter) -> time [ns], value, status
Latest: TypeAlias = Mapping[tuple[str, str, str], tuple[int, float, int]]
# pack/clause -> the newest average it could judge
Judged: TypeAlias = Mapping[str, Average]


@dataclass(frozen=True, slots=True)
class Place:
    """A point with what belongs to it. sensors: in the order of the site file."""

    site: Site
    point: Point
    sensors: tuple[Sensor, ...]
    clauses: tuple[Clause, ...]
    night: tuple[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """(plant, point)."""
        return self.site.plant.id, self.point.id

    def series(self) -> Iterator[tuple[Series, Sensor]]:
        """Every series of the point, with its sensor."""
        for sensor in self.sensors:
            for series in sensor.series:
                yield series, sensor


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is watched. places: by (plant, point). packs: rule packs by id."""

    sites: tuple[Site, ...]
    places: Mapping[tuple[str, str], Place]
    parameters: Parameters
    packs: Mapping[str, RulePack]


def take_inventory(
    sites: Sequence[Site],
    sensors: Iterable[Sensor],
    *,
    parameters: Parameters,
    packs: Mapping[str, RulePack],
    on: date,
) -> Inventory:
    """What some sites watch, by the rules in force on a day. Site files are taken as checked."""
    by_point: dict[tuple[str, str], list[Sensor]] = {}
    for sensor in sensors:
        plant = sensor.series[0].plant if sensor.series else ""
        by_point.setdefault((plant, sensor.point.id), []).append(sensor)
    places = {}
    for site in sites:
        for point in site.points:
            rules = [packs[rule] for rule in point.rules if rule in packs]
            settings, _ = read_settings(point.kind, rules, point.settings)
            clauses = [clause for pack in rules for clause in resolve(pack, settings, on)[0]]
            key = (site.plant.id, point.id)
            night = night_hours(rules, point.settings, on)
            places[key] = Place(site, point, tuple(by_point.get(key, ())), tuple(clauses), night)
    return Inventory(tuple(sites), places, parameters, packs)


def latest_by_parameter(latest: Iterable[tuple[Series, int, float, int]]) -> Latest:
    """The newest measurement of each (plant, point, parameter): time [ns], value, status."""
    found: dict[tuple[str, str, str], tuple[int, float, int]] = {}
    for series, time_ns, value, status in latest:
        key = (series.plant, series.point, series.parameter)
        if key not in found or found[key][0] < time_ns:
            found[key] = (time_ns, value, status)
    return found


def plant_item(site: Site, states: Mapping[tuple[str, str], str]) -> Item:
    """A plant, its state being the worst of its points'."""
    own = [states[site.plant.id, point.id] for point in site.points]
    state = next((worst for worst in ("exceeded", "no_data") if worst in own), "ok")
    return {
        "id": site.plant.id,
        "name": names(site.plant.name),
        "industry": site.plant.industry,
        "district": site.plant.district,
        "timezone": site.plant.timezone,
        "position": site.plant.position,
        "points": [point.id for point in site.points],
        "state": state,
    }


def point_item(inventory: Inventory, place: Place, *, latest: Latest, judged: Judged, state: str) -> Item:
    """A point with its parameters, their newest values, their limits as they hold now, and what was judged last."""
    return {
        "plant": place.site.plant.id,
        "id": place.point.id,
        "kind": place.point.kind,
        "name": names(place.point.name),
        "settings": dict(place.point.settings),
        "commissioning": place.point.commissioning,
        "rules": [
            {"id": rule, "title": names(inventory.packs[rule].title)}
            for rule in place.point.rules
            if rule in inventory.packs
        ],
        "timezone": place.site.plant.timezone,
        "night": list(place.night),
        "parameters": [
            _parameter_item(inventory, place, pair, latest, judged) for pair in _one_a_parameter(place.series())
        ],
        "state": state,
    }


def _one_a_parameter(pairs: Iterable[tuple[Series, Sensor]]) -> Iterable[tuple[Series, Sensor]]:
    """Two sensors of one parameter (a replaced instrument) are one parameter of the point."""
    return {series.parameter: (series, sensor) for series, sensor in pairs}.values()


def _parameter_item(
    inventory: Inventory, place: Place, pair: tuple[Series, Sensor], latest: Latest, judged: Judged
) -> Item:
    series, sensor = pair
    key = (series.plant, series.point, series.parameter)
    parameter = inventory.parameters.get(series.parameter)
    newest = latest.get(key)
    conditions = current_conditions(place, latest)
    return {
        "code": series.parameter,
        "name": names(parameter.name) if parameter else {"en": series.parameter, "zh": series.parameter},
        "unit": series.unit,
        "average": parameter.average if parameter else "mean",
        "sensor": series.sensor,
        "interval_s": sensor.settings.interval_s,
        "latest": newest and {
            "time": format_time(newest[0]),
            "value": number(newest[1]),
            "status": STATUS_NAMES.get(newest[2], str(newest[2])),
        },
        "limits": [
            limit_item(clause, conditions) | {"judged": judged_item(clause, judged.get(clause.key))}
            for clause in place.clauses
            # A count of windows is no value that could stand beside the newest one, or a line in its chart.
            if clause.parameter == series.parameter and clause.count is None
        ],
    }  # fmt: skip


def current_conditions(place: Place, latest: Latest) -> dict[str, float]:
    """The newest good values of the point, which some limits depend on (water temperature)."""
    found = {}
    for series, _ in place.series():
        newest = latest.get((series.plant, series.point, series.parameter))
        if newest and newest[2] == Status.OK:
            found[series.parameter] = newest[1]
    return found


def limit_item(clause: Clause, conditions: Mapping[str, float]) -> Item:
    """A clause as charts draw it. limit, low: as they hold under the newest conditions, None = no bound there."""
    low, high = clause.bounds({name: conditions[name] for name in clause.conditions if name in conditions})
    return {
        "pack": clause.pack,
        "clause": clause.id,
        "cite": clause.cite,
        "title": names(clause.title),
        "limit": high,
        "low": low,
        "unit": clause.unit,
        "window": clause.window,
        "period": _period(clause),
        "statistic": clause.statistic,
        "corrected": clause.corrected,
        "standing": clause.standing.value,
        "verified": clause.verified,
        "conditions": list(clause.conditions),
    }


def _period(clause: Clause) -> str:
    """The part of the day in which a limit holds: that of its windows, where they are days or nights of noise."""
    own_window = clause.window if clause.kind == "noise" and clause.window in ("day", "night") else ""
    return clause.period or own_window


def judging_span(place: Place, clause: Clause, now_ns: int) -> tuple[int, int]:
    """Where the newest window that a clause judges starts: from, to. [ns since 1970 UTC]

    A clause for a part of the day (peaks at night) judges short windows of that part alone.
    """
    back_ns = LOOK_BACK_NS.get(clause.window) or LONG_LOOK_BACK_NS.get(clause.window, 3 * 24 * HOUR_NS)
    if clause.period and clause.window in LOOK_BACK_NS:
        parts = windows(clause.period, place.site.plant.timezone, now_ns - 24 * HOUR_NS, now_ns, place.night)
        end_ns = min(int(parts.to_ns[-1]), now_ns)
        return max(int(parts.from_ns[-1]), end_ns - back_ns), end_ns
    return now_ns - back_ns, now_ns


def judged_item(clause: Clause, average: Average | None) -> Item | None:
    """The newest window that a clause could judge: its value as compared, None where there is none yet."""
    if average is None or not average.valid:
        return None
    plain = average.value if average.evaluated is None else average.evaluated
    value = average.maximum if clause.statistic == "maximum" else plain
    times = {"from": format_time(average.from_ns), "to": format_time(average.to_ns)}
    return None if value is None else {"value": value, **times}


def states(
    inventory: Inventory, latest: Latest, exceeded: Collection[tuple[str, str]], now_ns: int
) -> dict[tuple[str, str], str]:
    """The state of every point. exceeded: (plant, point) of those with an open incident about a clause."""
    return {
        key: "exceeded" if key in exceeded else "ok" if _delivers(place, latest, now_ns) else "no_data"
        for key, place in inventory.places.items()
    }


def _delivers(place: Place, latest: Latest, now_ns: int) -> bool:
    """Whether any sensor of the point brought a value lately that is there, whatever its worth."""
    for series, sensor in place.series():
        newest = latest.get((series.plant, series.point, series.parameter))
        silence_ns = max(MIN_SILENCE_NS, round(SILENT_POLLS * sensor.settings.interval_s * SECOND_NS))
        if newest and newest[2] not in _SILENT and now_ns - newest[0] <= silence_ns:
            return True
    return False


_SILENT: Collection[int] = (Status.NO_COMM, Status.STALE)

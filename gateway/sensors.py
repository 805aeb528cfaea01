"""Sensors: the site file's instruments joined with their profiles and plans.

Pure: a site, the profiles and the parameters in; sensors and faults out.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.blocks import CONVERTER_BAUD, Cost, link_cost
from gateway.document import Fault
from gateway.links.address import Quirks
from gateway.measurement import Series
from gateway.parameters import Parameters
from gateway.plans import Plan, Rate, plan, rates
from gateway.profiles import Profile
from gateway.settings import Link, Point, SensorSettings, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One instrument of a plant, ready to be polled.

    plan: all that is read of it. series: of each parameter, in the order of plan.parameters.
    """

    settings: SensorSettings
    point: Point
    profile: Profile
    plan: Plan
    series: tuple[Series, ...]

    @property
    def interval_ns(self) -> int:
        """Time between two polls, where a register asks for no other. [ns]"""
        return round(self.settings.interval_s * 1e9)

    @property
    def link(self) -> Link:
        """The way to it, with what its profile says is odd about the model."""
        link, profile = self.settings.link, self.profile
        pause_s = max(link.quirks.pause_s, profile.pause_s)
        quirks = Quirks(tid_zero_ok=link.quirks.tid_zero_ok or profile.tid_zero_ok, pause_s=pause_s)
        return link if quirks == link.quirks else replace(link, quirks=quirks)

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The plan, divided by the intervals that registers ask for, fastest first."""
        return rates(self.plan, self.settings.interval_s)

    @property
    def intervals_ns(self) -> dict[str, int]:
        """Time between two values of each parameter. [ns]"""
        return {name: rate.interval_ns for rate in self.rates for name in rate.plan.parameters}


def resolve(
    site: Site, profiles: Mapping[str, Profile], parameters: Parameters
) -> tuple[tuple[Sensor, ...], list[Fault]]:
    """Every sensor of a site that can be made, in the order of the file, and all faults found.

    A name that is "" was noted by the site file's reader (`gateway.settings.scan_site`) and is passed over.
    """
    faults: list[Fault] = []
    found = []
    for number, settings in enumerate(site.sensors):
        note = _Notes(site, f"sensor[{number}]", faults)
        if sensor := _sensor(site, settings, profiles, parameters, note):
            found.append(sensor)
    _one_line(site, faults)
    copies = _read_once(site, found, faults)
    _measured_once(site, [sensor for sensor in found if sensor.settings.id not in copies], faults)
    return tuple(found), faults


@dataclass(frozen=True, slots=True)
class _Notes:
    """Faults of one sensor of the site file."""

    site: Site
    path: str
    faults: list[Fault]

    def fault(self, key: str, message: str, hint: str) -> None:
        self.faults.append(self.site.document.fault(f"{self.path}.{key}", message, hint))


def _sensor(
    site: Site, settings: SensorSettings, profiles: Mapping[str, Profile], parameters: Parameters, notes: _Notes
) -> Sensor | None:
    profile = profiles.get(settings.profile)
    if profile is None and not settings.profile:
        return None
    if profile is None:
        notes.fault("profile", f"there is no profile {settings.profile!r}", _hint(settings.profile, list(profiles)))
        return None
    point = next((point for point in site.points if point.id == settings.point), None) if settings.point else None
    if point is not None and point.kind not in ("", profile.kind):
        notes.fault(
            "profile",
            f"{profile.name} is an instrument for {profile.kind}, and {point.id} is a {point.kind} point",
            f"choose a profile for {point.kind}, or the point that the instrument stands at",
        )
    names = _names(settings, profile, parameters, notes)
    if names is None or point is None:
        return None
    reading = plan(profile, names, _cost(settings.link))
    series = tuple(
        Series(site.plant.id, point.id, settings.id, name, parameters[name].unit) for name in reading.parameters
    )
    _check_inputs(settings, reading, notes)
    return Sensor(settings=settings, point=point, profile=profile, plan=reading, series=series)


def _cost(link: Link) -> Cost:
    return link_cost(link.kind, link.line.baud if link.kind == "rtu" else CONVERTER_BAUD)


def _check_inputs(settings: SensorSettings, reading: Plan, notes: _Notes) -> None:
    for number, item in enumerate(settings.inputs):
        for name in item.parameters:
            if name not in reading.parameters:
                key, message = f"input[{number}].parameters", f"{name!r} is not read by this sensor"
                notes.fault(key, message, _hint(name, list(reading.parameters)))


def _names(settings: SensorSettings, profile: Profile, parameters: Parameters, notes: _Notes) -> tuple[str, ...] | None:
    """The codes of the parameters a sensor keeps, all of its profile where none is named; None where one is wrong."""
    names: list[str] = []
    good = True
    for text in settings.parameters:
        parameter = parameters.find(text)
        if parameter is None or parameter.code not in profile.parameters:
            what = "is not a parameter" if parameter is None else f"is not in the profile {profile.name}"
            notes.fault("parameters", f"{text!r} {what}", _hint(text, list(profile.parameters)))
            good = False
        elif parameter.code in names:
            notes.fault("parameters", f"{text!r} stands there twice", "name each parameter once")
            good = False
        else:
            names.append(parameter.code)
    return (tuple(names) or profile.parameters) if good else None


def _one_line(site: Site, faults: list[Fault]) -> None:
    """All units on one serial line, or behind one port, are spoken to in the same way."""
    first: dict[tuple[str, str, int], tuple[str, Link]] = {}
    links = [(f"sensor[{n}]", settings, settings.link) for n, settings in enumerate(site.sensors)]
    links += [
        (f"sensor[{n}].input[{k}]", settings, item.link)
        for n, settings in enumerate(site.sensors)
        for k, item in enumerate(settings.inputs)
        if item.link
    ]
    for path, settings, link in links:
        serial = link.kind == "rtu"
        owner, other = first.setdefault(
            (settings.gateway if serial else "", link.address, link.port), (settings.id, link)
        )
        note = _Notes(site, path, faults)
        if link.line != other.line:
            line = other.line
            said = f"{owner} is on the same line at baud={line.baud}&parity={line.parity}&stopbits={line.stopbits}"
            note.fault("link", said, "all units on one serial line have the same baud, parity and stopbits")
        elif link.kind and other.kind and link.kind != other.kind:
            said = f"{owner} is at the same address with {other.kind}://"
            note.fault("link", said, "one port is spoken to in one way: tcp:// or rtu+tcp://")


def _read_once(site: Site, sensors: list[Sensor], faults: list[Fault]) -> set[str]:
    """Sensors that read the same registers of the same instrument as one before: copied, and not changed enough.

    One instrument may serve several sensors as long as each reads registers of its own.
    """
    owners: dict[tuple[str | int, ...], str] = {}
    numbers = {id(settings): number for number, settings in enumerate(site.sensors)}
    copies = set()
    for sensor in sensors:
        settings, link = sensor.settings, sensor.settings.link
        if not link.kind:
            continue
        bus = (settings.gateway if link.kind == "rtu" else "", *link.bus)  # each gateway has serial lines of its own
        registers = [r for r in sensor.profile.registers if r.parameter in sensor.plan.parameters]
        for register in registers:
            place = (*bus, link.unit, register.parameter, register.fc, register.address)
            owner = owners.setdefault(place, settings.id)
            if owner != settings.id:
                copies.add(settings.id)
                _Notes(site, f"sensor[{numbers[id(settings)]}]", faults).fault(
                    "link",
                    f"{owner} reads {register.parameter} from the same instrument already",
                    "each instrument has its own host, port or unit; leave out the sensor that is not there",
                )
                break
    return copies


def _measured_once(site: Site, sensors: list[Sensor], faults: list[Fault]) -> None:
    """Averages belong to (point, parameter): two instruments that give the same one would be mixed up."""
    owners: dict[tuple[str, str], str] = {}
    numbers = {settings.id: number for number, settings in enumerate(site.sensors)}
    for sensor in sensors:
        for name in sensor.plan.parameters:
            owner = owners.setdefault((sensor.point.id, name), sensor.settings.id)
            if owner != sensor.settings.id:
                _Notes(site, f"sensor[{numbers[sensor.settings.id]}]", faults).fault(
                    "parameters",
                    f"{name} at {sensor.point.id} is measured by {owner} already",
                    "say which parameters each sensor keeps: parameters = [..]",
                )


def _hint(text: str, known: list[str]) -> str:
    near = difflib.get_close_matches(text, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(sorted(known))}"

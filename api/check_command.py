"""`emitwatch check`: every fault of a site's files at once, before anything runs.

It asks each part of the product for the faults it sees in the tables it reads, and this machine for the
files and folders that are named there. None of them stops another, and a field that one part has refused
is not refused again by the next. `emitwatch run all` asks the same before it starts anything.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from alerts.settings import parse_alerts
from api.machine import is_folder, machine_faults
from api.settings import parse_api
from collector.catalogue import scan_rule_packs
from collector.settings import parse_collector
from collector.verdicts.limits import site_faults
from gateway import catalogue
from gateway.document import Fault
from gateway.sensors import resolve, unbuilt_links
from gateway.settings import Site


def check(site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")]) -> None:
    """Find every fault in a site file, its profiles and its rule packs; exit 1 where there is one."""
    sites, faults = examine(str(site))
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    if faults:
        files = len({fault.file for fault in faults})
        sys.stdout.write(f"{_count(len(faults), 'fault')} in {_count(files, 'file')}\n")
        raise typer.Exit(1)
    points, instruments = (sum(len(part) for part in parts) for parts in
                           ([s.points for s in sites], [s.sensors for s in sites]))  # fmt: skip
    sys.stdout.write(
        f"{site}: no fault found ({_count(len(sites), 'plant')}, {_count(points, 'point')}, "
        f"{_count(instruments, 'sensor')})\n"
    )


def examine(path: str, *, demo: bool = False) -> tuple[list[Site], list[Fault]]:
    """The sites of a file or folder, and every fault of all files and of this machine, by file and line.

    Where there is a fault, the sites hold what could be read. demo: the broker may go without user.
    """
    found, faults = catalogue.scan_sites(path)
    sites = list(found)
    parsed = [fault for parse in (parse_collector, parse_alerts, parse_api) if sites for fault in parse(sites)[1]]
    _add(faults, [*_rule_faults(sites), *_sensor_faults(sites)])
    _add(faults, machine_faults(sites, demo=demo))
    _add(faults, parsed)
    below = {(fault.file, place) for fault in faults for place in _around(fault.path)}
    _add(faults, [fault for fault in catalogue.conflicts(sites) if (fault.file, fault.path) not in below])
    return sites, sorted(dict.fromkeys(faults), key=lambda fault: (fault.file, fault.line or 0))


def _add(faults: list[Fault], further: Sequence[Fault]) -> None:
    """What the next reader notes, but for the fields that one before has refused: that is the same cause."""
    noted = {(fault.file, fault.path) for fault in faults if fault.path}
    faults += [fault for fault in further if (fault.file, fault.path) not in noted]


def _around(path: str) -> Iterator[str]:
    """The tables that a field stands in."""
    while path := path.rpartition(".")[0]:
        yield path


def _rule_faults(sites: Sequence[Site]) -> Iterator[Fault]:
    folders, complete = _own_folders(sites, "rules")
    packs, faults = scan_rule_packs(folders)
    yield from faults
    for site in sites:
        on = datetime.now(ZoneInfo(site.plant.timezone)).date()
        points = tuple(
            replace(point, rules=tuple(_known(rule, packs, complete=complete and not faults) for rule in point.rules))
            for point in site.points
        )
        yield from site_faults(replace(site, points=points), packs, on)


def _sensor_faults(sites: Sequence[Site]) -> Iterator[Fault]:
    folders, complete = _own_folders(sites, "profiles")
    profiles, faults = catalogue.scan_profiles(folders)
    yield from faults
    for site in sites:
        sensors = tuple(
            replace(sensor, profile=_known(sensor.profile, profiles, complete=complete and not faults))
            for sensor in site.sensors
        )
        yield from resolve(replace(site, sensors=sensors), profiles, catalogue.parameters())[1]
        yield from unbuilt_links(site)


def _own_folders(sites: Sequence[Site], kind: str) -> tuple[list[str], bool]:
    """The sites' folders of a kind that are there, and whether all are; those that are not `api.machine` names."""
    folders = {site.path(folder) for site in sites for folder in getattr(site.folders, kind)}
    there = sorted(folder for folder in folders if is_folder(folder))
    return there, len(there) == len(folders)


def _known(name: str, known: Collection[str], *, complete: bool) -> str:
    """A name, or "" (passed over) where what it names may be in a file that could not be read."""
    return name if complete or name in known else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

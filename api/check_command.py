"""`emitwatch check`: every fault of a site's files at once, before anything runs.

It asks each part of the product for the faults it sees in the tables it reads, and this machine for the
files and folders that are named there. None of them stops another, and a field that one part has refused
is not refused again by the next. Nothing is left behind: whether a folder can be written is tried in a
folder that goes again. `emitwatch run all` asks the same before it starts anything.
"""

from __future__ import annotations

import json
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from alerts.settings import parse_alerts
from alerts.witness_settings import parse_witnesses
from api.settings import parse_api
from api.tokens import TokenError, require_usable
from collector.catalogue import scan_rule_packs, site_certificates
from collector.commissioning import in_commissioning
from collector.intake.disk import CLOSE_SHARE, Space, days_left
from collector.intake.journal import JournalError
from collector.intake.journal_files import JournalFiles
from collector.settings import parse_collector
from collector.verdicts.concurrent import site_faults
from collector.verdicts.points import point_rules
from collector.verdicts.zeros import zero_hint
from gateway import catalogue
from gateway.connection import BrokerError, tls_context
from gateway.document import Fault
from gateway.sensors import resolve
from gateway.settings import Broker, Site
from gateway.terminal import AsJson

# A secret belongs to a machine and never lies beside a site file in a repository: `check` may run elsewhere, so that
# it is missing is noted; `run` refuses to start without it.
SECRETS = {"broker.password_file", "collector.password_file", "store.token_file"}
READERS: tuple[Callable[[list[Site]], tuple[object, list[Fault]]], ...] = (
    parse_collector, parse_alerts, parse_witnesses, parse_api,
)  # fmt: skip
FOLDERS = ("rules", "profiles", "channels")  # the keys of [folders]


def check(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    as_json: AsJson = False,
) -> None:
    """Find every fault in a site file, its profiles and its rule packs; exit 1 where there is one."""
    sites, found = examine(str(site))
    faults = [fault for fault in found if fault.path not in SECRETS]
    notes = [*(fault for fault in found if fault.path in SECRETS), *open_secrets(sites)]
    counts = {
        "plant": len(sites), "point": sum(len(s.points) for s in sites), "sensor": sum(len(s.sensors) for s in sites),
    }  # fmt: skip
    if as_json:
        told = {
            "faults": [asdict(fault) for fault in faults],
            "notes": [*map(str, notes), *_forecasts(sites)],
            "hints": [*map(str, _zeros(sites))],
            "commissioning": [f"{plant}/{point}" for plant, point in sorted(in_commissioning(sites))],
            **{f"{what}s": number for what, number in counts.items()},
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{fault}\n" for fault in faults))
        sys.stdout.write("".join(f"note, for this machine: {note}\n" for note in [*notes, *_forecasts(sites)]))
        sys.stdout.write("".join(f"warning: {warning}\n" for warning in [*_silent(sites), *_certificates(sites)[1]]))
        sys.stdout.write("".join(f"note: {note}\n" for note in _zeros(sites)))
        files = len({fault.file for fault in faults})
        verdict = (
            f"{_count(len(faults), 'fault')} in {_count(files, 'file')}" if faults
            else f"{site}: no fault found ({', '.join(_count(number, what) for what, number in counts.items())})"
        )  # fmt: skip
        sys.stdout.write(f"{verdict}\n")
    if faults:
        raise typer.Exit(1)


def examine(path: str, *, demo: bool = False) -> tuple[list[Site], list[Fault]]:
    """The sites of a file or folder, and every fault of all files and of this machine, by file and line.

    Where there is a fault, the sites hold what could be read. demo: the broker may go without user.
    """
    found, faults = catalogue.scan_sites(path)
    sites = list(found)
    parsed = [fault for parse in READERS if sites for fault in parse(sites)[1]]
    _add(faults, [*_rule_faults(sites), *_sensor_faults(sites), *_certificates(sites)[0]])
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


def _certificates(sites: Sequence[Site]) -> tuple[list[Fault], list[str]]:
    """What is wrong with the certificate files that the sites name, and which of them are not used."""
    folders, _ = _own_folders(sites, "rules")
    found = [site_certificates(site, scan_rule_packs(folders)[0]) for site in sites]
    return [fault for _, _, wrong in found for fault in wrong], [note for _, notes, _ in found for note in notes]


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


def _own_folders(sites: Sequence[Site], kind: str) -> tuple[list[str], bool]:
    """The sites' folders of a kind that are there, and whether all are; those that are not `folder_faults` names."""
    folders = {site.path(folder) for site in sites for folder in getattr(site.folders, kind)}
    there = sorted(folder for folder in folders if is_folder(folder))
    return there, len(there) == len(folders)


def _known(name: str, known: Collection[str], *, complete: bool) -> str:
    """A name, or "" (passed over) where what it names may be in a file that could not be read."""
    return name if complete or name in known else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _silent(sites: Sequence[Site]) -> Iterator[Fault]:
    """The points of whose incidents nobody is told. That is meant, and yet nobody may forget it."""
    for site in sites:
        for number, point in enumerate(site.points):
            if point.commissioning:
                message = f"point {point.id} is in commissioning: nobody is told of its incidents, no regulator either"
                hint = "take the key away when it is set up, and start anew; what is open then is told"
                yield site.document.fault(f"point[{number}].commissioning", message, hint)


def _zeros(sites: Sequence[Site]) -> Iterator[Fault]:
    """The stacks that do not say how far below zero their analysers may read, and what is taken instead."""
    rules, profiles = (_own_folders(sites, kind)[0] for kind in ("rules", "profiles"))
    packs, parameters = scan_rule_packs(rules)[0], catalogue.parameters()
    known = catalogue.scan_profiles(profiles)[0]
    for site in sites:
        sensors, _ = resolve(site, known, parameters)
        for number, point in enumerate(site.points):
            named, path = [packs[id] for id in point.rules if id in packs], f"point[{number}].settings"
            found, wrong = point_rules(
                site.plant.id, point.id, point.kind, timezone=site.plant.timezone, packs=named,
                settings=point.settings, parameters=parameters,
            )  # fmt: skip
            measured = {name for s in sensors if s.point.id == point.id for name in s.intervals_ns}
            if not wrong and (message := zero_hint(found, measured)):
                hint = "zero_noise = the zero drift that the analyser's papers state [mg/m3]"
                yield site.document.fault(f"{path}.zero_noise", message, hint)


def _forecasts(sites: Sequence[Site]) -> Iterator[str]:
    """How long the disk of each journal on this machine will do, at the pace it grows."""
    for folder in sorted({Path(site.data_dir) / "collector" / "journal" for site in sites}):
        try:
            found = shutil.disk_usage(folder)
            space = Space(total=found.total, free=found.free)
            days = days_left(space, *JournalFiles(folder).growth())
        except (OSError, ValueError, JournalError):
            continue  # no collector has run here; what is wrong with its files, `run` and `journal list` say
        left = "the pace is not known yet" if days is None else f"{days:.0f} days until it takes nothing more in"
        low = f"; below {CLOSE_SHARE:.0%} nothing is taken in: make room" if space.share < 2 * CLOSE_SHARE else ""
        yield f"{folder}: {space.free / 1e9:.1f} GB free ({space.share:.0%}), {left}{low}"


def machine_faults(sites: Sequence[Site], *, demo: bool = False) -> list[Fault]:
    """What is missing on this machine. demo: the broker may go without user, and there is no token."""
    faults: list[Fault] = []
    tried: set[str] = set()
    for site in sites:
        if not site.document.tree:
            continue
        faults += folder_faults(site)
        if isinstance(site.document.tree.get("broker"), dict):
            faults += _broker(site, demo=demo)
        if site.data_dir not in tried:
            tried.add(site.data_dir)
            faults += _writable(site, "plant.data_dir", Path(site.data_dir))
        faults += _store(site)
        faults += () if demo else _token(site)
        faults += _channels(site)
    return faults


def folder_faults(site: Site) -> Iterator[Fault]:
    """The folders of `[folders]` that are not there."""
    for kind in FOLDERS:
        for folder in getattr(site.folders, kind):
            if not is_folder(site.path(folder)):
                message = f"there is no folder {site.path(folder)}"
                yield site.document.fault(f"folders.{kind}", message, "make it, or leave it out")


def is_folder(path: str) -> bool:
    """Whether there is such a folder; a path that no file system takes is none."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _broker(site: Site, *, demo: bool) -> Iterator[Fault]:
    """What the gateways' way to the broker lacks, and the collector's, where it has one of its own."""
    broker, own = site.broker, site.collector_access
    if not (demo or broker.user or broker.cert or own):
        hint = "the broker needs user and password_file, or cert and key; only `emitwatch demo` does without"
        yield site.document.fault("broker.user", "missing", hint)
    yield from _access(site, "broker", broker)
    if own:
        access = replace(broker, user=own.user, password_file=own.password_file, cert=own.cert, key=own.key)
        yield from (fault for fault in _access(site, "collector", access) if fault.path != "collector.ca")


def _access(site: Site, table: str, broker: Broker) -> Iterator[Fault]:
    if broker.password_file:
        hint = "a text file with the broker's password in its only line"
        yield from _readable(site, f"{table}.password_file", broker.password_file, hint)
    files: dict[str, Any] = {name: site.path(file) for name in ("ca", "cert", "key") if (file := getattr(broker, name))}
    faults = [fault for name, file in files.items() for fault in _readable(site, f"{table}.{name}", file, "a PEM file")]
    yield from faults
    if files and not faults and bool(broker.cert) == bool(broker.key):
        try:
            tls_context(replace(broker, **files))
        except BrokerError as error:
            name = "ca" if broker.ca and table == "broker" else "cert"
            yield site.document.fault(f"{table}.{name}", str(error), "PEM files; the key has to be the certificate's")


def _store(site: Site) -> Iterator[Fault]:
    path = _text(site, "store", "path")
    if path:
        yield from _writable(site, "store.path", Path(site.path(path)).parent)
    for key in ("token_file", "ca"):
        if file := _text(site, "store", key):
            yield from _readable(site, f"store.{key}", file, "put it there, or leave it out")


def _token(site: Site) -> Iterator[Fault]:
    """A token's file that the site names needs its folder; the default one is made."""
    named = _text(site, "api", "token_file")
    file = site.path(named) if named else f"{site.data_dir}/collector/api.token"
    if named and not is_folder(str(Path(file).parent)):
        yield site.document.fault("api.token_file", f"there is no folder {Path(file).parent}", "make the folder")
        return
    try:
        require_usable(file)
    except TokenError as error:
        yield site.document.fault("api.token_file", str(error), "")
        return
    if named and not Path(file).exists():
        yield from _writable(site, "api.token_file", Path(file).parent)


def _channels(site: Site) -> Iterator[Fault]:
    """The secrets that channels name. A webhook's default one is made."""
    tables = site.document.tree.get("channel")
    for number, table in enumerate(tables if isinstance(tables, list) else ()):
        for key in ("password_file", "secret_file"):
            file = table.get(key) if isinstance(table, dict) else None
            if isinstance(file, str) and file:
                yield from _readable(site, f"channel[{number}].{key}", file, "a text file with the secret alone")


def open_secrets(sites: Sequence[Site]) -> Iterator[Fault]:
    """The files with secrets that others on this machine may read. What runs does not refuse them, but for keys."""
    for site in sites:
        tables = site.document.tree.get("channel")
        channels = tables if isinstance(tables, list) else []
        named = {
            "broker.password_file": site.broker.password_file, "broker.key": site.broker.key,
            "collector.password_file": site.collector_access.password_file, "collector.key": site.collector_access.key,
            "store.token_file": _text(site, "store", "token_file"),
            **{f"channel[{number}].{key}": table.get(key)
               for number, table in enumerate(channels) if isinstance(table, dict)
               for key in ("password_file", "secret_file")},
        }  # fmt: skip
        for path, file in named.items():
            if isinstance(file, str) and file and (mode := _mode(site.path(file))) & 0o077:
                message = f"others may read {site.path(file)} (mode {mode:04o})"
                yield site.document.fault(path, message, f"run: chmod 600 {site.path(file)}")


def _mode(path: str) -> int:
    """The permissions of a file; 0 where there is none."""
    try:
        return stat.S_IMODE(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return 0


def _text(site: Site, table: str, key: str) -> str:
    values = site.document.tree.get(table)
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""


def _readable(site: Site, path: str, file: str, hint: str) -> Iterator[Fault]:
    place = site.path(file)
    try:
        Path(place).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        yield site.document.fault(path, f"{place} cannot be read: {why}", hint)


def _writable(site: Site, path: str, folder: Path) -> Iterator[Fault]:
    """Nothing where the folder, or the nearest one above it that exists, can be written into."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryDirectory(prefix=".emitwatch-", dir=there):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = "a folder that the user who runs emitwatch may write into"
        yield site.document.fault(path, f"{folder} cannot be made or written: {why}", hint)

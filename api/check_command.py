"""`emitwatch check`: every fault of a site's files at once, before anything runs.

It asks each part of the product for the faults it sees in the tables it reads, and none of them stops
another. A site file that its own reader refuses is still searched for profiles and rule packs that do
not exist, so that nobody meets those only at the next try.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from alerts.settings import parse_alerts
from api.settings import parse_api
from collector.catalogue import rule_packs
from collector.settings import parse_collector
from collector.verdicts.limits import site_faults
from collector.verdicts.pack import RulePack
from gateway import catalogue
from gateway.document import Document, Fault, FaultyFiles, Table, parse_document
from gateway.profiles import Profile
from gateway.sensors import resolve
from gateway.settings import Site, parse_site


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


def examine(path: str) -> tuple[list[Site], list[Fault]]:
    """The sites of a file or folder that can be read, and every fault of all files, by file and line."""
    faults: list[Fault] = []
    sites, refused = _sites(path, faults)
    packs = _rule_packs(sites, faults)
    profiles = _profiles(sites, faults)
    for site in sites:
        if packs is not None:
            faults += site_faults(site, packs, datetime.now(ZoneInfo(site.plant.timezone)).date())
        if profiles is not None:
            faults += resolve(site, profiles, catalogue.parameters())[1]
    for document in refused:
        faults += _unknown_names(document, packs, profiles)
    if sites:
        for parse in (parse_collector, parse_alerts, parse_api):
            faults += parse(sites)[1]
    distinct = list(dict.fromkeys(faults))
    return sites, sorted(distinct, key=lambda fault: (fault.file, fault.line or 0))


def _sites(path: str, faults: list[Fault]) -> tuple[list[Site], list[Document]]:
    """Each file read on its own, then all together for what only shows between files."""
    sites, refused = [], []
    try:
        documents = catalogue.read_documents(path)
    except FaultyFiles as error:
        faults += error.faults
        return [], []
    for file, text in documents:
        site, found = parse_site(text, file)
        faults += found
        if site is not None:
            sites.append(site)
        else:
            refused.append(parse_document(text, file)[0])
    try:
        # Only so does each site have what another file says for all of them.
        return list(catalogue.load_sites(path)), []
    except FaultyFiles as error:
        faults += error.faults
    return sites, refused


def _rule_packs(sites: Sequence[Site], faults: list[Fault]) -> Mapping[str, RulePack] | None:
    folders = {site.path(folder) for site in sites for folder in site.folders.rules}
    try:
        return rule_packs(sorted(folders))
    except FaultyFiles as error:
        faults += error.faults
        return None


def _profiles(sites: Sequence[Site], faults: list[Fault]) -> Mapping[str, Profile] | None:
    folders = {site.path(folder) for site in sites for folder in site.folders.profiles}
    try:
        return catalogue.profiles(sorted(folders))
    except FaultyFiles as error:
        faults += error.faults
        return None


def _unknown_names(
    document: Document, packs: Mapping[str, RulePack] | None, profiles: Mapping[str, Profile] | None
) -> Iterator[Fault]:
    """Names in a refused site file that nothing has. Folders of its own are not known then, so names could be there."""
    if "folders" in document.tree:
        return
    root = Table.root(document, [])
    for number, table in enumerate(root.tables("point")):
        for rule in table.texts("rules", []):
            if packs is not None and rule not in packs:
                yield _unknown(document, f"point[{number}].rules", "rule pack", rule, packs)
    for number, table in enumerate(root.tables("sensor")):
        profile = table.text("profile", "")
        if isinstance(profile, str) and profile and profiles is not None and profile not in profiles:
            yield _unknown(document, f"sensor[{number}].profile", "device profile", profile, profiles)


def _unknown(document: Document, path: str, what: str, name: str, known: Collection[str]) -> Fault:
    near = difflib.get_close_matches(name, known, 1)
    command = "rules" if what == "rule pack" else "profiles"
    hint = f"did you mean {near[0]!r}?" if near else f"`emitwatch {command} list` shows them"
    return Fault(document.file, path, _line(document, path), f"{name!r} is not a known {what}", hint)


def _line(document: Document, path: str) -> int | None:
    """The line of a field, or of the nearest table around it."""
    while path:
        if line := document.lines.get(path):
            return line
        path = path.rpartition(".")[0]
    return None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

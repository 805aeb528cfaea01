"""`emitwatch sheet`: the acceptance sheet of a point, for plant and regulator to sign, with its hash in the journal.

    emitwatch sheet SITE POINT --author .. --key .. [--loopcheck FILE]..   make it, and file its SHA-256, signed
    emitwatch sheet SITE --verify FILE.pdf                                 is this the file that was filed?

The file gets its name when its hash is on the disk of the collector, not before.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from api.acceptance import Told, acceptance
from api.filing import (
    AuthorId,
    Interface,
    PlantId,
    Refused,
    SitePath,
    TokenFile,
    Url,
    author_of,
    fail,
    interface,
    signer,
)  # fmt: skip
from api.loopcheck import parse_record
from api.open_points import open_points
from api.sheet import pdf
from api.sheet_words import LANGUAGES, Words
from api.times import format_time
from collector.marks import Kind, SheetFile
from gateway import catalogue, terminal
from gateway.configuration import canonical, hash_of
from gateway.measurement import SECOND_NS
from gateway.sensors import Sensor, resolve
from gateway.settings import Point, Site
from gateway.terminal import AsJson

DAY_NS = 86_400 * SECOND_NS
MOST_BYTES = 64 << 20  # of a file that is verified


def sheet(
    site: SitePath,
    point: Annotated[str, typer.Argument(help=r"The [\[point]] to be accepted.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the file goes; else acceptance-PLANT-POINT-DATE.pdf.")] = None,
    loopcheck: Annotated[list[Path] | None, typer.Option(help="A result of `emitwatch loopcheck --out`.")] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    note: Annotated[str, typer.Option(help="Why; shown with its hash for ever.")] = "acceptance sheet",
    author: AuthorId = "",
    key: Annotated[Path | None, typer.Option(help="File with your key, as `emitwatch mark key` made it.")] = None,
    verify: Annotated[Path | None, typer.Option(help="Say whether this file is one that was filed, instead.")] = None,
    plant: PlantId = "",
    url: Url = "",
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the acceptance sheet of a point and file its hash, signed; or verify one: exit 1 where it was not filed."""
    sites = catalogue.load_sites(str(site))
    if verify is not None:
        with interface(sites, url, token_file) as api:
            filed = _filed(api, _sha256(verify), plant)
        _tell_verified(verify, filed, as_json)
        return
    if not (point and author and key):
        raise fail("a sheet needs a POINT, --author and --key; --verify FILE looks at one that is there", 2)
    if language not in LANGUAGES:
        raise fail(f"--language {language}: there is {' and '.join(LANGUAGES)}", 2)
    place, stands = _point(sites, plant, point)
    where, who = author_of(sites, place.plant.id, author)
    target = out or Path(f"acceptance-{where.plant.id}-{stands.id}-{time.strftime('%Y-%m-%d')}.pdf")
    if target.exists():
        raise fail(f"{target}: it is there already; a sheet that was filed is not written over, give another --out", 2)
    with interface(sites, url, token_file) as api:
        by, checks = signer(where, who, key), _loopchecks(loopcheck or [], where.plant.id, stands.id)
        to_ns = time.time_ns() // SECOND_NS * SECOND_NS
        told = _told(api, where, stands, to_ns, by=who.id, loopchecks=checks)
        words = Words(language)
        mine = [sensor for sensor in _sensors(where) if sensor.point.id == stands.id]
        open = open_points(stands, mine, told, words)
        content = pdf(acceptance(where, stands, mine, told, open, words))
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(content)
        said = SheetFile(name=target.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        span = {"from_ns": to_ns - DAY_NS, "to_ns": to_ns}
        try:
            id = api.file(by, {"kind": Kind.SHEET, "point": stands.id, "reason": note, "sheet": said, **span})[1]
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
    _tell_made(target, id, said, open, as_json)


def _point(sites: Sequence[Site], plant: str, id: str) -> tuple[Site, Point]:
    """The site and the point meant; raises typer.Exit where there is none, or there are several."""
    there = [site for site in sites if plant in ("", site.plant.id)]
    found = [(site, point) for site in there for point in site.points if point.id == id]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(f"point {id} is of several plants; say which: --plant {' | '.join(s.plant.id for s, _ in found)}", 2)
    known = ", ".join(point.id for site in there for point in site.points) or "none"
    raise fail(f"no [[point]] {id!r} in the site file{f' of plant {plant}' if plant else ''}; there are: {known}", 2)


def _sensors(site: Site) -> tuple[Sensor, ...]:
    return resolve(site, catalogue.profiles(sorted(map(site.path, site.folders.profiles))), catalogue.parameters())[0]


def _told(
    api: Interface, site: Site, point: Point, to_ns: int, *, by: str, loopchecks: Sequence[Mapping[str, Any]]
) -> Told:
    """What the running collector says of a point. to_ns: the end of the day that is counted. [ns since 1970 UTC]"""
    asked = {"plant": site.plant.id, "point": point.id}
    found = [one for one in api.items("points", plant=site.plant.id) if one["id"] == point.id]
    if not found:
        raise Refused(f"the running collector has no point {point.id!r}: is its site file another one?")
    day = {"from": format_time(to_ns - DAY_NS), "to": format_time(to_ns)}
    work = [mark for kind in (Kind.SWAP, Kind.SOUND_CHECK) for mark in api.items("marks", **asked, kind=kind.value)]
    sensors = _sensors(site)
    return Told(
        made=format_time(to_ns), by=by, point=found[0], health=api.get("health"),
        instruments=api.items("instruments", **asked), coverage=api.items("coverage", **asked, **day),
        commissioning=api.items("commissioning", **asked), marks=sorted(work, key=lambda mark: int(mark["id"])),
        loopchecks=loopchecks, version=version("emitwatch"),
        hashes={one.id: hash_of(canonical(site, one.id, sensors)).hex() for one in site.gateways},
    )  # fmt: skip


def _loopchecks(files: Iterable[Path], plant: str, point: str) -> list[dict[str, Any]]:
    """The results of loop checks in files; raises Refused for what is none, or is of another point."""
    found = []
    for file in files:
        record, faults = parse_record(file.read_text("utf-8", "replace"), str(file))
        if record is None:
            raise Refused("\n".join(map(str, faults)))
        if (record.plant, record.point) != (plant, point):
            raise Refused(f"{file}: it is of {record.plant}/{record.point}, not of {plant}/{point}")
        found.append(msgspec.to_builtins(record))
    return found


def _sha256(file: Path) -> str:
    if file.stat().st_size > MOST_BYTES:
        raise Refused(f"{file}: larger than any sheet")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _filed(api: Interface, sha256: str, plant: str) -> Mapping[str, Any]:
    """The record of a file; raises Refused where there is none, or it was taken back."""
    marks = api.items("marks", kind=Kind.SHEET.value, **({"plant": plant} if plant else {}))
    found = [mark for mark in marks if mark["sheet"]["sha256"] == sha256]
    if not found:
        raise Refused(
            f"not what was filed: no record among {len(marks)} has SHA-256 {sha256}; it was altered, or is none"
        )
    standing = [mark for mark in found if mark["revoked_by"] is None]
    if not standing:
        raise Refused(f"it was filed as mark {found[-1]['id']}, and taken back by mark {found[-1]['revoked_by']}")
    return dict(standing[-1])


def _tell_verified(file: Path, mark: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"file": str(file), "mark": mark}, ensure_ascii=False, indent=1) + "\n")
        return
    said = f"filed as mark {mark['id']} of {mark['plant']}/{mark['point']}, {mark['received']}, by {mark['author']}"
    terminal.console().print(Text(f"{file}: the file that was {said}: {mark['reason']}", "green"))


def _tell_made(file: Path, id: int, said: SheetFile, open: Sequence[str], as_json: bool) -> None:
    if as_json:
        told = {"file": str(file), "mark": id, "bytes": said.bytes, "sha256": said.sha256, "open": open}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        return
    console = terminal.console()
    for line in open:
        console.print(Text(f"open: {line}", "yellow"))
    console.print(f"{file}: {said.bytes} bytes, SHA-256 {said.sha256}, filed as mark {id}")

"""`emitwatch swap`: another instrument is in a sensor's place, and the series goes on.

    emitwatch swap SITE SENSOR --serial NEW --as-found .. --as-left .. --author .. --key ..   a signed record of it
    emitwatch swap SITE SENSOR --list                                                        who stood there, and when

The record changes nothing that is judged; the time of the work is marked maintenance, where `--from` and `--to` say
when it was, by a mark of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

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
    instant,
    interface,
    signer,
)  # fmt: skip
from collector.marks import Kind, Swap
from gateway import catalogue, terminal
from gateway.measurement import SECOND_NS
from gateway.settings import SensorSettings, Site
from gateway.terminal import AsJson


def swap(
    site: SitePath,
    sensor: Annotated[str, typer.Argument(help=r"The [\[sensor]] whose instrument is another one.")],
    serial: Annotated[str, typer.Option(help="Serial number of the new instrument.")] = "",
    old_serial: Annotated[str, typer.Option(help="That of the old one, if neither record nor site file has it.")] = "",
    as_found: Annotated[float | None, typer.Option(help="What the old one showed of the reference.")] = None,
    as_left: Annotated[float | None, typer.Option(help="What the new one shows of it.")] = None,
    reference: Annotated[float | None, typer.Option(help="The reference's true value.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of these values.")] = "",
    note: Annotated[str, typer.Option(help="Why; shown with it for ever.")] = "instrument swapped",
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Begin of the work: it is maintenance.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the work, RFC 3339 with offset.")] = "",
    author: AuthorId = "",
    key: Annotated[Path | None, typer.Option(help="File with your key, as `emitwatch mark key` made it.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the instruments that stood there, instead.")] = False,
    plant: PlantId = "",
    url: Url = "",
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Record that a sensor has another instrument, signed; or list the instruments that it had."""
    sites = catalogue.load_sites(str(site))
    where, settings = sensor_of(sites, plant, sensor)
    if show:
        with interface(sites, url, token_file) as api:
            _show(_instruments(api, where, settings), as_json)
        return
    if not (serial and author and key) or as_found is None or as_left is None:
        raise fail("a swap needs --serial, --as-found, --as-left, --author and --key; --list shows what there was", 2)
    where, who = author_of(sites, where.plant.id, author)
    with interface(sites, url, token_file) as api:
        by = signer(where, who, key)
        present = _instruments(api, where, settings)[-1]
        told = Swap(
            serial=serial, old_serial=_old(present, old_serial, serial), as_found=as_found, as_left=as_left,
            reference=reference, unit=unit,
        )  # fmt: skip
        said = {"point": settings.point, "sensor": settings.id, "reason": note, **_span(from_, to)}
        work = api.file(by, {**said, "kind": Kind.MAINTENANCE})[1] if from_ else None
        made, id = api.file(by, {**said, "kind": Kind.SWAP, "swap": told})
    if as_json:
        sys.stdout.write(json.dumps({"mark": id, "maintenance": work, "old_serial": told.old_serial}) + "\n")
        return
    old = told.old_serial or "one whose serial number nobody said"
    sys.stdout.write(
        f"mark {id}: {settings.id} of {where.plant.id}/{made.point} is {serial} now, it was {old}; signed by {who.id}\n"
        + (f"mark {work}: the time of the work is maintenance\n" if work else "")
        + (f'in the site file, enter for {sensor}: serial = "{serial}"\n' if settings.serial != serial else "")
    )


def sensor_of(sites: Sequence[Site], plant: str, id: str) -> tuple[Site, SensorSettings]:
    """The site and the sensor meant; raises typer.Exit where there is none, or there are several."""
    there = [site for site in sites if plant in ("", site.plant.id)]
    found = [(site, sensor) for site in there for sensor in site.sensors if sensor.id == id]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(
            f"sensor {id} is of several plants; say which: --plant {' | '.join(s.plant.id for s, _ in found)}", 2
        )
    known = ", ".join(sensor.id for site in there for sensor in site.sensors) or "none"
    raise fail(f"no [[sensor]] {id!r} in the site file{f' of plant {plant}' if plant else ''}; there are: {known}", 2)


def _instruments(api: Interface, where: Site, sensor: SensorSettings) -> list[dict[str, Any]]:
    return api.items("instruments", plant=where.plant.id, point=sensor.point, sensor=sensor.id)


def _old(present: Mapping[str, Any], said: str, new: str) -> str:
    """The serial number of the instrument that goes; raises Refused where what is on record contradicts it."""
    known, recorded = present["serial"], present["mark"] is not None
    # Without a record the site file speaks, and it may have the new number already.
    known = known if recorded or known != new else ""
    if said and known not in ("", said):
        raise Refused(f"--old-serial {said}: as it is on record, {present['sensor']} is {known}; --list shows why")
    if new in (said, known):
        raise Refused(f"--serial {new}: that is the instrument that is there already")
    return said or known


def _span(from_: str, to: str) -> Mapping[str, int]:
    """The time of the work; without one the second that ends now."""
    if from_ or to:
        return {"from_ns": instant("--from", from_), "to_ns": instant("--to", to)}
    now_ns = time.time_ns()
    return {"from_ns": now_ns - SECOND_NS, "to_ns": now_ns}


def _show(found: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"items": found}, ensure_ascii=False, indent=1) + "\n")
        return
    table = terminal.table("serial", "instrument", "from", "to", "as found", "as left", "reference", "by", "why")
    for one in found:
        swapped = one["mark"] is not None
        values = [_value(one[name], one["unit"]) for name in ("as_found", "as_left", "reference")]
        by = f"{one['author']} (mark {one['mark']})" if swapped else ""
        table.add_row(
            one["serial"] or "not said", f"{one['maker']} {one['model']}", one["from"] or "the beginning",
            one["to"] or "now", *(values if swapped else ("", "", "")), by, one["reason"],
        )  # fmt: skip
    terminal.console().print(table)
    if found and found[-1]["site_serial"]:
        last = found[-1]
        sys.stdout.write(f"the site file says {last['site_serial']}: enter {last['serial']}, or record the swap\n")


def _value(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g} {unit}".strip()

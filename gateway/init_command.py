"""`emitwatch init [SITE]`: a first site file, from a list of instruments or from questions.

Nothing is written before all of it is good, and no file is written over unless that is asked for.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.prompt import Confirm, Prompt

from gateway import catalogue, terminal
from gateway.document import Fault, FaultyFiles
from gateway.links.address import LINK_HINT
from gateway.profiles import Profile
from gateway.sensors import resolve
from gateway.settings import parse_site, timezone_fault
from gateway.site_draft import (
    COLUMNS,
    INTERVALS_S,
    Instrument,
    PlantDraft,
    draft,
    id_fault,
    instruments,
    interval_fault,
    link_fault,
    profile_fault,
    repeated,
)
from gateway.terminal import AsJson

BROKER = "mqtt://127.0.0.1:1883"


def init(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The file to write.")] = Path("site.toml"),
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Instruments, one a line; columns: {', '.join(COLUMNS)}.")
    ] = None,
    plant: Annotated[str, typer.Option(metavar="ID", help="The plant's id.")] = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help="Its name, for people.")] = "",
    timezone: Annotated[str, typer.Option(metavar="NAME", help="As Asia/Shanghai; else the machine's.")] = "",
    broker: Annotated[str, typer.Option(metavar="URL", help=f"The MQTT broker; else {BROKER}.")] = "",
    profiles: Annotated[list[Path] | None, typer.Option(help="A folder of further profiles.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a first site file: from a CSV list of instruments, or by answering questions."""
    asks = sys.stdin.isatty() and not as_json
    if site.exists() and not force:
        raise _cannot(f"{site} is there already", "give another name, or --force to write over it")
    if csv is None and not asks:
        raise _cannot("no instruments", f"--csv FILE with the columns {', '.join(COLUMNS)}; on a terminal it asks")
    known = catalogue.profiles([str(folder) for folder in profiles or ()])
    given = PlantDraft(id=plant, name=name, timezone=timezone, broker=broker)
    of_plant = _asked_plant(given) if asks else _given_plant(given)
    found = _listed(csv, known) if csv else _asked_instruments(known)
    text = draft(of_plant, found, known, [os.path.relpath(folder, site.parent) for folder in profiles or ()])
    _check(text, str(site), known)
    site.parent.mkdir(parents=True, exist_ok=True)
    site.write_text(text, "utf-8")
    if as_json:
        points = len({one.point for one in found})
        typer.echo(json.dumps({"site": str(site), "plant": of_plant.id, "points": points, "sensors": len(found)}))
        return
    console = terminal.console()
    console.print(f"{site}: {len(found)} instruments at {len({one.point for one in found})} points", style="bold")
    console.print("next: say what each point is judged by (rules), put the broker's password into the file")
    console.print(f"broker.password beside it (mode 0600), then\n    emitwatch check {site}")
    console.print(f"    emitwatch run gateway {site}")


def _cannot(message: str, hint: str) -> typer.Exit:
    typer.echo(f"{message}\n    hint: {hint}", err=True)
    return typer.Exit(2)


def _listed(csv: Path, known: Mapping[str, Profile]) -> list[Instrument]:
    try:
        text = csv.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = 'a CSV file in UTF-8; spreadsheets call it "CSV UTF-8"'
        raise _cannot(f"{csv}: not readable: {error}", hint) from error
    found, faults = instruments(text, str(csv), known)
    if faults:
        raise FaultyFiles(faults)
    return found


def _check(text: str, file: str, known: Mapping[str, Profile]) -> None:
    """What only shows when all is put together: instruments read twice, a quantity measured twice at a point."""
    site, faults = parse_site(text, file)
    if site:
        _, faults = resolve(site, known, catalogue.parameters())
    if faults:
        raise FaultyFiles(faults)


# --- the plant ----------------------------------------------------------------------------------------


def _given_plant(given: PlantDraft) -> PlantDraft:
    """The plant as the command line has it."""
    zone = given.timezone or _machine_timezone()
    wrong = {"--plant": id_fault(given.id), "--timezone": timezone_fault(zone)}
    faults = [Fault("", option, None, *why) for option, why in wrong.items() if why]
    if faults:
        raise FaultyFiles(faults)
    return PlantDraft(id=given.id, name=given.name or given.id, timezone=zone, broker=given.broker or BROKER)


def _asked_plant(given: PlantDraft) -> PlantDraft:
    """The plant as it is answered; what the command line has is not asked for."""
    id = given.id or _ask("Plant id", id_fault, Path.cwd().name.lower())
    return PlantDraft(
        id=id,
        name=given.name or Prompt.ask("Its name, for people", default=id),
        timezone=given.timezone or _ask("Time zone", timezone_fault, _machine_timezone()),
        broker=given.broker or Prompt.ask("MQTT broker", default=BROKER),
        industry=Prompt.ask("Industry (GB/T 4754 code, empty = none)", default=""),
        district=Prompt.ask("District (GB/T 2260 code, empty = none)", default=""),
    )


def _machine_timezone() -> str:
    """The machine's time zone by its IANA name, "" = it does not tell."""
    if zone := os.environ.get("TZ"):
        return zone
    return str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]


# --- the instruments ------------------------------------------------------------------------------------


def _asked_instruments(known: Mapping[str, Profile]) -> list[Instrument]:
    """Instruments as they are answered, until there is no further one."""
    found: list[Instrument] = []
    while not found or Confirm.ask("Another instrument?", default=True):
        one = _asked_instrument(known)
        if repeated([*found, one], ""):
            terminal.console().print(f"{one.sensor!r} is there already; it is not taken", style="red")
        else:
            found.append(one)
    return found


def _asked_instrument(known: Mapping[str, Profile]) -> Instrument:
    sensor = _ask("Instrument id, as slm-north", id_fault)
    profile = _ask_profile(known)
    return Instrument(
        sensor=sensor,
        profile=profile,
        point=_ask("Where it stands: id of the point", id_fault, sensor),
        name=Prompt.ask("Name of the point, for people (empty = its id)", default=""),
        link=_ask(f"Link ({LINK_HINT})", link_fault),
        interval_s=float(_ask("Seconds between two polls", interval_fault, f"{INTERVALS_S[known[profile].kind]:g}")),
    )


def _ask_profile(known: Mapping[str, Profile]) -> str:
    """The device profile of an instrument; `?` shows those there are."""

    def fault(text: str) -> tuple[str, str] | None:
        if text != "?":
            return profile_fault(text, known)
        table = terminal.table("name", "kind", "gives", "title")
        for profile in known.values():
            table.add_row(profile.name, profile.kind, " ".join(profile.parameters), profile.title.en)
        terminal.console().print(table)
        return "", ""

    return _ask("Device profile (? shows all)", fault)


def _ask(question: str, fault: Callable[[str], tuple[str, str] | None], default: str | None = None) -> str:
    """An answer that is good; one that is not is asked for again, with what is wrong with it."""
    while True:
        answer = Prompt.ask(question, default=default) if default else Prompt.ask(question)
        text = (answer or "").strip()
        why = fault(text)
        if why is None:
            return text
        said: Sequence[str] = [part for part in why if part]
        terminal.console().print("\n    hint: ".join(said), style="red")

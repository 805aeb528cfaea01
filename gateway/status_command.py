"""`emitwatch status SITE [GATEWAY]`: how a running gateway is, asked on its own machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway import catalogue, terminal
from gateway.document import FaultyFiles
from gateway.measurement import Series, Status
from gateway.spooler import outbox_folder
from gateway.state import age
from gateway.status import TROUBLE, Shown, facts, problems, status_text, value_text
from gateway.status_server import ask
from gateway.terminal import AsJson


def status(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    gateway: Annotated[str, typer.Argument(help=r"Id of a [\[gateway]]; else all that run here.")] = "",
    as_json: AsJson = False,
) -> None:
    """What a gateway measures, and what is wrong with it; exit 1 where something is, 2 where none answers."""
    # A gateway goes on when its file has a fault, and is asked all the more.
    sites, faults = catalogue.scan_sites(str(site))
    folders = {one.id: outbox_folder(place.data_dir, one.id) for place in sites for one in place.gateways if one.id}
    if faults and not folders:
        raise FaultyFiles(faults)
    if gateway and gateway not in folders:
        sys.stderr.write(f"{site}: no gateway {gateway!r}; there is: {', '.join(folders)}\n")
        raise typer.Exit(2)
    found: dict[str, Any] = {}
    silent: dict[str, str] = {}
    for id in [gateway] if gateway else folders:
        try:
            found[id] = ask(folders[id])
        except PermissionError:
            silent[id] = "only its own user may ask it: sudo -u emitwatch emitwatch status .."
        except (OSError, ValueError):
            silent[id] = f"it does not run here: emitwatch run gateway {site}"
    if as_json:
        sys.stdout.write(json.dumps({"gateways": found, "silent": silent}, ensure_ascii=False, indent=1) + "\n")
    else:
        for state in found.values():
            _show(state)
        for id, hint in silent.items() if gateway or not found else ():
            sys.stderr.write(f"gateway {id} does not answer\n    hint: {hint}\n")
    if not found or any(problems(state) for state in found.values()):
        raise typer.Exit(1 if found else 2)


def _show(state: Mapping[str, Any]) -> None:
    console = terminal.console()
    table = terminal.table("measured", "value", "status", "age")
    for one in map(_shown, state["measured"]):
        style = "red" if one.status in TROUBLE else ""
        name = f"{one.series.sensor} {one.series.parameter}"
        said = status_text(one, state.get("good_s", {}))
        table.add_row(name, value_text(one), said, age(one.age_s), style=style)
    console.print(table if table.row_count else "nothing was measured yet")
    for name, text in facts(state):
        console.print(Text(f"{name:<15}{text}"))
    for what, hint in problems(state):
        console.print(Text(what + (f"\n    hint: {hint}" if hint else ""), "red"))
    if not problems(state):
        console.print(Text("all instruments answer, all is well", "green"))


def _shown(told: Mapping[str, Any]) -> Shown:
    return Shown(Series(**told["series"]), told["value"], Status[told["status"].upper()], told["age_s"])

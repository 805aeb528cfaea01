"""`emitwatch health SITE`: how a running collector is, asked on its own machine over its own interface."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from api.settings import ApiSettings, parse_api
from gateway import catalogue, terminal
from gateway.document import FaultyFiles
from gateway.terminal import AsJson

TIMEOUT_S = 10.0  # a collector that judges a year at once answers late, and is well


def health(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    as_json: AsJson = False,
) -> None:
    """How `emitwatch run all` is; exit 1 where something is wrong, 2 where it does not answer."""
    sites, faults = catalogue.scan_sites(str(site))
    # A collector goes on when its file has a fault, and is asked all the more.
    settings, wrong = parse_api(sites) if sites else (None, [])
    if settings is None:
        raise FaultyFiles([*faults, *wrong])
    try:
        found = asked(settings)
    except (OSError, ValueError) as error:
        hint = f"does it run on this machine? emitwatch run all {site}"
        sys.stderr.write(f"{settings.url} does not answer: {error}\n    hint: {hint}\n")
        raise typer.Exit(2) from error
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(found)
    raise typer.Exit(0 if found["ok"] else 1)


def asked(settings: ApiSettings) -> dict[str, Any]:
    """The answer of `/api/v1/health`; raises OSError or ValueError where there is none."""
    token = Path(settings.token_file).read_text("utf-8").strip()
    request = urllib.request.Request(  # noqa: S310 - of the site file's own host
        f"{settings.url}/api/v1/health", headers={"Authorization": f"Bearer {token}"}
    )
    # Without the proxies of the environment: it is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        found = json.load(answer)
    if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
        raise ValueError("what answers there is no collector")
    return found


def _show(found: Mapping[str, Any]) -> None:
    console = terminal.console()
    for name, text in facts(found):
        console.print(Text(f"{name:<10}{text}"))
    for problem in found["problems"]:
        console.print(Text(problem, "red"))
    if found["ok"]:
        console.print(Text("all is well", "green"))


def facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person looks at first, as (name, text). found: the answer of `/api/v1/health`."""
    journal, days = found["journal"], found["journal"].get("days_left")
    disk = "" if days is None else f", the disk will do for {days:.0f} days"
    behind = ((name, found[name]["behind"]) for name in ("store", "evaluator", "tree"))
    return [
        ("broker", "connected" if found["broker"]["connected"] else "not connected"),
        ("journal", f"position {journal['position']}{disk}"),
        *((name, f"{count} batches behind" if count else "up to date") for name, count in behind),
        ("gateways", ", ".join(_gateway(id, one) for id, one in found["gateways"].items()) or "none"),
    ]


def _gateway(id: str, one: Mapping[str, Any]) -> str:
    return f"{id} ({one['fresh']} batches since the start)" if one["trusted"] else f"{id} (not trusted)"

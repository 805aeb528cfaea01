"""`emitwatch grafana push`: the dashboards into a running Grafana, over its HTTP API.

Only calls by uid and name are used; those by number are switched off in Grafana 13.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from gateway.terminal import AsJson, Language, console, table

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Dashboards for a Grafana that runs already.")
DASHBOARDS = Path(__file__).parent / "dashboards"
FOLDER = "emitwatch"
TIMEOUT_S = 20.0


class Refused(Exception):
    """Grafana said no; the text says to what and why."""


@app.callback()
def grafana() -> None:
    """Dashboards for a Grafana that runs already."""


@app.command()
def push(
    url: Annotated[str, typer.Argument(help="Where Grafana is, as https://grafana.example.")],
    token_file: Annotated[
        Path | None, typer.Option(help="File with a service account's token; without it $GRAFANA_TOKEN.")
    ] = None,
    language: Language = "en",
    as_json: AsJson = False,
) -> None:
    """Write the dashboards into the folder emitwatch; those that are there are replaced."""
    if not (DASHBOARDS / language).is_dir():
        raise _fault(f"no dashboards in {language!r}", "en and zh are there")
    try:
        token = token_file.read_text().strip() if token_file else os.environ.get("GRAFANA_TOKEN", "")
    except OSError as error:
        raise _fault(f"{token_file}: {error.strerror}", "name the file that holds the token") from error
    if not token:
        raise _fault("no token", "make a service account with the role Editor in Grafana, and give --token-file")
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S) as client:
            done = pushed(client, language)
    except (Refused, httpx.HTTPError, httpx.InvalidURL) as error:
        raise _fault(f"{url}: {error}", "is that Grafana's address, and may the token edit dashboards?") from error
    if as_json:
        sys.stdout.write(json.dumps(done, indent=2) + "\n")
        return
    rows = table("dashboard", "address")
    for one in done:
        rows.add_row(one["title"], one["url"])
    console().print(rows)


def _fault(message: str, hint: str) -> typer.Exit:
    sys.stderr.write(f"emitwatch grafana push: {message}\n  hint: {hint}\n")
    return typer.Exit(1)


def pushed(client: httpx.Client, language: str) -> list[dict[str, str]]:
    """Make the folder where it is missing, then write the dashboards; title and address of each. Raises Refused."""
    found = client.get(f"/api/folders/{FOLDER}")
    if found.status_code == httpx.codes.NOT_FOUND:
        found = client.post("/api/folders", json={"uid": FOLDER, "title": FOLDER})
    _good(found, f"folder {FOLDER}")
    done = []
    for path in sorted((DASHBOARDS / language).glob("*.json")):
        board = json.loads(path.read_text())
        asked = {"dashboard": board, "folderUid": FOLDER, "overwrite": True, "message": "emitwatch grafana push"}
        answer = _good(client.post("/api/dashboards/db", json=asked), path.stem)
        done.append({"uid": board["uid"], "title": board["title"], "url": str(client.base_url.join(answer["url"]))})
    return done


def _good(answer: httpx.Response, what: str) -> dict[str, Any]:
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    try:
        why = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        why = ""
    raise Refused(f"{what}: {answer.status_code} {why or answer.reason_phrase}")

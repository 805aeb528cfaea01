"""`emitwatch mark`: an author says of measurements what they are worth, and signs it.

    emitwatch mark key FILE                    a key for an author
    emitwatch mark SITE --author .. --key ..   a mark, signed here and handed to the running collector

The key never leaves this machine: the collector's interface is asked what a mark has to name, the mark is signed
here, and the signed bytes are handed over. Nothing is written where the interface does not take it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from api.filing import (
    AuthorId,
    Interface,
    KeyFile,
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
from api.times import parse_time
from collector.marks import Kind, Named, Old
from gateway import catalogue
from gateway.identity import IdentityError, load_or_create_key, public_hex

RECORDS = {Kind.SWAP: "swap", Kind.SOUND_CHECK: "soundcheck", Kind.SHEET: "sheet"}


def main(arguments: Sequence[str]) -> int:
    """Make a key or a mark; the exit code: 1 = it was not taken, 2 = it could not be asked for."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    making = list(arguments[:1]) == ["key"]
    command: Callable[..., None] = key if making else mark
    app.command("mark")(command)
    try:
        app(list(arguments[1:] if making else arguments), prog_name=f"emitwatch mark{' key' if making else ''}")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def key(
    file: Annotated[Path, typer.Argument(help="Where the key goes; one that is there is shown, never replaced.")],
    author: Annotated[str, typer.Option(help="Id of the author, for the table to paste.")] = "author-id",
    role: Annotated[str, typer.Option(help="plant or admin.")] = "plant",
) -> None:
    """Make an author's key, and print the table that makes him known."""
    try:
        made, created = load_or_create_key(file)
    except IdentityError as error:
        raise fail(str(error), 2) from error
    sys.stdout.write(
        f"{file}: {'a new key, readable by its owner alone' if created else 'the key that was there'}; keep a copy\n"
        f'enter in the site file:\n\n[[author]]\nid = "{author}"\nrole = "{role}"\npublic_key = "{public_hex(made)}"\n'
    )


def mark(
    site: SitePath,
    author: AuthorId,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why; shown with it for ever.")],
    kind: Annotated[Kind, typer.Option(help="What you say of them.")] = Kind.NOTE,
    plant: PlantId = "",
    point: Annotated[str, typer.Option(help="Which point.")] = "",
    parameter: Annotated[str, typer.Option(help="Which parameter; all of the point if absent.")] = "",
    sensor: Annotated[str, typer.Option(help="Which sensor; all of the point if absent.")] = "",
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="First instant, RFC 3339 with offset.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Instant after the last, RFC 3339.")] = "",
    scale: Annotated[float | None, typer.Option(help="Correction: value * scale + offset.")] = None,
    offset: Annotated[float | None, typer.Option(help="Correction: value * scale + offset.")] = None,
    values: Annotated[Path | None, typer.Option(help="Correction: a CSV file with the columns time, value.")] = None,
    revoke: Annotated[int | None, typer.Option(metavar="ID", help="Take this mark back, instead.")] = None,
    url: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Mark measurements of a point as maintenance, calibration, invalid or corrected, or note something about them."""
    sites = catalogue.load_sites(str(site))
    where, who = author_of(sites, plant, author)
    if kind in RECORDS:
        raise fail(f"a {kind} is a record of its own: `emitwatch {RECORDS[kind]}` makes it", 2)
    with interface(sites, url, token_file) as api:
        by = signer(where, who, key)
        if revoke is not None:
            said = _taken_back(api, where.plant.id, revoke)
        else:
            said = {
                "kind": kind, "point": point, "parameter": parameter, "sensor": sensor, "scale": scale,
                "offset": offset, "from_ns": instant("--from", from_), "to_ns": instant("--to", to),
                "values": _table(values) if values else (),
            }  # fmt: skip
        made, id = api.file(by, {**said, "reason": reason})
    sys.stdout.write(f"mark {id}: {made.kind} of {where.plant.id}/{made.point}, signed by {who.id}\n")


def _taken_back(api: Interface, plant: str, id: int) -> dict[str, Any]:
    """A revocation of a mark: it repeats what that one speaks of."""
    found = api.get("marks", plant=plant, cursor=str(id - 1) if id > 1 else "", limit=1)
    if not found["items"] or found["items"][0]["id"] != id:
        raise Refused(f"plant {plant} has no mark {id}; `marks` of the interface lists them")
    other = found["items"][0]
    return {
        "kind": Kind.REVOCATION, **{name: other[name] for name in ("point", "parameter", "sensor")},
        "from_ns": parse_time(other["from"]), "to_ns": parse_time(other["to"]), "old": Old(**other["old"]),
        "revokes": Named(id, other["sha256"]),
    }  # fmt: skip


def _table(file: Path) -> tuple[tuple[int, float], ...]:
    """Instants and new values of a CSV file, by time."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"time", "value"} <= set(rows.fieldnames or ()):
            raise Refused(f"{file}: its heading has no time and value")
        return tuple(sorted((parse_time(row["time"]), float(row["value"])) for row in rows))

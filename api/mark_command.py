"""`emitwatch mark`: an author says of measurements what they are worth, and signs it.

    emitwatch mark key FILE                    a key for an author
    emitwatch mark SITE --author .. --key ..   a mark, signed here and handed to the running collector

The key never leaves this machine: the collector's interface is asked what a mark has to name, the mark is signed
here, and the signed bytes are handed over. Nothing is written where the interface does not take it.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.settings import ApiSettings, parse_api
from api.times import format_time, parse_time
from collector.authors import Author, parse_authors
from collector.marks import Kind, Mark, MarkError, Named, Old, sign
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.identity import IdentityError, load_or_create_key, public_hex
from gateway.settings import Site

WAIT_S = 120.0  # a week of batches is looked up
BYTES = {"Content-Type": "application/octet-stream"}


class _Refused(Exception):
    """Why there is no mark, in words for the person who wanted it."""


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
        _fail(str(error), 2)
    sys.stdout.write(
        f"{file}: {'a new key, readable by its owner alone' if created else 'the key that was there'}; keep a copy\n"
        f'enter in the site file:\n\n[[author]]\nid = "{author}"\nrole = "{role}"\npublic_key = "{public_hex(made)}"\n'
    )


def mark(
    site: Annotated[Path, typer.Argument(help="The collector's site file, or its folder of them.")],
    author: Annotated[str, typer.Option(help="Your id there.")],
    key: Annotated[Path, typer.Option(help="File with your key, as `emitwatch mark key` made it.")],
    reason: Annotated[str, typer.Option(help="Why; shown with it for ever.")],
    kind: Annotated[Kind, typer.Option(help="What you say of them.")] = Kind.NOTE,
    plant: Annotated[str, typer.Option(help="Which plant, where there are several.")] = "",
    point: Annotated[str, typer.Option(help="Which point.")] = "",
    parameter: Annotated[str, typer.Option(help="Which parameter; all of the point if absent.")] = "",
    sensor: Annotated[str, typer.Option(help="Which sensor; all of the point if absent.")] = "",
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="First instant, RFC 3339 with offset.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Instant after the last, RFC 3339.")] = "",
    scale: Annotated[float | None, typer.Option(help="Correction: value * scale + offset.")] = None,
    offset: Annotated[float | None, typer.Option(help="Correction: value * scale + offset.")] = None,
    values: Annotated[Path | None, typer.Option(help="Correction: a CSV file with the columns time, value.")] = None,
    revoke: Annotated[int | None, typer.Option(metavar="ID", help="Take this mark back, instead.")] = None,
    url: Annotated[str, typer.Option(help="Address of the interface, if not the site file's.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="Its token, if not the site file's.")] = None,
) -> None:
    """Mark measurements of a point as maintenance, calibration, invalid or corrected, or note something about them."""
    sites = catalogue.load_sites(str(site))
    settings, (where, who) = _settings(sites), _author(sites, plant, author)
    address = url or f"http://{_host(settings)}:{settings.port}"
    try:
        own = _key(key, who)
        with _client(address, token_file or Path(settings.token_file)) as api:
            if revoke is not None:
                said = _taken_back(api, where.plant.id, revoke)
            else:
                said = {
                    "kind": kind, "point": point, "parameter": parameter, "sensor": sensor, "scale": scale,
                    "offset": offset, "from_ns": _instant("--from", from_), "to_ns": _instant("--to", to),
                    "values": _table(values) if values else (),
                }  # fmt: skip
            made, id = _handed_over(api, where, who, own, {**said, "reason": reason})
    except (_Refused, MarkError, ValueError) as error:
        _fail(str(error), 1)
    except (IdentityError, OSError, httpx.HTTPError) as error:
        _fail(f"{address}: {error}" if isinstance(error, httpx.HTTPError) else str(error), 2)
    sys.stdout.write(f"mark {id}: {made.kind} of {where.plant.id}/{made.point}, signed by {who.id}\n")


def _handed_over(
    api: httpx.Client, where: Site, who: Author, own: Ed25519PrivateKey, said: Mapping[str, Any]
) -> tuple[Mark, int]:
    """Make, sign and hand over a mark; it and its place in the journal."""
    span = {"from": format_time(said["from_ns"]), "to": format_time(said["to_ns"])}
    found = _answer(api.get("marks/basis", params={"plant": where.plant.id, "point": said["point"], **span}))
    named = {"old": Old(**found["old"]), "prev": found["prev"], **said}
    made = Mark(**named, plant=where.plant.id, author=who.id, role=who.role, made_ns=time.time_ns())
    return made, _answer(api.post("marks", content=sign(made, own), headers=BYTES))["id"]


def _key(file: Path, author: Author) -> Ed25519PrivateKey:
    own = load_or_create_key(file)[0] if file.exists() else None
    if own is None or public_hex(own) != author.public_key:
        raise _Refused(f"{file}: it is not the key of author {author.id}; `emitwatch mark key` makes one")
    return own


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


def _settings(sites: Sequence[Site]) -> ApiSettings:
    settings, faults = parse_api(sites)
    if settings is None:
        raise FaultyFiles(faults)
    return settings


def _author(sites: Sequence[Site], plant: str, author: str) -> tuple[Site, Author]:
    """The site and the author meant; raises typer.Exit where there is none."""
    authors, faults = parse_authors(sites)
    if faults:
        raise FaultyFiles(faults)
    there = [site for site in sites if site.plant.id == plant or not plant]
    found = [(site, authors[site.plant.id, author]) for site in there if (site.plant.id, author) in authors]
    if len(found) == 1:
        return found[0]
    if found:
        _fail(f"author {author} is of several plants; say which: --plant {' | '.join(s.plant.id for s, _ in found)}", 2)
    known = ", ".join(sorted({id for _, id in authors})) or "none"
    _fail(f"no [[author]] {author!r} in the site file{f' of plant {plant}' if plant else ''}; there are: {known}", 2)


def _host(settings: ApiSettings) -> str:
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host  # noqa: S104 - asked, not bound
    return f"[{host}]" if ":" in host else host


def _client(url: str, token_file: Path) -> httpx.Client:
    token = token_file.read_text("utf-8").strip() if token_file.exists() else ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{url.rstrip('/')}/api/v1/", headers=headers, timeout=WAIT_S)


def _answer(answer: httpx.Response) -> dict[str, Any]:
    """What the interface says; raises _Refused with its own words."""
    try:
        said: dict[str, Any] = answer.json()
    except ValueError:
        said = {}
    if answer.is_success and said:
        return said
    hint = f"\n    hint: {said['hint']}" if said.get("hint") else ""
    raise _Refused(f"not taken ({answer.status_code}): {said.get('detail', answer.reason_phrase)}{hint}")


def _taken_back(api: httpx.Client, plant: str, id: int) -> dict[str, Any]:
    """A revocation of a mark: it repeats what that one speaks of."""
    found = _answer(api.get("marks", params={"plant": plant, "cursor": str(id - 1) if id > 1 else "", "limit": 1}))
    if not found["items"] or found["items"][0]["id"] != id:
        raise _Refused(f"plant {plant} has no mark {id}; `marks` of the interface lists them")
    other = found["items"][0]
    return {
        "kind": Kind.REVOCATION, **{name: other[name] for name in ("point", "parameter", "sensor")},
        "from_ns": parse_time(other["from"]), "to_ns": parse_time(other["to"]), "old": Old(**other["old"]),
        "revokes": Named(id, other["sha256"]),
    }  # fmt: skip


def _instant(name: str, text: str) -> int:
    if not text:
        raise _Refused(f"{name}: missing; the first instant is included, the last one not")
    return parse_time(text)


def _table(file: Path) -> tuple[tuple[int, float], ...]:
    """Instants and new values of a CSV file, by time."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"time", "value"} <= set(rows.fieldnames or ()):
            raise _Refused(f"{file}: its heading has no time and value")
        return tuple(sorted((parse_time(row["time"]), float(row["value"])) for row in rows))

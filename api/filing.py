"""How commands on an author's machine hand over what he signs: shared by `mark`, `swap`, `soundcheck` and `sheet`.

The key never leaves this machine: the collector's interface is asked what a mark has to name, the mark is signed
here, and the signed bytes are handed over. Nothing is written where the interface does not take it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import httpx
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.settings import ApiSettings, parse_api
from api.times import format_time, parse_time
from collector.authors import Author, parse_authors
from collector.marks import Mark, MarkError, Old, sign
from gateway.document import FaultyFiles
from gateway.identity import IdentityError, load_or_create_key, public_hex
from gateway.settings import Site

WAIT_S = 120.0  # a week of batches is looked up
PAGES = 1000  # of a list, at most
BYTES = {"Content-Type": "application/octet-stream"}

SitePath: TypeAlias = Annotated[Path, typer.Argument(help="The collector's site file, or its folder of them.")]
AuthorId: TypeAlias = Annotated[str, typer.Option(help="Your id there.")]
KeyFile: TypeAlias = Annotated[Path, typer.Option(help="File with your key, as `emitwatch mark key` made it.")]
PlantId: TypeAlias = Annotated[str, typer.Option(help="Which plant, where there are several.")]
Url: TypeAlias = Annotated[str, typer.Option(help="Address of the interface, if not the site file's.")]
TokenFile: TypeAlias = Annotated[Path | None, typer.Option(help="Its token, if not the site file's.")]


class Refused(Exception):
    """Why there is no record, in words for the person who wanted it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """An author at his desk."""

    site: Site
    author: Author
    key: Ed25519PrivateKey


class Interface:
    """The running collector's interface."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **asked: str | int) -> dict[str, Any]:
        """One answer; raises Refused with the interface's own words."""
        return _answer(self._client.get(path, params=asked))

    def items(self, path: str, **asked: str | int) -> list[dict[str, Any]]:
        """All items of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        for _ in range(PAGES):
            page = self.get(path, **asked, **({"cursor": cursor} if cursor else {}))
            found, cursor = found + page["items"], page["next"]
            if cursor is None:
                return found
        raise Refused(f"{path}: more than {len(found)} items; ask for less")

    def file(self, by: Signer, said: Mapping[str, Any]) -> tuple[Mark, int]:
        """Make, sign and hand over a mark; it and its place in the journal. said: its fields but those of the maker."""
        plant, span = by.site.plant.id, {name: format_time(said[f"{name}_ns"]) for name in ("from", "to")}
        found = self.get("marks/basis", plant=plant, point=said["point"], **span)
        named = {"old": Old(**found["old"]), "prev": found["prev"], **said}
        made = Mark(**named, plant=plant, author=by.author.id, role=by.author.role, made_ns=time.time_ns())
        answer = self._client.post("marks", content=sign(made, by.key), headers=BYTES)
        return made, int(_answer(answer)["id"])


@contextmanager
def interface(sites: Sequence[Site], url: str, token_file: Path | None) -> Iterator[Interface]:
    """The interface of the sites' collector. What goes wrong with it ends the command: 1 = refused, 2 = not reached."""
    settings = _settings(sites)
    address = url or settings.url
    try:
        with _client(address, token_file or Path(settings.token_file)) as client:
            yield Interface(client)
    except (Refused, MarkError, ValueError) as error:
        raise fail(str(error), 1) from error
    except (IdentityError, OSError, httpx.HTTPError) as error:
        raise fail(f"{address}: {error}" if isinstance(error, httpx.HTTPError) else str(error), 2) from error


def author_of(sites: Sequence[Site], plant: str, author: str) -> tuple[Site, Author]:
    """The site and the author meant; raises typer.Exit where there is none."""
    authors, faults = parse_authors(sites)
    if faults:
        raise FaultyFiles(faults)
    there = [site for site in sites if site.plant.id == plant or not plant]
    found = [(site, authors[site.plant.id, author]) for site in there if (site.plant.id, author) in authors]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(
            f"author {author} is of several plants; say which: --plant {' | '.join(s.plant.id for s, _ in found)}", 2
        )
    known = ", ".join(sorted({id for _, id in authors})) or "none"
    raise fail(
        f"no [[author]] {author!r} in the site file{f' of plant {plant}' if plant else ''}; there are: {known}", 2
    )


def signer(where: Site, author: Author, file: Path) -> Signer:
    """The author with his key; raises Refused where the file does not hold it."""
    own = load_or_create_key(file)[0] if file.exists() else None
    if own is None or public_hex(own) != author.public_key:
        raise Refused(f"{file}: it is not the key of author {author.id}; `emitwatch mark key` makes one")
    return Signer(where, author, own)


def instant(name: str, text: str) -> int:
    """A time that an option gives, which has to be there. [ns since 1970 UTC]"""
    if not text:
        raise Refused(f"{name}: missing; the first instant is included, the last one not")
    return parse_time(text)


def fail(message: str, code: int) -> typer.Exit:
    """What ends the command, after a sentence that says why."""
    sys.stderr.write(f"{message}\n")
    return typer.Exit(code)


def _settings(sites: Sequence[Site]) -> ApiSettings:
    settings, faults = parse_api(sites)
    if settings is None:
        raise FaultyFiles(faults)
    return settings


def _client(url: str, token_file: Path) -> httpx.Client:
    token = token_file.read_text("utf-8").strip() if token_file.exists() else ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{url.rstrip('/')}/api/v1/", headers=headers, timeout=WAIT_S)


def _answer(answer: httpx.Response) -> dict[str, Any]:
    try:
        said: dict[str, Any] = answer.json()
    except ValueError:
        said = {}
    if answer.is_success and said:
        return said
    hint = f"\n    hint: {said['hint']}" if said.get("hint") else ""
    raise Refused(f"not taken ({answer.status_code}): {said.get('detail', answer.reason_phrase)}{hint}")

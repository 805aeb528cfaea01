"""`emitwatch export`: a plant's measurements with their proof in one file; `--hash`: one hash for everything stored.

An export may be made while the collector runs. The hash reads the store, whose file has one owner at a
time: it is refused while a collector runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.fingerprint import fingerprint
from collector.intake.journal import JournalError
from collector.intake.journal_files import JournalFiles
from collector.proof import exporter
from collector.proof.collector_key import current_key
from collector.proof.exporter import END_NS, Order
from collector.proof.identities import Register, RegisterBroken, read_register
from collector.proof.leaf_file import ProofError, read_kept
from collector.proof.register_file import FILE as REGISTER
from collector.settings import CollectorSettings, parse_collector
from collector.store import StoreError
from collector.stores.opening import has_store, open_store, store_name
from collector.verdicts.book import BookError
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.identity import IdentityError, public_hex
from gateway.settings import Site
from gateway.terminal import AsJson


def export(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="First instant, RFC 3339 with offset.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Instant after the last, RFC 3339.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write; a file not there.")] = None,
    point: Annotated[list[str] | None, typer.Option(help="Only this point's rows in the CSV; may stand twice.")] = None,
    gateway: Annotated[list[str] | None, typer.Option(help="Only this gateway's rows; may stand twice.")] = None,
    hash_: Annotated[bool, typer.Option("--hash", help="Print one SHA-256 of everything stored and judged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write measurements and all that proves them to a zip file, for `emitwatch verify`."""
    sites = catalogue.load_sites(str(site))
    settings, faults = parse_collector(sites)
    if settings is None:
        raise FaultyFiles(faults)
    try:
        from_ns, to_ns = (_instant(text) if text else None for text in (from_, to))
        if from_ns is not None and to_ns is not None and from_ns >= to_ns:
            raise ProofError(f"--from {from_} is not before --to {to}; nothing is between them")
        found: dict[str, Any]
        if hash_:
            found = {"sha256": (said := _hash(settings, from_ns, to_ns))}
        else:
            order = _order(sites, settings, (from_ns, to_ns), (point or (), gateway or ()))
            found = _export(sites, settings, order, out)
            file, until = found["file"], found["received_until"] or "nothing came yet"
            said = f"{file}: {found['batches']} batches, received until {until}; prove it: emitwatch verify {file}"
    except ValueError as error:
        sys.stderr.write(f"{error}\n    hint: an RFC 3339 time with offset, as 2026-11-01T00:00:00+08:00\n")
        raise typer.Exit(2) from error
    except (ProofError, JournalError, StoreError, BookError, IdentityError, RegisterBroken) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    sys.stdout.write(f"{json.dumps(found) if as_json else said}\n")


def _hash(settings: CollectorSettings, from_ns: int | None, to_ns: int | None) -> str:
    if not has_store(settings):
        raise StoreError(f"{store_name(settings)}: no store here; `emitwatch rebuild` makes it from the journal")
    with closing(open_store(settings)) as store:
        verdicts = Path(settings.folder) / "verdicts.db"
        return fingerprint(store, verdicts, from_ns=from_ns or 0, to_ns=END_NS if to_ns is None else to_ns)


def _order(
    sites: Sequence[Site], settings: CollectorSettings, span: tuple[int | None, int | None],
    only: tuple[Sequence[str], Sequence[str]],
) -> Order:  # fmt: skip
    """What is wanted. only: points and gateways, none = all; raises ProofError for one that no site file has."""
    known = {point.id for site in sites for point in site.points}, set(settings.trusted)
    for names, all_names, what in zip(only, known, ("point", "gateway"), strict=True):
        for name in names:
            if name not in all_names:
                raise ProofError(f"no {what} {name!r} in the site files; known: {', '.join(sorted(all_names))}")
    return Order(
        plants=[site.plant.id for site in sites],
        gateways={id: (g.plant, public_hex(g.key) if g.key else "") for id, g in settings.trusted.items()},
        authors={
            site.plant.id: {a.id: a.public_key for (plant, _), a in settings.authors.items() if plant == site.plant.id}
            for site in sites
        },
        from_ns=span[0],
        to_ns=span[1],
        register=_register(Path(settings.folder) / REGISTER),
        points=only[0],
        only=only[1],
    )


def _export(sites: Sequence[Site], settings: CollectorSettings, order: Order, out: Path | None) -> dict[str, Any]:
    """Write it; what was written. received_until: None where nothing was received."""
    folder = Path(settings.folder)
    out = out or Path(f"emitwatch-{sites[0].plant.id if len(sites) == 1 else 'export'}.zip")
    journal = JournalFiles(folder / "journal")
    key, _ = current_key(folder)
    manifest = exporter.export(
        journal,
        read_kept(folder / "tree.db"),
        order,
        key=key,
        out=out,
        progress=_tell if sys.stderr.isatty() else _quiet,
    )
    batches = sum(plant["count"] for plant in manifest["plants"].values())
    until = manifest["received_until"] if batches else None
    return {"file": str(out), "batches": batches, "received_until": until}


def _tell(position: int) -> None:
    sys.stderr.write(f"\rposition {position} of the journal ")


def _quiet(_: int) -> None:
    """Nobody looks on."""


def _register(path: Path) -> tuple[str, Register]:
    """The register of identities, read once; raises RegisterBroken."""
    text = path.read_text("utf-8") if path.exists() else ""
    return text, read_register(text, str(path))


def _instant(text: str) -> int:
    """An RFC 3339 time, to the microsecond; ValueError where it is none. [ns since 1970 UTC]"""
    instant = datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC")
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000

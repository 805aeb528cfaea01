"""`emitwatch journal`: the months of the collector's journal - list, seal, archive, attach, expire - and its restoring.

`list` may be asked while the collector runs; all others hold the journal's lock, and are refused then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from collector.intake.cellar import Cellar
from collector.intake.journal import Journal, JournalError
from collector.intake.journal_files import JournalFiles
from collector.proof.leaf_file import ProofError, read_kept
from collector.proof.leaves import entry_leaf
from collector.restored import tell_restored
from collector.settings import CollectorSettings, parse_collector
from collector.store import Entry, StoreError
from collector.stores.opening import has_store, open_store, store_name
from collector.verdicts.book import Book, BookError
from gateway import catalogue
from gateway.document import FaultyFiles

app = typer.Typer(
    help="The months of the collector's journal: where they are, and where they go.", no_args_is_help=True
)

Site = Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")]
Name = Annotated[str, typer.Argument(metavar="MONTH", help="As 2026-11, by the time of receipt, UTC.")]


@app.command("list")
def show(
    site: Site, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False
) -> None:
    """List the months: sealed, archived, expired, or still open."""
    with _errors():
        files = JournalFiles(_folder(_settings(site)))
        if as_json:
            fields = ("name", "state", "first", "last", "bytes", "sha256", "place")
            told = [{field: getattr(month, field) for field in fields} for month in files.months]
            sys.stdout.write(json.dumps([*told, *({"name": name, "state": "open"} for name in files.open)]) + "\n")
            return
        for month in files.months:
            size = f"{month.bytes / 1e6:.1f} MB"
            sys.stdout.write(f"{month.name}  {month.last - month.first + 1:>10} entries  {size:>10}  {month.sha256}  ")
            sys.stdout.write(f"{month.state}{f' to {month.place}' if month.place else ''}\n")
        sys.stdout.write("".join(f"{name}  open\n" for name in files.open))


@app.command()
def seal(site: Site) -> None:
    """Seal every month that is over. The collector does that by itself, once an hour."""
    with _cellar(site) as cellar:
        for month in cellar.seal():
            sys.stdout.write(f"{month.name} is sealed: SHA-256 {month.sha256}\n")


@app.command()
def archive(
    site: Site, month: Name, to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where its file goes.")]
) -> None:
    """Move a sealed month's file to another folder, to be attached again when it is wanted."""
    with _cellar(site) as cellar:
        moved = cellar.archive(month, to)
        sys.stdout.write(f"{moved.name} is archived to {moved.place}: SHA-256 {moved.sha256}\n")


@app.command()
def attach(site: Site, file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the month.")]) -> None:
    """Bring a month back, after its hash and every batch's leaf in the tree were compared."""
    settings = _settings(site)
    leaves = {at: leaf for of in read_kept(_tree(settings)).leaves.values() for at, leaf in of}

    def vouched(entry: Entry) -> bool:
        return leaves.get(entry.position) == entry_leaf(entry)

    with _cellar(site) as cellar:
        sys.stdout.write(f"{cellar.attach(file, vouched).name} is here again\n")


@app.command()
def expire(site: Site, month: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Let a sealed month's entries go for good. Its leaves stay in the trees: no proof breaks."""
    with _cellar(site) as cellar:
        cellar.expirable(month)
        if not yes:
            typer.confirm(f"What was received in {month} cannot be shown to anybody afterwards. Go on?", abort=True)
        sys.stdout.write(f"{cellar.expire(month).name} has expired\n")


@app.command()
def restored(site: Site) -> None:
    """Say that the journal was put back from a backup, its mark too: gateways send again what it lacks."""
    settings = _settings(site)
    with _errors():
        JournalFiles(_folder(settings))
        with closing(Journal(_folder(settings), restored=True)) as journal:
            text = tell_restored(journal, Path(settings.folder))
            ahead = [name for name, at in _followers(settings).items() if at > journal.last]
    sys.stdout.write(f"{text}\n")
    if ahead:
        sys.stdout.write(f"ahead of it: {', '.join(ahead)}; before the start: emitwatch rebuild {site} --verdicts\n")


def _settings(site: Path) -> CollectorSettings:
    settings, faults = parse_collector(catalogue.load_sites(str(site)))
    if settings is None:
        raise FaultyFiles(faults)
    return settings


def _folder(settings: CollectorSettings) -> Path:
    return Path(settings.folder) / "journal"


def _tree(settings: CollectorSettings) -> Path:
    return Path(settings.folder) / "tree.db"


@contextmanager
def _cellar(site: Path) -> Iterator[Cellar]:
    settings = _settings(site)
    with _errors():
        JournalFiles(_folder(settings))  # says so where there is none, instead of making one
        with closing(Journal(_folder(settings))) as journal:
            yield Cellar(journal, lambda: min(_followers(settings).values()))


def _followers(settings: CollectorSettings) -> dict[str, int]:
    """How far those that follow the journal have read it; what was never made follows nothing."""
    verdicts, found = Path(settings.folder) / "verdicts.db", {"tree.db": read_kept(_tree(settings)).position}
    if verdicts.exists():
        with closing(Book(verdicts)) as book:
            found["verdicts.db"] = book.cursor()
    if has_store(settings):
        with closing(open_store(settings)) as store:
            found[Path(store_name(settings)).name] = store.cursor()
    return found


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (JournalError, ProofError, StoreError, BookError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error

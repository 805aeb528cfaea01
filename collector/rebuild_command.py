"""`emitwatch rebuild`: the store made anew from the journal, which has everything.

The new file is made beside the old one and takes its place when it is whole, so that a rebuild that
is interrupted leaves what was there. On a server it is emptied and filled again; interrupted, the collector goes on
where the rebuild was. It holds the journal's lock: while a collector runs it is refused.
Months that are not here (`emitwatch journal`) are missed by name, or left out on demand.
`--verdicts` derives averages and exceedances anew too, by the rules as they are now. `--check` leaves the old
store in place and names each row of it that is not what the journal says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from collector.difference import differences
from collector.intake.journal import Journal, JournalError
from collector.intake.months import REMEDY
from collector.intake.projector import GROUP_ENTRIES, Projector
from collector.settings import CollectorSettings, parse_collector
from collector.store import Rows, Store, StoreError
from collector.stores.duckdb import DuckdbStore
from collector.stores.opening import has_store, open_store, store_name
from collector.verdicts.book import Book, BookError
from collector.verdicts.evaluator import Line, site_rules
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.identity import sync_folder
from gateway.settings import Site
from gateway.terminal import AsJson

END = 2**63 - 1
SHOWN = 20  # rows that are named


def rebuild(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Averages and exceedances too, by the rules as they are now.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; name the rows that are not so.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out the months that were archived or have expired.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the store anew from the journal; the collector must not run."""
    sites = catalogue.load_sites(str(site))
    settings, faults = parse_collector(sites)
    if settings is None:
        raise FaultyFiles(faults)
    folder = Path(settings.folder)
    if not any((folder / "journal").glob("*.db")):
        sys.stderr.write(f"{folder / 'journal'}: no journal here; is it the data_dir of a collector that has run?\n")
        raise typer.Exit(2)
    try:
        with closing(Journal(folder / "journal")) as journal:
            _require_months(journal, partial=partial, verdicts=verdicts)
            if check:
                raise typer.Exit(_check(journal, settings, as_json=as_json))
            rows = refill(journal, settings) if settings.influx else rebuild_store(journal, Path(settings.store_path))
            _say(f"{store_name(settings)}: {rows} measurements, journal up to {journal.last}", as_json=as_json)
            if verdicts:
                rebuild_verdicts(journal, folder / "verdicts.db", sites)
                _say(f"{folder / 'verdicts.db'}: derived anew", as_json=as_json)
            if as_json:
                told = {"store": store_name(settings), "measurements": rows, "position": journal.last}
                sys.stdout.write(json.dumps(told) + "\n")
    except (JournalError, StoreError, BookError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error


def _require_months(journal: Journal, *, partial: bool, verdicts: bool) -> None:
    """Raise JournalError where months lack that are wanted."""
    away = [month for month in journal.months.values() if not month.here]
    if away and (verdicts or not partial):
        hint = (
            "averages are derived from all of it" if verdicts else "--partial leaves them out: the store has less then"
        )
        raise JournalError(f"the journal has not here: {', '.join(map(str, away))}. {REMEDY}; {hint}")


def rebuild_store(journal: Journal, path: Path) -> int:
    """Make the store in a file anew, of the months that are here; the number of measurements in it."""
    draft = _draft(path)
    with closing(DuckdbStore(draft)) as store:
        rows = len(_project(journal, store, END))
    _swap(draft, path)
    return rows


def refill(journal: Journal, settings: CollectorSettings) -> int:
    """Empty the store on a server and fill it again, of the months that are here; the number of measurements in it."""
    from collector.stores.influxdb.store import InfluxStore

    with closing(open_store(settings)) as store:
        assert isinstance(store, InfluxStore)
        store.clear()
        return len(_project(journal, store, END))


def _project(journal: Journal, store: Store, upto: int) -> Rows:
    """Bring what the journal has up to a position into a store; what is in it."""
    projector = Projector(journal, store)
    while entries := journal.read(journal.beyond(store.cursor()), min(GROUP_ENTRIES, upto - store.cursor())):
        projector.project(entries)
    return store.keys()


def _say(text: str, *, as_json: bool) -> None:
    """Tell people how far it is."""
    if not as_json:
        sys.stdout.write(f"{text}\n")


def _check(journal: Journal, settings: CollectorSettings, *, as_json: bool) -> int:
    """Compare a store with the journal, as far as it has come; the exit code."""
    path = store_name(settings)
    if not has_store(settings):
        raise StoreError(f"{path}: no store here; without --check it is made")
    draft = Path(settings.store_path).with_name(f"{Path(settings.store_path).name}.check")
    _remove(draft, "")
    try:
        with closing(open_store(settings)) as store:
            found, position = store.keys(), store.cursor()
        with closing(DuckdbStore(draft)) as expected:
            wrong = differences(found, _project(journal, expected, position))
    finally:
        _remove(draft, "")
    if as_json:
        told = {"store": path, "measurements": len(found), "position": position, "wrong": wrong}
        sys.stdout.write(json.dumps(told, default=str) + "\n")
        return 1 if wrong else 0
    for what, row in wrong[:SHOWN]:
        sys.stdout.write(f"BROKEN {path}: {what}: {row}\n")
    more = f"... and {len(wrong) - SHOWN} more\n" if len(wrong) > SHOWN else ""
    verdict = f"{len(wrong)} rows are not what the journal says" if wrong else "as the journal says"
    sys.stdout.write(f"{more}{path}: {len(found)} measurements up to position {position}: {verdict}\n")
    return 1 if wrong else 0


def rebuild_verdicts(journal: Journal, path: Path, sites: Sequence[Site]) -> None:
    """Derive averages and exceedances anew; raises FaultyFiles where rules and sites do not fit."""
    rules, intervals = site_rules(sites)
    history = {gateway.id for site in sites for gateway in site.gateways if gateway.history}
    draft = _draft(path)
    with closing(Book(draft)) as book:
        line = Line(journal, book, rules, intervals, history=history)
        while entries := journal.read(line.position, GROUP_ENTRIES):
            for entry in entries:
                line.take(entry)
    _swap(draft, path)


def _draft(path: Path) -> Path:
    """A file beside another, not there yet; what an interrupted rebuild left is removed."""
    draft = path.with_name(f"{path.name}.new")
    _remove(draft, "")
    return draft


def _swap(draft: Path, path: Path) -> None:
    """Put a whole file in the place of the old one. What the old one had beside it would spoil the new one."""
    _remove(path)
    draft.replace(path)
    _remove(draft)
    sync_folder(path.parent)


def _remove(path: Path, *suffixes: str) -> None:
    for suffix in (*suffixes, ".wal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)

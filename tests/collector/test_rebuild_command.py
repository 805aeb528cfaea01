"""The store can be thrown away: rebuilt from the journal it holds the same rows, and the hash says so."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from api.cli import main
from collector.fingerprint import fingerprint
from collector.intake.journal import Journal
from collector.intake.projector import Projector
from collector.proof.exporter import END_NS
from collector.rebuild_command import rebuild_verdicts
from collector.stores.duckdb import DuckdbStore
from collector.stores.memory import MemoryStore
from collector.verdicts.book import Book
from gateway.catalogue import load_sites
from tests.collector.batches import START_NS
from tests.collector.influx_servers import Influxd
from tests.collector.proof.kit import MINUTE_NS, House, noise

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def hash_of(house: House, capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["export", str(house.sites), "--hash", *arguments]) == 0
    said = capsys.readouterr().out.strip()
    assert re.fullmatch("[0-9a-f]{64}", said)
    return said


def test_a_rebuilt_store_has_the_same_hash(house: House, capsys: Capture) -> None:
    store_path, verdicts = house.collector / "store.duckdb", house.collector / "verdicts.db"
    with closing(Journal(house.collector / "journal")) as journal:
        with closing(DuckdbStore(store_path)) as store:
            for position in range(journal.last):  # the smallest groups there are
                Projector(journal, store).project(journal.read(position, 1))
        rebuild_verdicts(journal, verdicts, load_sites(str(house.sites)))
    before = hash_of(house, capsys)
    with closing(Book(verdicts)) as book:
        assert book.averages(limit=1), "nothing was judged"
    assert main(["rebuild", str(house.sites), "--verdicts"]) == 0
    assert "396 measurements, journal up to 54" in capsys.readouterr().out
    assert hash_of(house, capsys) == before
    store_path.write_bytes(b"not a store any more")
    (house.collector / "store.duckdb.new").write_bytes(b"of a rebuild that was interrupted")
    assert main(["rebuild", str(house.sites)]) == 0
    assert hash_of(house, capsys) == before
    assert sorted(path.name for path in house.collector.glob("*.new*")) == []


def test_the_hash_shows_every_change(house: House, capsys: Capture) -> None:
    assert main(["rebuild", str(house.sites)]) == 0
    before, part = hash_of(house, capsys), hash_of(house, capsys, "--to", "2026-11-01T03:00:00Z")
    assert before != part
    late = house.gateways["harbour"].batch(noise("harbour", 500), START_NS + 500 * MINUTE_NS)
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append([late])
    assert main(["rebuild", str(house.sites)]) == 0
    assert hash_of(house, capsys) != before
    assert hash_of(house, capsys, "--to", "2026-11-01T03:00:00Z") == part
    with closing(DuckdbStore(house.collector / "store.duckdb")) as store:
        store._writer.execute("UPDATE measurement SET value = value + 1e-12 WHERE time_ns < 1793501800000000000")
    assert hash_of(house, capsys, "--to", "2026-11-01T03:00:00Z") != part


def test_the_hash_does_not_depend_on_the_kind_of_store(house: House, capsys: Capture) -> None:
    assert main(["rebuild", str(house.sites)]) == 0
    memory = MemoryStore()
    with closing(Journal(house.collector / "journal")) as journal:
        Projector(journal, memory).project(journal.read(0, 1000))
    no_verdicts = house.folder / "none.db"
    assert fingerprint(memory, no_verdicts, from_ns=0, to_ns=END_NS) == hash_of(house, capsys)


def test_a_store_on_influxdb_is_emptied_and_filled_again(
    house: House, capsys: Capture, influxd: Influxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["rebuild", str(house.sites)]) == 0
    before, server = hash_of(house, capsys), influxd.server()
    for site in house.sites.glob("*.toml"):
        given = f'[store]\nkind = "influxdb"\nurl = "{server.url}"\ndatabase = "{server.database}"\n'
        site.write_text(f"{site.read_text()}\n{given}")
    assert main(["rebuild", str(house.sites), "--check"]) == 0, "there is nothing yet, and nothing wrong"
    capsys.readouterr()
    for _ in range(2):
        assert main(["rebuild", str(house.sites)]) == 0
        assert f"{server.url} {server.database}: 396 measurements, journal up to 54" in capsys.readouterr().out
        assert hash_of(house, capsys) == before
    assert main(["rebuild", str(house.sites), "--check"]) == 0
    influxd.query(f'DELETE FROM "measurement" WHERE time < {START_NS + 45 * MINUTE_NS}', server.database)
    capsys.readouterr()
    assert main(["rebuild", str(house.sites), "--check"]) == 1
    assert "missing: batch" in capsys.readouterr().out
    assert main(["journal", "list", str(house.sites)]) == 0
    influxd.query(f"DROP DATABASE {server.database}")
    assert main(["rebuild", str(house.sites)]) == 2
    assert "CREATE DATABASE" in capsys.readouterr().err
    for site in house.sites.glob("*.toml"):
        site.write_text(f'{site.read_text()}token_file = "nowhere"\n')
    assert main(["rebuild", str(house.sites)]) == 2
    assert "nowhere: [store] token_file cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("EMITWATCH_STORE_TOKEN", "t")
    assert main(["rebuild", str(house.sites)]) == 2
    assert "CREATE DATABASE" in capsys.readouterr().err


def test_it_is_refused_while_a_collector_runs(house: House, capsys: Capture) -> None:
    assert main(["rebuild", str(house.sites)]) == 0
    with closing(Journal(house.collector / "journal")):
        assert main(["rebuild", str(house.sites)]) == 2
    assert "another collector writes this journal; stop it" in capsys.readouterr().err


def test_without_a_journal_nothing_is_touched(house: House, capsys: Capture) -> None:
    (house.collector / "journal").rename(house.folder / "gone")
    (house.collector / "store.duckdb").write_bytes(b"kept")
    assert main(["rebuild", str(house.sites)]) == 2
    assert "no journal here" in capsys.readouterr().err
    assert (house.collector / "store.duckdb").read_bytes() == b"kept"
    assert not (house.collector / "journal").exists()

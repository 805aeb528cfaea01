"""The collector as a whole, with a real gateway's outbox and publisher and a real broker."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from collector.__main__ import Collector, CollectorError
from collector.verdicts.book import Book
from gateway.document import FaultyFiles
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Columns, Series
from gateway.publisher import Publisher
from gateway.settings import Access, Site, parse_site
from gateway.spooler import Spooler, outbox_folder, read_batches
from tests.collector.brokers import mosquitto_at
from tests.gateway.ports import free_port

SITE = """
[plant]
id = "riverside"
timezone = "Asia/Shanghai"
data_dir = "data"
[broker]
url = "mqtt://127.0.0.1:{port}"
{broker}
[collector]
public_key = "{collector}"
[[gateway]]
id = "riverside-gw"
public_key = "{gateway}"
[[point]]
id = "fence-north"
kind = "noise"
rules = ["gb12348-2008"]
settings = {{ area_class = 2 }}
[[sensor]]
id = "slm-north"
point = "fence-north"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
{more}
"""
NOISE = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)


@dataclass
class Plant:
    """A site in a folder of its own, with keys made."""

    folder: Path
    port: int

    def __post_init__(self) -> None:
        self.collector, _ = load_or_create_key(self.folder / "data" / "collector" / "key")
        self.gateway, _ = load_or_create_key(outbox_folder(self.folder / "data", "riverside-gw") / "key")

    def site(self, *, broker: str = "", more: str = "") -> Site:
        key = public_hex(self.collector)
        text = SITE.format(
            port=self.port, broker=broker, more=more, collector=key, gateway=public_hex(self.gateway)
        )  # fmt: skip
        site, faults = parse_site(text, str(self.folder / "site.toml"))
        assert site is not None, faults
        return site


@pytest.fixture
def plant(mosquitto: str, tmp_path: Path) -> Iterator[Plant]:
    port = free_port()
    with mosquitto_at(mosquitto, tmp_path, port):
        yield Plant(tmp_path, port)


@pytest.fixture
def brokerless(tmp_path: Path) -> Plant:
    return Plant(tmp_path, free_port())


def values(n: int, from_ns: int) -> Columns:
    time_ns = from_ns + np.arange(n, dtype=np.int64) * SECOND_NS
    return Columns(NOISE, np.zeros(n, np.uint16), time_ns, np.full(n, 51.5), np.zeros(n, np.uint8))


@pytest.mark.system
def test_what_a_gateway_measures_is_stored_once_over_restarts_of_both(plant: Plant) -> None:
    site, now_ns = plant.site(), (time.time_ns() // SECOND_NS - 20_000) * SECOND_NS
    measured = set()
    for round_ in range(2):
        spooler = Spooler(outbox_folder(site.data_dir, "riverside-gw"), "riverside", "riverside-gw", plant.gateway)
        publisher = Publisher(site.broker, None, "riverside-gw", spooler, plant.collector.public_key())
        publisher.start()
        spooler.put(values(3000, now_ns + round_ * 10_000 * SECOND_NS))
        spooler.flush()
        collector = Collector([site], demo=True)
        collector.start()
        assert publisher.wait_drained(10)
        eventually(lambda collector=collector: collector.store.cursor() == collector.journal.last)  # type: ignore[misc]
        health = collector.health()
        assert health["ok"], health["problems"]
        assert health["gateways"]["riverside-gw"]["fresh"] >= 7
        assert health["security"]["events"] == health["gateways"]["riverside-gw"]["gaps"]["records"] == 0
        assert health["journal"]["free_bytes"] > 0
        publisher.stop()
        measured |= {
            ("riverside-gw", epoch, seq, index) for epoch, seq, n in read_batches(spooler.folder) for index in range(n)
        }
        spooler.close()
        rows = collector.store.keys()
        stored = [(*rows.streams[rows.stream_index[n]], int(rows.seq[n]), int(rows.index[n])) for n in range(len(rows))]
        assert len(stored) == len(set(stored)) == 3000 * (round_ + 1)
        assert set(stored) == measured
        assert collector.store.latest()[0][:3] == (NOISE[0], now_ns + (round_ * 10_000 + 2999) * SECOND_NS, 51.5)
        collector.stop()
        collector.stop()


@pytest.mark.system
def test_a_lost_store_is_filled_from_the_journal(plant: Plant) -> None:
    site = plant.site()
    spooler = Spooler(outbox_folder(site.data_dir, "riverside-gw"), "riverside", "riverside-gw", plant.gateway)
    publisher = Publisher(site.broker, None, "riverside-gw", spooler, plant.collector.public_key())
    publisher.start()
    spooler.put(values(700, time.time_ns()))
    spooler.flush()
    collector = Collector([site], demo=True)
    collector.start()
    assert publisher.wait_drained(10)
    publisher.stop()
    spooler.close()
    collector.stop()
    (plant.folder / "data" / "collector" / "store.duckdb").unlink()
    again = Collector([site], demo=True)
    again.start()
    eventually(lambda: len(again.store.keys()) == 700)
    again.stop()


def test_a_broker_that_is_away_is_told_and_nothing_ends(brokerless: Plant) -> None:
    before = {*threading.enumerate()}
    collector = Collector([brokerless.site()], demo=True)
    collector.start()
    eventually(lambda: collector.journal.last > 0)
    health = collector.health()
    assert not health["ok"]
    assert health["problems"] == [f"no connection to the broker at 127.0.0.1:{brokerless.port}"]
    started = time.monotonic()
    collector.stop()
    assert {*threading.enumerate()} <= before, "nothing was left behind for want of time"
    assert time.monotonic() - started < 20, "nor does it wait until the broker is tried again"


def test_a_store_that_is_away_is_told_and_keeps_nothing_from_starting(brokerless: Plant) -> None:
    where = f"http://127.0.0.1:{free_port()}"
    site = brokerless.site(more=f'[store]\nkind = "influxdb"\nurl = "{where}"')
    for _ in range(2):
        collector = Collector([site], demo=True)
        collector.start()
        eventually(lambda collector=collector: collector.projector.trouble)  # type: ignore[misc]
        assert any(f"{where}: no answer" in problem for problem in collector.health()["problems"])
        eventually(lambda collector=collector: len(collector.health()["store"]["why"]) == 3)  # type: ignore[misc]
        health = collector.health()  # once: the journal goes on meanwhile
        store = health["store"]
        assert (store["position"], store["behind"], store["trouble"]) == (0, health["journal"]["position"], True)
        assert store["why"].keys() == {"measurements", "lines", "charts"}
        for part, reason in store["why"].items():
            assert f"{where}: no answer" in reason, part
        collector.stop()


def test_keys_the_site_does_not_know_are_told(brokerless: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    site = replace(brokerless.site(broker='user = "u"'), collector_key="")
    collector = Collector([site])
    said = capsys.readouterr().out
    assert f'public_key = "{public_hex(brokerless.collector)}"' in said
    assert "made a new key" not in said
    problems = collector.health()["problems"]
    assert any("do not believe this collector" in problem for problem in problems)
    collector.stop()
    (brokerless.folder / "data" / "collector" / "key").unlink()
    Collector([site]).stop()
    assert "made a new key" in capsys.readouterr().out


def cannot(site: Site, *, demo: bool = True) -> str:
    with pytest.raises(CollectorError) as refused:
        Collector([site], demo=demo)
    return str(refused.value)


def test_the_collectors_own_user_and_the_register_are_needed_where_they_are_given(brokerless: Plant) -> None:
    own = replace(brokerless.site(), collector_access=Access(user="c", password_file="elsewhere"))
    assert "elsewhere: [collector] password_file" in cannot(own)
    (brokerless.folder / "data" / "collector" / "identities.jsonl").write_text("nonsense\n")
    assert "identities.jsonl:1: not a record" in cannot(replace(own, collector_access=Access(cert="c.pem")))


def test_what_hinders_the_start_is_told_and_nothing_stays_open(brokerless: Plant) -> None:
    site = brokerless.site()
    assert "[broker] user: missing" in cannot(site, demo=False)
    assert "password_file" in cannot(brokerless.site(broker='user = "u"\npassword_file = "nowhere"'))
    collector = Collector([site], demo=True)
    assert "another collector writes this journal" in cannot(site)
    collector.stop()
    store = brokerless.folder / "data" / "collector" / "store.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(store)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert "another process has the store open" in cannot(site)
    Collector([site], demo=True).stop()
    key = brokerless.folder / "data" / "collector" / "key"
    key.chmod(0o644)
    assert "chmod 600" in cannot(site)


def test_what_follows_another_journal_is_refused(brokerless: Plant) -> None:
    site, folder = brokerless.site(), brokerless.folder / "data" / "collector"
    collector = Collector([site], demo=True)
    collector.start()
    eventually(lambda: collector.journal.last > 0)
    eventually(lambda: collector.store.cursor() > 0 and collector.notary.position > 0)
    collector.stop()
    (folder / "journal").rename(folder / "lost")
    said = cannot(site)
    assert "store.duckdb: it holds what the journal had up to position" in said
    assert "move it away" in said
    (folder / "store.duckdb").unlink()
    with closing(Book(folder / "verdicts.db")) as book:
        book.commit([], [], derived_ns=1, state=b"", position=7)
    assert "verdicts.db: it holds what the journal had up to position 7" in cannot(site)
    (folder / "verdicts.db").unlink()
    assert "tree.db: it holds what the journal had up to position" in cannot(site)
    (folder / "tree.db").unlink()
    Collector([site], demo=True).stop()


def test_wrong_settings_are_all_told(brokerless: Plant) -> None:
    site = brokerless.site(more='[store]\nkind = "influxdb"\nextra = 1')
    with pytest.raises(FaultyFiles) as refused:
        Collector([site], demo=True)
    assert {fault.path for fault in refused.value.faults} == {"store.url", "store.extra"}

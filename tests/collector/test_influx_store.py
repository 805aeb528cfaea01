"""The InfluxDB store against real servers: crashes, refusals, what was emptied; and what no server says at will."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.metrics import numbers
from collector.__main__ import Collector
from collector.intake.journal import Journal
from collector.intake.projector import Projector
from collector.store import NotHere, StoreError
from collector.stores.influxdb import refusals, writing
from collector.stores.influxdb import store as store_module
from collector.stores.influxdb import transport as transport_module
from collector.stores.influxdb.lines import head_of
from collector.stores.influxdb.state import STATE
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from collector.stores.influxdb.writing import write
from collector.stores.memory import MemoryStore
from gateway.measurement import SECOND_NS, Series
from tests.collector.backends import INFLUXDB, influx_server
from tests.collector.batches import START_NS, FakeGateway
from tests.collector.influx_servers import Influxd, Saying, influxd_at, saying
from tests.collector.test_projector import eventually, filled
from tests.collector.test_store_contract import LEVEL, OXYGEN, A, B, content, rows
from tests.conftest import server as program
from tests.effort import examples


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[Server], InfluxStore]]:
    """Opens stores whose refused lines lie in one file, and closes them."""
    stores: list[InfluxStore] = []

    def opens(server: Server) -> InfluxStore:
        stores.append(InfluxStore(server, tmp_path / "refused.db"))
        return stores[-1]

    yield opens
    for store in stores:
        store.close()


@pytest.fixture
def said() -> Iterator[Saying]:
    with saying() as server:
        yield server


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute here."""
    monkeypatch.setattr(store_module, "BACK_OFF_MAX_S", 0.0)


Opens = Callable[[Server], InfluxStore]


def told(store: InfluxStore, folder: Path, trouble: str = "") -> dict[str, str]:
    """What the collector's health says the store does not take, and why; /metrics says the same."""
    with closing(Journal(folder / "empty")) as journal:
        projector = Projector(journal, store)
        projector.trouble = trouble
        parts = SimpleNamespace(projector=projector, store=store, charts=SimpleNamespace(trouble=""))
        health = {"store": Collector._store(parts, store.cursor())}  # type: ignore[arg-type]
    why: dict[str, str] = health["store"]["why"]
    assert health["store"]["trouble"] == bool(why)
    figures = list(numbers("emitwatch", health))
    assert {labels["part"]: labels["reason"] for name, labels, _ in figures if "refusal" in name} == why
    assert ("emitwatch_store_expired", {}, store.expired) in figures
    return why


# --- a crash loses and doubles nothing ---------------------------------------------------------------


@pytest.mark.system
def test_kill_of_the_server_during_a_projection_loses_and_doubles_nothing(tmp_path: Path, opened: Opens) -> None:
    journal, plain = filled(tmp_path / "journal", 150), MemoryStore()
    Projector(journal, plain).project(journal.read(0, 1000))
    rng = np.random.default_rng(6)
    with influxd_at(program("influxd"), tmp_path / "influx") as influxd:
        store = opened(influxd.server())
        done = threading.Event()

        def project() -> None:
            projector = Projector(journal, store)
            while store.cursor() < journal.last:
                with suppress(StoreError):
                    projector.project(journal.read(store.cursor(), 7))
            done.set()

        thread = threading.Thread(target=project, daemon=True)
        thread.start()
        kills = 0
        while not done.wait(float(rng.uniform(0.02, 0.2))) and kills < examples(4, 100):
            influxd.stop(kill=True)
            influxd.start()
            kills += 1
        assert done.wait(50)
        thread.join()
        assert kills, "it was never killed"
        assert content(store) == content(plain)
        points = influxd.query('SELECT count("seq") FROM "measurement"', store._server.database)
        assert points[0]["values"][0][1] == len(plain.keys()), "and no point besides"
        again = opened(store._server)
        assert (again.cursor(), content(again)) == (journal.last, content(plain))
        assert repr(again.latest()) == repr(plain.latest())
    journal.close()


class _Stopped(Exception):
    """The process ends here."""


@pytest.mark.parametrize("at", range(6))
def test_a_crash_at_any_request_is_made_good(
    influxd: Influxd, opened: Opens, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Values twice at one instant, late ones and moved ones; whatever was written before the crash is written again."""
    from tests.collector.test_store_contract import moves, unsynced

    monkeypatch.setattr(writing, "LINES", 2)
    late = [(10, 3.0), (5, None), (20, 4.0), (20, 5.0)]
    steps: list[tuple[Any, ...]] = [
        (unsynced((LEVEL, 10, 1.0, A, 1, 0), (LEVEL, 20, 2.0, A, 1, 1)), 1),
        (rows(*((LEVEL, at, value, B, 1, n) for n, (at, value) in enumerate(late))), 2),
        (rows((LEVEL, 30, 6.0, B, 2, 0)), 3, moves((1, 1, -5, 2))),
    ]  # fmt: skip
    plain, server = MemoryStore(), influxd.server()
    store = opened(server)
    for step in steps:
        plain.append(*step)
        sent = 0

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(self: Transport, *given: Any) -> Any:
                nonlocal sent
                sent += 1
                if sent == at + 1:
                    raise _Stopped
                answer = call(self, *given)
                if sent == at + 2:
                    raise _Stopped  # the answer does not arrive
                return answer

            return wrapped

        with monkeypatch.context() as crash, suppress(_Stopped):
            crash.setattr(Transport, "write", counted(Transport.write))
            store.append(*step)
        store = opened(server)
        store.append(*step)
        assert content(store) == content(plain)
        assert store.latest() == plain.latest()


# --- what a server refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INFLUXDB)
def test_a_bad_line_alone_goes_to_the_dead_letters(influxd: Influxd, opened: Opens, kind: str, tmp_path: Path) -> None:
    with influx_server(kind, influxd) as server:
        conflict = f'{head_of(OXYGEN)}value="text" 5'.encode()
        assert Transport(server).write(conflict).ok
        store = opened(server)
        # A field has one type in all of a measurement's points of a week.
        some = [(LEVEL if n % 4 else OXYGEN, n + (START_NS if n % 4 else 0), float(n), A, 1, n) for n in range(40)]
        store.append(rows(*some), 1)  # type: ignore[arg-type]
        assert store.cursor() == 1
        assert len(store.keys()) == 30, "the good ones are there"
        letters = store._letters.all()
        assert [one.index for one in letters] == list(range(0, 40, 4))
        assert "field type conflict" in letters[0].reason
        assert letters[1].line == f"{head_of(OXYGEN)}value=4.0,status=0,stream={letters[1].stream},seq=1,index=4 4"
        assert "10 measurements are not in the store" in store.problem
        assert "field type conflict" in told(store, tmp_path)["lines"]
        assert store.series() == [LEVEL]
        influxd.query('DROP MEASUREMENT "measurement"', server.database)
        store.clear()
        store.append(rows(*some), 1)  # type: ignore[arg-type]
        assert (len(store.keys()), store.problem) == (40, "")
        assert not told(store, tmp_path)


@pytest.mark.parametrize("kind", INFLUXDB)
def test_what_is_no_line_is_handed_back_alone(influxd: Influxd, kind: str) -> None:
    """2.7 takes nothing of a request with such a line, the older ones take the rest of it."""
    with influx_server(kind, influxd) as server, closing(Transport(server)) as transport:
        lines = [f"{head_of(LEVEL)}value={n},status=0 {n}" for n in range(40)]
        lines[13] = f"{head_of(LEVEL)}value=NaN 13"
        lines[31] = "no line"

        def there() -> int:
            found = influxd.query('SELECT count("status") FROM "measurement"', server.database)
            return int(found[0]["values"][0][1]) if found else 0

        assert transport.write("\n".join(lines).encode()).status == 400
        assert there() == (0 if kind == "influxdb-2.7" else 38)
        bad = write(transport, lambda start, end: lines[start:end], len(lines)).bad
        assert [(place, text) for place, text, _ in bad] == [(n, lines[n]) for n in (13, 31)]
        assert all("unable to parse" in reason for _, _, reason in bad)
        assert there() == 38


def test_bad_and_long_requests_are_halved(said: Saying, opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    said.bad, said.longest = [b"index=13 ", b"index=70 "], 2000
    store = opened(Server(url=said.url, database="d"))
    store.append(rows(*((LEVEL, n, 1.0, A, 1, n) for n in range(100))), 1)
    assert [(one.index, one.reason) for one in store._letters.all()] == [(13, "bad line"), (70, "bad line")]
    arrived = [line for body in said.writes if len(body) <= 2000 for line in body.split(b"\n")]
    assert all(any(f"index={n} ".encode() in line for line in arrived) for n in range(100))
    assert store.cursor() == 1
    monkeypatch.setattr(writing, "BAD_MAX", 3)
    store = opened(Server(url=said.url, database="d"))
    said.bad = [b"seq=2,"]
    with pytest.raises(StoreError, match=r"more than 3 lines were refused, the last one: bad line"):
        store.append(rows(*((LEVEL, n, 1.0, A, 2, n) for n in range(100))), 2)
    assert len(store._letters.all()) == 2, "what is nobody's fault is no dead letter"


@pytest.mark.parametrize(
    ("status", "text", "hint"),
    [
        (401, '{"code":"unauthorized","message":"unauthorized access"}', "401: unauthorized access; put a token"),
        (403, '{"error":"no"}', "right to read and to write"),
        (404, '{"code":"not found","message":"no dbrp mapping found"}', "influx v1 dbrp create"),
        (404, '{"error":"database not found: \\"d\\""}', "CREATE DATABASE d"),
        (500, '{"error":"default retention policy not set for: d"}', "influx v1 dbrp create --db d --rp autogen"),
        (500, '{"error":"retention policy not found: x"}', "[store] retention_policy"),
        (500, '{"error":"write /data: no space left on device"}', "free space"),
        (429, "slow  down\n", "429: slow down; it has too much to do"),
        (503, "", "HTTP status 503"),
    ],
)
def test_trouble_of_the_server_holds_everything_back(
    said: Saying, opened: Opens, status: int, text: str, hint: str
) -> None:
    store = opened(Server(url=said.url, database="d"))
    said.answers = [(status, text, {})]
    some = rows((LEVEL, 1, 1.0, A, 1, 0))
    with pytest.raises(StoreError) as refused:
        store.append(some, 1)
    assert hint in str(refused.value)
    assert (store.cursor(), store._letters.count) == (0, 0)
    store.append(some, 1)
    assert store.cursor() == 1


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The store's clock: it goes as a test says. [s]"""
    passed = [1000.0]
    monkeypatch.setattr(store_module, "time", SimpleNamespace(monotonic=lambda: passed[0], time_ns=time.time_ns))
    return passed


def test_a_server_is_left_alone_for_as_long_as_it_wants(said: Saying, opened: Opens, passed: list[float]) -> None:
    store = opened(Server(url=said.url, database="d"))
    said.answers = [(503, "busy", {"Retry-After": "1"})]
    some = rows((LEVEL, 1, 1.0, A, 1, 0))
    for by_s in (0.0, 0.875, 0.125):
        with pytest.raises(StoreError, match="busy"):
            store.append(some, 1)
        passed[0] += by_s
    assert len(said.writes) == 1
    store.append(some, 1)
    assert store.cursor() == 1


def test_the_wait_grows_and_has_an_end(
    said: Saying, opened: Opens, monkeypatch: pytest.MonkeyPatch, passed: list[float]
) -> None:
    monkeypatch.setattr(store_module, "BACK_OFF_MAX_S", 0.0625)
    store = opened(Server(url=said.url, database="d"))
    waits = []
    for _ in range(3):
        said.answers = [(500, "no", {"Retry-After": "Sun, 22 Nov 2026 00:00:00 GMT"})]
        with pytest.raises(StoreError):
            store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
        waits.append(store._not_before - passed[0])
        passed[0] += 0.125
    assert waits == pytest.approx([0.025, 0.0625, 0.0625])


def test_a_server_that_hangs_or_is_away_loses_nothing(
    influxd: Influxd, opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(transport_module, "READ_MS", 100)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        store = opened(Server(url=f"http://127.0.0.1:{silent.getsockname()[1]}", database="d"))
        with pytest.raises(StoreError, match="no answer"):
            store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
    assert store.cursor() == 0
    with pytest.raises(StoreError, match=r"no answer.*does InfluxDB run there"):
        store.measurements(LEVEL, 0, 1, 1)
    monkeypatch.undo()
    with influxd_at(program("influxd"), tmp_path / "later") as late:
        server = late.server()
        late.stop()
        store = opened(server)
        with pytest.raises(StoreError, match="no answer"):
            store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
        late.start()
        eventually(lambda: taken(store))  # it is asked again after a while
        assert store.series() == [LEVEL]


def taken(store: InfluxStore) -> bool:
    """Whether a store takes a measurement now."""
    try:
        store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
    except StoreError:
        return False
    return True


def test_a_server_that_comes_late_is_found_though_the_first_months_were_archived(
    influxd: Influxd, opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.intake.projector.RETRY_S", 0.02)
    journal, server = filled(tmp_path / "journal", 3), influxd.server()
    before = opened(server)
    Projector(journal, before).project(journal.read(0, 1000))
    before.close()
    away = True

    class Rest:
        """A journal whose beginning is elsewhere."""

        def __getattr__(self, name: str) -> Any:
            return getattr(journal, name)

        def read(self, after: int, limit: int) -> Any:
            if after < 4:
                raise NotHere("entries 1 to 4 are not here")
            return journal.read(after, limit)

    real = Transport.query

    def query(self: Transport, influxql: str) -> Any:
        if away:
            raise StoreError("away")
        return real(self, influxql)

    monkeypatch.setattr(Transport, "query", query)
    store = opened(server)
    assert (store.cursor(), store.problem) == (0, "away")
    projector = Projector(Rest(), store)  # type: ignore[arg-type]
    projector.start()
    eventually(lambda: projector.trouble == "away")
    away = False
    eventually(lambda: store.cursor() == journal.last)
    gateway = FakeGateway(id="late-gw")
    journal.append([gateway.entry(gateway.sealed()), gateway.entry(gateway.sealed())])
    eventually(lambda: store.cursor() == journal.last)
    assert not projector.failed
    projector.stop()
    journal.close()


def test_a_server_found_while_the_journal_is_asked_ends_nothing(
    influxd: Influxd, opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks the store how far it is finds that out, also between two steps of the projector."""
    journal, server = filled(tmp_path / "journal", 3), influxd.server()
    Projector(journal, opened(server)).project(journal.read(0, 1000))
    gateway, real = FakeGateway(id="late-gw"), Transport.query
    journal.append([gateway.entry(gateway.sealed()), gateway.entry(gateway.sealed())])

    def away(self: Transport, influxql: str) -> Any:
        raise StoreError("away")

    monkeypatch.setattr(Transport, "query", away)
    store = opened(server)

    class Rest:
        """A journal whose beginning is elsewhere, and the server is back once that is asked for."""

        def __getattr__(self, name: str) -> Any:
            return getattr(journal, name)

        def read(self, after: int, limit: int) -> Any:
            if after < 4:
                monkeypatch.setattr(Transport, "query", real)
                assert store.cursor()
                raise NotHere("entries 1 to 4 are not here")
            return journal.read(after, limit)

    projector = Projector(Rest(), store)  # type: ignore[arg-type]
    projector.start()
    eventually(lambda: bool(projector.failed) or store.cursor() == journal.last)
    projector.stop()
    assert not projector.failed
    journal.close()


def test_projector_says_why_the_store_stays_behind(
    said: Saying, opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.intake.projector.RETRY_S", 0.02)
    journal = filled(tmp_path / "journal", 3)
    said.refusal = (401, '{"error":"authorization failed"}')
    projector = Projector(journal, opened(Server(url=said.url, database="d")))
    projector.start()
    eventually(lambda: "401: authorization failed; put a token" in projector.trouble)
    said.refusal = None
    eventually(lambda: projector._store.cursor() == journal.last)
    projector.stop()
    assert not projector.trouble
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_at_the_server_loses_nothing_and_is_told(
    small_disk: Path, opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.intake.projector.RETRY_S", 0.02)
    monkeypatch.setattr("collector.intake.projector.GROUP_ENTRIES", 3)
    journal, plain = filled(tmp_path / "journal", 12), MemoryStore()
    Projector(journal, plain).project(journal.read(0, 1000))
    with influxd_at(program("influxd"), small_disk) as running:
        store = opened(running.server())
        projector = Projector(journal, store)
        projector.project(journal.read(0, 3))
        ballast = small_disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        projector.start()
        said = "no space left on device; free space at the server"
        eventually(lambda: said in told(store, tmp_path, projector.trouble).get("measurements", ""))
        assert store.cursor() < journal.last
        ballast.unlink()
        running.stop(kill=True)  # until then 1.6.7 goes on saying so, whatever room there is
        running.start()
        eventually(lambda: store.cursor() == journal.last, 30)
        eventually(lambda: not projector.trouble)
        assert (content(store), store._letters.count) == (content(plain), 0)
        projector.stop()
        # Of a shard whose log a write was cut short in, 1.6.7 loses at the next start what it took in since.
        running.stop(kill=True)
        running.start()
        store.clear()
        while entries := journal.read(store.cursor(), 3):
            projector.project(entries)
        assert content(store) == content(plain)
    journal.close()


def test_a_retention_policy_that_is_made_later_gets_everything(influxd: Influxd, opened: Opens, tmp_path: Path) -> None:
    server = influxd.server(retention_policy="raw")
    store, some = opened(server), rows((LEVEL, 1, 1.0, A, 1, 0), (LEVEL, 2, np.nan, A, 1, 1))
    with pytest.raises(StoreError, match="retention policy not found: raw") as refused:
        store.append(some, 1)
    assert (store.cursor(), store._letters.count) == (0, 0)
    why = told(store, tmp_path, str(refused.value))["measurements"]
    assert "retention policy not found: raw; [store] retention_policy has to be one of database" in why
    influxd.query(f"CREATE RETENTION POLICY raw ON {server.database} DURATION INF REPLICATION 1")

    def all_there() -> bool:
        with suppress(StoreError):
            store.append(some, 1)
        return store.cursor() == 1

    eventually(all_there)
    assert len(store.keys()) == 2


def test_a_parameter_with_another_name_is_another_series(influxd: Influxd, opened: Opens, tmp_path: Path) -> None:
    store = opened(influxd.server())
    renamed = Series(LEVEL.plant, LEVEL.point, LEVEL.sensor, "LAeq_fast", LEVEL.unit)
    store.append(rows((LEVEL, 1, 1.0, A, 1, 0), (renamed, 1, 2.0, A, 1, 1), (renamed, 2, 3.0, A, 2, 0)), 1)
    assert store.series() == sorted([LEVEL, renamed])
    assert len(store.keys()) == 3
    assert store.measurements(renamed, 0, 9, 9).value.tolist() == [2.0, 3.0]
    assert not told(store, tmp_path), "nothing is refused"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_kept_as_a_status(influxd: Influxd, opened: Opens, tmp_path: Path, number: float) -> None:
    store = opened(influxd.server())
    store.append(rows((LEVEL, 1, number, A, 1, 0), (LEVEL, 2, 2.0, A, 1, 1)), 1)
    found = store.measurements(LEVEL, 0, 9, 9)
    assert np.isnan(found.value).tolist() == [True, False]
    assert len(store.keys()) == 2
    assert not told(store, tmp_path), "nothing is refused"


# --- what was changed behind its back -----------------------------------------------------------------


def test_a_database_that_was_emptied_is_filled_again(influxd: Influxd, opened: Opens, tmp_path: Path) -> None:
    journal, plain = filled(tmp_path / "journal", 5), MemoryStore()
    Projector(journal, plain).project(journal.read(0, 1000))
    server = influxd.server()
    store = opened(server)
    projector = Projector(journal, store)
    projector.project(journal.read(0, 4))
    influxd.query(f"DROP DATABASE {server.database}")
    with pytest.raises(StoreError, match=r"database not found.*CREATE DATABASE"):
        projector.project(journal.read(store.cursor(), 4))
    influxd.query(f"CREATE DATABASE {server.database}")
    with pytest.raises(StoreError, match="position 0, not 4; it is filled from there"):
        projector.project(journal.read(store.cursor(), 4))
    while store.cursor() < journal.last:
        projector.project(journal.read(store.cursor(), 4))
    assert content(store) == content(plain)
    journal.close()


def test_two_collectors_do_not_share_a_database(influxd: Influxd, opened: Opens) -> None:
    server = influxd.server()
    one, two = opened(server), opened(server)
    one.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
    with pytest.raises(StoreError, match="another collector writes into this database"):
        two.append(rows((LEVEL, 1, 1.0, B, 1, 0)), 1)
    with pytest.raises(StoreError):
        two.append(rows((LEVEL, 1, 1.0, B, 1, 0)), 1)
    one.append(rows((LEVEL, 2, 1.0, A, 2, 0)), 2)
    assert len(one.keys()) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, b'{"error":"partial write: points beyond retention policy dropped=4"}'),
        (
            422,
            b'{"code":"unprocessable entity","message":"dropped 4 points outside retention policy"}',
        ),
    ],
)
def test_what_a_server_left_out_for_its_age_is_no_bad_line(status: int, said: bytes) -> None:
    answer = transport_module.Answer(status, said)
    assert (refusals.verdict(answer), refusals.expired(answer)) == (refusals.Verdict.DONE, 4)


def test_what_is_older_than_the_retention_policy_is_counted(influxd: Influxd, opened: Opens, tmp_path: Path) -> None:
    server = influxd.server()
    influxd.query(f"CREATE RETENTION POLICY short ON {server.database} DURATION 1d REPLICATION 1 DEFAULT")
    store = opened(server)
    now_ns = time.time_ns() // SECOND_NS * SECOND_NS
    store.append(rows((LEVEL, now_ns, 1.0, A, 1, 0), *((LEVEL, START_NS - n, 1.0, A, 1, n) for n in range(1, 5))), 1)
    assert (store.cursor(), len(store.keys()), store.expired, store.problem) == (1, 1, 4, "")
    assert not told(store, tmp_path), "it is no refusal"
    named = opened(Server(url=server.url, database=server.database, retention_policy="nothing"))
    with pytest.raises(StoreError, match=r"retention policy not found.*\[store\] retention_policy"):
        named.append(rows((LEVEL, now_ns, 1.0, A, 1, 0)), 1)


def test_a_state_of_another_version_is_refused(influxd: Influxd, opened: Opens) -> None:
    server = influxd.server()
    opened(server).append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
    for text, reason in (('{"part":"cursor","layout":9,"position":1}', "layout 9"), ("x", "not what emitwatch writes")):
        escaped = text.replace('"', '\\"')
        line = f'{STATE},id=0,part=cursor text="{escaped}" {time.time_ns() + 3600 * SECOND_NS}'
        assert Transport(server).write(line.encode()).ok
        with pytest.raises(StoreError, match=f"{reason}.*rebuild"):
            opened(server).append(rows((LEVEL, 1, 1.0, A, 2, 0)), 2)


def test_points_of_others_are_left_out(influxd: Influxd, opened: Opens) -> None:
    server = influxd.server()
    store = opened(server)
    store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
    foreign = "\n".join([f"{head_of(LEVEL)}value=5 2", f"{head_of(LEVEL)}note=1 3", "other value=1 1"])
    assert Transport(server).write(foreign.encode()).ok
    assert store.measurements(LEVEL, 0, 10, 10).value.tolist() == [1.0]
    assert len(store.keys()) == 1
    assert opened(server).latest() == [(LEVEL, 1, 1.0, 0)]


def test_what_is_no_influxdb_is_told(opened: Opens) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.serve_forever, args=[0.02], daemon=True).start()
        store = opened(Server(url=f"http://127.0.0.1:{other.server_address[1]}", database="d"))
        with pytest.raises(StoreError, match="not InfluxDB's"):
            store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)
        other.shutdown()


def test_a_store_that_is_closed_asks_nobody(influxd: Influxd, tmp_path: Path) -> None:
    store = InfluxStore(influxd.server(), tmp_path / "r.db")
    store.close()
    with pytest.raises(StoreError, match="the store was closed"):
        store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 1)


def test_a_store_that_is_ahead_of_the_journal_is_told(influxd: Influxd, opened: Opens, tmp_path: Path) -> None:
    store = opened(influxd.server())
    store.append(rows((LEVEL, 1, 1.0, A, 1, 0)), 10_000)
    journal = filled(tmp_path / "journal", 2)
    projector = Projector(journal, store)
    projector.start()
    eventually(lambda: "follows another journal" in projector.trouble)
    projector.stop()
    assert (store.cursor(), len(store.keys())) == (10_000, 1), "nothing was written"
    journal.close()


def test_without_its_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from collector.settings import CollectorSettings
    from collector.store_settings import InfluxSettings
    from collector.stores.opening import open_store

    influx = InfluxSettings(
        url="http://x", database="d", retention_policy="", bucket="", org="", api="auto", token_file="", ca=""
    )
    settings = CollectorSettings(folder=str(tmp_path), store_path="", trusted={}, authors={}, influx=influx)
    monkeypatch.setitem(sys.modules, "collector.stores.influxdb.transport", None)
    with pytest.raises(StoreError, match=r"pip install 'emitwatch\[influxdb\]'"):
        open_store(settings)


# --- long series, access, other servers ----------------------------------------------------------------


def test_long_series_are_read_in_pages(influxd: Influxd, opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PAGE", 7)
    store = opened(influxd.server())
    weird = Series("a b,c=d", "q'\\", "s\n", "\u541c\u58f0", "")
    given = [
        (one, n // 2, float(n), A, 1 + n, 0) for n in range(60) for one in (LEVEL, weird) if (n % 3) or one == LEVEL
    ]
    given = [(one, at, value, A, seq, int(one == weird)) for one, at, value, _, seq, _ in given]
    store.append(rows(*given), 1)
    assert len(store.keys()) == len(given)
    assert set(store.series()) == {LEVEL, weird}
    for limit in (1, 6, 7, 8, 59, 60, 100):
        found = store.measurements(LEVEL, 0, 10**6, limit)
        assert found.value.tolist() == [float(n) for n in range(min(limit, 60))]
    assert len(store.measurements(weird, 3, 9, 100).time_ns) == sum(
        1 for row in given if row[0] == weird and 3 <= row[1] < 9
    )


@pytest.mark.system
def test_users_and_compressed_bodies(tmp_path: Path, opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_HERE", set())  # as if it were far away: bodies are compressed
    with influxd_at(program("influxd"), tmp_path / "influx", http="auth-enabled = true") as influxd:
        form = b"q=CREATE+USER+admin+WITH+PASSWORD+%27secret%27+WITH+ALL+PRIVILEGES"
        urllib.request.urlopen(f"{influxd.url}/query", form, 20).close()
        with closing(Transport(Server(url=influxd.url, database="", token="admin:secret"))) as transport:
            assert transport.query("CREATE DATABASE d").ok
        some = rows((LEVEL, 1, 1.0, A, 1, 0))
        for token in ("", "admin:wrong", "token"):
            with pytest.raises(StoreError, match=r"401.*token_file"):
                opened(Server(url=influxd.url, database="d", token=token)).append(some, 1)
        store = opened(Server(url=influxd.url, database="d", token="admin:secret"))
        store.append(some, 1)
        assert len(store.keys()) == 1

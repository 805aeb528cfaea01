"""Charts in InfluxDB: every point once, the newest version, also after what may happen meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.charts.feed import Drop, Mark, Point, Row
from collector.charts.judged import Averages, Exceedances
from collector.store import StoreError
from collector.stores.influxdb import mirror as module
from collector.stores.influxdb.mirror import Mirror
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from collector.verdicts.book import Book
from collector.verdicts.records import Average, Change, Exceedance, Standing
from gateway.measurement import SECOND_NS
from tests.collector.backends import influx_server
from tests.collector.batches import START_NS
from tests.collector.influx_servers import Influxd, saying
from tests.collector.test_projector import eventually
from tests.collector.test_store_contract import LEVEL, A, rows

HOUR_NS = 3600 * SECOND_NS


def average(hour: int, **changes: Any) -> Average:
    given: dict[str, Any] = {
        "plant": "riverside", "point": "fence north", "parameter": "LAeq", "window": "1h",
        "from_ns": START_NS + hour * HOUR_NS, "to_ns": START_NS + (hour + 1) * HOUR_NS, "value": 50.0 + hour,
        "unit": "dB(A)", "coverage": 1.0, "valid": True, "count": 3600, "evaluated": 50.0, "maximum": 70.5,
        "percentiles": {"L10": 55.5},
    }  # fmt: skip
    return Average(**{**given, **changes})


EXCEEDANCE = Exceedance(
    plant="riverside", point="fence north", parameter="LAeq", pack="gb12348-2008", clause="night-level", cite="4.1",
    title="night", window="night", from_ns=START_NS, to_ns=START_NS + 8 * HOUR_NS, value=56.0, limit=55.0, unit="dB(A)",
    standing=Standing.FINDING, verified=True,
)  # fmt: skip


def commit(book: Book, averages: list[Average], exceedances: list[Exceedance] | None = None) -> None:
    book.commit(averages, exceedances or [], derived_ns=time.time_ns(), state=b"", position=1)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with closing(Book(tmp_path / "verdicts.db")) as opened:
        yield opened


@pytest.fixture(params=["influxdb-1.6", "influxdb-2.7"])
def store(influxd: Influxd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[InfluxStore]:
    with influx_server(request.param, influxd) as server, closing(InfluxStore(server, tmp_path / "r.db")) as opened:
        yield opened


def points(influxd: Influxd, store: InfluxStore, name: str) -> list[dict[str, Any]]:
    found = influxd.query(f'SELECT * FROM "{name}"', store._server.database)
    return [dict(zip(one["columns"], row, strict=True)) for one in found for row in one["values"]]


def feeds(book: Book) -> list[Any]:
    return [Averages(book, {}), Exceedances(book)]


def copy(mirror: Mirror) -> None:
    while mirror.turn():
        pass


def test_every_average_is_there_in_its_newest_version(
    influxd: Influxd, store: InfluxStore, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP", 3)
    mirror = store.mirror(feeds(book))
    assert not mirror.turn()
    commit(book, [average(hour) for hour in range(8)], [EXCEEDANCE])
    copy(mirror)
    commit(
        book,
        [average(2, value=None, evaluated=None, maximum=None, valid=False, count=0, percentiles={}, version=2)],
        [replace(EXCEEDANCE, change=Change.WITHDRAWN, version=2)],
    )
    copy(mirror)
    found = points(influxd, store, "average")
    assert [row["value"] for row in found] == [50.0, 51.0, None, *(50.0 + hour for hour in range(3, 8))]
    assert found[2] == {
        **found[0], "time": START_NS + 2 * HOUR_NS, "value": None, "evaluated": None, "maximum": None, "L10": None,
        "valid": 0, "count": 0, "version": 2,
    }  # fmt: skip
    assert {key: found[0][key] for key in ("point", "window", "unit", "minutes", "L10")} == {
        "point": "fence north", "window": "1h", "unit": "dB(A)", "minutes": 60, "L10": 55.5,
    }  # fmt: skip
    (one,) = points(influxd, store, "exceedance")
    assert one == {
        "time": START_NS, "plant": "riverside", "point": "fence north", "parameter": "LAeq", "window": "night",
        "unit": "dB(A)", "pack": "gb12348-2008", "clause": "night-level", "standing": "finding", "value": 56,
        "limit": 55, "withdrawn": 1, "verified": 1, "late": 0, "version": 2, "id": 2, "minutes": 480,
    }  # fmt: skip


def test_what_was_emptied_or_made_anew_is_copied_again(
    influxd: Influxd, store: InfluxStore, book: Book, tmp_path: Path
) -> None:
    commit(book, [average(0), average(1)])
    copy(store.mirror(feeds(book)))
    store.clear()
    assert points(influxd, store, "average") == []
    mirror = store.mirror(feeds(book))
    copy(mirror)
    assert len(points(influxd, store, "average")) == 2
    with closing(Book(tmp_path / "anew.db")) as anew:
        commit(anew, [average(0, value=1.0), average(1, value=2.0)])
        copy(store.mirror(feeds(anew)))
    assert [row["value"] for row in points(influxd, store, "average")] == [1.0, 2.0]
    later = time.time_ns() + HOUR_NS
    assert Transport(store._server).write(f'{module.CURSOR},id=0 text="?" {later}'.encode()).ok
    copy(mirror)
    assert [row["value"] for row in points(influxd, store, "average")] == [50.0, 51.0]


def test_versions_that_come_together_leave_nothing_of_the_first(
    influxd: Influxd, store: InfluxStore, book: Book
) -> None:
    inputs = {"counts": {"ok": 60}, "standard_dry": 41.0, "converted": 45.0}
    commit(book, [average(0, inputs=inputs)])
    commit(book, [average(0, version=2, percentiles={})])
    commit(book, [average(0, version=3, percentiles={})])
    copy(store.mirror(feeds(book)))
    (one,) = points(influxd, store, "average")
    assert (one["version"], one["value"]) == (3, 50.0)
    assert "L10" not in one
    assert "converted" not in one
    commit(book, [average(0, version=4, inputs=inputs)])
    copy(store.mirror(feeds(book)))
    (one,) = points(influxd, store, "average")
    assert (one["version"], one["converted"], one["standard_dry"], one["n_ok"]) == (4, 45.0, 41.0, 60)


def test_what_a_feed_drops_goes_before_its_points(influxd: Influxd, store: InfluxStore) -> None:
    class Told:
        name = "told"
        row = Row(0, 0, ())

        def read(self, after: Mark, limit: int) -> list[Row]:
            return [] if after == (self.row.id, self.row.check) else [self.row]

    def limit(clause: str, hour: int) -> Point:
        return Point("limit", {"plant": "a b", "clause": clause}, {"value": 1.0}, START_NS + hour * HOUR_NS)

    told = Told()
    mirror = store.mirror([])
    mirror.follow(told)
    told.row = Row(7, 1, tuple(limit("old", hour) for hour in range(4)))
    copy(mirror)
    told.row = Row(7, 2, (limit("new", 2),), (Drop("limit", {"plant": "a b"}, START_NS + 2 * HOUR_NS),))
    copy(mirror)
    found = [(row["clause"], (row["time"] - START_NS) // HOUR_NS) for row in points(influxd, store, "limit")]
    assert found == [("old", 0), ("old", 1), ("new", 2)]
    assert not mirror.turn()


def test_a_refused_average_is_kept_with_the_reason(influxd: Influxd, store: InfluxStore, book: Book) -> None:
    text = f'average,plant=x value="text" {START_NS + 9}'
    assert Transport(store._server).write(text.encode()).ok
    commit(book, [average(0), average(24 * 30)])
    copy(store.mirror(feeds(book)))
    assert len([row for row in points(influxd, store, "average") if row["window"]]) == 1
    (letter,) = store._letters.all()
    assert (letter.stream, letter.seq) == (-1, 1)
    assert "field type conflict" in letter.reason


def test_it_follows_in_its_thread_and_says_what_is_wrong(
    influxd: Influxd, store: InfluxStore, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.02)
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    mirror, real = store.mirror(feeds(book)), Transport.query
    mirror.start()
    commit(book, [average(0)])
    eventually(lambda: len(points(influxd, store, "average")) == 1)

    def refuse(self: Transport, influxql: str) -> Any:
        raise StoreError("no store today")

    monkeypatch.setattr(Transport, "query", refuse)
    eventually(lambda: mirror.trouble == "charts are not copied: no store today")
    commit(book, [average(1)])
    monkeypatch.setattr(Transport, "query", real)
    eventually(lambda: not mirror.trouble)
    eventually(lambda: len(points(influxd, store, "average")) == 2)

    def fail(self: Transport, influxql: str) -> Any:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(Transport, "query", fail)
    eventually(lambda: mirror.trouble == "charts are not copied any more: a mistake")
    mirror.stop()


def test_a_busy_server_gets_everything_later(book: Book, tmp_path: Path) -> None:
    with saying() as said, closing(InfluxStore(Server(url=said.url, database="d"), tmp_path / "r.db")) as store:
        commit(book, [average(0)])
        mirror = store.mirror(feeds(book))
        said.answers = [(503, "busy", {})]
        with pytest.raises(StoreError, match="busy"):
            mirror.turn()
        assert not mirror.turn()
        assert [body.split(b",")[0].split(b" ")[0] for body in said.writes] == [
            b"average", b"average", b"emitwatch_verdicts",
        ]  # fmt: skip


def test_what_the_manual_says_of_retention_can_be_done(influxd: Influxd, book: Book, tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "how-to" / "influxdb.md").read_text()
    said = "".join(re.findall(r"```text\n(.*?)```", manual.partition("## Retention")[2], re.DOTALL)).splitlines()
    thin, alter, show, create = said
    now_ns = time.time_ns() // SECOND_NS * SECOND_NS
    old_ns = now_ns - 100 * 24 * HOUR_NS
    influxd.query("CREATE DATABASE emitwatch")
    with closing(InfluxStore(Server(url=influxd.url, database="emitwatch"), tmp_path / "r.db")) as store:
        store.append(rows((LEVEL, old_ns, 1.0, A, 1, 0), (LEVEL, now_ns, 2.0, A, 1, 1)), 1)
        commit(book, [average(0, from_ns=old_ns, to_ns=old_ns + HOUR_NS)])
        copy(store.mirror(feeds(book)))
        influxd.query(thin, "emitwatch")
        influxd.query(alter)
        (told,) = influxd.query(show)
        assert told["values"] == [["autogen", "26208h0m0s", "672h0m0s", 1, True]]
        store.append(rows((LEVEL, now_ns + 1, 3.0, A, 2, 0)), 2)
        assert store.keys().columns.value.tolist() == [2.0, 3.0]
        assert len(points(influxd, store, "average")) == 1
    influxd.query("DROP DATABASE emitwatch")
    influxd.query("CREATE DATABASE emitwatch")
    influxd.query(create)
    server = Server(url=influxd.url, database="emitwatch", retention_policy="raw")
    with closing(InfluxStore(server, tmp_path / "r.db")) as store:
        store.append(rows((LEVEL, now_ns, 2.0, A, 1, 1)), 1)
        copy(store.mirror(feeds(book)))
        assert len(points(influxd, store, "average")) == len(points(influxd, store, "measurement")) == 1
    influxd.query("DROP DATABASE emitwatch")

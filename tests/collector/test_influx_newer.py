"""The InfluxDB store before what 2.7 says: who may, what is called how, what is too long, what is too old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.store import StoreError
from collector.stores.influxdb import store as store_module
from collector.stores.influxdb import transport as transport_module
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS
from tests.collector.influx_newer import Newer, as_2_7
from tests.collector.influx_servers import Influxd
from tests.collector.test_store_contract import LEVEL, A, moves, rows, unsynced

Opens = Callable[..., InfluxStore]


@pytest.fixture
def newer(influxd: Influxd) -> Iterator[Newer]:
    with as_2_7(influxd.url) as one:
        yield one


@pytest.fixture
def opened(newer: Newer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:
    """Opens stores on the 2.7, with other settings where some are given, and closes them."""
    monkeypatch.setattr(store_module, "BACK_OFF_MAX_S", 0.0)
    stores: list[InfluxStore] = []

    def opens(**changes: Any) -> InfluxStore:
        given = {"url": newer.url, "org": newer.org, "token": newer.token, **changes}
        stores.append(InfluxStore(Server(**given), tmp_path / "refused.db"))
        return stores[-1]

    yield opens
    for store in stores:
        store.close()


SOME = rows(*((LEVEL, START_NS + n * SECOND_NS, float(n), A, 1, n) for n in range(100)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": ""}, r"401: unauthorized access; put a token that is valid there into \[store\] token_file"),
        ({"token": "another"}, "401: unauthorized access"),
        ({"token": "user:password"}, "401: unauthorized access"),
        ({"org": ""}, r'404: organization name "-" not found; \[store\] org has to be the name of the organization'),
        ({"org": "others"}, 'organization name "others" not found'),
        ({"bucket": "elsewhere"}, r'404: bucket "elsewhere" not found; create it.*bucket elsewhere'),
        ({"retention_policy": "raw"}, r"retention policy not found: raw; \[store\] retention_policy"),
        (
            {"database": "unmapped", "bucket": "given"},
            "database not found: unmapped; create it.* create --db unmapped --rp autogen --bucket-id ID-OF-given --def",
        ),
    ],
)
def test_what_is_wrong_holds_everything_back_and_is_told(
    influxd: Influxd, opened: Opens, changes: dict[str, str], reason: str
) -> None:
    database = influxd.database()
    store = opened(**{"database": database, **changes})
    with pytest.raises(StoreError, match=reason):
        store.append(SOME, 1)
    assert (store.cursor(), store._letters.count) == (0, 0)
    right = opened(database=database)
    right.append(SOME, 1)
    assert len(right.keys()) == 100


def test_a_bucket_of_another_name_is_reached_by_its_mapping(influxd: Influxd, newer: Newer, opened: Opens) -> None:
    newer.mappings["emissions"] = bucket = influxd.database()
    store = opened(database="emissions", bucket=bucket)
    store.append(unsynced((LEVEL, 5, 1.0, A, 1, 0), (LEVEL, 6, 2.0, A, 1, 1)), 1)
    store.append(rows(), 2, moves((1, 1, 100, 2)))
    assert store.measurements(LEVEL, 0, 1000, 9).time_ns.tolist() == [105, 106], "and what was there is deleted"
    store.clear()
    assert (store.cursor(), len(store.keys())) == (0, 0)


@pytest.mark.parametrize("packed", [False, True])
def test_a_request_beyond_its_limit_is_halved(
    influxd: Influxd, newer: Newer, opened: Opens, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    if packed:
        monkeypatch.setattr(transport_module, "_HERE", set())  # as if it were far away: bodies are compressed
    newer.longest = 2000
    store = opened(database=influxd.database())
    store.append(SOME, 1)
    assert (len(store.keys()), store._letters.count) == (100, 0)


def test_what_is_older_than_its_bucket_keeps_is_counted(influxd: Influxd, opened: Opens) -> None:
    database, now_ns = influxd.database(), time.time_ns() // SECOND_NS * SECOND_NS
    influxd.query(f"CREATE RETENTION POLICY short ON {database} DURATION 1d REPLICATION 1 DEFAULT")
    store = opened(database=database)
    store.append(rows((LEVEL, now_ns, 1.0, A, 1, 0), *((LEVEL, START_NS - n, 1.0, A, 1, n) for n in range(1, 5))), 1)
    assert (store.cursor(), len(store.keys()), store.expired, store.problem) == (1, 1, 4, "")


def test_what_it_says_of_itself_makes_the_dialect(influxd: Influxd, newer: Newer) -> None:
    transport = Transport(Server(url=newer.url, database=influxd.database(), org=newer.org, token=newer.token))
    assert transport.dialect() == "v2"
    assert transport.write(b"m v=1 1").ok
    transport.close()

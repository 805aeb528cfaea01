"""The stores that one contract is tried on, each opened as often as a test wants; what it holds stays.

InfluxDB is a real influxd 1.6, written to in its own dialect and through servers that look like 1.8 and 2.7
(`influx_newer`). VictoriaMetrics is there for the writing alone (`victoria`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from collector.store import Store
from collector.stores.duckdb import DuckdbStore
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server
from collector.stores.memory import MemoryStore
from tests.collector import victoria
from tests.collector.influx_newer import as_1_8, as_2_7
from tests.collector.influx_servers import Influxd, victoria_at
from tests.conftest import server as program

Opener: TypeAlias = Callable[[], Store]
INFLUXDB = ("influxdb-1.6", "influxdb-1.8", "influxdb-2.7")
STORES = ("memory", "duckdb", *INFLUXDB)
VICTORIA = "victoria-metrics"
# So that what is written twice after a crash is told once; see `test_victoria_metrics`.
DEDUP = "-dedup.minScrapeInterval=1ms"


@contextmanager
def backend(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens one empty store, again and again; all are closed in the end."""
    with ExitStack() as stack:
        make = _maker(kind, folder, request, stack)

        def opener() -> Store:
            store = make()
            stack.callback(store.close)
            return store

        yield opener


def _maker(kind: str, folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> Opener:
    if kind == "memory":
        plain = MemoryStore()
        return lambda: plain
    if kind == "duckdb":
        return lambda: DuckdbStore(folder / "store.duckdb")
    if kind == VICTORIA:
        url = stack.enter_context(victoria_at(program("victoria-metrics"), folder / "victoria", DEDUP))
        given = stack.enter_context(victoria.stored_in(url))
        return lambda: victoria.opened(given, folder)
    server = stack.enter_context(influx_server(kind, request.getfixturevalue("influxd")))
    return lambda: InfluxStore(server, folder / "refused.db")


@contextmanager
def influx_server(kind: str, influxd: Influxd) -> Iterator[Server]:
    """A new database of an InfluxDB of some version."""
    with ExitStack() as stack:
        changes = {}
        if kind == "influxdb-1.8":
            changes = {"url": stack.enter_context(as_1_8(influxd.url))}
        elif kind == "influxdb-2.7":
            newer = stack.enter_context(as_2_7(influxd.url))
            changes = {"url": newer.url, "org": newer.org, "token": newer.token}
        yield influxd.server(**changes)

"""An InfluxDB with a day of everything in it, as the collector writes it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.collector.influx_servers import Influxd, influxd_at
from tests.conftest import server
from tests.grafana import sample


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Influxd, str, int]]:
    """The server, its database, and the time up to which it is filled. [ns since 1970 UTC]"""
    folder = tmp_path_factory.mktemp("influx")
    with influxd_at(server("influxd"), folder / "server") as running:
        there, now_ns = running.server(), time.time_ns()
        sample.fill(there, folder, now_ns)
        yield running, there.database, now_ns

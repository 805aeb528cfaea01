"""An InfluxDB with a day of everything in it."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.collector.influx_servers import Influxd, influxd_at
from tests.conftest import server
from tests.grafana import sample


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Influxd, str, int]]:
    """The server, its database, and the time up to which it is filled. [ns since 1970 UTC]"""
    with influxd_at(server("influxd"), tmp_path_factory.mktemp("influx")) as running:
        database, now_ns = running.database(), time.time_ns()
        text = "\n".join(sample.lines(now_ns)).encode()
        with urllib.request.urlopen(f"{running.url}/write?db={database}&precision=ns", text, 30) as answer:
            assert answer.status == 204
        yield running, database, now_ns

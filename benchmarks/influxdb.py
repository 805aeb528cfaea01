"""How fast the store takes measurements to an influxd, against lines made beforehand posted to the same server.

Measurements of 36 series each second, in groups as the projector makes them while it catches up; the same lines, in
requests of the same size, are posted to another database. Both in turns, the best of some rounds counts.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure
from collector.store import Rows
from collector.stores.influxdb import writing
from collector.stores.influxdb.placing import placed
from collector.stores.influxdb.reading import Reader
from collector.stores.influxdb.state import State
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from gateway import wire
from gateway.measurement import SECOND_NS, Columns, Series

GROUPS, BATCHES = 2, 200  # batches of a group, each full
ROUNDS = 3
SHARE = 0.6  # of the rate of posting
START_NS = 1_793_500_000 * SECOND_NS
SERIES = tuple(Series("plant", f"point-{n % 7}", f"sensor-{n}", "LAeq", "dB(A)") for n in range(36))
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
[monitor]
store-enabled = false
"""


def measure() -> list[Figure]:
    """Measurements a second into the server, by the store and as lines made beforehand."""
    if not shutil.which("influxd"):
        sys.stderr.write("influxd is not installed (apt-get install influxdb): nothing to measure\n")
        return []
    best = {"store": 0.0, "lines": 0.0}
    with tempfile.TemporaryDirectory() as folder, influxd(Path(folder)) as url:
        for turn in range(ROUNDS):
            groups = [_rows(n) for n in range(GROUPS)]
            total = sum(map(len, groups))
            databases = [f"store{turn}", f"lines{turn}"]
            with closing(Transport(Server(url=url, database=""))) as asking:
                for name in databases:
                    assert asking.query(f"CREATE DATABASE {name}").ok
            lines = _lines(url, groups)
            best["store"] = max(best["store"], total / _store(url, databases[0], groups, Path(folder)))
            best["lines"] = max(best["lines"], total / _post(url, databases[1], lines))
    return [
        Figure(
            name="projection into influxd", value=1e6 / best["store"], unit="us a measurement",
            reference=1e6 / best["lines"] / SHARE, reference_name=f"the limit, {SHARE:.0%} of the rate of posting",
        ),
        Figure(
            name="projection into influxd", value=1e6 / best["store"], unit="us a measurement",
            reference=1e6 / best["lines"], reference_name="posting lines made beforehand",
        ),
    ]  # fmt: skip


def _rows(group: int) -> Rows:
    n = BATCHES * wire.MAX_VALUES
    row = np.arange(group * n, (group + 1) * n)
    level_db = np.round(60 + 5 * np.sin(row * 0.7), 1)
    columns = Columns(
        SERIES, (row % len(SERIES)).astype(np.uint16), START_NS + row // len(SERIES) * SECOND_NS, level_db,
        np.zeros(n, np.uint8),
    )  # fmt: skip
    seq, index = (row // wire.MAX_VALUES).astype(np.uint64) + np.uint64(1), (row % wire.MAX_VALUES).astype(np.uint16)
    received_ns = columns.time_ns + SECOND_NS
    return Rows(columns, (("gw", bytes(16)),), np.zeros(n, np.uint16), seq, index, received_ns)


def _store(url: str, database: str, groups: list[Rows], folder: Path) -> float:
    """Seconds that the store takes."""
    store = InfluxStore(Server(url=url, database=database), folder / f"{database}.db")
    begin = time.perf_counter()
    for position, rows in enumerate(groups, 1):
        store.append(rows, position)
    took_s = time.perf_counter() - begin
    store.close()
    return took_s


def _lines(url: str, groups: list[Rows]) -> list[str]:
    """What the store writes."""
    made: list[str] = []
    with closing(Transport(Server(url=url, database=""))) as transport:
        for rows in groups:
            some = placed(Reader(transport), State(), {}, rows)
            made += some.lines(0, len(some))
    return made


def _post(url: str, database: str, lines: list[str]) -> float:
    """Seconds that the same lines take, in requests of the same size."""
    transport = Transport(Server(url=url, database=database))
    bodies = ["\n".join(lines[n : n + writing.LINES]).encode() for n in range(0, len(lines), writing.LINES)]
    begin = time.perf_counter()
    for body in bodies:
        assert transport.write(body).ok
    took_s = time.perf_counter() - begin
    transport.close()
    return took_s


@contextmanager
def influxd(folder: Path) -> Iterator[str]:
    """A server with its data in a folder, gone with the block; its address."""
    program = shutil.which("influxd")
    assert program, "influxd is not installed (apt-get install influxdb)"
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    config = folder / "influxdb.conf"
    config.write_text(_CONFIG.format(folder=folder, rpc=ports[0], port=ports[1]))
    command = [program, "-config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{ports[1]}"
            _await(url)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _await(url: str) -> None:
    end = time.monotonic() + 10
    with closing(Transport(Server(url=url, database=""))) as asking:
        while time.monotonic() < end:
            try:
                asking.dialect()
                return
            except Exception:  # noqa: BLE001 - not there yet
                time.sleep(0.05)
    raise AssertionError("influxd does not answer")

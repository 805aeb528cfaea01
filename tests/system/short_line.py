"""A gateway's way out, a broker and a collector in one process: for tests that need to see inside."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.__main__ import Collector
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Columns, Series
from gateway.publisher import Publisher
from gateway.settings import Broker, Site, parse_site
from gateway.spooler import Spooler, outbox_folder
from tests.gateway.batches import wait_until

START_NS = 1_793_500_000 * SECOND_NS
SITE = """
[plant]
id = "riverside"
timezone = "UTC"
data_dir = "data"
[broker]
url = "mqtt://127.0.0.1:{port}"
[collector]
public_key = "{collector}"
[[gateway]]
id = "riverside-gw"
public_key = "{gateway}"
[[point]]
id = "fence-north"
kind = "noise"
[[sensor]]
id = "slm-north"
point = "fence-north"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
"""


@dataclass
class Clocks:
    """Both clocks of a gateway, which can be moved on. ahead_ns: how far they are."""

    ahead_ns: int = 0

    def wall_ns(self) -> int:
        """Time since 1970 UTC. [ns]"""
        return time.time_ns() + self.ahead_ns

    def mono_ns(self) -> int:
        """Time since some start. [ns]"""
        return time.monotonic_ns() + self.ahead_ns


@dataclass
class Gateway:
    """A gateway's outbox and its way to the broker, in this process."""

    series: tuple[Series, ...]
    spooler: Spooler
    publisher: Publisher
    clocks: Clocks
    measured: int = 0

    def measure(self, batches: int, values: int = 20) -> None:
        """Commit batches, each of some measurements, as if they had come two seconds apart."""
        for _ in range(batches):
            number = self.measured + np.arange(values, dtype=np.int64)
            columns = Columns(
                self.series,
                np.zeros(values, np.uint16),
                START_NS + number * SECOND_NS,
                number / 8192.0,
                np.zeros(values, np.uint8),
            )
            self.spooler.put(columns)
            self.clocks.ahead_ns += 2 * SECOND_NS
            self.measured += values
        self.spooler.flush()


@dataclass
class Line:
    """A gateway and a collector in this process."""

    site: Site
    gateway: Gateway
    collector: Collector | None = None

    @property
    def spooler(self) -> Spooler:
        """The gateway's outbox."""
        return self.gateway.spooler

    @property
    def publisher(self) -> Publisher:
        """Its way out."""
        return self.gateway.publisher

    @property
    def measured(self) -> int:
        """How many values were measured."""
        return self.gateway.measured

    def measure(self, batches: int, values: int = 20) -> None:
        """See `Gateway.measure`."""
        self.gateway.measure(batches, values)

    def collect(self) -> Collector:
        """Start a collector."""
        self.collector = Collector([self.site], demo=True)
        self.collector.start()
        return self.collector

    def stored(self) -> list[float]:
        """What the store holds, read back by query, in the order of time."""
        assert self.collector
        columns = self.collector.store.keys().columns
        return [float(value) for value in columns.value[np.argsort(columns.time_ns, kind="stable")]]

    def all_arrived_once(self, within_s: float) -> None:
        """Wait until everything is acknowledged and stored; then each value is there once, unaltered, in order."""
        assert self.publisher.wait_drained(within_s), self.spooler.counts()
        collector = self.collector
        assert collector
        wait_until(lambda: collector.store.cursor() == collector.journal.last)
        assert self.stored() == [n / 8192.0 for n in range(self.measured)]


@contextlib.contextmanager
def line(folder: Path, way: Broker, port: int) -> Iterator[Line]:
    """A line whose gateway takes its way to the broker, while the collector goes straight to its port."""
    gateway, _ = load_or_create_key(outbox_folder(folder / "data", "riverside-gw") / "key")
    collector, _ = load_or_create_key(folder / "data" / "collector" / "key")
    text = SITE.format(port=port, collector=public_hex(collector), gateway=public_hex(gateway))
    site, faults = parse_site(text, str(folder / "site.toml"))
    assert site, faults
    series = Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)")
    with gateway_at(Path(site.data_dir), "riverside-gw", series, way, collector.public_key()) as outgoing:
        found = Line(site, outgoing)
        outgoing.publisher.start()
        try:
            yield found
        finally:
            outgoing.publisher.stop()
            if found.collector:
                found.collector.stop()


@contextlib.contextmanager
def gateway_at(data: Path, id: str, series: Series, way: Broker, collector: Ed25519PublicKey) -> Iterator[Gateway]:
    """A gateway of some data folder, whose publisher is not started yet."""
    clocks, folder = Clocks(), outbox_folder(data, id)
    key, _ = load_or_create_key(folder / "key")
    spooler = Spooler(folder, series.plant, id, key, now_ns=clocks.wall_ns, mono_ns=clocks.mono_ns)
    with contextlib.closing(spooler):
        yield Gateway((series,), spooler, Publisher(way, None, id, spooler, collector), clocks)

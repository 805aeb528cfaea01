"""A gateway's way out, a broker and a collector in one process: for tests that need to see inside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collector.__main__ import Collector
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Columns, Series
from gateway.publisher import Publisher
from gateway.settings import Broker, Site, parse_site
from gateway.spooler import Spooler, outbox_folder
from tests.gateway.batches import wait_until

NOISE = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)
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
class Line:
    """A gateway's outbox, its way to the broker, and a collector, in this process."""

    site: Site
    spooler: Spooler
    publisher: Publisher
    collector: Collector | None = None
    measured: int = 0

    def measure(self, batches: int, values: int = 20) -> None:
        """Seal batches, each of some measurements."""
        for _ in range(batches):
            second = START_NS // SECOND_NS + self.measured + np.arange(values, dtype=np.int64)
            level = (self.measured + np.arange(values)) / 8.0
            columns = Columns(NOISE, np.zeros(values, np.uint16), second * SECOND_NS, level, np.zeros(values, np.uint8))
            self.spooler.put(columns)
            self.spooler.flush()
            self.measured += values

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
        assert self.collector
        wait_until(lambda: self.collector.store.cursor() == self.collector.journal.last)
        assert self.stored() == [n / 8.0 for n in range(self.measured)]


@contextlib.contextmanager
def line(folder: Path, way: Broker, port: int) -> Iterator[Line]:
    """A line whose gateway takes its way to the broker, while the collector goes straight to its port."""
    gateway, _ = load_or_create_key(outbox_folder(folder / "data", "riverside-gw") / "key")
    collector, _ = load_or_create_key(folder / "data" / "collector" / "key")
    text = SITE.format(port=port, collector=public_hex(collector), gateway=public_hex(gateway))
    site, faults = parse_site(text, str(folder / "site.toml"))
    assert site, faults
    with contextlib.closing(
        Spooler(outbox_folder(site.data_dir, "riverside-gw"), "riverside", "riverside-gw", gateway)
    ) as spooler:
        publisher = Publisher(way, None, "riverside-gw", spooler, collector.public_key())
        found = Line(site, spooler, publisher)
        publisher.start()
        try:
            yield found
        finally:
            publisher.stop()
            if found.collector:
                found.collector.stop()

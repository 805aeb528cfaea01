"""The demonstration's past: two days of the plant, sent through the real line before they count as known.

The plant's register words go through decoding, outbox, seal, broker, journal, store and evaluator like
any others; only the Modbus socket is left out. Each gateway's past is a stream of its own (`<id>-history`)
with the gateway's clocks set to the time it tells of, while the journal keeps the true receive times.
Instants are visited in order over all sensors, a few minutes at a time, so that a follower of the stream
knows a window to be complete when it sees a later measurement.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gateway import registers
from gateway.identity import load_or_create_key, public_key
from gateway.log_stream import log_to
from gateway.measurement import SECOND_NS, Columns, Int64, concatenate
from gateway.outbox_files import first_ns
from gateway.plans import Rate
from gateway.publisher import Publisher
from gateway.sensors import Sensor
from gateway.settings import Site
from gateway.spooler import Spooler, outbox_folder
from simulators import plant
from simulators.server import load
from simulators.stage import HISTORY

# 30 minutes of the reference plant are 18,000 measurements: 36 full batches, one COMMIT.
CHUNK_NS = 1800 * SECOND_NS
# More than this many batches on the way would only wait in the broker's memory.
AHEAD_BATCHES = 2000
DRAIN_S = 120.0
FIRST_LIVE_S = 20.0


def ticks(from_ns: int, to_ns: int, interval_ns: int) -> Int64:
    """The instants of [from_ns, to_ns) at which a sensor of an interval is polled: whole multiples of it."""
    first = -(-from_ns // interval_ns) * interval_ns
    return np.arange(first, max(first, to_ns), interval_ns, dtype=np.int64)


def measured(seed: int, site: Site, sensor: Sensor, time_ns: Int64, rate: Rate | None = None) -> Columns:
    """What a sensor's registers held at n instants, decoded: n times k measurements, ordered by time.

    rate: those of one interval, None = all.
    """
    reading = rate.plan if rate else sensor.plan
    true = plant.values(seed, plant.place(site, sensor.point), reading.parameters, time_ns)
    words = registers.encode(reading, true, np.zeros(true.shape, np.uint8))
    value, status = registers.decode(reading, words)
    k = len(reading.parameters)
    index = np.tile(np.array(rate.columns if rate else range(k), np.uint16), len(time_ns))
    return Columns(sensor.series, index, np.repeat(time_ns, k), value.ravel(), status.ravel())


def past(seed: int, site: Site, sensors: Sequence[Sensor], from_ns: int, to_ns: int) -> Iterator[tuple[int, Columns]]:
    """The measurements of some sensors in [from_ns, to_ns), in order of time, with the instant each part ends."""
    for start in range(from_ns, to_ns, CHUNK_NS):
        end = min(start + CHUNK_NS, to_ns)
        parts = [
            measured(seed, site, s, ticks(start, end, rate.interval_ns), rate) for s in sensors for rate in s.rates
        ]
        columns = concatenate(parts)
        yield end, columns.take(np.argsort(columns.time_ns, kind="stable"))


def total(sensors: Sequence[Sensor], from_ns: int, to_ns: int) -> int:
    """How many measurements the past of some sensors has."""
    rates = (rate for sensor in sensors for rate in sensor.rates)
    return sum(len(ticks(from_ns, to_ns, rate.interval_ns)) * len(rate.columns) for rate in rates)


class _Stream:
    """One gateway's past on its way. span: from, to. now_ns: what its clocks show."""

    def __init__(self, site: Site, gateway: str, sensors: Sequence[Sensor], span: tuple[int, int]) -> None:
        self.site, self.sensors, self.span, self.now_ns = site, sensors, span, span[0]
        folder = outbox_folder(site.data_dir, gateway)
        key, _ = load_or_create_key(folder / "key")
        self.spooler = Spooler(folder, site.plant.id, gateway, key, now_ns=self._clock, mono_ns=self._clock)
        collector = public_key(site.collector_key)
        self.publisher = Publisher(site.broker, None, gateway, self.spooler, collector, live=False)

    def _clock(self) -> int:
        return self.now_ns


def run(site: str, seed: int, hours: float) -> int:
    """Send the past of a site file or folder, report progress as JSON lines; 1 when it was not delivered."""
    # Standard output is for progress alone.
    log_to("stderr")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    streams = [s for one, sensors in load(site) for s in _streams(one, sensors, stop, round(hours * 3600) * SECOND_NS)]
    try:
        good = _send(streams, seed, stop)
    finally:
        for stream in streams:
            stream.publisher.stop()
            stream.spooler.close()
    return 0 if good else 1


def _streams(site: Site, sensors: Sequence[Sensor], stop: threading.Event, length_ns: int) -> Iterator[_Stream]:
    for gateway in (g.id for g in site.gateways if not g.history):
        own = [s for s in sensors if s.settings.gateway == gateway]
        to_ns = _first_live_ns(outbox_folder(site.data_dir, gateway), stop)
        yield _Stream(site, gateway + HISTORY, own, (to_ns - length_ns, to_ns))


def _first_live_ns(folder: Path, stop: threading.Event) -> int:
    """When the live gateway began to measure, so that the past ends where it begins; now, if it does not begin."""
    end = time.monotonic() + FIRST_LIVE_S
    while time.monotonic() < end and not stop.wait(0.1):
        with contextlib.suppress(sqlite3.Error):
            # Not there yet, or being made: look again.
            if found := first_ns(folder):
                return found
    return time.time_ns() // SECOND_NS * SECOND_NS


def _send(streams: Sequence[_Stream], seed: int, stop: threading.Event) -> bool:
    """Whether everything was acknowledged."""
    whole = sum(total(s.sensors, *s.span) for s in streams)
    sent = 0
    for stream in streams:
        stream.publisher.start()
    for step in zip(*(past(seed, s.site, s.sensors, *s.span) for s in streams), strict=True):
        for stream, (end_ns, columns) in zip(streams, step, strict=True):
            stream.now_ns = end_ns
            stream.spooler.put(columns)
            stream.spooler.flush()
            sent += len(columns)
        _say(sent, whole, streams)
        if not _wait(streams, lambda: _waiting(streams) < AHEAD_BATCHES, stop, DRAIN_S, sent, whole):
            return False
    good = _wait(streams, lambda: all(s.spooler.drained() for s in streams), stop, DRAIN_S, sent, whole)
    _say(sent, whole, streams)
    return good


def _wait(
    streams: Sequence[_Stream], done: Callable[[], bool], stop: threading.Event, timeout_s: float, sent: int, whole: int
) -> bool:
    """Wait until done; False when told to stop, or when nothing was acknowledged for a long time."""
    end, waiting = time.monotonic() + timeout_s, _waiting(streams)
    while not done():
        if stop.wait(0.05) or time.monotonic() > end:
            return False
        if _waiting(streams) < waiting:
            end, waiting = time.monotonic() + timeout_s, _waiting(streams)
            _say(sent, whole, streams)
    return not stop.is_set()


def _waiting(streams: Sequence[_Stream]) -> int:
    return sum(s.spooler.unacked() for s in streams)


def _say(sent: int, whole: int, streams: Sequence[_Stream]) -> None:
    progress = {"sealed": sent, "total": whole, "unacked_batches": _waiting(streams)}
    sys.stdout.write(json.dumps(progress) + "\n")
    sys.stdout.flush()

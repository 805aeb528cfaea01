"""How fast the collector takes sealed batches in: examined, journalled, projected into the store, on one core."""

from __future__ import annotations

import os
import queue
import tempfile
import time
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.figure import Figure
from collector.intake.gate import Gate, Trusted
from collector.intake.journal import Journal
from collector.intake.projector import Projector, rows
from collector.intake.recorder import QUEUE_SIZE, Deliveries, Delivery, Recorder
from collector.store import Entry, EntryKind, Rows
from collector.stores.duckdb import DuckdbStore
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns, Series, empty_columns

BATCHES = 4100  # full ones: about the two days of the demonstration
LIMIT_S = 10.0
LIMIT_STORE_S = 5.0
START_NS = 1_793_500_000 * SECOND_NS
SERIES = tuple(Series("plant", f"point-{n % 7}", f"sensor-{n}", "LAeq", "dB(A)") for n in range(36))


class _NoBroker:
    """Takes what the recorder sends and drops it."""

    def puback(self, _: Delivery) -> None:
        """Dropped."""

    def publish(self, _: str, __: bytes) -> None:
        """Dropped."""


def measure() -> list[Figure]:
    """Time for 2 million measurements from sealed bytes to the store, and for the store alone. [s]"""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        key = Ed25519PrivateKey.generate()
        payloads: list[bytes] = []
        for seq in range(1, BATCHES + 2):
            payloads.append(_sealed(seq, key, seal.digest(payloads[-1]) if payloads else wire.NO_HASH))
        with tempfile.TemporaryDirectory() as folder:
            whole_s = _take_in(payloads, key, Path(folder))
            store_s = _append([payload[1 + seal.SIGNATURE_BYTES :] for payload in payloads], Path(folder))
    finally:
        os.sched_setaffinity(0, cores)
    return [
        Figure(name="sealed to stored", value=whole_s, unit="s", reference=LIMIT_S, reference_name="the limit"),
        Figure(name="store alone", value=store_s, unit="s", reference=LIMIT_STORE_S, reference_name="the limit"),
    ]


def _sealed(seq: int, key: Ed25519PrivateKey, prev: bytes) -> bytes:
    n = wire.MAX_VALUES if seq > 1 else 0
    row = np.arange(n)
    time_ns = START_NS + (seq * 14 + row // len(SERIES)) * SECOND_NS
    level_db = np.round(60 + 5 * np.sin(row * 0.7 + seq), 1)
    columns = Columns(SERIES, (row % len(SERIES)).astype(np.uint16), time_ns, level_db, np.zeros(n, np.uint8))
    header = wire.Header(
        plant="plant", gw="gw", ep=bytes(16), seq=seq, prev=prev, low=1, n=n, cfg=wire.NO_HASH, mono_ns=1,
        wall_ns=START_NS, clk=wire.Clk("synced", 1, 0), kind="data" if n else "hello",
    )  # fmt: skip
    return seal.seal(wire.encode(header, columns if n else empty_columns()), key)


def _take_in(payloads: list[bytes], key: Ed25519PrivateKey, folder: Path) -> float:
    journal, store = Journal(folder / "journal"), DuckdbStore(folder / "intake.duckdb")
    deliveries: Deliveries = queue.Queue(QUEUE_SIZE)
    recorder = Recorder(journal=journal, deliveries=deliveries, link=_NoBroker(), key=key, gateways=["gw"])
    projector = Projector(journal, store)
    gate = Gate({"gw": Trusted("plant", key.public_key())})
    recorder.start()
    projector.start()
    started = time.perf_counter()
    for mid, payload in enumerate(payloads):
        examined = gate.examine("gw", payload, received_ns=time.time_ns(), now_ns=time.monotonic_ns())
        deliveries.put(Delivery((examined,), 1, mid))
    while store.cursor() < len(payloads):
        time.sleep(0.01)
    took_s = time.perf_counter() - started
    recorder.stop()
    projector.stop()
    stored = len(store.keys())
    store.close()
    journal.close()
    assert stored == BATCHES * wire.MAX_VALUES, f"{stored} stored"
    return took_s


def _append(bodies: list[bytes], folder: Path) -> float:
    parts: list[Rows] = []
    for start in range(0, len(bodies), 1000):
        batches = [wire.decode(body) for body in bodies[start : start + 1000]]
        parts.append(rows([(Entry(0, 0, EntryKind.BATCH, "gw", bytes(16), b.header.seq), b) for b in batches]))
    store = DuckdbStore(folder / "alone.duckdb")
    started = time.perf_counter()
    for position, part in enumerate(parts, 1):
        store.append(part, position)
    took_s = time.perf_counter() - started
    store.close()
    return took_s

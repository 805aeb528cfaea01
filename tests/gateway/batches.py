"""Measurements, batches and acknowledgements as the tests of the transport need them."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway import bundles, seal, wire
from gateway.measurement import Columns, Series, Status
from gateway.settings import Broker
from tests.gateway.ports import free_port

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
COLLECTOR_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
EPOCH = (7).to_bytes(8) + b"01234567"
PATIENCE_S = 20.0  # for what takes a moment on a machine that has nothing else to do
NOON_NS = 1_790_000_000_000_000_000
SERIES = tuple(Series("riverside", "stack-1", "cems-1", code, "mg/m3") for code in ("SO2", "NOx", "CO"))


def columns(n: int, *, series: tuple[Series, ...] = SERIES, start_ns: int = NOON_NS) -> Columns:
    """n measurements, one each second of each series in turn; every value is different."""
    row = np.arange(n)
    return Columns(
        series,
        (row % len(series)).astype(np.uint16),
        start_ns + row // len(series) * 10**9,
        row / 8.0,
        np.zeros(n, np.uint8),
    )


def header(n: int, *, seq: int = 2, kind: str = "data", **other: object) -> wire.Header:
    """The header of a batch of n measurements."""
    given = {
        "plant": "riverside", "gw": "riverside-gw", "ep": EPOCH, "seq": seq, "prev": bytes(32), "low": 1, "n": n,
        "cfg": bytes(32), "mono_ns": 5, "wall_ns": NOON_NS, "clk": wire.Clk("synced", 3, 0), "kind": kind,
    }  # fmt: skip
    return wire.Header(**(given | other))  # type: ignore[arg-type]


def equal(a: Columns, b: Columns) -> bool:
    """Whether two tables say the same, series by name."""
    return (
        len(a) == len(b)
        and [a.series[i] for i in a.series_index] == [b.series[i] for i in b.series_index]
        and np.array_equal(a.time_ns, b.time_ns)
        and np.array_equal(a.value, b.value, equal_nan=True)
        and np.array_equal(a.status, b.status)
    )


@st.composite
def tables(draw: st.DrawFn, max_size: int = wire.MAX_VALUES) -> Columns:
    """Any measurements a gateway can make."""
    name = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=16)
    series = tuple(draw(st.lists(st.builds(Series, name, name, name, name, name), min_size=1, max_size=9, unique=True)))
    n = draw(st.integers(0, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    status = rng.integers(0, len(Status), n).astype(np.uint8)
    value = rng.normal(0.0, 10.0 ** rng.integers(-3, 9), n)
    value[(rng.random(n) < 0.3) & (status != Status.OK)] = np.nan
    time_ns = rng.integers(0, 2**61, n)
    return Columns(series, rng.integers(0, len(series), n).astype(np.uint16), time_ns, value, status)


def ack(ep: bytes, upto: int, *, n: int = 1, have: tuple[tuple[int, int], ...] = (), **other: object) -> wire.Ack:
    """An acknowledgement of one epoch."""
    epochs = (wire.EpochAck(ep, upto, have),)
    given = {"gw": "riverside-gw", "gen": (1, bytes(8)), "n": n, "epochs": epochs, "win": 400, "now": NOON_NS}
    return wire.Ack(**(given | other))  # type: ignore[arg-type]


def sealed_ack(ack: wire.Ack, key: Ed25519PrivateKey = COLLECTOR_KEY) -> bytes:
    """An acknowledgement as it travels."""
    return seal.seal_ack(wire.encode_ack(ack), key)


def broker(port: int, protocol: str = "5", **other: Any) -> Broker:
    """The settings of a broker on this machine."""
    given: dict[str, Any] = {
        "url": f"mqtt://127.0.0.1:{port}",
        "ca": "",
        "cert": "",
        "key": "",
        "user": "",
        "password_file": "",
    }
    return Broker(**(given | {"protocol": protocol} | other))


class Mosquitto:
    """A real broker in a process of its own, that can be stopped and started again on its port."""

    def __init__(self, program: str, folder: Path, *lines: str) -> None:
        self._program, self.port = program, free_port()
        self._config = folder / "mosquitto.conf"
        text = [f"listener {self.port} 127.0.0.1", *(lines or ("allow_anonymous true",)), "user root", "log_type none"]
        self._config.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen([self._program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(lambda: _listens(self.port))

    def stop(self) -> None:
        """End it at once, as a crash does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running(program: str, folder: Path, *lines: str) -> Iterator[Mosquitto]:
    """A broker for the length of a test."""
    mosquitto = Mosquitto(program, folder, *lines)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


class Collector:
    """Takes the batches of one gateway as a collector does, and acknowledges them when told to.

    acknowledges: whether to. drop: how many messages to lose first. batches: by (epoch, seq). bundle: how large a
    bundle it takes.
    """

    def __init__(self, port: int, *, gateway: str = "riverside-gw", protocol: int = mqtt.MQTTv5) -> None:
        self.acknowledges, self.drop, self.win = True, 0, 400
        self.bundle, self.messages = 0, 0
        self._bundles = False  # whether it ever took some: one may be on its way for long
        self.payloads: list[bytes] = []
        self.batches: dict[tuple[bytes, int], wire.Batch] = {}
        self.states: list[bytes] = []
        self.key = COLLECTOR_KEY
        self.gen = (1, bytes(8))
        # As from a journal that goes on counting: above what any collector before it has said.
        self._gateway, self._n, self._lock = gateway, time.monotonic_ns(), threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"em/v1/{gateway}/{t}", 1) for t in ("up", "state")]
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("state"):
            self.states.append(message.payload)
            return
        if self.drop:
            self.drop -= 1
            return
        self.messages += 1
        self._bundles |= self.bundle > 0
        for payload in bundles.unpack(message.payload) if self._bundles else [message.payload]:
            batch = wire.decode(seal.verify(payload, KEY.public_key()))
            with self._lock:
                self.payloads.append(payload)
                self.batches[batch.header.ep, batch.header.seq] = batch
        if self.acknowledges:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Say what has arrived."""
        with self._lock:
            held: dict[bytes, set[int]] = {}
            for ep, seq in self.batches:
                held.setdefault(ep, set()).add(seq)
            epochs = tuple(wire.EpochAck(ep, *ranges(seqs)) for ep, seqs in held.items())
            self._n += 1
            said = wire.Ack(
                gw=self._gateway, gen=self.gen, n=self._n, epochs=epochs, win=self.win, now=time.time_ns(),
                bundle=self.bundle,
            )  # fmt: skip
        self._client.publish(wire.down_topic(self._gateway), sealed_ack(said, self.key), qos=1, retain=True)

    def publish(self, payload: bytes) -> None:
        """Put anything on the topic of the acknowledgements."""
        self._client.publish(wire.down_topic(self._gateway), payload, qos=1).wait_for_publish(2)

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_connect = None  # paho closes its sockets when nobody holds it


def ranges(seqs: Iterable[int]) -> tuple[int, tuple[tuple[int, int], ...]]:
    """All up to a number, and the ranges above it."""
    found: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    upto = found.pop(0)[1] if found and found[0][0] == 1 else 0
    return upto, tuple(found[:32])


def wait_until(condition: object, timeout_s: float = PATIENCE_S) -> None:
    """Wait for something that happens in another thread or process; fails when it does not."""
    assert callable(condition)
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def _listens(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False

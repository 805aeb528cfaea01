"""What a flood by one gateway costs the others: the time from a batch to its acknowledgement, before and during.

    python -m tests.collector.proof.flood --rate 10000 --seconds 10

A real mosquitto with TLS and access list, a real collector. Gateway gw-a sends a batch every 50 ms and waits for the
collector's acknowledgement of it; gw-b, with a good certificate, sends what it likes as fast as asked. Exit 1 where
the median of gw-a's times more than doubles.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.__main__ import Collector
from gateway import seal, wire
from gateway.connection import tls_context
from gateway.measurement import SECOND_NS
from gateway.outbox import RTO_MIN_NS, held
from gateway.settings import Broker
from tests.collector.batches import FakeGateway
from tests.collector.proof.places import Place, mosquitto_of
from tests.gateway.ports import free_port

EVERY_S = 0.05
RTO_S = RTO_MIN_NS / SECOND_NS
PAYLOAD = 200


class Sender:
    """Gateway gw-a: sends batches and hears when they are acknowledged. times: of each, in seconds."""

    def __init__(self, place: Place) -> None:
        self.times: list[float] = []
        self._sent: dict[int, tuple[float, bytes]] = {}
        self._again: dict[int, float] = {}
        self._fake = FakeGateway("gw-a", epoch=time.time_ns().to_bytes(8) + b"randomly", key=place.signing_key("gw-a"))
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.tls_set_context(tls_context(place.door("gw-a")))
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", place.port)
        self._client.subscribe(wire.down_topic("gw-a"), 1)
        self._client.loop_start()

    def _heard(self, _: Client, __: object, message: object) -> None:
        now = time.perf_counter()
        ack = wire.decode_ack(message.payload[1 + seal.SIGNATURE_BYTES :])  # type: ignore[attr-defined]
        keys = [(self._fake.epoch, seq) for seq in list(self._sent)]
        for _, seq in held(ack, keys):
            self.times.append(now - self._sent.pop(seq)[0])

    def run(self, seconds: float) -> list[float]:
        """Send for a while; the times of what was sent in it, those that never came as the longest."""
        self.times.clear()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            payload = self._fake.sealed()
            self._sent[self._fake.seq] = time.perf_counter(), payload
            self._client.publish(wire.up_topic("gw-a"), payload, 1)
            self._resend()
            time.sleep(EVERY_S)
        waited = time.perf_counter() + 30
        while self._sent and time.perf_counter() < waited:
            self._resend()
            time.sleep(0.01)
        return [*self.times, *(time.perf_counter() - sent for sent, _ in self._sent.values())]

    def _resend(self) -> None:
        """As a gateway does: what was not acknowledged for RTO_S, again."""
        now = time.perf_counter()
        for seq, (sent, payload) in list(self._sent.items()):
            if now - self._again.get(seq, sent) > RTO_S:
                self._again[seq] = now
                self._client.publish(wire.up_topic("gw-a"), payload, 1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _packet(kind: int, rest: bytes) -> bytes:
    """An MQTT 3.1.1 packet. Source: MQTT 3.1.1, 2.2."""
    size, length = b"", len(rest)
    while True:
        length, low = divmod(length, 128)
        size += bytes([low | (128 if length else 0)])
        if not length:
            return bytes([kind]) + size + rest


def flood(door: Broker, rate: int, stop: object, sent: object) -> None:
    """Send nonsense on gw-b's own topic at a rate, QoS 1, without waiting for anybody. sent: how many went out."""
    context = tls_context(door)
    assert context
    with context.wrap_socket(socket.create_connection(("127.0.0.1", door.port)), server_hostname="127.0.0.1") as line:
        line.sendall(_packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x04gw-b"))
        line.recv(4)
        threading.Thread(target=_drain, args=[line], daemon=True).start()
        topic = wire.up_topic("gw-b").encode()
        one = _packet(0x32, len(topic).to_bytes(2) + topic + b"\x00\x01" + bytes(PAYLOAD))
        began = time.perf_counter()
        while not stop.is_set():  # type: ignore[attr-defined]
            due = int((time.perf_counter() - began) * rate) - sent.value  # type: ignore[attr-defined]
            if due > 0:
                line.sendall(one * min(due, 500))
                sent.value += min(due, 500)  # type: ignore[attr-defined]
            else:
                time.sleep(0.001)


def _drain(line: ssl.SSLSocket) -> None:
    try:
        while line.recv(65536):
            pass
    except (OSError, ValueError):
        pass


def measure(program: str, folder: Path, *, rate: int, seconds: float) -> dict[str, float]:
    """Times of gw-a before and during a flood by gw-b, in milliseconds."""
    place = Place(folder, free_port())
    assert place.enroll("gw-a") == place.enroll("gw-b") == 0
    with ExitStack() as stack:
        stack.enter_context(mosquitto_of(program, place))
        collector = Collector([place.site()])
        stack.callback(collector.stop)
        collector.start()
        while not collector.subscriber.connected:
            time.sleep(0.01)
        sender = Sender(place)
        stack.callback(sender.close)
        sender.run(1.0)
        before = sender.run(seconds)
        spawn = multiprocessing.get_context("spawn")
        stop, sent = spawn.Event(), spawn.Value("q", 0)
        process = spawn.Process(target=flood, args=[place.door("gw-b"), rate, stop, sent])
        process.start()
        while not sent.value:
            time.sleep(0.01)
        began = time.perf_counter()
        during = sender.run(seconds)
        stop.set()
        process.join()
        faults = collector.recorder.counts["gw-b"].faults
        return {
            "rate": round(sent.value / (time.perf_counter() - began)), "sent": sent.value, "batches": len(during),
            "before_ms": _ms(before, 0.5), "during_ms": _ms(during, 0.5),
            "before_p95_ms": _ms(before, 0.95), "during_p95_ms": _ms(during, 0.95),
            "times": round(statistics.median(during) / statistics.median(before), 2),
            "refused": sum(faults.values()), "events": collector.recorder.security.events,
        }  # fmt: skip


def _ms(times: Sequence[float], share: float) -> float:
    return round(sorted(times)[int(share * (len(times) - 1))] * 1000, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place_of_all:
        found = measure(
            shutil.which("mosquitto") or "/usr/sbin/mosquitto", Path(place_of_all), rate=given.rate,
            seconds=given.seconds,
        )  # fmt: skip
    print(json.dumps(found, indent=1))
    sys.exit(found["times"] > 2)

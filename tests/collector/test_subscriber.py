"""The subscriber against a real broker: PUBACKs by hand, redelivery, refusals."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from collector.intake.gate import Gate, Trusted
from collector.intake.journal import Journal
from collector.intake.recorder import Deliveries, Delivery, Recorder, Signal
from collector.intake.states import States
from collector.intake.subscriber import RECEIVE_MAXIMUM, Subscriber
from collector.store import EntryKind
from gateway import bundles, seal, wire
from gateway.settings import Broker
from tests.collector.batches import FakeGateway
from tests.collector.brokers import listening, mosquitto_at
from tests.gateway.ports import free_port

pytestmark = pytest.mark.system


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)


def settings(port: int, *, protocol: str = "5", user: str = "") -> Broker:
    url = f"mqtt://127.0.0.1:{port}"
    return Broker(url=url, protocol=protocol, ca="", cert="", key="", user=user, password_file="")


class Inlet:
    """A subscriber and the queue it fills."""

    def __init__(self, gateway: FakeGateway, broker: Broker, size: int = 1000) -> None:
        self.deliveries: Deliveries = queue.Queue(size)
        gate = Gate({gateway.id: Trusted(gateway.plant, gateway.key.public_key())})
        self.states = States()
        self.subscriber = Subscriber(
            broker, None, client_id="collector-t", gate=gate, deliveries=self.deliveries, states=self.states
        )
        self.listening = listening(self.subscriber)
        self.subscriber.start()

    def taken(self) -> list[Delivery]:
        """Everything in the queue but signals."""
        found = []
        while not self.deliveries.empty():
            item = self.deliveries.get()
            if isinstance(item, Delivery):
                found.append(item)
        return found

    def connected(self) -> Inlet:
        eventually(lambda: self.subscriber.connected)
        assert self.deliveries.get(timeout=5) is Signal.CONNECTED
        assert self.listening.wait(10)
        return self


@contextmanager
def publishing(port: int) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def port(mosquitto: str, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    with mosquitto_at(mosquitto, tmp_path, port):
        yield port


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_batches_arrive_examined_and_acknowledgements_are_retained(port: int, protocol: str) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port, protocol=protocol)).connected()
    heard: list[MQTTMessage] = []
    with publishing(port) as client:
        payloads = [gateway.sealed() for _ in range(5)]
        for payload in [*payloads, b"noise"]:
            client.publish(wire.up_topic(gateway.id), payload, qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 6)
        taken = inlet.taken()
        assert [d.examined[0].entry.payload for d in taken[:5] if d.examined[0].entry] == payloads
        assert [bool(d.examined[0].fault) for d in taken] == [False] * 5 + [True]
        client.on_message = lambda _, __, message: heard.append(message)
        inlet.subscriber.publish(wire.down_topic(gateway.id), b"ack")

        def retained() -> bool:
            client.subscribe(wire.down_topic(gateway.id), qos=1)  # each time the broker says again what it has
            return any(message.retain for message in heard)

        eventually(retained)
        assert {message.payload for message in heard} == {b"ack"}
    inlet.subscriber.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_gateways_say_of_themselves_is_noted_of_those_that_are_known(port: int, protocol: str) -> None:
    gateway = FakeGateway()
    with publishing(port) as client:
        state = b'{"state": "online", "polls_failed": 1}'
        client.publish(wire.state_topic(gateway.id), state, qos=1, retain=True).wait_for_publish(5)
        inlet = Inlet(gateway, settings(port, protocol=protocol)).connected()

        def failed(id: str) -> tuple[object, object]:
            found = inlet.states.told(id, (), time.monotonic_ns())
            return found.get("polls_failed"), found.get("retained")

        eventually(lambda: failed(gateway.id) == (1, True))
        client.publish(wire.state_topic("nobody"), b'{"state": "online", "polls_failed": 9}')
        for n in range(2, 50):
            client.publish(wire.state_topic(gateway.id), json.dumps({"state": "online", "polls_failed": n}), qos=n % 2)
        eventually(lambda: failed(gateway.id) == (49, False))
        assert failed("nobody") == (None, None)
        client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 1)
    inlet.subscriber.stop()


@pytest.mark.parametrize(("protocol", "comes"), [("5", 0), ("3.1.1", 1)])
def test_what_the_broker_retained_is_not_asked_for_and_never_believed(port: int, protocol: str, comes: int) -> None:
    gateway = FakeGateway()
    with publishing(port) as client:
        client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1, retain=True).wait_for_publish(5)
        inlet = Inlet(gateway, settings(port, protocol=protocol)).connected()
        client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 1 + comes)
    assert [delivery.examined[0].what for delivery in inlet.taken()] == ["retained"] * comes + [None]
    inlet.subscriber.stop()


def test_a_bundle_is_its_batches_and_answered_once_all_of_them_are(port: int) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port)).connected()
    with publishing(port) as client:
        whole = bundles.pack([gateway.sealed() for _ in range(4)])
        for message in (whole, whole[:-1], bundles.pack([b"noise", gateway.sealed()])):
            client.publish(wire.up_topic(gateway.id), message, qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 3)
        taken = inlet.taken()
        numbers = [[one.entry.seq if one.entry else 0 for one in delivery.examined] for delivery in taken]
        assert numbers == [[1, 2, 3, 4], [0], [0, 5]]
        inlet.subscriber.puback(taken[0])
    time.sleep(0.2)
    inlet.subscriber.stop()
    again = Inlet(gateway, settings(port)).connected()
    eventually(lambda: again.deliveries.qsize() == 2)
    again.subscriber.stop()


def test_what_was_not_committed_comes_again_after_a_crash(port: int) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port)).connected()
    with publishing(port) as client:
        for _ in range(10):
            client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 10)
    for delivery in inlet.taken()[:4]:
        inlet.subscriber.puback(delivery)
    time.sleep(0.2)
    inlet.subscriber.stop()
    again = Inlet(gateway, settings(port)).connected()
    eventually(lambda: again.deliveries.qsize() == 6)
    assert [d.examined[0].entry.seq for d in again.taken() if d.examined[0].entry] == [5, 6, 7, 8, 9, 10]
    again.subscriber.stop()


def test_the_broker_stops_at_the_receive_maximum_and_goes_on_after_pubacks(port: int) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port)).connected()
    with publishing(port) as client:
        for _ in range(RECEIVE_MAXIMUM + 100):
            client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.qsize() == RECEIVE_MAXIMUM)
        time.sleep(0.3)
        assert inlet.deliveries.qsize() == RECEIVE_MAXIMUM
        for delivery in inlet.taken():
            inlet.subscriber.puback(delivery)
        eventually(lambda: inlet.deliveries.qsize() == 100)
    inlet.subscriber.stop()


def test_a_full_queue_makes_the_connection_wait(port: int) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port, protocol="3.1.1"), size=3).connected()
    with publishing(port) as client:
        for _ in range(8):
            client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.full())
        seen: list[int] = []
        while len(seen) < 8:
            item = inlet.deliveries.get(timeout=5)
            assert isinstance(item, Delivery)
            assert item.examined[0].entry is not None
            seen.append(item.examined[0].entry.seq)
        assert seen == list(range(1, 9))
    inlet.subscriber.stop()


def test_a_puback_belongs_to_the_connection_that_brought_the_message(
    mosquitto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, port = FakeGateway(), free_port()
    with mosquitto_at(mosquitto, tmp_path, port):
        inlet = Inlet(gateway, settings(port)).connected()
        with publishing(port) as client:
            client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
            eventually(lambda: inlet.deliveries.qsize() == 1)
        (old,) = inlet.taken()
    eventually(lambda: not inlet.subscriber.connected)
    inlet.subscriber.publish("nowhere", b"dropped while there is no broker")
    with mosquitto_at(mosquitto, tmp_path, port):
        inlet.connected()
        acked: list[int] = []
        monkeypatch.setattr(inlet.subscriber._client, "ack", lambda mid, qos: acked.append(mid))
        inlet.subscriber.puback(old)
        assert acked == []
        inlet.subscriber.stop()


def test_refusals_of_the_broker_are_told(mosquitto: str, tmp_path: Path) -> None:
    gateway, port = FakeGateway(), free_port()
    with mosquitto_at(mosquitto, tmp_path, port, "allow_anonymous false"):
        inlet = Inlet(gateway, settings(port))
        eventually(lambda: "refuses the collector" in inlet.subscriber.refusal)
        assert not inlet.subscriber.connected
        inlet.subscriber.stop()
    port = free_port()
    rights = tmp_path / "acl"
    rights.write_text("topic write em/#\n")
    with mosquitto_at(mosquitto, tmp_path, port, f"acl_file {rights}"):
        inlet = Inlet(gateway, settings(port)).connected()
        inlet.subscriber.publish("elsewhere", b"x")
        eventually(lambda: "does not take acknowledgements" in inlet.subscriber.refusal)
        inlet.subscriber.stop()


def test_a_message_that_breaks_the_gate_ends_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = FakeGateway()
    inlet = Inlet(gateway, settings(port)).connected()
    examine = inlet.subscriber._gate.examine

    def clumsy(name: str, payload: bytes, **clocks: int) -> object:
        if payload == b"trap":
            raise ZeroDivisionError
        return examine(name, payload, **clocks)

    monkeypatch.setattr(inlet.subscriber._gate, "examine", clumsy)
    with publishing(port) as client:
        client.publish(wire.up_topic(gateway.id), b"trap", qos=1)
        client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: inlet.deliveries.qsize() == 2)
    trapped, good = inlet.taken()
    assert trapped.examined[0].fault == "ZeroDivisionError: "
    assert trapped.examined[0].entry is not None
    assert (trapped.examined[0].entry.payload, trapped.examined[0].entry.seq) == (b"trap", 0)
    assert not good.examined[0].fault
    inlet.subscriber.stop()


def test_subscriber_and_recorder_together_acknowledge_what_is_on_disk(port: int, tmp_path: Path) -> None:
    gateway, key = FakeGateway(), Ed25519PrivateKey.generate()
    inlet = Inlet(gateway, settings(port))
    journal = Journal(tmp_path / "journal")
    recorder = Recorder(
        journal=journal, deliveries=inlet.deliveries, link=inlet.subscriber, key=key, gateways=[gateway.id]
    )
    recorder.start()
    assert inlet.listening.wait(10)
    acks: list[wire.Ack] = []
    with publishing(port) as client:
        client.on_message = lambda _, __, message: acks.append(
            wire.decode_ack(seal.verify_ack(bytes(message.payload), key.public_key()))
        )
        client.subscribe(wire.down_topic(gateway.id), qos=1)
        eventually(lambda: len(acks) > 0)
        for _ in range(700):
            client.publish(wire.up_topic(gateway.id), gateway.sealed(), qos=1)
        eventually(lambda: bool(acks[-1].epochs) and acks[-1].epochs[0].upto == 700)
    inlet.subscriber.stop_receiving()
    recorder.stop()
    inlet.subscriber.stop()
    batches = [entry.seq for entry in journal.read(0, 10_000) if entry.kind is EntryKind.BATCH]
    assert batches == list(range(1, 701))
    journal.close()

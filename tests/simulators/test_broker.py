"""The demonstration's brokers start, pass messages on and end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators import broker
from tests.gateway.batches import PATIENCE_S
from tests.simulators.plants import free_port

needs_mosquitto = pytest.mark.skipif(
    not shutil.which("mosquitto", path=broker.PLACES), reason="mosquitto is not installed: `make servers`"
)
VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


@pytest.mark.system
@pytest.mark.parametrize("kind", [broker.AMQTT, pytest.param(broker.MOSQUITTO, marks=needs_mosquitto)])
def test_messages_pass_and_a_burst_is_not_lost(kind: str, tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(broker.command(kind, tmp_path, port), stderr=subprocess.DEVNULL)
    try:
        assert broker.wait_until_up(port, PATIENCE_S)
        version = VERSIONS[broker.PROTOCOL[kind]]
        got: list[bytes] = []
        subscribed, whole = threading.Event(), threading.Event()

        def take(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
            got.append(message.payload)
            if len(got) == 500:
                whole.set()

        listener = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", protocol=version)
        listener.on_message = take
        listener.on_subscribe = lambda *_: subscribed.set()
        listener.connect("127.0.0.1", port)
        listener.subscribe("em/v1/+/up", 1)
        listener.loop_start()
        assert subscribed.wait(PATIENCE_S)
        speaker = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="speaker", protocol=version)
        speaker.connect("127.0.0.1", port)
        speaker.loop_start()
        sent = [n.to_bytes(4, "big") * 500 for n in range(500)]
        for payload in sent:
            speaker.publish("em/v1/gw/up", payload, 1)
        assert whole.wait(PATIENCE_S), len(got)
        assert got == sent
        for client in (speaker, listener):
            client.disconnect()
            client.loop_stop()
    finally:
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        process.wait(PATIENCE_S)
    assert time.monotonic() - started < 10.0
    assert not broker.wait_until_up(port, 0.1)


def test_a_broker_that_is_not_installed_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "PLACES", "/nowhere")
    assert broker.choose(None) == broker.AMQTT
    assert broker.choose(broker.AMQTT) == broker.AMQTT
    with pytest.raises(broker.NoBroker, match="--broker amqtt"):
        broker.choose(broker.MOSQUITTO)

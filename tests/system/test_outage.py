"""Outages of the broker and of the collector: nothing is lost, however the broker forgets, and the backlog drains."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway import outbox
from gateway.identity import load_or_create_key, public_hex
from tests.collector.brokers import mosquitto_at
from tests.effort import FLEET, FLEET_SCALE, MISSED_BATCHES, MISSED_WAYS, OUTAGE_SCALE
from tests.gateway.batches import broker, wait_until
from tests.gateway.ports import free_port
from tests.system import fleet
from tests.system.outage import FRESH_S, TIMES_REAL, measure
from tests.system.short_line import line

QUEUE = 1000  # messages that mosquitto keeps for somebody who is away, unless told otherwise
HOURS = 72


def absent(port: int, client_id: str) -> None:
    """Be the collector, subscribe and go away: the broker now keeps for it what it can."""
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
    client.on_subscribe = lambda *_: subscribed.set()
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", port, clean_start=True, properties=properties)
    client.loop_start()
    client.subscribe("em/v1/+/up", 1)
    assert subscribed.wait(5)
    client.disconnect()
    client.loop_stop()
    client.on_subscribe = None


@pytest.mark.system
@pytest.mark.timeout(180)
@pytest.mark.parametrize("window", [2 * MISSED_BATCHES, outbox.WINDOW][:MISSED_WAYS])
def test_a_collector_that_misses_an_hour_loses_nothing(
    mosquitto: str, tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its window the gateway publishes as fast as the broker takes it, and the broker throws most of it away.
    monkeypatch.setattr(outbox, "WINDOW_BYTES", window * (outbox.WINDOW_BYTES // outbox.WINDOW))
    monkeypatch.setattr(outbox, "WINDOW", window)
    port = free_port()
    key, _ = load_or_create_key(tmp_path / "data" / "collector" / "key")
    with (
        mosquitto_at(mosquitto, tmp_path, port, f"max_queued_messages {QUEUE}"),
        line(tmp_path, broker(port), port) as found,
    ):
        absent(port, f"collector-{public_hex(key)[:16]}")
        found.measure(MISSED_BATCHES, 4)
        on_the_way = min(window, MISSED_BATCHES + 1)
        wait_until(lambda: found.publisher.connected and found.publisher._exchange._sender.flying == on_the_way, 60)
        assert found.spooler.unacked() == MISSED_BATCHES + 1
        found.collect()
        found.all_arrived_once(90)


@pytest.mark.system
@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(300)
def test_the_backlog_of_three_days_drains_in_time(mosquitto: str, tmp_path: Path) -> None:
    outage = measure(tmp_path, mosquitto, HOURS * 3600 // OUTAGE_SCALE)
    print(f"fresh after {outage.fresh_s} s, drained at {outage.times_real} times real time")
    assert outage.fresh_s <= FRESH_S, outage
    assert outage.times_real >= TIMES_REAL, outage


@pytest.mark.system
@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(600)
def test_a_fleet_that_comes_back_at_once_is_fresh_and_drains_in_time(mosquitto: str, tmp_path: Path) -> None:
    outage = fleet.measure(tmp_path, mosquitto, FLEET, HOURS * 3600 // FLEET_SCALE)
    print(f"{FLEET} gateways fresh after {outage.fresh_s} s, drained at {outage.times_real} times real time")
    assert outage.fresh_s <= FRESH_S, outage
    assert outage.times_real >= TIMES_REAL, outage

"""Any bytes on any topic: refused or put aside with a reason, and nobody else is harmed."""

from __future__ import annotations

import queue
import time
import zlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.intake.events import What, event
from collector.intake.gate import MAX_PAYLOAD, QUARANTINE_COUNT, Gate, Trusted
from collector.intake.inbox import Inbox
from collector.intake.journal import Journal
from collector.intake.recorder import Deliveries, Recorder
from collector.intake.sorter import Sorter
from collector.intake.subscriber import Subscriber
from collector.store import Entry, EntryKind
from gateway import seal, wire
from gateway.settings import Broker
from tests.collector.batches import START_NS, FakeGateway
from tests.collector.brokers import listening, mosquitto_at
from tests.effort import examples
from tests.gateway.ports import free_port

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1")
VICTIM, QUIET = "riverside-gw", "quiet-gw"
TRUSTED = {VICTIM: Trusted("riverside", KEY.public_key()), QUIET: Trusted("riverside", OTHER.public_key())}

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)
KEYS = st.sampled_from([*wire._Body.__struct_fields__, "gap", "prev_ep", "prev_last_seq", "prev_last_hash", "reason"])


def twisted(data: st.DataObject) -> bytes:
    """A batch as an attacker, or a later version, might make it."""
    sender = FakeGateway(key=KEY, seq=data.draw(st.integers(0, 3)))
    payload = sender.sealed() if data.draw(st.booleans()) else sender.gap(1, data.draw(st.integers(1, 9)))
    match data.draw(st.integers(0, 3)):
        case 0:
            return data.draw(st.binary(max_size=200))
        case 1:  # a bit anywhere
            place = data.draw(st.integers(0, len(payload) - 1))
            return payload[:place] + bytes([payload[place] ^ 1 << data.draw(st.integers(0, 7))]) + payload[place + 1 :]
        case 2:  # signed, of a known form, and full of surprises
            body = msgspec.msgpack.decode(zlib.decompress(payload[65:])) | data.draw(st.dictionaries(KEYS, VALUES))
            return seal.seal(zlib.compress(msgspec.msgpack.encode(body)), KEY)
        case _:  # signed, of no form at all
            return seal.seal(zlib.compress(msgspec.msgpack.encode(data.draw(VALUES))), KEY)


class Nothing:
    """A journal that holds nothing."""

    def hashes(self, stream: object, seq: int) -> list[bytes]:
        return []

    def payloads(self, stream: object, seq: int) -> list[bytes]:
        return []


@settings(max_examples=examples(50, 3000))
@given(st.data())
def test_no_message_harms_anybody(data: st.DataObject) -> None:
    gate, inbox = Gate(TRUSTED), Inbox({}, list(TRUSTED))
    sorter = Sorter(inbox, Nothing(), list(TRUSTED))
    quiet, added = FakeGateway(id=QUIET, key=OTHER), list[Entry]()
    hostile = data.draw(st.integers(1, 6))
    for _ in range(hostile):
        topic = data.draw(st.sampled_from([VICTIM, VICTIM, QUIET, "nobody"]) | st.text(max_size=80))
        retained = data.draw(st.booleans())
        examined = gate.examine(topic, twisted(data), received_ns=START_NS, now_ns=0, retained=retained)
        assert examined.said or examined.what, "good, or with a reason"
        assert not (examined.said and examined.what)
        added += sorter.take(examined, 0)
        good = gate.examine(QUIET, quiet.sealed(), received_ns=START_NS, now_ns=0)
        added += sorter.take(good, 0)
    inbox.committed(0)
    assert dict(inbox.holding(QUIET).epochs)[quiet.epoch].upto == hostile
    assert sum(entry.gateway == QUIET and entry.kind is EntryKind.BATCH for entry in added) == hostile
    told = Counter(event(entry).what for entry in added if entry.kind is EntryKind.EVENT)
    faults = [*(counts.faults for counts in sorter.counts.values()), sorter.strangers.faults]
    assert all(told[what] for counted in faults for what in counted), "every kind of fault was told"


def hostile_client(port: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


@pytest.mark.system
def test_an_attacker_on_a_real_broker_harms_nobody_and_is_told_once(mosquitto: str, tmp_path: Path) -> None:
    port, victim, quiet = free_port(), FakeGateway(id=VICTIM, key=KEY), FakeGateway(id=QUIET, key=OTHER)
    broker = Broker(url=f"mqtt://127.0.0.1:{port}", protocol="5", ca="", cert="", key="", user="", password_file="")
    deliveries: Deliveries = queue.Queue(1000)
    with mosquitto_at(mosquitto, tmp_path, port):
        attacker = hostile_client(port)
        # Poison that waits for the collector: it is not asked for.
        attacker.publish(wire.up_topic(VICTIM), victim.sealed(), qos=1, retain=True).wait_for_publish(5)
        subscriber = Subscriber(broker, None, client_id="c", gate=Gate(TRUSTED), deliveries=deliveries)
        journal = Journal(tmp_path / "journal")
        recorder = Recorder(journal=journal, deliveries=deliveries, link=subscriber, key=KEY, gateways=list(TRUSTED))
        recorder.start()
        subscribed = listening(subscriber)
        subscriber.start()
        assert subscribed.wait(10)
        attacker.publish(wire.up_topic(VICTIM), victim.sealed(), qos=1, retain=True).wait_for_publish(5)
        eventually(lambda: VICTIM in recorder.counts and recorder.counts[VICTIM].faults == {"retained": 1})
        spoof = FakeGateway(id=VICTIM, key=OTHER)
        for n in range(60):
            attacker.publish(wire.up_topic(QUIET), quiet.sealed(), qos=1)
            attacker.publish(wire.up_topic(VICTIM), spoof.sealed(), qos=1)
            attacker.publish(wire.up_topic(VICTIM), bytes(MAX_PAYLOAD + 1), qos=1)
            attacker.publish(wire.up_topic(f"invented-{n}"), b"\xff\x00" * 99, qos=1)
            attacker.publish(wire.up_topic("em"), b"", qos=1)
        eventually(lambda: recorder.counts[QUIET].fresh == 60 and recorder.strangers.received_ns > 0)
        eventually(lambda: sum(recorder.counts[VICTIM].faults.values()) == 121)
        eventually(lambda: recorder.strangers.faults.get("stranger") == 120)
        attacker.disconnect()
        attacker.loop_stop()
        subscriber.stop_receiving()
        recorder.stop()
        subscriber.stop()
    assert not recorder.failed
    assert recorder.counts[QUIET].faults == {}
    told = Counter(event(entry).what for entry in journal.events(0, 1 << 30))
    assert told[What.RETAINED] == told[What.OVERSIZE] == 1
    # Each that is kept with its reason, and one for all that are not.
    assert told[What.BAD_SIGNATURE] == told[What.STRANGER] == QUARANTINE_COUNT + 1
    assert journal.streams().keys() == {(QUIET, quiet.epoch)}
    journal.close()


def eventually(condition: object, within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)

"""Every message is examined before anything in it is believed."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.events import What
from collector.intake.gate import (
    MAX_PAYLOAD,
    QUARANTINE_COUNT,
    QUARANTINE_PERIOD_NS,
    RATE_BURST,
    RATE_PER_S,
    Examined,
    Gate,
    Trusted,
)
from collector.store import EntryKind
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Series
from tests.collector.batches import START_NS, FakeGateway, columns
from tests.effort import examples

NOW_NS = START_NS + SECOND_NS


def gate(gateway: FakeGateway) -> Gate:
    return Gate({gateway.id: Trusted(gateway.plant, gateway.key.public_key()), "keyless": Trusted("riverside", None)})


def examine(gateway: FakeGateway, payload: bytes, topic: str = "") -> Examined:
    return gate(gateway).examine(topic or gateway.id, payload, received_ns=NOW_NS, now_ns=0)


def test_a_batch_of_a_trusted_gateway_comes_in_as_it_is() -> None:
    gateway = FakeGateway()
    hello, data = gateway.sealed(), gateway.sealed(columns(9))
    assert examine(gateway, hello).hello
    examined = examine(gateway, data)
    assert not examined.hello
    assert not examined.fault
    assert examined.digest == seal.digest(data)
    assert examined.entry == gateway.entry(data, NOW_NS)
    assert (examined.entry.first_ns, examined.entry.last_ns) == (START_NS, START_NS + 2 * SECOND_NS)


def test_a_message_whose_number_cannot_be_trusted_is_kept_under_none() -> None:
    gateway = FakeGateway()
    payload = gateway.sealed()
    altered = payload[:-1] + bytes([payload[-1] ^ 1])
    other = FakeGateway(key=Ed25519PrivateKey.generate()).sealed()
    for topic, message in (("", altered), ("", other), ("", b""), ("nobody", payload), ("keyless", payload)):
        examined = examine(gateway, message, topic)
        assert examined.fault
        assert examined.entry is not None
        assert (examined.entry.kind, examined.entry.seq, examined.entry.epoch) == (EntryKind.QUARANTINE, 0, b"")
        assert examined.entry.payload == message


def test_bad_messages_are_kept_up_to_a_quota() -> None:
    gateway = FakeGateway()
    door = gate(gateway)
    kept = [
        door.examine(name, b"bad", received_ns=NOW_NS, now_ns=now_ns).entry is not None
        for now_ns in (0, QUARANTINE_PERIOD_NS)
        for name in [gateway.id] * 50 + [f"invented-{n}" for n in range(50)]
    ]
    assert sum(kept) == 4 * QUARANTINE_COUNT
    assert examine(gateway, bytes(MAX_PAYLOAD + 1)).entry is None
    named = examine(gateway, b"bad", "x" * 60_000).entry
    assert named is not None
    assert named.gateway == "x" * 64


def body_of(gateway: FakeGateway, **changes: object) -> bytes:
    """The body of a batch whose map was changed after encoding."""
    gateway.seq = 7
    body = wire.encode(gateway.header(6), columns(6))
    packed = msgspec.msgpack.decode(zlib.decompress(body))
    packed.update(changes)
    return zlib.compress(msgspec.msgpack.encode(packed))


@pytest.mark.parametrize(
    "changes",
    [
        {"time": b"short"}, {"plant": "harbour"}, {"gw": "other-gw"}, {"kind": "novelty"}, {"n": 500}, {"clk": None},
        {"series": [["harbour", "p", "s", "LAeq", "dB"]] * 3},
    ],
)  # fmt: skip
def test_a_signed_message_that_is_no_good_is_kept_under_its_number(changes: dict[str, object]) -> None:
    gateway = FakeGateway()
    payload = seal.seal(body_of(gateway, **changes), gateway.key)
    examined = examine(gateway, payload)
    assert examined.fault
    assert examined.entry is not None
    assert examined.entry.kind is EntryKind.QUARANTINE
    assert (examined.entry.gateway, examined.entry.epoch, examined.entry.seq) == (gateway.id, gateway.epoch, 7)


def test_a_newer_version_is_kept_under_its_number() -> None:
    gateway = FakeGateway()
    body = body_of(gateway)
    payload = b"\x02" + gateway.key.sign(b"em/batch\x02" + body) + body
    examined = examine(gateway, payload)
    assert "version 2" in examined.fault
    assert examined.entry is not None
    assert examined.entry.seq == 7


@pytest.mark.parametrize("body", [b"x", zlib.compress(b"x"), zlib.compress(msgspec.msgpack.encode({"seq": 7}))])
def test_a_signed_message_without_a_number_is_kept_under_none(body: bytes) -> None:
    gateway = FakeGateway()
    examined = examine(gateway, seal.seal(body, gateway.key))
    assert examined.entry is not None
    assert (examined.entry.kind, examined.entry.seq) == (EntryKind.QUARANTINE, 0)


def test_signed_messages_without_a_number_are_kept_up_to_the_quota() -> None:
    gateway = FakeGateway()
    door, payload = gate(gateway), seal.seal(b"x", gateway.key)
    found = [door.examine(gateway.id, payload, received_ns=NOW_NS, now_ns=0) for _ in range(50)]
    assert sum(one.entry is not None for one in found) == QUARANTINE_COUNT
    assert all(one.fault for one in found)


def test_values_of_another_plant_do_not_come_in() -> None:
    gateway = FakeGateway()
    gateway.seq = 1
    foreign = (Series("harbour", "gate", "slm", "LAeq", "dB(A)"),)
    examined = examine(gateway, gateway.sealed(columns(3, series=foreign)))
    assert "harbour" in examined.fault


def test_what_is_not_to_be_kept_says_why() -> None:
    gateway = FakeGateway()
    door, payload = gate(gateway), gateway.sealed()
    retained = door.examine(gateway.id, payload, received_ns=NOW_NS, now_ns=0, retained=True)
    large = door.examine(gateway.id, bytes(MAX_PAYLOAD + 1), received_ns=NOW_NS, now_ns=0)
    assert [(one.entry, one.what, one.gateway) for one in (retained, large)] == [
        (None, What.RETAINED, gateway.id), (None, What.OVERSIZE, gateway.id),
    ]  # fmt: skip
    broken = door.unexaminable(gateway.id, payload, "MemoryError: ", received_ns=NOW_NS, now_ns=0)
    assert broken.entry is not None
    assert (broken.what, broken.entry.seq) == (What.POISON, 0)


def test_a_flood_is_cut_off_and_the_other_gateways_are_not() -> None:
    loud, quiet = FakeGateway(), FakeGateway(id="quiet-gw")
    door = Gate({one.id: Trusted(one.plant, one.key.public_key()) for one in (loud, quiet)})
    payload, calm = loud.sealed(), quiet.sealed()
    now_ns = SECOND_NS
    found = [door.examine(loud.id, payload[:9], received_ns=NOW_NS, now_ns=now_ns).what for _ in range(RATE_BURST + 10)]
    assert found[RATE_BURST - 1 :] == [What.BAD_SIGNATURE, *[What.FLOOD] * 10]
    assert door.examine(quiet.id, calm, received_ns=NOW_NS, now_ns=now_ns).what is None
    later_ns = now_ns + SECOND_NS // RATE_PER_S
    assert door.examine(loud.id, payload, received_ns=NOW_NS, now_ns=later_ns).what is None
    assert door.examine(loud.id, payload, received_ns=NOW_NS, now_ns=later_ns).what is What.FLOOD


@settings(max_examples=examples(200))
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_gate(noise: bytes, signed: bool) -> None:
    gateway = FakeGateway(key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    payload = seal.seal(noise, gateway.key) if signed else noise
    examined = examine(gateway, payload)
    assert examined.fault
    assert examined.what

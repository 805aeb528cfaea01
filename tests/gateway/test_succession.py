"""The collector's keys one after the other: only the key that is known appoints the next."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import seal, wire
from gateway.succession import Handover, Trust, seal_handover
from tests.effort import examples

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes(31) + bytes([n])) for n in range(1, 8)]
UNTIL = 1000


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def handover(old: int, new: int, *, signer: int | None = None, until: int = UNTIL) -> bytes:
    said = Handover(raw(KEYS[old]), raw(KEYS[new]), 1, until)
    return seal_handover(said, KEYS[old if signer is None else signer])


def ack(key: int, *handovers: bytes) -> bytes:
    said = wire.Ack(gw="g", gen=(1, bytes(8)), n=1, epochs=(), win=1, now=1, keys=handovers)
    return seal.seal_ack(wire.encode_ack(said), KEYS[key])


def trust(key: int = 0) -> Trust:
    return Trust(KEYS[key].public_key())


CHAIN = [handover(n, n + 1) for n in range(5)]


def test_a_gateway_that_was_away_learns_every_key_from_one_message() -> None:
    rest, found = trust().open(ack(5, *CHAIN), 0)
    assert wire.decode_ack(rest).keys == tuple(CHAIN)
    assert found.newest.public_bytes_raw() == raw(KEYS[5])
    assert found.handovers == tuple(CHAIN)
    # From what it kept it goes on at its next start, and so does one whose site file has a later key.
    assert trust().learn(found.handovers).newest.public_bytes_raw() == raw(KEYS[5])
    assert trust(3).open(ack(5, *CHAIN), 0)[1].newest.public_bytes_raw() == raw(KEYS[5])


def test_the_key_before_is_good_until_its_time_is_over() -> None:
    _, found = trust().open(ack(1, CHAIN[0]), 0)
    for now_ns, good in ((UNTIL - 1, True), (UNTIL, False)):
        if good:
            assert found.open(ack(0), now_ns)[1] is found
        else:
            with pytest.raises(seal.SealError):
                found.open(ack(0), now_ns)
    assert found.open(ack(1), 10**9)[1] is found


@pytest.mark.parametrize(
    ("key", "handovers"),
    [
        (1, []),  # no word of the key that is known
        (1, [handover(0, 1, signer=1)]),  # signed by the one who wants to follow
        (1, [handover(6, 1)]),  # signed by somebody else
        (2, [CHAIN[1]]),  # a link is missing
        (2, [CHAIN[1], CHAIN[0]]),  # not in order
        (6, [CHAIN[0]]),  # a good hand-over beside an acknowledgement of a stranger
        (0, [CHAIN[0][:-1], b"", bytes(80)]),
    ],
)
def test_nobody_else_appoints_a_key(key: int, handovers: list[bytes]) -> None:
    before = trust()
    if key == 0:
        assert before.open(ack(0, *handovers), 0)[1] is before
        return
    with pytest.raises(seal.SealError):
        before.open(ack(key, *handovers), 0)


def test_a_key_that_was_handed_over_appoints_nobody_any_more() -> None:
    found = trust().learn([CHAIN[0]])
    assert found.learn([handover(0, 6)]) is found
    assert found.learn([handover(1, 0)]) is found, "no way back, so no circle"


@settings(max_examples=examples(100))
@given(st.binary(max_size=300))
def test_no_other_bytes_are_taken_for_a_hand_over(payload: bytes) -> None:
    assert trust().learn([payload]).handovers == ()
    assert wire.handovers_in(payload) == () or len(payload) > 3
    with pytest.raises(seal.SealError):
        trust().open(payload, 0)


def test_an_acknowledgement_without_hand_overs_has_the_bytes_it_always_had() -> None:
    said = wire.Ack(gw="g", gen=(1, bytes(8)), n=1, epochs=(), win=1, now=1)
    assert b"keys" not in wire.encode_ack(said)

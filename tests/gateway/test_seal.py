"""Seals: only what the key's owner sealed is believed, and the chain names what came before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import seal
from tests.effort import examples
from tests.gateway.batches import COLLECTOR_KEY, EPOCH, KEY

PUBLIC = KEY.public_key()


@given(st.binary(min_size=1, max_size=2000))
@settings(max_examples=examples(50))
def test_what_was_sealed_is_believed(body):
    payload = seal.seal(body, KEY)
    assert seal.verify(payload, PUBLIC) == body
    assert payload == bytes([1]) + KEY.sign(b"em/batch\x01" + body) + body


@given(st.binary(min_size=1, max_size=200), st.data())
@settings(max_examples=examples(200))
def test_one_changed_bit_is_noticed(body, data):
    payload = bytearray(seal.seal(body, KEY))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8
    with pytest.raises(seal.SealError):
        seal.verify(bytes(payload), PUBLIC)


@pytest.mark.parametrize("size", [0, 1, 64, 65])
def test_too_few_bytes_are_refused(size):
    with pytest.raises(seal.SealError, match="too few"):
        seal.verify(seal.seal(b"body", KEY)[:size], PUBLIC)


def test_another_key_is_refused():
    with pytest.raises(seal.SealError, match="trusted key"):
        seal.verify(seal.seal(b"body", COLLECTOR_KEY), PUBLIC)


def test_a_batch_is_no_acknowledgement_and_the_other_way_round():
    with pytest.raises(seal.SealError):
        seal.verify_ack(seal.seal(b"body", KEY), PUBLIC)
    with pytest.raises(seal.SealError):
        seal.verify(seal.seal_ack(b"body", KEY), PUBLIC)
    assert seal.verify_ack(seal.seal_ack(b"body", KEY), PUBLIC) == b"body"


def test_a_newer_version_with_a_good_signature_is_told_apart():
    payload = bytes([2]) + KEY.sign(b"em/batch\x02" + b"body") + b"body"
    with pytest.raises(seal.UnknownVersion, match=r"version 2 .* reads 1"):
        seal.verify(payload, PUBLIC)


def test_the_chain_counts_and_names_the_payload_before():
    start = seal.Chain(EPOCH)
    second = start.then(b"first payload").then(b"second payload")
    assert (start.seq, start.hash) == (0, bytes(32))
    assert (second.epoch, second.seq, second.hash) == (EPOCH, 2, seal.digest(b"second payload"))

"""libsodium at the collector: what it accepts, OpenSSL and the verifier of exports accept too; never the other way."""

from __future__ import annotations

import itertools
from hashlib import sha512

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from collector.intake.gate import Gate, Trusted
from collector.proof.verifier import signed
from collector.sodium import SodiumKey, with_sodium
from collector.store import EntryKind
from gateway import seal
from tests.collector.batches import START_NS, FakeGateway
from tests.effort import examples

# The order of the group's large part. Source: RFC 8032, 5.1.
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19
# Every point of small order, each way it can be written: with the sign bit, and above the field's prime.
ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
SMALL = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, *(int.from_bytes(bytes.fromhex(text), "little") for text in ORDER_8), P - 1, P, P + 1)
    for sign in (0, 1)
]
TORSION = bytes.fromhex(ORDER_8[0])

seeds = st.binary(min_size=32, max_size=32)
words = st.binary(max_size=200)


def accepts(key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the collector accepts; and whatever it accepts, the verifier has to."""
    try:
        SodiumKey(key).verify(signature, data)
    except InvalidSignature:
        return False
    assert signed(key, signature, data), "acknowledged by the collector, and refused by the verifier"
    return True


def pair(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key, key.public_key().public_bytes_raw()


@settings(max_examples=examples(60))
@given(seed=seeds, data=words)
def test_a_signature_is_accepted(seed: bytes, data: bytes) -> None:
    key, public = pair(seed)
    assert accepts(public, key.sign(data), data)


@settings(max_examples=examples(200))
@given(seed=seeds, data=words, bit=st.integers(0, 2**16), where=st.sampled_from(["key", "signature", "data"]))
def test_with_one_bit_altered_it_is_refused(seed: bytes, data: bytes, bit: int, where: str) -> None:
    key, public = pair(seed)
    parts = {"key": public, "signature": key.sign(data + b"."), "data": data + b"."}
    altered = bytearray(parts[where])
    altered[bit // 8 % len(altered)] ^= 1 << bit % 8
    parts[where] = bytes(altered)
    assert not accepts(**parts)


@settings(max_examples=examples(60))
@given(seed=seeds, data=words, times=st.integers(1, 15))
def test_a_second_form_of_a_signature_is_refused(seed: bytes, data: bytes, times: int) -> None:
    """S + L solves the same equation: whoever accepted it would accept two signatures of one batch."""
    key, public = pair(seed)
    signature = key.sign(data)
    scalar = int.from_bytes(signature[32:], "little") + times * L
    if scalar < 2**256:
        assert not accepts(public, signature[:32] + scalar.to_bytes(32, "little"), data)


@settings(max_examples=examples(5))
@given(data=words, scalar=st.sampled_from([0, 1, 8, L - 1, L, L + 1]))
def test_keys_and_points_of_small_order_are_refused(data: bytes, scalar: int) -> None:
    """With such a key some signatures fit any data: nobody owns it."""
    for key, point in itertools.product(SMALL, SMALL):
        assert not accepts(key, point + scalar.to_bytes(32, "little"), data)
    owner, public = pair(bytes(32))
    for point in SMALL:
        assert not accepts(public, point + owner.sign(data)[32:], data)


@settings(max_examples=examples(100))
@given(secret=st.integers(1, L - 1), nonce=st.integers(1, L - 1), key=st.integers(0, 7), point=st.integers(0, 7),
       data=words)  # fmt: skip
def test_with_a_part_of_small_order_in_key_or_point_it_is_never_accepted_alone(
    secret: int, nonce: int, key: int, point: int, data: bytes
) -> None:
    """Here implementations of RFC 8032 part ways: with the cofactor such signatures are good, without it seldom."""
    public, random = _mixed(secret, key), _mixed(nonce, point)
    challenge = int.from_bytes(sha512(random + public + data).digest(), "little") % L
    signature = random + ((nonce + challenge * secret) % L).to_bytes(32, "little")
    accepted = accepts(public, signature, data)
    assert accepted == ((point + challenge * key) % 8 == 0)
    assert accepted == signed(public, signature, data)


def _mixed(scalar: int, times: int) -> bytes:
    """scalar x the base point + times x a point of order 8."""
    found = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))
    for _ in range(times):
        found = bindings.crypto_core_ed25519_add(found, TORSION)
    return found


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_has_64_bytes(length: int) -> None:
    """Joined with the data, a shorter one would borrow from them."""
    key, public = pair(bytes(32))
    whole = key.sign(b"data") + b"data" * 40
    assert not accepts(public, whole[:length], whole[length:])


@settings(max_examples=examples(100))
@given(key=seeds, signature=st.binary(max_size=80), data=words)
def test_noise_is_refused(key: bytes, signature: bytes, data: bytes) -> None:
    assert not accepts(key, signature, data)


def test_the_gate_verifies_with_it_all_keys_of_a_gateway() -> None:
    old, new, stranger = (FakeGateway(key=Ed25519PrivateKey.from_private_bytes(bytes([n] * 32))) for n in (1, 2, 3))
    trusted = Trusted(old.plant, new.key.public_key(), older=((old.key.public_key(), START_NS + 10),))
    found = with_sodium({old.id: trusted, "keyless": Trusted("riverside", None)})
    assert isinstance(found[old.id].key, SodiumKey)
    assert found["keyless"].key is None
    gate = Gate(found)

    def kind(gateway: FakeGateway, at_ns: int) -> EntryKind:
        examined = gate.examine(old.id, gateway.sealed(), received_ns=at_ns, now_ns=0)
        assert examined.entry
        return examined.entry.kind

    assert kind(new, START_NS) is kind(old, START_NS) is EntryKind.BATCH
    assert kind(old, START_NS + 10) is kind(stranger, START_NS) is EntryKind.QUARANTINE


def test_a_seal_says_whose_it_is_not() -> None:
    gateway = FakeGateway()
    payload = gateway.sealed()
    assert seal.verify(payload, SodiumKey(gateway.key.public_key().public_bytes_raw()))
    with pytest.raises(seal.SealError, match="does not fit"):
        seal.verify(payload, SodiumKey(bytes(32)))

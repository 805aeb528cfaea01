"""The seal of a payload: who said it, that nothing was altered, and what came before.

    payload = version (1 byte) | Ed25519 signature (64 bytes) | body

The signature covers a word for the direction, the version and the body, so that a batch can never
be replayed as an acknowledgement or a mark. Payloads of a stream form a chain: each header carries the
SHA-256 of the payload before (`Chain`), so a payload taken out or changed shows even to someone
who holds the key. A payload is sealed once, before it is stored, and travels as it is for ever.
Source: RFC 8032 (Ed25519), FIPS 180-4 (SHA-256), docs/reference/wire.md.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature

from gateway import wire
from gateway.wire import NO_HASH

SIGNATURE_BYTES = 64
_BATCH = b"em/batch"
_ACK = b"em/ack"
_MARK = b"em/mark"


class Statement(Enum):
    """What else the collector signs: which key follows its own, what a gateway measures by, which machine it is."""

    HANDOVER = b"em/handover"
    CONFIG = b"em/config"
    REPLACEMENT = b"em/replacement"


class Signer(Protocol):
    """A private key; an `Ed25519PrivateKey`, but in simulations."""

    def sign(self, data: bytes, /) -> bytes:
        """The signature, 64 bytes."""


class Verifier(Protocol):
    """A public key; an `Ed25519PublicKey`, but in simulations."""

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise cryptography's InvalidSignature unless the key's owner signed the data."""

    def public_bytes_raw(self) -> bytes:
        """The key itself, 32 bytes."""


class SealError(ValueError):
    """A payload whose seal cannot be trusted: nothing in it may be believed."""


class UnknownVersion(SealError):
    """A payload with a good signature and a version this code does not know: the sender is newer."""


def seal(body: bytes, key: Signer) -> bytes:
    """The payload of a batch: the body behind its signature."""
    return _seal(_BATCH, body, key)


def verify(payload: bytes, key: Verifier) -> bytes:
    """The body of a batch's payload; raises SealError when the key's owner did not seal it."""
    return _verify(_BATCH, payload, key)


def seal_ack(rest: bytes, key: Signer) -> bytes:
    """The payload of an acknowledgement."""
    return _seal(_ACK, rest, key)


def verify_ack(payload: bytes, key: Verifier) -> bytes:
    """The bytes of an acknowledgement; raises SealError when the collector did not seal it."""
    return _verify(_ACK, payload, key)


def seal_mark(body: bytes, key: Signer) -> bytes:
    """The payload of an operator's mark (`collector.marks`)."""
    return _seal(_MARK, body, key)


def verify_mark(payload: bytes, key: Verifier) -> bytes:
    """The body of a mark; raises SealError when the author did not seal it."""
    return _verify(_MARK, payload, key)


def seal_statement(what: Statement, rest: bytes, key: Signer) -> bytes:
    """The payload of a statement."""
    return _seal(what.value, rest, key)


def verify_statement(what: Statement, payload: bytes, key: Verifier) -> bytes:
    """The bytes of a statement; raises SealError when the key's owner did not make it."""
    return _verify(what.value, payload, key)


def digest(payload: bytes) -> bytes:
    """SHA-256 of a whole payload, 32 bytes: its identity, and the next one's `prev`."""
    return hashlib.sha256(payload).digest()


def _seal(word: bytes, body: bytes, key: Signer) -> bytes:
    version = bytes([wire.VERSION])
    return version + key.sign(word + version + body) + body


def _verify(word: bytes, payload: bytes, key: Verifier) -> bytes:
    if len(payload) <= 1 + SIGNATURE_BYTES:
        raise SealError(f"{len(payload)} bytes are too few for a sealed payload")
    version, signature, body = payload[:1], payload[1 : 1 + SIGNATURE_BYTES], payload[1 + SIGNATURE_BYTES :]
    try:
        key.verify(signature, word + version + body)
    except InvalidSignature as error:
        raise SealError("the signature does not fit the payload and the trusted key") from error
    if version[0] not in wire.READS:
        known = " and ".join(map(str, wire.READS))
        raise UnknownVersion(f"version {version[0]} of the wire format; this reads {known}: update emitwatch")
    return body


class Chain(msgspec.Struct, frozen=True):
    """Where a stream stands. seq, hash: of the last payload; before the first one 0 and the last epoch's hash."""

    epoch: bytes
    seq: int = 0
    hash: bytes = NO_HASH

    def then(self, payload: bytes) -> Chain:
        """The chain with one more payload."""
        return Chain(self.epoch, self.seq + 1, digest(payload))

"""Gateways' keys as libsodium reads them: it verifies a signature in half of OpenSSL's time.

Where a signature is made as RFC 8032 says, both say the same. Where one was made to deceive they may
differ: libsodium also refuses keys and points of small order, and keys that are not written in the one
canonical way. So the collector refuses everything that OpenSSL, and with it the verifier of exports, refuses,
and never the other way round: what it acknowledges can be proved. Signature and data come joined, as
libsodium takes them. Source: RFC 8032, 5.1.7; docs/decisions/0008-libsodium-verifies.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from collector.intake.gate import Trusted
from gateway.seal import SIGNATURE_BYTES, Verifier


@dataclass(frozen=True, slots=True)
class SodiumKey:
    """A public key, 32 bytes."""

    raw: bytes

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise InvalidSignature unless the key's owner signed the data."""
        if len(signature) != SIGNATURE_BYTES:
            raise InvalidSignature
        try:
            crypto_sign_open(signature + data, self.raw)
        except BadSignatureError as error:
            raise InvalidSignature from error

    def public_bytes_raw(self) -> bytes:
        """The key itself, 32 bytes."""
        return self.raw


def with_sodium(trusted: Mapping[str, Trusted]) -> dict[str, Trusted]:
    """The same gateways, their signatures verified by libsodium."""
    return {gateway: _quick(found) for gateway, found in trusted.items()}


def _quick(trusted: Trusted) -> Trusted:
    older = tuple((_read(key), until_ns) for key, until_ns in trusted.older)
    return replace(trusted, key=trusted.key and _read(trusted.key), older=older)


def _read(key: Verifier) -> SodiumKey:
    return SodiumKey(key.public_bytes_raw())

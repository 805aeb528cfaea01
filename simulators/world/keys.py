"""Keys that sign in a microsecond, for simulations: a keyed hash where a gateway has Ed25519.

Who can verify can also sign, so they prove nothing to anybody; to a state machine they behave alike.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class StandIn:
    """A private and a public key in one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes that only this key makes of the data."""
        return hashlib.blake2b(data, digest_size=64, key=self._secret).digest()

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise InvalidSignature unless this key signed the data."""
        if self.sign(data) != signature:
            raise InvalidSignature

    def public_bytes_raw(self) -> bytes:
        """32 bytes that tell it from another key."""
        return hashlib.sha256(self._secret).digest()

    def public_key(self) -> StandIn:
        """Itself."""
        return self


Key: TypeAlias = Ed25519PrivateKey | StandIn


def key(secret: bytes, *, real: bool) -> Key:
    """The key of 32 secret bytes. real: Ed25519."""
    return Ed25519PrivateKey.from_private_bytes(secret) if real else StandIn(secret)

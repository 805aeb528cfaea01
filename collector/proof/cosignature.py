"""A witness's signature under a checkpoint, and the text its public key is given in.

A cosignature says: at this time this was the largest tree I have seen under this name, and it began with
every one that I had seen before. It stands as one more line under the note:

    - <name of the witness> <base64 of key id (4 bytes), time (8 bytes, seconds since 1970) and signature (64)>

(with an em dash for the hyphen). Pure: keys, notes and times in, lines out.
Source: C2SP tlog-cosignature (Ed25519, cosignature/v1) and signed-note (verifier keys).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LINE = re.compile("\N{EM DASH} ([^\\s+]{1,255}) ([A-Za-z0-9+/]{1,400}={0,2})\n")
NAME = re.compile(r"[^\s+]{1,255}")
_COSIGNATURE = b"\x04"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """Who a witness is: the name it signs with, and its public key."""

    name: str
    key: Ed25519PublicKey

    @property
    def id(self) -> bytes:
        """The four bytes that begin its signatures."""
        raw = self.name.encode() + b"\n" + _COSIGNATURE + self.key.public_bytes_raw()
        return hashlib.sha256(raw).digest()[:4]

    def __str__(self) -> str:
        packed = base64.b64encode(_COSIGNATURE + self.key.public_bytes_raw()).decode()
        return f"{self.name}+{self.id.hex()}+{packed}"


def read_key(text: str) -> WitnessKey:
    """The key in a text `name+id+base64`, as a witness tells it; ValueError says what is wrong with it."""
    name, _, rest = text.strip().partition("+")
    id, _, packed = rest.partition("+")
    try:
        raw = base64.b64decode(packed, validate=True)
    except binascii.Error as error:
        raise ValueError("not a verifier key: its end is no base64") from error
    if not NAME.fullmatch(name) or raw[:1] != _COSIGNATURE or len(raw) != 1 + _KEY_BYTES:
        raise ValueError("not a verifier key of a witness (Ed25519, type 4)")
    key = WitnessKey(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
    if key.id.hex() != id:
        raise ValueError(f"damaged: the id of this name and key is {key.id.hex()}, not {id}")
    return key


def cosign(text: str, name: str, key: Ed25519PrivateKey, time_s: int) -> str:
    """The line that a witness puts under a note. text: what is signed of the note. time_s: [s since 1970 UTC]"""
    raw = WitnessKey(name, key.public_key()).id + time_s.to_bytes(8, "big") + key.sign(_message(text, time_s))
    return f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"


def cosigned(text: str, lines: str, witness: WitnessKey) -> int | None:
    """When a witness has signed a note's text; None = no line of `lines` is a signature of it. [s since 1970 UTC]"""
    for name, packed in LINE.findall(lines):
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4))
        if name != witness.name or raw[:4] != witness.id:
            continue
        time_s = int.from_bytes(raw[4:12], "big")
        try:
            witness.key.verify(raw[12:], _message(text, time_s))
        except InvalidSignature:
            continue
        return time_s
    return None


def _message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()

"""A checkpoint: the collector's signed word on what a plant's tree was at a moment.

A checkpoint is a note that people can read and mail, and that a witness keeps:

    emitwatch/<first 16 digits of the collector's key>/<plant>
    <number of leaves>
    <root, base64>
    tick <time of the journal, RFC 3339> <position of the journal>
    register <SHA-256 of the last line of the register of identities, hex>

    - <name, as the first line> <base64 of key id (4 bytes) and signature (64 bytes)>

(with an em dash for the hyphen; the line `register` where there is a register). Two notes of one size
with different roots, or a later one that does not begin with an earlier one, prove that the journal was
rewritten. Notes stand in a file one after the other, with an empty line between. Pure: keys and numbers
in, text out.
Source: C2SP signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from collector.proof.tree import HASH_BYTES

NOTE_MAX = 4096  # characters; what is longer is no note of ours
_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_NOTE = re.compile(rf"((?:[^\n]+\n)+)\n((?:{_DASH}[^\n]+\n)+)")
_TEXT = re.compile(r"([^\n]+)\n(0|[1-9]\d{0,18})\n([A-Za-z0-9+/]{43}=)\ntick (\S+) (\d{1,19})\n"
                   r"(?:register ([0-9a-f]{64})\n)?(?:[^\n]+\n)*")  # fmt: skip


class CheckpointError(ValueError):
    """A text that is no checkpoint of this origin, signed by this key; says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a tree was at a tick of the journal.

    origin: whose tree. size: number of leaves. root: 32 bytes.
    tick_ns: the tick's receive time. [ns since 1970 UTC] position: the tick's, or of the last entry counted.
    register: the head of the register of identities at that moment, hex; "" = there was none.
    """

    origin: str
    size: int
    root: bytes
    tick_ns: int
    position: int
    register: str = ""

    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        register = f"register {self.register}\n" if self.register else ""
        return f"{self.origin}\n{self.size}\n{root}\ntick {_format(self.tick_ns)} {self.position}\n{register}"


def origin(plant: str, key: Ed25519PublicKey) -> str:
    """The name of a plant's tree at the collector of a key; also the name its notes are signed with."""
    return f"emitwatch/{key.public_bytes_raw().hex()[:16]}/{plant}"


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note of a checkpoint; the same each time."""
    text = checkpoint.text()
    word = _key_id(checkpoint.origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n{_DASH}{checkpoint.origin} {base64.b64encode(word).decode()}\n"


def open_note(note: str, name: str, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in a note; raises CheckpointError where `key` has not signed it as `name`.

    Signatures of others (witnesses) may stand beside.
    """
    parts = _NOTE.fullmatch(note)
    if not parts:
        raise CheckpointError("not a signed note")
    text, lines = parts.groups()
    words = [line.removeprefix(f"{_DASH}{name} ") for line in lines.splitlines() if line.startswith(f"{_DASH}{name} ")]
    if not any(_signed(text, word, name, key) for word in words):
        raise CheckpointError(f"not signed by {name} with the key {key.public_bytes_raw().hex()}")
    found = read_note(note) if _TEXT.fullmatch(text) else None
    if not found or found.origin != name:
        raise CheckpointError(f"signed, but no checkpoint of {name}")
    return found


def read_note(note: str) -> Checkpoint:
    """What a note says, whoever has signed it; raises CheckpointError where it is no checkpoint."""
    parts = _NOTE.fullmatch(note)
    found = _TEXT.fullmatch(parts[1]) if parts else None
    if not found:
        raise CheckpointError("not a checkpoint")
    root = base64.b64decode(found[3])
    assert len(root) == HASH_BYTES
    return Checkpoint(found[1], int(found[2]), root, _parse(found[4]), int(found[5]), found[6] or "")


def notes(text: str) -> list[str]:
    """The notes in a file of them; raises CheckpointError where something else stands between."""
    found, end = [], 0
    for match in _NOTE.finditer(text):
        if text[end : match.start()].strip():
            raise CheckpointError(f"{text[end : match.start()].strip()[:60]!r} is no note")
        found.append(match[0])
        end = match.end()
    if text[end:].strip():
        raise CheckpointError(f"{text[end:].strip()[:60]!r} is no note")
    return found


def whole(text: str) -> str:
    """The text up to the end of its last note, where what follows is the beginning of a note that was cut off."""
    ends = [match.end() + 1 for match in _NOTE.finditer(text) if text[match.end() : match.end() + 1] == "\n"]
    end = ends[-1] if ends else 0
    return text[:end] if len(text) - end < NOTE_MAX else text


def _signed(text: str, word: str, name: str, key: Ed25519PublicKey) -> bool:
    try:
        raw = base64.b64decode(word, validate=True)
        if raw[:4] != _key_id(name, key):
            return False
        key.verify(raw[4:], text.encode())
    except (binascii.Error, InvalidSignature):
        return False
    return True


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]


def _format(time_ns: int) -> str:
    """RFC 3339 in UTC, to the nanosecond."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"


def _parse(text: str) -> int:
    try:
        whole, fraction = text.removesuffix("Z").split(".")
        return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
    except ValueError as error:
        raise CheckpointError(f"{text!r} is not a time") from error

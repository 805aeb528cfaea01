"""Small things an outbox notes beside its rows, each behind its own checksum.

A row proves itself by its seal and fingerprint; what stands here has to as well, because a flipped bit in
the last number or hash would make the next epoch say something untrue. A note can be found again in the
bytes of a damaged file, whatever is left of the file around it: so it is known how far the outbox had come.

    word (8 bytes) | length (2) | SHA-256 of the rest (32) | msgpack

Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from gateway.shelves import Meta

Span: TypeAlias = tuple[bytes, int, int]  # an epoch, first and last seq

_WORD = b"emwstate"
_HEAD = len(_WORD) + 2 + 32
_FIELDS = frozenset(Meta.__struct_fields__)


def pack_meta(meta: Meta) -> bytes:
    """What the outbox knows of itself, as a note."""
    return _pack(msgspec.structs.asdict(meta))


def pack_spans(spans: Sequence[Span]) -> bytes:
    """Runs of numbers, as a note."""
    return _pack(list(spans))


def meta_in(note: object) -> Meta | None:
    """What a note says; None where it is damaged or says something else."""
    said = _unpack(note)
    if not isinstance(said, dict):
        return None
    known = {name: value for name, value in said.items() if name in _FIELDS}
    if known.get("ack") is not None:
        known["ack"] = tuple(known["ack"])
    return Meta(**known)


def spans_in(note: object) -> list[Span] | None:
    """The runs a note names; None where it is damaged or says something else."""
    said = _unpack(note)
    return [(epoch, first, last) for epoch, first, last in said] if isinstance(said, list) else None


def latest_meta(*files: bytes | memoryview) -> Meta | None:
    """The latest that any note in some files says, wherever in them it stands."""
    said = [meta for file in files for note in _notes(file) if (meta := meta_in(note))]
    return max(said, key=lambda meta: (meta.last_epoch, meta.last_seq, meta.ack or (0, b"", 0)), default=None)


def _notes(file: bytes | memoryview) -> Iterator[bytes]:
    for found in re.finditer(_WORD, file):
        at = found.start()
        length = int.from_bytes(file[at + 8 : at + 10])
        yield bytes(file[at : at + _HEAD + length])


def _pack(said: dict[str, Any] | list[Span]) -> bytes:
    body = msgspec.msgpack.encode(said)
    return _WORD + len(body).to_bytes(2) + hashlib.sha256(body).digest() + body


def _unpack(note: object) -> object:
    if not isinstance(note, bytes) or note[:8] != _WORD:
        return None
    body = note[_HEAD:]
    if len(body) != int.from_bytes(note[8:10]) or hashlib.sha256(body).digest() != note[10:_HEAD]:
        return None
    return msgspec.msgpack.decode(body)

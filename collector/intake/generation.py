"""Which generation of the journal this is: it grows when the journal has gone back in time. Pure.

A journal restored from a backup lacks what it had acknowledged since. The gateways still have it, and
send it again when the generation grows. A mark beside the journal's folder, which a restored journal
does not bring with it, says how far the journal was; or an operator says that it was restored.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Mark(msgspec.Struct, frozen=True):
    """How far a journal was. It may lag behind, and is never ahead. position: the last one."""

    generation: Annotated[int, Meta(ge=0, lt=2**62)]
    generation_id: Annotated[bytes, Meta(min_length=8, max_length=8)]
    position: Annotated[int, Meta(ge=0)]


def encode(mark: Mark) -> bytes:
    """The mark as its file holds it, JSON."""
    return msgspec.json.encode(mark) + b"\n"


_mark = msgspec.json.Decoder(Mark).decode


def decode(data: bytes) -> Mark | None:
    """The mark in a file; None where it cannot be read: after a power cut it may be empty."""
    try:
        return _mark(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def went_back(mark: Mark | None, generation: tuple[int, bytes], position: int) -> bool:
    """Whether the journal found is an earlier state of the one that was marked, or another one altogether.

    generation, position: of the journal found.
    """
    if mark is None:
        return False
    return (mark.generation, mark.generation_id) != generation or position < mark.position


def following(mark: Mark | None, generation: int, now_s: int) -> int:
    """A generation above all before it. now_s: seconds since 1970, for those that left no trace."""
    return max(now_s, generation + 1, mark.generation + 1 if mark else 0)

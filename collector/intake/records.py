"""What a batch says beside its measurements: where it stands in the chain, what its kind adds.

Pure: a decoded batch in, `Said` out. Rules of this file:

- only what the collector acts upon is read; all else stays in the bytes that the journal keeps;
- a record that must be acted upon and cannot be read (a gap without a range) is a WireError: the
  batch is quarantined under its number, and a later version may read it;
- a hello may leave out its claims: then it claims nothing.

Source: protocol 2.2 (hello, gap, clock), docs/reference/wire.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from collector.intake.inbox import MAX_SEQ
from gateway import seal, wire
from gateway.measurement import Status

_Seq = Annotated[int, Meta(ge=1, le=MAX_SEQ)]
_Count = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
_MAX_SHIFT_NS = 1 << 61  # 73 years: from 1970 to here, and no time of a batch overflows by it
_Record = TypeVar("_Record", bound=msgspec.Struct)


class Hello(msgspec.Struct, frozen=True):
    """What the first batch of an epoch says of the epoch before. prev_ep: b"" = there was none.

    prev_last_seq, prev_last_hash: the last batch that the gateway's own disk holds of it.
    """

    prev_ep: Annotated[bytes, Meta(max_length=16)] = b""
    prev_last_seq: _Count = 0
    prev_last_hash: wire.Hash = wire.NO_HASH
    reason: str = "start"


class Gap(msgspec.Struct, frozen=True):
    """Batches that the gateway had to give up before anybody acknowledged them.

    ep, from_seq, to_seq: which, both ends included; it may be an earlier epoch. n: measurements in them.
    t_first, t_last: their earliest and latest instant; 0 where it is not known. [ns since 1970 UTC]
    """

    ep: wire.Epoch
    from_seq: _Seq
    to_seq: _Seq
    n: _Count = 0
    t_first: _Count = 0
    t_last: _Count = 0
    reason: Literal["outbox_full", "corrupt", "operator"] = "corrupt"


class Move(msgspec.Struct, frozen=True):
    """Batches whose times a wrong clock gave; both ends included. shift_ns: what is to be added to them. [ns]"""

    from_seq: _Seq
    to_seq: _Seq
    shift_ns: Annotated[int, Meta(ge=-_MAX_SHIFT_NS, le=_MAX_SHIFT_NS)]


class _Clock(msgspec.Struct, frozen=True):
    moved: Annotated[tuple[Move, ...], Meta(max_length=100)] = ()


class Config(msgspec.Struct, frozen=True):
    """What the gateway measures by from here on. hash, before: of this text and the one before, zeros = none.

    approval: the collector's word on it as the gateway has it, b"" = none. text: "" = too long to be told.
    added, removed: lines that changed.
    """

    hash: wire.Hash
    before: wire.Hash = wire.NO_HASH
    approval: Annotated[bytes, Meta(max_length=512)] = b""
    text: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """What a gateway noticed of itself: its outbox fills up, or has room again. detail: figures, by kind."""

    what: wire.Name
    text: Annotated[str, Meta(max_length=500)] = ""
    detail: Annotated[dict[str, Any], Meta(max_length=16)] = {}


for _kind in (Hello, Gap, _Clock, Config, Told):
    msgspec.msgpack.Decoder(_kind)  # what `convert` needs to know of them is made now, in one thread


class Said(msgspec.Struct, frozen=True):
    """What a batch claims, and what the gate found of it.

    prev: hash of the payload before it. wall_ns: the gateway's clock at sealing. [ns]
    moved: of a clock record. unsynced: whether a clock has dated it that is known or presumed to be wrong.
    unapproved: why the collector has not approved the configuration, "" = it has, or there is none.
    replacement: the key that sealed it, where the register gives it to a new machine in place of an old one, else "".
    """

    prev: bytes
    wall_ns: int
    hello: Hello | None = None
    gap: Gap | None = None
    moved: tuple[Move, ...] = ()
    unsynced: bool = False
    config: Config | None = None
    told: Told | None = None
    unapproved: str = ""
    replacement: str = ""


def said(batch: wire.Batch) -> Said:
    """The claims of a batch; raises WireError where its kind adds what cannot be read."""
    header = batch.header
    hello = _convert(batch.fields, Hello) if header.kind == "hello" else None
    gap = _gap(batch) if header.kind == "gap" else None
    moved = _moved(batch) if header.kind == "clock" else ()
    unsynced = Status.UNSYNCED in batch.columns.status.tobytes()  # a byte each; a comparison of arrays takes longer
    # The first versions told nothing in these two.
    config = _convert(found, Config) if (found := _added(batch, "config")) else None
    told = _convert(found, Told) if (found := _added(batch, "event")) else None
    return Said(header.prev, header.wall_ns, hello, gap, moved, unsynced, config, told)


def said_in(payload: bytes) -> Said | None:
    """The claims of a journalled payload; None where it cannot be read."""
    try:
        return said(wire.decode(payload[1 + seal.SIGNATURE_BYTES :]))
    except wire.WireError:
        return None


def _gap(batch: wire.Batch) -> Gap:
    gap = _convert(_fields(batch, "gap"), Gap)
    if gap.from_seq > gap.to_seq:
        raise wire.WireError(f"a gap from {gap.from_seq} to {gap.to_seq}")
    if gap.ep == batch.header.ep and gap.to_seq >= batch.header.seq:
        raise wire.WireError(f"batch {batch.header.seq} cannot give up {gap.to_seq}, which comes after it")
    return gap


def _moved(batch: wire.Batch) -> tuple[Move, ...]:
    moved = _convert(_fields(batch, "clock"), _Clock).moved
    for move in moved:
        if not move.from_seq <= move.to_seq < batch.header.seq:
            raise wire.WireError(f"batch {batch.header.seq} cannot move the times of {move.from_seq} to {move.to_seq}")
    return moved


def _added(batch: wire.Batch, kind: wire.Kind) -> Mapping[str, Any]:
    return _fields(batch, kind) if batch.header.kind == kind else {}


def _fields(batch: wire.Batch, name: str) -> Mapping[str, Any]:
    """What a kind adds, in a map of its own, since `ep` and `n` are names of the header too."""
    found = batch.fields.get(name)
    return found if isinstance(found, dict) else {}


def _convert(fields: Mapping[str, Any], type: type[_Record]) -> _Record:
    try:
        return msgspec.convert(dict(fields), type)
    except msgspec.ValidationError as error:
        raise wire.WireError(f"not a {type.__name__.lower()}: {error}") from error

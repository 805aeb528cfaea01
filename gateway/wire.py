"""What a gateway and a collector say to one another: batches up, acknowledgements down.

A batch travels as a *body*, zlib over one msgpack map: the header, the table of series and the
columns as little-endian bytes. `gateway.seal` puts version and signature before it. Rules:

- every limit is here, and a body that breaks one is refused with `WireError`, never guessed at:
  the reader may be a collector that must outlive every gateway;
- a decoded batch keeps the rules of `gateway.measurement`: OK comes with a finite value, a value
  that is missing is NaN with another status, infinity does not exist. A single value that breaks them is read as
  a fault without a value, and the batch as it is otherwise: its form is whole, the number alone means nothing, and
  what was measured beside it must not be lost with it;
- times are offsets from `first_ns`, the earliest instant of the batch, so that they compress;
- unknown keys of the map are kept in `Batch.fields`: a newer gateway may say more.

Bytes are sealed before they are stored and are never encoded again, so this module may change how
it encodes, but must decode what it ever encoded.
Source: docs/reference/wire.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from gateway.measurement import FEW, Columns, Float64, Int64, Series, Status, UInt8, UInt16

VERSION = 1  # of what is written
READS = tuple(version for version in (VERSION - 1, VERSION) if version)  # a fleet is not updated in one night
TOPIC = "em/v1"  # stays: who may publish where is written in brokers' access lists
MAX_VALUES = 500  # a batch: one fsync and one signature for many values, yet small enough to send again
MAX_BODY = 65536  # bytes before compression, as sent
MAX_INFLATED = 1 << 20  # bytes a reader inflates at most: a small payload must not fill its memory
MAX_EPOCHS = 32  # epochs an acknowledgement names
MAX_RANGES = 32  # ranges above `upto` it names for each
MAX_HANDOVERS = 16  # hand-overs of the collector's key that it carries; a key a year lasts longer than the gateway
NO_HASH = bytes(32)  # `prev` of the first payload of all, and `cfg` where no configuration is signed
HEADER_BYTES = 1024  # more than header and keys take, names of 64 characters included
VALUE_BYTES = 19  # of a measurement in the four columns: u16 + i64 + f64 + u8

# A fast level: 9 % larger than level 6, in half the time.
_ZLIB_LEVEL = 2
_COLUMNS = ("series_index", "time", "value", "status")
_U16, _I64, _F64 = np.dtype("<u2"), np.dtype("<i8"), np.dtype("<f8")  # as they travel
_HIGHEST_STATUS = int(max(Status))  # a plain number: numpy asks an enum for much before it compares
_SERIES_BYTES = 5 * (64 * 4 + 3) + 3  # a series at most: five texts of 64 characters, 4 bytes each
_MAX_INT = (1 << 63) - 1  # what SQLite and DuckDB can hold
_MAX_TIME_NS = (1 << 62) - 1

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=64)]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Epoch = Annotated[bytes, Meta(min_length=16, max_length=16)]
Number = Annotated[int, Meta(ge=0, le=_MAX_INT)]
_Kind = TypeVar("_Kind")
Kind = Literal["data", "hello", "gap", "clock", "config", "event"]


class WireError(ValueError):
    """Bytes that are no batch or no acknowledgement of this version; says which rule they break."""


class Clk(msgspec.Struct, frozen=True):
    """The gateway's clock when it sealed a batch.

    err_ms: largest error the system admits. [ms]
    step_id: how often the clock was stepped since the epoch began.
    """

    state: Literal["synced", "holdover", "unsynced"]
    err_ms: Number
    step_id: Number


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who says it, and where it stands in the stream (gw, ep).

    ep: epoch, 16 bytes, new at every process start. seq: from 1, contiguous in the epoch.
    prev: SHA-256 of the payload before, of the last epoch's last payload when seq is 1.
    low: lowest seq of the epoch still held without acknowledgement.
    n: number of measurements. cfg: hash of the signed configuration in force.
    mono_ns, wall_ns: the gateway's clocks when the batch was sealed. [ns]
    """

    plant: Name
    gw: Name
    ep: Epoch
    seq: Annotated[int, Meta(ge=1, le=_MAX_INT)]
    prev: Hash
    low: Annotated[int, Meta(ge=1, le=_MAX_INT)]
    n: Annotated[int, Meta(ge=0, le=MAX_VALUES)]
    cfg: Hash
    mono_ns: Number
    wall_ns: Number
    clk: Clk
    kind: Kind


class _Body(Header, frozen=True, kw_only=True):
    """The whole map of a batch as it is packed."""

    series: Annotated[tuple[tuple[Name, Name, Name, Name, Text], ...], Meta(max_length=MAX_VALUES)]
    first_ns: Annotated[int, Meta(ge=0, le=_MAX_TIME_NS)]
    series_index: bytes
    time: bytes
    value: bytes
    status: bytes


class Batch(msgspec.Struct, frozen=True):
    """A decoded batch. fields: what the kind adds (hello: prev_ep .. boot_id) and all that is unknown here."""

    header: Header
    columns: Columns
    fields: Mapping[str, Any]


_KNOWN = frozenset(_Body.__struct_fields__)
# Here and everywhere decoders are made with their module: what msgspec knows of a type it makes at the type's first
# use, and two threads that do so at once end the process.
_BODY = msgspec.msgpack.Decoder(_Body)
_ALL = msgspec.msgpack.Decoder(dict[str, Any])


def encode(header: Header, columns: Columns, fields: Mapping[str, Any] | None = None) -> bytes:
    """The body of a batch; its columns must fit (`fits`), their number must be the header's."""
    assert header.n == len(columns) <= MAX_VALUES, "the header counts other values"
    assert not fields or _KNOWN.isdisjoint(fields), "a field has the name of a column or header key"
    first_ns, _ = columns.span()
    offsets = columns.time_ns - first_ns
    body: dict[str, Any] = msgspec.structs.asdict(header)
    body.update(fields or {})
    body["series"] = [(s.plant, s.point, s.sensor, s.parameter, s.unit) for s in columns.series]
    body["first_ns"] = first_ns
    body["series_index"] = columns.series_index.astype(_U16, copy=False).tobytes()
    body["time"] = offsets.astype(_I64, copy=False).tobytes()
    body["value"] = columns.value.astype(_F64, copy=False).tobytes()
    body["status"] = columns.status.astype("u1", copy=False).tobytes()
    packed = msgspec.msgpack.encode(body)
    assert len(packed) <= MAX_BODY, "the batch was not cut to size"
    return zlib.compress(packed, _ZLIB_LEVEL)


def fits(columns: Columns) -> bool:
    """Whether the columns may go into one batch: MAX_VALUES values, MAX_BODY bytes before compression."""
    if len(columns) > MAX_VALUES:
        return False
    values = HEADER_BYTES + VALUE_BYTES * len(columns)
    if values + _SERIES_BYTES * len(columns.series) <= MAX_BODY:
        return True  # so few series fit whatever their names are
    names = sum(
        len(text.encode()) + 3 for s in columns.series for text in (s.plant, s.point, s.sensor, s.parameter, s.unit)
    )
    return values + names + 3 * len(columns.series) <= MAX_BODY


def decode(body: bytes) -> Batch:
    """The batch in a body; raises WireError on anything that is none."""
    packed = _inflate(body)
    known = _unpack(packed, _BODY)
    if known.low > known.seq:
        raise WireError(f"low {known.low} is above seq {known.seq}")
    if (known.kind == "hello") != (known.seq == 1):
        raise WireError(f"a {known.kind} cannot be number {known.seq}: an epoch starts with hello")
    if not known.series and known.n:
        raise WireError("values without a table of series")
    header = Header(
        plant=known.plant, gw=known.gw, ep=known.ep, seq=known.seq, prev=known.prev, low=known.low, n=known.n,
        cfg=known.cfg, mono_ns=known.mono_ns, wall_ns=known.wall_ns, clk=known.clk, kind=known.kind,
    )  # fmt: skip
    fields: Mapping[str, Any] = {}
    if _keys(packed) != len(_KNOWN):
        fields = {key: value for key, value in _unpack(packed, _ALL).items() if key not in _KNOWN}
    return Batch(header, _columns(known), fields)


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise WireError(f"not compressed as agreed: {error}") from error
    if not inflater.eof:
        raise WireError(f"cut short, or more than {MAX_INFLATED} bytes inflated")
    if inflater.unused_data:
        raise WireError("bytes after the end of the batch")
    return packed


def _unpack(packed: bytes, decoder: msgspec.msgpack.Decoder[_Kind]) -> _Kind:
    try:
        return decoder.decode(packed)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"not a batch: {error}") from error


def _keys(packed: bytes) -> int:
    """How many keys a packed map has. Source: the MessagePack specification, map format family."""
    first = packed[0]
    if first == 0xDE:
        return int.from_bytes(packed[1:3])
    return int.from_bytes(packed[1:5]) if first == 0xDF else first & 0x0F


def _columns(body: _Body) -> Columns:
    n, found = body.n, (len(body.series_index), len(body.time), len(body.value), len(body.status))
    if found != (2 * n, 8 * n, 8 * n, n):
        told = ", ".join(f"{name} {length}" for name, length in zip(_COLUMNS, found, strict=True))
        raise WireError(f"the columns of {n} values have other lengths, in bytes: {told}")
    index = np.frombuffer(body.series_index, _U16).astype(np.uint16, copy=False)
    offset = np.frombuffer(body.time, _I64).astype(np.int64, copy=False)
    value = np.frombuffer(body.value, _F64).astype(np.float64, copy=False)
    status = np.frombuffer(body.status, np.uint8)
    if body.n:
        _check(index, offset, status, len(body.series))
        value, status = _meant(value, status)
    return Columns(_series(body.series), index, offset + body.first_ns, value, status)


def _check(index: UInt16, offset: Int64, status: UInt8, series: int) -> None:
    if (highest := _highest(index)) >= series:
        raise WireError(f"series {highest} is not in the table of {series}")
    if _highest(offset.view(np.uint64)) > _MAX_TIME_NS:  # what is negative is above all times
        raise WireError("a time before the batch's first instant, or beyond all times")
    if (highest := _highest(status)) > _HIGHEST_STATUS:
        raise WireError(f"status {highest} is not known")


def _meant(value: Float64, status: UInt8) -> tuple[Float64, UInt8]:
    """The values and statuses, where no instrument can mean a value without it; good without a value is a fault."""
    if all(map(isfinite, value.tolist())) if len(value) <= FEW else np.isfinite(value).all():
        return value, status
    lost = ~np.isfinite(value)
    return np.where(lost, np.nan, value), np.where(lost & (status == Status.OK), np.uint8(Status.FAULT), status)


def _highest(numbers: npt.NDArray[Any]) -> int:
    return max(numbers.tolist()) if len(numbers) <= FEW else int(numbers.max())


@lru_cache(maxsize=256)
def _series(rows: tuple[tuple[str, str, str, str, str], ...]) -> tuple[Series, ...]:
    """The same object for the same table: batches of a plant share theirs."""
    return tuple(Series(*row) for row in rows)


class EpochAck(msgspec.Struct, frozen=True):
    """What the journal holds of an epoch: all of 1 .. upto, and the ranges `have` (both ends included) above."""

    ep: Epoch
    upto: Number
    have: Annotated[tuple[tuple[Number, Number], ...], Meta(max_length=MAX_RANGES)] = ()


Handovers = Annotated[tuple[Annotated[bytes, Meta(max_length=512)], ...], Meta(max_length=MAX_HANDOVERS)]


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the collector's journal holds of a gateway; the only thing that frees an outbox row.

    gen: (journal generation, 8 random bytes). n: counts the acknowledgements of the generation.
    win: credit in batches, 0 = stop. now: the collector's clock. [ns since 1970 UTC]
    keys: the latest hand-overs of the collector's key, oldest first (`gateway.succession`).
    bundle: how large a bundle of batches it takes, 0 = one batch a message. [bytes]
    """

    gw: Name
    gen: tuple[Number, Annotated[bytes, Meta(min_length=8, max_length=8)]]
    n: Number
    epochs: Annotated[tuple[EpochAck, ...], Meta(max_length=MAX_EPOCHS)]
    win: Number
    now: Number
    keys: Handovers = ()
    bundle: Number = 0


_ack = msgspec.msgpack.Decoder(Ack).decode


def encode_ack(ack: Ack) -> bytes:
    """The bytes of an acknowledgement, to be sealed with `seal.seal_ack`."""
    return msgspec.msgpack.encode(ack)


def decode_ack(rest: bytes) -> Ack:
    """The acknowledgement in verified bytes; raises WireError on anything that is none."""
    if len(rest) > MAX_BODY:
        raise WireError("an acknowledgement of more than 64 kB")
    try:
        ack = _ack(rest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"not an acknowledgement: {error}") from error
    for epoch in ack.epochs:
        for first, last in epoch.have:
            if first > last:
                raise WireError("a range that ends before it starts")
    return ack


class _Keys(msgspec.Struct):
    keys: Handovers = ()


_keys_in = msgspec.msgpack.Decoder(_Keys).decode


def handovers_in(rest: bytes) -> tuple[bytes, ...]:
    """The hand-overs in the bytes of an acknowledgement whose seal is not known yet; none where it has none."""
    try:
        return _keys_in(rest).keys
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ()


def up_topic(gateway: str) -> str:
    """Where a gateway publishes its batches."""
    return f"{TOPIC}/{gateway}/up"


def down_topic(gateway: str) -> str:
    """Where the collector acknowledges them."""
    return f"{TOPIC}/{gateway}/down"


def state_topic(gateway: str) -> str:
    """Where a gateway says how it is."""
    return f"{TOPIC}/{gateway}/state"

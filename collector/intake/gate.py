"""What may come in: every message is examined before anything in it is believed.

Rules of this file, in the order of examination:

- too large, or above the quota of its gateway for bad messages: not kept at all;
- unknown gateway, bad signature, or signed and without a number that can be read: quarantined under no
  number, and so never acknowledged;
- signed by the gateway but not readable, not of its plant, or of a version unknown here: quarantined
  under its number and acknowledged, so that it is kept for later and never blocks the stream;
- everything else is a batch.

Source: protocol 2.4 (poison, bad signature).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from collector.intake.inbox import MAX_SEQ, Quota
from collector.intake.records import Said, said
from collector.store import Entry, EntryKind
from gateway import seal, wire

# Version, signature and a body that does not compress at all.
MAX_PAYLOAD = 1 + seal.SIGNATURE_BYTES + wire.MAX_BODY + 1024
# Bad messages kept of one gateway; enough to see what is wrong, too few to fill a disk.
QUARANTINE_COUNT = 20
QUARANTINE_PERIOD_NS = 3600 * 1_000_000_000
# All unknown gateways together: whoever may publish can invent as many names as it likes.
_UNKNOWN = ""
# As long as a gateway's id may be; of a stranger's topic no more is kept.
_NAME = 64


@dataclass(frozen=True, slots=True)
class Trusted:
    """A gateway that may deliver. key: None = not known yet, nothing it sends is believed."""

    plant: str
    key: Ed25519PublicKey | None


@dataclass(frozen=True, slots=True)
class Examined:
    """A message after examination.

    entry: what goes into the journal, at position 0; None = nothing. digest: SHA-256 of the payload.
    hello: first of its epoch. fault: what is wrong with it, "" = nothing. said: what a good batch claims.
    """

    entry: Entry | None
    digest: bytes
    hello: bool
    fault: str
    said: Said | None = None


class _Number(msgspec.Struct):
    """The little that is needed to acknowledge a body that cannot be read as a whole."""

    ep: wire.Epoch
    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]


class Gate:
    """Examines messages against the keys of the trusted gateways (gateway id -> Trusted)."""

    def __init__(self, trusted: Mapping[str, Trusted]) -> None:
        self._trusted = dict(trusted)
        self._quota = Quota(QUARANTINE_COUNT, QUARANTINE_PERIOD_NS)

    def examine(self, gateway: str, payload: bytes, *, received_ns: int, now_ns: int) -> Examined:
        """What a message on a gateway's topic is.

        received_ns: time of day at which it arrived. [ns since 1970 UTC] now_ns: a monotonic clock. [ns]
        """
        if len(payload) > MAX_PAYLOAD:
            return Examined(None, b"", False, f"{len(payload)} bytes, more than {MAX_PAYLOAD}")
        owner = self._trusted.get(gateway)
        if owner is None:
            return self._distrust(gateway, payload, "not a gateway of any site file", received_ns, now_ns)
        if owner.key is None:
            return self._distrust(gateway, payload, "its public key is not in the site file", received_ns, now_ns)
        try:
            body = seal.verify(payload, owner.key)
        except seal.UnknownVersion as error:
            body, fault = payload[1 + seal.SIGNATURE_BYTES :], str(error)
            return self._poison(gateway, payload, body, fault, received_ns, now_ns)
        except seal.SealError as error:
            return self._distrust(gateway, payload, str(error), received_ns, now_ns)
        try:
            batch = wire.decode(body)
            _belongs(batch, gateway, owner.plant)
            claims = said(batch)
        except wire.WireError as error:
            return self._poison(gateway, payload, body, str(error), received_ns, now_ns)
        return _accept(batch, claims, payload, received_ns)

    def _poison(self, gateway: str, payload: bytes, body: bytes, fault: str, received_ns: int, now_ns: int) -> Examined:
        epoch, seq = _number(body)
        if not seq:  # it comes again and again, since nothing can acknowledge it
            return self._distrust(gateway, payload, fault, received_ns, now_ns)
        entry = Entry(0, received_ns, EntryKind.QUARANTINE, gateway, epoch, seq, payload)
        return Examined(entry, seal.digest(payload), False, fault)

    def _distrust(self, gateway: str, payload: bytes, fault: str, received_ns: int, now_ns: int) -> Examined:
        key = gateway if gateway in self._trusted else _UNKNOWN
        if not self._quota.take(key, now_ns):
            return Examined(None, b"", False, fault)
        entry = Entry(0, received_ns, EntryKind.QUARANTINE, gateway[:_NAME], payload=payload)
        return Examined(entry, seal.digest(payload), False, fault)


def _belongs(batch: wire.Batch, gateway: str, plant: str) -> None:
    """Raise WireError when a batch speaks for another gateway or another plant."""
    if batch.header.gw != gateway:
        raise wire.WireError(f"sealed by {gateway!r}, but it says it is of gateway {batch.header.gw!r}")
    plants = {batch.header.plant, *(series.plant for series in batch.columns.series)}
    if plants != {plant}:
        raise wire.WireError(f"gateway {gateway!r} is of plant {plant!r}, the batch of {sorted(plants)}")


def _accept(batch: wire.Batch, claims: Said, payload: bytes, received_ns: int) -> Examined:
    header, time_ns = batch.header, batch.columns.time_ns
    first_ns, last_ns = (int(time_ns.min()), int(time_ns.max())) if len(time_ns) else (0, 0)
    entry = Entry(0, received_ns, EntryKind.BATCH, header.gw, header.ep, header.seq, payload, first_ns, last_ns)
    return Examined(entry, seal.digest(payload), header.kind == "hello", "", claims)


def _number(body: bytes) -> tuple[bytes, int]:
    """Epoch and number of an unreadable body, as far as it can be told; (b"", 0) where it cannot."""
    try:
        packed = zlib.decompressobj().decompress(body, wire.MAX_INFLATED)
        number = msgspec.msgpack.decode(packed, type=_Number)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b"", 0
    return number.ep, number.seq

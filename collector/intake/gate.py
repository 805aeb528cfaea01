"""What may come in: every message is examined before anything in it is believed.

Rules of this file, in the order of examination:

- too large, more than a gateway can honestly send, or retained by the broker (nobody can tell when it
  was sent, and it comes again at every connection): not kept at all;
- bad, and above the quota of its gateway for bad messages: not kept either;
- unknown or revoked gateway, bad signature, or signed and without a number that can be read: quarantined under no
  number, and so never acknowledged;
- signed by the gateway but not readable, not of its plant, or of a version unknown here: quarantined
  under its number and acknowledged, so that it is kept for later and never blocks the stream;
- a message at which our own code failed ATTEMPTS times is not examined again: quarantined too, under its
  number where that can be told, so that a mistake of ours never ends the collector again and again;
- everything else is a batch.

Source: protocol 2.4 (poison, bad signature).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from collector.intake.events import What
from collector.intake.inbox import MAX_SEQ, Quota, Rate
from collector.intake.records import Config, Said, said
from collector.reading import decoded
from collector.store import Entry, EntryKind
from gateway import configuration, seal, wire

# Version, signature and a body that does not compress at all.
MAX_PAYLOAD = 1 + seal.SIGNATURE_BYTES + wire.MAX_BODY + 1024
# Bad messages kept of one gateway; enough to see what is wrong, too few to fill a disk.
QUARANTINE_COUNT = 20
QUARANTINE_PERIOD_NS = 3600 * 1_000_000_000
# All unknown gateways together: whoever may publish can invent as many names as it likes.
_UNKNOWN = ""
# What one gateway may send: far more than it measures, and a backlog of hours at once. Above that even
# the examination would cost others their time.
RATE_PER_S = 2000
RATE_BURST = 20_000
# More than one, since what failed may have been the memory of that moment.
ATTEMPTS = 3
# As long as a gateway's id may be; of a stranger's topic no more is kept.
_NAME = 64


@dataclass(frozen=True, slots=True)
class Trusted:
    """A gateway that may deliver. key: None = not known yet, nothing it sends is believed.

    older: keys before it, each with the time of receipt until which it is good. [ns since 1970 UTC]
    refused: why nothing of it is believed although it is known, "" = it may deliver.
    replacements: those of its keys (hex) that were given to a new machine, by the authority's signed word.
    """

    plant: str
    key: seal.Verifier | None
    older: tuple[tuple[seal.Verifier, int], ...] = ()
    refused: str = ""
    replacements: frozenset[str] = frozenset()


class Examined(msgspec.Struct, frozen=True):
    """A message after examination.

    entry: what goes into the journal, at position 0; None = nothing. digest: SHA-256 of the payload.
    hello: first of its epoch. fault: what is wrong with it, "" = nothing. said: what a good batch claims.
    gateway, received_ns: whose topic it came on, and when. what: the kind of fault. broke: the fault is ours.
    """

    entry: Entry | None
    digest: bytes
    hello: bool
    fault: str
    said: Said | None = None
    gateway: str = ""
    received_ns: int = 0
    what: What | None = None
    broke: bool = False


class _Number(msgspec.Struct):
    """The little that is needed to acknowledge a body that cannot be read as a whole."""

    ep: wire.Epoch
    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]


class Gate:
    """Examines messages against the keys of the trusted gateways (gateway id -> Trusted)."""

    def __init__(
        self,
        trusted: Mapping[str, Trusted],
        attempts: Mapping[bytes, int] | None = None,
        *,
        approvers: Sequence[tuple[seal.Verifier, int]] = (),
    ) -> None:
        """attempts: how often the examination of a message failed by a mistake of ours, by SHA-256; it may grow.

        approvers: the collector's keys, each with the time until which its word on a configuration counts.
        """
        self._attempts = {} if attempts is None else attempts
        self._trusted, self._approvers = dict(trusted), approvers
        self._quota = Quota(QUARANTINE_COUNT, QUARANTINE_PERIOD_NS)
        self._rate = Rate(RATE_PER_S, RATE_BURST)

    @property
    def trusted(self) -> Mapping[str, Trusted]:
        """Who is trusted now."""
        return self._trusted

    def trust(self, trusted: Mapping[str, Trusted]) -> None:
        """From now on believe these; may be called from any thread."""
        self._trusted = dict(trusted)

    def examine(
        self, gateway: str, payload: bytes, *, received_ns: int, now_ns: int, retained: bool = False
    ) -> Examined:
        """What a message on a gateway's topic is.

        received_ns: time of day at which it arrived. [ns since 1970 UTC] now_ns: a monotonic clock. [ns]
        retained: the broker had kept it from before.
        """
        message = _Message(gateway, payload, received_ns, now_ns)
        owner = self._trusted.get(gateway)
        if len(payload) > MAX_PAYLOAD:
            return message.refused(What.OVERSIZE, f"{len(payload)} bytes, more than {MAX_PAYLOAD}")
        if retained:
            return message.refused(
                What.RETAINED, "retained by the broker; gateways never ask for that. Clear the topic"
            )
        if owner is None:
            return self._distrust(message, What.STRANGER, "not a gateway of any site file")
        if owner.refused:
            return self._distrust(message, What.REVOKED, owner.refused)
        if not self._rate.take(gateway, now_ns):
            return message.refused(What.FLOOD, f"more than {RATE_PER_S} messages a second")
        if owner.key is None:
            return self._distrust(message, What.KEYLESS, "its public key is not in the site file")
        if self._attempts and (failed := self._attempts.get(seal.digest(payload), 0)) >= ATTEMPTS:
            return self._unexamined(message, owner, failed)
        try:
            body, key = _verify(payload, owner.key, owner.older, received_ns)
        except seal.UnknownVersion as error:
            return self._poison(message, payload[1 + seal.SIGNATURE_BYTES :], str(error))
        except seal.SealError as error:
            return self._distrust(message, What.BAD_SIGNATURE, str(error))
        try:
            batch = decoded(body)
            _belongs(batch, gateway, owner.plant)
            claims = said(batch)
        except wire.WireError as error:
            return self._poison(message, body, str(error))
        if owner.replacements and (sealer := key.public_bytes_raw().hex()) in owner.replacements:
            claims = replace(claims, replacement=sealer)
        if claims.config:
            claims = replace(claims, unapproved=self._unapproved(claims.config, message))
        return _accept(batch, claims, message)

    def _unapproved(self, config: Config, message: _Message) -> str:
        """Why the collector has not approved a configuration, "" = it has."""
        if config.text and configuration.hash_of(config.text) != config.hash:
            return "its text is not what its hash says"
        good = [key for key, until_ns in self._approvers if message.received_ns < until_ns]
        return configuration.fault(config.approval, message.gateway, config.hash, good)

    def unexaminable(self, gateway: str, payload: bytes, fault: str, *, received_ns: int, now_ns: int) -> Examined:
        """A message whose examination failed by a mistake of ours: kept under no number, to be looked at."""
        found = self._distrust(_Message(gateway, payload, received_ns, now_ns), What.POISON, fault)
        return replace(found, digest=seal.digest(payload), broke=True)

    def _unexamined(self, message: _Message, owner: Trusted, failed: int) -> Examined:
        """Quarantine what our code failed at, looking at as little of it as can be; at its number only at first."""
        fault = f"its examination failed {failed} times by a mistake of the collector; it is kept unexamined"
        try:
            assert owner.key
            body, _ = _verify(message.payload, owner.key, owner.older, message.received_ns)
        except seal.SealError as error:
            return self._distrust(message, What.BAD_SIGNATURE, str(error))
        if failed >= 2 * ATTEMPTS:  # even so it failed
            return self._distrust(message, What.POISON, fault)
        return self._poison(message, body, fault)

    def _poison(self, message: _Message, body: bytes, fault: str) -> Examined:
        epoch, seq = _number(body)
        if not seq:  # it comes again and again, since nothing can acknowledge it
            return self._distrust(message, What.NO_NUMBER, fault)
        entry = Entry(0, message.received_ns, EntryKind.QUARANTINE, message.gateway, epoch, seq, message.payload)
        return message.examined(entry, What.POISON, fault)

    def _distrust(self, message: _Message, what: What, fault: str) -> Examined:
        key = message.gateway if message.gateway in self._trusted else _UNKNOWN
        if len(message.payload) > MAX_PAYLOAD or not self._quota.take(key, message.now_ns):
            return message.refused(what, fault)
        entry = Entry(0, message.received_ns, EntryKind.QUARANTINE, message.gateway[:_NAME], payload=message.payload)
        return message.examined(entry, what, fault)


class _Message(msgspec.Struct, frozen=True):
    """A message and when it came."""

    gateway: str
    payload: bytes
    received_ns: int
    now_ns: int

    def refused(self, what: What, fault: str) -> Examined:
        """Not even kept."""
        return Examined(None, b"", False, fault, None, self.gateway[:_NAME], self.received_ns, what)

    def examined(self, entry: Entry, what: What, fault: str) -> Examined:
        """Kept, and not believed."""
        digest = seal.digest(self.payload)
        return Examined(entry, digest, False, fault, None, self.gateway[:_NAME], self.received_ns, what)


def _verify(
    payload: bytes, key: seal.Verifier, older: Sequence[tuple[seal.Verifier, int]], received_ns: int
) -> tuple[bytes, seal.Verifier]:
    """The body and who sealed it, when the key or one before it that is still good did; else raise SealError."""
    *candidates, last = [key, *(candidate for candidate, until_ns in older if received_ns < until_ns)]
    for candidate in candidates:
        try:
            return seal.verify(payload, candidate), candidate
        except seal.UnknownVersion:
            raise
        except seal.SealError:
            continue
    return seal.verify(payload, last), last


def _belongs(batch: wire.Batch, gateway: str, plant: str) -> None:
    """Raise WireError when a batch speaks for another gateway or another plant."""
    if batch.header.gw != gateway:
        raise wire.WireError(f"sealed by {gateway!r}, but it says it is of gateway {batch.header.gw!r}")
    plants = {batch.header.plant, *(series.plant for series in batch.columns.series)}
    if plants != {plant}:
        raise wire.WireError(f"gateway {gateway!r} is of plant {plant!r}, the batch of {sorted(plants)}")


def _accept(batch: wire.Batch, claims: Said, message: _Message) -> Examined:
    header, payload, received_ns = batch.header, message.payload, message.received_ns
    first_ns, last_ns = batch.columns.span()
    entry = Entry(0, received_ns, EntryKind.BATCH, header.gw, header.ep, header.seq, payload, first_ns, last_ns)
    return Examined(entry, seal.digest(payload), header.kind == "hello", "", claims, header.gw, received_ns)


_read = msgspec.msgpack.Decoder(_Number).decode


def _number(body: bytes) -> tuple[bytes, int]:
    """Epoch and number of an unreadable body, as far as it can be told; (b"", 0) where it cannot."""
    try:
        packed = zlib.decompressobj().decompress(body, wire.MAX_INFLATED)
        number = _read(packed)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b"", 0
    return number.ep, number.seq

"""The register of identities: which gateway speaks for which plant, with which key, since when.

A register is a text of JSON lines, one record each; lines are added and never changed. Rules of this file:

- every record names the SHA-256 of the line before it, so that a line edited, dropped or moved shows;
- a key that was revoked is never trusted again, whoever enrols it;
- a revoked gateway stays refused until it is enrolled anew, with another key;
- after a rotation the keys before are good until the record's `until`, by the time of receipt: what a
  gateway sealed before it got its new key is still on its way;
- a gateway that was replaced by another machine has a record with the collector's signed word on it
  (`mandates`): only then may its stream of batches begin anew;
- the collector's own keys are here too, each appointed by the one before, so that what an old one signed can
  be proven for ever.

Pure: texts and `now` in, records and lines out; `register_file` reads and writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import msgspec

NOTHING_BEFORE = "0" * 64
FOREVER_NS = 2**63 - 1


class RegisterBroken(Exception):
    """A register that is not what was written; says which line and what to do."""


class Refused(Exception):
    """An identity that is not given; says why and what to do."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One line of the register.

    kind: what happened. at: when, and until: how long older keys are good after a rotation [ns since 1970 UTC].
    key: the public key given, hex. serial: of the certificate given, hex.
    keys: those revoked, or the collector's old one.
    config: hash of the configuration approved with it, hex. signed: the collector's statement, hex: of a
    replacement, or its own hand-over, which has neither gateway nor plant.
    by, reason: who did it and why. prev: SHA-256 of the line before, hex.
    """

    kind: Literal["enrolled", "rotated", "replaced", "approved", "revoked", "handed_over"]
    at: int
    gateway: str
    plant: str
    key: str = ""
    serial: str = ""
    until: int = 0
    keys: tuple[str, ...] = ()
    config: str = ""
    signed: str = ""
    by: str = ""
    reason: str = ""
    prev: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a gateway is now.

    key: hex. older: keys before it, with the time until which they are good. [ns since 1970 UTC]
    serials: its certificates, with the time from which they are not good any more; 0 = good.
    revoked_ns: since when it is refused, 0 = it is not. burnt: keys never trusted again.
    """

    gateway: str
    plant: str
    key: str = ""
    older: tuple[tuple[str, int], ...] = ()
    serials: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    revoked_ns: int = 0
    reason: str = ""
    burnt: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Register:
    """All records, and what follows from them. head: SHA-256 of the last line, hex."""

    records: tuple[Record, ...] = ()
    identities: Mapping[str, Identity] = field(default_factory=lambda: MappingProxyType({}))
    head: str = NOTHING_BEFORE

    @property
    def anchor(self) -> str:
        """What a checkpoint names of it: its head, "" for an empty register."""
        return self.head if self.records else ""

    def line(self, record: Record) -> str:
        """The line that adds a record to this register."""
        chained = msgspec.structs.replace(record, prev=self.head)
        return msgspec.json.encode(chained).decode() + "\n"

    def keys_ever(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Every key that each gateway has had, with the time from and until which it is good. [ns since 1970 UTC]"""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for record in self.records:
            if not record.gateway:
                continue  # of the collector's own keys
            keys = found.setdefault(record.gateway, {})
            end_ns = record.at if record.kind == "revoked" else record.until or FOREVER_NS
            keys |= {key: (0, FOREVER_NS) for key in record.keys if key not in keys}
            keys |= {key: (from_ns, min(until_ns, end_ns)) for key, (from_ns, until_ns) in keys.items()}
            if record.key and record.kind != "revoked":
                keys[record.key] = keys.get(record.key, (record.at, 0))[0], FOREVER_NS
        return found

    def continues(self, earlier: Register) -> bool:
        """Whether this register is an earlier one with lines added, or the same."""
        return self.records[: len(earlier.records)] == earlier.records

    def revoked_serials(self, now_ns: int) -> dict[int, int]:
        """Certificates that are not good any more: serial number -> since when. [ns since 1970 UTC]"""
        return {
            int(serial, 16): since_ns
            for identity in self.identities.values()
            for serial, since_ns in identity.serials.items()
            if 0 < since_ns <= now_ns
        }

    @property
    def handovers(self) -> tuple[bytes, ...]:
        """The hand-overs of the collector's key as signed, oldest first."""
        return tuple(bytes.fromhex(record.signed) for record in self.records if record.kind == "handed_over")

    @property
    def collector_keys(self) -> tuple[str, ...]:
        """Every key the collector has had, the present one last; empty where it never had another one. [hex]"""
        found = [record for record in self.records if record.kind == "handed_over"]
        return (*(key for record in found for key in record.keys), *(record.key for record in found[-1:]))

    def refused(self) -> list[str]:
        """The gateways that are refused now, by name."""
        return sorted(gateway for gateway, identity in self.identities.items() if identity.revoked_ns)


_record = msgspec.json.Decoder(Record).decode


def read_register(text: str, file: str) -> Register:
    """The register in a text; raises RegisterBroken."""
    if text and not text.endswith("\n"):
        number = text.count("\n") + 1
        raise RegisterBroken(f"{file}:{number}: the last line is cut off; restore the file from a backup")
    head, records, identities = NOTHING_BEFORE, [], dict[str, Identity]()
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            record = _record(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RegisterBroken(f"{file}:{number}: not a record: {error}; restore it from a backup") from error
        if record.prev != head:
            raise RegisterBroken(
                f"{file}:{number}: it does not follow the line before it: a line was changed, taken out or moved; "
                "restore the file from a backup"
            )
        head = hashlib.sha256(f"{line}\n".encode()).hexdigest()
        records.append(record)
        if record.kind not in ("approved", "handed_over"):
            identities[record.gateway] = _advance(identities.get(record.gateway), record)
    return Register(tuple(records), MappingProxyType(identities), head)


def enrol(register: Register, record: Record) -> Record:
    """The record that gives a gateway an identity, checked; raises Refused. record: kind, key and so on, as wanted."""
    identity = register.identities.get(record.gateway)
    if identity and not identity.revoked_ns:
        raise Refused(f"gateway {record.gateway} is enrolled already; --rotate gives it a new key and certificate")
    return _given(register, record)


def rotate(register: Register, record: Record) -> Record:
    """The record that gives an enrolled gateway another key, certificate or machine, checked; raises Refused."""
    identity = register.identities.get(record.gateway)
    if identity is None or identity.revoked_ns:
        state = "revoked" if identity else "not enrolled"
        raise Refused(f"gateway {record.gateway} is {state}; enrol it without --{_OPTIONS[record.kind]}")
    return _given(register, record)


def revoke(register: Register, record: Record, known_keys: Sequence[str]) -> Record:
    """The record that takes a gateway's identity away; raises Refused. known_keys: of the site file."""
    identity = register.identities.get(record.gateway)
    if identity and identity.revoked_ns:
        raise Refused(f"gateway {record.gateway} is revoked already")
    keys = {key for key in known_keys if key}
    keys |= {identity.key, *(key for key, _ in identity.older)} if identity else set()
    return msgspec.structs.replace(record, keys=tuple(sorted(keys)))


_OPTIONS = {"rotated": "rotate", "replaced": "replace"}


def _given(register: Register, record: Record) -> Record:
    for other in register.identities.values():
        if record.key in other.burnt:
            raise Refused(f"this key of gateway {other.gateway} was revoked and is not trusted again; take another")
        if other.gateway != record.gateway and record.key in (other.key, *(key for key, _ in other.older)):
            raise Refused(f"this is the key of gateway {other.gateway}; every gateway has a key of its own")
    return record


def _advance(identity: Identity | None, record: Record) -> Identity:
    """Who a gateway is after one more record."""
    before = identity or Identity(record.gateway, record.plant)
    if record.kind == "revoked":
        serials = {serial: since_ns or record.at for serial, since_ns in before.serials.items()}
        return replace(
            before, key="", older=(), serials=MappingProxyType(serials), revoked_ns=record.at, reason=record.reason,
            burnt=before.burnt | set(record.keys),
        )  # fmt: skip
    older: dict[str, int] = {}
    serials = dict(before.serials)
    if record.kind in ("rotated", "replaced"):
        # The machine that was replaced has nothing to seek at the broker; what it sealed may still be read in.
        end_ns = record.until if record.kind == "rotated" else record.at
        serials = {serial: min(since_ns or end_ns, end_ns) for serial, since_ns in serials.items()}
        older = {key: min(until_ns, record.until) for key, until_ns in before.older}
        older[before.key] = record.until
        older.pop(record.key, None)
    return replace(
        before, plant=record.plant, key=record.key, older=tuple(older.items()),
        serials=MappingProxyType({**serials, record.serial: 0}), revoked_ns=0, reason="",
    )  # fmt: skip

"""What follows from the collector's signed word: which keys were its own, and which gateways are new machines.

The register is a file of the collector's machine; who can write there could say that a gateway was replaced and
have its past forgotten. So a replacement counts only with a statement signed by a key of the collector.

Pure: register and keys in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from collector.proof.identities import FOREVER_NS, Register
from gateway import seal, wire
from gateway.identity import public_key
from gateway.succession import Trust

Approver: TypeAlias = tuple[seal.Verifier, int]


class Replacement(msgspec.Struct, frozen=True):
    """Another machine takes a gateway's place. key: 32 bytes, its own. at: when. [ns since 1970 UTC]"""

    gw: wire.Name
    plant: wire.Name
    key: wire.Hash
    at: wire.Number


_replacement = msgspec.msgpack.Decoder(Replacement).decode


def seal_replacement(replacement: Replacement, key: seal.Signer) -> bytes:
    """The statement, signed with the collector's key."""
    return seal.seal_statement(seal.Statement.REPLACEMENT, msgspec.msgpack.encode(replacement), key)


def authority(register: Register, key: seal.Verifier) -> tuple[Approver, ...]:
    """The collector's keys, the present one first, each with the time until which its word counts."""
    if not register.handovers:
        return ((key, FOREVER_NS),)
    trust = Trust(public_key(register.collector_keys[0])).learn(register.handovers)
    of_register = trust.newest.public_bytes_raw() == key.public_bytes_raw()
    return ((key, FOREVER_NS), *(reversed(trust.older) if of_register else ()))


def replacements(register: Register, keys: Sequence[seal.Verifier]) -> dict[str, frozenset[str]]:
    """Gateway -> the keys (hex) that were given to new machines in its place, as a key of the collector says."""
    found: dict[str, set[str]] = {}
    for record in register.records:
        if record.kind == "replaced" and _stated(record.signed, keys) == (record.gateway, record.plant, record.key):
            found.setdefault(record.gateway, set()).add(record.key)
    return {gateway: frozenset(keys) for gateway, keys in found.items()}


def _stated(signed: str, keys: Sequence[seal.Verifier]) -> tuple[str, str, str]:
    for key in keys:
        try:
            raw = seal.verify_statement(seal.Statement.REPLACEMENT, bytes.fromhex(signed), key)
            said = _replacement(raw)
        except (ValueError, msgspec.MsgspecError, RecursionError):  # a SealError is a ValueError
            continue
        return said.gw, said.plant, said.key.hex()
    return "", "", ""

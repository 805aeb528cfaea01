"""The collector's key and the keys before it: how a gateway learns of a new one, and whom it believes meanwhile.

An acknowledgement frees what the outbox holds, so a gateway takes no key on anybody's word but that of the key
it knows. A *hand-over* is a statement signed with the old key: this is the new one. Every acknowledgement
carries the hand-overs there have been, so that a gateway that was away for a month learns all of them at once,
from the first message it hears. Rules of this file:

- a hand-over counts when the key that is newest for this gateway signed it, link by link; so a key that was
  handed over can appoint nobody any more, and the first of two hand-overs stays;
- hand-overs are taken from an acknowledgement only when the key they lead to has signed that same one;
- after a hand-over the old key stays good until the time stated in it, by the gateway's clock.

Pure: bytes and `now` in, a new `Trust` out; `publisher` keeps the hand-overs on disk. Source: docs/reference/wire.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import seal, wire


class Handover(msgspec.Struct, frozen=True):
    """One key's word that another one follows it. Keys: 32 bytes. at: when; until: how long old is good. [ns]"""

    old: wire.Hash
    new: wire.Hash
    at: wire.Number
    until: wire.Number


_handover = msgspec.msgpack.Decoder(Handover).decode


def seal_handover(handover: Handover, key: seal.Signer) -> bytes:
    """A hand-over signed with the old key."""
    return seal.seal_statement(seal.Statement.HANDOVER, msgspec.msgpack.encode(handover), key)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose acknowledgements count.

    older: keys before the newest, each with the time until which it is good. [ns since 1970 UTC]
    handovers: as signed, from the key of the site file to the newest.
    make: makes a key of its 32 bytes; a simulation has keys of its own.
    """

    newest: seal.Verifier
    older: tuple[tuple[seal.Verifier, int], ...] = ()
    handovers: tuple[bytes, ...] = ()
    make: Callable[[bytes], seal.Verifier] = Ed25519PublicKey.from_public_bytes

    def learn(self, handovers: Sequence[bytes]) -> Trust:
        """With all hand-overs that lead on from the newest key; itself where none does."""
        trust = self
        for payload in handovers:
            if found := trust._follows(payload):
                older = (*trust.older, (trust.newest, found.until))
                trust = Trust(self.make(found.new), older, (*trust.handovers, payload), self.make)
        return trust

    def _follows(self, payload: bytes) -> Handover | None:
        try:
            raw = seal.verify_statement(seal.Statement.HANDOVER, payload, self.newest)
            found = _handover(raw)
        except (seal.SealError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        newest, *older = (key.public_bytes_raw() for key in (self.newest, *(key for key, _ in self.older)))
        return found if found.old == newest and found.new not in (newest, *older) else None

    def keys(self, now_ns: int) -> list[seal.Verifier]:
        """The keys that are good now, the newest first. now_ns: time of day. [ns since 1970 UTC]"""
        return [self.newest, *(key for key, until_ns in self.older[::-1] if now_ns < until_ns)]

    def open(self, payload: bytes, now_ns: int) -> tuple[bytes, Trust]:
        """The bytes of an acknowledgement, and whom to trust from now on; raises SealError."""
        refusal = seal.SealError("")
        for key in self.keys(now_ns):
            try:
                return seal.verify_ack(payload, key), self
            except seal.UnknownVersion:
                raise
            except seal.SealError as error:
                refusal = error
        later = self.learn(wire.handovers_in(payload[1 + seal.SIGNATURE_BYTES :]))
        if later is self:
            raise refusal
        return seal.verify_ack(payload, later.newest), later

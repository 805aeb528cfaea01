"""Marks: what a person says of measurements, as signed records that stand in the journal beside them.

Maintenance, calibration, invalidation, correction and note are records like any other: appended, never
changed, followed by cursor. What was measured stays as it is; the mark and what it speaks of are both shown
for ever. Rules of this file:

- a mark is a payload as a batch is: version | Ed25519 signature of the author | body. The body is JSON, so that
  the journal can be read without this program;
- it names what it speaks of: a span of a point, and one digest over the payloads that the journal held of
  that span (`Old`), so that what was there when it was said cannot be exchanged afterwards;
- it names the plant's mark before it by hash, so that one left out shows without the whole tree;
- a mark is taken back by another one that names it (`revocation`); nothing is ever removed;
- where marks overlap, the later in the journal has the last word.

A port, as `collector.store` is: intake, proof and verdicts all read it. Pure. Source: docs/reference/marks.md.

    MarkError
    `-- these bytes are no mark, or one that contradicts itself
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from collector.store import Entry, EntryKind
from gateway import seal
from gateway.measurement import SECOND_NS

MAX_BYTES = 65_536  # of a payload; a line of an export's CSV holds it in base64
MAX_VALUES = 1_000  # of a correction by instants
MAX_SPAN_NS = 7 * 86_400 * SECOND_NS  # some 600,000 batches to name and to judge anew; what is longer takes several
_MAX_NS = 2**62

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Instant = Annotated[int, Meta(ge=0, le=_MAX_NS)]
_Position = Annotated[int, Meta(ge=0, le=_MAX_NS)]


class MarkError(ValueError):
    """Bytes that are no mark, or a mark that contradicts itself; the text says how."""


class Kind(StrEnum):
    """What a mark says. A note changes nothing that is judged; all others but a revocation do."""

    MAINTENANCE = "maintenance"
    CALIBRATION = "calibration"
    INVALID = "invalid"
    CORRECTION = "correction"
    NOTE = "note"
    REVOCATION = "revocation"


class Old(msgspec.Struct, frozen=True):
    """What the journal held of the span when the mark was made.

    position: the journal's end then. batches: how many of the plant's batches up to there reach into the span.
    sha256: of their payloads' SHA-256, one after the other in the order of the journal.
    """

    position: _Position
    batches: _Position
    sha256: _Hash


class Named(msgspec.Struct, frozen=True):
    """Another mark, by its place in the journal and the SHA-256 of its payload."""

    position: _Position
    sha256: _Hash


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mark. parameter, sensor: "" = all of the point. from_ns inclusive, to_ns exclusive. [ns since 1970 UTC]

    author, role: as the site file has them. made_ns: the author's clock. prev: hash of the plant's mark before
    it, "" = there is none. A correction has scale and offset (value * scale + offset) or values, pairs of
    instant [ns] and value. revokes: the mark that a revocation takes back.
    """

    plant: _Name
    point: _Name
    parameter: Annotated[str, Meta(max_length=64)] = ""
    sensor: Annotated[str, Meta(max_length=64)] = ""
    from_ns: _Instant
    to_ns: _Instant
    kind: Kind
    reason: Annotated[str, Meta(min_length=1, max_length=2000)]
    author: _Name
    role: _Name
    made_ns: _Instant
    old: Old
    prev: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    scale: float | None = None
    offset: float | None = None
    values: Annotated[tuple[tuple[_Instant, float], ...], Meta(max_length=MAX_VALUES)] = ()
    revokes: Named | None = None

    def about(self, parameter: str, from_ns: int, to_ns: int) -> bool:
        """Whether it speaks of a parameter somewhere in [from_ns, to_ns)."""
        return self.parameter in ("", parameter) and self.from_ns < to_ns and self.to_ns > from_ns


@dataclass(frozen=True, slots=True)
class Filed:
    """A mark in the journal. position, received_ns: of its entry. payload: as received, signature included."""

    position: int
    received_ns: int
    payload: bytes
    mark: Mark

    @property
    def sha256(self) -> str:
        """What the next mark and a revocation name it by."""
        return seal.digest(self.payload).hex()


def sign(mark: Mark, key: Ed25519PrivateKey) -> bytes:
    """The payload of a mark; raises MarkError for one that nobody would take."""
    require_sound(mark)
    payload = seal.seal_mark(msgspec.json.encode(mark), key)
    if len(payload) > MAX_BYTES:
        raise MarkError(f"{len(payload)} bytes are more than the {MAX_BYTES} of a mark; make several")
    return payload


def decode(payload: bytes) -> Mark:
    """The mark in a payload, whoever signed it; raises MarkError."""
    if not 1 + seal.SIGNATURE_BYTES < len(payload) <= MAX_BYTES:
        raise MarkError(f"{len(payload)} bytes are too few or too many for a mark")
    try:
        mark = msgspec.json.decode(payload[1 + seal.SIGNATURE_BYTES :], type=Mark)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MarkError(f"not a mark: {error}") from error
    require_sound(mark)
    return mark


def require_signed(payload: bytes, key: Ed25519PublicKey) -> None:
    """Raise SealError unless the owner of a key has signed a mark."""
    seal.verify_mark(payload, key)


def filed(entry: Entry) -> Filed:
    """The mark of a journal entry of that kind; its signature was verified before it was journalled."""
    assert entry.kind is EntryKind.MARK, f"entry {entry.position} is a {entry.kind}"
    return Filed(entry.position, entry.received_ns, entry.payload, decode(entry.payload))


def require_sound(mark: Mark) -> None:
    """Raise MarkError where the parts of a mark contradict each other."""
    if not mark.reason.strip():
        raise MarkError("reason: a mark without a reason says nothing")
    if not mark.from_ns < mark.to_ns <= mark.from_ns + MAX_SPAN_NS:
        days = MAX_SPAN_NS // (86_400 * SECOND_NS)
        raise MarkError(f"from, to: a mark has a beginning before its end, and at most {days} days between them")
    linear, table = mark.scale is not None or mark.offset is not None, bool(mark.values)
    if mark.kind is Kind.CORRECTION:
        if linear == table:
            raise MarkError("a correction has either scale and offset, or values")
        if not mark.parameter:
            raise MarkError("parameter: a correction is of one parameter")
        times = [time_ns for time_ns, _ in mark.values]
        if sorted(set(times)) != times or (table and not mark.from_ns <= times[0] <= times[-1] < mark.to_ns):
            raise MarkError("values: their instants rise, and lie within from and to")
    elif linear or table:
        raise MarkError(f"only a correction gives new values, not a {mark.kind}")
    if (mark.kind is Kind.REVOCATION) != (mark.revokes is not None):
        raise MarkError("a revocation names the mark that it takes back, and nothing else does")


def old_digest(hashes: Iterable[bytes]) -> tuple[int, str]:
    """How many payloads, and the digest of `Old` over their SHA-256 in the order of the journal."""
    sha, count = hashlib.sha256(), 0
    for count, one in enumerate(hashes, 1):  # noqa: B007 - the last one counts
        sha.update(one)
    return count, sha.hexdigest()

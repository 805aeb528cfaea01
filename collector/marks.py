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
- a state of the plant is said of a point as a whole: measurements keep their status, and what a text does not
  judge in that state is not judged;
- records of commissioning (an instrument swapped, a sound level meter checked, a sheet made) are marks that change
  nothing that is judged: the time of the work is a mark of its own, of kind maintenance or calibration;
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
_Serial = Annotated[str, Meta(min_length=1, max_length=64)]
_Name64 = Annotated[str, Meta(max_length=64)]
_Cite = Annotated[str, Meta(max_length=500)]
_Number = Annotated[float, Meta(ge=-1e300, le=1e300)]  # a bound, so that NaN and infinity are none


class MarkError(ValueError):
    """Bytes that are no mark, or a mark that contradicts itself; the text says how."""


class Kind(StrEnum):
    """What a mark says. The first four change what is judged; a revocation takes one back; the next four say nothing
    of that; the others say in which state the plant was, and what is not judged in it is not judged.

    swap: another instrument is in its place. sound_check: a sound level meter was held against a calibrator.
    sheet: an acceptance sheet was made.
    """

    MAINTENANCE = "maintenance"
    CALIBRATION = "calibration"
    INVALID = "invalid"
    CORRECTION = "correction"
    NOTE = "note"
    REVOCATION = "revocation"
    SWAP = "swap"
    SOUND_CHECK = "sound_check"
    SHEET = "sheet"
    OPERATING = "operating"
    START_UP = "start_up"
    SHUT_DOWN = "shut_down"
    STOPPED = "stopped"
    DRYING = "drying"
    COOL_DOWN = "cool_down"
    BREAKDOWN = "breakdown"
    ACCIDENT = "accident"
    OTNOC = "otnoc"


# States of the plant, as `collector.verdicts.states` names them.
PLANT_STATES = tuple(Kind)[list(Kind).index(Kind.OPERATING) :]


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


class Swap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instrument that took another one's place, under the same sensor and point.

    serial, old_serial: of the new and the old one, "" = it is not known. as_found, as_left: what the old and the new
    one showed of the same reference. reference: its true value, None = there was none. All three in `unit`.
    """

    serial: _Serial
    old_serial: _Name64 = ""
    as_found: _Number
    as_left: _Number
    reference: _Number | None = None
    unit: _Name64 = ""


class SoundCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sound level meter held against an acoustic calibrator. Levels and differences in dB.

    level: what the calibrator makes there. as_found, as_left: what the meter showed, before and after it was adjusted.
    tolerance: how far it may be off, from `tolerance_cite`. before: what the check before it left, None = there was
    none; drift_max: how far the meter may have drifted since, None = nothing in force says so, from `drift_cite`.
    serial, calibrator: serial numbers, "" = not known.
    """

    level: _Number
    as_found: _Number
    as_left: _Number
    tolerance: _Number
    tolerance_cite: _Cite = ""
    before: _Number | None = None
    drift_max: _Number | None = None
    drift_cite: _Cite = ""
    serial: _Name64 = ""
    calibrator: _Name64 = ""
    passed: bool


class SheetFile(msgspec.Struct, frozen=True, kw_only=True):
    """An acceptance sheet: the file's name, its size [bytes] and its SHA-256."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    bytes: _Instant
    sha256: _Hash


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mark. parameter, sensor: "" = all of the point. from_ns inclusive, to_ns exclusive. [ns since 1970 UTC]

    author, role: as the site file has them. made_ns: the author's clock. prev: hash of the plant's mark before
    it, "" = there is none. A correction has scale and offset (value * scale + offset) or values, pairs of
    instant [ns] and value. revokes: the mark that a revocation takes back. swap, sound_check, sheet: what those say.
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
    swap: Swap | None = None
    sound_check: SoundCheck | None = None
    sheet: SheetFile | None = None

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


_mark = msgspec.json.Decoder(Mark).decode


def sign(mark: Mark, key: Ed25519PrivateKey) -> bytes:
    """The payload of a mark; raises MarkError for one that nobody would take."""
    require_sound(mark)
    payload = seal.seal_mark(msgspec.json.encode(mark), key)
    if len(payload) > MAX_BYTES:
        raise MarkError(f"{len(payload)} bytes are more than the {MAX_BYTES} of a mark; make several")
    if decode(payload) != mark:  # JSON knows no NaN
        raise MarkError("it does not come back as it was said: is every value a number?")
    return payload


def decode(payload: bytes) -> Mark:
    """The mark in a payload, whoever signed it; raises MarkError."""
    if not 1 + seal.SIGNATURE_BYTES < len(payload) <= MAX_BYTES:
        raise MarkError(f"{len(payload)} bytes are too few or too many for a mark")
    try:
        mark = _mark(payload[1 + seal.SIGNATURE_BYTES :])
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
    if mark.kind in PLANT_STATES and (mark.parameter or mark.sensor):
        raise MarkError(f"{mark.kind}: a state is of the plant at the whole point, not of a parameter or a sensor")
    _require_record(mark)


def _require_record(mark: Mark) -> None:
    """Raise MarkError unless a record of commissioning says what its kind says, and nothing else does."""
    for kind, said in ((Kind.SWAP, mark.swap), (Kind.SOUND_CHECK, mark.sound_check), (Kind.SHEET, mark.sheet)):
        if (mark.kind is kind) != (said is not None):
            raise MarkError(f"{kind}: what it says belongs to a mark of that kind, and to no other")
    if mark.kind in (Kind.SWAP, Kind.SOUND_CHECK) and not mark.sensor:
        raise MarkError(f"sensor: a {mark.kind} is of one instrument")


def old_digest(hashes: Iterable[bytes]) -> tuple[int, str]:
    """How many payloads, and the digest of `Old` over their SHA-256 in the order of the journal."""
    sha, count = hashlib.sha256(), 0
    for count, one in enumerate(hashes, 1):  # noqa: B007 - the last one counts
        sha.update(one)
    return count, sha.hexdigest()

"""What a mark is: sealed, decoded, and sound in itself."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.marks import (
    MAX_SPAN_NS,
    Kind,
    Mark,
    MarkError,
    Named,
    Old,
    SheetFile,
    SoundCheck,
    Swap,
    decode,
    old_digest,
    require_signed,
    sign,
)  # fmt: skip
from gateway import seal
from tests.effort import examples

KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"b" * 32)


def mark(**said: Any) -> Mark:
    fields = {
        "plant": "mill", "point": "fence", "from_ns": 100, "to_ns": 200, "kind": Kind.INVALID, "reason": "a crow",
        "author": "li.na", "role": "plant", "made_ns": 300, "old": Old(7, 2, "00" * 32),
    }  # fmt: skip
    return Mark(**{**fields, **said})


@given(
    scale=st.floats(allow_nan=False, allow_infinity=False), offset=st.floats(allow_nan=False, allow_infinity=False),
    reason=st.text(min_size=1, max_size=200).filter(str.strip),
)  # fmt: skip
@settings(max_examples=examples(50))
def test_what_is_signed_comes_back_as_it_was(scale: float, offset: float, reason: str) -> None:
    said = mark(kind=Kind.CORRECTION, parameter="LAeq", scale=scale, offset=offset, reason=reason)
    payload = sign(said, KEY)
    require_signed(payload, KEY.public_key())
    assert decode(payload) == said
    for other in (payload[:-1] + b" ", payload[:70] + b"x" + payload[71:]):
        with pytest.raises(seal.SealError):
            require_signed(other, KEY.public_key())
    with pytest.raises(seal.SealError):
        require_signed(payload, OTHER.public_key())


def test_a_mark_is_no_batch_and_no_acknowledgement() -> None:
    payload = sign(mark(), KEY)
    for verify in (seal.verify, seal.verify_ack):
        with pytest.raises(seal.SealError):
            verify(payload, KEY.public_key())


@given(st.binary(max_size=300))
@settings(max_examples=examples(100))
def test_any_bytes_are_a_mark_or_a_mark_error(body: bytes) -> None:
    with pytest.raises(MarkError):
        decode(bytes(65) + body)


SWAP = Swap(serial="N-2", as_found=93.9, as_left=94.0)
CHECK = SoundCheck(level=94, as_found=94.2, as_left=94, tolerance=0.5, passed=True)
REVOKED = Named(3, "00" * 32)
UNSOUND: list[tuple[dict[str, Any], str]] = [
    ({"reason": " \n"}, "without a reason"),
    ({"to_ns": 100}, "a beginning before its end"),
    ({"to_ns": 100 + MAX_SPAN_NS + 1}, "at most 7 days"),
    ({"scale": 2.0}, "only a correction gives new values"),
    ({"values": ((100, 1.0),)}, "only a correction gives new values"),
    ({"kind": Kind.CORRECTION, "parameter": "pH"}, "either scale and offset, or values"),
    ({"kind": Kind.CORRECTION, "parameter": "pH", "scale": 2.0, "values": ((100, 1.0),)}, "either scale and offset"),
    ({"kind": Kind.CORRECTION, "offset": 2.0}, "of one parameter"),
    ({"kind": Kind.CORRECTION, "parameter": "pH", "values": ((120, 1.0), (110, 1.0))}, "their instants rise"),
    ({"kind": Kind.CORRECTION, "parameter": "pH", "values": ((110, 1.0), (110, 2.0))}, "their instants rise"),
    ({"kind": Kind.CORRECTION, "parameter": "pH", "values": ((200, 1.0),)}, "lie within"),
    ({"kind": Kind.REVOCATION}, "names the mark"),
    ({"revokes": REVOKED}, "names the mark"),
    ({"kind": Kind.SWAP, "sensor": "slm"}, "belongs to a mark of that kind"),
    ({"kind": Kind.SWAP, "swap": SWAP}, "sensor: a swap is of one instrument"),
    ({"swap": SWAP}, "swap: what it says belongs to a mark of that kind"),
    ({"kind": Kind.SOUND_CHECK, "sensor": "slm", "swap": SWAP}, "belongs to a mark of that kind"),
    ({"kind": Kind.SOUND_CHECK, "sound_check": CHECK}, "sensor: a sound_check is of one instrument"),
    ({"kind": Kind.SHEET}, "sheet: what it says belongs to a mark of that kind"),
    ({"kind": Kind.START_UP, "parameter": "NOx"}, "of the plant at the whole point"),
    ({"kind": Kind.STOPPED, "sensor": "slm"}, "of the plant at the whole point"),
    (
        {"kind": Kind.SHEET, "sheet": SheetFile(name="a.pdf", bytes=1, sha256="0" * 64), "scale": 2.0},
        "only a correction gives",
    ),
]


@given(st.floats(), st.floats(), st.none() | st.floats(), st.text(max_size=70))
@settings(max_examples=examples(60))
def test_a_swap_is_signed_and_read_as_it_was_said_or_not_at_all(
    found: float, left: float, true: float | None, serial: str
) -> None:
    swap = Swap(serial=serial, as_found=found, as_left=left, reference=true)
    said = mark(kind=Kind.SWAP, sensor="slm", swap=swap)
    finite = all(math.isfinite(value) and abs(value) <= 1e300 for value in (found, left, true or 0.0))
    if finite and 1 <= len(serial) <= 64:
        assert decode(sign(said, KEY)) == said
    else:
        with pytest.raises(MarkError):
            sign(said, KEY)


@pytest.mark.parametrize(("said", "why"), UNSOUND)
def test_what_contradicts_itself_is_no_mark(said: dict[str, Any], why: str) -> None:
    with pytest.raises(MarkError, match=why):
        sign(mark(**said), KEY)
    with pytest.raises(MarkError, match=why):
        decode(seal.seal_mark(msgspec.json.encode(mark(**said)), KEY))


def test_a_mark_has_a_size() -> None:
    values = tuple((100 + n, n + 0.123456789012345) for n in range(100))
    assert decode(sign(mark(kind=Kind.CORRECTION, parameter="pH", values=values), KEY)).values == values
    with pytest.raises(MarkError, match="too few or too many"):
        decode(bytes(70_000))


def test_the_digest_of_what_was_there_depends_on_its_order() -> None:
    a, b = b"a" * 32, b"b" * 32
    assert old_digest([]) == (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert old_digest([a, b])[0] == 2
    assert old_digest([a, b]) != old_digest([b, a])

"""Checkpoints: read back as signed, refused otherwise."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.proof.checkpoint import Checkpoint, CheckpointError, notes, open_note, origin, sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
NAME = origin("riverside", KEY.public_key())
CHECKPOINT = Checkpoint(NAME, 120, bytes(range(32)), 1_793_500_800_000_000_007, 4711)
NOTE = sign(CHECKPOINT, KEY)


def test_a_note_is_what_people_can_read() -> None:
    lines = NOTE.splitlines()
    assert lines[0] == "emitwatch/3b6a27bcceb6a42d/riverside"
    assert lines[1:4] == [
        "120", base64.b64encode(bytes(range(32))).decode(), "tick 2026-11-01T02:40:00.000000007Z 4711"
    ]  # fmt: skip
    assert lines[4] == ""
    assert lines[5].startswith(f"— {NAME} ")
    assert len(base64.b64decode(lines[5].split()[-1])) == 4 + 64
    assert sign(CHECKPOINT, KEY) == NOTE


def test_it_comes_back_as_it_was() -> None:
    assert open_note(NOTE, NAME, KEY.public_key()) == CHECKPOINT


def test_a_witness_may_sign_beside() -> None:
    assert open_note(NOTE + "— witness.example d2l0bmVzcw==\n", NAME, KEY.public_key()) == CHECKPOINT


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (NOTE.replace("120", "121"), "not signed"),
        (NOTE.replace("4711", "4712"), "not signed"),
        (NOTE.replace("riverside", "harbour"), "not signed"),
        (NOTE.replace("\n\n", "\n"), "not a signed note"),
        (NOTE[:-20], "not a signed note"),
        (NOTE[:-20] + "\n", "not signed"),
        (sign(CHECKPOINT, OTHER), "not signed"),
        ("", "not a signed note"),
        (sign(Checkpoint(NAME, -1, bytes(32), 0, 0), KEY), "no checkpoint"),
        (sign(Checkpoint(NAME, 1, bytes(31), 0, 0), KEY), "no checkpoint"),
    ],
)
def test_anything_else_is_refused(note: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        open_note(note, NAME, KEY.public_key())


def test_notes_stand_one_after_the_other() -> None:
    later = sign(Checkpoint(NAME, 130, bytes(32), 1_793_500_800_000_000_007, 4800), KEY)
    assert notes(f"{NOTE}\n{later}\n") == [NOTE, later]
    assert notes("") == []
    with pytest.raises(CheckpointError, match="no note"):
        notes(f"{NOTE}\nsomething\n")
    with pytest.raises(CheckpointError, match="no note"):
        notes(f"something\n\n{NOTE}")

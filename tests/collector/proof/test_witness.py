"""What a witness answers, and its signature."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import egress
from api.cli import main
from collector.proof.checkpoint import Checkpoint, notes, open_note, origin, sign, whole
from collector.proof.cosignature import WitnessKey, cosign, cosigned, read_key
from collector.proof.tree import Tree, extension, grow, leaf_hash
from collector.proof.witness import Request, judge, read_request
from gateway.identity import public_hex
from tests.collector.proof.kit import House
from tests.collector.proof.witness_kit import served
from tests.effort import examples

KEY, STRANGER = (Ed25519PrivateKey.from_private_bytes(seed * 32) for seed in (b"k", b"s"))
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
COLLECTORS = {public_hex(KEY)[:16]: KEY.public_key()}
NAME = origin("harbour", KEY.public_key())
TREE = Tree(leaf_hash(bytes([number])) for number in range(40))


def checkpoint(size: int, tick_ns: int = 0, root: bytes = b"") -> Checkpoint:
    return Checkpoint(NAME, size, root or TREE.root(size), (tick_ns or size) * 10**9, size, "ab" * 32)


def asked(old: int, size: int, **changes: object) -> Request:
    path = TREE.consistency(old, size) if 0 < old <= size else []
    return replace(Request(old, path, sign(checkpoint(size), KEY)), **changes)  # type: ignore[arg-type]


@given(st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=examples(60))
def test_a_checkpoint_that_continues_is_taken_and_no_other(old: int, size: int) -> None:
    held = checkpoint(old) if old else None
    request = asked(min(old, size), size)
    assert read_request(request.text().encode()) == request
    answer = judge(request, held, COLLECTORS)
    if size >= old:
        assert (answer.status, answer.taken) == (200, checkpoint(size))
    else:
        assert (answer.status, answer.text, answer.taken) == (409, f"{old}\n", None)
    if 0 < old <= size:
        assert request.path == extension(grow(TREE.leaf(n) for n in range(old)), size,
                                         (TREE.leaf(n) for n in range(old, size)))  # fmt: skip


FORGED = checkpoint(9, root=b"?" * 32)
ANSWERS = {
    "another size than the one held": (asked(3, 9), 409, "7\n", False),
    "back to fewer leaves, later": (asked(5, 5, note=sign(checkpoint(5, 99), KEY)), 409, "7\n", True),
    "an old checkpoint once more": (asked(5, 5), 409, "7\n", False),
    "the same size, another root": (asked(7, 7, note=sign(replace(FORGED, size=7), KEY)), 409, "7\n", True),
    "another history": (asked(7, 9, note=sign(FORGED, KEY)), 422, "the 9 leaves do not begin with the 7", True),
    "no proof": (asked(7, 9, path=[]), 422, "the 9 leaves", True),
    "an old size beyond the new one": (asked(10, 9), 400, "old size 10 is more than", False),
    "another's signature": (asked(7, 9, note=sign(checkpoint(9), STRANGER)), 403, "not signed by", False),
    "a stranger's tree": (asked(7, 9, note=sign(replace(FORGED, origin=origin("harbour", STRANGER.public_key())),
                                                STRANGER)), 404, "'emitwatch/", False),
    "a name that leads out": (asked(7, 9, note=sign(replace(FORGED, origin=f"{NAME}/../x"), KEY)), 404, "'em", False),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_what_is_refused_and_what_is_kept_as_evidence(case: str) -> None:
    request, status, text, evidence = ANSWERS[case]
    answer = judge(request, checkpoint(7), COLLECTORS)
    assert (answer.status, answer.taken, answer.evidence) == (status, None, evidence)
    assert answer.text.startswith(text)


@given(st.one_of(st.binary(max_size=300), st.text(alphabet="old 123\nA=/—", max_size=80).map(str.encode)))
@settings(max_examples=examples(100))
def test_any_bytes_are_a_request_or_a_value_error(body: bytes) -> None:
    try:
        request = read_request(body)
    except ValueError:
        return
    assert judge(request, None, COLLECTORS).status in (400, 403, 404)


def test_a_signature_is_the_witnesss_and_of_this_text() -> None:
    key = WitnessKey("witness.example", WITNESS.public_key())
    assert read_key(str(key)) == key
    text = checkpoint(7).text()
    line = cosign(text, key.name, WITNESS, 1_795_183_200)
    assert cosigned(text, f"— other AAAA\n{line}", key) == 1_795_183_200
    assert cosigned(checkpoint(8).text(), line, key) is None
    assert cosigned(text, cosign(text, key.name, STRANGER, 5), key) is None
    note = sign(checkpoint(7), KEY) + line
    assert open_note(note, NAME, KEY.public_key()) == checkpoint(7)
    assert notes(whole(f"{note}\n{note[:-20]}")) == [note]
    for text in ("", "witness", "a+b+c", str(key)[:-4], str(key).replace("witness.", "witless."), f"x{key}"):
        with pytest.raises(ValueError, match=r"verifier key|damaged"):
            read_key(text)


def test_the_server_takes_no_more_than_it_must(tmp_path: Path) -> None:
    with served(tmp_path / "w", House(tmp_path, hours=1)) as server:
        address = ("127.0.0.1", server.server_address[1])
        url = f"http://127.0.0.1:{address[1]}"
        for path, body, status in (
            ("", b"x", 404),
            ("/add-checkpoint", b"x" * 20000, 413),
            ("/add-checkpoint", b"x", 400),
        ):
            assert egress.ask(url + path, body, {}, allow_private=True)[0] == status
        for said in (
            b"\x16\x03\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        ):
            with socket.create_connection(address) as connection:
                connection.sendall(said)
        assert egress.ask(f"{url}/add-checkpoint", b"x", {}, allow_private=True)[0] == 400
    assert [path.name for path in (tmp_path / "w").iterdir()] == ["key"]


def test_the_command_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["witness", str(tmp_path / "w"), "--collector", public_hex(KEY)]
    assert main([*words, "--listen", "nowhere"]) == 2
    assert main([*words, "--cert", str(tmp_path / "no.pem")]) == 2
    assert main([*words[:3], "ab"]) == 2
    assert "64 hex digits" in capsys.readouterr().err
    (tmp_path / "w").mkdir(exist_ok=True)
    (tmp_path / "w" / "0123-harbour.txt").write_text("no note" * 1000)
    assert main([*words, "--listen", "127.0.0.1:0"]) == 2

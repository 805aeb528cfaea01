"""What a witness is asked, and what it answers: nothing but whether a tree still begins with what it has seen.

A request is a text: the size of the tree that the witness has, the hashes that show that the new tree
begins with it, an empty line, and the checkpoint. Rules of this file:

- a witness signs a checkpoint only where it continues the one it holds; it never goes back;
- what it holds goes to the disk before the answer goes out;
- a note that the collector has signed and that cannot be true beside the one held is kept: it is the proof.

    200  cosigned                           403  not signed by a collector that it knows
    400  not a request                      409  it holds another size (the answer says which), or another root
    404  it does not know the tree's name   422  the hashes do not show that the tree continues

Pure: requests and what is held in, answers out. Source: C2SP tlog-witness, add-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.proof.checkpoint import Checkpoint, CheckpointError, open_note
from collector.proof.tree import HASH_BYTES, verify_consistency

CALL = "add-checkpoint"
REQUEST_MAX = 16384  # bytes: 63 hashes and a note of a few lines need 4 kB
SIZE_TYPE = "text/x.tlog.size"
_HASHES_MAX = 63
_OLD = re.compile(r"old (0|[1-9]\d{0,18})")
_ORIGIN = re.compile(r"emitwatch/([0-9a-f]{16})/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint on its way to a witness. old: what the sender believes the witness has. path: hashes from there."""

    old: int
    path: Sequence[bytes]
    note: str

    def text(self) -> str:
        """As it is sent."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.path)
        return f"old {self.old}\n{hashes}\n{self.note}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness says to a request.

    status: of HTTP. text: a sentence, or the size held. taken: the checkpoint that it is to keep and sign; None = none.
    evidence: whether the note proves that the collector has signed two histories.
    """

    status: int
    text: str
    taken: Checkpoint | None = None
    evidence: bool = False
    type: str = "text/plain"


def read_request(body: bytes) -> Request:
    """The request in a body; ValueError says why it is none."""
    head, _, note = body.decode("utf-8").partition("\n\n")
    first, *lines = head.split("\n")
    found = _OLD.fullmatch(first)
    if not found or len(lines) > _HASHES_MAX or not note:
        raise ValueError("it begins with `old SIZE`, at most 63 hashes and an empty line, then the checkpoint")
    try:
        path = [base64.b64decode(line, validate=True) for line in lines]
    except binascii.Error as error:
        raise ValueError("a hash is not base64") from error
    if any(len(one) != HASH_BYTES for one in path):
        raise ValueError("a hash has 32 bytes")
    return Request(int(found[1]), path, note)


def origin_of(note: str) -> str:
    """The first line of a note: whose tree it is."""
    return note.partition("\n")[0]


def judge(request: Request, held: Checkpoint | None, collectors: Mapping[str, Ed25519PublicKey]) -> Answer:
    """What a witness answers. held: the newest that it has of this tree. collectors: keys, by their first 16 digits."""
    name = origin_of(request.note)
    found = _ORIGIN.fullmatch(name)
    key = collectors.get(found[1]) if found else None
    if key is None:
        return Answer(404, f"{name[:100]!r} is not the tree of a collector known here\n")
    try:
        new = open_note(request.note, name, key)
    except CheckpointError as error:
        return Answer(403, f"{error}\n")
    if request.old > new.size:
        return Answer(400, f"old size {request.old} is more than the {new.size} leaves of the checkpoint\n")
    return _compare(request, held, new)


def _compare(request: Request, held: Checkpoint | None, new: Checkpoint) -> Answer:
    size = held.size if held else 0
    if held and new.size == size and new.root != held.root:
        return Answer(409, f"{size}\n", evidence=True, type=SIZE_TYPE)
    if request.old != size:
        rewound = held is not None and new.size < size and new.tick_ns > held.tick_ns
        return Answer(409, f"{size}\n", evidence=rewound, type=SIZE_TYPE)
    if held is None or not size:
        good = not request.path
    else:
        good = verify_consistency(size, new.size, held.root, new.root, request.path)
    if not good:
        # A wrong proof alone is no evidence: whoever holds a note could send one along. The note is kept all the same.
        return Answer(422, f"the {new.size} leaves do not begin with the {size} seen before\n", evidence=True)
    return Answer(200, "", taken=new)

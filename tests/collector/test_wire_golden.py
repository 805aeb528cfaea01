"""Bytes of every released version are read for ever as they were meant: they lie in outboxes and journals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.intake.gate import Gate, Trusted
from collector.store import EntryKind
from gateway import seal, wire
from tests.collector.batches import FakeGateway
from tests.golden.wire import make

FOLDERS = sorted(make.HERE.glob("v*"))
BATCHES = [path for folder in FOLDERS for path in sorted(folder.glob("*.bin")) if path.stem != "ack"]


def expected(path: Path) -> object:
    return json.loads((path.parent / "expected.json").read_text())[path.stem]


def test_this_version_and_the_one_before_have_a_corpus() -> None:
    """A new version is released with its own, and goes on reading the last one."""
    wanted = {f"v{version}" for version in (wire.VERSION, wire.VERSION - 1) if version > 0}
    assert wanted <= {folder.name for folder in FOLDERS}
    kinds = {
        json.loads((f / "expected.json").read_text())[n]["header"]["kind"] for f in FOLDERS for n in ("hello", "gap")
    }
    assert kinds == {"hello", "gap"}


@pytest.mark.parametrize("path", BATCHES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_batch_is_read_as_it_was_meant(path: Path) -> None:
    payload = path.read_bytes()
    batch = wire.decode(seal.verify(payload, make.KEY.public_key()))
    assert make.told(batch) == expected(path)
    gate = Gate({"riverside-gw": Trusted("riverside", make.KEY.public_key())})
    examined = gate.examine("riverside-gw", payload, received_ns=make.START_NS, now_ns=0)
    assert not examined.fault
    assert examined.entry is not None
    assert (examined.entry.kind, examined.entry.payload) == (EntryKind.BATCH, payload)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_corpus_is_one_chain_and_its_acknowledgement_is_read(folder: Path) -> None:
    payloads = [path.read_bytes() for path in folder.glob("*.bin") if path.stem != "ack"]
    headers = {
        wire.decode(payload[65:]).header.seq: (wire.decode(payload[65:]).header, payload) for payload in payloads
    }
    for seq in range(2, len(payloads) + 1):
        assert headers[seq][0].prev == seal.digest(headers[seq - 1][1])
    ack = folder / "ack.bin"
    assert make.plain(wire.decode_ack(seal.verify_ack(ack.read_bytes(), make.KEY.public_key()))) == {
        "keys": [],
        "bundle": 0,
    } | expected(ack)


@pytest.mark.parametrize("path", BATCHES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_version_of_later_is_kept_under_its_number(path: Path) -> None:
    body = path.read_bytes()[65:]
    later = bytes([wire.VERSION + 1])
    payload = later + make.KEY.sign(b"em/batch" + later + body) + body
    gate = Gate({"riverside-gw": Trusted("riverside", make.KEY.public_key())})
    entry = gate.examine("riverside-gw", payload, received_ns=make.START_NS, now_ns=0).entry
    assert entry is not None
    assert (entry.kind, entry.seq) == (EntryKind.QUARANTINE, wire.decode(body).header.seq)


def test_after_an_update_old_and_new_batches_of_a_stream_are_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an outbox holds from before the update goes out as it was sealed, beside what is sealed after it."""
    gateway = FakeGateway(key=make.KEY)
    old = [gateway.sealed() for _ in range(3)]
    monkeypatch.setattr(wire, "VERSION", 2)
    new = [gateway.sealed() for _ in range(3)]
    assert [payload[0] for payload in old + new] == [1, 1, 1, 2, 2, 2]
    assert kinds(old + new) == [EntryKind.BATCH] * 3 + [EntryKind.QUARANTINE] * 3, "a collector that is older"
    monkeypatch.setattr(wire, "READS", (1, 2))
    assert kinds(old + new) == [EntryKind.BATCH] * 6, "a collector that was updated too"
    monkeypatch.setattr(wire, "READS", (2, 3))
    assert kinds(old + new) == [EntryKind.QUARANTINE] * 3 + [EntryKind.BATCH] * 3, "one that is two versions on"


def kinds(payloads: list[bytes]) -> list[EntryKind]:
    gate = Gate({"riverside-gw": Trusted("riverside", make.KEY.public_key())})
    found = [gate.examine("riverside-gw", p, received_ns=make.START_NS, now_ns=0).entry for p in payloads]
    assert [entry and entry.seq for entry in found] == [1, 2, 3, 4, 5, 6]
    return [entry.kind for entry in found if entry]

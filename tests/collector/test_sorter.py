"""What becomes of an examined message, whatever comes in whatever order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.events import Event, event
from collector.intake.gate import Gate, Trusted
from collector.intake.inbox import Inbox, Ranges, Stream
from collector.intake.sorter import Sorter
from collector.store import Entry, EntryKind
from gateway import seal
from tests.collector.batches import START_NS, FakeGateway
from tests.effort import examples

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@dataclass
class Desk:
    """A sorter with gate, inbox and a journal in memory."""

    entries: list[Entry] = field(default_factory=list)
    held: dict[Stream, Ranges] = field(default_factory=dict)
    now_ns: int = 0
    sorter: Sorter = field(init=False)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate({"riverside-gw": Trusted("riverside", KEY.public_key())})
        self.inbox = Inbox(self.held, ["riverside-gw"])
        self.sorter = Sorter(self.inbox, self, ["riverside-gw"])
        self.sorter.remember(entry for entry in self.entries if entry.kind is EntryKind.EVENT)
        self.waiting: list[Entry] = []

    def take(self, *payloads: bytes) -> list[Entry]:
        """Sort payloads; what they add waits for `commit`."""
        added = []
        for payload in payloads:
            examined = self.gate.examine("riverside-gw", payload, received_ns=START_NS, now_ns=self.now_ns)
            added += self.sorter.take(examined, self.now_ns)
        self.waiting += added
        return added

    def events(self, *payloads: bytes) -> list[Event]:
        """The events that payloads make; everything is committed."""
        added = self.take(*payloads)
        self.commit()
        return [event(entry) for entry in added if entry.kind is EntryKind.EVENT]

    def commit(self) -> None:
        self.entries += self.waiting
        self.waiting = []
        self.held.update(self.inbox.proposed())
        self.inbox.committed(self.now_ns)

    def restarted(self) -> Desk:
        """The collector after a crash: what was not committed is gone."""
        return Desk(self.entries, self.held)

    def hashes(self, stream: Stream, seq: int) -> Collection[bytes]:
        return {seal.digest(payload) for payload in self.payloads(stream, seq)}

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        return [e.payload for e in self.entries if ((e.gateway, e.epoch), e.seq) == (stream, seq) and seq]


def gateway(epoch: int = 1, **fields: object) -> FakeGateway:
    return replace(FakeGateway(key=KEY, epoch=epoch.to_bytes(8, "big") + b"randomly"), **fields)


# --- gaps and conflicts ---------------------------------------------------------------------------


@settings(max_examples=examples(100))
@given(st.data())
def test_whatever_is_lost_by_declaration_is_counted_and_all_else_is_kept(data: st.DataObject) -> None:
    sender = gateway()
    payloads = {seq: sender.sealed() for seq in range(1, 13)}
    gaps = [
        (first, sender.gap(first, last, n=10 * (last - first + 1)))
        for first, last in data.draw(st.lists(st.tuples(st.integers(2, 12), st.integers(2, 12)), max_size=3))
        if first <= last
    ]
    arriving = data.draw(st.permutations([*payloads.values(), *(payload for _, payload in gaps)]))
    arriving = arriving[: data.draw(st.integers(0, len(arriving)))]
    desk = Desk()
    for payload in arriving:
        desk.take(payload)
        if data.draw(st.booleans()):
            desk.commit()
        if data.draw(st.integers(0, 9)) == 0:
            desk.commit()
            desk = desk.restarted()
    desk.commit()
    batches = [entry for entry in desk.entries if entry.kind is EntryKind.BATCH]
    assert sorted(entry.payload for entry in batches) == sorted(set(arriving)), "kept once, whatever was given up"
    declared = [event(entry).detail for entry in desk.entries if entry.kind is EntryKind.EVENT]
    covered = {seq for told in declared for seq in range(told["from_seq"], told["to_seq"] + 1)}
    assert len(declared) == sum(payload in arriving for _, payload in gaps)
    held = desk.held.get(("riverside-gw", sender.epoch), Ranges())
    assert {seq for seq in range(1, 20) if seq in held} == covered | {entry.seq for entry in batches}
    gaps_told = desk.sorter.gaps.get("riverside-gw")
    assert (gaps_told.measurements if gaps_told else 0) == sum(told["n"] for told in declared)


def test_a_gap_may_be_of_an_epoch_nobody_saw() -> None:
    desk, later = Desk(), gateway(2)
    unseen = gateway(1).epoch
    (told,) = desk.events(later.sealed(), later.gap(1, 500, ep=unseen, n=7))
    assert (told.what, told.security) == ("gap", False)
    assert (told.detail["missing"], told.detail["epoch"], told.detail["told_in"]) == (500, unseen.hex(), 2)
    assert "give up 7 measurements, batches 1 to 500: its outbox was full" in told.text
    assert desk.held["riverside-gw", unseen] == Ranges(500)


def test_a_gap_that_cannot_be_read_is_poison_and_blocks_nothing() -> None:
    desk, sender = Desk(), gateway()
    added = desk.take(sender.sealed(), sender.gap(5, 4), sender.sealed())
    assert [(entry.kind, entry.seq) for entry in added][:2] == [(EntryKind.BATCH, 1), (EntryKind.QUARANTINE, 2)]
    desk.commit()
    assert desk.held["riverside-gw", sender.epoch] == Ranges(3)

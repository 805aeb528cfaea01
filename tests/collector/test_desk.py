"""The desk, run with a journal and clocks of the test's own: nothing is acknowledged that is not held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.desk import TICK_NS, Desk
from collector.intake.events import event
from collector.intake.gate import Gate, Trusted
from collector.intake.inbox import ACK_DELAY_NS, BEACON_NS, CREDIT, Ranges, Stream
from collector.store import Entry, EntryKind
from gateway import seal, wire
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS, FakeGateway
from tests.effort import examples

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
GATEWAY = FakeGateway(key=KEY)
PAYLOADS = [GATEWAY.sealed() for _ in range(12)]


class FullError(Exception):
    """The ledger of these tests takes nothing."""


@dataclass
class MemoryLedger:
    """A journal in memory. full: it refuses."""

    starts: int = 1
    generation: tuple[int, bytes] = (1, bytes(8))
    full: bool = False
    entries: list[Entry] = field(default_factory=list)
    held: dict[Stream, Ranges] = field(default_factory=dict)

    @property
    def received_ns(self) -> int:
        return self.entries[-1].received_ns if self.entries else 0

    def streams(self) -> dict[Stream, Ranges]:
        return dict(self.held)

    def events(self, after: int, limit: int) -> list[Entry]:
        return [e for e in self.entries if e.kind is EntryKind.EVENT and e.position > after][:limit]

    def append(self, entries: Sequence[Entry], streams: Mapping[Stream, Ranges]) -> int:
        if self.full:
            raise FullError
        self.entries += [msgspec.structs.replace(e, position=p) for p, e in enumerate(entries, len(self.entries) + 1)]
        self.held.update(streams)
        return len(self.entries)

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        return [e.payload for e in self.entries if seq and ((e.gateway, e.epoch), e.seq) == (stream, seq)]

    def hashes(self, stream: Stream, seq: int) -> set[bytes]:
        return {seal.digest(payload) for payload in self.payloads(stream, seq)}


@dataclass
class Office:
    """A desk, what it is asked, and what comes of it."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now_ns: int = 10**9
    acks: list[wire.Ack] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate({GATEWAY.id: Trusted("riverside", KEY.public_key())})
        self.desk = Desk(self.ledger, KEY, [GATEWAY.id])

    def take(self, *payloads: bytes) -> list[Entry]:
        examined = [self.gate.examine(GATEWAY.id, p, received_ns=START_NS, now_ns=self.now_ns) for p in payloads]
        return [entry for one in examined for entry in self.desk.take(one, self.now_ns)]

    def turn(self, passes_ns: int = 0) -> list[wire.Ack]:
        """Commit what was taken, and send what is due."""
        self.now_ns += passes_ns
        self.desk.tick(self.now_ns, START_NS + self.now_ns)
        try:
            self.desk.commit(self.now_ns)
        except FullError:
            self.desk.stall()
        sent = self.desk.acknowledgements(self.now_ns, START_NS + self.now_ns)
        assert {topic for topic, _ in sent} <= {wire.down_topic(GATEWAY.id)}
        found = [wire.decode_ack(seal.verify_ack(payload, KEY.public_key())) for _, payload in sent]
        for ack in found:
            named = {(ack.gw, e.ep): Ranges(e.upto, e.have) for e in ack.epochs}
            assert named == self.ledger.held, "it names what is committed, and all of that"
            assert ack.win == (0 if self.ledger.full else CREDIT)
        self.acks += found
        return found


STEPS = st.lists(
    st.one_of(
        st.integers(0, len(PAYLOADS) - 1),
        st.sampled_from(["full", "room", "turn", "wait", "restart", "connect"]),
    ),
    max_size=40,
)


@settings(max_examples=examples(60))
@given(STEPS)
def test_whatever_happens_acknowledgements_name_what_is_held_and_their_numbers_rise(steps: list[int | str]) -> None:
    office, acks = Office(), []
    for step in steps:
        if isinstance(step, int):
            office.take(PAYLOADS[step])
        elif step in ("full", "room"):
            office.ledger.full = step == "full"
        elif step == "connect":
            office.desk.hurry_all()
        elif step == "restart":
            acks += office.acks
            office = Office(replace(office.ledger, starts=office.ledger.starts + 1))
        else:
            office.turn(10**10 if step == "wait" else 0)
    office.ledger.full = False
    office.take(*PAYLOADS)
    office.turn()
    acks += office.acks
    batches = [entry.seq for entry in office.ledger.entries if entry.kind is EntryKind.BATCH]
    assert sorted(batches) == list(range(1, len(PAYLOADS) + 1)), "each once"
    assert acks[-1].epochs == (wire.EpochAck(GATEWAY.epoch, len(PAYLOADS)),)
    assert [ack.n for ack in acks] == sorted({ack.n for ack in acks})


def test_what_is_taken_waits_for_the_commit() -> None:
    office = Office()
    office.turn()
    added = office.take(PAYLOADS[0], PAYLOADS[1])
    assert [entry.seq for entry in added] == [1, 2]
    assert [ack.epochs for ack in office.acks] == [()]
    assert office.turn()[0].epochs == (wire.EpochAck(GATEWAY.epoch, 2),)


def test_what_is_filed_gets_its_position_when_it_is_committed() -> None:
    ledger, filed = MemoryLedger(full=True), list[int]()
    desk = Desk(ledger, KEY, [GATEWAY.id])
    desk.tick(0, START_NS)
    for payload in (b"one", b"two"):
        desk.file(Entry(0, START_NS, EntryKind.MARK, payload=payload), filed.append)
    with pytest.raises(FullError):
        desk.commit(0)
    assert filed == []
    ledger.full = False
    desk.commit(1)
    desk.tick(TICK_NS, START_NS)
    desk.commit(2)
    assert [ledger.entries[position - 1].payload for position in filed] == [b"one", b"two"]


def test_a_group_that_is_refused_is_committed_later_and_gateways_stop_meanwhile() -> None:
    office = Office()
    office.turn()
    office.ledger.full = True
    office.take(*PAYLOADS[:3])
    assert [ack.win for ack in office.turn()] == [0]
    assert office.turn() == [], "said once"
    assert [ack.win for ack in office.turn(BEACON_NS)] == [0], "and again as a beacon"
    office.ledger.full = False
    assert [(ack.win, ack.epochs[0].upto) for ack in office.turn()] == [(CREDIT, 3)]


def test_a_tick_is_added_every_five_seconds() -> None:
    office = Office()
    for _ in range(10):
        office.turn(TICK_NS // 2)
    ticks = [entry.received_ns for entry in office.ledger.entries if entry.kind is EntryKind.TICK]
    assert [b - a for a, b in pairwise(ticks)] == [TICK_NS] * 4


def test_a_clock_that_was_set_back_is_told_and_ticks_go_on() -> None:
    office = Office()
    office.turn()
    office.now_ns += TICK_NS
    office.desk.tick(office.now_ns, START_NS - 3600 * SECOND_NS)
    office.turn()
    told, tick = office.ledger.entries[-2:]
    assert (event(told).what, event(told).security, event(told).detail["by_ms"]) == ("clock_back", False, -3_606_000)
    assert tick.received_ns == told.received_ns == START_NS + SECOND_NS + TICK_NS // 2


def test_it_says_when_it_wants_to_be_asked_again() -> None:
    office = Office()
    office.turn()
    assert office.desk.next_ns() == office.now_ns + TICK_NS
    office.take(PAYLOADS[0])
    office.turn()
    office.take(PAYLOADS[1])
    office.desk.commit(office.now_ns)
    assert office.desk.next_ns() == office.now_ns + ACK_DELAY_NS


def test_an_error_of_the_ledger_reaches_whoever_runs_it() -> None:
    office = Office(MemoryLedger(full=True))
    office.take(PAYLOADS[0])
    with pytest.raises(FullError):
        office.desk.commit(0)

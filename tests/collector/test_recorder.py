"""The recorder: nothing is acknowledged before it is committed, whatever arrives."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.intake import desk as desk_module
from collector.intake import recorder as recorder_module
from collector.intake.disk import Space
from collector.intake.events import event
from collector.intake.gate import Gate, Trusted
from collector.intake.inbox import CREDIT, Ranges, Stream
from collector.intake.journal import Journal, JournalError
from collector.intake.recorder import GROUP_BATCHES, Deliveries, Delivery, Recorder, Signal
from collector.store import Entry, EntryKind
from gateway import seal, wire
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS, FakeGateway

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


class Broker:
    """Takes PUBACKs and acknowledgements, and looks into the journal at that moment."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.pubacks: list[int] = []
        self.acks: list[wire.Ack] = []
        self.early: list[str] = []

    def puback(self, delivery: Delivery) -> None:
        entry = delivery.examined[0].entry
        if entry and entry.seq and not self.journal.hashes((entry.gateway, entry.epoch), entry.seq):
            self.early.append(f"PUBACK of {entry.seq}")
        self.pubacks.append(delivery.mid)

    def publish(self, topic: str, payload: bytes) -> None:
        ack = wire.decode_ack(seal.verify_ack(payload, KEY.public_key()))
        assert topic == wire.down_topic(ack.gw)
        held = self.journal.streams()
        for epoch in ack.epochs:
            if Ranges(epoch.upto, epoch.have) != held.get((ack.gw, epoch.ep)):
                self.early.append(f"acknowledgement of {epoch}")
        self.acks.append(ack)


class Bench:
    """A recorder on a journal, fed by hand."""

    def __init__(self, journal: Journal, space: Callable[[], Space] | None = None) -> None:
        self.journal = journal
        self.gateway = FakeGateway()
        self.gate = Gate({self.gateway.id: Trusted("riverside", self.gateway.key.public_key())})
        self.broker = Broker(journal)
        self.deliveries: Deliveries = queue.Queue(1000)
        self.recorder = Recorder(
            journal=journal, deliveries=self.deliveries, link=self.broker, key=KEY, gateways=[self.gateway.id],
            space=space,
        )  # fmt: skip
        self.mid = 0

    def deliver(self, *payloads: bytes, topic: str = "") -> None:
        for payload in payloads:
            self.mid += 1
            examined = self.gate.examine(topic or self.gateway.id, payload, received_ns=START_NS, now_ns=0)
            self.deliveries.put(Delivery((examined,), 1, self.mid))

    def run(self) -> None:
        """Let the recorder take everything that waits, and end it."""
        self.recorder.start()
        self.recorder.stop()
        assert not self.recorder.failed
        assert not self.broker.early
        assert self.broker.pubacks == list(range(1, self.mid + 1))

    def kinds(self) -> list[tuple[EntryKind, int]]:
        return [(e.kind, e.seq) for e in self.journal.read(0, 10_000) if e.kind is not EntryKind.TICK]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    journal = Journal(tmp_path)
    yield Bench(journal)
    journal.close()


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.005)


def test_batches_are_journalled_then_acknowledged(bench: Bench) -> None:
    payloads = [bench.gateway.sealed() for _ in range(GROUP_BATCHES + 50)]
    bench.deliver(*payloads)
    bench.run()
    batches = [entry for entry in bench.journal.read(0, 1000) if entry.kind is EntryKind.BATCH]
    assert [entry.payload for entry in batches] == payloads
    ack = bench.broker.acks[-1]
    assert ack.epochs == (wire.EpochAck(bench.gateway.epoch, len(payloads)),)
    assert (ack.win, ack.gen) == (CREDIT, bench.journal.generation)
    assert abs(ack.now - time.time_ns()) < 60 * SECOND_NS
    numbers = [ack.n for ack in bench.broker.acks]
    assert numbers == sorted(set(numbers))
    assert bench.recorder.counts[bench.gateway.id].fresh == len(payloads)


def test_acknowledgements_of_a_restart_are_above_all_earlier_ones(bench: Bench, tmp_path: Path) -> None:
    bench.deliver(bench.gateway.sealed())
    bench.run()
    bench.journal.close()
    again = Bench(Journal(tmp_path))
    again.gateway = bench.gateway
    again.run()
    assert again.broker.acks[0].n > bench.broker.acks[-1].n
    assert again.broker.acks[0].epochs == bench.broker.acks[-1].epochs
    again.journal.close()


def test_what_comes_again_is_dropped_and_acknowledged_at_once(bench: Bench) -> None:
    hello, second = bench.gateway.sealed(), bench.gateway.sealed()
    bench.deliver(hello, second, hello)
    bench.recorder.start()
    # The acknowledgement follows the PUBACKs.
    eventually(lambda: len(bench.broker.pubacks) == 3 and any(ack.epochs for ack in bench.broker.acks))
    acks = len(bench.broker.acks)
    bench.deliver(second)
    eventually(lambda: len(bench.broker.acks) > acks)  # and not with the next beacon alone, half a minute later
    bench.recorder.stop()
    assert bench.kinds() == [(EntryKind.BATCH, 1), (EntryKind.BATCH, 2)]
    assert bench.recorder.counts[bench.gateway.id].duplicate == 2


def test_a_number_that_comes_with_other_content_keeps_both(bench: Bench) -> None:
    hello, first = bench.gateway.sealed(), bench.gateway.sealed()
    bench.gateway.seq = 1
    twin = bench.gateway.sealed(wall_ns=5)
    bench.deliver(hello, first, twin, twin)
    bench.run()
    assert bench.kinds() == [(EntryKind.BATCH, 1), (EntryKind.BATCH, 2), (EntryKind.CONFLICT, 2), (EntryKind.EVENT, 0)]
    assert [event(entry).what for entry in bench.journal.events(0, 10)] == ["conflict"]
    counts = bench.recorder.counts[bench.gateway.id]
    assert (counts.fresh, counts.conflict, counts.duplicate) == (2, 1, 1)
    assert bench.broker.acks[-1].epochs[0].upto == 2


def test_poison_is_kept_and_acknowledged_and_blocks_nothing(bench: Bench) -> None:
    hello, good = bench.gateway.sealed(), bench.gateway.sealed()
    bench.gateway.plant = "harbour"
    poison = bench.gateway.sealed()
    bench.gateway.plant = "riverside"
    bench.deliver(hello, good, poison, bench.gateway.sealed())
    bench.run()
    assert bench.kinds()[2] == (EntryKind.QUARANTINE, 3)
    assert bench.broker.acks[-1].epochs[0].upto == 4


def test_a_log_that_cannot_be_written_is_not_held_against_a_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(entries: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder_module, "_tell", full)
    bench.deliver(bench.gateway.sealed())
    bench.recorder.start()
    bench.recorder.stop()
    assert "No space left on device" in bench.recorder.failed
    assert bench.journal.attempts == {}


def test_a_bad_signature_is_kept_but_never_acknowledged(bench: Bench) -> None:
    forged = FakeGateway(key=Ed25519PrivateKey.generate()).sealed()
    bench.deliver(forged)
    bench.deliver(forged, topic="nobody")
    bench.run()
    assert bench.kinds() == [(EntryKind.QUARANTINE, 0), (EntryKind.EVENT, 0)] * 2
    assert [event(entry).what for entry in bench.journal.events(0, 10)] == ["bad_signature", "stranger"]
    assert all(ack.epochs == () for ack in bench.broker.acks)
    assert {ack.gw for ack in bench.broker.acks} == {bench.gateway.id}
    assert (bench.recorder.counts[bench.gateway.id].quarantined, bench.recorder.strangers.quarantined) == (1, 1)


def test_holes_are_told_as_ranges_and_filled(bench: Bench) -> None:
    first, second, third, fourth = (bench.gateway.sealed() for _ in range(4))
    bench.deliver(first, third)
    bench.recorder.start()
    hole = (wire.EpochAck(bench.gateway.epoch, 1, ((3, 3),)),)
    eventually(lambda: any(ack.epochs == hole for ack in bench.broker.acks))
    assert bench.broker.acks[-1].epochs == hole
    bench.deliver(second, fourth)
    eventually(lambda: bench.broker.acks[-1].epochs == (wire.EpochAck(bench.gateway.epoch, 4),))
    bench.recorder.stop()


def test_declared_gaps_are_acknowledged_and_told_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    hello, *lost = (bench.gateway.sealed() for _ in range(4))
    bench.deliver(hello, lost[2], bench.gateway.gap(2, 4, n=1200))
    bench.run()
    assert bench.broker.acks[-1].epochs == (wire.EpochAck(bench.gateway.epoch, 5),)
    bench.journal.close()
    again = Bench(Journal(tmp_path))
    told = again.recorder.gaps[bench.gateway.id]
    assert (told.records, told.batches, told.measurements) == (1, 2, 1200)
    assert (told.first_ns, told.last_ns, told.reasons) == (START_NS, START_NS + SECOND_NS, {"outbox_full": 1})
    again.gateway, again.gate = bench.gateway, bench.gate
    again.deliver(lost[0])
    again.run()
    assert (EntryKind.BATCH, 2) in again.kinds(), "what was given up and comes after all is kept"
    again.journal.close()


def test_time_is_journalled_while_nothing_comes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "TICK_NS", 20_000_000)
    began_ns = time.monotonic_ns()
    bench.recorder.start()
    eventually(lambda: bench.journal.last >= 4)
    bench.recorder.stop()
    passed_ns = time.monotonic_ns() - began_ns
    ticks = bench.journal.read(0, 10_000)
    assert {entry.kind for entry in ticks} == {EntryKind.TICK}
    assert (len(ticks) - 1) * 20_000_000 <= passed_ns, "not more often"
    assert all(a.received_ns < b.received_ns for a, b in pairwise(ticks))


def test_a_new_connection_is_greeted(bench: Bench) -> None:
    bench.recorder.start()
    eventually(lambda: len(bench.broker.acks) == 1)
    bench.deliveries.put(Signal.CONNECTED)
    eventually(lambda: len(bench.broker.acks) == 2)
    bench.recorder.stop()
    assert bench.broker.acks[0].n < bench.broker.acks[1].n


class BadDisk(Journal):
    """A journal whose disk refuses until it is told otherwise."""

    def __init__(self, folder: Path, error: JournalError) -> None:
        super().__init__(folder)
        self.error = error
        self.refused = threading.Event()
        self.healthy = threading.Event()

    def append(self, entries: Sequence[Entry], streams: dict[Stream, Ranges] | None = None) -> int:  # type: ignore[override]
        if any(entry.kind is EntryKind.BATCH for entry in entries) and not self.healthy.is_set():
            self.refused.set()
            raise self.error
        return super().append(entries, streams)


def test_a_full_disk_stops_the_gateways_and_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.02)
    disk = BadDisk(tmp_path, JournalError("no room", full=True))
    bench = Bench(disk)
    bench.deliver(*(bench.gateway.sealed() for _ in range(3)))
    bench.recorder.start()
    eventually(disk.refused.is_set)
    eventually(lambda: bench.broker.acks[-1:] != [] and bench.broker.acks[-1].win == 0)
    assert bench.recorder.trouble == "no room"
    assert bench.broker.pubacks == []
    disk.healthy.set()
    eventually(lambda: bench.broker.acks[-1].win > 0)
    bench.recorder.stop()
    assert bench.broker.acks[-1].epochs[0].upto == 3
    assert bench.broker.pubacks == [1, 2, 3]
    assert not bench.recorder.trouble
    assert not bench.broker.early
    disk.close()


def test_a_disk_nearly_full_stops_the_gateways_while_there_is_room_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.02)
    monkeypatch.setattr(recorder_module, "LOOK_NS", 0)
    free = [4]
    bench = Bench(Journal(tmp_path), lambda: Space(100, free[0]))
    bench.deliver(bench.gateway.sealed(), bench.gateway.sealed())
    bench.recorder.start()
    eventually(lambda: bench.broker.acks[-1:] != [] and bench.broker.acks[-1].win == 0)
    assert "4.0% of its space left" in bench.recorder.trouble
    free[0] = 5
    time.sleep(0.1)
    assert bench.recorder.trouble, "not yet: it would flutter"
    assert bench.broker.pubacks == []
    free[0] = 7
    eventually(lambda: bench.broker.acks[-1].win > 0 and bench.broker.pubacks == [1, 2])
    bench.recorder.stop()
    assert bench.broker.acks[-1].epochs[0].upto == 2
    assert not bench.recorder.trouble
    bench.journal.close()


def test_a_collector_stopped_with_a_full_disk_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.02)
    disk = BadDisk(tmp_path, JournalError("no room", full=True))
    bench = Bench(disk)
    bench.deliver(*(bench.gateway.sealed() for _ in range(3)))
    bench.recorder.start()
    eventually(disk.refused.is_set)
    bench.deliver(bench.gateway.sealed())
    bench.recorder.stop()
    assert bench.broker.pubacks == []
    assert all(ack.epochs == () for ack in bench.broker.acks)
    assert disk.streams() == {}
    disk.close()


def test_a_disk_that_fails_ends_the_recorder_and_says_so(tmp_path: Path) -> None:
    disk = BadDisk(tmp_path, JournalError("disk I/O error"))
    bench = Bench(disk)
    bench.deliver(bench.gateway.sealed())
    ended = threading.Event()
    bench.recorder.on_failure = ended.set
    bench.recorder.start()
    eventually(lambda: "disk I/O error" in bench.recorder.failed)
    assert ended.wait(20)
    bench.recorder.stop()
    assert bench.broker.pubacks == []
    assert all(ack.epochs == () for ack in bench.broker.acks)
    disk.close()


def test_a_journal_that_cannot_be_read_is_no_fault_of_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        bench = Bench(journal)

        def fails(*_: object) -> None:
            raise JournalError("disk I/O error")

        monkeypatch.setattr(bench.recorder._desk, "take", fails)
        bench.recorder.start()
        bench.deliver(bench.gateway.sealed(kind="hello"))
        eventually(lambda: bool(bench.recorder.failed))
        bench.recorder.stop()
        assert journal.attempts == {}

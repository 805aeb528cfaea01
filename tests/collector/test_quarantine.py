"""What is quarantined is listed with its reason, taken in after a fix, and never ends the collector again and again."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.cli import main
from collector.intake import sorter as sorter_module
from collector.intake.events import event
from collector.intake.gate import ATTEMPTS, Gate, Trusted
from collector.intake.inbox import Ranges
from collector.intake.journal import Journal
from collector.intake.journal_files import JournalFiles
from collector.intake.recorder import Delivery, Recorder
from collector.intake.subscriber import Subscriber
from collector.quarantine_command import Kept, take_in
from collector.store import EntryKind
from gateway import seal, wire
from gateway.measurement import Series
from gateway.settings import Broker
from tests.collector.batches import START_NS, FakeGateway, columns
from tests.collector.proof.kit import House, verify

Capture = pytest.CaptureFixture[str]


SERIES = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)


class Deaf:
    """A broker that nobody listens to."""

    def puback(self, delivery: Delivery) -> None:
        pass

    def publish(self, topic: str, payload: bytes) -> None:
        pass


def record(journal: Journal, gate: Gate, gateway: FakeGateway, *payloads: bytes) -> Recorder:
    """One start of the recorder: everything is examined and taken."""
    deliveries: Any = queue.Queue()
    recorder = Recorder(
        journal=journal, deliveries=deliveries, link=Deaf(), key=gateway.key, gateways=[gateway.id],
    )  # fmt: skip
    for payload in payloads:
        examined = gate.examine(gateway.id, payload, received_ns=START_NS, now_ns=0)
        deliveries.put(Delivery((examined,), 1, 1))
    recorder.start()
    recorder.stop()
    return recorder


def kinds(journal: Journal) -> list[tuple[EntryKind, int]]:
    return [(e.kind, e.seq) for e in journal.read(0, 1000) if e.kind in (EntryKind.BATCH, EntryKind.QUARANTINE)]


def test_poison_is_listed_and_taken_in_after_a_fix(tmp_path: Path, capsys: Capture) -> None:
    house = House(tmp_path, hours=1)
    chained = house.gateways["riverside"]
    gateway = chained.gateway
    before = gateway.seq
    # An earlier version could not read these two, and believed that the sites had another gateway.
    poison = [chained.batch(columns(6, series=SERIES), START_NS).payload for _ in range(2)]
    good = Gate({gateway.id: Trusted("riverside", gateway.key.public_key())})
    strict = Gate({gateway.id: Trusted("elsewhere", gateway.key.public_key())})
    with closing(Journal(house.collector / "journal")) as journal:
        stream = (gateway.id, gateway.epoch)
        journal.append(house.entries(1)[-1:], {stream: Ranges(before)})
        record(journal, strict, gateway, *poison)
        assert journal.streams()[stream] == Ranges(before + 2), "they are acknowledged"
        assert good.examine(gateway.id, poison[0], received_ns=START_NS, now_ns=0).said
    assert main(["quarantine", str(house.sites)]) == 0
    said = capsys.readouterr().out
    assert f"riverside-gw batch {before + 1}  a message on the topic of gateway 'riverside-gw' is not accepted" in said
    assert said.endswith("2 in quarantine, 2 of them readable now\n")
    assert main(["quarantine", str(house.sites), "--replay", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["replayed"], [item["seq"] for item in told["items"]]) == (2, [before + 1, before + 2])
    assert main(["quarantine", str(house.sites), "--replay"]) == 0
    assert "2 of them readable now, 0 taken in" in capsys.readouterr().out
    with closing(Journal(house.collector / "journal")) as journal:
        replayed = [entry for entry in journal.read(0, 1000) if entry.payload in poison]
        assert [entry.kind.value for entry in replayed] == ["quarantine", "quarantine", "batch", "batch"]
        assert replayed[2].first_ns == START_NS
        assert [event(entry).what for entry in journal.events(0, 100)][-2:] == ["replayed"] * 2
        assert journal.streams()[stream] == Ranges(before + 2)
    code, said = verify(house.export(), capsys)
    assert (code, "BROKEN" in said) == (0, False), said


def test_a_message_under_no_number_that_came_again_meanwhile_is_left_alone(tmp_path: Path) -> None:
    gateway = FakeGateway()
    hello, second = gateway.sealed(), gateway.sealed()
    keyless = Gate({gateway.id: Trusted("riverside", None)})
    good = Gate({gateway.id: Trusted("riverside", gateway.key.public_key())})
    with closing(Journal(tmp_path / "journal")) as journal:
        record(journal, keyless, gateway, hello, second)
        assert journal.streams() == {}
        record(journal, good, gateway, hello)
        kept = [
            Kept(entry, "", good.examine(gateway.id, entry.payload, received_ns=START_NS, now_ns=0))
            for entry, _ in JournalFiles(tmp_path / "journal").quarantined()
        ]
        assert [take_in(journal, [gateway.id], kept) for _ in range(2)] == [1, 0]
        assert kinds(journal) == [
            (EntryKind.QUARANTINE, 0), (EntryKind.QUARANTINE, 0), (EntryKind.BATCH, 1), (EntryKind.BATCH, 2),
        ]  # fmt: skip


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Our code fails at one batch, whoever looks into it."""

    def breaks(at: bytes) -> None:
        follow = sorter_module.Sorter._follow

        def fail(self: Any, entry: Any, arrival: Any, now_ns: int) -> Any:
            if entry.payload == at and entry.kind is EntryKind.BATCH:
                raise RecursionError("a mistake of ours")
            return follow(self, entry, arrival, now_ns)

        monkeypatch.setattr(sorter_module.Sorter, "_follow", fail)

    return breaks


def test_what_our_code_fails_at_ends_the_collector_three_times_and_never_again(
    tmp_path: Path, broken: Callable[[bytes], None]
) -> None:
    gateway = FakeGateway()
    payloads = [gateway.sealed() for _ in range(3)]
    broken(payloads[1])
    trusted = {gateway.id: Trusted("riverside", gateway.key.public_key())}
    ended = []
    for _ in range(ATTEMPTS + 2):
        with closing(Journal(tmp_path / "journal")) as journal:
            recorder = record(journal, Gate(trusted, journal.attempts), gateway, *payloads)
            ended.append(bool(recorder.failed))
    assert ended == [True] * ATTEMPTS + [False] * 2
    with closing(Journal(tmp_path / "journal")) as journal:
        assert kinds(journal) == [(EntryKind.BATCH, 1), (EntryKind.QUARANTINE, 2), (EntryKind.BATCH, 3)]
        assert journal.streams()[gateway.id, gateway.epoch] == Ranges(3), "acknowledged: it blocks nothing"
        assert journal.attempts == {seal.digest(payloads[1]): ATTEMPTS}


def test_what_the_gate_fails_at_is_counted_and_then_not_examined_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = FakeGateway()
    hello, poison = gateway.sealed(), gateway.sealed()
    examinations, honest = [], wire.decode

    def decode(body: bytes) -> Any:
        if body in poison:
            examinations.append(body)
            raise ZeroDivisionError
        return honest(body)

    broker = Broker(url="mqtt://127.0.0.1:1", protocol="5", ca="", cert="", key="", user="", password_file="")
    with closing(Journal(tmp_path / "journal")) as journal:
        gate = Gate({gateway.id: Trusted("riverside", gateway.key.public_key())}, journal.attempts)
        record(journal, gate, gateway, hello)
        monkeypatch.setattr("collector.intake.gate.decoded", decode)
        for _ in range(ATTEMPTS + 2):
            deliveries: Any = queue.Queue()
            subscriber = Subscriber(broker, None, client_id="c", gate=gate, deliveries=deliveries)
            message: Any = type("M", (), {"topic": wire.up_topic(gateway.id), "payload": poison, "retain": 0, "mid": 1})
            subscriber._on_message(None, None, message)  # type: ignore[arg-type]
            recorder = Recorder(
                journal=journal, deliveries=deliveries, link=Deaf(), key=gateway.key, gateways=[gateway.id]
            )
            recorder.start()
            recorder.stop()
            assert not recorder.failed
        assert len(examinations) == ATTEMPTS
        assert kinds(journal)[-1] == (EntryKind.QUARANTINE, 2)
        assert journal.streams()[gateway.id, gateway.epoch] == Ranges(2)

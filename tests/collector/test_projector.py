"""The projector: what is in the journal gets into the store, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from collector.intake import projector as projector_module
from collector.intake.journal import Journal
from collector.intake.projector import Projector, rows
from collector.store import Entry, EntryKind, Rows, Shift, StoreError
from collector.stores.memory import MemoryStore
from gateway import seal, wire
from tests.collector.batches import SERIES, START_NS, FakeGateway, columns
from tests.collector.test_store_contract import content


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.005)


def filled(folder: Path, batches: int) -> Journal:
    """A journal with a hello, ticks, bad messages and some batches of two gateways."""
    journal = Journal(folder)
    for gateway in (FakeGateway(), FakeGateway(id="second-gw", epoch=b"2" * 16)):
        journal.append([gateway.entry(gateway.sealed()) for _ in range(batches)])
        journal.append(
            [Entry(0, START_NS, EntryKind.TICK), Entry(0, START_NS, EntryKind.QUARANTINE, "x", payload=b"x")]
        )
    return journal


def test_rows_carry_the_key_of_every_measurement() -> None:
    one, two = FakeGateway(), FakeGateway(id="second-gw", epoch=b"2" * 16)
    payloads = [(one, one.sealed()), (one, one.sealed(columns(5))), (two, two.sealed()), (two, two.sealed(columns(2)))]
    entries = [gateway.entry(payload) for gateway, payload in payloads]
    made = rows([(entry, wire.decode(entry.payload[1 + seal.SIGNATURE_BYTES :])) for entry in entries])
    assert made.streams == ((one.id, one.epoch), (two.id, two.epoch))
    assert made.stream_index.tolist() == [0] * 5 + [1] * 2
    assert made.seq.tolist() == [2] * 7
    assert made.index.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert made.columns.series == SERIES
    assert np.array_equal(made.columns.value[:5], columns(5).value, equal_nan=True)
    assert len(rows([])) == 0


def test_the_store_catches_up_and_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "GROUP_ENTRIES", 7)
    monkeypatch.setattr(projector_module, "PAUSE_S", 0.01)
    journal, store = filled(tmp_path, 20), MemoryStore()
    projector = Projector(journal, store)
    projector.start()
    eventually(lambda: store.cursor() == journal.last)
    assert len(store.keys()) == 2 * 19 * 6
    third = FakeGateway(id="third-gw")
    journal.append([third.entry(third.sealed()), third.entry(third.sealed())])
    eventually(lambda: store.cursor() == journal.last)
    assert len(store.keys()) == 2 * 19 * 6 + 6
    projector.stop()
    again = MemoryStore()
    second = Projector(journal, again)
    second.project(journal.read(0, 1000))
    assert content(again) == content(store), "an empty store is filled with the same"
    second.project(journal.read(0, 1000))
    second.project([])
    assert content(again) == content(store)
    journal.close()


class Refusing(MemoryStore):
    """A store that refuses until it is told otherwise."""

    refuses = True

    def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
        if self.refuses:
            raise StoreError("no store today")
        super().append(rows, position, shifts)


def test_a_store_that_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "RETRY_S", 0.02)
    journal, store = filled(tmp_path, 3), Refusing()
    projector = Projector(journal, store)
    projector.start()
    eventually(lambda: projector.trouble == "no store today")
    store.refuses = False
    eventually(lambda: store.cursor() == journal.last)
    projector.stop()
    assert not projector.trouble
    assert len(store.keys()) == 2 * 2 * 6
    journal.close()


def test_what_cannot_be_read_any_more_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    gateway = FakeGateway()
    hello, good = gateway.entry(gateway.sealed()), gateway.entry(gateway.sealed())
    unreadable = Entry(0, START_NS, EntryKind.BATCH, gateway.id, gateway.epoch, 3, bytes(100))
    journal.append([hello, unreadable, good])
    store = MemoryStore()
    projector = Projector(journal, store)
    projector.project(journal.read(0, 10))
    assert (projector.unreadable, len(store.keys()), store.cursor()) == (1, 6, 3)
    journal.close()


def test_a_mistake_ends_the_projector_and_says_so(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        def append(self, rows: Rows, position: int, shifts: Sequence[Shift] = ()) -> None:
            raise ZeroDivisionError("a mistake")

    journal = filled(tmp_path, 2)
    projector = Projector(journal, Broken())
    projector.start()
    eventually(lambda: bool(projector.failed))
    projector.stop()
    journal.close()
    assert projector.failed == "the projector ended: a mistake"

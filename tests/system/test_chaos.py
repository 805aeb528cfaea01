"""Processes are killed at any moment: nothing committed is lost or doubled. And the judge of it is judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from collector.store import Entry, EntryKind, Rows
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns, Series, Status, empty_columns
from tests.collector.batches import FakeGateway
from tests.effort import KILLED_POINTS, KILLS
from tests.system import chaos
from tests.system.chaos_oracle import Count, Found, count
from tests.system.chaos_plant import COUNTER, NUMBER, Answer

PLACES = tuple(Series("chaos", f"outfall-{n}", f"{n}", code, "") for n in (1, 2) for code in (NUMBER, COUNTER))
SECONDS = 6


@pytest.mark.system
@pytest.mark.timeout(60 + 10 * KILLS)
def test_nothing_is_lost_or_doubled_when_processes_are_killed(mosquitto: str, tmp_path: Path) -> None:
    counted, kills = chaos.run(tmp_path, cycles=KILLS, seed=20261121, points=KILLED_POINTS)
    assert (counted.lost, counted.duplicated, counted.unexplained_gaps) == (0, 0, 0), (counted, kills)
    assert counted.sent >= counted.stored >= KILLED_POINTS
    assert sum(kills[name] for name in chaos.VICTIMS if name in kills) == KILLS


# --- the judge ---------------------------------------------------------------------------------------


def polls(first: int, last: int) -> Columns:
    """The polls of both instruments at some seconds; the poll of second s is the answer s + 1."""
    second = np.repeat(np.arange(first, last), len(PLACES))
    index = np.tile(np.arange(len(PLACES), dtype=np.uint16), last - first)
    number = np.array([float(place.sensor) for place in PLACES])[index]
    counts = np.array([place.parameter == COUNTER for place in PLACES])[index]
    value = np.where(counts, second + 1.0, number)
    return Columns(PLACES, index, second * SECOND_NS, value, np.zeros(len(index), np.uint8))


def whole() -> tuple[Found, FakeGateway]:
    """A line that lost nothing: a hello at second 0, a batch at each second, all of it everywhere."""
    gateway = FakeGateway(id="chaos-gw", plant="chaos")
    payloads = [gateway.sealed(wall_ns=0)]
    payloads += [gateway.sealed(polls(second, second + 1)) for second in range(SECONDS)]
    answers = [Answer(sensor, s + 1, s * SECOND_NS + 10**7) for s in range(SECONDS) for sensor in (1, 2)]
    entries = [entry(n, payload, gateway.epoch) for n, payload in enumerate(payloads, 1)]
    return Found(answers, payloads, [(gateway.epoch, 2)], entries, stored(range(SECONDS))), gateway


def entry(position: int, payload: bytes, epoch: bytes) -> Entry:
    seq = wire.decode(payload[1 + seal.SIGNATURE_BYTES :]).header.seq
    return Entry(position, 0, EntryKind.BATCH, "chaos-gw", epoch, seq, payload)


def stored(seconds: object) -> Rows:
    """The store with the polls of some seconds."""
    columns = [polls(second, second + 1) for second in seconds]  # type: ignore[attr-defined]
    table = Columns(PLACES, *(np.concatenate([getattr(c, name) for c in columns]) for name in (
        "series_index", "time_ns", "value", "status")))  # fmt: skip
    n = len(table)
    seq = table.time_ns.astype(np.uint64) // np.uint64(SECOND_NS) + np.uint64(2)
    return Rows(table, (("chaos-gw", b"e"),), np.zeros(n, np.uint16), seq, np.arange(n).astype(np.uint16) % 4)


def without(found: Found, *seconds: int, committed: bool) -> Found:
    """Some seconds are not in the store, nor in the outbox if they were never committed."""
    left = [s for s in range(SECONDS) if s not in seconds]
    payloads = [p for n, p in enumerate(found.committed) if committed or n - 1 not in seconds]
    entries = [e for e in found.entries if e.seq - 2 not in seconds]
    return dataclasses.replace(found, committed=payloads, entries=entries, claimed=[], rows=stored(left))


def hello(found: Found, at_ns: int) -> Found:
    """The gateway started again at an instant."""
    gateway = FakeGateway(id="chaos-gw", plant="chaos", epoch=b"the next epoch..")
    extra = entry(99, gateway.sealed(wall_ns=at_ns), gateway.epoch)
    return dataclasses.replace(found, entries=[*found.entries, extra])


def test_a_whole_line_is_found_whole() -> None:
    assert count(whole()[0]) == Count(sent=12, stored=12, lost=0, duplicated=0, unexplained_gaps=0)


def test_what_was_committed_and_is_not_stored_is_lost() -> None:
    counted = count(without(whole()[0], 3, committed=True))
    assert (counted.lost, counted.stored) == (2, 10)


def test_what_was_acknowledged_and_is_not_in_the_journal_is_lost() -> None:
    found, gateway = whole()
    assert count(dataclasses.replace(found, claimed=[(gateway.epoch, 77)])).lost == 1


def test_what_is_stored_twice_is_found() -> None:
    found, _ = whole()
    assert count(dataclasses.replace(found, rows=stored([*range(SECONDS), 2]))).duplicated == 4


def test_an_answer_that_is_nowhere_is_unexplained() -> None:
    assert count(without(whole()[0], 3, committed=False)).unexplained_gaps == 2


def test_a_restart_explains_the_last_poll_before_it_and_no_other() -> None:
    found, _ = whole()
    after = hello(without(found, 3, committed=False), 4 * SECOND_NS - 1)
    assert count(after).unexplained_gaps == 0
    two = hello(without(found, 2, 3, committed=False), 4 * SECOND_NS - 1)
    assert count(two).unexplained_gaps == 2
    not_the_last = hello(without(found, 2, committed=False), 4 * SECOND_NS - 1)
    assert count(not_the_last).unexplained_gaps == 2


def test_a_status_explains_the_poll_that_has_it() -> None:
    found, _ = whole()
    rows = stored(range(SECONDS))
    missing = rows.columns.time_ns == 3 * SECOND_NS
    value = np.where(missing, np.nan, rows.columns.value)
    status = np.where(missing, Status.NO_COMM, rows.columns.status).astype(np.uint8)
    said = dataclasses.replace(rows, columns=msgspec.structs.replace(rows.columns, value=value, status=status))
    silent = dataclasses.replace(without(found, 3, committed=False), rows=said)
    assert count(silent).unexplained_gaps == 0
    assert count(dataclasses.replace(silent, rows=stored([0, 1, 2, 4, 5]))).unexplained_gaps == 2


def test_a_gap_record_explains_its_span() -> None:
    found, gateway = whole()
    gateway.seq += 1
    unused = {"ep": gateway.epoch, "from_seq": gateway.seq, "to_seq": gateway.seq}
    span = {"gap": {**unused, "t_first": 3 * SECOND_NS, "t_last": 4 * SECOND_NS, "n": 4}}
    record = seal.seal(wire.encode(gateway.header(0, kind="gap"), empty_columns(), span), gateway.key)
    told = without(found, 3, committed=False)
    claimed = [(gateway.epoch, gateway.seq)]  # the number it gave up is acknowledged with the record
    told = dataclasses.replace(told, entries=[*told.entries, entry(99, record, gateway.epoch)], claimed=claimed)
    assert (count(told).unexplained_gaps, count(told).lost) == (0, 0)
    more = without(told, 3, 4, committed=False)  # the record is of one poll of each, not of two
    assert count(dataclasses.replace(more, entries=[*more.entries, told.entries[-1]])).unexplained_gaps == 2


def test_an_altered_value_is_a_gap_and_a_key_nobody_served() -> None:
    found, _ = whole()
    rows = stored(range(SECONDS))
    rows.columns.value[1] = 4000.0
    assert count(dataclasses.replace(found, rows=rows)).unexplained_gaps == 2

"""The matrix of tamper drills: eight ways at each of broker, journal, store and export, every one found with its place.

    python -m tests.collector.proof.test_drills     prints it as docs/reliability.md has it

Journal and export have more drills than the matrix shows: `test_tamper`. Here are those of broker and store.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import msgspec
import pytest

from api.cli import main
from collector.intake.desk import Desk
from collector.intake.events import What, event
from collector.intake.gate import Gate, Trusted
from collector.intake.journal import Journal
from collector.rebuild_command import rebuild_store
from collector.store import EntryKind
from gateway import seal
from gateway.measurement import empty_columns
from tests.collector.batches import START_NS
from tests.collector.proof.kit import EPOCHS, MINUTE_NS, PLANTS, Chained, House, noise
from tests.collector.proof.test_tamper import DRILLS, JOURNAL_DRILLS, STRANGER

Capture = pytest.CaptureFixture[str]
WAYS = ("edit", "drop", "reorder", "insert", "truncate", "swap key", "replay", "back-date")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- at the broker: whoever owns it, or sits on the line -------------------------------------------


@dataclass
class Line:
    """Batches of a gateway on their way through a broker to a collector's desk."""

    house: House
    sent: list[bytes] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        chained = Chained("harbour")
        self.sent = [chained.batch(noise("harbour", n) if n else empty_columns(), 0).payload for n in range(6)]
        self.topics = ["harbour-gw"] * 6

    def arrive(self) -> tuple[list[tuple[str, str]], list[int]]:
        """Kind and text of each event, and the numbers that were journalled as batches."""
        trusted = {f"{plant}-gw": Trusted(plant, Chained(plant).gateway.key.public_key()) for plant in PLANTS}
        gate = Gate(trusted)
        with closing(Journal(self.house.folder / "desk")) as journal:
            desk = Desk(journal, self.house.key, list(trusted))
            for number, (topic, payload) in enumerate(zip(self.topics, self.sent, strict=True)):
                at_ns = START_NS + number * MINUTE_NS
                desk.take(
                    gate.examine(topic, payload, received_ns=at_ns, now_ns=number * MINUTE_NS), number * MINUTE_NS
                )
                desk.commit(number * MINUTE_NS)
            entries = journal.read(0, 1000)
            held = journal.streams()[("harbour-gw", EPOCHS[0])]
        self.missing = {n for n in ALL if n > held.upto and not any(low <= n <= high for low, high in held.have)}
        events = [(entry.gateway, event(entry)) for entry in entries if entry.kind is EntryKind.EVENT]
        return (
            [(e.what, f"{gateway}: {e.text}") for gateway, e in events],
            [entry.seq for entry in entries if entry.kind is EntryKind.BATCH],
        )


def flip(line: Line) -> None:
    line.sent[3] = line.sent[3][:-1] + bytes([line.sent[3][-1] ^ 1])


def redate(line: Line) -> None:
    """The times inside set back by an hour, under the old signature."""
    body = msgspec.msgpack.decode(zlib.decompress(line.sent[3][65:]))
    body["first_ns"] -= 60 * MINUTE_NS
    line.sent[3] = line.sent[3][:65] + zlib.compress(msgspec.msgpack.encode(body))


def reseal(line: Line) -> None:
    line.sent[3] = seal.seal(line.sent[3][65:], STRANGER)


def impersonate(line: Line) -> None:
    """A good batch of one gateway on the topic of another."""
    line.topics[3] = "riverside-gw"


def forge(line: Line) -> None:
    """A batch of one's own in between, under the next number."""
    chained = Chained("harbour")
    chained.gateway.key, chained.gateway.seq = STRANGER, 3
    line.sent.insert(3, chained.batch(noise("harbour", 99), 0).payload)
    line.topics.append("harbour-gw")


def again(line: Line) -> None:
    line.sent.insert(5, line.sent[2])
    line.topics.append("harbour-gw")


def swap(line: Line) -> None:
    line.sent[3], line.sent[4] = line.sent[4], line.sent[3]


def drop(line: Line) -> None:
    del line.sent[3], line.topics[3]


BAD, ALL = What.BAD_SIGNATURE, [1, 2, 3, 4, 5, 6]
# What is done, the event that tells it with the gateway's name ("" = without effect), and the batches that come in.
BROKER: dict[str, tuple[Callable[[Line], None], str, list[int]]] = {
    "edit a batch": (flip, BAD, [1, 2, 3, 5, 6]),
    "drop a batch": (drop, "", [1, 2, 3, 5, 6]),
    "reorder two batches": (swap, "", [1, 2, 3, 5, 4, 6]),
    "insert a forged batch": (forge, BAD, ALL),
    "insert another gateway's batch": (impersonate, BAD, [1, 2, 3, 5, 6]),
    "truncate a batch": (lambda line: line.sent.__setitem__(3, line.sent[3][:90]), BAD, [1, 2, 3, 5, 6]),
    "swap key: seal a batch with another one": (reseal, BAD, [1, 2, 3, 5, 6]),
    "replay a batch": (again, "", ALL),
    "back-date a batch": (redate, BAD, [1, 2, 3, 5, 6]),
}


@pytest.mark.parametrize("drill", BROKER)
def test_at_the_broker(house: House, drill: str) -> None:
    """What is altered is refused, kept and told; the gateway, which gets no acknowledgement, sends it again."""
    tamper, what, come = BROKER[drill]
    line = Line(house)
    tamper(line)
    events, numbers = line.arrive()
    assert numbers == come
    assert [kind for kind, _ in events] == ([what] if what else [])
    topic = "riverside-gw" if drill == "insert another gateway's batch" else "harbour-gw"
    assert all(text.startswith(topic) for _, text in events)
    assert line.missing == set(ALL) - set(come)  # what is missing is known by its number, and asked for


# --- at the store: whoever can write to its file ---------------------------------------------------

SIX = "seq = 6 AND stream = (SELECT id FROM stream WHERE gateway = 'harbour-gw')"
ROW = "batch 6 of gateway harbour-gw, epoch 0000000000000001, value {}"
STORE: dict[str, tuple[list[str], str]] = {
    "edit a value": ([f'UPDATE measurement SET value = 1 WHERE {SIX} AND idx = 3'], "altered: " + ROW.format(3)),
    "edit a status": ([f'UPDATE measurement SET status = 1 WHERE {SIX} AND idx = 0'], "altered: " + ROW.format(0)),
    "drop a row": ([f'DELETE FROM measurement WHERE {SIX} AND idx = 3'], "missing: " + ROW.format(3)),
    "reorder two rows": (
        [f'UPDATE measurement SET idx = 5 - idx WHERE {SIX} AND idx IN (2, 3)'],
        "altered: " + ROW.format(2),
    ),
    "insert a row": (
        [f'INSERT INTO measurement SELECT * REPLACE (99 AS idx) FROM measurement WHERE {SIX} AND idx = 3'],
        "added: " + ROW.format(99),
    ),
    "truncate the end": (
        [f"DELETE FROM measurement WHERE {SIX.replace('= 6', '>= 6', 1)}"],
        "missing: " + ROW.format(0),
    ),
    "swap key: give rows to another gateway": (
        [f"UPDATE measurement SET stream = (SELECT id FROM stream WHERE gateway = 'riverside-gw' LIMIT 1) WHERE {SIX}"],
        "missing: " + ROW.format(0),
    ),
    "replay a row": (
        [f'INSERT INTO measurement SELECT * FROM measurement WHERE {SIX} AND idx = 3'],
        "added: " + ROW.format(3),
    ),
    "back-date a row": (
        [f'UPDATE measurement SET time_ns = time_ns - 1 WHERE {SIX} AND idx = 3'],
        "altered: " + ROW.format(3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("drill", STORE)
def test_at_the_store(house: House, capsys: Capture, drill: str) -> None:
    statements, place = STORE[drill]
    with closing(Journal(house.collector / "journal")) as journal:
        rebuild_store(journal, house.collector / "store.duckdb")
    assert main(["rebuild", str(house.sites), "--check"]) == 0
    with closing(duckdb.connect(str(house.collector / "store.duckdb"))) as database:
        for statement in statements:
            database.execute(statement)
    capsys.readouterr()
    assert main(["rebuild", str(house.sites), "--check"]) == 1
    said = capsys.readouterr().out
    assert f"store.duckdb: {place}" in said, said
    assert main(["rebuild", str(house.sites)]) == 0  # and it is mended from the journal
    assert main(["rebuild", str(house.sites), "--check"]) == 0


# --- the matrix ------------------------------------------------------------------------------------

PLACES: dict[str, Sequence[str]] = {
    "broker": list(BROKER), "journal": list(JOURNAL_DRILLS), "store": list(STORE), "export": list(DRILLS),
}  # fmt: skip
FOUND_BY = {
    "broker": "signature, sequence and hashes at intake; `health` and the journal's events name gateway or number",
    "journal": "`emitwatch verify` of an export; names file, batch, gateway, epoch and leaf",
    "store": "`emitwatch rebuild --check`; names batch, gateway, epoch and value",
    "export": "`emitwatch verify`; names file, row or batch",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_no_field_of_the_matrix_is_empty(place: str, way: str) -> None:
    assert any(drill.startswith(way) for drill in PLACES[place]), f"nothing tries to {way} at the {place}"


def test_there_are_fifty_and_more() -> None:
    assert sum(map(len, (BROKER, JOURNAL_DRILLS, STORE, DRILLS))) >= 50


def table() -> str:
    """The matrix, as docs/reliability.md has it."""
    lines = [f"| at | {' | '.join(WAYS)} | found by |", f"|{'---|' * (len(WAYS) + 2)}"]
    for place, drills in PLACES.items():
        counts = [sum(drill.startswith(way) for drill in drills) for way in WAYS]
        lines.append(f"| {place} | {' | '.join(map(str, counts))} | {FOUND_BY[place]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    print(
        f"{sum(map(len, (BROKER, JOURNAL_DRILLS, STORE, DRILLS)))} drills; those of the export twice, once signed anew"
    )

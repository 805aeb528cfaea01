"""Wrong clocks: whatever a gateway's clock does, no measurement is overwritten, lost, or averaged twice.

A gateway measures by a schedule on its own clock, which is set, starts in 1970, drifts, or follows a leap
second; the product's own clock, keeper, wire, gate, desk, projector and windows take it from there. Each
value is the number of the measurement, so that its true time is known to the judge alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha512

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature

from collector.intake.desk import Desk
from collector.intake.gate import Gate, Trusted
from collector.intake.projector import Projector
from collector.store import Entry, EntryKind
from collector.stores.memory import MemoryStore
from collector.verdicts.screening import settled, usable
from collector.verdicts.windows import windows
from gateway import wire
from gateway.clock import OFF_NS, RELEASED_NS, STEP_NS, UNKNOWN, Discipline
from gateway.keeper import Instant, Keeper, Start
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.outbox import Outbox
from gateway.schedule import Schedule
from gateway.shelves import Change, Meta
from tests.collector.test_desk import MemoryLedger
from tests.effort import examples

SEEDS = examples(12, 500)
MINUTE_NS, HOUR_NS = 60 * SECOND_NS, 3600 * SECOND_NS
STEP = SECOND_NS // 2  # of the simulation
LENGTH_NS = 24 * MINUTE_NS
LEVEL = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)
GATEWAY = "riverside-gw"


class Key:
    """Signs and verifies without arithmetic: what is under test here is time."""

    def sign(self, data: bytes, /) -> bytes:
        return sha512(data).digest()

    def verify(self, signature: bytes, data: bytes, /) -> None:
        if signature != self.sign(data):
            raise InvalidSignature

    def public_bytes_raw(self) -> bytes:
        return bytes(32)


@dataclass
class Rows:
    """As much of an outbox's storage as measuring needs."""

    payloads: list[bytes] = field(default_factory=list)

    def meta(self) -> Meta:
        return Meta()

    def count(self) -> int:
        return 0

    def lowest(self, epoch: bytes) -> int | None:
        return 1 if self.payloads else None

    def commit(self, change: Change) -> None:
        self.payloads += [row[-1] for row in change.rows]


Error = Callable[[int], int]  # of the wall clock, at an instant since the start [ns]


@dataclass
class Weather:
    """What happens to a clock. error: by instant. set_ns: when it jumps. asks: whether the collector is heard of."""

    name: str
    error: Error
    set_ns: Sequence[int]
    heard: Sequence[tuple[int, int]]
    synced_from: int | None = None
    drift: float = 0.0


def weather(seed: int) -> Weather:
    """A seed's clock: wrong in one of six ways, right in the end, and heard of sooner or later."""
    rng = random.Random(seed)
    kind = ("steps", "no_rtc", "drift", "smear", "leap", "ahead")[seed % 6]
    times = sorted(rng.sample(range(3, 18), 3))
    at = [minute * MINUTE_NS + rng.randrange(MINUTE_NS) for minute in times]
    drift = rng.choice([50e-6, -50e-6]) if kind == "drift" else 0.0
    offs = {
        "steps": [0, rng.choice([HOUR_NS, -HOUR_NS]), rng.choice([HOUR_NS, -HOUR_NS, 0]), 0],
        "no_rtc": [-RELEASED_NS, -RELEASED_NS, 0, 0],
        "ahead": [rng.choice([HOUR_NS, -HOUR_NS, 400 * 24 * HOUR_NS])] * 3 + [0],
        "leap": [0, -SECOND_NS, -SECOND_NS, 0],
    }.get(kind, [0, 0, 0, 0])

    def error(now_ns: int) -> int:
        if kind == "smear":
            return -now_ns // 86_400
        return offs[sum(now_ns >= instant for instant in at)]

    quiet = rng.choice([0, 8 * MINUTE_NS, LENGTH_NS - 2 * MINUTE_NS])
    heard = (
        [(quiet, LENGTH_NS)] if rng.random() < 0.6 else [(quiet, LENGTH_NS // 2), (LENGTH_NS - MINUTE_NS, LENGTH_NS)]
    )
    jumps = [instant for n, instant in enumerate(at) if offs[n] != offs[n + 1]]
    synced = at[-1] + rng.randrange(MINUTE_NS) if rng.random() < 0.4 else None
    return Weather(kind, error, jumps, heard, synced, drift)


class Gateway:
    """Measures by its own clock; truth: when each measurement was really made, by its number."""

    def __init__(self, sky: Weather, interval_ns: int, rng: random.Random) -> None:
        self.sky, self.interval_ns, self.rng = sky, interval_ns, rng
        self.start_ns = RELEASED_NS + rng.randrange(40 * 86_400) * SECOND_NS
        self.now_ns = 0  # true time since the start
        self.rows, self.outbox, self.truth = Rows(), Outbox(), []
        self.keeper = Keeper(self.rows, "riverside", GATEWAY, Key(), now=self.instant, earliest_ns=RELEASED_NS)  # type: ignore[arg-type]
        self.keeper.begin(Start(1, bytes(8), "boot", "1"))
        self.offset_ns = self.wall_ns - self.mono_ns
        self.schedule = Schedule([interval_ns], self.wall_ns)

    @property
    def mono_ns(self) -> int:
        return HOUR_NS + int(self.now_ns * (1 + self.sky.drift))

    @property
    def wall_ns(self) -> int:
        """Set to the start by a clock that drifts as the monotonic one does."""
        return max(0, self.start_ns + self.mono_ns - HOUR_NS + self.sky.error(self.now_ns))

    def instant(self) -> Instant:
        synced = self.sky.synced_from is not None and self.now_ns >= self.sky.synced_from
        return Instant(self.wall_ns, self.mono_ns, Discipline(synced=True, err_ms=1) if synced else UNKNOWN)

    def run(self) -> None:
        """The whole of it, as poller and publisher go about it."""
        answer_ns = 0
        while self.now_ns < LENGTH_NS:
            self.now_ns += STEP
            self.poll()
            due_ns = self.outbox.due_ns()
            if due_ns is not None and self.mono_ns >= due_ns:
                self.keeper.keep(self.outbox.take())
            if self.now_ns >= answer_ns and any(a <= self.now_ns < b for a, b in self.sky.heard):
                rtt_ns = self.rng.randrange(2 * SECOND_NS)
                back_ns = self.rng.randrange(rtt_ns + 1)  # spent on the way back
                self.keeper.clock.heard(self.start_ns + self.now_ns - back_ns, self.mono_ns, rtt_ns)
                answer_ns = self.now_ns + self.rng.randrange(1, 20) * SECOND_NS
        self.keeper.keep(self.outbox.take())

    def poll(self) -> None:
        if abs(self.wall_ns - self.mono_ns - self.offset_ns) > STEP_NS:
            self.offset_ns = self.wall_ns - self.mono_ns
            self.schedule = Schedule([self.interval_ns], self.wall_ns)
        for index in self.schedule.due(self.mono_ns + self.offset_ns):
            time_ns = np.array([self.schedule.tick_ns(index)], np.int64)
            value = np.array([float(len(self.truth))])
            self.outbox.put(Columns(LEVEL, np.zeros(1, np.uint16), time_ns, value, np.zeros(1, np.uint8)), self.mono_ns)
            self.truth.append(self.start_ns + self.now_ns)


def journalled(gateway: Gateway, rng: random.Random) -> list[Entry]:
    """What the collector's journal holds when the batches come in two lanes, some of them twice."""
    payloads = gateway.rows.payloads
    cut = rng.randrange(len(payloads))
    order = [*payloads[cut:], *payloads[:cut]] if rng.random() < 0.5 else payloads
    ledger, gate = MemoryLedger(), Gate({GATEWAY: Trusted("riverside", Key())})
    desk = Desk(ledger, Key(), [GATEWAY])
    for number, payload in enumerate([*order, *rng.sample(payloads, len(payloads) // 10)]):
        received_ns = gateway.start_ns + LENGTH_NS + number
        desk.take(gate.examine(GATEWAY, payload, received_ns=received_ns, now_ns=number * SECOND_NS), number)
        if number % 50 == 0:
            desk.commit(number)
    desk.commit(2**40)
    return ledger.entries


def groups(entries: Sequence[Entry], rng: random.Random) -> Iterator[Sequence[Entry]]:
    at = 0
    while at < len(entries):
        size = rng.randrange(1, 400)
        yield entries[at : at + size]
        at += size


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", range(6))
def test_no_measurement_is_overwritten_lost_or_averaged_twice(kind: int) -> None:
    for seed in range(kind, SEEDS, 6):
        rng = random.Random(seed)
        sky = weather(seed)
        gateway = Gateway(sky, rng.choice([1, 2, 5, 10]) * SECOND_NS, rng)
        gateway.run()
        entries = journalled(gateway, rng)
        store = MemoryStore()
        projector = Projector(None, store)  # type: ignore[arg-type]
        for group in groups(entries, rng):
            projector.project(group)
        rows = store.keys()
        place = f"seed {seed}, {sky.name}"
        keys = {(*rows.streams[rows.stream_index[n]], int(rows.seq[n]), int(rows.index[n])) for n in range(len(rows))}
        assert len(keys) == len(rows) == len(gateway.truth), place
        number = rows.columns.value.astype(int)
        assert sorted(number) == list(range(len(gateway.truth))), f"{place}: each once"
        off_ns = rows.columns.time_ns - np.array(gateway.truth)[number]
        flagged = rows.columns.status == Status.UNSYNCED
        assert (np.abs(off_ns[~flagged]) <= OFF_NS + SECOND_NS).all(), f"{place}: {off_ns[~flagged].max()}"
        assert not flagged.any(), f"{place}: in the end the clock is right, and says so"
        averaged_once(gateway, rows.columns, place)
        wrong_when_sealed(gateway, entries, place)


def averaged_once(gateway: Gateway, columns: Columns, place: str) -> None:
    """Each minute has the values of its intervals; at a step one more or, of up to OFF_NS, fewer."""
    keep = settled(columns.time_ns, columns.value, columns.status)
    kept = columns.take(keep[usable(columns.value[keep], columns.status[keep])])
    minutes = windows("1m", "Asia/Shanghai", gateway.start_ns, gateway.start_ns + LENGTH_NS)
    found = np.bincount(minutes.place(kept.time_ns)[minutes.place(kept.time_ns) >= 0], minlength=len(minutes))
    expected = MINUTE_NS // gateway.interval_ns
    steps = np.array(gateway.sky.set_ns, np.int64) + gateway.start_ns
    for row in range(2, len(minutes) - 2):
        near = bool(((steps > minutes.from_ns[row] - MINUTE_NS) & (steps < minutes.to_ns[row] + MINUTE_NS)).any())
        least = expected - 2 - (OFF_NS // gateway.interval_ns + 1) * near
        assert least <= found[row] <= expected + 1, f"{place}: minute {row} has {found[row]} values of {expected}"


def wrong_when_sealed(gateway: Gateway, entries: Sequence[Entry], place: str) -> None:
    """A clock that shows what cannot be is known to be wrong at once, and the batches say so."""
    batches = [wire.decode(e.payload[65:]) for e in entries if e.kind is EntryKind.BATCH and e.last_ns]
    for batch in batches:
        if batch.header.wall_ns < RELEASED_NS:
            assert (batch.columns.status == Status.UNSYNCED).all(), place


def test_every_way_to_be_wrong_occurs() -> None:
    seen: Mapping[str, int] = {
        name: sum(weather(seed).name == name for seed in range(SEEDS))
        for name in ("steps", "no_rtc", "drift", "smear", "leap", "ahead")
    }
    assert min(seen.values()) >= SEEDS // 6, seen

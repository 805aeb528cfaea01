"""What befalls a world: a plan of faults, drawn from the seed before anything runs.

The rows are those of the failure table (docs/reliability.md). A seed has some of the rows only, and these often: faults
that meet one another are where the bugs are, and all kinds at once would leave nothing undisturbed. A row that is rare
by nature (a clone, another card) comes once at most to a gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.measurement import SECOND_NS
from simulators.world.dice import Dice

ROWS: Mapping[int, str] = MappingProxyType({
    1: "gateway killed before a commit",
    2: "gateway killed after a commit",
    3: "gateway without power, honest card",
    4: "gateway without power, lying card",
    5: "gateway's card full, or failing",
    6: "outbox over its limit",
    7: "outbox damaged",
    8: "broker killed without persistence",
    9: "broker drops, forgets or forbids",
    10: "gateway cut off",
    11: "line dead without notice",
    12: "collector killed before a commit",
    13: "collector killed between commit and acknowledgement",
    14: "journal's disk full, or failing",
    15: "store wiped",
    16: "journal restored from a backup",
    17: "gateway cloned",
    18: "gateway replaced",
    19: "clock stepped, or none",
    20: "messages lost, doubled, overtaken",
    21: "messages that cannot be believed or read",
    22: "another batch under a number that is taken",
    23: "false acknowledgements",
    24: "collector slow",
})  # fmt: skip
_SPANS_S: Mapping[int, tuple[float, float]] = MappingProxyType({
    3: (2, 30), 4: (4, 30), 5: (3, 40), 6: (120, 220), 7: (8, 25), 8: (2, 25), 9: (15, 70), 10: (3, 150), 11: (15, 120),
    14: (3, 30), 16: (10, 120), 17: (30, 90), 18: (5, 20), 19: (10, 40), 20: (10, 60), 24: (10, 60),
})  # fmt: skip
_SPAN_S = (5.0, 8.0)  # of a fault that is over at once: until the line has its ordinary way again
_ONCE = frozenset({6, 16, 17, 18})
SPAN_NS = 600 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
DAY_EVERY = 500  # so many seeds for one that lasts a day
REAL_EVERY = 50  # so many seeds for one with real signatures
FAULTS = (20, 30)
_THIN = 0.15  # share of the seeds
_DAY_POLLS = 1440  # of a gateway in a day: a day is for what happens in it, not for what is measured
_SMALL_BYTES = (24_000, 60_000)  # of an outbox that is soon full: 40 to 100 batches


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. number: which of its seed. gateway: which one it befalls, where it befalls one."""

    number: int
    row: int
    at_ns: int
    span_ns: int
    gateway: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One world. limits: of each gateway's outbox [bytes]. interval_ns: between polls. real: with Ed25519 keys.

    thin: over a slow line to a broker that takes a few batches at a time, so that a backlog takes its time.
    """

    seed: int
    span_ns: int
    interval_ns: int
    real: bool
    thin: bool
    limits: tuple[int, ...]
    faults: tuple[Fault, ...]


def plan(seed: int, *, days: float | None = None) -> Plan:
    """The plan of a seed. days: how long it lasts; None = ten minutes, and every 500th seed a day."""
    dice = Dice(seed, "plan")
    if days is None:
        days = 1.0 if seed % DAY_EVERY == DAY_EVERY - 1 else 0.0
    span_ns = max(SPAN_NS, int(days * DAY_NS)) + dice.between(0, 60 * SECOND_NS)
    gateways = 2 if dice.chance(0.8) else 3
    rows = sorted(dice.some(sorted(ROWS), 8 + dice.below(7)))
    count = FAULTS[0] + dice.below(FAULTS[1] - FAULTS[0] + 1)
    small = {dice.below(gateways)} if 6 in rows else set()
    faults = sorted(_faults(dice, rows, int(count * max(1.0, days * 4)), span_ns, gateways, small), key=_when)
    return Plan(
        seed,
        span_ns,
        SECOND_NS if span_ns < 2 * SPAN_NS else DAY_NS // _DAY_POLLS,
        seed % REAL_EVERY == REAL_EVERY - 1,
        dice.chance(_THIN),
        tuple(dice.between(*_SMALL_BYTES) if number in small else 1 << 30 for number in range(gateways)),
        tuple(faults),
    )


def _when(fault: Fault) -> tuple[int, int]:
    return fault.at_ns, fault.number


def _faults(dice: Dice, rows: list[int], count: int, span_ns: int, gateways: int, small: set[int]) -> list[Fault]:
    once: set[tuple[int, int]] = set()
    common = [row for row in rows if row not in _ONCE]
    faults: list[Fault] = []
    for number in range(count):
        # Each row at least once, then whichever comes.
        row = rows[number] if number < len(rows) else dice.pick(rows)
        gateway = min(small) if row == 6 else dice.below(gateways)
        # A machine is copied or replaced once, and not both: the two would look alike from outside.
        kind = (17, gateway) if row == 18 else (row, 0 if row == 16 else gateway)
        if row in _ONCE and kind in once:
            row = dice.pick(common)
        once.add(kind)
        low, high = _SPANS_S.get(row, _SPAN_S)
        fault_ns = dice.between(low * SECOND_NS, high * SECOND_NS)
        at_ns = dice.between(10 * SECOND_NS, span_ns * 0.9 - min(fault_ns, span_ns * 0.3))
        faults.append(Fault(number, row, at_ns, fault_ns, gateway))
    return faults

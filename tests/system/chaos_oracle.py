"""What may be missing after chaos, and what may not: pure, from what was logged and what is on disk.

A key is (sensor number, counter), as an instrument served it. It is explained that a key is not in the
store when the gateway says so itself:

- a status: the row of that very poll says "no communication" (the answer came too late for it);
- a restart: a hello in the journal, before which the last poll of each sensor may be missing, no more;
- a gap record that spans the answer, and no more answers than it has measurements for.

All else is unexplained, whatever the cause.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector.store import Entry, EntryKind, Rows
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns
from tests.system.chaos_plant import COUNTER, NUMBER, Answer

Key = tuple[int, int]
ROWS = 2  # measurements of an answer: the instrument's number, and its counter
LATE_NS = 3 * SECOND_NS // 2  # the longest way from a tick to its instrument's answer


@dataclass(frozen=True, slots=True)
class Count:
    """The verdict: the last three have to be 0."""

    sent: int
    stored: int
    lost: int
    duplicated: int
    unexplained_gaps: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is left after chaos.

    answers: every answer of an instrument. committed: payloads of the outbox. claimed: what acknowledgements
    said the journal holds, as (epoch, seq). entries: of the journal. rows: of the store.
    """

    answers: Sequence[Answer]
    committed: Sequence[bytes]
    claimed: Iterable[tuple[bytes, int]]
    entries: Sequence[Entry]
    rows: Rows


def count(found: Found) -> Count:
    """Judge what was found."""
    stored = keys(found.rows.columns)
    held = {(e.epoch, e.seq): wire.decode(_body(e.payload)) for e in found.entries if e.kind is EntryKind.BATCH}
    gaps = [batch.fields["gap"] for batch in held.values() if batch.header.kind == "gap"]
    given_up = {(gap["ep"], seq) for gap in gaps for seq in range(gap["from_seq"], gap["to_seq"] + 1)}
    claimed = set(found.claimed) - given_up
    promised = {key for payload in found.committed for key in keys(wire.decode(_body(payload)).columns)}
    promised |= {key for place in claimed & set(held) for key in keys(held[place].columns)}
    missing = [answer for answer in found.answers if (answer.sensor, answer.counter) not in stored]
    foreign = set(stored) - {(answer.sensor, answer.counter) for answer in found.answers}
    return Count(
        sent=len(found.answers),
        stored=len(stored),
        lost=len(promised - set(stored)) + len(claimed - set(held)),
        duplicated=max(stored.total() - len(stored), _repeated(found.rows)),
        # A key that nobody served stands for one that was altered on the way.
        unexplained_gaps=len(foreign) + _unexplained(missing, found, stored, gaps, list(held.values())),
    )


def keys(columns: Columns) -> Counter[Key]:
    """Each key in a table, and how often: number and counter of a poll stand in two rows of one instant."""
    numbers: dict[tuple[str, int], float] = {}
    counters: list[tuple[tuple[str, int], float]] = []
    for index, time_ns, value in zip(columns.series_index, columns.time_ns, columns.value, strict=True):
        series = columns.series[index]
        if np.isnan(value):
            continue
        poll = (series.sensor, int(time_ns))
        if series.parameter == NUMBER:
            numbers[poll] = value
        elif series.parameter == COUNTER:
            counters.append((poll, value))
    # A number that is not the sensor's own makes a key nobody has served.
    return Counter(
        (int(poll[0]) if numbers.get(poll) == int(poll[0]) else -1, int(counter)) for poll, counter in counters
    )


def _body(payload: bytes) -> bytes:
    return payload[1 + seal.SIGNATURE_BYTES :]


def _repeated(rows: Rows) -> int:
    """Rows of the store beyond the first of each (gateway, epoch, seq, place in the batch)."""
    places = np.stack([rows.stream_index.astype(np.uint64), rows.seq, rows.index.astype(np.uint64)])
    return len(rows) - np.unique(places, axis=1).shape[1]


def _unexplained(
    missing: Sequence[Answer], found: Found, stored: Mapping[Key, int], gaps: Sequence[Mapping[str, Any]],
    batches: Sequence[wire.Batch],
) -> int:  # fmt: skip
    silent = _silent(found.rows.columns)
    spans = [[gap["t_first"], gap["t_last"], gap["n"] // ROWS] for gap in gaps]
    starts = sorted(batch.header.wall_ns for batch in batches if batch.header.kind == "hello")
    # The last answer of each sensor before each start that is in the store: what comes after it is the last poll.
    kept: dict[tuple[int, int], int] = {}
    for answer in found.answers:
        if (answer.sensor, answer.counter) in stored:
            kept[answer.sensor, bisect_right(starts, answer.time_ns)] = answer.counter
    excused: set[tuple[int, int]] = set()
    left = 0
    for answer in missing:
        life = bisect_right(starts, answer.time_ns)
        tick = next((t for t in silent.get(answer.sensor, ()) if 0 <= answer.time_ns - t <= LATE_NS), None)
        if tick is not None:
            silent[answer.sensor].remove(tick)
        elif span := next((s for s in spans if s[2] and s[0] <= answer.time_ns <= s[1] + LATE_NS), None):
            span[2] -= 1
        elif (
            life < len(starts)
            and (answer.sensor, life) not in excused
            and answer.counter > kept.get((answer.sensor, life), 0)
        ):
            excused.add((answer.sensor, life))
        else:
            left += 1
    return left


def _silent(columns: Columns) -> dict[int, list[int]]:
    """The polls of each sensor that gave nothing, and say so."""
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(np.isnan(columns.value)):
        series = columns.series[columns.series_index[row]]
        if series.parameter == COUNTER:
            found.setdefault(int(series.sensor), []).append(int(columns.time_ns[row]))
    return found

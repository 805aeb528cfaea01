"""What polls gave, put together: many sensors of one kind are decoded at once, and told in one table.

A `Reading` is what of a sensor is asked together: a plan at a rate. Polls come in one by one, from any
link, and leave as few large `Columns`, in the order of their ticks. Missing is a status, never a gap:
a tick without values is a row for each of its series. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from gateway.measurement import Columns, Float64, Int64, Series, Status, UInt8, UInt16
from gateway.plans import Plan
from gateway.registers import decode
from gateway.sensors import Sensor

TABLE_MAX = 1 << 16  # series that a table can number

_Rows: TypeAlias = tuple[UInt16, Int64, Float64, UInt8]  # number in the table, tick, value, status


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What of a sensor is asked together. series: of each parameter, in the order of plan.parameters."""

    sensor: Sensor
    plan: Plan
    interval_ns: int
    series: tuple[Series, ...]


def readings(sensor: Sensor) -> tuple[Reading, ...]:
    """How a sensor is read: a reading for each interval that its registers ask for."""
    return tuple(
        Reading(
            sensor=sensor, plan=rate.plan, interval_ns=rate.interval_ns,
            series=tuple(sensor.series[column] for column in rate.columns),
        )
        for rate in sensor.rates
    )  # fmt: skip


@dataclass(slots=True)
class _Answers:
    """Polls of readings that decode alike: which reading, tick, words of each block, whether they came too late."""

    reading: list[int] = field(default_factory=list)
    tick_ns: list[int] = field(default_factory=list)
    words: list[Sequence[UInt16]] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)


class Harvest:
    """Collects what readings, known by their number, gave. polls: the readings that did since `gather`."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._plans: list[Plan] = []
        self._kind: list[int] = []  # of each reading, which plan
        self._numbers: list[UInt16] = []  # of each reading's series in its table
        self._table: list[int] = []
        self._tables = _tables(readings)
        self._known: dict[tuple[object, ...], int] = {}
        table = at = 0
        for reading in readings:
            plan, k = reading.plan, len(reading.series)
            if at + k > TABLE_MAX:
                table, at = table + 1, 0
            self._kind.append(self._alike(plan))
            self._numbers.append(np.arange(at, at + k, dtype=np.uint16))
            self._table.append(table)
            at += k
        self.clear()

    def _alike(self, plan: Plan) -> int:
        """The number of the plans that decode like one."""
        key = (id(plan.profile), plan.parameters, plan.blocks, plan.refused)
        kind = self._known.setdefault(key, len(self._plans))
        if kind == len(self._plans):
            self._plans.append(plan)
        return kind

    def change(self, reading: int, plan: Plan) -> None:
        """A reading goes on with another plan of the same parameters."""
        self._kind[reading] = self._alike(plan)

    def clear(self) -> None:
        """Forget what was collected."""
        self.polls: list[int] = []
        self._answers: dict[tuple[int, int], _Answers] = {}
        self._nothing: dict[int, list[tuple[int, int, Status]]] = {}

    def answer(self, reading: int, tick_ns: int, words: Sequence[UInt16], *, late: bool) -> None:
        """A reading's words at a tick, one array for each block of its plan."""
        self.polls.append(reading)
        found = self._answers.setdefault((self._table[reading], self._kind[reading]), _Answers())
        found.reading.append(reading)
        found.tick_ns.append(tick_ns)
        found.words.append(words)
        found.late.append(late)

    def nothing(self, reading: int, ticks_ns: Iterable[int], status: Status = Status.NO_COMM) -> None:
        """A reading gave nothing at some ticks."""
        self.polls.append(reading)
        self._nothing.setdefault(self._table[reading], []).extend((reading, tick, status) for tick in ticks_ns)

    def gather(self) -> list[tuple[int, Columns]]:
        """Everything collected since the last time, by tick: tables, each with the number of its first series."""
        found: dict[int, list[_Rows]] = {}
        for (table, kind), answers in self._answers.items():
            found.setdefault(table, []).append(self._decoded(self._plans[kind], answers))
        for table, gaps in self._nothing.items():
            found.setdefault(table, []).append(self._missing(gaps))
        self.clear()
        starts = np.cumsum([0, *map(len, self._tables)]).tolist()
        return [(starts[table], _joined(self._tables[table], rows)) for table, rows in sorted(found.items())]

    def _decoded(self, plan: Plan, answers: _Answers) -> _Rows:
        n = len(answers.words)
        words = [
            np.concatenate([words[number] for words in answers.words]).reshape(n, block.count)
            for number, block in enumerate(plan.blocks)
        ]
        value, status = decode(plan, words)
        if any(answers.late):
            status[np.array(answers.late)[:, None] & (status == Status.OK)] = Status.STALE
        numbers = np.concatenate([self._numbers[reading] for reading in answers.reading])
        ticks = np.repeat(np.array(answers.tick_ns, np.int64), value.shape[1])
        return numbers, ticks, value.ravel(), status.ravel()

    def _missing(self, gaps: Sequence[tuple[int, int, Status]]) -> _Rows:
        of, ticks, statuses = zip(*gaps, strict=True)
        numbers = [self._numbers[reading] for reading in of]
        widths = np.array([len(one) for one in numbers])
        status = np.repeat(np.array(statuses, np.uint8), widths)
        return (
            np.concatenate(numbers),
            np.repeat(np.array(ticks, np.int64), widths),
            np.full(len(status), np.nan),
            status,
        )


def _tables(readings: Sequence[Reading]) -> list[tuple[Series, ...]]:
    tables: list[list[Series]] = [[]]
    for reading in readings:
        if len(tables[-1]) + len(reading.series) > TABLE_MAX:
            tables.append([])
        tables[-1].extend(reading.series)
    return [tuple(table) for table in tables]


def _joined(series: tuple[Series, ...], rows: Sequence[_Rows]) -> Columns:
    numbers, ticks, value, status = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    order = np.argsort(ticks, kind="stable")
    return Columns(series, numbers[order], ticks[order], value[order], status[order])

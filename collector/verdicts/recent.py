"""Recent measurements, kept at hand so that the journal need not be read for every window.

Measurements lie in blocks of BLOCK_NS. A block is either whole - it has all that the journal has of
that span - or absent, and then its measurements are not kept at all; the evaluator loads it from the
journal when a window needs it. So what a window is derived from never depends on what happens to be
in memory. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector.verdicts.screening import Signal, joined, settled, spacing_ns
from collector.verdicts.windows import HOUR_NS, MINUTE_NS
from gateway.measurement import Columns, Float64, Int64, Series, UInt8, concatenate

BLOCK_NS = 6 * HOUR_NS
ROWS_MAX = 6_000_000  # about 100 MB; two days of two plants are a third of it
BLOCKS_MAX = 2_000  # a wild clock must not make blocks without end

Chunk = tuple[Int64, Float64, UInt8]


@dataclass(slots=True)
class _Block:
    """Measurements of one span, in chunks in the order they arrived in. used: when it was last needed."""

    chunks: dict[Series, list[Chunk]] = field(default_factory=dict)
    rows: int = 0
    used: int = 0


class Recent:
    """Measurements of the recent past, by block and series.

    intervals_ns: by plant, sensor and parameter, how much time a value stands for; of others it is the usual distance,
    a minute at most.
    virgin: whether the journal is followed from its start, so that an absent block is an empty one.
    """

    def __init__(self, intervals_ns: Mapping[tuple[str, str, str], int], *, virgin: bool) -> None:
        self._intervals = intervals_ns
        self._virgin = virgin
        self._blocks: dict[int, _Block] = {}
        self._dropped: set[int] = set()
        self._waiting: list[Columns] = []
        self._clock = 0

    def add(self, columns: Columns) -> None:
        """Measurements that just arrived."""
        self._waiting.append(columns)

    def absent(self, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """Spans in [from_ns, to_ns) that have to be loaded before signals are asked for; neighbours as one."""
        self._sort()
        spans: list[tuple[int, int]] = []
        for number in range(from_ns // BLOCK_NS, (to_ns - 1) // BLOCK_NS + 1):
            if not self._whole(number):
                start = number * BLOCK_NS
                if spans and spans[-1][1] == start:
                    spans[-1] = (spans[-1][0], start + BLOCK_NS)
                else:
                    spans.append((start, start + BLOCK_NS))
        return spans

    def load(self, from_ns: int, to_ns: int, parts: Sequence[Columns]) -> None:
        """All that the journal has of an absent span, in its order; rows outside are passed over."""
        self._sort()
        for number in range(from_ns // BLOCK_NS, to_ns // BLOCK_NS):
            assert not self._whole(number), "a whole block is not loaded again"
            self._blocks[number] = _Block(used=self._clock)
        columns = concatenate(parts)
        self._put(columns.take((columns.time_ns >= from_ns) & (columns.time_ns < to_ns)))

    def forget(self, columns: Columns) -> None:
        """Measurements went from where they were, or to where they belong: those spans are loaded anew."""
        self._sort()
        for number in np.unique(columns.time_ns // BLOCK_NS).tolist():
            self._blocks.pop(number, None)
            self._dropped.add(number)

    def signals(
        self, plant: str, point: str, from_ns: int, to_ns: int, part: Callable[[Series], tuple[int, int]] | None = None
    ) -> dict[str, Signal]:
        """The measurements of a point in a span without absent parts, by parameter.

        part: which part of the span is asked for of a series, None = all of it.
        """
        self._sort()
        self._clock += 1
        parts: dict[Series, list[Chunk]] = {}
        for number in range(from_ns // BLOCK_NS, (to_ns - 1) // BLOCK_NS + 1):
            block = self._blocks.get(number)
            if block is None:
                continue
            block.used = self._clock
            for series, chunks in block.chunks.items():
                if series.plant == plant and series.point == point:
                    first, last = part(series) if part else (from_ns, to_ns)
                    if first < last:
                        chunks[:] = [_merged(chunks)]
                        parts.setdefault(series, []).append(_cut(chunks[0], first, last))
        found: dict[str, list[Signal]] = {}
        for series in sorted(parts):
            found.setdefault(series.parameter, []).append(self._signal(series, parts[series]))
        return {parameter: joined(signals) for parameter, signals in found.items() if any(map(len, signals))}

    def trim(self) -> None:
        """Let go of what was needed longest ago, when there is too much."""
        self._sort()
        rows = sum(block.rows for block in self._blocks.values())
        for number in sorted(self._blocks, key=lambda n: (self._blocks[n].used, n)):
            if rows <= ROWS_MAX and len(self._blocks) <= BLOCKS_MAX:
                return
            rows -= self._blocks.pop(number).rows
            self._dropped.add(number)

    def _whole(self, number: int) -> bool:
        return number in self._blocks or (self._virgin and number not in self._dropped)

    def _signal(self, series: Series, chunks: list[Chunk]) -> Signal:
        time_ns, value, status = (np.concatenate(columns) for columns in zip(*chunks, strict=True))
        known = self._intervals.get((series.plant, series.sensor, series.parameter))
        return Signal(
            parameter=series.parameter, unit=series.unit, sensors=(series.sensor,),
            # Of an instrument that is in the site file no more nobody says the interval, and its values still count. A
            # minute at most: two values of it, far apart, must not make the whole point one of hourly values.
            intervals_ns=(known or min(spacing_ns(time_ns), MINUTE_NS),),
            sensor_index=np.zeros(len(time_ns), np.uint16), time_ns=time_ns, value=value, status=status,
        )  # fmt: skip

    def _sort(self) -> None:
        """Put what has arrived into its blocks."""
        if self._waiting:
            columns = concatenate(self._waiting)
            self._waiting.clear()
            self._put(columns)

    def _put(self, columns: Columns) -> None:
        """Rows into their blocks, in the order given; rows of absent blocks are passed over."""
        numbers = columns.time_ns // BLOCK_NS
        order = np.lexsort((numbers, columns.series_index))
        numbers, index = numbers[order], columns.series_index[order]
        time_ns, value, status = columns.time_ns[order], columns.value[order], columns.status[order]
        if not len(order):
            return
        cuts = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(index.astype(np.int64)) != 0)) + 1
        for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(order)], strict=True):
            number = int(numbers[start])
            if not self._whole(number):
                continue
            block = self._blocks.setdefault(number, _Block(used=self._clock))
            rows = slice(start, end)
            chunk = (time_ns[rows].copy(), value[rows].copy(), status[rows].copy())
            block.chunks.setdefault(columns.series[index[start]], []).append(chunk)
            block.rows += end - start


def _merged(chunks: list[Chunk]) -> Chunk:
    """Chunks as one, ordered by time, one value an instant."""
    time_ns, value, status = chunks[0] if len(chunks) == 1 else map(np.concatenate, zip(*chunks, strict=True))
    if (np.diff(time_ns) > 0).all():
        return time_ns, value, status
    keep = settled(time_ns, value, status)
    return time_ns[keep], value[keep], status[keep]


def _cut(chunk: Chunk, from_ns: int, to_ns: int) -> Chunk:
    rows = slice(*np.searchsorted(chunk[0], (from_ns, to_ns)))
    return chunk[0][rows], chunk[1][rows], chunk[2][rows]


def of_plant(columns: Columns, plant: str) -> Columns:
    """The measurements of one plant: what a gateway says of another plant than its own is not its to say."""
    if all(series.plant == plant for series in columns.series):
        return columns
    keep = np.array([series.plant == plant for series in columns.series], np.bool_)
    return columns.take(keep[columns.series_index])

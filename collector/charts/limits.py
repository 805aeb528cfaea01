"""The limits in force as points, so that the lines of charts are those that are judged by.

    limit,bound=high,clause=gb13223-2011/so2-hour,...,window=1h value=200,daily=200 <hour>

Rules of this file:

- `value` is at each full hour of the local day at which the clause holds, so that a line crosses every chart; `daily`
  is there where one of the clause's windows begins, for charts with one value a window;
- of a limit that depends on other channels it is the loosest that could hold; what was held against a broken one the
  exceedance has;
- past days come with the averages they judged; today and tomorrow are told ahead, and told anew when a permit or a
  pack changes, without what holds no more.

Pure but for the clock of `Ahead`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from collector.charts.feed import LIMIT, Drop, Mark, Point, Row
from collector.verdicts.limits import Clause
from collector.verdicts.points import PointRules
from collector.verdicts.windows import HOUR_NS, KINDS, local_date
from gateway.measurement import Int64

Rules: TypeAlias = Mapping[tuple[str, str], PointRules]  # plant, point
LONG = KINDS[KINDS.index("month") :]  # hold on days at which none of their windows begins
DAY_NS = 24 * HOUR_NS
SLOT_NS = 12 * HOUR_NS  # so often today and tomorrow are told, whatever the time zone


def limit_points(rules: PointRules, time_ns: int) -> tuple[Point, ...]:
    """The limits in force at a point on the local day of an instant."""
    day = rules.windows("24h", time_ns, time_ns + 1)
    from_ns, to_ns = int(day.from_ns[0]), int(day.to_ns[0])
    clauses = rules.clauses(local_date(rules.timezone, from_ns))
    return tuple(point for clause in clauses for point in _of_clause(rules, clause, from_ns, to_ns))


def _of_clause(rules: PointRules, clause: Clause, from_ns: int, to_ns: int) -> Iterator[Point]:
    tags = {
        "plant": rules.plant, "point": rules.point, "parameter": clause.parameter, "window": clause.window,
        "unit": clause.unit, "pack": clause.pack, "clause": clause.key, "standing": clause.standing.value,
        "statistic": clause.statistic,
    }  # fmt: skip
    begins, hours = _instants(rules, clause, from_ns, to_ns)
    starts = set(begins.tolist())
    low, high = clause.bounds()
    for bound, value in (("low", low), ("high", high)):
        if value is None or not math.isfinite(value):
            continue
        for hour in hours.tolist():
            daily = {"daily": value} if hour in starts else {}
            yield Point(LIMIT, {**tags, "bound": bound}, {"value": value, **daily}, hour)


def _instants(rules: PointRules, clause: Clause, from_ns: int, to_ns: int) -> tuple[Int64, Int64]:
    """When windows of a clause begin on a day, and the hours at which it holds, those of a night after midnight too."""
    windows = rules.windows(clause.window, from_ns, to_ns)
    own = (windows.from_ns >= from_ns) & (windows.from_ns < to_ns) & rules.applies(clause, windows.from_ns)
    begins = windows.from_ns[own]
    if clause.window in LONG:
        return begins, np.arange(from_ns, to_ns, HOUR_NS)
    mine = own[windows.piece_window]
    pieces = zip(windows.piece_from[mine].tolist(), windows.piece_to[mine].tolist(), strict=True)
    spans = [np.arange(from_ns + (a - from_ns) // HOUR_NS * HOUR_NS, b, HOUR_NS) for a, b in pieces]
    return begins, np.unique(np.concatenate([begins, *spans]))


class Ahead:
    """Tells the limits of today and tomorrow. A feed of one row, which is another one when day or law has changed."""

    name = "limits ahead"

    def __init__(self, rules: Rules, now_ns: Callable[[], int]) -> None:
        self._rules, self._now_ns = rules, now_ns
        self._row = Row(0, 0, ())

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The limits from today's begin on, where that is not what was told last."""
        now_ns = self._now_ns()
        if self._row.id != now_ns // SLOT_NS:
            self._row = _ahead(self._rules, now_ns)
        return [] if after == (self._row.id, self._row.check) else [self._row][:limit]


def _ahead(rules: Rules, now_ns: int) -> Row:
    begins: dict[str, int] = {}
    points: list[Point] = []
    for (plant, _), one in rules.items():
        begin_ns = int(one.windows("24h", now_ns, now_ns + 1).from_ns[0])
        begins[plant] = min(begin_ns, begins.get(plant, begin_ns))
        # Yesterday's night lasts until this morning.
        told = [p for days in (-1, 0, 1) for p in limit_points(one, begin_ns + days * DAY_NS + DAY_NS // 2)]
        points += [point for point in told if point.time_ns >= begin_ns]
    drops = tuple(Drop(LIMIT, {"plant": plant}, begin_ns) for plant, begin_ns in begins.items())
    said = repr([(sorted(p.tags.items()), sorted(p.fields.items()), p.time_ns) for p in points])
    return Row(now_ns // SLOT_NS, zlib.crc32(said.encode()), tuple(points), drops)

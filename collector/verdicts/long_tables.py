"""Tables of months, rolling 30 days and years, made of the averages of their days.

What `tables` makes of all measurements, this makes of the days' sums (`day_sums`), so that a year costs what reading
its days costs. For means, sums, maxima, energy and flow-weighted averages, levels of whole days, converted and
validated values and validity both come to the same. It cannot be the same where a result hangs on every single value:

- a median over a long window is the median of its days' medians, each for as long as its values stand for; the
  record says so;
- a long window has no percentiles.

How long the plant ran on a day, whatever was measured at the point that day tells; of a day without any measurement,
the marks do. A window one of whose days came from a version that kept no sums is left out. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collector.verdicts import noise, unequal
from collector.verdicts.day_levels import COMPOSITE, Periods, composing, composite_hours, day_level_table
from collector.verdicts.day_sums import DAY, LONG, part_key
from collector.verdicts.loads import HOUR
from collector.verdicts.parts import BY_FLOW, CONVERTED, LENGTH_NS, MEAN, TIMED, Part, composed, enough, ratio
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import REASONS, Booleans
from collector.verdicts.segments import Segments
from collector.verdicts.states import Scope
from collector.verdicts.tables import CONDITIONS, Table, Tables, snapped
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS, Windows
from gateway.measurement import Float64, Int64

MEDIAN = "median of 24h medians"
# What is told of a median, and what concentrations in water are averaged by where nobody measured the flow.
_METHODS = {"median": MEDIAN, BY_FLOW: "mean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTable(Table):
    """A table of long windows. segments: which of its days lie in each. statuses: as by_status."""

    statuses: Int64

    @property
    def by_status(self) -> Int64:
        """How many values of each status there are, shape (n, number of statuses)."""
        return self.statuses


class LongTables(Tables):
    """The tables of one point's long windows, as one of its views counts validity.

    days: averages of whole days with their sums, newest versions. view: `day_sums.view_key` of it.
    wanted: the windows by kind. scope: which time counts, as marks alone say it; None = all.
    """

    def __init__(
        self, rules: PointRules, view: str, days: Sequence[Average], wanted: Mapping[str, Windows],
        scope: Scope | None = None,
    ) -> None:  # fmt: skip
        super().__init__(rules, {}, 0, 0, scope=scope)
        self._view = view
        self._laid.update(wanted)
        self._long: dict[tuple[str, str], LongTable | None] = {}
        self._ran: dict[str, tuple[Windows, Int64]] = {}
        self._days: dict[str, list[Average]] = {}
        for day in sorted(days, key=lambda day: day.from_ns):
            self._days.setdefault(day.parameter, []).append(day)

    @property
    def parameters(self) -> list[str]:
        """The parameters that have days, in alphabetical order."""
        return sorted(self._days)

    def unit(self, parameter: str) -> str:
        """The unit of a parameter that has days."""
        return self._days[parameter][-1].unit

    def days(self, parameter: str) -> Sequence[Average]:
        """The days of a parameter, in order: those that `LongTable.segments` speaks of."""
        return self._days[parameter]

    def table(self, parameter: str, kind: str) -> LongTable | None:
        """The table of a parameter; None where it has no days, or they can make none, or the kind is not wanted."""
        key = (parameter, kind)
        if key not in self._long:
            there = parameter in self._days and kind in LONG and len(self._laid.get(kind, ()))
            self._long[key] = self._of_days(parameter, kind) if there else None
        return self._long[key]

    def length_ns(self, windows: Windows, validity: Validity) -> Int64:
        """How much of the time of each long window a rule asks measurements of, shape (windows,). [ns]"""
        days, ran_ns = self._asked(part_key(validity))
        more = ran_ns - super().length_ns(days, validity)
        return super().length_ns(windows, validity) + _inside(windows, days.from_ns).total(more).astype(np.int64)

    def _asked(self, part: str) -> tuple[Windows, Int64]:
        """The days on which anything was measured at the point, and how much of each is asked. part: `part_key`."""
        if part not in self._ran:
            told = {
                (day.from_ns, day.to_ns): its["ran_ns"]
                for days in self._days.values()
                for day in days
                if "ran_ns" in (its := _seen(day, self._view).get(part, {}))
            }
            from_ns, to_ns = np.array(sorted(told), np.int64).reshape(-1, 2).T
            ran_ns = np.array([told[day] for day in sorted(told)], np.int64)
            self._ran[part] = Windows(DAY, from_ns, to_ns, from_ns, to_ns, np.arange(len(told))), ran_ns
        return self._ran[part]

    def _of_days(self, parameter: str, kind: str) -> LongTable | None:
        rules, windows, validity = self._rules, self._laid[kind], self._rules.validity[kind]
        days = _Days(self._days[parameter], part_key(validity), self._view)
        inside, length = _inside(windows, days.from_ns), self.length_ns(windows, validity)
        method = rules.method(parameter)
        flow = method == BY_FLOW and bool(days.flow.any())
        table = _plain(windows, days, inside, method if flow else _METHODS.get(method, method), validity, length)
        if days.composite:
            pack = composing(rules, parameter)
            if pack is None:  # no more: the point names another one now
                return None
            spans = rules.windows(HOUR, int(windows.from_ns.min()), int(windows.to_ns.max()))
            found = days.in_periods(composite_hours(pack, rules.settings)).within(inside)
            return day_level_table(pack, rules, found, spans, table, validity)
        if np.isfinite(days.hours).any():
            table = _load(table, days, inside, validity)
        else:
            table = composed(table, _parts(days, inside, flow=flow), validity, length, days.steps)
        return snapped(table)


def _inside(windows: Windows, from_ns: Int64) -> Segments:
    """Which days, by their rising starts, lie in each long window."""
    first, last = np.searchsorted(from_ns, windows.from_ns), np.searchsorted(from_ns, windows.to_ns)
    return Segments(first, last, np.arange(len(windows)), len(windows))


def _seen(day: Average, view: str) -> Mapping[str, Any]:
    """What a day keeps for a view of the point; where this sees what is shown, what it keeps for that."""
    views: Mapping[str, Any] = day.sums.get("views", {})
    seen: Mapping[str, Any] = views.get(view, views.get("", {}))
    return seen


class _Days:
    """The days of one parameter by column, shape (n,) each; NaN = none."""

    def __init__(self, days: Sequence[Average], part: str, view: str) -> None:
        its = [_seen(day, view) for day in days]
        shown = [{"count": d.count, "value": d.value, "maximum": d.maximum, **d.sums} for d in days]
        values: list[Mapping[str, Any]] = [one.get("values") or other for one, other in zip(its, shown, strict=True)]
        self.from_ns = np.array([day.from_ns for day in days], np.int64)
        self.count = np.array([one["count"] for one in values], np.int64)
        self.value = _column([one["value"] for one in values])
        self.maximum = _column([one["maximum"] for one in values])
        self.direct = _column([one.get("direct") for one in values])
        self.covered = np.array([one.get("covered_ns", 0) for one in values], np.float64)
        # How many hours of a load there are (`loads`), NaN of everything else; what it is made of is told with it.
        self.hours = _column([day.inputs.get("derived", {}).get("hours") for day in days])
        self.valid = np.array([day.valid for day in days])
        methods = [day.inputs.get("method") for day in days]
        self.flow = np.array([method == BY_FLOW for method in methods])
        self.composite = COMPOSITE in methods
        kept = "periods" if self.composite else "covered_ns"
        self.whole = np.array([kept in day.sums or not day.inputs for day in days])
        self.statuses = np.array([_statuses(day.inputs.get("counts", {})) for day in days], np.int64)
        self.steps = next((s for day in reversed(days) if (s := _steps(day))), ())
        self._parts = [one.get(part, {}) for one in its]
        self._values = values

    def part(self, name: str) -> Float64:
        """One of the means of the windows that the rule counts."""
        return _column([part.get(name) for part in self._parts])

    def time(self, name: str) -> Float64:
        """One of their times or weights, 0 where there is none."""
        return np.nan_to_num(self.part(name))

    def in_periods(self, names: Collection[str]) -> Periods:
        """The valid hours of each day by some periods of the day."""
        found: dict[str, list[Mapping[str, Any]]] = {
            name: [one.get("periods", {}).get(name, {}) for one in self._values] for name in names
        }
        return Periods(
            level={name: _column([one.get("level") for one in its]) for name, its in found.items()},
            time_ns={name: _column([one.get("ns", 0) for one in its]) for name, its in found.items()},
            number=_column([one.get("hours", 0) for one in self._values]), covered_ns=self.covered,
        )  # fmt: skip


def _column(values: Sequence[float | None]) -> Float64:
    return np.array(values, np.float64)  # None becomes NaN


def _statuses(counts: Mapping[str, int]) -> list[int]:
    return [counts.get(reason, 0) for reason in REASONS]


def _steps(day: Average) -> tuple[str, ...]:
    return tuple(step["step"] for step in day.inputs.get("corrections", ()))


def _plain(
    windows: Windows, days: _Days, inside: Segments, method: str, validity: Validity, length_ns: Int64
) -> LongTable:
    """The table of long windows as all values make it, valid or not by these alone. length_ns: time that is asked."""
    count, covered = inside.total(days.count), inside.total(days.covered)
    # As many values could be there as fill the window at the rate of those that are.
    filled = np.asarray(np.round(np.nan_to_num(ratio(length_ns * count, covered)), 6), np.float64)
    valid = enough(validity, count, filled) & (count > 0)
    statuses = np.stack([inside.total(column) for column in days.statuses.T], axis=1).astype(np.int64)
    whole = inside.number(~days.whole) == 0
    return LongTable(
        windows=windows, method=method, value=_direct(method, days, inside), valid=valid,
        coverage=np.minimum(covered / np.maximum(length_ns, 1), 1.0),
        measured=np.where(whole, statuses.sum(axis=1), 0), count=count.astype(np.int64),
        maximum=_largest(inside, days.maximum), parts=count, expected=filled, segments=inside,
        status=np.zeros(0, np.uint8), statuses=statuses,
    )  # fmt: skip


def _direct(method: str, days: _Days, inside: Segments) -> Float64:
    """The average of all values of each window, NaN where there is none."""
    time = np.where(np.isnan(days.hours), days.covered, np.nan_to_num(days.hours) * HOUR_NS)
    some = time > 0.0
    inside = inside.among(some)
    rows = np.flatnonzero(some)[inside.rows()]
    group, n = np.repeat(inside.window, inside.stop - inside.start), inside.windows
    time = time[rows]
    if method == "maximum":
        return _largest(inside, days.maximum[some])
    if method == "energy":
        return noise.energy_average_by(days.direct[rows], group, n, time)
    if method == MEDIAN:
        return unequal.median_by(days.value[rows], group, n, time.astype(np.int64))
    if method == "sum":
        return np.where(inside.count() > 0, np.bincount(group, days.direct[rows], n), np.nan)
    return unequal.mean_by(days.direct[rows], group, n, time)


def _parts(days: _Days, inside: Segments, *, flow: bool) -> dict[str, Part]:
    """What the windows that the rule counts come to in long ones, by what they come to in their days."""

    def part(name: str, of: str, rows: Booleans) -> Part:
        weight = np.where(rows, days.time(f"{of}weight"), 0.0)
        total, some = inside.total(weight), weight > 0.0
        mean = ratio(inside.total(np.where(some, days.part(name) * weight, 0.0)), total)
        return Part(inside.total(np.where(rows, days.time(f"{of}ns"), 0.0)), total, mean)

    every = np.ones(len(days.flow), np.bool_)
    # A day without a flow has no say in what is weighted by the flow.
    found = {MEAN: part(MEAN, "", days.flow if flow else every)}
    if days.steps:
        found |= {name: part(name, f"{name}_", every) for name in TIMED}
        found |= {name: part(name, f"{CONVERTED}_", every) for name in CONDITIONS}
    return found


def _load(table: LongTable, days: _Days, inside: Segments, validity: Validity) -> LongTable:
    """A load by its days or hours, as the rule counts them."""
    hours, windows = inside.total(np.nan_to_num(days.hours)), table.windows
    if validity.part in (DAY, "day"):
        parts = inside.number(days.valid).astype(np.float64)
        expected = np.asarray(np.round(windows.length_ns / LENGTH_NS[DAY]), np.float64)
    else:
        unit = FIXED_NS.get(validity.part, HOUR_NS)
        parts, expected = np.asarray(np.round(hours * HOUR_NS / unit, 6), np.float64), windows.length_ns / unit
    return replace(table, parts=parts, expected=expected, valid=(hours > 0.0) & validity.enough(parts, expected))


def _largest(inside: Segments, column: Float64) -> Float64:
    """The largest value of each window, NaN where there is none."""
    there = ~np.isnan(column)
    return inside.among(there).largest(column[there])

"""Tables of months, rolling 30 days and years, made of the averages of their days.

What `tables` makes of all measurements, this makes of the days' sums (`day_sums`), so that a year costs what reading
its days costs. For means, sums, maxima, energy and flow-weighted averages, for converted and validated values and for
validity both come to the same. It cannot be the same where a result hangs on every single value:

- a median over a long window is the median of its days' medians, each for as long as its values stand for; the
  record says so;
- a long window has no percentiles.

A window one of whose days came from a version that kept no sums is left out. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collector.verdicts import noise, unequal
from collector.verdicts.day_sums import DAY, LENGTH_NS, LONG, part_key
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import REASONS, Booleans
from collector.verdicts.segments import Segments
from collector.verdicts.tables import CONDITIONS, DIGITS, DILUTED, Table, Tables
from collector.verdicts.tables import _enough as parts_enough
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS, Windows
from gateway.measurement import Float64, Int64

MEDIAN = "median of 24h medians"


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
    wanted: the windows by kind.
    """

    def __init__(self, rules: PointRules, view: str, days: Sequence[Average], wanted: Mapping[str, Windows]) -> None:
        super().__init__(rules, {}, 0, 0)
        self._view = view
        self._laid.update(wanted)
        self._long: dict[tuple[str, str], LongTable | None] = {}
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
        """The table of a parameter; None where it has no days, or the kind is not wanted or not long."""
        key = (parameter, kind)
        if key not in self._long:
            there = parameter in self._days and kind in LONG and len(self._laid.get(kind, ()))
            self._long[key] = self._of_days(parameter, kind) if there else None
        return self._long[key]

    def _of_days(self, parameter: str, kind: str) -> LongTable:
        validity = self._rules.validity[kind]
        columns = _Days(self._days[parameter], validity, self._view)
        return _table(self._laid[kind], columns, self._rules.method(parameter), validity)


class _Days:
    """The days of one parameter by column, shape (n,) each; NaN = none."""

    def __init__(self, days: Sequence[Average], validity: Validity, view: str) -> None:
        sums = [day.sums for day in days]
        self.from_ns = np.array([day.from_ns for day in days], np.int64)
        self.length = np.array([day.to_ns - day.from_ns for day in days], np.int64)
        views: list[Mapping[str, Any]] = [one.get("views", {}) for one in sums]
        its = [one.get(view, one.get("", {})) for one in views]
        shown = [{"count": d.count, "value": d.value, "maximum": d.maximum, **d.sums} for d in days]
        values = [one.get("values") or other for one, other in zip(its, shown, strict=True)]
        self.parts = [one.get(part_key(validity), {}) for one in its]
        self.count = np.array([one["count"] for one in values], np.int64)
        self.value = _column([one["value"] for one in values])
        self.maximum = _column([one["maximum"] for one in values])
        self.direct = _column([one.get("direct") for one in values])
        self.covered = np.array([one.get("covered_ns", 0) for one in values], np.float64)
        self.whole = np.array([bool(one) or not day.inputs for one, day in zip(sums, days, strict=True)])
        # How many hours of a load there are (`loads`), NaN of everything else; what it is made of is told with it.
        self.hours = _column([day.inputs.get("derived", {}).get("hours") for day in days])
        self.valid = np.array([day.valid for day in days])
        self.flow = np.array([day.inputs.get("method") == "flow_weighted" for day in days])
        self.statuses = np.array([_statuses(day.inputs.get("counts", {})) for day in days], np.int64)
        self.steps = next((s for day in reversed(days) if (s := _steps(day))), ())

    def part(self, name: str) -> Float64:
        """One of the means of the windows that the rule counts."""
        return _column([part.get(name) for part in self.parts])

    def time(self, name: str) -> Float64:
        """One of their times or weights, 0 where there is none."""
        return np.nan_to_num(self.part(name))


def _column(values: Sequence[float | None]) -> Float64:
    return np.array(values, np.float64)  # None becomes NaN


def _statuses(counts: Mapping[str, int]) -> list[int]:
    return [counts.get(reason, 0) for reason in REASONS]


def _steps(day: Average) -> tuple[str, ...]:
    return tuple(step["step"] for step in day.inputs.get("corrections", ()))


def _table(windows: Windows, days: _Days, method: str, validity: Validity) -> LongTable:
    """The table of long windows."""
    first, last = np.searchsorted(days.from_ns, windows.from_ns), np.searchsorted(days.from_ns, windows.to_ns)
    inside = Segments(first, last, np.arange(len(windows)), len(windows))
    # A day of which nothing is known counts as a whole.
    ran = np.array(
        [part.get("ran_ns", ns) for part, ns in zip(days.parts, days.length.tolist(), strict=True)], np.int64
    )
    length = windows.length_ns - inside.total(days.length - ran)

    def means(column: Float64, weight: Float64) -> Float64:
        rows = weight > 0.0
        whole = inside.total(np.where(rows, weight, 0.0))
        summed = inside.total(np.where(rows, column * weight, 0.0))
        return np.asarray(np.divide(summed, whole, out=np.full(len(whole), np.nan), where=whole > 0.0))

    count, covered = inside.total(days.count), inside.total(days.covered)
    flow = method == "flow_weighted" and bool(days.flow.any())
    # A day without a flow has no say in what is weighted by the flow.
    there = days.flow if flow else np.ones(len(days.flow), np.bool_)
    unit = LENGTH_NS.get(validity.part, 0)
    value = _direct(method, days, inside)
    load = bool(np.isfinite(days.hours).any())
    if flow or (method in ("mean", "flow_weighted") and unit and not load):
        made = means(days.part("mean"), np.where(there, days.time("weight"), 0.0))
        value = made if flow else np.where(np.isnan(made), value, made)
    # As many values could be there as fill the window at the rate of those that are.
    filled = np.divide(length * count, covered, out=np.zeros(len(length)), where=covered > 0)
    expected: Float64 = length / unit if unit else np.asarray(np.round(filled, 6), np.float64)

    def enough(time: Float64) -> tuple[Float64, Booleans]:
        parts = np.asarray(np.round(inside.total(time) / unit, 6) if unit else count, np.float64)
        return parts, parts_enough(validity, parts, expected)

    parts, valid = enough(np.where(there, days.time("ns"), 0.0))
    valid &= (count > 0) & (~np.isnan(value) if flow else True)
    if load:
        parts, valid = _load_parts(windows, days, inside, validity)
    statuses = np.stack([inside.total(column) for column in days.statuses.T], axis=1).astype(np.int64)
    whole = inside.number(~days.whole) == 0
    table = LongTable(
        windows=windows, method=_METHODS.get(method, method) if not flow else method, value=np.round(value, DIGITS),
        coverage=np.minimum(covered / np.maximum(length, 1), 1.0), valid=valid, count=count.astype(np.int64),
        measured=np.where(whole, statuses.sum(axis=1), 0), maximum=_largest(inside, days.maximum), parts=parts,
        segments=inside, status=np.zeros(0, np.uint8), statuses=statuses,
    )  # fmt: skip
    if not days.steps:
        return table

    def snapped(name: str, of: str) -> Float64:
        return np.asarray(np.round(means(days.part(name), days.time(f"{of}_weight")), DIGITS), np.float64)

    def counted(name: str) -> Float64:
        ok = enough(days.time(f"{name}_ns"))[1] if unit else valid
        return np.where(ok, snapped(name, name), np.nan)

    conditions = {**{name: snapped(name, "converted") for name in CONDITIONS}, DILUTED: snapped(DILUTED, DILUTED)}
    return replace(
        table, steps=days.steps, converted=counted("converted"), standard_dry=counted("standard_dry"),
        conditions=conditions,
    )  # fmt: skip


# What is told of a median, and what concentrations in water are averaged by where nobody measured the flow.
_METHODS = {"median": MEDIAN, "flow_weighted": "mean"}


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
    if method == "median":
        return unequal.median_by(days.value[rows], group, n, time.astype(np.int64))
    if method == "sum":
        return np.where(inside.count() > 0, np.bincount(group, days.direct[rows], n), np.nan)
    return unequal.mean_by(days.direct[rows], group, n, time)


def _load_parts(windows: Windows, days: _Days, inside: Segments, validity: Validity) -> tuple[Float64, Booleans]:
    """How many parts of a load there are, days or hours as the rule counts, and whether they are enough."""
    hours = inside.total(np.nan_to_num(days.hours))
    if validity.part in (DAY, "day"):
        parts = inside.number(days.valid).astype(np.float64)
        expected = np.asarray(np.round(windows.length_ns / LENGTH_NS[DAY]), np.float64)
    else:
        unit = FIXED_NS.get(validity.part, HOUR_NS)
        parts, expected = np.asarray(np.round(hours * HOUR_NS / unit, 6), np.float64), windows.length_ns / unit
    return parts, (hours > 0.0) & validity.enough(parts, expected)


def _largest(inside: Segments, column: Float64) -> Float64:
    """The largest value of each window, NaN where there is none."""
    there = ~np.isnan(column)
    return inside.among(there).largest(column[there])

"""Averages by column: all windows of one kind of one parameter at once.

How a table comes about:

- the shortest kind a parameter has is its *base*: one minute, or as long as its values stand for
  (an hourly file has no minutes). At the base, values are averaged directly;
- levels, medians, maxima and sums are always made of the values themselves (an energy mean of means
  over unequal minutes would be wrong), each for as long as it stands for: where instruments of
  different intervals measured in one window, time is counted, not values (`unequal`);
- means of longer windows are made of the valid windows that the rule counts: an hour of its valid
  minutes, a day of its valid hours. A concentration in water is weighted by the flow of each;
- a stack's concentration is converted (`corrections`) at the base, with the gas conditions of the
  same minute, and the converted values are averaged on. A converted average needs as many valid
  parts as any other;
- where nothing valid went in, the plain average is still shown, as not valid;
- results are freed of the dust of binary arithmetic (DIGITS): the energy mean of equal levels of 50.5
  is 50.5, which rounds to 50, and never 50.500000000000007, which would round to 51.

Pure. NaN means "no value" in every column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts import corrections, noise, unequal, water
from collector.verdicts.points import PointRules
from collector.verdicts.screening import Booleans, Signal, by_status, usable
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS, KINDS, MINUTE_NS, Windows
from gateway.measurement import Float64, Int64

FLOW = "flow"
DIGITS = 9  # decimals kept; no instrument has as many, and no result is as exact
# The gas conditions that corrections take, and the factor to their unit there (pressure: kPa to Pa).
CONDITIONS = {"oxygen_percent": ("O2", 1.0), "temperature_c": ("temperature", 1.0),
              "static_pa": ("pressure", 1e3), "moisture_percent": ("moisture", 1.0)}  # fmt: skip
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_LENGTH_NS = {**FIXED_NS, "24h": 24 * HOUR_NS, "day": 24 * HOUR_NS}  # of parts that rules count


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The windows of one kind of one parameter; row i of every column is window i.

    value, coverage (0 to 1), maximum: shape (n,). valid: shape (n,). count: values that went in, shape (n,).
    by_status: shape (n, number of statuses). parts: valid parts, as many as `validity` counts, shape (n,).
    method: how the values were averaged. weight: of each window in longer ones, shape (n,).
    percentiles: shape (n, len(noise.PERCENTILES)), None where it is no level.
    converted: the concentration as the limit means it; standard_dry and conditions: on the way there, shape (n,).
    """

    windows: Windows
    method: str
    value: Float64
    coverage: Float64
    valid: Booleans
    count: Int64
    maximum: Float64
    by_status: Int64
    parts: Float64
    weight: Float64
    percentiles: Float64 | None = None
    converted: Float64 | None = None
    steps: tuple[str, ...] = ()
    standard_dry: Float64 | None = None
    conditions: Mapping[str, Float64] = field(default_factory=dict)


class Tables:
    """The tables of one point over one span of time, each made when first asked for.

    signals: all measurements of the point in [from_ns, to_ns), by parameter.
    """

    def __init__(self, rules: PointRules, signals: Mapping[str, Signal], from_ns: int, to_ns: int) -> None:
        self._rules = rules
        self._signals = {name: signal for name, signal in signals.items() if len(signal)}
        self._usable = {name: usable(signal.value, signal.status) for name, signal in self._signals.items()}
        self._span = (from_ns, to_ns)
        self._tables: dict[tuple[str, str], Table | None] = {}
        self._laid: dict[str, Windows] = {}

    @property
    def parameters(self) -> list[str]:
        """The parameters that have measurements, in alphabetical order."""
        return sorted(self._signals)

    def unit(self, parameter: str) -> str:
        """The unit of a parameter that has measurements."""
        return self._signals[parameter].unit

    def windows(self, kind: str) -> Windows:
        """All windows of a kind that overlap the span; those at its ends may reach over it."""
        if kind not in self._laid:
            self._laid[kind] = self._rules.windows(kind, *self._span)
        return self._laid[kind]

    def table(self, parameter: str, kind: str) -> Table | None:
        """The table of a parameter; None where it has no measurements, or the windows are shorter than they are."""
        key = (parameter, kind)
        if key not in self._tables:
            there = parameter in self._signals and _RANK[kind] >= _RANK[self.base(parameter)]
            self._tables[key] = _snapped(self._make(parameter, kind)) if there else None
        return self._tables[key]

    # --- how a table is made -----------------------------------------------------------------------

    def _method(self, parameter: str) -> str:
        method = self._rules.method(parameter)
        return "mean" if method == "flow_weighted" and FLOW not in self._signals else method

    def base(self, parameter: str) -> str:
        """The shortest kind of window a parameter has."""
        longest = self._signals[parameter].coarsest_ns
        if self._method(parameter) == "flow_weighted":
            longest = max(longest, self._signals[FLOW].coarsest_ns)
        return next((kind for kind, length in FIXED_NS.items() if length >= max(longest, MINUTE_NS)), "24h")

    def _make(self, parameter: str, kind: str) -> Table:
        if kind != "30d":
            return self._layer(parameter, self.windows(kind))
        layers = [(rows, self._layer(parameter, layer)) for rows, layer in self.windows(kind).layers()]
        return _interleaved(self.windows(kind), layers)

    def _layer(self, parameter: str, windows: Windows) -> Table:
        """The table of windows that do not overlap."""
        table = self._direct(parameter, windows)
        if windows.kind == self.base(parameter):
            return self._converted(parameter, self._weighted(table))
        validity = self._rules.validity[windows.kind]
        parts = self._parts(parameter, validity)
        if parts is None:
            return table
        return _composed(table, parts, validity)

    def _parts(self, parameter: str, validity: Validity) -> Table | None:
        """The windows that a longer one is made of: those the rule counts, else those of the base."""
        base = self.base(parameter)
        declared = validity.part
        longer = declared in KINDS and _RANK[base] <= _RANK[declared] < _RANK[validity.window]
        return self.table(parameter, declared if longer else base)

    def _direct(self, parameter: str, windows: Windows) -> Table:
        """Averages made of the values themselves."""
        signal, good, n = self._signals[parameter], self._usable[parameter], len(windows)
        place = windows.place(signal.time_ns)
        inside = place >= 0
        counted = inside & good
        group, value = place[counted], signal.value[counted]
        count = np.bincount(group, minlength=n)
        interval_ns = signal.interval_ns[counted]
        covered = np.bincount(group, interval_ns, n)
        unlike = interval_ns if len(set(signal.intervals_ns)) > 1 else None
        statuses = by_status(signal.status[inside], place[inside], n)
        validity = self._rules.validity[windows.kind]
        length = windows.length_ns
        parts, expected = _parts_by_values(
            validity, count, covered, length, signal.coarsest_ns if unlike is None else None
        )
        method = self._method(parameter)
        return Table(
            windows=windows, method=method, count=count, by_status=statuses, parts=parts,
            value=_value(method, value, group, n, unlike), coverage=np.minimum(covered / length, 1.0),
            valid=_enough(validity, parts, expected) & (count > 0), maximum=_maximum(value, group, n),
            weight=np.ones(n), percentiles=_percentiles(value, group, n, unlike) if method == "energy" else None,
        )  # fmt: skip

    def _weighted(self, base: Table) -> Table:
        """Base windows of a concentration in water, weighted by the flow of the same windows."""
        if base.method != "flow_weighted":
            return base
        flow = self.table(FLOW, base.windows.kind)
        assert flow is not None, "the base is not shorter than the flow's"
        return replace(base, weight=np.where(flow.valid & (flow.value > 0.0), flow.value, np.nan))

    def _converted(self, parameter: str, base: Table) -> Table:
        """Base windows of a stack's concentration, converted with the gas conditions of the same windows."""
        stack = self._rules.stack
        if stack is None or not self._rules.corrects(parameter, self._signals[parameter].unit):
            return base
        known = {name: factor * self._condition(other, base) for name, (other, factor) in CONDITIONS.items()}
        result = corrections.convert(base.value, stack, **known)
        known["oxygen_percent"] = result.oxygen_dry
        shape = base.value.shape
        return replace(
            base, steps=result.steps, conditions=known, converted=np.broadcast_to(result.converted, shape),
            standard_dry=np.broadcast_to(result.standard_dry, shape),
        )  # fmt: skip

    def _condition(self, parameter: str, base: Table) -> Float64:
        """A gas condition by window, NaN where it is not known well enough."""
        table = self.table(parameter, base.windows.kind)
        return np.full(len(base.windows), np.nan) if table is None else np.where(table.valid, table.value, np.nan)


def _snapped(table: Table) -> Table:
    """A table whose results carry no more digits than mean anything."""

    def snap(column: Float64 | None) -> Any:  # noqa: ANN401 - None stays None, an array an array
        return None if column is None else np.round(column, DIGITS)

    return replace(
        table, value=snap(table.value), percentiles=snap(table.percentiles),
        converted=snap(table.converted), standard_dry=snap(table.standard_dry),
        conditions={name: snap(column) for name, column in table.conditions.items()},
    )  # fmt: skip


def _value(method: str, value: Float64, group: npt.NDArray[np.intp], n: int, unlike: Int64 | None) -> Float64:
    """One value a group, NaN for a group without any. unlike: the time each value stands for, None = all the same."""
    if method == "maximum":
        return _maximum(value, group, n)
    if unlike is not None and method != "sum":
        return _timed(method, value, group, n, unlike)
    if method == "energy":
        return noise.energy_average_by(value, group, n)
    if method == "median":
        return water.median_by(value, group, n)
    count = np.bincount(group, minlength=n)
    total = np.where(count > 0, np.bincount(group, value, n), np.nan)
    return np.asarray(total if method == "sum" else total / np.maximum(count, 1))


def _timed(method: str, value: Float64, group: npt.NDArray[np.intp], n: int, interval_ns: Int64) -> Float64:
    """One value a group, NaN for a group without any, each value counted for the time it stands for."""
    if method == "median":
        return unequal.median_by(value, group, n, interval_ns)
    weights = unequal.time_weights(interval_ns, group, n)
    average = noise.energy_average_by if method == "energy" else unequal.mean_by
    return average(value, group, n, weights)


def _maximum(value: Float64, group: npt.NDArray[np.intp], n: int) -> Float64:
    """The largest value of each group; groups stand in rising order."""
    result = np.full(n, np.nan)
    if len(value):
        first = np.flatnonzero(np.diff(group, prepend=-1))
        result[group[first]] = np.maximum.reduceat(value, first)
    return result


def _percentiles(value: Float64, group: npt.NDArray[np.intp], n: int, unlike: Int64 | None) -> Float64:
    """The levels exceeded N % of the time, by linear interpolation as in `noise.percentile_level`; shape (n, k)."""
    if unlike is not None:
        return unequal.percentiles_by(value, group, n, unlike, noise.PERCENTILES)
    ranked = value[np.lexsort((value, group))]
    count = np.bincount(group, minlength=n)
    first = np.cumsum(count) - count
    share = 1.0 - np.array(noise.PERCENTILES) / 100.0
    place = np.maximum(count - 1, 0)[:, None] * share
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    result = np.full((n, len(share)), np.nan)
    some = count > 0
    lower, upper = ranked[(first[:, None] + low)[some]], ranked[(first[:, None] + high)[some]]
    result[some] = lower + (upper - lower) * (place - low)[some]
    return result


def _parts_by_values(
    validity: Validity,
    count: npt.NDArray[np.intp],
    covered_ns: npt.NDArray[Any],
    length_ns: Int64,
    interval_ns: int | None,
) -> tuple[Float64, Float64]:
    """How many parts there are and could be, counted from values: these, or the minutes or hours they cover.

    interval_ns: None = values of several intervals; as many could be there as fill the window at the rate of those
    that are.
    """
    if validity.part in _LENGTH_NS:
        part = _LENGTH_NS[validity.part]
        return np.floor(covered_ns / part), length_ns / part
    if interval_ns is not None:
        return count.astype(np.float64), length_ns / interval_ns
    filled = np.divide(length_ns * count.astype(np.float64), covered_ns, out=np.zeros(len(count)), where=count > 0)
    return count.astype(np.float64), np.round(filled, 6)


def _enough(validity: Validity, parts: Float64, expected: Float64) -> Booleans:
    """Whether the parts make a window valid; all of them where there cannot be as many as the rule counts.

    A rule like "12 values a minute" is made for values every 5 s; of a file of minutes, one is all there is.
    """
    enough = validity.enough(parts, expected)
    if validity.minimum is None:
        return enough
    whole = np.floor(expected + 1e-9)
    return np.asarray(np.where(whole < validity.minimum, parts >= np.maximum(whole, 1.0), enough))


def _composed(table: Table, parts: Table, validity: Validity) -> Table:
    """A table whose means and validity come from shorter windows; other values stay as they are."""
    n = len(table.windows)
    place = _place(table.windows, parts.windows)
    valid = parts.valid & (place >= 0)
    length = parts.windows.length_ns
    counts_windows = validity.part in _LENGTH_NS
    unit = _LENGTH_NS[validity.part] if counts_windows else 1
    expected = table.windows.length_ns / unit

    def means(column: Float64, weight: Float64, rows: Booleans) -> Float64:
        total = np.bincount(place[rows], weight[rows], n)
        summed = np.bincount(place[rows], column[rows] * weight[rows], n)
        return np.asarray(np.divide(summed, total, out=np.full(n, np.nan), where=total > 0.0))

    def enough(rows: Booleans) -> tuple[Float64, Booleans]:
        number = np.round(np.bincount(place[rows], length[rows], n) / unit, 6)
        return number, _enough(validity, number, expected)

    flow = table.method == "flow_weighted"
    if flow:
        valid &= parts.weight > 0.0
    changes: dict[str, Any] = {}
    if flow or (table.method == "mean" and counts_windows):
        made = means(parts.value, parts.weight, valid)
        nothing_flowed = flow & (np.bincount(place[valid], minlength=n) == 0)
        changes["value"] = np.where(np.isnan(made) & ~nothing_flowed, table.value, made)
        changes["weight"] = np.bincount(place[valid], parts.weight[valid], n) if flow else table.weight
    if counts_windows:
        changes["parts"], ok = enough(valid)
        changes["valid"] = ok & (table.count > 0)
    if flow:
        changes["valid"] = changes.get("valid", table.valid) & ~np.isnan(changes["value"])
    if parts.converted is not None and parts.standard_dry is not None:
        rows = valid & np.isfinite(parts.converted)
        ok = enough(rows)[1] if counts_windows else table.valid
        ones = np.ones(len(rows))
        changes["steps"] = parts.steps
        changes["converted"] = np.where(ok, means(parts.converted, ones, rows), np.nan)
        changes["standard_dry"] = means(parts.standard_dry, ones, rows)
        changes["conditions"] = {name: means(column, ones, rows) for name, column in parts.conditions.items()}
    return replace(table, **changes)


def _place(windows: Windows, parts: Windows) -> npt.NDArray[np.intp]:
    """The window each shorter window lies in as a whole, -1 = none."""
    first, last = windows.place(parts.from_ns), windows.place(parts.to_ns - 1)
    return np.asarray(np.where(first == last, first, -1))


def _interleaved(windows: Windows, layers: list[tuple[Booleans, Table]]) -> Table:
    """Layers of a table, dealt out by `Windows.layers`, put together again."""

    def put(columns: list[Float64]) -> Float64:
        whole = np.empty((len(windows), *columns[0].shape[1:]), columns[0].dtype)
        for (rows, _), column in zip(layers, columns, strict=True):
            whole[rows] = column
        return whole

    tables = [table for _, table in layers]
    names = ("value", "coverage", "valid", "count", "maximum", "by_status", "parts", "weight", "percentiles",
             "converted", "standard_dry")  # fmt: skip
    changes: dict[str, Any] = {
        name: put([getattr(t, name) for t in tables]) for name in names if getattr(tables[0], name) is not None
    }
    conditions = {name: put([t.conditions[name] for t in tables]) for name in tables[0].conditions}
    return replace(tables[0], windows=windows, conditions=conditions, **changes)

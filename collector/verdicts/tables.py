"""Averages by column: all windows of one kind of one parameter at once.

How a table comes about:

- the shortest kind a parameter has is its *base*: one minute, or as long as its values stand for
  (an hourly file has no minutes). At the base, values are averaged directly;
- levels, medians, maxima and sums are always made of the values themselves (`direct`): an energy mean of means
  over unequal minutes would be wrong;
- means of longer windows are made of the valid windows that the rule counts: an hour of its valid
  minutes, a day of its valid hours. A concentration in water is weighted by the flow of each. Where quadrants say
  whether an hour is valid, it is the mean of all its values, however few of them a quadrant has;
- a stack's concentration is converted (`corrections`) at the base, with the gas conditions of the
  same minute, and the converted values are averaged on. A converted average needs as many valid
  parts as any other;
- where nothing valid went in, the plain average is still shown, as not valid;
- results are freed of the dust of binary arithmetic (DIGITS): the energy mean of equal levels of 50.5
  is 50.5, which rounds to 50, and never 50.500000000000007, which would round to 51;
- packs that count in other ways what must be there of a window share whatever that leaves alike (`Tables.counted_by`);
  for clauses that judge not every state of the plant, tables are made of what is left (`Tables.seen_by`).

Pure. NaN means "no value" in every column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collector.verdicts import corrections
from collector.verdicts.direct import Direct, Values
from collector.verdicts.origin import Origin
from collector.verdicts.parts import BY_FLOW, DILUTED, LENGTH_NS, MEAN, AnyTable, Part, composed, enough, parts_in
from collector.verdicts.points import PointRules
from collector.verdicts.screening import REASONS, Booleans, Signal
from collector.verdicts.segments import Segments
from collector.verdicts.states import ALWAYS, Scope, Timeline
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, KINDS, MINUTE_NS, Windows
from gateway.measurement import Float64, Int64, UInt8

FLOW = "flow"
DIGITS = 9  # decimals kept; no instrument has as many, and no result is as exact
# The gas conditions that corrections take, and the factor to their unit there (pressure: kPa to Pa).
CONDITIONS = {"oxygen_percent": ("O2", 1.0), "temperature_c": ("temperature", 1.0),
              "static_pa": ("pressure", 1e3), "moisture_percent": ("moisture", 1.0)}  # fmt: skip
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The windows of one kind of one parameter; row i of every column is window i.

    value, coverage (0 to 1), maximum: shape (n,). valid: shape (n,).
    measured, count: values there are, values that went in, shape (n,). segments: where there are in the signal.
    status: of all values of the signal. parts, expected: valid parts, and those that could be, as `validity` counts
    them, shape (n,). method: how the values were averaged. weight: of each window in longer ones, shape (n,), NaN = it
    is not there, 0 = it is, without a say; None = valid ones are there, all alike.
    percentiles: shape (n, len(noise.PERCENTILES)), None where it is no level.
    converted: the concentration as the limit means it; standard_dry and conditions: on the way there, shape (n,).
    origin: how a derived table came about (`derived`), None = it was measured.
    """

    windows: Windows
    method: str
    value: Float64
    coverage: Float64
    valid: Booleans
    measured: Int64
    count: Int64
    maximum: Float64
    parts: Float64
    expected: Float64
    segments: Segments
    status: UInt8
    weight: Float64 | None = None
    percentiles: Float64 | None = None
    converted: Float64 | None = None
    steps: tuple[str, ...] = ()
    standard_dry: Float64 | None = None
    conditions: Mapping[str, Float64] = field(default_factory=dict)
    origin: Origin | None = None

    @property
    def by_status(self) -> Int64:
        """How many values of each status or reason there are, shape (n, number of REASONS)."""
        return self.segments.by_code(self.status, len(REASONS))


class Tables:
    """The tables of one point over one span of time, each made when first asked for.

    signals: all measurements of the point in [from_ns, to_ns), by parameter. states: of the plant. scope: which time
    counts, None = all; what was measured outside of it goes into nothing, and says so in the `signals` of the tables.
    """

    def __init__(
        self, rules: PointRules, signals: Mapping[str, Signal], from_ns: int, to_ns: int,
        *, states: Timeline = ALWAYS, scope: Scope | None = None,
    ) -> None:  # fmt: skip
        self._rules = rules
        self.states = states
        self._scope = scope
        self._all_signals = signals
        there = {name: signal for name, signal in signals.items() if len(signal)}
        self.signals: Mapping[str, Signal] = there if scope is None else scope.masked(there)
        self._values = {name: Values(signal, self._method(name)) for name, signal in self.signals.items()}
        self._span = (from_ns, to_ns)
        self._like: Tables | None = None
        self._laid: dict[str, Windows] = {}
        self._direct: dict[tuple[str, str], Direct] = {}
        self._whole: dict[tuple[str, str], Segments] = {}
        self._tables: dict[tuple[str, str], Table | None] = {}
        self._known: dict[tuple[str, str], Float64] = {}

    def counted_by(self, rules: PointRules) -> Tables:
        """The tables of the same measurements, valid or not as another view of the point counts (`points.by_validity`).

        What does not depend on it is computed once for both.
        """
        other = type(self)(rules, {}, *self._span, states=self.states, scope=self._scope)
        other._all_signals = self._all_signals
        other.signals, other._values, other._like = self.signals, self._values, self
        other._laid, other._direct, other._whole = self._laid, self._direct, self._whole
        return other

    def seen_by(self, rules: PointRules, scope: Scope | None) -> Tables:
        """The tables as a view of the point sees them (`scopes.View`): what is valid, and which time counts."""
        if scope == self._scope:
            return self if rules is self._rules else self.counted_by(rules)
        return type(self)(rules, self._all_signals, *self._span, states=self.states, scope=scope)

    @property
    def parameters(self) -> list[str]:
        """The parameters that have measurements, in alphabetical order."""
        return sorted(self.signals)

    def unit(self, parameter: str) -> str:
        """The unit of a parameter that has measurements."""
        return self.signals[parameter].unit

    def windows(self, kind: str) -> Windows:
        """All windows of a kind that overlap the span; those at its ends may reach over it."""
        if kind not in self._laid:
            self._laid[kind] = self._rules.windows(kind, *self._span)
        return self._laid[kind]

    def table(self, parameter: str, kind: str) -> Table | None:
        """The table of a parameter; None where it has no measurements, or the windows are shorter than they are."""
        key = (parameter, kind)
        if key not in self._tables:
            there = parameter in self.signals and _RANK[kind] >= _RANK[self.base(parameter)]
            self._tables[key] = self._make(parameter, kind) if there else None
        return self._tables[key]

    def base(self, parameter: str) -> str:
        """The shortest kind of window a parameter has."""
        longest = self.signals[parameter].coarsest_ns
        if self._method(parameter) == BY_FLOW:
            longest = max(longest, self.signals[FLOW].coarsest_ns)
        return next((kind for kind, length in FIXED_NS.items() if length >= max(longest, MINUTE_NS)), "24h")

    # --- how a table is made -----------------------------------------------------------------------

    def _method(self, parameter: str) -> str:
        method = self._rules.method(parameter)
        return "mean" if method == BY_FLOW and FLOW not in self.signals else method

    def _make(self, parameter: str, kind: str) -> Table | None:
        if self._like is not None and self._alike(parameter, kind, self._like._rules):
            return self._like.table(parameter, kind)
        table, validity = self._plain(parameter, kind), self._rules.validity[kind]
        if kind == self.base(parameter):
            return snapped(self._converted(parameter, self._weighted(self._clean(table))))
        parts = self.table(parameter, self._part(parameter, kind))
        assert parts is not None, "parts are not shorter than the base"
        whole_ns, length_ns = table.windows.length_ns, None
        if self._scope is not None and validity.operating:
            whole_ns, length_ns = self._scope.length_ns(table.windows), self._scope.length_ns(parts.windows)
        made = parts_in(parts, self._inside(kind, parts.windows), length_ns)
        if validity.quadrants is not None:
            made |= self._by_values(parameter, kind)
        return snapped(self._clean(composed(table, made, validity, whole_ns, parts.steps)))

    def _by_values(self, parameter: str, kind: str) -> dict[str, Part]:
        """What is converted in windows of a kind, each base window for the time that its values stand for."""
        base = self.table(parameter, self.base(parameter))
        assert base is not None, "a parameter with measurements has its base"
        covered_ns = self._direct[parameter, base.windows.kind].covered_ns
        found = parts_in(base, self._inside(kind, base.windows), weight=covered_ns)
        return {name: part for name, part in found.items() if name != MEAN}

    def length_ns(self, windows: Windows, validity: Validity) -> Int64:
        """How much of the time of each window a rule asks measurements of, shape (windows,). [ns]"""
        if self._scope is None or not validity.operating:
            return windows.length_ns
        return self._scope.length_ns(windows)

    def _clean(self, table: Table) -> Table:
        """A table of which those windows are not valid that were in a state that is not judged."""
        if self._scope is None:
            return table
        clean = self._scope.clean(table.windows)
        weight = None if table.weight is None else np.where(clean, table.weight, np.nan)
        return replace(table, valid=table.valid & clean, weight=weight)

    def _part(self, parameter: str, kind: str) -> str:
        """The kind of windows that a longer one is made of: those the rule counts, else those of the base."""
        base, declared = self.base(parameter), self._rules.validity[kind].part
        longer = declared in KINDS and _RANK[base] <= _RANK[declared] < _RANK[kind]
        return declared if longer else base

    def _alike(self, parameter: str, kind: str, other: PointRules) -> bool:
        """Whether windows of a kind, and all that they are made of, are counted as other rules count them."""
        base = self.base(parameter)
        kinds = [kind]
        while kinds[-1] != base:
            kinds.append(self._part(parameter, kinds[-1]))
        if any(_counts(self._rules.validity[k]) != _counts(other.validity[k]) for k in kinds):
            return False
        # What weighs and converts a base are windows of the same kind, which may be made of shorter ones.
        others = {FLOW, *(name for name, _ in CONDITIONS.values())} & set(self.signals) - {parameter}
        return all(self._alike(name, base, other) for name in others if _RANK[self.base(name)] < _RANK[base])

    def _inside(self, kind: str, parts: Windows) -> Segments:
        """Which shorter windows lie in those of a kind."""
        key = (kind, parts.kind)
        if key not in self._whole:
            self._whole[key] = self.windows(kind).whole(parts)
        return self._whole[key]

    def _plain(self, parameter: str, kind: str) -> Table:
        """Averages made of the values themselves, valid or not by these alone."""
        signal, windows, values = self.signals[parameter], self.windows(kind), self._values[parameter]
        key = (parameter, kind)
        if key not in self._direct:
            self._direct[key] = values.over(windows)
        validity = self._rules.validity[kind]
        found, length = self._direct[key], self.length_ns(windows, validity)
        parts, expected = _parts_by_values(validity, found, length, signal.coarsest_ns if values.alike else None)
        return Table(
            windows=windows, method=self._method(parameter), value=found.value, maximum=found.maximum,
            coverage=np.minimum(found.covered_ns / np.maximum(length, 1), 1.0),
            measured=found.measured, count=found.count,
            valid=enough(validity, parts, expected) & (found.count > 0), parts=parts, expected=expected,
            segments=found.segments, status=signal.status, percentiles=found.percentiles,
        )  # fmt: skip

    def _weighted(self, base: Table) -> Table:
        """Base windows of a concentration in water, weighted by the flow of the same windows; none flows backwards."""
        if base.method != BY_FLOW:
            return base
        flow = self.table(FLOW, base.windows.kind)
        assert flow is not None, "the base is not shorter than the flow's"
        return replace(base, weight=np.where(base.valid & flow.valid & (flow.value >= 0.0), flow.value, np.nan))

    def _converted(self, parameter: str, base: Table) -> Table:
        """Base windows of a stack's concentration, converted with the gas conditions of the same windows."""
        stack = self._rules.stack
        if stack is None or not self._rules.corrects(parameter, self.signals[parameter].unit):
            return base
        known = {name: self._condition(name, base) for name in CONDITIONS}
        result = corrections.convert(base.value, stack, **known)
        shape = base.value.shape
        known |= {"oxygen_percent": result.oxygen_dry, DILUTED: np.broadcast_to(result.diluted, shape)}
        return replace(
            base, steps=result.steps, conditions=known, converted=np.broadcast_to(result.converted, shape),
            standard_dry=np.broadcast_to(result.standard_dry, shape),
        )  # fmt: skip

    def _condition(self, name: str, base: Table) -> Float64:
        """A gas condition by window, NaN where it is not known well enough; the same for all parameters of a point."""
        key = (name, base.windows.kind)
        if key not in self._known:
            parameter, factor = CONDITIONS[name]
            table = self.table(parameter, base.windows.kind)
            there = np.full(len(base.windows), np.nan) if table is None else np.where(table.valid, table.value, np.nan)
            self._known[key] = factor * there
        return self._known[key]


def snapped(table: AnyTable) -> AnyTable:
    """A table whose results carry no more digits than mean anything."""

    def snap(column: Float64 | None) -> Any:  # noqa: ANN401 - None stays None, an array an array
        if column is not None and column.ndim > 1 and not column.strides[1]:  # one column, shown as many
            return np.broadcast_to(np.round(column[:, :1], DIGITS), column.shape)
        return None if column is None else np.round(column, DIGITS)

    return replace(
        table, value=snap(table.value), percentiles=snap(table.percentiles),
        converted=snap(table.converted), standard_dry=snap(table.standard_dry),
        conditions={name: snap(column) for name, column in table.conditions.items()},
    )  # fmt: skip


def _counts(validity: Validity) -> tuple[Any, ...]:
    """What is counted of a kind of window, whoever says so."""
    return (
        validity.part, validity.minimum, validity.missing, validity.share, validity.operating, validity.quadrants,
    )  # fmt: skip


def _parts_by_values(
    validity: Validity, found: Direct, length_ns: Int64, interval_ns: int | None
) -> tuple[Float64, Float64]:
    """How many parts there are and could be, counted from values: these, or the minutes or hours they cover.

    interval_ns: None = values of several intervals; as many could be there as fill the window at the rate of those
    that are.
    """
    if validity.part in LENGTH_NS:
        part = LENGTH_NS[validity.part]
        return np.floor(found.covered_ns / part), length_ns / part
    count = found.count.astype(np.float64)
    if interval_ns is not None:
        return count, length_ns / interval_ns
    filled: Float64 = np.divide(length_ns * count, found.covered_ns, out=np.zeros(len(count)), where=count > 0)
    return count, np.round(filled, 6)

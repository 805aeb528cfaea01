"""Parts: what the shorter windows that a rule counts come to in the longer ones they lie in.

Rules of this file:

- those go in that are valid, each as much as any other of its kind; concentrations in water as much as water flowed;
- quadrants say whether an hour is valid, and no more: into its average all values go, each as much as any other;
- how much of a longer window is there is told by the time of its parts. Time in which nothing flowed is there, though
  it weighs nothing; time of which nobody knows the flow is not. Where a rule counts values of water, no more of them
  count than there is time with a flow for;
- a converted average needs as much of its window as any other, told by the parts that could be converted.

Days keep what this makes of their windows (`day_sums`), and longer windows are made of that (`long_tables`) as of the
windows themselves. Arrays in, arrays out. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from collector.verdicts.segments import Booleans, Segments
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS
from gateway.measurement import Float64, Int64

if TYPE_CHECKING:
    from collector.verdicts.tables import Table

LENGTH_NS = {**FIXED_NS, "24h": 24 * HOUR_NS, "day": 24 * HOUR_NS}  # of parts that rules count
BY_FLOW = "flow_weighted"  # the method of concentrations in water
# What is made of parts: the average itself; what is converted of it, each with a time of its own; gas conditions.
MEAN, CONVERTED, DRY = "mean", "converted", "standard_dry"
DILUTED = "diluted"  # among the conditions: the share of the time in which the gas had more oxygen than `oxygen_max`
TIMED = (CONVERTED, DRY, DILUTED)
AnyTable = TypeVar("AnyTable", bound="Table")


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the shorter windows in each longer one, shape (n,) each.

    time_ns: that they have of the time which is asked. weight: theirs together, in any unit. mean: NaN = there is none.
    """

    time_ns: Float64
    weight: Float64
    mean: Float64


def parts_in(
    table: Table, inside: Segments, length_ns: Int64 | None = None, *, weight: Float64 | None = None
) -> dict[str, Part]:
    """What the windows of a table come to in longer ones, by name; no converted ones where nothing is converted.

    inside: which of them lie in each longer one. length_ns: how much of the time of each is asked, None = all of it.
    weight: of each valid one, shape (windows,), None = all alike; what is weighted by flow goes by that.
    """
    step_ns = table.windows.step_ns if length_ns is None else 0
    length = table.windows.length_ns if length_ns is None else length_ns

    def time_ns(rows: Booleans, number: Int64) -> Float64:
        return (number * step_ns).astype(np.float64) if step_ns else inside.total(np.where(rows, length, 0))

    def among(rows: Booleans, **columns: Float64) -> dict[str, Part]:
        number, every = inside.number(rows), bool(rows.all())
        time, whole = time_ns(rows, number), number.astype(np.float64)
        if weight is not None:
            whole = inside.total(np.where(rows, weight, 0.0))
            columns = {name: one * weight for name, one in columns.items()}
        totals = {name: inside.total(one if every else np.where(rows, one, 0.0)) for name, one in columns.items()}
        return {name: Part(time, whole, ratio(total, whole)) for name, total in totals.items()}

    there = table.valid if table.weight is None else ~np.isnan(table.weight)
    if table.weight is None and table.method == "mean":
        found = among(there, mean=table.value)
    else:  # averages of other methods are made of all values
        number = inside.number(there)
        whole, mean = number.astype(np.float64), np.full(inside.windows, np.nan)
        if table.weight is not None:
            flowing = table.weight > 0.0
            whole = inside.total(np.where(flowing, table.weight, 0.0))
            mean = ratio(inside.total(np.where(flowing, table.value * table.weight, 0.0)), whole)
        found = {MEAN: Part(time_ns(there, number), whole, mean)}
    if table.converted is not None and table.standard_dry is not None:
        # Each by its own windows: what is let out does not hang on the oxygen that limits are about.
        conditions = {name: column for name, column in table.conditions.items() if name != DILUTED}
        found |= among(there & np.isfinite(table.converted), converted=table.converted, **conditions)
        found |= among(there & np.isfinite(table.standard_dry), standard_dry=table.standard_dry)
        diluted = table.conditions[DILUTED]
        found |= among(there & np.isfinite(diluted), diluted=diluted)
    return found


def composed(
    table: AnyTable, parts: Mapping[str, Part], validity: Validity, whole_ns: Int64, steps: tuple[str, ...] = ()
) -> AnyTable:
    """A table of averages of values as one whose means and validity come from its parts; other values stay.

    parts: as `parts_in` makes them, of the windows that the rule counts, or else of the shortest. whole_ns: how much of
    the time of each window is asked. steps: of the conversion, where there is one.
    """
    unit, flow = LENGTH_NS.get(validity.part, 0), table.method == BY_FLOW
    expected: Float64 = whole_ns / unit if unit else table.expected
    mean, changes = parts[MEAN], dict[str, Any]()

    def counted(time_ns: Float64) -> Float64:
        """How many of what is expected some time comes to."""
        if unit:
            return np.asarray(np.round(time_ns / unit, 6))
        values = np.round(time_ns / np.maximum(whole_ns, 1) * expected, 6)
        return np.asarray(np.minimum(values, table.parts))

    if unit or flow:
        number = counted(mean.time_ns)
        valid = enough(validity, number, expected) & (table.count > 0)
        changes |= {"parts": number, "expected": expected, "valid": valid}
    if flow:
        changes["valid"] = valid & ~np.isnan(mean.mean)
        changes |= {"value": mean.mean, "weight": np.where(valid, mean.weight, np.nan)}
    elif unit and table.method == "mean" and validity.quadrants is None:
        changes["value"] = np.where(np.isnan(mean.mean), table.value, mean.mean)
    if CONVERTED in parts:
        for name in (CONVERTED, DRY):
            ok = enough(validity, counted(parts[name].time_ns), expected) if unit else table.valid
            changes[name] = np.where(ok, parts[name].mean, np.nan)
        conditions = {name: part.mean for name, part in parts.items() if name not in (MEAN, CONVERTED, DRY)}
        changes |= {"steps": steps, "conditions": conditions}
    return replace(table, **changes)


def enough(validity: Validity, parts: Float64, expected: Float64) -> Booleans:
    """Whether the parts make a window valid; all of them where there cannot be as many as the rule counts.

    A rule like "12 values a minute" is made for values every 5 s; of a file of minutes, one is all there is.
    """
    found = validity.enough(parts, expected)
    if validity.minimum is None:
        return found
    whole = np.floor(expected + 1e-9)
    return np.asarray(np.where(whole < validity.minimum, parts >= np.maximum(whole, 1.0), found))


def ratio(total: Float64, weight: Float64) -> Float64:
    """Means of what was summed and of what it weighs, NaN where that is nothing; shape as given."""
    return np.asarray(np.divide(total, weight, out=np.full(len(weight), np.nan), where=weight > 0.0))

"""Substitution: what stands for hours of which nothing valid is known, so that a total is no lie by omission.

Rules of this file:

- only totals are made with substitutes (mass over a month or a year). No limit is judged by one, and no
  concentration replaced: HJ 75-2017 substitutes for the mass, and this file is never asked about a verdict;
- a substitute says that it is one: every result carries which hours were filled, and from how many;
- which hours are looked back on, and what is made of them, depends on how much of the quarter was captured and on
  how long the gap is. These tiers are data of a rule pack (`[substitution]`), with their citation and examples;
- where no tier speaks (too little was captured), or nothing valid lies before, there is no substitute;
- hours in which the plant did not run are no gap: they need no substitute, and are not looked back on.

Arrays in, arrays out; NaN = no value. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.document import Table
from gateway.measurement import Float64, Int64

Booleans = npt.NDArray[np.bool_]

STATISTICS: Mapping[str, Callable[[Float64], np.floating]] = {
    "maximum": np.max, "mean": np.mean, "median": np.median,
}  # fmt: skip
HINT = 'tier = [{ capture_from = 90, gap_upto = 24, hours = 180, statistic = "maximum" }, ...]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What stands for a gap. Bounds: None = open.

    capture_from <= valid share of the running hours < capture_below. [%] gap_above < length of the gap <= gap_upto. [h]
    hours: how many valid hours before are looked back on, None = as many as the gap has.
    statistic: maximum, mean or median of them. parameters: that it is for; empty = all that no other tier names.
    """

    statistic: str
    hours: int | None
    capture_from: float | None = None
    capture_below: float | None = None
    gap_above: float | None = None
    gap_upto: float | None = None
    parameters: tuple[str, ...] = ()

    def holds(self, capture_percent: float, gap_hours: float) -> bool:
        """Whether the tier speaks of such a gap."""
        return (
            (self.capture_from is None or capture_percent >= self.capture_from)
            and (self.capture_below is None or capture_percent < self.capture_below)
            and (self.gap_above is None or gap_hours > self.gap_above)
            and (self.gap_upto is None or gap_hours <= self.gap_upto)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """How a text fills gaps of hourly values."""

    tiers: tuple[Tier, ...]
    cite: str
    verified: bool

    def tier(self, capture_percent: float, gap_hours: float, parameter: str = "") -> Tier | None:
        """What stands for a gap; None where the text has nothing."""
        named = any(parameter in tier.parameters for tier in self.tiers)
        mine = (tier for tier in self.tiers if (parameter in tier.parameters if named else not tier.parameters))
        return next((tier for tier in mine if tier.holds(capture_percent, gap_hours)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitute:
    """One substitute.

    value: NaN = there is none. [as given] window_hours: asked for by the tier, None = no tier speaks of such a gap.
    taken: how many valid hours there were of them. statistic: what was made of them, "" = nothing.
    """

    value: float
    window_hours: int | None
    taken: int
    statistic: str
    substituted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An hourly series with its gaps filled as far as may be. All shapes (n,).

    value: measured or substituted, NaN = neither. [as given] substituted: which are substitutes.
    window_hours: that each substitute looked back on, 0 = it is none.
    """

    value: Float64
    substituted: Booleans
    window_hours: Int64


_NONE = Substitute(value=math.nan, window_hours=None, taken=0, statistic="", substituted=False)


def capture_percent(values: npt.ArrayLike, running: npt.ArrayLike = True) -> float:
    """Share of the hours in which the plant ran that have a valid value; NaN where it never ran. [%]

    values: hourly, shape (n,), NaN = invalid. running: whether the plant ran, as numpy broadcasts it.
    Source: HJ 75-2017, quarterly valid capture, from one open implementation and secondary pages.
    >>> capture_percent([1.0, float("nan"), 2.0, float("nan")], [True, True, True, False]).__round__(1)
    66.7
    """
    array = np.asarray(values, np.float64)
    return float(capture_percent_by(array, running, np.zeros(array.shape, np.intp), 1)[0])


def capture_percent_by(
    values: npt.ArrayLike, running: npt.ArrayLike, group: npt.NDArray[np.integer], groups: int
) -> Float64:
    """Valid share of the running hours of each group (as quarters are), shape (groups,). [%]

    group: number of each hour's group, 0 to groups - 1, shape (n,); others as capture_percent.
    """
    array = np.asarray(values, np.float64)
    ran = np.broadcast_to(np.asarray(running, np.bool_), array.shape)
    hours = np.bincount(group[ran], minlength=groups)
    valid = np.bincount(group[ran & np.isfinite(array)], minlength=groups)
    return np.asarray(np.divide(100.0 * valid, hours, out=np.full(groups, np.nan), where=hours > 0))


def substitute(
    rule: Substitution,
    lookback: npt.ArrayLike,
    capture_percent: float,
    gap_hours: float,
    parameter: str = "",
) -> Substitute:
    """What stands for each hour of one gap.

    lookback: hourly values before it, oldest first, shape (n,), NaN = invalid. Where fewer valid hours lie before
    than the tier asks for, those there are count (the texts that were read do not speak of it).
    capture_percent: valid share of the quarter. [%] gap_hours: invalid hours in a row. [h]
    Source: the rule's; HJ 75-2017 for mass, from one open implementation.
    >>> tier = Tier(statistic="maximum", hours=180, capture_from=90.0, gap_upto=24.0)
    >>> found = substitute(Substitution(tiers=(tier,), cite="", verified=False), [3.0, 5.0, 4.0], 92.0, 20)
    >>> found.value, found.window_hours, found.taken, found.substituted
    (5.0, 180, 3, True)
    """
    tier = rule.tier(capture_percent, gap_hours, parameter) if 0.0 < gap_hours < math.inf else None
    if tier is None:
        return _NONE
    hours = math.ceil(gap_hours) if tier.hours is None else tier.hours
    values = np.asarray(lookback, np.float64)
    taken = values[np.isfinite(values)][-hours:]
    # A sum of huge numbers overflows to infinity, which is no value.
    with np.errstate(over="ignore"):
        value = float(STATISTICS[tier.statistic](taken)) if len(taken) else math.nan
    if not math.isfinite(value):
        return Substitute(value=math.nan, window_hours=hours, taken=0, statistic=tier.statistic, substituted=False)
    return Substitute(value=value, window_hours=hours, taken=len(taken), statistic=tier.statistic, substituted=True)


def fill(
    rule: Substitution,
    values: npt.ArrayLike,
    capture_percent: npt.ArrayLike,
    *,
    running: npt.ArrayLike = True,
    good_before: npt.ArrayLike | None = None,
    parameter: str = "",
) -> Filled:
    """An hourly series with every gap filled as far as the rule does it.

    values: of consecutive hours, shape (n,), NaN = invalid. Substitutes are never looked back on.
    capture_percent: of the quarter of each hour, as numpy broadcasts it. [%] running: whether the plant ran.
    good_before: for each hour, the number of the hour from which it is looked back; None = its gap's first one. The
    last calibration before a gap is such an hour where the analyser was out of control.
    """
    array = np.array(values, np.float64)
    ran = np.broadcast_to(np.asarray(running, np.bool_), array.shape)
    capture = np.broadcast_to(np.asarray(capture_percent, np.float64), array.shape)
    array[~np.isfinite(array)] = np.nan
    valid = ran & ~np.isnan(array)
    found = array.copy()
    substituted, hours = np.zeros(array.shape, np.bool_), np.zeros(array.shape, np.int64)
    for first, last in _runs(ran & np.isnan(array)):
        begin = first if good_before is None else int(np.clip(np.asarray(good_before)[first], 0, first))
        before = array[:begin][valid[:begin]]
        for share in np.unique(capture[first:last]):  # more than one where the gap goes over a quarter's end
            rows = first + np.flatnonzero(_same(capture[first:last], share))
            one = substitute(rule, before, float(share), last - first, parameter)
            if one.substituted and one.window_hours is not None:
                found[rows], substituted[rows], hours[rows] = one.value, True, one.window_hours
    return Filled(value=found, substituted=substituted, window_hours=hours)


def _same(values: Float64, value: float) -> Booleans:
    return np.asarray((values == value) | (np.isnan(values) & np.isnan(value)))


def _runs(rows: Booleans) -> Iterator[tuple[int, int]]:
    """First row and end of each run of true ones."""
    edges = np.flatnonzero(np.diff(rows.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


# --- as people write it ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """An example in a pack: a gap, and how many hours are looked back on; None = there is no substitute."""

    capture_percent: float
    gap_hours: float
    parameter: str
    hours: int | None


def parse_substitution(root: Table) -> Substitution | None:
    """The `[substitution]` of a rule pack, None where it has none; faults are noted in the table.

    Tiers may not overlap, and each is shown by an example that agrees with it.
    """
    if "substitution" not in root:
        return None
    with root.table("substitution") as table:
        tiers = []
        for row in table.tables("tier"):
            with row:
                tiers.append(_tier(row))
        rule = Substitution(
            tiers=tuple(tiers),
            cite=table.text("cite", hint="the text and its clause") or "",
            verified=bool(table.boolean("verified", hint="true when the primary text was read")),
        )
        if not tiers:
            table.fault("tier", "missing", HINT)
        for number, tier in enumerate(tiers):
            if any(_overlap(tier, other) for other in tiers[:number]):
                table.fault(
                    f"tier[{number}]", "a tier before it holds for the same gaps", "bounds that meet, not overlap"
                )
        _check_examples(table, rule)
    return rule


def _tier(row: Table) -> Tier:
    named = row.values.get("hours")
    if named == "gap":
        row.skip("hours")
    return Tier(
        statistic=row.choice("statistic", STATISTICS) or "maximum",
        hours=None if named == "gap" else row.integer("hours", low=1, high=8784, hint='hours = 180, or "gap"'),
        capture_from=row.number("capture_from", None, low=0.0, high=100.0),
        capture_below=row.number("capture_below", None, low=0.0, high=100.0),
        gap_above=row.number("gap_above", None, low=0.0),
        gap_upto=row.number("gap_upto", None, low=0.0),
        parameters=row.texts("parameters", []),
    )


def _overlap(one: Tier, other: Tier) -> bool:
    """Whether a gap can be found that both speak of."""
    about = bool(set(one.parameters) & set(other.parameters)) or not (one.parameters or other.parameters)
    captures = _meet(one.capture_from, one.capture_below, other.capture_from, other.capture_below)
    return about and captures and _meet(one.gap_above, one.gap_upto, other.gap_above, other.gap_upto)


def _meet(low: float | None, high: float | None, other_low: float | None, other_high: float | None) -> bool:
    """Whether two spans, open at one of their ends, have something in common."""
    lows = [end for end in (low, other_low) if end is not None]
    highs = [end for end in (high, other_high) if end is not None]
    return not lows or not highs or max(lows) < min(highs)


def _check_examples(table: Table, rule: Substitution) -> None:
    shown: list[Tier] = []
    for row in table.tables("example"):
        with row:
            row.text("source", hint="who worked the example, or from which line it follows")
            example = _example(row)
            tier = rule.tier(example.capture_percent, example.gap_hours, example.parameter)
            found = None if tier is None else tier.hours or math.ceil(example.gap_hours)
            if found != example.hours:
                row.fault("hours", f"by the tiers it is {found or 'none'}", "one of the two is wrong")
            shown += [tier] if tier else []
    for number, tier in enumerate(rule.tiers):
        if tier not in shown:
            table.fault(f"tier[{number}]", "no example shows it", "add [[substitution.example]]")


def _example(row: Table) -> _Shown:
    if none := row.values.get("hours") == "none":
        row.skip("hours")
    return _Shown(
        capture_percent=row.number("capture", low=0.0, high=100.0) or 0.0,
        gap_hours=row.number("gap", low=1.0) or 1.0,
        parameter=row.text("parameter", ""),
        hours=None if none else row.integer("hours", low=1, hint='hours = 180, or "none"'),
    )

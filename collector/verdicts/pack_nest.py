"""Whether the limits of a pack nest as those of a law do, and no two of them say otherwise of the same.

One clause has to lie within another, its upper limit not above and its lower limit not below, where both are about the
same parameter in the same corrected form, for the same settings, dates and conditions:

- over a longer time within a shorter one: a mean cannot pass a limit that none of the means it is made of passes, so a
  stricter short limit makes the long one say nothing. An early warning of a longer limit may lie below it;
- of the night within that of the day;
- an early warning within the limit over the same time that it warns of;
- a clause that only a share of its windows has to meet within the one that all of them may meet `instead`.

Two clauses that judge the same (parameter, window, part of the day, statistic, corrected form, plant states, standing)
contradict each other where rows of both hold at once, for the same settings, dates and conditions, and set different
limits: nobody could say which of them holds. Early warnings may be several, step by step, and one that only a share of
windows has to meet may differ.

Clauses held by a share alone take no part in the first rule, for the windows outside the share may be higher. Limits
that a permit sets (`of`) are compared by their multiples of the same setting. Pure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from collector.verdicts import pack as p
from collector.verdicts.records import Standing
from collector.verdicts.windows import DAILY, FIXED_NS, HOUR_NS
from gateway.document import Table
from gateway.parameters import Parameter

CASES_MAX = 10_000  # of settings that adjustments name; a law has two or three
# By length; kinds of the same length are not compared with each other.
_LENGTH_NS = {
    **FIXED_NS, **dict.fromkeys(DAILY, 24 * HOUR_NS), **dict.fromkeys(("month", "30d"), 720 * HOUR_NS),
    "year": 8760 * HOUR_NS,
}  # fmt: skip
_PERIODS = {"day": "day", "night": "night", "calendar_night": "night"}
_GROWING = ("sum", "maximum")  # over a longer time such an average is larger, not between those it is made of
_HINTS = {
    "longer": "a mean over a longer time cannot pass a limit that its parts keep: lower that one, or raise this one",
    "night": "the night's limit is not above the day's: swap or correct them",
    "warning": "a warning comes before the limit: set it no looser, or give it the standing of the limit",
    "share": "the clause met by a share is not looser than the one met by all: swap clause and instead",
}
_ALIKE_HINT = "one limit for one thing: correct one, or say what tells them apart (when, given, dates, states, period)"


def check_nesting(root: Table, pack: p.RulePack, parameters: Mapping[str, Parameter]) -> None:
    """Note every limit that lies outside one that it has to lie within."""
    _check_shares(root, pack)
    place = {clause.id: number for number, clause in enumerate(pack.clauses)}
    for why, inner, outer in _pairs(pack, parameters):
        for key, message in itertools.islice(_outside(inner, outer, pack), 1):
            at = outer if why == "longer" else inner
            said = f"{message} ({inner.id!r} within {outer.id!r})"
            root.fault(f"clause[{place[at.id]}].limit", f"{said}: {key} limits do not nest", _HINTS[why])
    by_share = {id for share in pack.shares for id in (share.clause, share.instead)}
    binding = [c for c in pack.clauses if c.standing is not Standing.EARLY_WARNING and c.id not in by_share]
    for one, other in itertools.combinations(binding, 2):
        if _judges(one, pack) == _judges(other, pack):
            for key, message in itertools.islice(_apart(one, other, pack), 1):
                said = f"{one.id!r} and {other.id!r} judge the same and contradict each other"
                root.fault(f"clause[{place[other.id]}].limit", f"{said}: the {key} limit {message}", _ALIKE_HINT)


def _check_shares(root: Table, pack: p.RulePack) -> None:
    length = {clause.id: _LENGTH_NS.get(clause.window, 0) for clause in pack.clauses}
    for number, share in enumerate(pack.shares):
        if length.get(share.clause, 0) >= _LENGTH_NS.get(share.over, math.inf):
            hint = f"a clause about windows shorter than a {share.over}"
            root.fault(f"share[{number}].over", f"a {share.over} has no share of the windows of {share.clause!r}", hint)


def _pairs(pack: p.RulePack, parameters: Mapping[str, Parameter]) -> Iterator[tuple[str, p.ClauseText, p.ClauseText]]:
    """Why, the clause that has to lie within, and the one around it."""
    by_share = {share.clause for share in pack.shares}
    for inner, outer in itertools.permutations(pack.clauses, 2):
        if _about(inner) != _about(outer) or inner.statistic == "count":
            continue
        inside, around = _LENGTH_NS.get(inner.window), _LENGTH_NS.get(outer.window)
        warns = inner.standing is Standing.EARLY_WARNING, outer.standing is Standing.EARLY_WARNING
        if warns == (False, True) or inside is None or around is None:
            continue
        period, other = inner.period or _PERIODS.get(inner.window, ""), outer.period or _PERIODS.get(outer.window, "")
        known = parameters.get(inner.parameter)
        growing = inner.statistic != "value" or (known is not None and known.average in _GROWING)
        if (period, other) == ("night", "day"):
            yield "night", inner, outer
        elif inside > around and other in ("", period) and not growing and not by_share & {inner.id, outer.id}:
            yield "longer", inner, outer
        elif warns == (True, False) and (inner.window, period) == (outer.window, other):
            yield "warning", inner, outer
    clauses = {clause.id: clause for clause in pack.clauses}
    for share in pack.shares:
        most, all_of_them = clauses.get(share.clause), clauses.get(share.instead)
        if most is not None and all_of_them is not None and most.window == all_of_them.window:
            yield "share", most, all_of_them


def _about(clause: p.ClauseText) -> tuple[str, str, str, tuple[str, ...]]:
    return clause.parameter, clause.corrected, clause.statistic, clause.states


def _judges(clause: p.ClauseText, pack: p.RulePack) -> tuple[Any, ...]:
    """What a clause is about, but for its rows: what two of them must not say different things of."""
    return (clause.parameter, clause.window, clause.period, clause.statistic, clause.corrected, clause.count,
            clause.standing, pack.judged(clause))  # fmt: skip


def _outside(inner: p.ClauseText, outer: p.ClauseText, pack: p.RulePack) -> Iterator[tuple[str, str]]:
    """Which limit of the inner clause lies outside the outer one's, and for which settings."""
    for key, mine, its, unit, told in _compared(inner, outer, pack):
        if key == "upper" and mine > its:
            yield key, f"{mine:g}{unit} is above {its:g}{unit}{told}"
        elif key == "lower" and mine < its:
            yield key, f"{mine:g} is below {its:g}{told}"


def _apart(one: p.ClauseText, other: p.ClauseText, pack: p.RulePack) -> Iterator[tuple[str, str]]:
    """Which limit of two clauses that judge the same is not the same, and for which settings."""
    for key, mine, its, unit, told in _compared(one, other, pack):
        if mine != its:
            yield key, f"is {mine:g}{unit} and {its:g}{unit}{told}"


def _compared(one: p.ClauseText, other: p.ClauseText, pack: p.RulePack) -> Iterator[tuple[str, float, float, str, str]]:
    """The limits of two clauses that hold at once: which, of the one, of the other, times what, for which settings."""
    for mine, its in itertools.product(one.rows, other.rows):
        if not _together(mine, its):
            continue
        for settings in _settings({**mine.when, **its.when}, (*one.adjustments, *other.adjustments), pack):
            more, other_more = _added(one, settings), _added(other, settings)
            place = ", ".join(f"{name} = {value}" for name, value in settings.items())
            told = f" for {place}" if place else ""
            upper, around = _upper(mine, more), _upper(its, other_more)
            if upper is not None and around is not None and mine.of == its.of:
                yield "upper", upper, around, f" times {mine.of}" if mine.of else "", told
            if mine.low is not None and its.low is not None:
                yield "lower", mine.low + more, its.low + other_more, "", told


def _together(one: p.LimitRow, other: p.LimitRow) -> bool:
    """Whether two rows can hold at the same point, on the same day, under the same conditions."""
    if any(other.when.get(name, value) != value for name, value in one.when.items()):
        return False
    begin = max(one.from_date or date.min, other.from_date or date.min)
    if begin >= min(one.to_date or date.max, other.to_date or date.max):
        return False
    bounds: dict[str, list[p.Bound]] = {}
    for bound in (*one.given, *other.given):
        bounds.setdefault(bound.parameter, []).append(bound)
    return all(
        max((-math.inf if b.above is None else b.above) for b in rows)
        < min((math.inf if b.upto is None else b.upto) for b in rows)
        for rows in bounds.values()
    )


def _settings(
    fixed: Mapping[str, Any], adjustments: tuple[p.Adjustment, ...], pack: p.RulePack
) -> Iterator[dict[str, Any]]:
    """The settings that two rows hold for, with every choice of those that adjustments ask for besides."""
    names = sorted({name for adjustment in adjustments for name in adjustment.when} - set(fixed))
    choices = [
        (False, True) if pack.settings[name].kind == "boolean" else pack.settings[name].choices for name in names
    ]
    for values in itertools.islice(itertools.product(*choices), CASES_MAX):
        yield {**fixed, **dict(zip(names, values, strict=True))}


def _added(clause: p.ClauseText, settings: Mapping[str, Any]) -> float:
    return sum(adjustment.add for adjustment in clause.adjustments if adjustment.agrees(settings))


def _upper(row: p.LimitRow, more: float) -> float | None:
    """The upper limit, or the multiple of the permit's; None where there is none, or not only a multiple."""
    if row.of:
        return None if more else row.times
    return None if row.high is None else row.high + more

"""Levels of whole days of which some hours count more: Ldn, Lden.

Rules of this file:

- periods, their hours and what they count more are a rule pack's (`[[rating.period]]`), the hours as the point sets
  them; which of the two quantities it is, the pack says (`composite`);
- a period's level is the energy mean of its valid hours within the window; the composite weighs the periods' levels
  by the hours that they have in a day, whatever of them is there: a night with a gap is no shorter night;
- a window is valid where every period has as large a share of its hours as the rule in force asks of the window. No
  text read here speaks of it: the choice is ours;
- an hour that no period holds as a whole, or several do (periods that do not begin on the full hour), leaves its window
  without a value.

Pure. NaN = no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collector.verdicts import noise, rating
from collector.verdicts.loads import HOUR, Source, snapped
from collector.verdicts.origin import Origin
from collector.verdicts.pack import RulePack, span_h
from collector.verdicts.parts import AnyTable, ratio
from collector.verdicts.points import PointRules
from collector.verdicts.segments import Booleans, Segments
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, HOUR_NS, Windows, windows
from gateway.measurement import Float64

LEVEL = "LAeq"
COMPOSITE = "composite"  # the method of these levels
KINDS = ("24h", "month", "30d", "year")
Hours = Mapping[str, tuple[str, str]]


def composite_hours(pack: RulePack, settings: Mapping[str, Any]) -> Hours:
    """Begin and end of each period of a pack at a point, local clock.

    Of two periods, one of which the point moves, the other is what that leaves of the day.
    """
    assert pack.rating is not None, "a pack with a composite has a rating"
    periods = pack.rating.periods
    found = {p.name: tuple(settings.get(p.setting) or (p.begin, p.end)) for p in periods}
    moved = [p for p in periods if p.setting]
    if len(periods) == 2 and len(moved) == 1:
        begin, end = found[moved[0].name]
        other = next(p for p in periods if p is not moved[0])
        found[other.name] = (end, begin)
    return {name: (str(begin), str(end)) for name, (begin, end) in found.items()}


def composing(rules: PointRules, code: str) -> RulePack | None:
    """The pack of a point that says how a composite is made; None where there is none."""
    return next(iter(rules.rated_by(COMPOSITE, code)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """The valid hours of windows of whole days, by period of the day; shape (n,) each.

    level: their energy mean by period, NaN = none is valid. [dB] time_ns: how much time they have, by period.
    number, covered_ns: how many are valid, and their time, in whichever period.
    """

    level: Mapping[str, Float64]
    time_ns: Mapping[str, Float64]
    number: Float64
    covered_ns: Float64

    def within(self, inside: Segments) -> Periods:
        """Those of longer windows. inside: which of these windows lie in each."""
        time_ns = {name: inside.total(column) for name, column in self.time_ns.items()}
        energy = {
            name: inside.total(np.where(self.time_ns[name] > 0, noise.energy(level) * self.time_ns[name], 0.0))
            for name, level in self.level.items()
        }
        return Periods(
            level={name: noise.level(ratio(energy[name], time)) for name, time in time_ns.items()}, time_ns=time_ns,
            number=inside.total(self.number), covered_ns=inside.total(self.covered_ns),
        )  # fmt: skip


def in_periods(hours: Hours, timezone: str, source: Source, whole: Windows) -> Periods:
    """The valid hours of some windows of whole days. hours: as `composite_hours` gives them."""
    table, spans = source.table(LEVEL, HOUR), source.windows(HOUR)
    level = np.full(len(spans), np.nan) if table is None else np.where(table.valid, table.value, np.nan)
    there, length = ~np.isnan(level), spans.length_ns.astype(np.float64)
    rows = {name: there & _in_period(spans, timezone, *span) for name, span in hours.items()}
    return Periods(
        level={name: np.where(mine, level, np.nan) for name, mine in rows.items()},
        time_ns={name: np.where(mine, length, 0.0) for name, mine in rows.items()},
        number=there.astype(np.float64), covered_ns=np.where(there, length, 0.0),
    ).within(whole.whole(spans))  # fmt: skip


def day_level_table(
    pack: RulePack, rules: PointRules, found: Periods, spans: Windows, like: AnyTable, validity: Validity
) -> AnyTable:
    """The composite of windows of whole days.

    pack: with periods and a composite. found: the valid hours of these windows. spans: all hours there are in them.
    like: the levels of the same windows, of a kind in KINDS. validity: of that kind.
    """
    hours = composite_hours(pack, rules.settings)
    inside, length = like.windows.whole(spans), spans.length_ns
    member = {name: _in_period(spans, rules.timezone, *hours[name]) for name in hours}
    once = np.sum(list(member.values()), axis=0) == 1
    valid = np.ones(len(like.windows), np.bool_)
    for name, rows in member.items():
        valid &= enough_time(validity, like.windows, found.time_ns[name], inside.total(np.where(rows, length, 0)))
    value = rating.composite(pack, found.level, {name: span_h(*hours[name]) for name in hours})
    value = snapped(np.where(inside.number(~once) > 0, np.nan, value))
    return replace(
        like, method=COMPOSITE, value=value, valid=valid & ~np.isnan(value),
        coverage=np.minimum(found.covered_ns / like.windows.length_ns, 1.0), parts=found.number,
        expected=inside.count().astype(np.float64), maximum=np.full(len(value), np.nan), percentiles=None,
        origin=Origin(
            how=COMPOSITE, of=(LEVEL,), **_law(pack, hours),
            taken={name: snapped(column) for name, column in found.level.items()},
            lacking={name: np.isnan(column).astype(np.float64) for name, column in found.level.items()}
            | {"full hours": inside.number(~once).astype(np.float64)},
        ),
    )  # fmt: skip


def _in_period(hours: Windows, timezone: str, begin: str, end: str) -> Booleans:
    """Which hours lie in a period of the day as a whole."""
    # The windows of a night are those of any span of the clock.
    return windows("night", timezone, int(hours.from_ns[0]), int(hours.to_ns[-1]), (begin, end)).around(hours)


def enough_time(validity: Validity, windows: Windows, there_ns: Float64, expected_ns: Float64) -> Booleans:
    """Whether a part of some windows has as large a share of its time as a rule asks of the whole, shape (n,). [ns]"""
    if validity.minimum is None:
        return validity.enough(there_ns, expected_ns)
    least = validity.minimum * FIXED_NS.get(validity.part, HOUR_NS) / windows.length_ns
    return np.asarray((expected_ns > 0) & (there_ns >= np.minimum(least, 1.0) * expected_ns))


def _law(pack: RulePack, hours: Hours) -> dict[str, Any]:
    """What the pack says, as an Origin tells it."""
    assert pack.rating is not None, "a pack with a composite has a rating"
    periods = pack.rating.periods
    told = {p.name: {"hours": list(hours[p.name]), "add": p.add} for p in periods}
    return {
        "cite": "; ".join(p.cite for p in periods), "verified": all(p.verified for p in periods),
        "fixed": {"pack": pack.id, "periods": told},
    }  # fmt: skip

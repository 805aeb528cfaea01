"""Rating levels in windows: of hours, of the day, and of the loudest full hour of a night.

Rules of this file:

- the rating level of an hour is its level with what the point has of supplements (tones, impulses), and, in the
  sensitive hours of a day, with what these count more; all numbers are a rule pack's, and computed by `rating`;
- that of a day is the energy mean of its hours. An hour that is not valid counts as the mean of the others does, and
  the day is valid where as large a share of its hours is there as the rule in force asks. The day and the night are
  those of the point, and where they do not begin on a full hour the day has no level;
- that of a night is the highest of its full hours. What one hour exceeds the night exceeds, whatever is missing; so
  clauses judge each hour, and the night is what is told;
- an hour that does not lie in the day or in the night as a whole has none, and neither has one in which a supplement
  was measured without a valid level of it (a fault): nothing of the point's settings stands in for it;
- Sundays, and the dates that the point lists, are days of rest. Nothing knows the holidays of a land: without the list
  there are Sundays alone, and levels are rather too low than too high.

Pure. NaN = no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from collector.verdicts import rating
from collector.verdicts.day_levels import LEVEL, enough_time
from collector.verdicts.loads import HOUR, Source, snapped
from collector.verdicts.origin import Origin
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.rating_text import Period, RatingText, Supplement
from collector.verdicts.screening import Booleans
from collector.verdicts.tables import Table
from collector.verdicts.windows import Windows
from gateway.measurement import SECOND_NS, Float64

DAY, NIGHT = "day", "night"
KINDS = (HOUR, DAY, NIGHT)
_SUNDAY = 6  # of datetime.weekday


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hours:
    """The hours of a point, and what is rated of them; row i of every column is hour i.

    of: the levels that went in. level, rated: as measured and with all that counts more, NaN = none. supplements: by
    name. sensitive: what the hour of the day adds. [dB] lost: by level, in which hours it came and is not valid.
    clock_h: when the hour begins, by the clock on the wall. rest: whether it is of a day of rest. whole: whether it
    lies in the day or in the night as a whole. doubtful: whether something went in that was not verified.
    """

    windows: Windows
    of: tuple[str, ...]
    level: Float64
    rated: Float64
    supplements: Mapping[str, Float64]
    lost: Mapping[str, Booleans]
    sensitive: Float64
    clock_h: Float64
    rest: Booleans
    whole: Booleans
    doubtful: Booleans


def rating_table(pack: RulePack, rules: PointRules, source: Source, like: Table) -> Table:
    """The rating levels of windows of one kind. [dB]

    pack: of the point, with `rated` in its rating. source: of the point's tables. like: the levels of the same windows,
    of a kind in KINDS.
    """
    hours, kind = _hours(pack, rules, source), like.windows.kind
    if kind == HOUR:
        taken = {LEVEL: hours.level, **hours.supplements, "sensitive": hours.sensitive}
        return _table(pack, rules, like, hours.of, hours.rated, like.valid, hours.doubtful, taken, _lacking(hours))
    inside, there, length = like.windows.whole(hours.windows), ~np.isnan(hours.rated), hours.windows.length_ns
    time = inside.total(np.where(there, length, 0))
    valid = enough_time(rules.validity[kind], like.windows, time, like.windows.length_ns.astype(np.float64))
    lacking = {name: inside.total(column) for name, column in _lacking(hours).items()}
    if kind == DAY:
        full = inside.total(length) == like.windows.length_ns

        def mean(level: Float64) -> Float64:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # levels that no meter shows, silence
                energy = inside.total(np.where(there, np.power(10.0, 0.1 * level) * length, 0.0))
                return np.where((time > 0) & full, 10.0 * np.log10(energy / time), np.nan)

        value, sensitive = mean(hours.rated), there & (hours.sensitive > 0.0)
        taken = {
            LEVEL: mean(hours.level), "sensitive_hours": inside.number(sensitive).astype(np.float64),
            "rest_day": np.minimum(inside.total(hours.rest.astype(np.float64)), 1.0),
        }  # fmt: skip
        lacking["full hours"] = np.where(full, 0.0, 1.0)
    else:
        value = np.where(time > 0, inside.largest(np.where(there, hours.rated, -np.inf)), np.nan)
        taken = _loudest(hours, like.windows, value)
    doubtful = inside.number(hours.doubtful & there) > 0
    found = _table(pack, rules, like, hours.of, value, valid, doubtful, taken, lacking)
    coverage = np.minimum(time / np.maximum(like.windows.length_ns, 1), 1.0)
    parts, expected = inside.number(there), inside.count()
    return replace(found, coverage=coverage, parts=parts.astype(np.float64), expected=expected.astype(np.float64))


def _hours(pack: RulePack, rules: PointRules, source: Source) -> _Hours:
    text, hours = _text(pack), source.windows(HOUR)
    level = _known(source, LEVEL)
    tables = {one.measured: source.table(one.measured, HOUR) for one in text.supplements if one.measured}
    lost = {name: ~table.valid & (table.measured > 0) for name, table in tables.items() if table is not None}
    supplements = {
        one.name: np.where(lost.get(one.measured, False), np.nan, _supplement(one, rules, source, level))
        for one in text.supplements if one.setting or one.measured
    }  # fmt: skip
    zone = ZoneInfo(rules.timezone)
    wall = [datetime.fromtimestamp(ns // SECOND_NS, zone) for ns in hours.from_ns.tolist()]
    free = (rules.settings.get(text.rest_days) if text.rest_days else None) or ()
    rest = np.array([at.weekday() == _SUNDAY or at.date().isoformat() in free for at in wall], np.bool_)
    clock_s = np.array([at.hour * 3600 + at.minute * 60 + at.second for at in wall], np.float64)
    by_day = _within(rules, DAY, hours)

    def sensitive(text: RatingText) -> Float64:
        known = replace(pack, rating=text)
        more = rating.sensitive_supplement(known, clock_s, settings=rules.settings, rest_day=rest)
        return np.where(by_day, more, 0.0)

    whole, added = by_day | _within(rules, NIGHT, hours), sensitive(text)
    sure = sensitive(replace(text, sensitive=tuple(row for row in text.sensitive if row.verified)))
    return _Hours(
        windows=hours, of=(LEVEL, *lost), level=level, supplements=supplements, lost=lost, sensitive=added,
        clock_h=clock_s / 3600.0, rest=rest, whole=whole, doubtful=added != sure,
        rated=np.where(whole, rating.rated(pack, level, supplements) + added, np.nan),
    )  # fmt: skip


def _supplement(text: Supplement, rules: PointRules, source: Source, level: Float64) -> Float64:
    """A supplement of each hour: as measured, else as the point sets it. [dB]"""
    given = rules.settings.get(text.setting) if text.setting else None
    found = np.full(len(level), 0.0 if given is None else float(given))
    if text.measured:
        measured = rating.impulse_supplement(_known(source, text.measured), level)
        found = np.where(np.isnan(measured), found, measured)
    return found


def _known(source: Source, parameter: str) -> Float64:
    """The valid hours of a level, NaN = none. [dB]"""
    table = source.table(parameter, HOUR)
    return np.full(len(source.windows(HOUR)), np.nan) if table is None else np.where(table.valid, table.value, np.nan)


def _within(rules: PointRules, period: str, hours: Windows) -> Booleans:
    """Which hours lie in a day, or in a night, as a whole."""
    return rules.windows(period, int(hours.from_ns[0]), int(hours.to_ns[-1])).around(hours)


def _lacking(hours: _Hours) -> dict[str, Float64]:
    """What is missing of each hour: its level, one that came and is not valid, or that it lies in one period."""
    return {
        LEVEL: np.where(hours.whole & np.isnan(hours.level), 1.0, 0.0),
        **{name: np.where(hours.whole & rows, 1.0, 0.0) for name, rows in hours.lost.items()},
        "full hours": np.where(hours.whole, 0.0, 1.0),
    }


def _loudest(hours: _Hours, nights: Windows, value: Float64) -> dict[str, Float64]:
    """Of each night its loudest hour, the first where there are several: its level, and when it begins."""
    place = nights.place(hours.windows.from_ns)
    loudest = np.flatnonzero(place >= 0)
    loudest = loudest[hours.rated[loudest] == value[place[loudest]]]
    night, first = np.unique(place[loudest], return_index=True)
    found = {LEVEL: hours.level, "loudest_from_h": hours.clock_h}
    taken = {name: np.full(len(nights), np.nan) for name in found}
    for name, column in found.items():
        taken[name][night] = column[loudest[first]]
    return taken


def _table(
    pack: RulePack, rules: PointRules, like: Table, of: tuple[str, ...], value: Float64, valid: Booleans,
    doubtful: Booleans, taken: Mapping[str, Float64], lacking: Mapping[str, Float64],
) -> Table:  # fmt: skip
    """A table of rating levels: what is not theirs is left out."""
    value = snapped(np.where(np.isfinite(value), value, np.nan))
    origin = Origin(
        how="rating", of=of, doubtful=doubtful, **_law(pack, rules),
        taken={name: snapped(column) for name, column in taken.items()}, lacking=lacking,
    )  # fmt: skip
    return replace(
        like, method="rating", value=value, valid=valid & ~np.isnan(value), maximum=np.full(len(value), np.nan),
        percentiles=None, origin=origin,
    )  # fmt: skip


def _law(pack: RulePack, rules: PointRules) -> dict[str, Any]:
    """What the pack says and the point sets, as an Origin tells it."""
    text = _text(pack)
    used = [one for one in text.supplements if one.setting or one.measured]
    set_here = {one.name: rules.settings.get(one.setting) or 0 for one in used if one.setting}
    free = list(rules.settings.get(text.rest_days) or ()) if text.rest_days else []
    rows: list[Period | Supplement] = [*text.periods, *used]
    return {
        "cite": "; ".join(row.cite for row in rows), "verified": all(row.verified for row in rows),
        "fixed": {"pack": pack.id, "supplements": set_here, "holidays": len(free)},
    }  # fmt: skip


def _text(pack: RulePack) -> RatingText:
    assert pack.rating is not None, "a pack with rating levels has a rating"
    return pack.rating

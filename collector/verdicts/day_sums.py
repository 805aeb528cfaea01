"""Sums of a day: what months, rolling 30 days and years are made of, kept with each day's average.

A year is not averaged from its values, nor from the averages of its days: a mean of means over unequal days would
be wrong, and a day's value is rounded. So every day carries what its share of a longer window is, unrounded:

- `direct`: the average of the day's values themselves, and `covered_ns`: the time they stand for (for a sum: the sum);
- `periods`, of levels of whole days: of the valid hours of each period of the day, how much time they have and the
  energy mean, and `hours`: how many are valid in all;
- `views`, by who sees it so (packs count validity and plant states by themselves) and by what the rule counts
  (`part_key` of month, 30d and year): of the valid windows that long ones are made of, how much time there is, their
  mean (in water weighted by the flow), and of what is converted the same; `values` as the view sees them. What is
  seen as it is shown has no entry but "";
- `means`, by clause: of validated short-term averages, their number and mean;
- `counts`, by clause: of shorter windows beyond a bound, where a clause limits their number;
- `shares`, by clause that only a share of its windows has to meet: how many have a value, and how many are above;
- `lost`, by pack: whether too many short-term averages of the day are missing for it to be judged.

Plain JSON; NaN is None. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts import noise, unequal
from collector.verdicts.counts import counted
from collector.verdicts.day_levels import Periods, composing, composite_hours, in_periods
from collector.verdicts.judged import Judged
from collector.verdicts.limits import Clause, resolve
from collector.verdicts.pack import RulePack
from collector.verdicts.parts import LENGTH_NS, MEAN, TIMED, parts_in
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.scopes import View, views
from collector.verdicts.screening import Signal, usable
from collector.verdicts.shares import shares
from collector.verdicts.states import Scope, State
from collector.verdicts.tables import Table, Tables
from collector.verdicts.validated import validated
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, KINDS, Windows, local_date
from gateway.measurement import Int64

DAY = "24h"  # months, 30 days and years hang on midnights, as it does
LONG = ("month", "30d", "year")
Sums = dict[str, Any]


def with_sums(rules: PointRules, tables: Tables, found: Sequence[Average], said: Sequence[State] = ()) -> list[Average]:
    """Some averages of a point, those of whole days with their sums.

    tables: of a span that holds these days. said: as `judgement.derive` takes it.
    """
    starts = np.unique([a.from_ns for a in found if a.window == DAY]).astype(np.int64)
    if not len(starts):
        return list(found)
    days = tables.windows(DAY)
    days = days.take(days.rows(starts))
    seen: dict[tuple[int, Scope | None], Tables] = {}
    own: list[tuple[View, Tables]] = []
    for view in views(rules, tables.states, said):
        key = (id(view.rules), view.scope)
        if key not in seen:
            seen[key] = tables.seen_by(view.rules, view.scope)
        own.append((view, seen[key]))
    names = sorted({a.parameter for a in found if a.window == DAY})
    made = {name: _sums(name, days, rules, tables, own) for name in names}
    rows = {start: row for row, start in enumerate(days.from_ns.tolist())}
    return [replace(a, sums=made[a.parameter][rows[a.from_ns]]) if a.window == DAY else a for a in found]


def part_kind(base: str, declared: str) -> str:
    """The kind of the windows that long ones are made of: those a rule counts, else those of the base."""
    known = declared in LENGTH_NS and KINDS.index(base) <= KINDS.index(declared)
    return declared if known else base


def view_key(view: View) -> str:
    """What a view is known by in a day's sums, whatever packs say later; where it sees what is shown, "" has it."""
    return f"{view.packs[0]}: {' '.join(sorted(view.judged))} of {' '.join(sorted(view.operating))}"


def part_key(validity: Validity) -> str:
    """What a rule about long windows counts, as a day's sums name it."""
    return f"{validity.part} of operating" if validity.operating else validity.part


def _sums(
    parameter: str, days: Windows, rules: PointRules, tables: Tables, own: Sequence[tuple[View, Tables]]
) -> list[Sums]:
    """The sums of one parameter, one entry a day. tables: as averages are shown. own: of each view."""
    found = [_values(rules, tables, parameter, days)]
    found.append([{"views": {"": parts}} for parts in _parts(rules, tables, parameter, days)])
    for view, its in own:
        if its is not tables:
            parts, values = _parts(view.rules, its, parameter, days), _seen(view.rules, its, parameter, days)
            seen = [{**part, "values": value} for part, value in zip(parts, values, strict=True)]
            found.append([{"views": {view_key(view): one}} for one in seen])
        found += [_of_pack(view, pack, its, parameter, days) for pack in view.rules.packs if pack.id in view.packs]
    return [_merged([part[row] for part in found]) for row in range(len(days))]


def _merged(parts: Sequence[Sums]) -> Sums:
    merged: Sums = {}
    for part in parts:
        for name, value in part.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    return merged


def _values(rules: PointRules, tables: Tables, parameter: str, days: Windows) -> list[Sums]:
    """What the values of each day come to, whether they were measured or computed from others."""
    signal = tables.signals.get(parameter)
    if signal is None:
        return _made(rules, tables, parameter, days)
    return _direct(rules.method(parameter), days, signal)


def _direct(method: str, days: Windows, signal: Signal) -> list[Sums]:
    """The average of each day's values, unrounded, and which instruments measured them."""
    good = usable(signal.value, signal.status)
    inside = days.instants(signal.time_ns)
    rows = inside.among(good)
    group = np.repeat(rows.window, rows.stop - rows.start)
    some = rows.rows()
    value, time, n = signal.value[good][some], signal.interval_ns[good][some].astype(np.float64), len(days)
    covered = np.bincount(group, time, n)
    if method == "energy":
        direct = noise.energy_average_by(value, group, n, time)
    elif method == "sum":
        direct = np.where(covered > 0, np.bincount(group, value, n), np.nan)
    else:
        direct = unequal.mean_by(value, group, n, time)
    sensors = [
        sorted({signal.sensors[i] for i in np.unique(signal.sensor_index[first:last])})
        for first, last in zip(inside.start.tolist(), inside.stop.tolist(), strict=True)
    ]
    return [
        {"direct": number(one), "covered_ns": round(ns), "sensors": ids}
        for one, ns, ids in zip(direct.tolist(), covered.tolist(), sensors, strict=True)
    ]


def _seen(rules: PointRules, tables: Tables, parameter: str, days: Windows) -> list[Sums]:
    """What the row of a day says as it is shown, as another view of the point sees it."""
    table = tables.table(parameter, DAY)
    assert table is not None, "views judge the same measurements, so what has days as it is shown has them in each"
    made = _values(rules, tables, parameter, days)
    rows = table.windows.rows(days.from_ns)
    lists = (table.count[rows].tolist(), table.value[rows].tolist(), table.maximum[rows].tolist())
    return [
        {"count": count, "value": number(value), "maximum": number(most), **one}
        for count, value, most, one in zip(*lists, made, strict=True)
    ]


def _made(rules: PointRules, tables: Tables, parameter: str, days: Windows) -> list[Sums]:
    """The days of a parameter that is computed from others: loads as they are, of levels the hours of each period."""
    table, pack = tables.table(parameter, DAY), composing(rules, parameter)
    assert table is not None, "an average of a day comes from a table"
    if pack is not None:
        return _periods(in_periods(composite_hours(pack, rules.settings), rules.timezone, tables, days))
    rows = table.windows.rows(days.from_ns)
    covered = table.coverage * table.windows.length_ns
    return [
        {"direct": number(one), "covered_ns": round(ns), "sensors": []}
        for one, ns in zip(table.value[rows].tolist(), covered[rows].tolist(), strict=True)
    ]


def _periods(found: Periods) -> list[Sums]:
    """The valid hours of each day by period of the day."""
    by_name = [
        [{"ns": round(ns), "level": number(level)} for ns, level in zip(found.time_ns[name].tolist(), of, strict=True)]
        for name, of in ((name, column.tolist()) for name, column in found.level.items())
    ]
    return [
        {"covered_ns": round(ns), "hours": hours, "periods": dict(zip(found.level, its, strict=True)), "sensors": []}
        for ns, hours, *its in zip(found.covered_ns.tolist(), found.number.tolist(), *by_name, strict=True)
    ]


def _parts(rules: PointRules, tables: Tables, parameter: str, days: Windows) -> list[dict[str, Sums]]:
    """Of the windows that each rule counts, by what it counts, one entry a day."""
    found: list[dict[str, Sums]] = [{} for _ in range(len(days))]
    if parameter not in tables.signals and composing(rules, parameter) is not None:
        return found  # levels of whole days have their periods
    for validity in {part_key(rules.validity[kind]): rules.validity[kind] for kind in LONG}.values():
        base = tables.base(parameter)
        table = tables.table(parameter, part_kind(base, validity.part))
        assert table is not None, "what has days has the windows that they are made of"
        length = tables.length_ns(table.windows, validity)
        for day, sums, ran_ns in zip(
            found, _of_windows(table, days, length), tables.length_ns(days, validity).tolist(), strict=True
        ):
            day[part_key(validity)] = {**sums, "ran_ns": ran_ns}
    return found


def _of_windows(table: Table, days: Windows, length: Int64) -> list[Sums]:
    """How much valid time the windows of a table have in each day, and their means over it.

    length: how much of the time of each window counts, shape (windows,). [ns]
    """
    found = parts_in(table, days.whole(table.windows), length)
    # Windows of one kind count alike in a mean; those of days of another rhythm (another instrument) by their time.
    alike = LENGTH_NS[table.windows.kind]
    columns: dict[str, list[Any]] = {}
    for name, part in found.items():
        columns[name] = [number(one) for one in part.mean.tolist()]
        if name == MEAN or name in TIMED:
            own = "" if name == MEAN else f"{name}_"
            columns[f"{own}ns"], columns[f"{own}weight"] = part.time_ns.tolist(), (part.weight * alike).tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _of_pack(view: View, pack: RulePack, tables: Tables, parameter: str, days: Windows) -> list[Sums]:
    """What the clauses of one pack that a view judges count in each day, by the law of that day."""
    rules = view.rules
    if not (pack.shares or pack.validation or any(c.count for c in pack.clauses)):
        return [{} for _ in range(len(days))]
    found = []
    judged = Judged(rules, tables)
    for row, from_ns in enumerate(days.from_ns.tolist()):
        on = local_date(rules.timezone, from_ns)
        clauses = [c for c in resolve(pack, rules.settings, on)[0] if c.parameter == parameter and view.judges(c)]
        one = days.take(np.arange(len(days)) == row)
        found.append(
            {
                "means": {c.key: mean for c in clauses if (mean := _mean(c, tables, one)) is not None},
                "counts": {c.key: number for c in clauses if (number := _count(c, tables, one)) is not None},
                "shares": _shares(rules, pack, clauses, judged, tables, one),
                "lost": _lost(rules, pack, clauses, tables, one),
            }
        )
    return found


def _mean(clause: Clause, tables: Tables, day: Windows) -> list[Any] | None:
    """Number and mean of the validated short-term averages of a day, for a clause about a longer window."""
    if clause.window not in LONG or clause.corrected != "validated":
        return None
    short = tables.table(clause.parameter, clause.short)
    if short is None or short.converted is None:
        return None
    rows = day.whole(short.windows).rows()
    series = validated(short.converted[rows], np.nan if clause.interval is None else clause.interval)
    series = series[short.valid[rows] & ~np.isnan(series)]
    return [len(series), float(series.mean()) if len(series) else None]


def _count(clause: Clause, tables: Tables, day: Windows) -> int | None:
    """How many shorter windows of a day a clause about a longer one counts."""
    number = counted(clause, day, tables) if clause.window in LONG else None
    return None if number is None else int(number[0])


def _shares(
    rules: PointRules, pack: RulePack, clauses: Sequence[Clause], judged: Judged, tables: Tables, day: Windows
) -> dict[str, Sums]:
    """How the windows of a day stand that only a share of has to meet its clause, by clause."""
    asked = {share.clause for share in pack.shares} | {share.instead for share in pack.shares}
    averages = {c.id: _averages(rules, c, judged, tables, day) for c in clauses if c.id in asked}
    verdicts = shares(pack, rules.settings, local_date(rules.timezone, int(day.from_ns[0])), averages)
    return {
        f"{pack.id}/{one.share.clause}": {
            "limit": one.limit, "counted": int(one.within.counted), "above": int(one.within.above),
            "instead": None if one.instead is None else [int(one.instead.counted), int(one.instead.above)],
            "broken": bool(one.broken),
        }
        for one in verdicts
        if one.share.clause in averages
    }  # fmt: skip


def _averages(rules: PointRules, clause: Clause, judged: Judged, tables: Tables, day: Windows) -> npt.ArrayLike:
    """The valid averages of a day that a clause is about, as it judges them."""
    table = tables.table(clause.parameter, clause.window) if clause.window in (*FIXED_NS, DAY) else None
    column = None if table is None else judged.column(clause, table)
    if table is None or column is None:
        return ()
    rows = day.whole(table.windows).rows()
    rows = rows[table.valid[rows]]
    return np.asarray(column[rows][rules.applies(clause, table.windows.from_ns[rows])])


def _lost(
    rules: PointRules, pack: RulePack, clauses: Sequence[Clause], tables: Tables, day: Windows
) -> dict[str, Sums]:
    """How many short-term averages a day lacks of its operating time, and whether it is lost by that."""
    text = pack.validation
    about = [c for c in clauses if c.corrected == "validated"]
    short = tables.table(about[0].parameter, text.window) if text and about else None
    if text is None or short is None or short.converted is None:
        return {}
    rows = day.whole(short.windows).rows()
    rows = rows[tables.length_ns(short.windows, rules.validity[text.window])[rows] > 0]
    missing = int((~(short.valid[rows] & np.isfinite(short.converted[rows]))).sum())
    return {pack.id: {"of": len(rows), "missing": missing, "lost": missing > text.invalid_max}}


def number(value: float) -> float | None:
    """A finite number, None for any other."""
    return value if np.isfinite(value) else None

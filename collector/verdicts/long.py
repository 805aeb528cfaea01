"""Months, rolling 30 days and years in the running line: averages of days as averages, judged.

`judgement.derive` makes verdicts from measurements; this makes those of long windows from the averages of their days,
newest versions, and `judgement.settle` compares both with the book in the same way. An exceedance of a long window
stands on its days, and its evidence lists them, each with its version; every day has its own averages and measurements.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from collector.verdicts.assurance_told import told as certified
from collector.verdicts.averages import measured, records
from collector.verdicts.day_sums import DAY, view_key
from collector.verdicts.evidence import average_evidence, clause_evidence
from collector.verdicts.judged import Judged, by_law
from collector.verdicts.judgement import Derived
from collector.verdicts.limits import Clause
from collector.verdicts.listed import WINDOW_COLUMNS, left_out, rfc3339
from collector.verdicts.long_tables import LongTables
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Exceedance
from collector.verdicts.scopes import View, shown, views
from collector.verdicts.screening import Booleans
from collector.verdicts.states import ALWAYS, OPERATING, STATES, State, Timeline, marked, seconds_by_state, within
from collector.verdicts.tables import DIGITS, Table
from collector.verdicts.windows import Windows
from gateway.measurement import SECOND_NS, Float64


def derive_long(
    rules: PointRules, days: Sequence[Average], wanted: Mapping[str, Windows], said: Sequence[State] = ()
) -> Derived:
    """The averages of the wanted long windows of a point, and which of them break a clause; all of version 1.

    days: all averages of whole days in these windows, newest versions, with their sums. wanted: windows by kind.
    said: marks of the plant's state, as `judgement.derive` takes them: of days without any measurement they alone tell.
    """
    spans = [(int(w.from_ns.min()), int(w.to_ns.max())) for w in wanted.values() if len(w)]
    found: list[Average] = []
    broken: list[Exceedance] = []
    if not spans:
        return Derived(found, broken)
    states = marked(ALWAYS, within(said, min(a for a, _ in spans), max(b for _, b in spans)))
    tables = LongTables(rules, "", days, wanted, shown(rules, states))
    held = _held(rules, days, states)
    for parameter, table, rows in measured(tables, wanted):
        its = records(rules, LongJudged(rules, tables), parameter, tables.unit(parameter), table, rows)
        its = certified(rules.assurance, tables, its)
        found += [_told(average, tables.days(parameter), held) for average in its]
    for view in views(rules, states, said):  # the same ones whatever the plant's states were
        tables = LongTables(view.rules, view_key(view), days, wanted, view.scope)
        judged = LongJudged(view.rules, tables)
        for parameter, table, rows in measured(tables, wanted, view.asked):
            broken += _exceedances(view, tables, judged, parameter, table, rows)
    return Derived(found, broken)


Held = dict[int, Mapping[str, float]]  # by start of a day and state


def _held(rules: PointRules, days: Sequence[Average], states: Timeline) -> Held:
    """How long the plant was in which state on each day of which that is known, by its start. [s]

    Any average of the day tells it; of a day without one, marks do. states: what these say.
    """
    held: Held = {}
    if len(states.start_ns):
        said = rules.windows(DAY, int(states.start_ns[0]), int(states.start_ns[-1]))
        columns = {state: column.tolist() for state, column in seconds_by_state(states, said).items()}
        held = {start: {state: column[row] for state, column in columns.items()} for row, start in
                enumerate(said.from_ns.tolist())}  # fmt: skip
    return held | {day.from_ns: day.inputs.get("states", {}) for day in days if day.inputs}


def _told(average: Average, days: Sequence[Average], held: Held) -> Average:
    """An average with what its days tell: how it is computed from others, how long the plant was in each state. [s]"""
    more: dict[str, Any] = {}
    computed = [day for day in days if average.from_ns <= day.from_ns < average.to_ns and "derived" in day.inputs]
    if computed and "derived" not in average.inputs:
        told = _computed([day.inputs["derived"] for day in computed])
        more = {"method": computed[-1].inputs["method"], "derived": told}
    other = Counter[str]()
    for start, states in held.items():
        if average.from_ns <= start < average.to_ns:
            other.update({state: s for state, s in states.items() if s and state != STATES[OPERATING]})
    if other:
        ran = (average.to_ns - average.from_ns) / SECOND_NS - sum(other.values())
        more["states"] = {**({STATES[OPERATING]: ran} if ran else {}), **other}
    return replace(average, inputs={**average.inputs, **more}) if more else average


def _computed(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How a parameter is computed from others, by what its days tell: what is the same on all, and how many hours."""
    same = {name: value for name, value in told[-1].items() if all(one.get(name) == value for one in told)}
    hours = {"hours": sum(one.get("hours") or 0.0 for one in told)} if any("hours" in one for one in told) else {}
    lacking = Counter[str]()
    for one in told:
        lacking.update(one.get("lacking", {}))
    same.pop("lacking", None)
    return {**same, **hours, **({"lacking": dict(lacking)} if lacking else {})}


class LongJudged(Judged):
    """The values that clauses judge of long windows: what is made of shorter windows has its sums in the days."""

    def __init__(self, rules: PointRules, tables: LongTables) -> None:
        super().__init__(rules, tables)
        self._long = tables

    def column(self, clause: Clause, table: Table) -> Float64 | None:
        """As `Judged.column`; validated, the mean of all validated short-term averages."""
        if clause.corrected != "validated" or table.converted is None:
            return super().column(clause, table)
        parts = [day.sums.get("means", {}).get(clause.key, (0, None)) for day in self._long.days(clause.parameter)]
        number = np.array([count for count, _ in parts], np.float64)
        mean = np.array([mean or 0.0 for _, mean in parts], np.float64)
        count = table.segments.total(number)
        total = table.segments.total(number * mean)
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0.0)
        return np.asarray(np.round(mean, DIGITS), np.float64)

    def compared(self, clause: Clause, table: Table, rows: slice = slice(None)) -> Float64 | None:
        """As `Judged.compared`; a count, of the days on which it could be counted."""
        if clause.count is None:
            return super().compared(clause, table, rows)
        numbers = [day.sums.get("counts", {}).get(clause.key) for day in self._long.days(clause.parameter)]
        counted = np.array([number is not None for number in numbers])
        total = table.segments.total(np.array([number or 0 for number in numbers], np.float64))
        return np.where(table.segments.number(counted) > 0, total, np.nan)[rows]


def _exceedances(
    view: View, tables: LongTables, judged: LongJudged, parameter: str, table: Table, wanted: Booleans
) -> Iterator[Exceedance]:
    """What breaks a clause of a view among the wanted windows of one table."""
    rules, windows = view.rules, table.windows
    for rows, clauses in by_law(rules, windows):
        for clause in clauses:
            if not view.judges(clause) or (clause.parameter, clause.window) != (parameter, windows.kind):
                continue
            for breach in judged.breaches(clause, table, rows, wanted):
                one = np.arange(len(windows)) == breach.row
                its = records(rules, judged, parameter, tables.unit(parameter), table, one)
                (average,) = certified(rules.assurance, tables, its)
                days = [tables.days(parameter)[row] for row in table.segments.take(np.flatnonzero(one)).rows()]
                law = clause_evidence(
                    rules, clause, compared=breach.compared, limit=breach.limit, conditions=breach.conditions
                )
                yield Exceedance(
                    plant=rules.plant, point=rules.point, parameter=parameter, pack=clause.pack, clause=clause.id,
                    cite=clause.cite, title=clause.title.en, window=windows.kind, from_ns=average.from_ns,
                    to_ns=average.to_ns, value=breach.compared, limit=breach.limit, unit=clause.unit,
                    standing=clause.standing, verified=clause.verified, low=breach.low,
                    evidence={"clause": law, "average": average_evidence(average), **days_evidence(rules, days)},
                )  # fmt: skip


def days_evidence(rules: PointRules, days: Sequence[Average]) -> dict[str, Any]:
    """The days that an exceedance stands on, at least one, with their versions, and what instruments measured them."""
    sensors = sorted({id for day in days for id in day.sums.get("sensors", ())})
    about: dict[str, Any] = {
        "plant": rules.plant, "point": rules.point, "parameter": days[0].parameter, "unit": days[0].unit,
        "from": rfc3339(days[0].from_ns), "to": rfc3339(days[-1].to_ns),
    }  # fmt: skip
    count = sum(day.count for day in days)
    items = [
        [rfc3339(d.from_ns), d.value, d.inputs.get("converted"), d.valid, d.inputs.get("counts", {}), d.version]
        for d in days
    ]
    return {
        "measurements": {
            **about, "count": count, "interval": DAY, "columns": [*WINDOW_COLUMNS, "version"], "items": items,
            "left": left_out(about, count, DAY),
        },
        "conditions": {},
        "sensors": [{**rules.sources.get(id, {"sensor": id}), "parameters": [days[0].parameter]} for id in sensors],
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in rules.settings.items()},
    }  # fmt: skip

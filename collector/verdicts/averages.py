"""Averages as records: what the tables say, told window by window.

Two layers of truth stand side by side in every record: `value`, the plain average of what was
measured, and `evaluated`, the value an inspector would hold against the limit - converted to
standard state, dry gas and reference oxygen, and rounded, as far as the clauses in force say so. It is
there where a clause judges the window, and for other windows of what some clause wants converted.
Where several clauses judge a window, one of their values is shown; each clause is held against its own.
`inputs` tells how both came about. Windows in which nothing was measured have no record; one in
which only bad values were has a record without a value. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from collector.verdicts import background, limits, noise
from collector.verdicts.assurance_told import told
from collector.verdicts.derived import weather_rule
from collector.verdicts.judged import Judged, by_law
from collector.verdicts.parts import DILUTED
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Booleans, named
from collector.verdicts.states import seconds_by_state
from collector.verdicts.tables import Table, Tables
from collector.verdicts.windows import Windows
from gateway.measurement import Float64

_LEVELS = tuple(f"L{n}" for n in noise.PERCENTILES)
# What each correction takes, by its name in `corrections.Converted.steps`.
_TAKEN = {
    "standard_state": ("temperature_c", "static_pa"),
    "dry_basis": ("moisture_percent",),
    "reference_oxygen": ("oxygen_percent",),
}
_SETTING = {
    "standard_state": (("barometric_pa", "barometric_pa"),),
    "reference_oxygen": (("reference_percent", "reference_oxygen"), ("air_percent", "air_oxygen")),
}


def averages(rules: PointRules, tables: Tables, wanted: Mapping[str, Windows]) -> list[Average]:
    """The averages of the wanted windows of a point, ordered by parameter, kind and start; all of version 1.

    tables: over a span that holds every wanted window as a whole.
    """
    judged = Judged(rules, tables)
    found = [
        average
        for parameter, table, rows in measured(tables, wanted)
        for average in records(rules, judged, parameter, tables.unit(parameter), table, rows)
    ]
    return told(rules.assurance, tables, found)


def measured(
    tables: Tables, wanted: Mapping[str, Windows], asked: Collection[tuple[str, str]] | None = None
) -> Iterator[tuple[str, Table, Booleans]]:
    """Every parameter's table of the wanted kinds, and which of its windows are wanted and have measurements.

    asked: parameters and kinds, None = all.
    """
    for parameter in tables.parameters:
        for kind in sorted(kind for kind in wanted if asked is None or (parameter, kind) in asked):
            table = tables.table(parameter, kind) if len(wanted[kind]) else None
            if table is not None:
                yield parameter, table, table.windows.rows(wanted[kind].from_ns) & (table.measured > 0)


def records(
    rules: PointRules, judged: Judged, parameter: str, unit: str, table: Table, rows: Booleans
) -> list[Average]:
    """The records of some rows of a table."""
    columns = (table.windows.from_ns, table.windows.to_ns, table.value, table.coverage, table.valid, table.count,
               _evaluated(rules, judged, parameter, table), table.maximum)  # fmt: skip
    lists = [column[rows].tolist() for column in columns]
    states = seconds_by_state(judged.states, table.windows.take(rows))
    told = zip(*lists, _levels(table, rows), _inputs(rules, parameter, table, rows, states), strict=True)
    return [
        Average(
            plant=rules.plant, point=rules.point, parameter=parameter, window=table.windows.kind, from_ns=from_ns,
            to_ns=to_ns, value=_or_none(value), unit=unit, coverage=coverage, valid=valid, count=count,
            evaluated=_or_none(evaluated), maximum=_or_none(maximum), percentiles=levels, inputs=inputs,
        )
        for from_ns, to_ns, value, coverage, valid, count, evaluated, maximum, levels, inputs in told
    ]  # fmt: skip


def _levels(table: Table, rows: Booleans) -> Iterator[dict[str, float]]:
    """The percentiles of each row; empty where it is no level, or no value went in."""
    if table.percentiles is None:
        yield from ({} for _ in range(int(rows.sum())))
        return
    for count, levels in zip(table.count[rows].tolist(), table.percentiles[rows].tolist(), strict=True):
        yield dict(zip(_LEVELS, levels, strict=True)) if count else {}


def _evaluated(rules: PointRules, judged: Judged, parameter: str, table: Table) -> Float64:
    """The value as it is held against the limit, NaN where no clause in force judges it or a conversion has no result.

    It is what is shown. Where several clauses judge one window, the first that rounds has it, then one that converts;
    each is judged by its own (`judgement`).
    """
    result = np.full(len(table.windows), np.nan)
    for rows, clauses in by_law(rules, table.windows):
        own = [clause for clause in clauses if clause.parameter == parameter]
        if table.converted is not None and any(clause.corrected != "as measured" for clause in own):
            result[rows] = table.converted[rows]
        here = [clause for clause in own if clause.window == table.windows.kind and clause.statistic == "value"]
        for clause in sorted(here, key=lambda c: (c.rounding == "none", not c.evaluates))[::-1]:
            value = judged.column(clause, table)
            mine = rules.applies(clause, table.windows.from_ns[rows])
            result[rows][mine] = np.nan if value is None else limits.rounded(clause, value[rows][mine])
    return result


def _inputs(
    rules: PointRules, parameter: str, table: Table, rows: Booleans, states: Mapping[str, Float64]
) -> Iterator[dict[str, Any]]:
    """How the value of each row came about. states: how long it was in each. [s]"""
    around = _around(rules, parameter, table, rows)
    in_states = _states(states, int(rows.sum()))
    more = zip(_corrected(rules, table, rows), _derived(table, rows), around, in_states, strict=True)
    counts = map(named, table.by_status[rows].tolist())
    parts = table.parts[rows].tolist()
    brief = table.windows.kind == "1m"  # there are many, and their rule is that of the longer windows
    validity = rules.validity[table.windows.kind]
    share = None if validity.share is None else float(validity.share)  # a fraction is no number in JSON
    rule = {"of": validity.part, "minimum": validity.minimum, "share": share, "cite": validity.cite,
            "verified": validity.verified,
            **({} if validity.missing is None else {"missing": validity.missing}),
            **({"operating": True} if validity.operating else {}),
            **({"quadrants": True} if validity.quadrants else {})}  # fmt: skip
    weather = weather_rule(rules)
    for count, part, (corrections, derived, levels, state) in zip(counts, parts, more, strict=True):
        known = {} if brief else {"method": table.method, "parts": {**rule, "valid": part}}
        if weather is not None and not brief and not {"wind", "rain"}.isdisjoint(count):
            known["weather"] = weather.told()
        yield {"counts": count, **state, **known, **corrections, **derived, **levels}


def _derived(table: Table, rows: Booleans) -> Iterator[dict[str, Any]]:
    """How each row of a derived table came about."""
    if table.origin is None:
        yield from ({} for _ in range(int(rows.sum())))
        return
    yield from ({"derived": told} for told in table.origin.told(rows))


def _around(rules: PointRules, parameter: str, table: Table, rows: Booleans) -> Iterator[dict[str, Any]]:
    """The background of each row of levels, in windows longer than a minute."""
    if rules.kind != "noise" or table.windows.kind == "1m":
        yield from ({} for _ in range(int(rows.sum())))
        return
    yield from background.told(rules, parameter, table.windows, table.value, rows)


def _states(states: Mapping[str, Float64], n: int) -> Iterator[dict[str, Any]]:
    """How long each row was in which state of the plant, where it was not operating all the time. [s]"""
    for row in zip(*(column.tolist() for column in states.values()), strict=True) if states else ((),) * n:
        long = {state: seconds for state, seconds in zip(states, row, strict=True) if seconds}
        yield {"states": long} if set(long) - {"operating"} else {}


def _corrected(rules: PointRules, table: Table, rows: Booleans) -> Iterator[dict[str, Any]]:
    """The corrections of each row in order, with what they took (means over the window, settings) and their results."""
    if not table.steps:
        yield from ({} for _ in range(int(rows.sum())))
        return
    taken = {name: table.conditions[name][rows].tolist() for step in table.steps for name in _TAKEN[step]}
    fixed = {step: {key: getattr(rules.stack, name) for key, name in _SETTING.get(step, ())} for step in table.steps}
    diluted = table.conditions[DILUTED][rows].tolist()
    assert table.standard_dry is not None, "a corrected table has results"
    assert table.converted is not None, "a corrected table has results"
    results = zip(table.standard_dry[rows].tolist(), table.converted[rows].tolist(), strict=True)
    for row, (standard_dry, converted) in enumerate(results):
        steps = [
            {"step": step, **{name: _or_none(taken[name][row]) for name in _TAKEN[step]}, **fixed[step]}
            for step in table.steps
        ]
        if diluted[row] > 0.0:  # why some of the window, or all of it, has no converted value
            assert rules.stack is not None, "a corrected table is a stack's"
            steps[-1] |= {"oxygen_max": rules.stack.oxygen_max, "diluted_percent": round(100.0 * diluted[row], 6)}
        yield {"corrections": steps, "standard_dry": _or_none(standard_dry), "converted": _or_none(converted)}


def _or_none(value: float) -> float | None:
    """A number, None instead of NaN."""
    return None if value != value else value

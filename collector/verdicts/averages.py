"""Averages as records: what the tables say, told window by window.

Two layers of truth stand side by side in every record: `value`, the plain average of what was
measured, and `evaluated`, the value an inspector would hold against the limit - converted to
standard state, dry gas and reference oxygen, and rounded, as far as the clauses in force say so.
`inputs` tells how both came about. Windows in which nothing was measured have no record; one in
which only bad values were has a record without a value. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts import limits, noise
from collector.verdicts.limits import Clause
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Booleans, named
from collector.verdicts.tables import Table, Tables
from collector.verdicts.windows import Windows, local_date
from gateway.measurement import Float64

_LEVELS = tuple(f"L{n}" for n in noise.PERCENTILES)
# What each correction takes, by its name in `corrections.Converted.steps`.
_TAKEN = {
    "standard_state": ("temperature_c", "static_pa"),
    "dry_basis": ("moisture_percent",),
    "reference_oxygen": ("oxygen_percent",),
}
_SETTING = {
    "standard_state": ("barometric_pa", "barometric_pa"),
    "reference_oxygen": ("reference_percent", "reference_oxygen"),
}


def averages(rules: PointRules, tables: Tables, wanted: Mapping[str, Windows]) -> list[Average]:
    """The averages of the wanted windows of a point, ordered by parameter, kind and start; all of version 1.

    tables: over a span that holds every wanted window as a whole.
    """
    found: list[Average] = []
    for parameter in tables.parameters:
        unit = tables.unit(parameter)
        for kind in sorted(wanted):
            table = tables.table(parameter, kind)
            if table is not None and len(wanted[kind]):
                rows = np.isin(table.windows.from_ns, wanted[kind].from_ns) & (table.by_status.sum(axis=1) > 0)
                found += _records(rules, parameter, unit, table, rows)
    return found


def _records(rules: PointRules, parameter: str, unit: str, table: Table, rows: Booleans) -> list[Average]:
    """The records of some rows of a table."""
    evaluated = _evaluated(rules, parameter, table)
    columns = (table.windows.from_ns, table.windows.to_ns, table.value, table.coverage, table.valid, table.count,
               evaluated, table.maximum)  # fmt: skip
    numbers = np.flatnonzero(rows)
    lists = [column[numbers].tolist() for column in columns]
    found = []
    for row, from_ns, to_ns, value, coverage, valid, count, judged, maximum in zip(numbers, *lists, strict=True):
        found.append(
            Average(
                plant=rules.plant,
                point=rules.point,
                parameter=parameter,
                window=table.windows.kind,
                from_ns=from_ns,
                to_ns=to_ns,
                value=_or_none(value),
                unit=unit,
                coverage=coverage,
                valid=valid,
                count=count,
                evaluated=_or_none(judged),
                maximum=_or_none(maximum),
                percentiles=_levels(table, row),
                inputs=_inputs(rules, table, row),
            )
        )
    return found


def _levels(table: Table, row: np.intp) -> dict[str, float]:
    if table.percentiles is None or not table.count[row]:
        return {}
    return dict(zip(_LEVELS, table.percentiles[row].tolist(), strict=True))


def _evaluated(rules: PointRules, parameter: str, table: Table) -> Float64:
    """The value as an inspector would have it, NaN where no clause in force says how."""
    result = np.full(len(table.windows), np.nan)
    for rows, clauses in _by_date(rules, table.windows):
        own = [clause for clause in clauses if clause.parameter == parameter]
        converts = table.converted is not None and any(clause.corrected == "converted" for clause in own)
        value = table.converted if converts and table.converted is not None else table.value
        here = (c for c in own if c.window == table.windows.kind and c.statistic == "value")
        rounding = next((clause for clause in here if clause.rounding != "none"), None)
        if rounding is not None:
            result[rows] = limits.rounded(rounding, value[rows])
        elif converts:
            result[rows] = value[rows]
    return result


def _by_date(rules: PointRules, windows: Windows) -> list[tuple[npt.NDArray[np.intp], Sequence[Clause]]]:
    """Rows of windows that start on one date, and the clauses in force then."""
    if not len(windows):
        return []
    days = rules.windows("24h", int(windows.from_ns[0]), int(windows.from_ns[-1]) + 1)
    place = np.searchsorted(days.from_ns, windows.from_ns, "right") - 1
    found: list[tuple[npt.NDArray[np.intp], Sequence[Clause]]] = []
    for day in np.unique(place):
        clauses = rules.clauses(local_date(rules.timezone, int(days.from_ns[day])))
        found.append((np.flatnonzero(place == day), clauses))
    return found


def _inputs(rules: PointRules, table: Table, row: np.intp) -> dict[str, Any]:
    """How the value of a row came about."""
    inputs: dict[str, Any] = {"counts": named(table.by_status[row])}
    if table.windows.kind != "1m":
        validity = rules.validity[table.windows.kind]
        inputs["method"] = table.method
        inputs["parts"] = {
            "of": validity.part, "valid": float(table.parts[row]), "minimum": validity.minimum,
            "share": validity.share, "cite": validity.cite, "verified": validity.verified,
        }  # fmt: skip
    if table.steps:
        inputs["corrections"] = [_correction(rules, table, step, row) for step in table.steps]
        inputs["standard_dry"] = _at(table.standard_dry, row)
        inputs["converted"] = _at(table.converted, row)
    return inputs


def _correction(rules: PointRules, table: Table, step: str, row: np.intp) -> dict[str, Any]:
    """One correction with what it took: means over the window, and settings of the point."""
    taken: dict[str, Any] = {"step": step}
    taken.update((name, _at(table.conditions.get(name), row)) for name in _TAKEN.get(step, ()))
    if step in _SETTING and rules.stack is not None:
        name, setting = _SETTING[step]
        taken[name] = getattr(rules.stack, setting)
    return taken


def _at(column: Float64 | None, row: np.intp) -> float | None:
    return None if column is None else _or_none(float(column[row]))


def _or_none(value: float) -> float | None:
    """A number, None instead of NaN."""
    return None if value != value else value

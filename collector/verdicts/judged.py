"""Which windows of a table break a clause, all of them at once.

A clause is held against a column: the average, the converted or the validated one, the maximum, or a count of
shorter windows. It says how it rounds, and where its limit depends on other channels these are taken by their valid
averages over the same window. An average that is not valid is not judged; a maximum and a count are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts import background, peaks
from collector.verdicts.counts import counted
from collector.verdicts.limits import Clause, Limit, rounded
from collector.verdicts.points import PointRules
from collector.verdicts.screening import Booleans
from collector.verdicts.tables import DIGITS, Table, Tables
from collector.verdicts.validated import validated, validated_means
from collector.verdicts.windows import KINDS, Windows, local_date
from gateway.measurement import Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A window that breaks a clause. row: of its table. compared, limit: what was held against which bound. [unit]

    low: lower limit of a two-sided clause, else None. conditions: the other channels its limit depends on, as far
    as they are known.
    """

    row: int
    compared: float
    limit: float
    low: float | None
    conditions: dict[str, float]


class Judged:
    """The values that clauses judge in the tables of one point; what has to be computed is computed once."""

    def __init__(self, rules: PointRules, tables: Tables) -> None:
        self._rules = rules
        self.tables = tables
        self.states = tables.states
        self._validated: dict[tuple[str, str, str, float | None], Float64 | None] = {}

    def kind(self, clause: Clause) -> str:
        """The windows that a clause is judged in; its parameter has tables."""
        return peaks.kind_for(self._rules, clause, self.tables.base(clause.parameter))

    def column(self, clause: Clause, table: Table) -> Float64 | None:
        """One value a window of a table of the clause's parameter before it is rounded, NaN = none. [unit]

        None where there is no conversion that the clause wants, or no short-term average.
        """
        if clause.corrected == "as measured":
            return table.value
        if clause.corrected == background.CORRECTED:
            return background.compared(self._rules, clause.pack, table.windows, table.value)
        if clause.corrected != "validated" or table.converted is None:
            return table.converted
        key = (clause.parameter, table.windows.kind, clause.short, clause.interval)
        if key not in self._validated:
            found = self._validate(clause, table.converted, table)
            self._validated[key] = None if found is None else np.round(found, DIGITS)  # 10.3 less 0.2 is 10.1
        return self._validated[key]

    def compared(self, clause: Clause, table: Table, rows: slice = slice(None)) -> Float64 | None:
        """What is held against the limit in some windows of a table, rounded, NaN = not judged. [unit]

        None where the clause judges none.
        """
        if clause.statistic == "maximum":
            return rounded(clause, table.maximum[rows])
        if clause.count is not None:
            number = counted(clause, table.windows, self.tables)
            return None if number is None else number[rows]
        values = self.column(clause, table)
        return None if values is None else rounded(clause, np.where(table.valid[rows], values[rows], np.nan))

    def breaches(self, clause: Clause, table: Table, rows: slice, wanted: Booleans) -> Iterator[Breach]:
        """The windows among some rows of a table that break a clause, in their order.

        wanted: which of the table's windows are judged at all.
        """
        compared = self.compared(clause, table, rows)
        if compared is None:
            return
        known = {name: self._known(name, table)[rows] for name in clause.conditions}
        for alike in _alike(clause, known, len(compared)):
            if not len(alike):
                continue
            low, high = clause.bounds(_at(known, alike[0]))
            told = low if clause.two_sided else None
            value = compared[alike]
            broken = (value > (np.inf if high is None else high)) | (value < (-np.inf if low is None else low))
            here = alike[broken & wanted[rows][alike]]
            starting = np.isin(np.arange(len(table.windows)), here + rows.start)
            here = here[peaks.applies(self._rules, clause, table.windows.take(starting))]
            for row, value in zip(here.tolist(), compared[here].tolist(), strict=True):
                limit = high if high is not None and value > high else low
                assert limit is not None, "a bound that is not there is not broken"
                conditions = _at(known, row) if known else {}
                yield Breach(row=row + rows.start, compared=value, limit=limit, low=told, conditions=conditions)

    def _known(self, parameter: str, table: Table) -> Float64:
        """The valid averages of another parameter over the windows of a table, NaN = not known."""
        other = self.tables.table(parameter, table.windows.kind)
        return np.full(len(table.windows), np.nan) if other is None else np.where(other.valid, other.value, np.nan)

    def _validate(self, clause: Clause, converted: Float64, table: Table) -> Float64 | None:
        if KINDS.index(table.windows.kind) <= KINDS.index(clause.short):
            return validated(converted, np.nan if clause.interval is None else clause.interval)
        short = self.tables.table(clause.parameter, clause.short)
        if short is None or short.converted is None:
            return None  # of longer values than the text counts, none can be validated
        normalised = np.where(short.valid, short.converted, np.nan)
        return validated_means(normalised, short.windows, table.windows, clause.interval)


def by_law(rules: PointRules, windows: Windows) -> Iterator[tuple[slice, Sequence[Clause]]]:
    """Rows of windows that start under one law, in their order, and the clauses in force then."""
    if not len(windows):
        return
    days = rules.windows("24h", int(windows.from_ns[0]), int(windows.from_ns[-1]) + 1)
    laws = [rules.clauses(local_date(rules.timezone, int(day_ns))) for day_ns in days.from_ns]
    changes = [n for n in range(1, len(laws)) if laws[n] is not laws[n - 1]]
    firsts = np.append(0, np.searchsorted(windows.from_ns, days.from_ns[changes]))
    for law, first, last in zip([0, *changes], firsts, [*firsts[1:], len(windows)], strict=True):
        yield slice(int(first), int(last)), laws[law]


def _alike(clause: Clause, known: Mapping[str, Float64], n: int) -> list[npt.NDArray[np.intp]]:
    """Rows for which the same limits of a clause could hold, by what is known of the other channels."""
    if not known:
        return [np.arange(n)]
    possible = np.array([_possible(limit, known, n) for limit in clause.limits])
    patterns, number = np.unique(possible, axis=1, return_inverse=True)
    return [np.flatnonzero(number == pattern) for pattern in range(patterns.shape[1])]


def _possible(limit: Limit, known: Mapping[str, Float64], n: int) -> Booleans:
    """For which rows nothing known speaks against a limit, as `Limit.possible` says it of one."""
    found = np.ones(n, np.bool_)
    for bound in limit.given:
        value = known[bound.parameter]
        above = True if bound.above is None else value > bound.above
        upto = True if bound.upto is None else value <= bound.upto
        found &= np.isnan(value) | (above & upto)
    return found


def _at(known: Mapping[str, Float64], row: int) -> dict[str, float]:
    """What is known of the other channels in one row."""
    return {name: float(column[row]) for name, column in known.items() if not np.isnan(column[row])}

"""What a clause is about: the column of a table that it is held against, before it rounds.

A mean of validated short-term averages is made of the table of these; others stand in the table itself. Pure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.verdicts.limits import Clause, rounded
from collector.verdicts.records import Average
from collector.verdicts.tables import DIGITS, Table, Tables
from collector.verdicts.validated import validated, validated_means
from collector.verdicts.windows import KINDS
from gateway.measurement import Float64


class Judged:
    """The values that clauses judge in the tables of one point; what has to be computed is computed once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._validated: dict[tuple[str, str, str, float | None], Float64 | None] = {}

    def column(self, clause: Clause, table: Table) -> Float64 | None:
        """One value a window of a table of the clause's parameter, NaN = none. [unit]

        None where there is no conversion that the clause wants, or no short-term average.
        """
        if clause.corrected == "as measured":
            return table.value
        if clause.corrected != "validated" or table.converted is None:
            return table.converted
        key = (clause.parameter, table.windows.kind, clause.short, clause.interval)
        if key not in self._validated:
            found = self._validate(clause, table.converted, table)
            self._validated[key] = None if found is None else np.round(found, DIGITS)  # 10.3 less 0.2 is 10.1
        return self._validated[key]

    def average(self, clause: Clause, average: Average) -> Average:
        """An average as one clause evaluates it: another of its window may convert and round in another way."""
        if not clause.evaluates or clause.statistic != "value":
            return average
        table = self._tables.table(average.parameter, average.window)
        assert table is not None, "an average comes from a table"
        values = self.column(clause, table)
        if values is None:
            return replace(average, evaluated=None)
        row = int(np.searchsorted(table.windows.from_ns, average.from_ns))
        return replace(average, evaluated=float(rounded(clause, values[row])))

    def _validate(self, clause: Clause, converted: Float64, table: Table) -> Float64 | None:
        if KINDS.index(table.windows.kind) <= KINDS.index(clause.short):
            return validated(converted, np.nan if clause.interval is None else clause.interval)
        short = self._tables.table(clause.parameter, clause.short)
        if short is None or short.converted is None:
            return None  # of longer values than the text counts, none can be validated
        normalised = np.where(short.valid, short.converted, np.nan)
        return validated_means(normalised, short.windows, table.windows, clause.interval)

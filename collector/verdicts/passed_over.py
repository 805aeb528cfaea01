"""Which clauses pass an average over because of the state that the plant was in.

An average is shown over what the first pack of its point calls operating time. A clause may judge less of it: of a day
that was all start-up nothing is left to a text that does not judge start-up, and of an hour that it shares with one
too little. Such an average is valid, has an evaluated value, and is held against no limit by that clause: `inputs`
tells so (`not_judged`), clause by clause, wherever an average of up to a day is valid and its plant was not just
operating; longer ones are made of what is left. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from collector.verdicts.averages import measured
from collector.verdicts.day_sums import LONG
from collector.verdicts.judged import Judged, by_law
from collector.verdicts.peaks import applies
from collector.verdicts.records import Average
from collector.verdicts.scopes import View
from collector.verdicts.windows import Windows

Key = tuple[str, str, int]  # parameter, window, from_ns


def passed_over(
    seen: Sequence[tuple[View, Judged]], wanted: Mapping[str, Windows], averages: Sequence[Average]
) -> list[Average]:
    """The averages, those told which clauses in force do not judge them for the plant's state.

    seen: what the clauses of a point see of it, by view. wanted: the windows that the averages are of.
    """
    short = (a for a in averages if a.window not in LONG)
    kinds = {(a.parameter, a.window) for a in short if a.valid and "states" in a.inputs}
    names: dict[Key, list[str]] = {}
    for view, judged in seen if kinds else ():
        for key, name in _silent(view, judged, wanted, kinds):
            names.setdefault(key, []).append(name)
    return [_told(average, names) for average in averages] if names else list(averages)


def _told(average: Average, names: Mapping[Key, Sequence[str]]) -> Average:
    mine = names.get((average.parameter, average.window, average.from_ns))
    if not mine or not average.valid:
        return average
    return replace(average, inputs={**average.inputs, "not_judged": sorted(mine)})


def _silent(
    view: View, judged: Judged, wanted: Mapping[str, Windows], kinds: Collection[tuple[str, str]]
) -> Iterator[tuple[Key, str]]:
    """The windows that clauses of a view do not judge for want of time that counts, and the clause."""
    if view.scope is None:
        return
    for parameter, table, mine in measured(judged.tables, wanted, view.asked.intersection(kinds)):
        counts = view.scope.length_ns(table.windows)
        none = mine & (counts == 0)
        lacking = none | (mine & ~table.valid & (counts < table.windows.length_ns))
        for rows, clauses in by_law(view.rules, table.windows):
            for clause in clauses:
                about = clause.parameter == parameter and judged.kind(clause) == table.windows.kind
                if about and view.judges(clause):
                    # A maximum and a count are certain, whatever else there is of the window.
                    here = np.flatnonzero((lacking if clause.statistic == "value" else none)[rows]) + rows.start
                    found = table.windows.take(np.isin(np.arange(len(table.windows)), here))
                    for from_ns in found.from_ns[applies(view.rules, clause, found)].tolist():
                        yield (parameter, table.windows.kind, from_ns), clause.key

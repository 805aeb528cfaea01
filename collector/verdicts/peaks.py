"""In which windows a maximum is judged where its channel has none as short as those of the clause.

A value that stands for five minutes lies in no minute, yet a maximum above a limit was above it at one moment of
whatever window it is of. So a clause of a maximum over windows of a fixed length is judged in the shortest ones of at
least that length which the point builds and the channel has. These are judged where they lie in the clause's part of
the day as a whole: of one that lies across its edge nobody can say on which side the maximum was. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from collector.verdicts.limits import Clause
from collector.verdicts.pack import ClauseText
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Booleans
from collector.verdicts.windows import FIXED_NS, KINDS, Windows


def kinds(rules: PointRules, clause: Clause | ClauseText) -> Sequence[str]:
    """The windows that a clause could be judged in at a point, the shortest and its own first."""
    if clause.statistic != "maximum" or clause.window not in FIXED_NS:
        return (clause.window,)
    shortest = KINDS.index(clause.window)
    return [kind for kind in FIXED_NS if kind in rules.built and KINDS.index(kind) >= shortest]


def kind_for(rules: PointRules, clause: Clause, base: str) -> str:
    """The windows that a clause is judged in; its own where there are none. base: the shortest of its parameter."""
    there = (kind for kind in kinds(rules, clause) if KINDS.index(kind) >= KINDS.index(base))
    return next(there, clause.window)


def applies(rules: PointRules, clause: Clause, windows: Windows) -> Booleans:
    """Which windows lie in the part of the day a clause is about: its own by their starts, longer ones as a whole."""
    return rules.applies(clause, windows.from_ns, None if windows.kind == clause.window else windows.to_ns)


def unheld(rules: PointRules, averages: Sequence[Average]) -> Iterator[str]:
    """The clauses of a maximum that are not held against measurements there are, one sentence each."""
    asked = {text.parameter for pack in rules.packs for text in pack.clauses if len(kinds(rules, text)) > 1}
    for parameter in sorted(asked & {average.parameter for average in averages}):
        mine = [average for average in averages if average.parameter == parameter]
        there = {average.window for average in mine}
        shortest = next((kind for kind in KINDS if kind in there), "")
        if shortest in FIXED_NS:
            yield from _across(rules, [average for average in mine if average.window == shortest])
            continue
        for key in dict.fromkeys(c.key for a in mine for c in _peaks(rules, a)):
            yield f"{parameter}: not judged by {key}, for a value stands for longer than an hour"


def _peaks(rules: PointRules, average: Average) -> Iterator[Clause]:
    """The clauses of a maximum in force that look for windows shorter than an average's."""
    for clause in rules.on(average.from_ns):
        if clause.parameter == average.parameter and average.window != clause.window and len(kinds(rules, clause)) > 1:
            yield clause


def _across(rules: PointRules, averages: Sequence[Average]) -> Iterator[str]:
    """The windows that lie across an edge of the part of the day that a clause is about, clause by clause."""
    about: dict[str, tuple[Clause, list[Average]]] = {}
    for average in averages:
        for clause in _peaks(rules, average):
            about.setdefault(clause.key, (clause, []))[1].append(average)
    for key, (clause, mine) in about.items():
        from_ns = np.array([average.from_ns for average in mine], np.int64)
        to_ns = np.array([average.to_ns for average in mine], np.int64)
        touching = rules.applies(clause, from_ns) | rules.applies(clause, to_ns - 1)
        if number := int((touching & ~rules.applies(clause, from_ns, to_ns)).sum()):
            edge = f"windows of {mine[0].window} across the edge of its {clause.period}: {number}"
            yield f"{clause.parameter}: not judged by {key}, for a value stands for longer than {clause.window}, {edge}"

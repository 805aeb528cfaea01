"""Judgement: from a point's measurements to averages, exceedances and episodes.

`derive` is the one way from measurements to verdicts, for the line that runs and for files judged
offline. It takes whole windows and gives records of version 1; `settle` then compares them with what
the book knows already: what has not changed makes no new version, what breaks its limit no more is
withdrawn, and nothing is ever taken back in silence. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

import numpy as np

from collector.verdicts.averages import averages
from collector.verdicts.counts import counted
from collector.verdicts.evidence import average_evidence, evidence
from collector.verdicts.judged import Judged
from collector.verdicts.limits import Clause, breach
from collector.verdicts.plausible import plausible
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Change, Exceedance
from collector.verdicts.screening import Signal
from collector.verdicts.tables import Tables
from collector.verdicts.windows import HOUR_NS, Windows, local_date

AverageKey = tuple[str, str, int]  # parameter, window, from_ns: unique at a point
ExceedanceKey = tuple[str, str, int]  # pack, clause, from_ns: unique at a point
LATE_NS = HOUR_NS  # after its window's end; what is derived later reaches people as late


@dataclass(frozen=True, slots=True)
class Derived:
    """What some windows of one point came to."""

    averages: list[Average]
    exceedances: list[Exceedance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A run of consecutive windows that break one clause. [ns since 1970 UTC]"""

    clause: str
    parameter: str
    from_ns: int
    to_ns: int
    windows: int


def derive(
    rules: PointRules, signals: Mapping[str, Signal], wanted: Mapping[str, Windows], *, proof: bool = True
) -> Derived:
    """The averages of the wanted windows of a point, and which of them break a clause; all of version 1.

    signals: all measurements of the point from the first wanted window's start to the last one's end; of those called
    good, what cannot be is counted out of range.
    wanted: windows by kind; kinds that the point does not build are allowed.
    proof: whether exceedances carry their evidence.
    """
    spans = [(int(w.from_ns.min()), int(w.to_ns.max())) for w in wanted.values() if len(w)]
    if not spans:
        return Derived([], [])
    signals = {name: plausible(signal, rules.settings) for name, signal in signals.items()}
    span = min(a for a, _ in spans), max(b for _, b in spans)
    tables = Tables(rules, signals, *span)
    found = averages(rules, tables, wanted)
    broken: list[Exceedance] = []
    for view, packs in rules.by_validity():
        own, its = (tables, found) if view is rules else _counted(view, packs, Tables(view, signals, *span), wanted)
        broken += _exceedances(view, its, signals, own, packs=packs, proof=proof)
    return Derived(found, broken)


def _counted(
    view: PointRules, packs: Collection[str], tables: Tables, wanted: Mapping[str, Windows]
) -> tuple[Tables, list[Average]]:
    """The averages that some packs judge, valid or not as they count it."""
    asked = {clause.window for pack in view.packs if pack.id in packs for clause in pack.clauses}
    return tables, averages(view, tables, {kind: windows for kind, windows in wanted.items() if kind in asked})


def _exceedances(
    rules: PointRules,
    found: Sequence[Average],
    signals: Mapping[str, Signal],
    tables: Tables,
    *,
    packs: Collection[str],
    proof: bool,
) -> Iterable[Exceedance]:
    """What breaks a clause of some packs among the averages of one point."""
    by_key = {(a.parameter, a.window, a.from_ns): a for a in found}
    law, values = _Law(rules), Judged(tables)
    for average in found:
        for clause in (clause for clause in law.clauses(average) if clause.pack in packs):
            conditions = _conditions(clause, average, by_key)
            value = values.average(clause, average)
            broken = breach(clause, value, conditions, counted=counted(clause, average, tables))
            if broken is not None and rules.applies(clause, np.array([average.from_ns])).all():
                compared, limit = broken
                told = evidence(
                    rules, clause, average, compared=compared, limit=limit, conditions=conditions, signals=signals,
                    tables=tables,
                ) if proof else {}  # fmt: skip
                yield Exceedance(
                    plant=average.plant, point=average.point, parameter=average.parameter, pack=clause.pack,
                    clause=clause.id, cite=clause.cite, title=clause.title.en, window=average.window,
                    from_ns=average.from_ns, to_ns=average.to_ns, value=compared, limit=limit, unit=clause.unit,
                    standing=clause.standing, verified=clause.verified,
                    low=clause.bounds(conditions)[0] if clause.two_sided else None, evidence=told,
                )  # fmt: skip


class _Law:
    """The clauses of a point, found quickly for many averages."""

    def __init__(self, rules: PointRules) -> None:
        self._rules = rules
        self._clauses: dict[tuple[date, str, str], list[Clause]] = {}
        self._asked = {(c.parameter, c.window) for pack in rules.packs for c in pack.clauses}

    def clauses(self, average: Average) -> list[Clause]:
        """The clauses about this parameter and kind of window on the date the window starts."""
        if (average.parameter, average.window) not in self._asked:
            return []
        day = local_date(self._rules.timezone, average.from_ns)
        key = (day, average.parameter, average.window)
        if key not in self._clauses:
            about = (average.parameter, average.window)
            self._clauses[key] = [c for c in self._rules.clauses(day) if (c.parameter, c.window) == about]
        return self._clauses[key]


def _conditions(clause: Clause, average: Average, by_key: Mapping[AverageKey, Average]) -> dict[str, float]:
    """Means of the other channels a limit depends on, over the same window, as far as they are valid."""
    found = {}
    for name in clause.conditions:
        other = by_key.get((name, average.window, average.from_ns))
        if other is not None and other.valid and other.value is not None:
            found[name] = other.value
    return found


def settle(
    derived: Derived,
    known_averages: Mapping[AverageKey, Average],
    known_exceedances: Mapping[ExceedanceKey, Exceedance],
    *,
    now_ns: int,
    past: Collection[tuple[str, int]] = (),
) -> Derived:
    """What is new in what was derived, with its versions.

    known: the newest versions in the book of exactly the windows derived. now_ns: when they were derived.
    past: (window, from_ns) of those that only a history brought up: they reach people as late whenever they come.
    """
    new_averages = []
    versions: dict[AverageKey, Average] = {}
    for average in derived.averages:
        key = (average.parameter, average.window, average.from_ns)
        old = known_averages.get(key)
        following = average
        if old is not None:
            same = replace(average, version=old.version) == old
            following = old if same else replace(average, version=old.version + 1)
        if following is not old:
            new_averages.append(following)
        versions[key] = following
    new_averages += [
        emptied
        for key, old in sorted(known_averages.items())
        if key not in versions and (emptied := _emptied(old)) is not None
    ]
    new_exceedances = []
    left = dict(known_exceedances)
    for found in derived.exceedances:
        average = versions[found.parameter, found.window, found.from_ns]
        # Where another pack counts what is there in another way, the proof keeps the average as its own counts it.
        own = {name: value for name, value in found.evidence.get("average", {}).items() if name != "version"}
        proof = {**found.evidence, "average": {**average_evidence(average), **own}}
        known = left.pop((found.pack, found.clause, found.from_ns), None)
        late = now_ns - found.to_ns > LATE_NS or (found.window, found.from_ns) in past
        if change := _following(replace(found, evidence=proof, late=late), known):
            new_exceedances.append(change)
    new_exceedances += [
        replace(old, version=old.version + 1, change=Change.WITHDRAWN)
        for _, old in sorted(left.items())
        if old.change is not Change.WITHDRAWN
    ]
    return Derived(new_averages, new_exceedances)


def _emptied(old: Average) -> Average | None:
    """The next version of an average whose measurements went to other times; None where it has said so."""
    empty = replace(
        old, value=None, evaluated=None, maximum=None, coverage=0.0, valid=False, count=0, percentiles={}, inputs={}
    )
    return None if empty == old else replace(empty, version=old.version + 1)


def _following(found: Exceedance, known: Exceedance | None) -> Exceedance | None:
    """The next version of an exceedance; None where it is as the book knows it."""
    if known is None:
        return found
    if known.change is Change.WITHDRAWN:
        return replace(found, version=known.version + 1)
    same = replace(found, version=known.version, change=known.change, late=known.late)
    return None if same == known else replace(found, version=known.version + 1, change=Change.AMENDED)


def episodes(rules: PointRules, found: Sequence[Exceedance]) -> list[Episode]:
    """Runs of consecutive windows that break one clause, ordered by clause, parameter and start."""

    def about(e: Exceedance) -> tuple[str, str, str, str]:
        return e.pack, e.clause, e.parameter, e.window

    runs: list[Episode] = []
    for (_, clause, parameter, window), group in groupby(sorted(found, key=lambda e: (about(e), e.from_ns)), about):
        members = list(group)
        all_windows = rules.windows(window, members[0].from_ns, members[-1].from_ns + 1)
        place = np.searchsorted(all_windows.from_ns, [e.from_ns for e in members])
        start = 0
        for end in range(1, len(members) + 1):
            if end == len(members) or place[end] != place[end - 1] + 1:
                runs.append(
                    Episode(
                        clause=clause, parameter=parameter, from_ns=members[start].from_ns,
                        to_ns=members[end - 1].to_ns, windows=end - start,
                    )
                )  # fmt: skip
                start = end
    return runs

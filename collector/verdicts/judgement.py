"""Judgement: from a point's measurements to averages, exceedances and episodes.

`derive` is the one way from measurements to verdicts, for the line that runs and for files judged
offline. It takes whole windows and gives records of version 1; `settle` then compares them with what
the book knows already: what has not changed makes no new version, what breaks its limit no more is
withdrawn, and nothing is ever taken back in silence.

Who judges much at once and wants no records of what complies takes the tables (`point_tables`) and what breaks a
clause in them (`exceedances`). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from collector.verdicts.assurance import assured
from collector.verdicts.assurance_told import told as certified
from collector.verdicts.averages import averages, measured, records
from collector.verdicts.day_sums import with_sums
from collector.verdicts.derived import DerivedTables, prepared
from collector.verdicts.evidence import average_evidence, evidence
from collector.verdicts.judged import Breach, Judged, by_law
from collector.verdicts.limits import Clause
from collector.verdicts.passed_over import passed_over
from collector.verdicts.plausible import plausible
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Change, Exceedance
from collector.verdicts.scopes import View, shown, views
from collector.verdicts.screening import Booleans, Signal
from collector.verdicts.state_sources import timeline
from collector.verdicts.states import Scope, State, within
from collector.verdicts.tables import Table, Tables
from collector.verdicts.windows import HOUR_NS, Windows

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
    rules: PointRules, signals: Mapping[str, Signal], wanted: Mapping[str, Windows], *, proof: bool = True,
    said: Sequence[State] = (), sums: bool = False, around: Mapping[str, Signal] | None = None,
) -> Derived:  # fmt: skip
    """The averages of the wanted windows of a point, and which of them break a clause; all of version 1.

    signals: all measurements of the point from the first wanted window's start to the last one's end; of those called
    good, what cannot be is counted out of range.
    wanted: windows by kind; kinds that the point does not build are allowed.
    proof: whether exceedances carry their evidence. sums: whether days carry what longer windows are made of.
    said: marks of the plant's state, in the order of the journal; where a pack has allowances, of all of the years that
    the windows touch.
    around: of channels that say the plant's state or the weather, all that says something of the windows, what was
    measured before and after them too (`reach`); of those that are not in it, it is what is in `signals`.
    """
    tables = point_tables(rules, signals, wanted, said, around)
    if tables is None:
        return Derived([], [])
    seen = _seen(rules, tables, said)
    found = passed_over(seen, wanted, averages(rules, tables, wanted))
    broken = exceedances(rules, tables, wanted, proof=proof, seen=seen)
    return Derived(with_sums(rules, tables, found, said) if sums else found, broken)


def point_tables(
    rules: PointRules, signals: Mapping[str, Signal], wanted: Mapping[str, Windows], said: Sequence[State] = (),
    around: Mapping[str, Signal] | None = None,
) -> Tables | None:  # fmt: skip
    """The tables that the wanted windows of a point are taken from, made as they are asked for; None = none wanted.

    signals, wanted, said, around: as in derive.
    """
    spans = [(int(w.from_ns.min()), int(w.to_ns.max())) for w in wanted.values() if len(w)]
    if not spans:
        return None
    believed, telling = _believed(rules, signals), _believed(rules, around or {})
    from_ns, to_ns = min(a for a, _ in spans), max(b for _, b in spans)
    states = timeline(rules.settings, {**believed, **telling}, within(said, from_ns, to_ns))
    taken = prepared(rules, assured(rules.assurance, believed), assured(rules.assurance, telling))
    return DerivedTables(rules, taken, from_ns, to_ns, states=states, scope=shown(rules, states))


def _believed(rules: PointRules, signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """The signals of a point, those values flagged that cannot be."""
    return {name: plausible(signal, rules.settings, rules.strictest(name)) for name, signal in signals.items()}


def exceedances(
    rules: PointRules, tables: Tables, wanted: Mapping[str, Windows], *, proof: bool = True,
    said: Sequence[State] = (), seen: Sequence[tuple[View, Judged]] | None = None,
) -> list[Exceedance]:  # fmt: skip
    """Which of the wanted windows of a point break a clause, judged by column; all of version 1.

    tables, said: as point_tables makes and takes them. proof: whether exceedances carry their evidence. seen: what the
    clauses see of the tables, where somebody has looked already.
    Each pack by what it counts as valid, each clause by the states of the plant that it judges; ordered by that,
    parameter, kind, start, and clause as packs have them.
    """
    found: list[Exceedance] = []
    for view, judged in _seen(rules, tables, said) if seen is None else seen:
        for parameter, table, rows in measured(judged.tables, wanted, view.asked):
            broken = _broken(view, judged, parameter, table, rows)
            found += _exceedances(view.rules, judged.tables, judged, parameter, table, broken, proof=proof)
    return found


def _seen(rules: PointRules, tables: Tables, said: Sequence[State]) -> list[tuple[View, Judged]]:
    """What the clauses of a point see of its tables, by view; those that see the same share it."""
    known: dict[tuple[int, Scope | None], Judged] = {}
    found = []
    for view in views(rules, tables.states, said):
        key = (id(view.rules), view.scope)
        if key not in known:
            known[key] = Judged(view.rules, tables.seen_by(view.rules, view.scope))
        found.append((view, known[key]))
    return found


def _broken(view: View, judged: Judged, parameter: str, table: Table, wanted: Booleans) -> list[tuple[Clause, Breach]]:
    """What breaks a clause of a view among the wanted windows of one table, in their order."""
    return sorted(
        (
            (clause, breach)
            for rows, clauses in by_law(view.rules, table.windows)
            for clause in clauses
            if clause.parameter == parameter and judged.kind(clause) == table.windows.kind and view.judges(clause)
            for breach in judged.breaches(clause, table, rows, wanted)
        ),
        key=lambda broken: broken[1].row,  # the order of clauses stays
    )


def _exceedances(
    rules: PointRules, tables: Tables, judged: Judged, parameter: str, table: Table,
    broken: Sequence[tuple[Clause, Breach]], *, proof: bool,
) -> Iterator[Exceedance]:  # fmt: skip
    """The records of what breaks clauses in one table."""
    windows, told = table.windows, dict[int, Average]()
    if proof:
        rows = np.zeros(len(windows), np.bool_)
        rows[[breach.row for _, breach in broken]] = True
        shown = records(rules, judged, parameter, tables.unit(parameter), table, rows)
        shown = certified(rules.assurance, tables, shown)
        told = dict(zip(np.flatnonzero(rows).tolist(), shown, strict=True))
    for clause, breach in broken:
        known = evidence(
            rules, clause, told[breach.row], compared=breach.compared, limit=breach.limit,
            conditions=breach.conditions, signals=tables.signals, tables=tables,
        ) if proof else {}  # fmt: skip
        yield Exceedance(
            plant=rules.plant, point=rules.point, parameter=parameter, pack=clause.pack, clause=clause.id,
            cite=clause.cite, title=clause.title.en, window=windows.kind, from_ns=int(windows.from_ns[breach.row]),
            to_ns=int(windows.to_ns[breach.row]), value=breach.compared, limit=breach.limit, unit=clause.unit,
            standing=clause.standing, verified=clause.verified and _sure(table, breach.row), low=breach.low,
            evidence=known,
        )  # fmt: skip


def _sure(table: Table, row: int) -> bool:
    """Whether all that the value of a window was derived by was verified; what was measured was not derived."""
    return table.origin is None or table.origin.sure(row)


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
        its = versions.get((found.parameter, found.window, found.from_ns))
        # A year that still runs has counts and no average yet. Where another pack counts what is there in another way,
        # the proof keeps the average as its own counts it.
        own = {name: value for name, value in found.evidence.get("average", {}).items() if name != "version"}
        there = {"average": {**average_evidence(its), **own}} if its else {}
        proof = {**found.evidence, **there}
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
        old, value=None, evaluated=None, maximum=None, coverage=0.0, valid=False, count=0, percentiles={}, inputs={},
        sums={},
    )  # fmt: skip
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

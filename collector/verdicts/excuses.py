"""What allowances leave of the states of a plant: beyond its hours a state is judged as operation is.

Where a pack says how many hours a year some states may last (`[[allowance]]`), they excuse for so long and no longer,
and only where somebody marked them: a channel that calls it start-up spends nothing, so it excuses nothing. States
in no allowance, as a furnace that stands, excuse as long as they last, whoever tells them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from collector.verdicts.allowances import Allowance, excused, spent
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.states import ALWAYS, OPERATING, STATES, State, Timeline, changing, marked

Span = tuple[int, int]


def excusing(pack: RulePack, timeline: Timeline, said: Sequence[State], timezone: str) -> Timeline:
    """The states of a plant as the clauses of a pack take them.

    said: marks of the point, of the whole years that the timeline touches, in the order of the journal.
    """
    about = [allowance for allowance in pack.allowances if timeline.present & set(allowance.states)]
    if not about:
        return timeline
    known = held(said)
    bounds = {bound for allowance in about for span in _spans([allowance], known, timezone) for bound in span}
    start_ns = np.unique(np.concatenate((timeline.start_ns, np.array(sorted(bounds), np.int64))))
    code = timeline.at(start_ns)
    for allowance in about:
        capped = np.isin(code, [STATES.index(state) for state in allowance.states if state in STATES])
        code[capped & ~excused([allowance], known, timezone, start_ns)] = OPERATING
    return changing(start_ns, code)


def told_in(rules: PointRules, from_ns: int, to_ns: int) -> Span:
    """The time whose marks say what is excused in a span: where hours of a state are limited, all of its years."""
    if not any(pack.allowances for pack in rules.packs):
        return from_ns, to_ns
    years = rules.windows("year", from_ns, to_ns)
    return int(years.from_ns[0]), int(years.to_ns[-1])


def held(said: Iterable[State]) -> list[State]:
    """What marks come to, the later over the earlier: spans that do not overlap, of other states than operating."""
    timeline = marked(ALWAYS, said)
    starts = timeline.start_ns.tolist()
    return [
        State(state=STATES[code], from_ns=start, to_ns=end)
        for code, start, end in zip(timeline.code.tolist(), starts, starts[1:], strict=False)
        if code != OPERATING
    ]


def moved(
    allowances: Sequence[Allowance], before: Sequence[State], after: Sequence[State], timezone: str
) -> list[Span]:
    """Where allowances excuse otherwise than before: hours spent here are missing there.

    before, after: all marks of a point, in the order of the journal. [ns since 1970 UTC]
    """
    found: list[Span] = []
    for allowance in allowances:
        old, new = ([allowance], held(before), timezone), ([allowance], held(after), timezone)
        bounds = sorted({bound for one in (old, new) for span in _spans(*one) for bound in span})
        at = np.array(bounds, np.int64)
        other = excused(*old, at) != excused(*new, at)
        found += [(bounds[n], bounds[n + 1]) for n in np.flatnonzero(other).tolist()]
    return found


def outside(span: Span, spans: Iterable[Span]) -> list[Span]:
    """What of some spans lies outside of one. [ns since 1970 UTC]

    >>> outside((2, 4), [(0, 3), (1, 9), (2, 4)])
    [(0, 2), (1, 2), (4, 9)]
    """
    begin, end = span
    parts = (part for a, b in spans for part in ((a, min(b, begin)), (max(a, end), b)))
    return [(a, b) for a, b in parts if a < b]


def _spans(allowances: Sequence[Allowance], said: Sequence[State], timezone: str) -> list[Span]:
    """The spans that allowances excuse."""
    return [span for allowance in allowances for one in spent(allowance, said, timezone) for span in one.excused]

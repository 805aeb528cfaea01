"""Which clauses of a point count which of its time, by the states that the plant was in.

Rules of this file:

- averages are shown over what the first pack of the point calls operating time;
- clauses that judge other states see the same measurements without those of the states that they do not judge: these
  keep their values, and get a reason (`other_state`) for which they go into nothing;
- states that an allowance of the pack limits excuse for its hours (`excuses`);
- where the plant was in no state that matters, everybody sees the same, and nothing is computed twice.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.verdicts import peaks
from collector.verdicts.excuses import excusing
from collector.verdicts.limits import Clause
from collector.verdicts.points import PointRules
from collector.verdicts.states import STATES, Scope, State, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A point as some of its clauses see it.

    rules: with the validity that they count by. packs: whose clauses they are. judged, operating: the states of the
    plant that they judge, and those that make up operating time. asked: parameters and kinds of window that they are
    about. scope: which time counts, None = all of it.
    """

    rules: PointRules
    packs: tuple[str, ...]
    judged: frozenset[str]
    operating: frozenset[str]
    asked: frozenset[tuple[str, str]]
    scope: Scope | None

    def judges(self, clause: Clause) -> bool:
        """Whether a clause is one of them."""
        return clause.pack in self.packs and (clause.states, clause.operating) == (self.judged, self.operating)


def shown(rules: PointRules, timeline: Timeline) -> Scope | None:
    """Which time counts in the averages that are shown, None = all of it."""
    text = rules.packs[0].states if rules.packs else None
    operating = frozenset(text.operating if text else STATES)
    return _scope(rules, timeline, operating, operating)


def views(rules: PointRules, timeline: Timeline, said: Sequence[State] = ()) -> list[View]:
    """The point as its clauses see it, each of them in one view; the same ones whatever the plant's states.

    said: marks of the point, of the whole years that the timeline touches. Views of the same rules and scope see the
    same.
    """
    found = []
    for view, packs in rules.by_validity():
        own = [pack for pack in view.packs if pack.id in packs]
        plain = [pack for pack in own if not pack.allowances]
        for group in [plain, *([pack] for pack in own if pack.allowances)]:
            if not group:
                continue
            states = excusing(group[0], timeline, said, rules.timezone)
            ids = tuple(pack.id for pack in group)
            asked: dict[tuple[frozenset[str], frozenset[str]], set[tuple[str, str]]] = {}
            for one in group:
                for text in one.clauses:
                    windows = {(text.parameter, kind) for kind in peaks.kinds(view, text)}
                    asked.setdefault(one.judged(text), set()).update(windows)
            for (judged, operating), about in asked.items():
                scope = _scope(rules, states, judged, operating)
                found.append(
                    View(rules=view, packs=ids, judged=judged, operating=operating, asked=frozenset(about), scope=scope)
                )
    return found


def _scope(rules: PointRules, timeline: Timeline, judged: frozenset[str], operating: frozenset[str]) -> Scope | None:
    """The time that counts, told by the states that occur alone, so that what comes to the same is the same."""
    ran = operating & timeline.present
    if ran & judged == timeline.present:
        return None
    most = rules.settings.get("other_states_max") or 0.0
    return Scope(timeline=timeline, judged=judged & ran, operating=ran, other_max=most)

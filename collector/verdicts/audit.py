"""Cleaner-production grades: how a plant's indicators come together to a level.

China's indicator systems (清洁生产评价指标体系) have groups of indicators. Each indicator has thresholds
for level I (leading), II (advanced) and III (basic), each group and each indicator a weight. The rules:

- levels nest: what meets I meets II and III, so an indicator is told by the best level it meets;
- the score of a level is the weighted share of the indicators that meet it, in points of 100;
- an indicator that does not apply is left out and the others of its group share its weight; so do the
  other groups where nothing of one applies;
- *limiting* indicators (限定性) hold a level up by themselves, whatever the score.

The indicators, their weights and the levels met come from the caller, for they are those of a trade;
what a level asks is data (`collector/grades.toml`). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.document import Fault, Table, parse_document
from gateway.measurement import Float64

LEVELS = (1, 2, 3)
NOT_APPLICABLE = 0  # of an indicator: what it asks about is not found at this plant
NONE_MET = 4.0  # of an indicator: it does not meet level III either
# Weights are decimals and their sums binary: 0.1 + 0.2 + 0.7 of 100 points may be 99.99999999999999.
DIGITS = 9

Indicator = tuple[float, float]  # weight in its group, best level met
Group = tuple[float, Sequence[Indicator]]  # weight of the group, its indicators


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRule:
    """What a level asks. score: points of that level, at least.

    limiting, others: the worst level that an indicator may meet, for the limiting ones and all the others; None = any.
    """

    level: int
    score: float
    limiting: int | None
    others: int | None
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A plant's cleaner-production grade. y1, y2, y3: score of each level, NaN = nothing applies. [points of 100]

    grade: the best level reached, 1 to 3; None = it is no cleaner producer, or that cannot be told.
    """

    y1: float
    y2: float
    y3: float
    grade: int | None


def cleaner_production_grade(
    rules: Sequence[GradeRule], groups: Sequence[Group], limiting_level: float | None = None
) -> Grade:
    """The grade of a plant by a weighted indicator system.

    rules: what the levels ask, the best level first.
    groups: (weight, [(weight, best level met), ...]) for each group; a level is 1, 2 or 3, 0 = the indicator does not
    apply, everything else = it meets none. A weight that is no finite number above zero counts as none.
    limiting_level: the worst level that the limiting indicators meet; None or 0 = there is none, or none applies.
    Source: the common form of the systems, Y_gk = sum of w_i * sum of omega_ij * Y_gk(x_ij), as an open implementation
    and secondary pages have it (清洁生产评价指标体系编制通则; its text was not read).
    >>> rule = GradeRule(level=1, score=85.0, limiting=1, others=2, cite="", verified=False)
    >>> cleaner_production_grade([rule], [(0.4, [(0.6, 1), (0.4, 2)]), (0.6, [(1.0, 1)])], 2)
    Grade(y1=84.0, y2=100.0, y3=100.0, grade=None)
    """
    weights, levels = _flat(groups)
    y1, y2, y3 = (_score(weights, levels <= level) for level in LEVELS)
    scores = dict(zip(LEVELS, (y1, y2, y3), strict=True))
    limiting = 1.0 if limiting_level in (None, NOT_APPLICABLE) else _level(limiting_level)
    # The limiting ones are among `levels` too, and are held to no less than the others.
    worst = float(levels.max()) if len(levels) else NONE_MET
    reached = (
        rule.level
        for rule in rules
        if scores[rule.level] >= rule.score  # never where nothing applies: NaN
        and (rule.limiting is None or limiting <= rule.limiting)
        and (rule.others is None or worst <= rule.others)
    )
    return Grade(y1=y1, y2=y2, y3=y3, grade=next(reached, None))


def _flat(groups: Sequence[Group]) -> tuple[Float64, Float64]:
    """Weight in the whole (they sum to 1) and level of every indicator that applies."""
    weights: list[Float64] = []
    levels: list[float] = []
    for group_weight, indicators in groups:
        told = [(weight, _level(level)) for weight, level in indicators if level != NOT_APPLICABLE]
        inside = _shares([weight for weight, _ in told])
        if inside.any():
            weights.append(inside * _weight(group_weight))
            levels += [level for _, level in told]
    return _shares(np.concatenate(weights).tolist() if weights else []), np.array(levels)


def _shares(weights: Sequence[float]) -> Float64:
    """Weights made to sum to 1; zeros where none counts."""
    counted = np.array([_weight(weight) for weight in weights])
    if not counted.any():
        return counted
    counted /= counted.max()  # so that no sum is too large
    return np.asarray(counted / counted.sum())


def _score(weights: Float64, met: npt.NDArray[np.bool_]) -> float:
    """Points of 100; NaN where no indicator applies."""
    return float(np.round(100.0 * weights[met].sum(), DIGITS)) if weights.any() else math.nan


def _weight(weight: float) -> float:
    return float(weight) if math.isfinite(weight) and weight > 0.0 else 0.0


def _level(level: float | None) -> float:
    """A level as it compares; what is none of the three is worse than all of them."""
    return float(level) if level in LEVELS else NONE_MET


def parse_grades(text: str, file: str) -> tuple[tuple[GradeRule, ...], list[Fault]]:
    """What the levels ask by a TOML text, the best level first, and all its faults."""
    document, faults = parse_document(text, file)
    rules: list[GradeRule] = []
    with Table.root(document, faults) as root:
        for table in root.tables("level"):
            with table:
                rule = GradeRule(
                    level=table.integer("level", low=LEVELS[0], high=LEVELS[-1]) or LEVELS[-1],
                    score=table.number("score", low=0.0, high=100.0) or 0.0,
                    limiting=table.integer("limiting", None, low=LEVELS[0], high=LEVELS[-1]),
                    others=table.integer("others", None, low=LEVELS[0], high=LEVELS[-1]),
                    cite=table.text("cite", hint="the text and its clause") or "",
                    verified=bool(table.boolean("verified", hint="true when the primary text was read")),
                )
                if rules and rule.level <= rules[-1].level:
                    table.fault("level", "the levels do not rise", "the best level first, each once")
                rules.append(rule)
    return tuple(rules), faults

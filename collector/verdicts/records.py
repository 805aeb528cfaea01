"""What the verdicts wing hands on: averages and exceedances, versioned, with their evidence.

An average is identified by (plant, point, parameter, window, from_ns); deriving it again with
another result makes the next version, and the old one stays. An exceedance is identified by
(plant, point, clause key, from_ns) in the same way; when the data no longer break the limit, its
next version is `withdrawn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Standing(StrEnum):
    """What a verdict is worth before the law (docs/glossary.md)."""

    FINDING = "finding"
    EVIDENCE = "evidence"
    EARLY_WARNING = "early warning"


class Change(StrEnum):
    """What a new version does to an exceedance."""

    OPENED = "opened"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A value over a window [from_ns, to_ns).

    value: unrounded, None when nothing went in. evaluated: what is held against the limit, corrected and
    rounded as far as the clause says so; None when no clause in force judges this parameter and window by its
    value, or a correction has no result. Shorter and longer windows of what is converted carry it too. Where several
    clauses judge it, it is one's; each is held against its own, which an exceedance carries. [unit]
    coverage: share of the window that valid values cover, 0 to 1. valid: enough of it, by the rule in force.
    count: values that went in. percentiles: level exceeded N % of the time, keys L5 L10 L50 L90 L95 (noise only). [dB]
    maximum: highest single value that went in. [unit]
    inputs: how the value came about: corrections in order with their inputs, numbers of values by status, so
    that evidence can show it. not_judged: clauses in force that do not judge it for the plant's state.
    sums: what longer windows are made of, of whole days in the running line (`day_sums`); else empty.
    """

    plant: str
    point: str
    parameter: str
    window: str
    from_ns: int
    to_ns: int
    value: float | None
    unit: str
    coverage: float
    valid: bool
    count: int
    evaluated: float | None = None
    maximum: float | None = None
    percentiles: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    sums: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceedance:
    """An average (or maximum) that breaks one clause of one rule pack.

    pack, clause: as `gb12348-2008` and `night-level`; key = "pack/clause". cite: the clause of the standard.
    value: what was compared with the limit (evaluated where the clause says so). low: lower limit of a
    two-sided clause, else None. late: derived more than an hour after the window's end, or from a history alone.
    evidence: everything that went in (collector/verdicts/evidence.py).
    """

    plant: str
    point: str
    parameter: str
    pack: str
    clause: str
    cite: str
    title: str
    window: str
    from_ns: int
    to_ns: int
    value: float
    limit: float
    unit: str
    standing: Standing
    verified: bool
    low: float | None = None
    late: bool = False
    change: Change = Change.OPENED
    version: int = 1
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """pack/clause, as reports and routes name it."""
        return f"{self.pack}/{self.clause}"

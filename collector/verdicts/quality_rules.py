"""What a standard of quality assurance asks of a measuring system, as data: `[quality]` of a rule pack.

The calculations are in `quality`. Every part has its own citation, and says whether the standard itself was read. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.document import Table

_CITE_HINT = 'the text and its clause, as cite = "EN 14181:2014 6.5"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """QAL2. pairs_min: of system and reference method. lowest_percent: of the limit, between methods B and C. [%]

    coverage: by which the uncertainty allowed is a multiple of a standard deviation.
    """

    pairs_min: int
    lowest_percent: float
    coverage: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveillance:
    """AST. pairs_min: of system and reference method. factor: of the spread allowed. confidence: of Student's t."""

    pairs_min: int
    factor: float
    confidence: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeWatch:
    """When a calibration range was left too often.

    week_percent: a week counts where more of its values lie outside. weeks_max: as many such weeks may be.
    once_percent: more than that in a single week is too often at once. [%]
    """

    week_percent: float
    weeks_max: int
    once_percent: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cusum:
    """QAL3 by sums, in multiples of s_AMS (drift) and of its square (precision): alarm above, allowance each step."""

    drift_alarm: float
    drift_allowance: float
    precision_alarm: float
    precision_allowance: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shewhart:
    """QAL3 by single checks: out of control beyond a multiple of s_AMS."""

    multiple: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRules:
    """All parts. margin_percent: how far above the highest calibrated value the range reaches. [%]"""

    calibration: Calibration
    margin_percent: float
    watch: RangeWatch
    surveillance: Surveillance
    cusum: Cusum
    shewhart: Shewhart


def parse_quality(root: Table) -> QualityRules | None:
    """`[quality]` of a rule pack, None where it has none; faults go to the document of the table."""
    if "quality" not in root:
        return None
    with root.table("quality") as group:
        margin, watch = _range(group)
        return QualityRules(
            calibration=_calibration(group), margin_percent=margin, watch=watch, surveillance=_surveillance(group),
            cusum=_cusum(group), shewhart=_shewhart(group),
        )  # fmt: skip


def _calibration(group: Table) -> Calibration:
    with group.table("calibration", required=True) as table:
        cite, verified = cited(table)
        return Calibration(
            pairs_min=table.integer("pairs_min", low=2) or 0, lowest_percent=_positive(table, "lowest_percent"),
            coverage=_positive(table, "coverage"), cite=cite, verified=verified,
        )  # fmt: skip


def _range(group: Table) -> tuple[float, RangeWatch]:
    with group.table("range", required=True) as table:
        cite, verified = cited(table)
        return _positive(table, "margin_percent"), RangeWatch(
            week_percent=_positive(table, "week_percent"), weeks_max=table.integer("weeks_max", low=0) or 0,
            once_percent=_positive(table, "once_percent"), cite=cite, verified=verified,
        )  # fmt: skip


def _surveillance(group: Table) -> Surveillance:
    with group.table("surveillance", required=True) as table:
        cite, verified = cited(table)
        return Surveillance(
            pairs_min=table.integer("pairs_min", low=2) or 0, factor=_positive(table, "factor"),
            confidence=table.number("confidence", low=0.5, high=0.9999) or 0.0, cite=cite, verified=verified,
        )  # fmt: skip


def _cusum(group: Table) -> Cusum:
    with group.table("cusum", required=True) as table:
        cite, verified = cited(table)
        return Cusum(
            drift_alarm=_positive(table, "drift_alarm"), drift_allowance=_positive(table, "drift_allowance"),
            precision_alarm=_positive(table, "precision_alarm"),
            precision_allowance=_positive(table, "precision_allowance"), cite=cite, verified=verified,
        )  # fmt: skip


def _shewhart(group: Table) -> Shewhart:
    with group.table("shewhart", required=True) as table:
        cite, verified = cited(table)
        return Shewhart(multiple=_positive(table, "multiple"), cite=cite, verified=verified)


def cited(table: Table) -> tuple[str, bool]:
    """Citation of a table of a rule pack, and whether the text itself was read."""
    return table.text("cite", hint=_CITE_HINT) or "", bool(table.boolean("verified"))


def _positive(table: Table, key: str) -> float:
    return table.number(key, low=0.0) or 0.0

"""What a sound check goes by: limits with their citation, from data. Pure.

A meter fails where it shows the calibrator's level by more than the tolerance wrong, or where it has drifted since the
check before by more than a text in force at its point allows: what was measured between the two is worth nothing then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.document import Fault, Table, parse_document

LEVEL_HINT = "in dB"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on a difference of levels [dB], and who says so."""

    db: float
    cite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """When a level stands: `values` of them over `seconds` [s], within spread_db, within near_db of what is awaited."""

    seconds: float
    values: int
    spread_db: float
    near_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundChecks:
    """tolerance: how far off the calibrator. drift: between two checks, by the id of the rule pack that says so."""

    tolerance: Limit
    drift: dict[str, Limit]
    steady: Steady

    def drift_at(self, rules: Collection[str]) -> Limit | None:
        """The strictest limit on drift among rule packs; None where none of them has one."""
        found = [self.drift[rule] for rule in rules if rule in self.drift]
        return min(found, key=lambda limit: limit.db, default=None)


def parse_sound_checks(text: str, file: str) -> tuple[SoundChecks | None, list[Fault]]:
    """The limits in a TOML text, or None and all its faults."""
    document, faults = parse_document(text, file)
    if faults:
        return None, faults
    with Table.root(document, faults) as root:
        with root.table("tolerance", required=True) as table:
            tolerance = _limit(table)
        drift: dict[str, Limit] = {}
        for table in root.tables("drift"):
            with table:
                drift[table.identifier("rules") or ""] = _limit(table)
        with root.table("steady", required=True) as table:
            table.text("cite", hint="who says so, or that nobody does")
            steady = Steady(
                seconds=table.number("seconds", low=1.0, high=600.0, hint="in seconds") or 1.0,
                values=table.integer("values", low=2, high=1000) or 2,
                spread_db=table.number("spread_db", low=0.0, high=10.0, hint=LEVEL_HINT) or 0.0,
                near_db=table.number("near_db", low=0.0, high=60.0, hint=LEVEL_HINT) or 0.0,
            )
    return (None, faults) if faults else (SoundChecks(tolerance=tolerance, drift=drift, steady=steady), [])


def _limit(table: Table) -> Limit:
    db = table.number("db", low=0.0, high=60.0, hint=LEVEL_HINT)
    cite = table.text("cite", hint="the text and its clause; or that no text says so")
    if cite is not None and not cite.strip():
        table.fault("cite", "says nothing", "the text and its clause; or that no text says so")
    return Limit(db or 0.0, cite or "")

"""Certificates of the point that `emitwatch judge` judges: read, applied, and what came of them told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from collector.catalogue import certificate_files, rule_packs
from collector.verdicts.assurance import assurance
from collector.verdicts.assurance_told import Weeks, weeks_above
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.quality_words import plain
from collector.verdicts.records import Average

INPUTS = ("calibration", "range", "not_assured", "bias")  # of an average, beside what it has without certificates


def certified(law: PointRules, pack: RulePack, paths: Sequence[Path]) -> tuple[PointRules, list[str]]:
    """The rules of the point with its certificates, and which of these are not used. They may name any plant and point.

    pack: that is judged by, which certificates may name too. Raises FaultyFiles.
    """
    if not paths:
        return law, []
    packs = {**rule_packs(), pack.id: pack}
    found, notes = assurance(certificate_files([str(path) for path in paths], packs), law.timezone)
    return replace(law, assurance=found), notes


def watched_weeks(law: PointRules, averages: Sequence[Average]) -> list[Weeks]:
    """How often valid calibration ranges were left, by week; nothing where there are no certificates."""
    known = law.assurance
    days = [average for average in averages if average.window == "24h"]
    return weeks_above(days, law.timezone, known.watch, known.watched_ns) if known.watch else []


def range_watch(law: PointRules, averages: Sequence[Average]) -> dict[str, Any]:
    """What `--json` has beside the rest where there are certificates."""
    return {"range_watch": [_week(one) for one in watched_weeks(law, averages)]} if law.assurance else {}


def _week(found: Weeks) -> dict[str, Any]:
    weeks = [{"week": str(monday), "of": of, "above": above} for monday, of, above in found.weeks]
    return plain({**asdict(found), "weeks": weeks, "due": found.due and str(found.due)})  # type: ignore[no-any-return]


def certified_inputs(average: Average) -> dict[str, Any]:
    """What an average tells of the certificates behind it."""
    return {name: plain(average.inputs[name]) for name in INPUTS if name in average.inputs}

"""The calculations of the United States by the names that worked examples use.

A case gives one hour, one gap or one test, and may leave out what is usual: the parameter is then SO2.
Here its numbers become arrays of one. Numbers of the law come from the packs 40cfr60 and 40cfr75. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from collector.verdicts import certification, part75, quadrants, substitution_us
from collector.verdicts.look_back_us import look_back_of
from collector.verdicts.pack import RulePack
from collector.verdicts.us_rules import HourRule, UsRules

USUAL = "SO2"


def us_calculations(packs: Mapping[str, RulePack]) -> dict[str, tuple[Callable[..., Any], str | None]]:
    """Each calculation that the packs give numbers for: its function, and the key of its one result, None for many."""
    found: dict[str, tuple[Callable[..., Any], str | None]] = {"part75_equation": (part75.part75_equation, "value")}
    part60, rules = (pack.us if (pack := packs.get(id)) else None for id in ("40cfr60", "40cfr75"))
    if part60 and part60.hour:
        found["us_hour_valid"] = partial(quadrants.hour_valid, rule=part60.hour), "valid"
        found["us_qa_hour_valid"] = partial(_qa_hour, part60.hour), "valid"
    if rules:
        found["part75_substitute"] = partial(_substitute, rules), None
        found["rata"] = partial(_rata, rules), None
        found["linearity"] = partial(_linearity, rules), None
        found["daily_calibration"] = partial(_calibration, rules), None
    return found


def _qa_hour(
    rule: HourRule, *, minutes: Sequence[float], ran: Sequence[bool] | None = None, passed_minute: float | None = 0.0
) -> bool:
    """One hour with a test. passed_minute: None = the calibration that failed was not passed again."""
    passed = math.nan if passed_minute is None else passed_minute
    return bool(quadrants.qa_hour_valid(minutes, rule, ran=ran, passed_minute=passed))


def _substitute(
    rules: UsRules,
    *,
    lookback: Sequence[float],
    hour_before: float | None,
    hour_after: float | None,
    gap_hours: float,
    availability_percent: float | None,
    maximum_potential: float,
    parameter: str = USUAL,
    initial: bool = False,
) -> dict[str, Any]:
    """What stands in for an hour of a gap. lookback: quality-assured hours, of the load bin where it matters."""
    rule = rules.substitution_of(parameter)
    before, after, percent, potential = (
        np.array([value], np.float64) for value in (hour_before, hour_after, availability_percent, maximum_potential)
    )
    tier = substitution_us.choose_tier(rule, percent, [gap_hours])
    tier = np.where(initial, substitution_us.INITIAL, tier)
    percentile = int(substitution_us.percentile_asked(rule, tier)[0])
    back = look_back_of(np.array(lookback, np.float64), rule, max(percentile, 0))
    value, modc = substitution_us.fill(rule, tier, before, after, back, potential)
    return {"value": float(value[0]), "modc": str(modc[0])}


def _rata(
    rules: UsRules, *, monitor: Sequence[float], reference: Sequence[float], parameter: str = USUAL
) -> dict[str, Any]:
    return asdict(certification.relative_accuracy(monitor, reference, rules.rata_of(parameter)))


def _linearity(
    rules: UsRules, *, reference: float, monitor_mean: float, parameter: str = USUAL
) -> certification.LinearityError:
    return certification.linearity_error(reference, monitor_mean, rules.linearity_of(parameter))


def _calibration(
    rules: UsRules, *, span: float, reference: float, response: float, parameter: str = USUAL, test: str = "daily"
) -> certification.CalibrationError:
    return certification.calibration_error(span, reference, response, rules.calibration_of(parameter, test))

"""What the tests of a monitor come to under 40 CFR 75: daily calibration, linearity, RATA.

As `assessment`, and beside the outcomes the hours in which a monitor is out of control, and the factor by which it
reads low. Hours are clock hours of UTC. Pure; limits are of a rule pack (`us_rules`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

import numpy as np

from collector.verdicts.assessment import Cite, Outcome, Problem, overdue
from collector.verdicts.certificates import Certificates, DailyCalibration, Linearity, Rata, told_time
from collector.verdicts.certification import (
    Booleans,
    CalibrationError,
    Control,
    RelativeAccuracy,
    calibration_control,
    calibration_error,
    linearity_error,
    relative_accuracy,
)
from collector.verdicts.us_rules import CalibrationLife, UsRules
from collector.verdicts.windows import HOUR_NS
from gateway.measurement import Int64

END_NS = 2**63 - 1  # of what nobody has ended yet
LAPSES_TOLD = 10  # newest ones; the number of hours is of all


def passes(found: DailyCalibration, rules: UsRules) -> tuple[Booleans, CalibrationError, CalibrationError]:
    """Which calibrations passed, at zero and span both, and what each of the two came to; shape (n,) each."""
    rule = rules.calibration_of(found.parameter, found.test)
    zero = np.array([check.zero for check in found.checks])
    span = np.array([check.span for check in found.checks])
    at_zero = calibration_error(found.span, found.zero_gas, zero, rule)
    at_span = calibration_error(found.span, found.span_gas, span, rule)
    return at_zero.in_control & at_span.in_control, at_zero, at_span


def lapses(found: DailyCalibration, rules: UsRules, life: CalibrationLife) -> list[tuple[int, int, Control]]:
    """The spans in which a monitor is out of control, and why: [from, to), the last one open (END_NS). [ns since 1970]

    Nothing is said of the time before the first calibration.
    """
    if not found.checks:
        return []
    tested = np.array([check.time_ns for check in found.checks]) // HOUR_NS
    first, last = int(tested[0]), max([int(tested[-1]), *(end // HOUR_NS for _, end in found.stood)])
    hours = np.arange(first, last + life.hours + life.grace_hours + 2)
    stood = np.zeros(len(hours), np.bool_)
    for begin, end in found.stood:  # an hour in which the unit ran for a part is one of operation
        stood |= (hours * HOUR_NS >= begin) & ((hours + 1) * HOUR_NS <= end)
    control = calibration_control(~stood, tested - first, passes(found, rules)[0], life)
    spans = _runs(control, first)
    return [*spans[:-1], (spans[-1][0], END_NS, spans[-1][2])]


def _runs(control: Int64, first: int) -> list[tuple[int, int, Control]]:
    """Runs of hours out of control; the last hour is in one, since no calibration holds until then."""
    out = np.isin(control, (Control.EXPIRED, Control.FAILED))
    starts = np.flatnonzero(np.diff(np.where(out, control, -1), prepend=-1) != 0)
    ends = np.append(starts[1:], len(control))
    return [
        ((first + int(start)) * HOUR_NS, (first + int(end)) * HOUR_NS, Control(int(control[start])))
        for start, end in zip(starts, ends, strict=True) if out[start]
    ]  # fmt: skip


def accuracy(report: Rata, rules: UsRules) -> tuple[RelativeAccuracy, float]:
    """What a RATA came to, and the bias factor that is applied; 1 where it was not passed."""
    found = relative_accuracy(report.monitor, report.reference, rules.rata_of(report.parameter))
    factor = found.bias_adjustment_factor if report.factor is None else report.factor
    return found, factor if found.passes and math.isfinite(factor) else 1.0


def assess_part75(found: Certificates, rules: UsRules, pack: str, on: date) -> Iterator[Outcome]:
    """The tests of a file, in its order. pack: id of the pack that the rules are of. on: today."""
    for checks in found.daily:
        yield _daily(checks, rules, pack)
    for test in found.linearity:
        yield _linearity(test, rules, pack, tuple(overdue(test, found.linearity, on)))
    for report in found.rata:
        yield _rata(report, rules, pack, tuple(overdue(report, found.rata, on)))


def _daily(found: DailyCalibration, rules: UsRules, pack: str) -> Outcome:
    rule, life = rules.calibration_of(found.parameter, found.test), rules.calibration_life
    assert life is not None, "the file is refused without"
    good, at_zero, at_span = passes(found, rules)
    facts: dict[str, object] = {"calibrations": len(good), "passed": int(good.sum())}
    cites = [Cite(pack, rule.cite, rule.verified)]
    problems = list(_failed(found, good, at_zero, at_span))
    if found.test == "daily" and found.checks:
        spans = lapses(found, rules, life)
        closed = spans[:-1]
        facts |= {
            "out_of_control_hours": sum(end - begin for begin, end, _ in closed) // HOUR_NS,
            "out_of_control": [
                (told_time(begin), told_time(end), why.name.lower()) for begin, end, why in closed[-LAPSES_TOLD:]
            ],
            "in_control_until" if good[-1] else "out_of_control_since": told_time(spans[-1][0]),
        }  # fmt: skip
        cites.append(Cite(pack, life.cite, life.verified))
        if closed:
            todo = f"these hours are not quality-assured; calibrate within {life.hours} hours of the last that passed"
            problems.append(Problem(f"{facts['out_of_control_hours']} hours out of control", todo, False))
    return Outcome(
        test="daily calibration" if found.test == "daily" else "seven-day calibration", path=found.path,
        parameter=found.parameter, unit=found.unit, facts=facts, problems=tuple(problems), cites=tuple(cites),
        date=told_time(found.checks[-1].time_ns)[:10] if found.checks else "",
    )  # fmt: skip


def _failed(
    found: DailyCalibration, good: Booleans, at_zero: CalibrationError, at_span: CalibrationError
) -> Iterator[Problem]:
    """One problem a failed calibration; of daily ones those after which another passed fail nothing any more."""
    for place in np.flatnonzero(~good).tolist():
        parts = [
            f"{name} off by {error.difference[place]:.3g} {found.unit} ({error.error_percent[place]:.3g} % of span)"
            if math.isfinite(error.difference[place]) else f"{name} not checked"
            for name, error in (("zero", at_zero), ("span", at_span)) if not error.in_control[place]
        ]  # fmt: skip
        mended = found.test == "daily" and bool(good[place:].any())
        todo = "passed since" if mended else "out of control: adjust the monitor and calibrate again"
        yield Problem(f"{told_time(found.checks[place].time_ns)}: {'; '.join(parts)}", todo, not mended)
    if not len(good):
        yield Problem("there is no calibration", "calibrate zero and span")


def _linearity(test: Linearity, rules: UsRules, pack: str, late: tuple[Problem, ...]) -> Outcome:
    rule = rules.linearity_of(test.parameter)
    means = [math.fsum(level.shown) / len(level.shown) for level in test.levels]
    found = linearity_error([level.reference for level in test.levels], means, rule)
    facts = {
        level.name: {
            "reference": level.reference, "mean": means[place], "injections": len(level.shown),
            "error_percent": float(found.error_percent[place]), "passed": bool(found.passes[place]),
        }
        for place, level in enumerate(test.levels)
    }  # fmt: skip
    problems = [
        Problem(
            f"{level.name}: {float(found.error_percent[place]):.3g} % off {level.reference:g} {test.unit}, "
            f"allowed {rule.percent:g} % or {rule.difference:g} {test.unit}",
            "out of control: have the monitor mended, and repeat the test at all levels",
        )
        for place, level in enumerate(test.levels) if not found.passes[place]
    ]  # fmt: skip
    return Outcome(
        test="linearity", path=test.path, parameter=test.parameter, unit=test.unit, date=str(test.tested), facts=facts,
        problems=(*problems, *late), cites=(Cite(pack, rule.cite, rule.verified),),
    )  # fmt: skip


def _rata(report: Rata, rules: UsRules, pack: str, late: tuple[Problem, ...]) -> Outcome:
    rule = rules.rata_of(report.parameter)
    found, applied = accuracy(report, rules)
    problems = []
    if found.runs < rule.runs:
        problems.append(Problem(f"{found.runs} runs, {rule.runs} are needed", "repeat the audit"))
    elif not found.passes:
        told = f"relative accuracy {found.relative_accuracy_percent:.3g} %, and no difference that will do"
        problems.append(Problem(told, "out of control: have the monitor mended, and repeat the audit"))
    if report.factor is not None and report.factor < found.least_factor:
        told = f"the factor {report.factor:g} is less than {found.least_factor:g}, which these runs ask for"
        problems.append(Problem(told, "apply the larger one"))
    facts = {
        "runs": found.runs, "mean_difference": found.mean_difference,
        "confidence_coefficient": found.confidence_coefficient,
        "relative_accuracy_percent": found.relative_accuracy_percent, "quarters": found.quarters,
        "bias_adjustment_factor": found.bias_adjustment_factor, "applied_factor": applied,
        "valid_from": str(report.valid_from), "laboratory": report.laboratory, "report": report.report,
    }  # fmt: skip
    return Outcome(
        test="RATA", path=report.path, parameter=report.parameter, unit=report.unit, date=str(report.tested),
        facts=facts, problems=(*problems, *late), cites=(Cite(pack, rule.cite, rule.verified),),
    )  # fmt: skip

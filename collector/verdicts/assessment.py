"""What the certificates of a measuring system come to under EN 14181: QAL2, AST and QAL3.

Every test becomes an `Outcome`: what was computed, by whose rule, what fails and what to do then. A QAL2 also becomes a
`Function`, which `assurance` applies to what is measured. Rules of this file:

- what the laboratory reports (its line, its range) holds; where its pairs are there too, they are computed again and
  what does not agree is told. LINE_APART is ours, no text's: what rounded coefficients may make;
- a test that cannot be computed has not been passed;
- an adjustment begins a control chart anew (a working rule: no text was read). So an alarm before one is told, and
  fails nothing any more.

Pure; numbers are of a rule pack (`quality_rules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from collector.verdicts import quality
from collector.verdicts.certificates import SLOPE, Ast, Certificates, Check, Pair, Qal2, Qal3, Report, told_time
from collector.verdicts.quality import Agreement, Line
from collector.verdicts.quality_rules import QualityRules
from gateway.measurement import Float64

LINE_APART = 0.01  # of the limit


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and what to do. fails: whether the test is not passed for it; else it is told."""

    what: str
    todo: str
    fails: bool = True


@dataclass(frozen=True, slots=True)
class Cite:
    """Whose rule was applied, and whether that text itself was read."""

    pack: str
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A control chart to be looked at: one value a check, and where it alarms. times: RFC 3339. alarms: places."""

    title: str
    times: tuple[str, ...]
    values: tuple[float, ...]
    alarm: float
    alarms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one test came to. date: of the test, or of the last check. facts: results by name, in the order to show."""

    test: str
    path: str
    parameter: str
    unit: str
    date: str
    facts: Mapping[str, Any]
    problems: tuple[Problem, ...]
    cites: tuple[Cite, ...]
    charts: tuple[Drawn, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return not any(problem.fails for problem in self.problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What a QAL2 found. method: by which the line was made, "" = the laboratory does not say.

    upto: end of the valid range, at the conditions of the limit. [unit] agreement: the variability test.
    """

    line: Line
    method: str
    upto: float
    agreement: Agreement
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Whether values may be calibrated with it."""
        return not any(problem.fails for problem in self.problems)


def function(report: Qal2, rules: QualityRules) -> Function:
    """The calibration function of a QAL2, how far it holds, and what is wrong with it."""
    text = rules.calibration
    signal, reference, factor = _columns(report.pairs)
    asked = quality.qal2_method(
        reference * factor, report.limit, report.limit * report.uncertainty_percent / 100.0, text.lowest_percent
    )
    method = report.method or asked
    problems = []
    if report.method and asked and report.method != asked:
        told = f"method {report.method} was used, the pairs ask for {asked}"
        problems.append(Problem(told, "ask the laboratory why", False))
    computed = _fitted(method, signal, reference, report)
    line = report.line or computed
    if not SLOPE[0] <= line.slope <= SLOPE[1]:
        problems.append(Problem("the pairs give no line that rises", "repeat the parallel measurements"))
    elif report.line and len(signal):
        apart = float(np.max(np.abs(calibrated(line, signal) - calibrated(computed, signal)), initial=0.0))
        if not apart <= LINE_APART * report.limit:
            told = f"the laboratory's line is up to {apart:.3g} {report.unit} away from what its pairs give"
            problems.append(Problem(told, "ask the laboratory for its calculation", False))
    shown = calibrated(line, signal) * factor
    sigma = quality.sigma0(report.limit, report.uncertainty_percent, text.coverage)
    if report.pairs:
        agreement = quality.variability(shown, reference * factor, sigma, text.pairs_min)
    else:
        agreement = _reported(report, sigma, text.pairs_min)
    problems += _disagreement(agreement, text.pairs_min, report.unit, "the calibration function may not be used")
    upto = quality.valid_range(shown, rules.margin_percent) if report.valid_upto is None else report.valid_upto
    return Function(line=line, method=method, upto=upto, agreement=agreement, problems=tuple(problems))


def calibrated(line: Line, signal: Float64) -> Float64:
    """Values by a calibration function, shape as given."""
    return line.slope * signal + line.intercept


def _columns(pairs: Sequence[Pair]) -> tuple[Float64, Float64, Float64]:
    """Signals, references and factors."""
    rows = [(pair.signal, pair.reference, pair.factor) for pair in pairs]
    signal, reference, factor = np.array(rows, np.float64).reshape(-1, 3).T
    return signal, reference, factor


def _fitted(method: str, signal: Float64, reference: Float64, report: Qal2) -> Line:
    if method == "B":
        return quality.qal2_through_zero(signal, reference, report.zero_signal)
    more = report.materials if method == "C" else ()
    return quality.qal2_regression([*signal, *(x for x, _ in more)], [*reference, *(y for _, y in more)])


def _reported(report: Qal2, sigma: float, pairs_min: int) -> Agreement:
    """The variability test of what the laboratory reports without its pairs."""
    assert report.deviation is not None, "the file is refused without"
    most = sigma * quality.variability_factor(report.number)
    passed = report.number >= pairs_min and report.deviation <= most
    return Agreement(report.number, quality.NAN, quality.NAN, report.deviation, most, passed)


def _disagreement(found: Agreement, pairs_min: int, unit: str, therefore: str) -> Iterator[Problem]:
    """Why system and reference method do not agree."""
    if found.pairs < pairs_min:
        yield Problem(f"{found.pairs} pairs, {pairs_min} are needed", f"{therefore}: measure the missing ones")
    if found.deviation > found.deviation_max:
        told = f"variability: they scatter by {found.deviation:.3g} {unit}, allowed {found.deviation_max:.3g}"
        yield Problem(told, f"{therefore}: have the system mended, then do a QAL2")
    if abs(found.bias) > found.bias_max:
        told = f"bias: the system is {-found.bias:+.3g} {unit} off, allowed {found.bias_max:.3g}"
        yield Problem(told, f"{therefore}: find out why, then do a QAL2")


def overdue(report: Report, others: Sequence[Report], on: date) -> Iterator[Problem]:
    """Whether the next test should have been there by a date, and is not."""
    newer = any(other.parameter == report.parameter and other.tested > report.tested for other in others)
    if report.valid_to is not None and report.valid_to <= on and not newer:
        yield Problem(
            f"the next one is overdue since {report.valid_to}", "have it done; what it found is used meanwhile"
        )


def assess_en14181(found: Certificates, rules: QualityRules, pack: str, on: date) -> Iterator[Outcome]:
    """The QAL2, AST and QAL3 of a file, in its order. pack: id of the pack that the rules are of. on: today."""
    for report in found.qal2:
        yield _qal2(report, rules, pack, tuple(overdue(report, found.qal2, on)))
    for test in found.ast:
        yield _ast(test, found.qal2, rules, pack, tuple(overdue(test, found.ast, on)))
    for checks in found.qal3:
        yield _qal3(checks, rules, pack)


def _qal2(report: Qal2, rules: QualityRules, pack: str, late: tuple[Problem, ...]) -> Outcome:
    made = function(report, rules)
    facts = {
        "method": made.method, "slope": made.line.slope, "intercept": made.line.intercept, "valid_upto": made.upto,
        **_facts(made.agreement), "valid_from": str(report.valid_from), "valid_to": _day(report.valid_to),
        "laboratory": report.laboratory, "report": report.report,
    }  # fmt: skip
    texts = (rules.calibration, rules.watch)
    return Outcome(
        test="QAL2", path=report.path, parameter=report.parameter, unit=report.unit, date=str(report.tested),
        facts=facts, problems=(*made.problems, *late),
        cites=tuple(Cite(pack, text.cite, text.verified) for text in texts),
    )  # fmt: skip


def _facts(found: Agreement) -> dict[str, Any]:
    known = {
        "pairs": found.pairs, "deviation": found.deviation, "deviation_max": found.deviation_max, "bias": found.bias,
        "bias_max": found.bias_max,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value == value}


def _day(day: date | None) -> str | None:
    return None if day is None else str(day)


def in_force(reports: Sequence[Qal2], parameter: str, on: date) -> Qal2 | None:
    """The newest QAL2 of a parameter that counts on a day; None = none does."""
    known = [report for report in reports if report.parameter == parameter and report.valid_from <= on]
    return max(known, key=lambda report: report.valid_from, default=None)


def _ast(test: Ast, reports: Sequence[Qal2], rules: QualityRules, pack: str, late: tuple[Problem, ...]) -> Outcome:
    text, report = rules.surveillance, in_force(reports, test.parameter, test.tested)
    facts: dict[str, Any] = {}
    problems: tuple[Problem, ...] = (
        Problem("there is no QAL2 of that day to hold it against", "put the QAL2 in force then into the same file"),
    )
    if report is not None:
        made = function(report, rules)
        signal, reference, factor = _columns(test.pairs)
        found = quality.surveillance(
            calibrated(made.line, signal) * factor, reference * factor,
            quality.sigma0(report.limit, report.uncertainty_percent, rules.calibration.coverage),
            factor=text.factor, confidence=text.confidence, pairs_min=text.pairs_min,
        )  # fmt: skip
        facts = {"against": report.path, **_facts(found)}
        problems = tuple(_disagreement(found, text.pairs_min, test.unit, "the calibration function is not confirmed"))
    facts |= {"valid_to": _day(test.valid_to), "laboratory": test.laboratory, "report": test.report}
    return Outcome(
        test="AST", path=test.path, parameter=test.parameter, unit=test.unit, date=str(test.tested), facts=facts,
        problems=(*problems, *late), cites=(Cite(pack, text.cite, text.verified),),
    )  # fmt: skip


def _qal3(found: Qal3, rules: QualityRules, pack: str) -> Outcome:
    charts: list[Drawn] = []
    problems: list[Problem] = []
    for at, true, deviation in (("zero", found.zero, found.zero_deviation), ("span", found.span, found.span_deviation)):
        shown = np.array([getattr(check, at) for check in found.checks])
        for drawn in _drawn(found, at, shown - true, deviation, rules):
            charts.append(drawn)
            problems += _alarms(drawn, found.checks)
    text = rules.cusum if found.chart == "cusum" else rules.shewhart
    last = found.checks[-1].time_ns if found.checks else 0
    return Outcome(
        test="QAL3", path=found.path, parameter=found.parameter, unit=found.unit, date=told_time(last)[:10],
        facts={"chart": found.chart, "checks": len(found.checks), "zero": found.zero, "span": found.span,
               "zero_deviation": found.zero_deviation, "span_deviation": found.span_deviation},
        problems=tuple(problems), cites=(Cite(pack, text.cite, text.verified),), charts=tuple(charts),
    )  # fmt: skip


def _drawn(found: Qal3, at: str, deviations: Float64, deviation: float, rules: QualityRules) -> Iterator[Drawn]:
    """The charts of zero or span. Precision stands before drift, as it is tested."""
    times = tuple(told_time(check.time_ns) for check in found.checks)
    pieces = _pieces(found.checks)
    made = (
        [("precision", "[s_AMS^2]", rules.cusum.precision_alarm,
          [quality.qal3_precision(deviations[piece], deviation, rules.cusum) for piece in pieces]),
         ("drift", "[s_AMS]", rules.cusum.drift_alarm,
          [quality.qal3_drift(deviations[piece], deviation, rules.cusum) for piece in pieces])]
        if found.chart == "cusum" else
        [("deviation", "[s_AMS]", rules.shewhart.multiple,
          [quality.qal3_shewhart(deviations[piece], deviation, rules.shewhart.multiple) for piece in pieces])]
    )  # fmt: skip
    for name, unit, alarm, parts in made:
        values = np.concatenate([part.sums for part in parts]) if parts else np.empty(0)
        places = tuple(
            piece.start + part.alarm_at - 1 for piece, part in zip(pieces, parts, strict=True) if part.alarm_at
        )
        direction = {1: ", upward", -1: ", downward"}.get(next((p.direction for p in parts[::-1] if p.alarm_at), 0), "")
        yield Drawn(
            title=f"{at} {name}{direction} {unit}", times=times, values=tuple(np.nan_to_num(values).tolist()),
            alarm=alarm, alarms=places,
        )  # fmt: skip


def _pieces(checks: Sequence[Check]) -> list[slice]:
    """The runs of checks between adjustments; a check that was adjusted after ends one."""
    ends = [place + 1 for place, check in enumerate(checks) if check.adjusted or place == len(checks) - 1]
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def _alarms(drawn: Drawn, checks: Sequence[Check]) -> Iterator[Problem]:
    """One problem an alarm; it fails where nobody has adjusted the system since."""
    for place in drawn.alarms:
        mended = any(check.adjusted for check in checks[place:])
        what = f"{drawn.title} alarms on {drawn.times[place]}: {drawn.values[place]:.3g} is above {drawn.alarm:g}"
        todo = "adjusted since" if mended else "adjust the system or have it mended, and mark the check adjusted = true"
        yield Problem(what, todo, not mended)

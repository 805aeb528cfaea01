"""What certificates make of the values of a point before anything is derived from them.

Rules of this file:

- from `valid_from` of a QAL2 on (the point's local date), its calibration function makes the value of what was
  measured; it holds until that of the next QAL2, also past its `valid_to`, which is told. Only one that passed is used;
- a monitor that is out of control by its daily calibrations (40 CFR 75) measures on, and its values go into no average:
  they are counted as `not_assured`;
- the bias factor of a RATA is for mass alone, and for hours after it (`bias_factors`);
- what was measured stays: a calibrated signal carries it as `raw`, and averages tell function and mean as measured
  (`assurance_told`).

Pure. A point without certificates is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from collector.verdicts import assessment, assessment_us
from collector.verdicts.assessment import Cite
from collector.verdicts.certificates import Certificates, told_time
from collector.verdicts.certification import Control
from collector.verdicts.pack import RulePack
from collector.verdicts.quality import Line
from collector.verdicts.quality_rules import QualityRules, RangeWatch
from collector.verdicts.screening import NOT_ASSURED, Signal
from collector.verdicts.us_rules import UsRules
from gateway.document import Fault
from gateway.measurement import SECOND_NS, Float64, Int64, Status
from gateway.units import conversion

END_NS = assessment_us.END_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A calibration function in force in [from_ns, to_ns). [ns since 1970 UTC]

    line: in `unit`. upto: end of its valid range at the conditions of the limit [unit]; short: of which averages it is
    watched. overdue_ns: from when on another should be there. report: how the certificate names itself.
    """

    from_ns: int
    to_ns: int
    overdue_ns: int
    line: Line
    unit: str
    method: str
    upto: float
    short: str
    report: str
    cite: Cite

    def within(self, unit: str) -> Line | None:
        """The function from and to a unit in which values are kept; None where there is no way to it."""
        way = conversion(unit, self.unit)
        if way is None:
            return None
        slope, intercept = self.line.slope, self.line.intercept
        return Line(slope, (slope * way.shift + intercept - way.shift) / way.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """A span in which a monitor is out of control: [from_ns, to_ns). why: as `Control` names it."""

    from_ns: int
    to_ns: int
    why: str
    cite: Cite


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """The factor by which a monitor reads low, from an instant on. [ns since 1970 UTC]"""

    from_ns: int
    factor: float
    report: str
    cite: Cite


@dataclass(frozen=True, slots=True, kw_only=True)
class Assurance:
    """What the certificates of one point come to, by parameter; each ordered by time.

    watch: when a valid range was left too often, None = nothing is watched. watched_ns: since when, by parameter: its
    newest QAL2 or AST. [ns since 1970 UTC]
    """

    calibrations: Mapping[str, tuple[Calibration, ...]] = field(default_factory=dict)
    lapses: Mapping[str, tuple[Lapse, ...]] = field(default_factory=dict)
    biases: Mapping[str, tuple[Bias, ...]] = field(default_factory=dict)
    watch: RangeWatch | None = None
    watched_ns: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.calibrations or self.lapses or self.biases)


UNCERTIFIED = Assurance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The rules that a file's certificates are held against, and the ids of their packs."""

    quality: QualityRules | None
    quality_pack: str
    us: UsRules | None
    us_pack: str


def law(found: Certificates, packs: Mapping[str, RulePack]) -> tuple[Law, list[Fault]]:
    """The rules of a file, and what is wrong with the packs it names: missing, or without what its tests need."""
    faults = [
        Fault(found.file, "rules", None, f"no rule pack {id!r}", f"known packs: {', '.join(sorted(packs))}")
        for id in found.rules if id not in packs
    ]  # fmt: skip
    named = [packs[id] for id in found.rules if id in packs]
    european = next((pack for pack in named if pack.quality), None)
    american = next((pack for pack in named if pack.us and pack.us.calibration_life), None)
    quality = [test.path for tests in (found.qal2, found.ast, found.qal3) for test in tests]
    us = [test.path for tests in (found.daily, found.linearity, found.rata) for test in tests]
    if quality and european is None and not faults:
        faults.append(_lacking(found, quality[0], "[quality], as en-14181-2014"))
    if us and american is None and not faults:
        faults.append(_lacking(found, us[0], "[us] with daily calibrations, as 40cfr75"))
    if american is not None and american.us is not None:
        faults += _unruled(found, american.us)
    return Law(
        quality=european.quality if european else None, quality_pack=european.id if european else "",
        us=american.us if american else None,
        us_pack=american.id if american else "",
    ), faults  # fmt: skip


def _lacking(found: Certificates, path: str, what: str) -> Fault:
    return Fault(found.file, "rules", None, f"{path} needs a pack with {what}", "name it here")


def _unruled(found: Certificates, rules: UsRules) -> Iterable[Fault]:
    """Tests of parameters that the pack has no rule for."""
    asked: list[tuple[str, Callable[[], object]]] = [
        *((test.path, partial(rules.calibration_of, test.parameter, test.test)) for test in found.daily),
        *((test.path, partial(rules.linearity_of, test.parameter)) for test in found.linearity),
        *((test.path, partial(rules.rata_of, test.parameter)) for test in found.rata),
    ]
    for path, rule in asked:
        try:
            rule()
        except ValueError as error:
            yield Fault(found.file, f"{path}.parameter", None, str(error), "`emitwatch rules show` has them all")


def assurance(files: Sequence[tuple[Certificates, Law]], timezone: str) -> tuple[Assurance, list[str]]:
    """What certificates come to at a point, and which of them are not used, in sentences for people.

    files: with their rules, faultless. timezone: of the point; a date begins at its midnight.
    """
    notes: list[str] = []
    calibrations: dict[str, list[Calibration]] = {}
    lapses: dict[str, list[Lapse]] = {}
    biases: dict[str, list[Bias]] = {}
    since: dict[str, int] = {}
    for found, rules in files:
        for name, calibration in _calibrations(found, rules, timezone, notes):
            calibrations.setdefault(name, []).append(calibration)
        for name, lapse in _lapses(found, rules):
            lapses.setdefault(name, []).append(lapse)
        for name, bias in _biases(found, rules, timezone, notes):
            biases.setdefault(name, []).append(bias)
        for test in (*found.qal2, *found.ast):
            begin = _midnight(timezone, test.valid_from)
            since[test.parameter] = max(begin, since.get(test.parameter, begin))
    watch = next((rules.quality.watch for _, rules in files if rules.quality), None)
    return Assurance(
        calibrations={name: _in_turn(own) for name, own in calibrations.items()},
        lapses={name: tuple(sorted(own, key=lambda lapse: lapse.from_ns)) for name, own in lapses.items()},
        biases={name: tuple(sorted(own, key=lambda bias: bias.from_ns)) for name, own in biases.items()},
        watch=watch,
        watched_ns=since,
    ), notes


def _midnight(timezone: str, day: date) -> int:
    return round(datetime.combine(day, time(), ZoneInfo(timezone)).timestamp()) * SECOND_NS


def _calibrations(
    found: Certificates, rules: Law, timezone: str, notes: list[str]
) -> Iterable[tuple[str, Calibration]]:
    for report in found.qal2:
        assert rules.quality is not None, "a file is refused without"
        made, text = assessment.function(report, rules.quality), rules.quality.calibration
        named = report.report or report.path
        if not made.usable:
            why = "; ".join(problem.what for problem in made.problems if problem.fails)
            notes.append(f"{found.file}: {report.path} of {report.parameter} is not applied: {why}")
            continue
        yield report.parameter, Calibration(
            from_ns=_midnight(timezone, report.valid_from), to_ns=END_NS, line=made.line, unit=report.unit,
            overdue_ns=END_NS if report.valid_to is None else _midnight(timezone, report.valid_to),
            method=made.method, upto=made.upto, short=report.short, report=named,
            cite=Cite(rules.quality_pack, text.cite, text.verified),
        )  # fmt: skip


def _in_turn(found: Sequence[Calibration]) -> tuple[Calibration, ...]:
    """Functions by time, each until the next; of two of one day the later in the files holds."""
    ranked = sorted(found, key=lambda calibration: calibration.from_ns)
    ends = [following.from_ns for following in ranked[1:]] + [END_NS]
    return tuple(
        replace(one, to_ns=end) for one, end in zip(ranked, ends, strict=True) if end > one.from_ns
    )  # fmt: skip


def _lapses(found: Certificates, rules: Law) -> Iterable[tuple[str, Lapse]]:
    for checks in found.daily:
        assert rules.us is not None, "a file is refused without"
        life = rules.us.calibration_life
        assert life is not None, "a file is refused without"
        for begin, end, why in assessment_us.lapses(checks, rules.us, life) if checks.test == "daily" else ():
            told = "calibration expired" if why is Control.EXPIRED else "calibration failed"
            cite = Cite(rules.us_pack, life.cite, life.verified)
            yield checks.parameter, Lapse(from_ns=begin, to_ns=end, why=told, cite=cite)


def _biases(found: Certificates, rules: Law, timezone: str, notes: list[str]) -> Iterable[tuple[str, Bias]]:
    for report in found.rata:
        assert rules.us is not None, "a file is refused without"
        rule = rules.us.rata_of(report.parameter)
        result, factor = assessment_us.accuracy(report, rules.us)
        if not result.passes:
            notes.append(f"{found.file}: {report.path} of {report.parameter} was not passed; no factor is applied")
            continue
        yield report.parameter, Bias(
            from_ns=_midnight(timezone, report.valid_from), factor=factor, report=report.report or report.path,
            cite=Cite(rules.us_pack, rule.cite, rule.verified),
        )  # fmt: skip


def changed_from(old: Assurance, new: Assurance) -> int | None:
    """The earliest instant from which on two sets of certificates make other values; None where they never do.

    A calibration function ends where the next begins, so only beginnings are compared.
    """
    parts = [
        {(kind, name, replace(one, to_ns=END_NS) if isinstance(one, Calibration) else one)
         for kind in ("calibrations", "lapses", "biases") for name, own in getattr(found, kind).items() for one in own}
        for found in (old, new)
    ]  # fmt: skip
    return min((one.from_ns for _, _, one in parts[0] ^ parts[1]), default=None)


# --- what follows for values -----------------------------------------------------------------------


def assured(found: Assurance, signals: dict[str, Signal]) -> dict[str, Signal]:
    """The signals of a point as its certificates have them: calibrated, and of monitors out of control not assured."""
    if not found:
        return signals
    return {name: _in_control(found, _calibrated(found, signal)) for name, signal in signals.items()}


def _calibrated(found: Assurance, signal: Signal) -> Signal:
    """A signal with its calibration functions applied, each from its time on."""
    known = found.calibrations.get(signal.parameter, ())
    lines = [calibration.within(signal.unit) or Line(1.0, 0.0) for calibration in known]
    if not lines:
        return signal
    place = np.searchsorted([calibration.from_ns for calibration in known], signal.time_ns, "right")
    if not place.any():
        return signal
    slope = np.array([1.0, *(line.slope for line in lines)])[place]
    intercept = np.array([0.0, *(line.intercept for line in lines)])[place]
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(signal, value=slope * signal.value + intercept, raw=signal.value)


def _in_control(found: Assurance, signal: Signal) -> Signal:
    """A signal whose good values from spans out of control are called not assured."""
    known = found.lapses.get(signal.parameter, ())
    if not known:
        return signal
    out = np.zeros(len(signal), np.bool_)
    for lapse in known:
        out[slice(*np.searchsorted(signal.time_ns, (lapse.from_ns, lapse.to_ns)))] = True
    out &= signal.status == Status.OK
    return replace(signal, status=np.where(out, np.uint8(NOT_ASSURED), signal.status)) if out.any() else signal


def bias_factors(found: Assurance, parameter: str, from_ns: Int64) -> Float64:
    """The factor by which masses of a parameter are multiplied, for each window by its start, 1 where there is none.

    from_ns: shape (n,). Source: 40 CFR 75 appendix A 7.6.5 (prospectively, mass only).
    >>> bias_factors(UNCERTIFIED, "SO2", np.array([0, 1]))
    array([1., 1.])
    """
    known = found.biases.get(parameter, ())
    place = np.searchsorted([bias.from_ns for bias in known], from_ns, "right")
    return np.array([1.0, *(bias.factor for bias in known)])[place]


def bias_told(found: Assurance, parameter: str, from_ns: int) -> dict[str, Any] | None:
    """The factor that holds at an instant as evidence tells it; None where none does."""
    known = [bias for bias in found.biases.get(parameter, ()) if bias.from_ns <= from_ns]
    if not known:
        return None
    bias = known[-1]
    return {"factor": bias.factor, "from": told_time(bias.from_ns), "report": bias.report, **cited(bias.cite)}


def cited(cite: Cite) -> dict[str, Any]:
    """A citation as evidence tells it."""
    return {"rules": cite.pack, "cite": cite.cite, "verified": cite.verified}

"""A loop check: one known value, followed from the instrument to the page.

An engineer makes an instrument show a value that he knows (a calibrator, a test gas, a simulator of its probe). Then
injected = register = stored = shown, within a tolerance, or something between two of them is wrong: a scale, a word
order, a sensor of another point, a delivery that stands still. The stages, in the order of the line:

    register   what the gateway reads, after decoding
    stored     what the collector has stored of it
    shown      what its page is told

Only measurements made after the start count. Where the gateway says which instant it read, the later stages are held
against that very measurement: they have to agree with it to the last digit, and with what was injected within the
tolerance. Pure. Source of the record's format: docs/reference/loopcheck.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from api.times import format_time
from gateway.document import Fault
from gateway.profiles import Profile, Register
from gateway.units import Conversion
from gateway.words import TYPES

VERSION = 1
SHARE_OF_RANGE = 1e-3  # default tolerance where the profile tells no resolution
_SAME = 1e-9  # relative: a value that only passed through is the same
_NUMBER = re.compile(r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(%fs|%FS|%)?\s*")


class Where(StrEnum):
    """A stage, in the order of the line."""

    REGISTER = "register"
    STORED = "stored"
    SHOWN = "shown"


class Verdict(StrEnum):
    """What is said of a stage. late: nothing arrived in time. unreached: it could not be asked."""

    AGREES = "agrees"
    DEPARTS = "departs"
    LATE = "late"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True)
class Seen:
    """A measurement as a stage has it. value: None = there is none. after_s: since the start, when it was there.

    time_ns: its instant, 0 = the stage knows none (an instrument read directly). source: who said so.
    """

    value: float | None
    unit: str
    status: str
    time_ns: int
    after_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a stage has nothing. why: "" = it answers, and nothing of after the start has arrived.

    hint: what to do about it, where that is known of this very case.
    """

    source: str
    why: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a stage may be from what was injected. share, range_share: of the value and of the range. [1]

    least: in the parameter's unit, and the least whatever the shares come to. text: in words.
    """

    least: float
    share: float = 0.0
    range_share: float = 0.0
    text: str = ""

    def at(self, value: float, span: tuple[float, float]) -> float:
        """At an injected value, in the parameter's unit. span: the range of the instrument."""
        width = span[1] - span[0] if self.range_share else 0.0
        return max(self.least, self.share * abs(value), self.range_share * width)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of one injection. difference: value - injected. time: RFC 3339, "" = none. after_s: since the start."""

    stage: Where
    verdict: Verdict
    source: str
    value: float | None = None
    unit: str = ""
    difference: float | None = None
    time: str = ""
    after_s: float | None = None
    status: str = ""
    hint: str = ""


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """One value. injected, tolerance: in the record's unit. entered: as it was asked for."""

    injected: float
    entered: str
    tolerance: Annotated[float, Meta(ge=0)]
    began: str
    passed: bool
    stages: tuple[Stage, ...]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A loop check to keep. tolerance: in words. by: who made it, "" = not said."""

    emitwatch_loopcheck: int = VERSION
    plant: str
    point: str
    sensor: str
    parameter: str
    unit: str
    profile: str
    link: str
    by: str = ""
    tolerance: str
    began: str
    ended: str
    passed: bool
    injections: tuple[Injection, ...]


_record = msgspec.json.Decoder(Record).decode


def parse_record(text: str, file: str) -> tuple[Record | None, list[Fault]]:
    """A kept loop check, or what is wrong with it."""
    try:
        found = _record(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return None, [Fault(file, "", None, f"no loop check: {error}", "`emitwatch loopcheck --out FILE` writes one")]
    if found.emitwatch_loopcheck != VERSION:
        said = f"version {found.emitwatch_loopcheck} of a loop check is not known, {VERSION} is"
        return None, [Fault(file, "", None, said, "read it with the emitwatch that wrote it")]
    agree = [failing(one.stages) is None for one in found.injections]
    if [one.passed for one in found.injections] != agree or (found.passed and not all(agree)):
        return None, [Fault(file, "passed", None, "is not what its stages say", "take the file as it was written")]
    return found, []


def parse_value(text: str, way: Conversion, span: tuple[float, float]) -> float:
    """A value to inject, in the parameter's unit; ValueError says what is wrong with it.

    way: from the unit it is given in. span: the instrument's range, which `50%` is of.
    >>> parse_value("50%", Conversion(1.0, 0.0), (0.0, 400.0)), parse_value("2", Conversion(10.0, 0.5), (0.0, 1.0))
    (200.0, 20.5)
    """
    number, kind = _number(text)
    if not kind:
        return number * way.factor + way.shift
    return span[0] + number / 100 * (span[1] - span[0])


def parse_range(text: str, way: Conversion) -> tuple[float, float]:
    """A measuring range, in the parameter's unit; ValueError says what is wrong with it.

    >>> parse_range("0..200", Conversion(1.0, 0.0))
    (0.0, 200.0)
    """
    low, _, high = text.partition("..")
    try:
        found = float(low) * way.factor + way.shift, float(high) * way.factor + way.shift
    except ValueError as error:
        raise ValueError(f"--range {text!r} is no range; as 0..200") from error
    if not (math.isfinite(found[0]) and math.isfinite(found[1]) and found[0] < found[1]):
        raise ValueError(f"--range {text!r} does not go from a lower to a higher value")
    return found


def require_range(profile: Profile) -> None:
    """Raise ValueError where a profile's range is a guess: a share of it would let anything pass."""
    if guessed := next((text for text in profile.unverified if "range" in text), ""):
        raise ValueError(
            f"profile {profile.name} says: {guessed}\n    hint: give the range of the type plate, as --range 0..200"
        )


def parse_tolerance(text: str, way: Conversion, span: tuple[float, float], least: Tolerance) -> Tolerance:
    """`0.5` in the unit given, `2%` of the value or `1%fs` of the range; "" = `least`, what the profile tells apart."""
    if not text:
        return least
    number, kind = _number(text)
    if number < 0:
        raise ValueError(f"tolerance {text!r} is less than nothing")
    if not kind:
        return Tolerance(number * abs(way.factor), text="as given")
    if kind == "%":
        return Tolerance(least.least, share=number / 100, text=f"{text} of the value, at least {least.least:g}")
    return Tolerance(0.0, range_share=number / 100, text=f"{number:g} % of the range, {span[0]:g} to {span[1]:g}")


def default_tolerance(registers: Sequence[Register]) -> Tolerance:
    """One step of the instrument, or a share of its range where the profile does not tell its steps.

    registers: all of the parameter; the first says what is checked.
    """
    first = registers[0]
    if first.checks.resolution:
        return Tolerance(first.checks.resolution, text=f"its resolution, {first.checks.resolution:g}")
    if TYPES[first.type].whole and not first.by:
        step = abs(first.factor)
        return Tolerance(step, text=f"one step of its register, {step:g}")
    low, high = span(registers)
    width = (high - low) * SHARE_OF_RANGE
    return Tolerance(width, text=f"{SHARE_OF_RANGE * 100:g} % of its range, {low:g} to {high:g}")


def span(registers: Sequence[Register]) -> tuple[float, float]:
    """What an instrument can measure of a parameter, in the parameter's unit: the sum of its registers' ranges."""
    return sum(one.low for one in registers), sum(one.high for one in registers)


def judge(
    injected: float, unit: str, tolerance: float, came: Mapping[Where, Seen | Missing], names: Mapping[str, str]
) -> tuple[Stage, ...]:
    """What is to be said of each stage that was looked at, in the order of the line.

    tolerance: in the unit. names: what hints speak of: site, sensor, profile, parameter.
    """
    read = came.get(Where.REGISTER)
    return tuple(
        _missing(stage, seen, names)
        if isinstance(seen, Missing)
        else _compared(stage, injected, unit, tolerance, seen, read, names)
        for stage, seen in sorted(came.items(), key=lambda item: list(Where).index(item[0]))
    )


def _missing(stage: Where, seen: Missing, names: Mapping[str, str]) -> Stage:
    verdict = Verdict.UNREACHED if seen.why else Verdict.LATE
    hint = "; ".join(part for part in (seen.why, seen.hint or _advice(stage, verdict, names)) if part)
    return Stage(stage=stage, verdict=verdict, source=seen.source, hint=hint)


def _compared(
    stage: Where, injected: float, unit: str, tolerance: float, seen: Seen, read: Seen | Missing | None,
    names: Mapping[str, str],
) -> Stage:  # fmt: skip
    difference = None if seen.value is None else seen.value - injected
    near = tolerance + _SAME * max(abs(injected), tolerance)  # 0.1 is no number of a computer's
    problems = []
    if seen.unit != unit:
        problems.append(f"it is in {seen.unit!r} there, not in {unit!r}")
    if difference is None:
        problems.append(f"it has no value there, its status is {seen.status}")
    if stage is not Where.REGISTER and isinstance(read, Seen) and _altered(read, seen):
        problems.append(f"the gateway read {read.value:.9g} at that instant")
    departs = bool(problems) or difference is None or abs(difference) > near
    return Stage(
        stage=stage, verdict=Verdict.DEPARTS if departs else Verdict.AGREES, source=seen.source, value=seen.value,
        unit=seen.unit, difference=difference, time=format_time(seen.time_ns) if seen.time_ns else "",
        after_s=round(seen.after_s, 3), status=seen.status,
        hint=_hint(stage, problems, names, follows=_follows(stage, seen, read)) if departs else "",
    )  # fmt: skip


def _hint(stage: Where, problems: Sequence[str], names: Mapping[str, str], *, follows: bool) -> str:
    """What to look at where a stage departs. follows: it has what the gateway read, so the fault lies before it."""
    advice = "" if follows else _advice(stage, Verdict.DEPARTS, names)
    return "; ".join(part for part in (*problems, advice) if part)


def _follows(stage: Where, seen: Seen, read: Seen | Missing | None) -> bool:
    same = isinstance(read, Seen) and (read.value, read.time_ns, read.unit) == (seen.value, seen.time_ns, seen.unit)
    return stage is not Where.REGISTER and same


def _altered(read: Seen, seen: Seen) -> bool:
    """Whether one measurement has two values."""
    if read.time_ns != seen.time_ns or read.value is None or seen.value is None:
        return False
    return not math.isclose(read.value, seen.value, rel_tol=_SAME, abs_tol=1e-12)


_START = "start it: `emitwatch run all {site}`; if it runs elsewhere: --url, --token-file"
_ADVICE = {
    (Where.REGISTER, Verdict.DEPARTS): "compare with the instrument's display: if that is right, look at type, word "
    "order, scale and unit (`emitwatch profiles show {profile}`); if not, at its range, its wiring and settling time",
    (Where.REGISTER, Verdict.LATE): "see what the gateway says of {sensor}: `emitwatch status {site}`; or wait longer: "
    "--wait",
    (Where.REGISTER, Verdict.UNREACHED): "start the gateway, or look at the link: `emitwatch status {site}`",
    (Where.STORED, Verdict.DEPARTS): "if the register agrees, look for another sensor of {parameter} at the point, or "
    "another site file at the collector",
    (Where.STORED, Verdict.LATE): "see whether batches are acknowledged: `emitwatch status {site}`, and `health` of "
    "the collector; or wait longer: --wait",
    (Where.STORED, Verdict.UNREACHED): _START,
    (Where.SHOWN, Verdict.DEPARTS): "if what is stored agrees, look for another sensor of {parameter} at the point",
    (Where.SHOWN, Verdict.LATE): "a page is told nothing older than 15 minutes or more than 5 minutes ahead: look at "
    "the clocks; or wait longer: --wait",
    (Where.SHOWN, Verdict.UNREACHED): _START,
}


def _advice(stage: Where, verdict: Verdict, names: Mapping[str, str]) -> str:
    return _ADVICE[stage, verdict].format_map(names)


def failing(stages: Sequence[Stage]) -> Stage | None:
    """The first stage that does not agree: what lies before it is well. None = all agree."""
    return next((stage for stage in stages if stage.verdict is not Verdict.AGREES), None)


def _number(text: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    try:
        number = float(found.group(1)) if found else math.nan
    except ValueError:
        number = math.nan
    if found is None or not math.isfinite(number):
        raise ValueError(f"{text!r} is no number; write 50, or 50% of the range")
    return number, (found.group(2) or "").lower()

"""A rule pack: one standard as data.

`pack_file` reads it from `rules/<standard>.toml` (format: docs/reference/rule-packs.md), `limits`
says what it means for a point and a value. Limits are rows: a row holds when its `when` agrees
with the point's settings, its dates with the day that is judged, and its `given` with other
channels of the point (ammonia by water temperature). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from collector.verdicts.allowances import Allowance
from collector.verdicts.counts import Count
from collector.verdicts.quality_rules import QualityRules
from collector.verdicts.rating_text import RatingText
from collector.verdicts.records import Standing
from collector.verdicts.states import STATES
from collector.verdicts.states_text import StatesText
from collector.verdicts.substitution import Substitution
from collector.verdicts.us_rules import UsRules
from collector.verdicts.validation_rules import Share, Validation
from collector.verdicts.weather import Weather
from gateway.settings import Label

PERIODS = ("", "day", "night")
STATISTICS = ("value", "maximum", "count")
CORRECTED = ("as measured", "converted", "validated", "background")
ROUNDINGS = ("none", "half_even", "half_up")
SETTING_KINDS = ("choice", "boolean", "number", "hours", "dates")

_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")
_SPAN = re.compile(r"(\d\d:\d\d)(?:-|to|,)(\d\d:\d\d)")
_PAIRING = re.compile(r"[\[\]\"'\s]")


def clock_s(text: str) -> int:
    """Seconds since midnight of a clock time HH:MM or HH:MM:SS; ValueError for anything else. [s]

    >>> clock_s("22:00")
    79200
    """
    found = _CLOCK.fullmatch(text.strip())
    hour, minute, second = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is not a clock time HH:MM")
    return hour * 3600 + minute * 60 + second


def span_h(begin: str, end: str) -> float:
    """Hours from one clock time to the next time of the other; equal ones are a whole day. [h]

    >>> span_h("22:00", "06:00")
    8.0
    """
    return ((clock_s(end) - clock_s(begin) - 1) % 86_400 + 1) / 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """A span of dates in which a pack holds. from_date: first day. to_date: first day no more, None = open."""

    from_date: date
    to_date: date | None
    cite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a pack asks of a point.

    kind: choice, boolean, number, hours (a pair of local clock times) or dates (of the local calendar).
    choices: of a choice. low, high: bounds of a number. length_h: how long a span of hours must be, None = any.
    default: what holds where the site file is silent. required: the site file may not be silent.
    """

    name: str
    kind: str
    title: Label
    cite: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    length_h: float | None = None
    default: Any = None
    required: bool = False

    def read(self, value: object) -> Any:  # noqa: ANN401 - a choice is whatever the pack lists
        """The setting's own form of a value; texts stand for what they name. ValueError says what is wrong."""
        read = {"choice": self._choice, "boolean": self._boolean, "number": self._number, "hours": self._hours,
                "dates": self._dates}  # fmt: skip
        return read[self.kind](value)

    def _choice(self, value: object) -> Any:  # noqa: ANN401
        for choice in self.choices:
            if not isinstance(value, bool) and (str(value) == str(choice) or _number(value) == choice):
                return choice
        raise ValueError(f"{value!r} is none of {', '.join(map(str, self.choices))}")

    def _boolean(self, value: object) -> bool:
        if isinstance(value, bool) or value in ("true", "false"):
            return value in (True, "true")
        raise ValueError(f"{value!r} is neither true nor false")

    def _number(self, value: object) -> float:
        number = _number(value)
        if number is None or isinstance(value, bool):
            raise ValueError(f"{value!r} is not a number")
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise ValueError(f"{value!r} is outside {self.low} to {self.high}")
        return number

    def _hours(self, value: object) -> tuple[str, str]:
        # A text comes from the command line, where the pair may be written as in a site file.
        found = _SPAN.fullmatch(_PAIRING.sub("", value)) if isinstance(value, str) else None
        pair = list(found.groups()) if found else value
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise ValueError(f'{value!r} is not a pair of clock times as ["22:00", "06:00"]')
        begin, end = pair
        length = span_h(begin, end)
        if self.length_h is not None and length != self.length_h:
            raise ValueError(f"{begin} to {end} is {length:g} hours; {self.cite} wants {self.length_h:g}")
        return begin, end

    def _dates(self, value: object) -> tuple[str, ...]:
        """Dates as texts, rising, each once: settings are told as plain JSON."""
        given = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(given, list | tuple):
            raise ValueError(f"{value!r} is not a list of dates as [2026-12-25]")
        return tuple(sorted({_date(day).isoformat() for day in given}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A condition on another channel's average over the same window: above < value <= upto."""

    parameter: str
    above: float | None
    upto: float | None

    def holds(self, value: float) -> bool:
        """Whether a value of that channel meets the condition."""
        return (self.above is None or value > self.above) and (self.upto is None or value <= self.upto)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One row of a clause's limits. high None and low None: the text sets no limit here.

    when: settings that must agree. given: conditions on other channels. from_date, to_date: as in Force.
    of: the number setting whose multiple `times` is the upper limit in place of `high` (a permit's own limit);
    "" = none, and where the point does not set it there is no limit here.
    """

    when: Mapping[str, Any]
    given: tuple[Bound, ...]
    from_date: date | None
    to_date: date | None
    high: float | None
    low: float | None
    of: str = ""
    times: float = 1.0

    def upper(self, settings: Mapping[str, Any]) -> float | None:
        """The upper limit at a point with these settings, None = none. [unit of the clause]"""
        if not self.of:
            return self.high
        permitted = settings.get(self.of)
        # Of 110 % of 0.1 the decimal number is meant, and not its neighbour in binary.
        return None if permitted is None else round(float(permitted) * self.times, 9)

    def on(self, day: date) -> bool:
        """Whether the row holds on a day."""
        return (self.from_date is None or self.from_date <= day) and (self.to_date is None or day < self.to_date)

    def agrees(self, settings: Mapping[str, Any]) -> bool:
        """Whether the row is for a point with these settings."""
        return all(settings.get(name) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What is added to both bounds of a clause where the settings agree. [unit of the clause]"""

    when: Mapping[str, Any]
    add: float
    cite: str

    def agrees(self, settings: Mapping[str, Any]) -> bool:
        """Whether the adjustment is for a point with these settings."""
        return all(settings.get(name) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseText:
    """A clause as the pack has it, for every setting and date; `limits.resolve` makes a Clause of it.

    corrected: "as measured", "converted" (standard state, dry, reference oxygen), "validated" (converted, and
    less the confidence interval of the pack's `[validation]`), or "background" (less the background by the pack's
    `[background]`, where the point gives one).
    period: "day" or "night" where only windows that start in it are judged, "" = all.
    count: what statistic "count" counts, None for the others. states: of the plant, that it judges; empty = as the
    pack's `[states]` say.
    """

    id: str
    cite: str
    title: Label
    parameter: str
    window: str
    period: str
    statistic: str
    unit: str
    standing: Standing
    verified: bool
    corrected: str
    rounding: str
    places: int
    rounding_cite: str
    rows: tuple[LimitRow, ...]
    adjustments: tuple[Adjustment, ...]
    note: str
    count: Count | None = None
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidityText:
    """How much of a window must be there. Exactly one of minimum, missing, share, setting and quadrants is given.

    part: what is counted: "value" (measurements) or the kind of the windows it is made of.
    minimum: number of valid parts. missing: number of parts that may be invalid. share: share of the parts expected, 0
    to 1, a fraction where the pack writes one. setting: the one that holds the share.
    operating: whether parts are expected of the operating time alone, as the pack's `[states]` have it.
    quadrants: whether the pack's `[us.hour]` says when an hour is valid.
    """

    window: str
    part: str
    minimum: int | None
    share: float | Fraction | None
    setting: str
    cite: str
    verified: bool
    missing: int | None = None
    operating: bool = False
    quadrants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When night begins and ends, local time, and which setting may say otherwise."""

    begin: str
    end: str
    setting: str
    cite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """How a background level is taken out of a measured one.

    least: below this difference nothing can be corrected. most: above it nothing needs to be. [dB]
    steps: (largest whole difference, correction) in rising order. [dB]
    round_setting: setting (boolean) that makes the difference whole before it is tested; "" = never.
    day, night: settings (numbers) that hold the background level of the period at the point; "" = none.
    """

    least: float
    most: float
    steps: tuple[tuple[int, int], ...]
    round_setting: str
    cite: str
    day: str = ""
    night: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A worked example: this value under this clause gives that verdict. exceeds None: no limit is set there."""

    clause: str
    on: date
    settings: Mapping[str, Any]
    given: Mapping[str, float]
    value: float
    compared: float
    limit: float | None
    exceeds: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePack:
    """One standard as data. file: where it was read from. source: the text it restates.

    substitution: how its gaps are filled for totals, None = it does not say. allowances: hours of plant states that
    its limits excuse. us: of 40 CFR 60 and 75. states: which plant states it judges, None = it does not say.
    """

    id: str
    file: str
    kind: str
    title: Label
    source: str
    note: str
    in_force: tuple[Force, ...]
    settings: Mapping[str, Setting]
    clauses: tuple[ClauseText, ...]
    validity: tuple[ValidityText, ...]
    night: Night | None
    background: Background | None
    us: UsRules | None
    examples: tuple[Example, ...] = field(repr=False)
    validation: Validation | None = None
    shares: tuple[Share, ...] = ()
    quality: QualityRules | None = None
    substitution: Substitution | None = None
    allowances: tuple[Allowance, ...] = ()
    rating: RatingText | None = None
    weather: Weather | None = None
    states: StatesText | None = None

    def holds_on(self, day: date) -> bool:
        """Whether the pack is in force on a day."""
        return any(f.from_date <= day and (f.to_date is None or day < f.to_date) for f in self.in_force)

    def holds_with(self, other: RulePack) -> bool:
        """Whether there is a day on which both packs are in force."""
        starts = (force.from_date for pack in (self, other) for force in pack.in_force)
        return any(self.holds_on(day) and other.holds_on(day) for day in starts)

    def judged(self, text: ClauseText) -> tuple[frozenset[str], frozenset[str]]:
        """The plant states that a clause of it judges, and those that make up operating time."""
        own = self.states
        return frozenset(text.states or (own.judged if own else STATES)), frozenset(own.operating if own else STATES)

    def clause(self, id: str) -> ClauseText:
        """The clause of an id; KeyError where there is none."""
        for clause in self.clauses:
            if clause.id == id:
                return clause
        raise KeyError(id)


def _date(value: object) -> date:
    """The date that a TOML date or a text is. ValueError says what is wrong."""
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a date as 2026-12-25") from error


def _number(value: object) -> float | None:
    """The finite number a value is or names, else None."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None

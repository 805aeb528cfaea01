"""A rule pack in words, table by table: what `emitwatch rules show` prints, and what the reference pages are made of.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from collector.verdicts.pack import Background, ClauseText, LimitRow, RulePack, ValidityText
from collector.verdicts.quality_rules import QualityRules
from collector.verdicts.rating_text import (
    Deduction,
    Indication,
    Period,
    RatingText,
    Residual,
    SensitiveHours,
    Supplement,
)
from collector.verdicts.states import STATES
from collector.verdicts.substitution import Substitution
from collector.verdicts.us_words import us_words
from collector.verdicts.validation_rules import IntervalText, Validation
from collector.verdicts.weather import Weather

Rows = list[tuple[str, ...]]
Words = tuple[str, tuple[str, ...], Rows]  # title, headings, rows
CLAUSES, EXAMPLES = "clauses", "examples"


def pack_words(pack: RulePack, language: str = "en") -> Iterator[Words]:
    """Title, headings and rows of each table of a pack that is not empty.

    language: en or zh, of the titles.
    """
    return ((title, head, rows) for title, head, rows in _tables(pack, language) if rows)


def _tables(pack: RulePack, language: str) -> Iterator[Words]:
    yield "settings of a point", ("setting", "values", "default", "meaning", "cite"), _settings(pack, language)
    yield CLAUSES, ("clause", "judges", "limit", "standing", "verified", "cite"), list(map(_clause, pack.clauses))
    rows: Rows = [(row.window, needs(row), yes(row.verified), row.cite) for row in pack.validity]
    yield "validity", ("window", "needs", "verified", "cite"), rows
    if told := pack.states:
        rows = [(states(told.judged), states(told.operating), yes(told.verified), told.cite)]
        yield "plant states", ("judged", "operating time", "verified", "cite"), rows
    yield from _validation(pack.validation) if pack.validation else ()
    rows = [
        (share.clause, f"{share.least:.0%} of a {share.over}", share.instead, str(share.standing), yes(share.verified),
         share.cite)
        for share in pack.shares
    ]  # fmt: skip
    yield "shares", ("clause", "holds for", "or all windows of", "standing", "verified", "cite"), rows
    if pack.quality:
        yield "quality assurance", ("part", "numbers", "verified", "cite"), _quality(pack.quality)
    if pack.background:
        yield "background", ("difference", "correction", "cite"), _background(pack.background)
    if pack.weather:
        yield "weather", ("left out", "setting", "verified", "cite"), _weather(pack.weather)
    rows = [
        (one.id, ", ".join(one.states), f"{one.hours:g} a {one.per}", yes(one.verified), one.cite)
        for one in pack.allowances
    ]
    yield "allowances", ("allowance", "states", "hours", "verified", "cite"), rows
    if pack.substitution:
        head = ("for", "captured", "gap", "hours looked back on", "verified", "cite")
        yield "substitution (for totals alone)", head, _substitution(pack.substitution)
    yield from us_words(pack.us) if pack.us else ()
    if pack.rating:
        yield "rating", ("rating", "says", "verified", "cite"), _rating(pack.rating)
    yield EXAMPLES, ("clause", "settings", "value", "limit", "verdict", "source"), _examples(pack)


def _settings(pack: RulePack, language: str) -> Rows:
    return [
        (
            setting.name,
            " ".join(map(str, setting.choices)) or setting.kind,
            "needed" if setting.required else str(setting.default),
            setting.title.of(language),
            setting.cite,
        )
        for setting in pack.settings.values()
    ]


def _clause(clause: ClauseText) -> tuple[str, ...]:
    limits = [limit(row, clause.unit) for row in clause.rows]
    limits += [f"{when(change.when)}: {change.add:+g} {clause.unit}" for change in clause.adjustments]
    cites = [clause.cite, *(f"rounding: {text}" for text in [clause.rounding_cite] if text)]
    cites += [f"{when(change.when)}: {change.cite}" for change in clause.adjustments]
    standing, verified = str(clause.standing), yes(clause.verified)
    return clause.id, _judges(clause), "\n".join(limits), standing, verified, "\n".join(cites)


def _validation(validation: Validation) -> Iterator[Words]:
    """What European texts allow beside a limit."""
    rows: Rows = [
        (row.parameter, _subtracted(row), when(row.when), yes(row.verified), row.cite) for row in validation.intervals
    ]
    head: tuple[str, ...] = ("parameter", "subtracted", "where", "verified", "cite")
    yield f"confidence intervals, subtracted from each {validation.window} mean", head, rows
    most = "" if validation.days_max is None else f"at most {validation.days_max}"
    rows = [(f"at most {validation.invalid_max}", most, yes(validation.verified), validation.cite)]
    yield "days", ("invalid means a day", "lost days a year", "verified", "cite"), rows


def _subtracted(row: IntervalText) -> str:
    other = "" if row.below is None else f" (below {row.below:g}: {row.instead})"
    measured = f", or {row.measured} where smaller" if row.measured else ""
    return f"{row.percent:g} % of the limit of {row.of}{other}{measured}"


def _quality(quality: QualityRules) -> Rows:
    parts: dict[str, Any] = {"range": quality.watch}
    parts |= {name: getattr(quality, name) for name in ("calibration", "surveillance", "cusum", "shewhart")}
    rows: Rows = []
    for name, part in parts.items():
        numbers = {key: value for key, value in asdict(part).items() if key not in ("cite", "verified")}
        numbers |= {"margin_percent": quality.margin_percent} if name == "range" else {}
        text = ", ".join(f"{key} = {value:g}" for key, value in numbers.items())
        rows.append((name, text, yes(part.verified), part.cite))
    return rows


def _weather(weather: Weather) -> Rows:
    bounds = (("wind from {:g} m/s", weather.wind_from), ("rain above {:g} mm/h", weather.rain_above))
    return [
        (text.format(bound), weather.setting, yes(weather.verified), weather.cite) for text, bound in bounds
        if bound is not None
    ]  # fmt: skip


def _background(background: Background) -> Rows:
    return [
        (f"below {background.least:g} dB", "none possible", background.cite),
        *((f"rounded, up to {upto} dB", f"{correction:+d} dB", "") for upto, correction in background.steps),
        (f"above {background.most:g} dB", "none needed", ""),
    ]


def _substitution(told: Substitution) -> Rows:
    return [
        (
            ", ".join(tier.parameters) or "others",
            _span(tier.capture_from, tier.capture_below, "%"),
            _span(tier.gap_above, tier.gap_upto, "h"),
            f"{tier.statistic} of {tier.hours or 'as many as the gap has'}",
            yes(told.verified),
            told.cite,
        )
        for tier in told.tiers
    ]


def _rating(text: RatingText) -> Rows:
    rows: Rows = []

    def add(
        name: str, says: str, row: Period | Supplement | SensitiveHours | Deduction | Residual | Indication
    ) -> None:
        rows.append((name, says, yes(row.verified), row.cite))

    for period in text.periods:
        more = [f"{period.add:+g} dB"] if period.add else []
        more += [f"by {period.reference}"] if period.reference else []
        add(f"period {period.name}", " ".join([f"{period.begin} to {period.end}", *more]), period)
    for supplement in text.supplements:
        steps = " ".join(f"{step:g}" for step in supplement.steps)
        more = [f"setting {supplement.setting}"] if supplement.setting else []
        more += [f"{supplement.measured} less LAeq"] if supplement.measured else []
        add(f"supplement {supplement.name}", "; ".join([steps or "measured", *more]), supplement)
    for row in text.sensitive:
        hours = ", ".join(f"{begin} to {end}" for begin, end in row.spans)
        where = f"{row.setting} {', '.join(map(str, row.choices))}"
        add("on rest days" if row.rest_day else "on other days", f"{where}: {row.add:+g} dB {hours}", row)
    if text.deduction:
        add("deduction", f"{-text.deduction.subtract:+g} dB where limits are watched", text.deduction)
    if text.residual:
        where = " and ".join(filter(None, (text.residual.day, text.residual.night)))
        says = f"at least {text.residual.least:g} dB below the total" + (f"; settings {where}" if where else "")
        add("residual sound", says, text.residual)
    for indication in text.indications:
        add(f"{indication.least:g} dB above background", indication.name, indication)
    return rows


def _examples(pack: RulePack) -> Rows:
    rows: Rows = []
    for example in pack.examples:
        given = ", ".join(f"{key} = {value}" for key, value in {**example.settings, **example.given}.items())
        highest = "none" if example.limit is None else f"{example.limit:g}"
        verdict = "exceeds" if example.exceeds else "complies"
        rows.append((example.clause, given, f"{example.value:g}", highest, verdict, example.source))
    return rows


def _judges(clause: ClauseText) -> str:
    parts = [clause.parameter, clause.window]
    parts += [clause.statistic] if clause.statistic == "maximum" else []
    parts += [clause.count.told()] if clause.count else []
    parts += [f"at {clause.period}"] if clause.period else []
    parts += [clause.corrected] if clause.corrected != "as measured" else []
    parts += [f"in states: {states(clause.states)}"] if clause.states else []
    parts += [f"{clause.rounding} to {clause.places}"] if clause.rounding != "none" else []
    return " ".join(parts)


def limit(row: LimitRow, unit: str) -> str:
    """One limit in words: `area_class 2: at most 50 dB(A)`."""
    where = ", ".join([*([when(row.when)] if row.when else []), *given(row), *dates(row)])
    limits = [f"at least {row.low:g}"] if row.low is not None else []
    limits += [f"at most {row.high:g}"] if row.high is not None else []
    limits += [f"at most {row.times:.0%} of {row.of}," if row.times != 1.0 else f"at most {row.of},"] if row.of else []
    text = f"{' and '.join(limits) or 'no limit'} {unit if limits else ''}".strip()
    return f"{where}: {text}" if where else text


def given(row: LimitRow) -> list[str]:
    """What a row asks of other channels: `water_temperature above 12`."""
    told = []
    for bound in row.given:
        told += [f"{bound.parameter} above {bound.above:g}"] if bound.above is not None else []
        told += [f"{bound.parameter} up to {bound.upto:g}"] if bound.upto is not None else []
    return told


def dates(row: LimitRow) -> list[str]:
    """The days a row holds: `from 2017-06-09`."""
    told = [f"from {row.from_date}"] if row.from_date else []
    return told + ([f"until {row.to_date}"] if row.to_date else [])


def when(settings: Mapping[str, Any]) -> str:
    """Settings in words: `area_class 2, indoor true`."""
    return ", ".join(f"{name} {str(v).lower() if isinstance(v, bool) else v}" for name, v in settings.items())


def needs(row: ValidityText) -> str:
    """How much of a window must be there, in words: `45 valid 1m means`."""
    part = "values" if row.part == "value" else f"valid {row.part} means"
    part += " of the operating time" if row.operating else ""
    if row.quadrants:
        return "a value in each quadrant in which the unit ran; with a test, two far enough apart"
    if row.minimum is not None:
        return f"{row.minimum} {part}"
    if row.missing is not None:
        return f"all {part} but {row.missing}"
    if row.share is None:
        return f"share of {part} by setting {row.setting}"
    return f"{row.share if isinstance(row.share, Fraction) else f'{row.share:.0%}'} of {part}"


def states(named: Sequence[str]) -> str:
    """Plant states in words, by those left out where these are fewer."""
    left = [state for state in STATES if state not in named]
    if not left:
        return "all"
    return f"all but {', '.join(left)}" if len(left) < len(named) else ", ".join(named)


def yes(verified: bool) -> str:
    """`yes` or `no`."""
    return "yes" if verified else "no"


def _span(low: float | None, high: float | None, unit: str) -> str:
    """Two bounds in words, as the bounds of a tier are meant."""
    first = ("from " if unit == "%" else "above ") + f"{low:g}" if low is not None else ""
    last = ("below " if unit == "%" else "up to ") + f"{high:g}" if high is not None else ""
    return " ".join(filter(None, (first, last, unit))) if first or last else "any"

"""What contradicts within a rule pack, though each field of it is good.

A contradiction is what no reading of the pack can mean: two rows that hold at once, a limit that nothing can break or
keep, a part that is longer than its window, spans of force that overlap, a night at a stack. What may be unusual
and yet be law is left alone. Whether limits nest is in `pack_nest`, the examples are tried in `examples`. Pure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collector.verdicts import pack as p
from collector.verdicts.limits import KIND_SETTINGS
from collector.verdicts.pack_nest import check_nesting
from collector.verdicts.validation_rules import check_validation_rules
from collector.verdicts.windows import DAILY, FIXED_NS, HOUR_NS, ROLLING_DAYS
from gateway.document import Table
from gateway.parameters import Parameter

ROW_HINT = 'limit = [{ when = { area_class = 2 }, high = 50 }, ...]; high = "none" where the text sets none'
CASES_MAX = 100_000  # of choices and conditions that the rows of one clause name; a law's table has some 100
FAULTS_MAX = 10  # told of one clause; whoever mends these sees the next
CONCENTRATIONS = ("mg/m3", "ug/m3", "ng/m3")  # what is converted

# The longest that windows of a kind can be: a day has 25 hours when the clock goes back.
_LONGEST_NS = {
    **FIXED_NS, **dict.fromkeys(DAILY, 25 * HOUR_NS), "month": (31 * 24 + 1) * HOUR_NS,
    "30d": (ROLLING_DAYS * 24 + 1) * HOUR_NS, "year": 366 * 24 * HOUR_NS,
}  # fmt: skip
_DAY_PARTS = ("24h", "day")
_LONG = ("month", "30d", "year")


def check_whole(root: Table, pack: p.RulePack, parameters: Mapping[str, Parameter] | None = None) -> None:
    """What no single field shows, noted with its path: holes and contradictions in the rows, spans, parts, examples.

    parameters: those that exist, by code; None = they are not looked at.
    """
    for place in _uncited(root.values, ""):
        root.fault(place, "says nothing", "the text and its clause, or who says so")
    _check_force(root, pack)
    _check_settings(root, pack)
    _check_night(root, pack)
    _check_validity(root, pack)
    shown = {example.clause for example in pack.examples}
    for number, clause in enumerate(pack.clauses):
        if clause.id not in shown:
            root.fault(f"clause[{number}].id", f"{clause.id!r} has no example", "add [[example]] with this clause")
        for key, message, hint in _scope(clause, pack, parameters):
            root.fault(f"clause[{number}].{key}", message, hint)
        _check_rows(root, number, clause, parameters)
        for fault in itertools.islice(dict.fromkeys(_holes(clause, pack)), FAULTS_MAX):
            root.fault(f"clause[{number}].limit", fault, ROW_HINT)
    about = {clause.id: (clause.parameter, clause.corrected, clause.standing) for clause in pack.clauses}
    check_validation_rules(root, about, pack.validation, pack.shares)
    check_nesting(root, pack, parameters or {})
    _check_examples(root, pack)


def _uncited(values: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - whatever TOML can hold
    """Where a citation or a source is there and says nothing."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            place = f"{path}.{key}".lstrip(".")
            if key in ("cite", "source") and isinstance(value, str) and not value.strip():
                yield place
            yield from _uncited(value, place)
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _uncited(value, f"{path}[{number}]")


def _check_force(root: Table, pack: p.RulePack) -> None:
    for number, force in enumerate(pack.in_force):
        place = f"in_force[{number}]"
        if force.to_date is not None and force.to_date <= force.from_date:
            hint = "to is the first day on which it holds no more: a later day than from"
            root.fault(f"{place}.to", f"{force.to_date} is not after from = {force.from_date}", hint)
        for other_number, other in enumerate(pack.in_force[:number]):
            if max(force.from_date, other.from_date) < min(_end(force), _end(other)):
                hint = "end the earlier span: to = the first day of the later one"
                root.fault(f"{place}.from", f"this span overlaps with in_force[{other_number}]", hint)


def _end(force: p.Force) -> Any:  # noqa: ANN401 - a date, or one beyond all dates
    return force.to_date or type(force.from_date).max


def _check_settings(root: Table, pack: p.RulePack) -> None:
    for name, setting in pack.settings.items():
        place = f"setting.{name}"
        if setting.low is not None and setting.high is not None and setting.low > setting.high:
            message = f"low = {setting.low:g} is above high = {setting.high:g}"
            root.fault(f"{place}.low", message, "no number lies between them: swap them, or correct one")
        texts = [str(choice) for choice in setting.choices]
        if len(set(texts)) != len(texts):
            root.fault(f"{place}.choices", "a choice is named twice", "each choice once")


def _check_night(root: Table, pack: p.RulePack) -> None:
    """Hours that no setting can move, or that its default contradicts; steps of a background that none can reach."""
    if pack.night is not None:
        night = pack.night
        setting = pack.settings.get(night.setting)
        if night.begin == night.end:
            root.fault("night.hours", f"{night.begin} to {night.end} is a whole day", 'hours = ["22:00", "06:00"]')
        if setting is not None and setting.kind != "hours":
            hint = f'kind = "hours" in [setting.{setting.name}]'
            root.fault("night.setting", f"{setting.name!r} is of kind {setting.kind}, not hours", hint)
        elif setting is not None and setting.default is not None:
            default = tuple(setting.default)
            if default != (night.begin, night.end):
                message = f"the default of {setting.name!r} is another night: {' to '.join(map(str, default))}"
                root.fault("night.hours", message, "the hours of [night] and that default are the same hours")
    if pack.background is not None:
        background = pack.background
        if background.least > background.most:
            message = f"least = {background.least:g} is above most = {background.most:g}"
            root.fault("background.least", message, "below least nothing is corrected, above most nothing need be")
        rounds = pack.settings.get(background.round_setting)
        if rounds is not None and rounds.kind != "boolean":
            hint = f'kind = "boolean" in [setting.{rounds.name}]'
            root.fault("background.round_setting", f"{rounds.name!r} is of kind {rounds.kind}, not boolean", hint)


def _check_validity(root: Table, pack: p.RulePack) -> None:
    for number, row in enumerate(pack.validity):
        place = f"validity[{number}]"
        if not _fits(row.part, row.window):
            hint = "a part is value, or a shorter kind that fills the window: 1m of 1h, 1h of 24h, 24h of month"
            root.fault(f"{place}.part", f"a {row.window} is not made of {row.part}", hint)
        elif row.minimum is not None and row.minimum > (most := _most(row.part, row.window)):
            root.fault(f"{place}.minimum", f"a {row.window} has at most {most:g} of {row.part}", f"at most {most:g}")
        elif row.missing is not None and row.missing >= (most := _most(row.part, row.window)):
            root.fault(f"{place}.missing", f"a {row.window} has {most:g} of {row.part}", f"less than {most:g}")
        hour = pack.us.hour if pack.us else None
        if row.quadrants and (hour is None or (row.window, row.part) != ("1h", f"{hour.quadrant_minutes}m")):
            hint = 'window = "1h", part = "15m", and [us.hour] with quadrant_minutes = 15'
            root.fault(f"{place}.quadrants", "no quadrants of an hour that [us.hour] speaks of", hint)
        setting = pack.settings.get(row.setting)
        if setting is not None and not _is_share(setting):
            hint = f'kind = "number", low = 0.0, high = 1.0 in [setting.{setting.name}]'
            root.fault(f"{place}.setting", f"{setting.name!r} could be other than a share from 0 to 1", hint)


def _fits(part: str, window: str) -> bool:
    """Whether windows of a kind are made of such parts. Unknown kinds are told where they are read."""
    if part in ("", "value") or not window:
        return True
    if part in FIXED_NS:
        return window not in FIXED_NS or (part != window and FIXED_NS[window] % FIXED_NS[part] == 0)
    return part in _DAY_PARTS and window in _LONG


def _most(part: str, window: str) -> float:
    """The most parts that a window can have, infinite for single values."""
    known = part in _LONGEST_NS and window in _LONGEST_NS
    return -(-_LONGEST_NS[window] // (24 * HOUR_NS if part in _DAY_PARTS else _LONGEST_NS[part])) if known else math.inf


def _is_share(setting: p.Setting) -> bool:
    """Whether a setting can hold nothing but a share."""
    low, high = setting.low, setting.high
    return setting.kind == "number" and low is not None and high is not None and 0.0 <= low <= high <= 1.0


def _check_examples(root: Table, pack: p.RulePack) -> None:
    """Examples of no clause, and what is given in them that nobody asks for."""
    clauses = {clause.id: clause for clause in pack.clauses}
    known = [*pack.settings, *(setting.name for setting in KIND_SETTINGS.get(pack.kind, ()))]
    for number, example in enumerate(pack.examples):
        place = f"example[{number}]"
        if example.clause not in clauses:
            root.fault(f"{place}.clause", f"{example.clause!r} is not known", f"clauses: {', '.join(clauses)}")
            continue
        for name in (name for name in example.settings if name not in known):
            root.fault(f"{place}.settings.{name}", "no setting of this pack", f"settings: {', '.join(known)}")
        asked = {bound.parameter for row in clauses[example.clause].rows for bound in row.given}
        for name in (name for name in example.given if name not in asked):
            hint = f"its conditions: {', '.join(sorted(asked)) or 'none'}"
            root.fault(f"{place}.given.{name}", f"no condition of {example.clause!r}", hint)


Told = Iterator[tuple[str, str, str]]  # key, message, hint


def _scope(clause: p.ClauseText, pack: p.RulePack, parameters: Mapping[str, Parameter] | None) -> Told:
    """What no window of a clause, and no value of it, can ever be."""
    if pack.kind in ("stack", "water") and (clause.period or clause.window in ("night", "calendar_night")):
        key = "period" if clause.period else "window"
        yield key, f"there is no {clause.period or 'night'} at a {pack.kind} point", "day and night are for noise"
    elif clause.period and clause.window not in ("", *FIXED_NS, clause.period):
        hint = "a period is for windows shorter than a day; day and night are windows of their own"
        yield "period", f"a {clause.window} does not lie within a {clause.period}", hint
    if clause.corrected != "as measured":
        known = (parameters or {}).get(clause.parameter)
        unit = known.unit if known else clause.unit
        if clause.corrected == "background" and pack.kind == "noise":
            if pack.background is None:
                yield "corrected", "the pack has no [background]", 'its table, or corrected = "as measured"'
        elif pack.kind in ("noise", "water"):
            yield "corrected", f"nothing is {clause.corrected} at a {pack.kind} point", 'corrected = "as measured"'
        elif unit and unit not in CONCENTRATIONS:
            yield "corrected", f"{clause.parameter} in {unit} is no concentration", 'corrected = "as measured"'
        if clause.statistic == "maximum" or (clause.statistic == "count" and clause.corrected == "validated"):
            message = f"a {clause.statistic} is made of values that are not {clause.corrected}"
            yield "corrected", message, 'corrected = "as measured", or statistic = "value"'


def _check_rows(root: Table, number: int, clause: p.ClauseText, parameters: Mapping[str, Parameter] | None) -> None:
    """What contradicts itself within one row of limits."""
    most = _most(clause.count.window, clause.window) if clause.count else math.inf
    for row_number, row in enumerate(clause.rows):
        place = f"clause[{number}].limit[{row_number}]"
        if row.low is not None and row.high is not None and row.low > row.high:
            hint = "no value keeps both: low is the lower limit, high the upper one"
            root.fault(f"{place}.low", f"low = {row.low:g} is above high = {row.high:g}", hint)
        if row.high is not None and row.high >= most:
            hint = "a limit that can be passed"
            root.fault(f"{place}.high", f"there are no more than {most:g} to count: {row.high:g} is no limit", hint)
        if row.from_date and row.to_date and row.to_date <= row.from_date:
            message = f"{row.to_date} is not after from = {row.from_date}"
            root.fault(f"{place}.to", message, "to is the first day on which the row holds no more")
        for bound in row.given:
            if parameters is not None and bound.parameter not in parameters:
                hint = "codes of gateway/parameters.toml"
                root.fault(f"{place}.given.{bound.parameter}", f"{bound.parameter!r} is not known", hint)
            if bound.above is not None and bound.upto is not None and bound.above >= bound.upto:
                message = f"above = {bound.above:g} is not below upto = {bound.upto:g}"
                hint = "no value meets both: swap them, or correct one"
                root.fault(f"{place}.given.{bound.parameter}", message, hint)


def _holes(clause: p.ClauseText, pack: p.RulePack) -> Iterator[str]:
    """Choices and values of other channels for which a clause has no row, or two at once."""
    names = sorted({name for row in clause.rows for name in row.when})
    choices = [
        (False, True) if pack.settings[name].kind == "boolean" else pack.settings[name].choices for name in names
    ]
    others = sorted({bound.parameter for row in clause.rows for bound in row.given})
    cells = [_cells(clause, name) for name in others]
    days = {day for row in clause.rows for day in (row.from_date, row.to_date) if day}
    days |= {force.from_date for force in pack.in_force}
    if len(days) * math.prod(map(len, choices)) * math.prod(map(len, cells)) > CASES_MAX:
        yield f"its rows tell more than {CASES_MAX} cases apart"
        return
    for day, values in itertools.product(sorted(filter(pack.holds_on, days)), itertools.product(*choices)):
        settings = dict(zip(names, values, strict=True))
        rows = [row for row in clause.rows if row.on(day) and row.agrees(settings)]
        place = [f"{name} = {value}" for name, value in settings.items()]
        for cell in itertools.product(*cells):
            found = [row for row in rows if _met(row, dict(zip(others, (value for value, _ in cell), strict=True)))]
            if len(found) != 1:
                shown = ", ".join([*place, *(text for _, text in cell)]) or f"the day {day}"
                yield f"two rows hold at once for {shown}" if found else f"no row for {shown}"


def _met(row: p.LimitRow, conditions: Mapping[str, float]) -> bool:
    return all(bound.holds(conditions[bound.parameter]) for bound in row.given)


def _cells(clause: p.ClauseText, parameter: str) -> Sequence[tuple[float, str]]:
    """The stretches of another channel's values that the rows tell apart: a value in each, and what it is called."""
    bounds = {edge for row in clause.rows for b in row.given if b.parameter == parameter for edge in (b.above, b.upto)}
    edges = sorted(edge for edge in bounds if edge is not None)
    cells = [(edge, f"{parameter} up to {edge:g}") for edge in edges]
    return [*cells, *((math.nextafter(edge, math.inf), f"{parameter} above {edge:g}") for edge in edges[-1:])]

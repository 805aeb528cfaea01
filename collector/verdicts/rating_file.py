"""The `[rating]` of a rule pack as people write it: supplements, hours, deductions and what a difference indicates.

Every row has its citation and says whether it is verified. A rating without a worked example is a
fault, as a clause without one is. Part of `pack_file`; the format is told in
docs/reference/rule-packs.md. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.verdicts import rating_text as r
from collector.verdicts.pack import Setting
from collector.verdicts.windows import KINDS
from gateway.document import Table
from gateway.settings import Label

CITE_HINT = 'the text and its clause, as cite = "TA Lärm 6.5"'
HOURS_HINT = 'hours = ["22:00", "06:00"]'
SPANS_HINT = 'hours = [["06:00", "07:00"], ["20:00", "22:00"]]'
_HOURS = Setting(name="hours", kind="hours", title=Label("Hours", "时段"), cite="")


def read_rating(root: Table, settings: Mapping[str, Setting]) -> r.RatingText | None:
    """The rating of a pack, None where it has none; its faults go to the table's.

    settings: of the pack.
    """
    if "rating" not in root:
        return None
    with root.table("rating") as table:
        found = r.RatingText(
            periods=_periods(table, [name for name, setting in settings.items() if setting.kind == "hours"]),
            supplements=_supplements(table, settings),
            sensitive=_sensitive(table, settings),
            deduction=_deduction(table),
            residual=_residual(table, [name for name, setting in settings.items() if setting.kind == "number"]),
            indications=_indications(table),
            examples=_examples(table),
            composite=table.text("composite", ""),
            rated=table.text("rated", ""),
            specific=table.text("specific", ""),
            rest_days=table.choice("rest_days", [name for name, s in settings.items() if s.kind == "dates"], ""),
        )
        if found.specific and found.residual is None:
            table.fault("specific", "no [rating.residual] to tell it by", "add it with least, day and night")
        if not found.examples:
            table.fault("example", "missing", "add [[rating.example]] with calculation, given, expect and source")
        for key, rows in (("period", found.periods), ("supplement", found.supplements)):
            names = [row.name for row in rows]
            if len(set(names)) != len(names):
                table.fault(key, "a name is used twice", "every row has its own name")
    return found


def _cite(table: Table) -> dict[str, Any]:
    """What every row has: its citation, and whether it is verified."""
    return {
        "cite": table.text("cite", hint=CITE_HINT) or "",
        "verified": bool(table.boolean("verified", hint="true when the primary text was read")),
    }


def _hours(table: Table, key: str, value: object) -> tuple[str, str]:
    try:
        begin, end = _HOURS.read(value)
    except ValueError as error:
        table.fault(key, str(error), HOURS_HINT)
        return "00:00", "00:00"
    return begin, end


def _periods(root: Table, settings: Sequence[str]) -> tuple[r.Period, ...]:
    found = []
    for table in root.tables("period"):
        with table:
            begin, end = _hours(table, "hours", table.raw("hours", hint=HOURS_HINT))
            found.append(
                r.Period(
                    name=table.identifier("name") or "",
                    begin=begin,
                    end=end,
                    add=table.number("add", 0.0) or 0.0,
                    reference=table.choice("reference", KINDS, ""),
                    setting=table.choice("setting", settings, ""),
                    **_cite(table),
                )
            )
    return tuple(found)


def _supplements(root: Table, settings: Mapping[str, Setting]) -> tuple[r.Supplement, ...]:
    found = []
    numbers = [name for name, setting in settings.items() if setting.kind in ("choice", "number")]
    for table in root.tables("supplement"):
        with table:
            steps = table.raw("steps", [])
            if not isinstance(steps, list) or not all(_number(step) for step in steps) or steps != sorted(set(steps)):
                table.fault("steps", f"{steps!r} are no rising numbers", "steps = [0, 3, 6]; absent: what is measured")
                steps = []
            elif steps and steps[0] < 0:
                table.fault("steps", "a supplement takes nothing off", "steps from 0 on")
            name = table.identifier("name") or ""
            found.append(
                r.Supplement(
                    name=name, steps=tuple(map(float, steps)), setting=table.choice("setting", numbers, ""),
                    measured=table.text("measured", ""), **_cite(table),
                )
            )  # fmt: skip
    return tuple(found)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sensitive(root: Table, settings: Mapping[str, Setting]) -> tuple[r.SensitiveHours, ...]:
    found = []
    for table in root.tables("sensitive"):
        with table:
            spans = table.raw("hours", hint=SPANS_HINT)
            if not isinstance(spans, list):
                table.fault("hours", f"{spans!r} are no pairs of clock times", SPANS_HINT)
                spans = []
            setting, choices = _points(table, settings)
            found.append(
                r.SensitiveHours(
                    rest_day=bool(table.boolean("rest_day", hint="true: Sundays and public holidays")),
                    spans=tuple(_hours(table, f"hours[{number}]", span) for number, span in enumerate(spans)),
                    add=table.number("add") or 0.0,
                    setting=setting,
                    choices=choices,
                    **_cite(table),
                )
            )
    return tuple(found)


def _points(table: Table, settings: Mapping[str, Setting]) -> tuple[str, tuple[Any, ...]]:
    """The setting that says for which points sensitive hours hold, and its choices that have them."""
    name = table.choice("setting", [name for name, s in settings.items() if s.kind == "choice"]) or ""
    choices = table.raw("choices", hint='choices = ["WA", "WR"]')
    if not isinstance(choices, list) or not choices:
        table.fault("choices", f"{choices!r} is no list of choices", 'choices = ["WA", "WR"]')
        choices = []
    read = []
    for choice in choices if name else ():
        try:
            read.append(settings[name].read(choice))
        except ValueError as error:
            table.fault("choices", str(error), f"choices of [setting.{name}]")
    return name, tuple(read)


def _deduction(root: Table) -> r.Deduction | None:
    if "deduction" not in root:
        return None
    with root.table("deduction") as table:
        return r.Deduction(subtract=table.number("subtract", low=0.0) or 0.0, **_cite(table))


def _residual(root: Table, settings: Sequence[str]) -> r.Residual | None:
    if "residual" not in root:
        return None
    with root.table("residual") as table:
        return r.Residual(
            least=table.number("least", low=0.0) or 0.0, day=table.choice("day", settings, ""),
            night=table.choice("night", settings, ""), **_cite(table),
        )  # fmt: skip


def _indications(root: Table) -> tuple[r.Indication, ...]:
    found = []
    for table in root.tables("indication"):
        with table:
            name = table.text("name", hint="what the difference indicates") or ""
            found.append(r.Indication(least=table.number("least") or 0.0, name=name, **_cite(table)))
    return tuple(sorted(found, key=lambda row: -row.least))


def _examples(root: Table) -> tuple[r.RatingExample, ...]:
    found = []
    for table in root.tables("example"):
        with table:
            found.append(
                r.RatingExample(
                    calculation=table.text("calculation", hint="a calculation of ratings, as loudest_hour") or "",
                    given=table.mapping("given"),
                    expect=table.mapping("expect", hint="what comes out, as expect = { rating_db = 46.0 }"),
                    within=table.number("within", 0.0, low=0.0) or 0.0,
                    source=table.text("source", hint="who worked it, or from which line it follows") or "",
                )
            )
    return tuple(found)

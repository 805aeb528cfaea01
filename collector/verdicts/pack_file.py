"""Rule packs as people write them: TOML in, a pack and every fault of it out.

- a clause without a citation or without an example is a fault, and so is an unknown key;
- the rows of a clause leave no hole: for every choice of the settings they name and every value of the
  other channels there is just one row (`high = "none"` says that the text sets no limit there);
- what contradicts itself is refused (`pack_check`), and limits nest (`pack_nest`);
- a clause's unit is its parameter's: limits are compared as they stand, and nothing is converted.

The format is told in docs/reference/rule-packs.md. Pure; files are read by `collector.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from collector.verdicts import pack as p
from collector.verdicts import windows
from collector.verdicts.allowances import parse_allowances
from collector.verdicts.counts import parse_count
from collector.verdicts.pack_check import ROW_HINT, check_whole
from collector.verdicts.quality_rules import parse_quality
from collector.verdicts.rating_file import read_rating
from collector.verdicts.records import Standing
from collector.verdicts.states_text import named_states, parse_states
from collector.verdicts.substitution import parse_substitution
from collector.verdicts.us_rules_file import parse_us
from collector.verdicts.validation_rules import parse_shares, parse_validation
from collector.verdicts.validity import ratio
from collector.verdicts.weather import parse_weather
from gateway.document import REQUIRED, Fault, Table, parse_document
from gateway.parameters import Parameter
from gateway.settings import KINDS, label
from gateway.units import UNITS

CITE_HINT = 'the text and its clause, as cite = "GB 12348-2008 4.1.1, table 1"'


def parse_rules(
    text: str, file: str, parameters: Mapping[str, Parameter] | None = None
) -> tuple[p.RulePack | None, list[Fault]]:
    """The rule pack in a TOML text, or None and all its faults.

    parameters: those that exist, by code; None = neither codes nor whose unit it is are checked.
    """
    document, faults = parse_document(text, file)
    if faults:
        return None, faults
    with Table.root(document, faults) as root:
        settings = _settings(root)
        night = _night(root, settings)
        pack = p.RulePack(
            id=root.identifier("id") or "",
            file=file,
            kind=root.choice("kind", KINDS) or "",
            title=label(root, "title", ""),
            source=root.text("source", hint="where the text can be read") or "",
            note=root.text("note", ""),
            in_force=_in_force(root),
            settings=settings,
            clauses=_clauses(root, settings, parameters),
            validity=_validity(root, settings),
            night=night,
            background=_background(root, settings),
            us=parse_us(root),
            examples=_examples(root),
            validation=parse_validation(root, _of_kind(settings, "number"), lambda row: _when(row, settings)),
            shares=parse_shares(root),
            quality=parse_quality(root),
            substitution=parse_substitution(root),
            allowances=parse_allowances(root),
            rating=read_rating(root, settings),
            weather=parse_weather(root, _of_kind(settings, "boolean")),
            states=parse_states(root),
        )
        check_whole(root, pack, parameters)
    return (None, faults) if faults else (pack, [])


def _dates(table: Table) -> tuple[date | None, date | None]:
    """from and to of a table, each a TOML date or absent."""
    found: list[date | None] = []
    for key in ("from", "to"):
        value = table.raw(key, None)
        if value is not None and type(value) is not date:
            table.fault(key, f"{value!r} is not a date", f"{key} = 2008-10-01, without quotes")
            value = None
        found.append(value)
    return found[0], found[1]


def _in_force(root: Table) -> tuple[p.Force, ...]:
    spans = []
    for table in root.tables("in_force"):
        with table:
            begin, end = _dates(table)
            if begin is None:
                table.fault("from", "missing", "from = 2008-10-01, the first day it holds")
            cite = table.text("cite", hint=CITE_HINT) or ""
            spans.append(p.Force(from_date=begin or date.min, to_date=end, cite=cite))
    if not spans:
        root.fault("in_force", "missing", "add [[in_force]] with from and cite")
    return tuple(spans)


def _settings(root: Table) -> dict[str, p.Setting]:
    found = {}
    with root.table("setting") as group:
        for name in group.values:
            with group.table(name) as table:
                setting = _setting(name, table)
                _default(setting, table)
                found[name] = setting
    return found


def _of_kind(settings: Mapping[str, p.Setting], kind: str) -> list[str]:
    return [name for name, setting in settings.items() if setting.kind == kind]


def _setting(name: str, table: Table) -> p.Setting:
    choices = table.raw("choices", [])
    if not isinstance(choices, list):
        table.fault("choices", f"{choices!r} is not a list", "choices = [0, 1, 2]")
        choices = []
    kind = table.choice("kind", p.SETTING_KINDS, "choice" if choices else REQUIRED)
    if kind == "choice" and not choices:
        table.fault("choices", "missing", "a choice needs choices = [...]")
    return p.Setting(
        name=name,
        kind=kind or "choice",
        title=label(table, "title", name),
        cite=table.text("cite", hint=CITE_HINT) or "",
        choices=tuple(choices),
        low=table.number("low", None),
        high=table.number("high", None),
        length_h=table.number("length_h", None, low=0.0, high=24.0),
        default=None if table.raw("default", None) == "none" and kind == "number" else table.values.get("default"),
        required="default" not in table,
    )


def _default(setting: p.Setting, table: Table) -> None:
    if setting.default is not None:  # "none": where the point does not say it, nothing is set
        try:
            setting.read(setting.default)
        except ValueError as error:
            table.fault("default", str(error), "a default is a value that a site file could give")


def _night(root: Table, settings: Mapping[str, p.Setting]) -> p.Night | None:
    if "night" not in root:
        return None
    with root.table("night") as table:
        hours = p.Setting(name="night", kind="hours", title=label(table, "title", "night"), cite="")
        try:
            begin, end = hours.read(table.raw("hours", hint='hours = ["22:00", "06:00"]'))
        except ValueError as error:
            table.fault("hours", str(error), 'hours = ["22:00", "06:00"]')
            begin, end = "22:00", "06:00"
        setting = table.choice("setting", settings, "")
        return p.Night(begin=begin, end=end, setting=setting, cite=table.text("cite", hint=CITE_HINT) or "")


def _background(root: Table, settings: Mapping[str, p.Setting]) -> p.Background | None:
    if "background" not in root:
        return None
    with root.table("background") as table:
        steps = []
        for row in table.tables("step"):
            with row:
                steps.append((row.integer("upto") or 0, row.integer("correction") or 0))
        if not steps or steps != sorted(steps) or len(dict(steps)) != len(steps):
            table.fault("step", "the steps do not rise", "step = [{ upto = 3, correction = -3 }, ...] by rising upto")
        most = table.number("most") or 0.0
        if steps and steps[-1][0] < most:
            table.fault("step", f"the last step ends below most = {most:g}", "the steps reach up to most")
        return p.Background(
            least=table.number("least") or 0.0,
            most=most,
            steps=tuple(steps),
            round_setting=table.choice("round_setting", settings, ""),
            day=table.choice("day", _of_kind(settings, "number"), ""),
            night=table.choice("night", _of_kind(settings, "number"), ""),
            cite=table.text("cite", hint=CITE_HINT) or "",
        )


def _validity(root: Table, settings: Mapping[str, p.Setting]) -> tuple[p.ValidityText, ...]:
    found = []
    for table in root.tables("validity"):
        with table:
            given = [key for key in ("minimum", "missing", "share", "setting", "quadrants") if key in table]
            if len(given) != 1:
                hint = "minimum = 45, or share = 0.75"
                table.fault("", "one of minimum, missing, share, setting and quadrants is needed", hint)
            operating = table.choice("of", ("operating",), "") == "operating"
            if operating and "states" not in root:
                table.fault("of", "no [states] in this pack", "say there what its operating time is")
            found.append(
                p.ValidityText(
                    window=table.choice("window", windows.KINDS) or "",
                    part=table.choice("part", ("value", *windows.KINDS)) or "",
                    minimum=table.integer("minimum", None, low=1),
                    share=_share(table),
                    setting=table.choice("setting", settings, ""),
                    cite=table.text("cite", hint=CITE_HINT) or "",
                    verified=bool(table.boolean("verified")),
                    missing=table.integer("missing", None, low=0),
                    operating=operating,
                    quadrants=table.boolean("quadrants", False) or False,
                )
            )
    named = [row.window for row in found]
    if len(set(named)) != len(named):
        root.fault("validity", "a window is named twice", "one [[validity]] for each kind of window")
    return tuple(found)


def _share(table: Table) -> float | Fraction | None:
    """A share as a number, or exactly as a ratio of whole numbers."""
    text = table.values.get("share")
    if not isinstance(text, str):
        number: float | None = table.number("share", None, low=0.0, high=1.0, hint='share = 0.75, or share = "2/3"')
        return number
    table.skip("share")
    if (share := ratio(text)) is None:
        table.fault("share", f"{text!r} is no share", 'share = 0.75, or share = "2/3"')
    return share


def _clauses(
    root: Table, settings: Mapping[str, p.Setting], parameters: Mapping[str, Parameter] | None
) -> tuple[p.ClauseText, ...]:
    found: list[p.ClauseText] = []
    for table in root.tables("clause"):
        with table:
            clause = _clause(table, settings)
            if parameters is not None and clause.parameter not in parameters:
                table.fault("parameter", f"{clause.parameter!r} is not known", "codes of gateway/parameters.toml")
            _unit(table, clause, (parameters or {}).get(clause.parameter))
            if any(clause.id == other.id for other in found):
                table.fault("id", f"{clause.id!r} is used twice", "every clause of a pack has its own id")
            found.append(clause)
    return tuple(found)


def _unit(table: Table, clause: p.ClauseText, parameter: Parameter | None) -> None:
    """Note a unit that is not the parameter's, or none at all."""
    if not isinstance(table.values.get("unit"), str):
        return  # told already
    if clause.count is not None:
        if clause.unit:
            table.fault("unit", f"{clause.unit!r} is not the unit of a count", 'unit = "", windows are counted')
    elif parameter is not None and clause.unit != parameter.unit:
        hint = f'unit = "{parameter.unit}", and the limits as numbers of it (gateway/parameters.toml)'
        table.fault("unit", f"{clause.unit!r} is not the unit of {parameter.code}", hint)
    elif clause.unit not in UNITS:
        table.fault("unit", f"{clause.unit!r} is not a unit", "that of the parameter in gateway/parameters.toml")


def _clause(table: Table, settings: Mapping[str, p.Setting]) -> p.ClauseText:
    with table.table("rounding") as rounding:
        mode = rounding.choice("mode", p.ROUNDINGS, "none")
        places = rounding.integer("places", 0, low=-15, high=15)
        rounding_cite = rounding.text("cite", "" if mode == "none" else REQUIRED, hint=CITE_HINT) or ""
    id = table.identifier("id") or ""
    return p.ClauseText(
        id=id,
        cite=table.text("cite", hint=CITE_HINT) or "",
        title=label(table, "title", id),
        parameter=table.text("parameter", hint="a code of gateway/parameters.toml") or "",
        window=table.choice("window", windows.KINDS) or "",
        period=table.choice("period", p.PERIODS, ""),
        statistic=table.choice("statistic", p.STATISTICS, "value"),
        unit=table.text("unit", hint='"" for pH') or "",
        standing=Standing(table.choice("standing", list(Standing)) or Standing.EARLY_WARNING),
        verified=bool(table.boolean("verified", hint="true when the primary text was read")),
        corrected=table.choice("corrected", p.CORRECTED, "as measured"),
        rounding=mode,
        places=places or 0,
        rounding_cite=rounding_cite,
        rows=_rows(table, settings),
        adjustments=_adjustments(table, settings),
        note=table.text("note", ""),
        count=parse_count(table),
        states=named_states(table),
    )


def _rows(table: Table, settings: Mapping[str, p.Setting]) -> tuple[p.LimitRow, ...]:
    rows, numbers = [], _of_kind(settings, "number")
    if "limit" not in table:
        table.fault("limit", "missing", ROW_HINT)
    for row in table.tables("limit"):
        with row:
            begin, end = _dates(row)
            if not {"high", "low", "of"} & set(row.values):
                row.fault("", "no limit in this row", ROW_HINT)
            if {"high", "of"} <= set(row.values):
                row.fault("of", "two upper limits in this row", "high = 50, or of = the setting that holds the limit")
            rows.append(
                p.LimitRow(
                    when=_when(row, settings), given=_given(row), from_date=begin, to_date=end,
                    high=_bound(row, "high"), low=_bound(row, "low"), of=row.choice("of", numbers, ""),
                    times=row.number("times", 1.0, low=0.0) or 0.0,
                )
            )  # fmt: skip
    return tuple(rows)


def _bound(row: Table, key: str) -> float | None:
    if row.values.get(key) == "none":
        row.skip(key)
        return None
    number: float | None = row.number(key, None, hint='a number, or "none" where the text sets no limit')
    return number


def _when(row: Table, settings: Mapping[str, p.Setting]) -> dict[str, Any]:
    found = {}
    for name, value in row.mapping("when", {}).items():
        setting = settings.get(name)
        if setting is None or setting.kind not in ("choice", "boolean"):
            row.fault("when", f"{name!r} is no choice of this pack", f"add [setting.{name}] with choices")
            continue
        try:
            found[name] = setting.read(value)
        except ValueError as error:
            row.fault("when", f"{name}: {error}")
    return found


def _given(row: Table) -> tuple[p.Bound, ...]:
    found = []
    with row.table("given") as group:
        for name in group.values:
            with group.table(name) as table:
                above, upto = table.number("above", None), table.number("upto", None)
                if above is None and upto is None:
                    table.fault("", "neither above nor upto", f"given = {{ {name} = {{ above = 12.0 }} }}")
                found.append(p.Bound(parameter=name, above=above, upto=upto))
    return tuple(found)


def _adjustments(table: Table, settings: Mapping[str, p.Setting]) -> tuple[p.Adjustment, ...]:
    found = []
    for row in table.tables("adjust"):
        with row:
            cite = row.text("cite", hint=CITE_HINT) or ""
            found.append(p.Adjustment(when=_when(row, settings), add=row.number("add") or 0.0, cite=cite))
    return tuple(found)


def _examples(root: Table) -> tuple[p.Example, ...]:
    found = []
    for table in root.tables("example"):
        with table:
            day = table.raw("on", date(2026, 7, 1))
            if type(day) is not date:
                table.fault("on", f"{day!r} is not a date", "on = 2026-07-01, without quotes")
                day = date(2026, 7, 1)
            value = table.number("value", hint="the average, corrected where the clause says so, not rounded")
            found.append(
                p.Example(
                    clause=table.text("clause", hint="the id of a clause of this pack") or "",
                    on=day,
                    settings=table.mapping("settings", {}),
                    given=_conditions(table.table("given")),
                    value=value or 0.0,
                    compared=table.number("compared", value) or 0.0,
                    limit=_bound(table, "limit"),
                    exceeds=bool(table.boolean("exceeds")),
                    source=table.text("source", hint="who worked the example, or from which line it follows") or "",
                )
            )
    return tuple(found)


def _conditions(table: Table) -> dict[str, float]:
    return {name: number for name in table.values if (number := table.number(name)) is not None}

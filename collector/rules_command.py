"""`emitwatch rules list|show NAME|check FILE`: the rule packs, with their citations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from collector.catalogue import check_pack, rule_packs
from collector.verdicts.pack import ClauseText, LimitRow, RulePack, ValidityText
from collector.verdicts.rating_text import (
    Deduction,
    Indication,
    Period,
    RatingText,
    Residual,
    SensitiveHours,
    Supplement,
)
from collector.verdicts.us_words import us_words
from gateway import terminal
from gateway.document import FaultyFiles
from gateway.terminal import AsJson, Language

app = typer.Typer(help="Rule packs: limits as data, with their citations.", no_args_is_help=True)
Folders = Annotated[list[Path] | None, typer.Option("--rules", help="A folder of further rule packs.")]


@app.command("list")
def list_packs(folders: Folders = None, as_json: AsJson = False, language: Language = "en") -> None:
    """Every rule pack: id, kind of point, clauses, since when, title."""
    packs = _packs(folders)
    if as_json:
        typer.echo(json.dumps([_summary(pack) for pack in packs.values()], ensure_ascii=False, indent=1))
        return
    table = terminal.table("id", "kind", "clauses", "unverified", "in force since", "title")
    for pack in packs.values():
        since = min(force.from_date for force in pack.in_force).isoformat()
        open_clauses = sum(not clause.verified for clause in pack.clauses)
        table.add_row(
            pack.id, pack.kind, str(len(pack.clauses)), str(open_clauses), since, pack.title.of(language)
        )  # fmt: skip
    terminal.console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Id of a rule pack, or a file.")],
    folders: Folders = None,
    as_json: AsJson = False,
    language: Language = "en",
) -> None:
    """One rule pack: its settings, clauses with limits and citations, validity and examples."""
    pack = _pack(name, folders)
    if as_json:
        typer.echo(json.dumps(asdict(pack), ensure_ascii=False, indent=1, default=str))
        return
    console = terminal.console()
    console.print(Text(f"{pack.id}  {pack.title.of(language)}", "bold"))
    console.print(Text(f"source: {pack.source}"))
    for force in pack.in_force:
        until = f" until {force.to_date}" if force.to_date else ""
        console.print(Text(f"in force from {force.from_date}{until}: {force.cite}"))
    if pack.note:
        console.print(Text("\n" + " ".join(pack.note.split())))
    for title, table in _tables(pack, language):
        if table.row_count:
            console.print(Text(f"\n{title}", "bold"))
            console.print(table)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule packs.")],
    as_json: AsJson = False,
) -> None:
    """Every fault of rule packs, their examples run too; exit 1 where there is one."""
    found = {str(file): check_pack(str(file)) for file in files}
    faults = [fault for _, wrong in found.values() for fault in wrong]
    if as_json:
        typer.echo(json.dumps([asdict(fault) for fault in faults], ensure_ascii=False, indent=1))
    else:
        for fault in faults:
            typer.echo(str(fault))
        for file, (pack, _) in found.items():
            if pack:
                typer.echo(f"{file}: {pack.id} is good: {len(pack.clauses)} clauses, {_examples(pack)} examples")
    if faults:
        raise typer.Exit(1)


def _examples(pack: RulePack) -> int:
    return len(pack.examples) + (len(pack.rating.examples) if pack.rating else 0)


def _packs(folders: list[Path] | None) -> Mapping[str, RulePack]:
    try:
        return rule_packs([str(folder) for folder in folders or ()])
    except FaultyFiles as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _pack(name: str, folders: list[Path] | None) -> RulePack:
    if name.endswith(".toml"):
        pack, faults = check_pack(name)
        if pack is None:
            typer.echo("\n".join(map(str, faults)), err=True)
            raise typer.Exit(1)
        return pack
    packs = _packs(folders)
    if name not in packs:
        typer.echo(f"no rule pack {name!r}; there are: {', '.join(packs)}", err=True)
        raise typer.Exit(1)
    return packs[name]


def _tables(pack: RulePack, language: str) -> Iterator[tuple[str, Table]]:
    settings = terminal.table("setting", "values", "default", "meaning", "cite")
    for setting in pack.settings.values():
        values = " ".join(map(str, setting.choices)) or setting.kind
        default = "needed" if setting.required else str(setting.default)
        settings.add_row(setting.name, values, default, setting.title.of(language), setting.cite)
    yield "settings of a point", settings
    clauses = terminal.table("clause", "judges", "limit", "standing", "verified", "cite")
    for clause in pack.clauses:
        limits = [_row(row, clause.unit) for row in clause.rows]
        limits += [f"{_when(change.when)}: {change.add:+g} {clause.unit}" for change in clause.adjustments]
        cites = [clause.cite, *(f"rounding: {text}" for text in [clause.rounding_cite] if text)]
        cites += [f"{_when(change.when)}: {change.cite}" for change in clause.adjustments]
        standing, verified = str(clause.standing), "yes" if clause.verified else "no"
        clauses.add_row(clause.id, _judges(clause), "\n".join(limits), standing, verified, "\n".join(cites))
    yield "clauses", clauses
    validity = terminal.table("window", "needs", "verified", "cite")
    for row in pack.validity:
        validity.add_row(row.window, _needs(row), "yes" if row.verified else "no", row.cite)
    yield "validity", validity
    yield from _validation(pack)
    if pack.background:
        background = terminal.table("difference", "correction", "cite")
        background.add_row(f"below {pack.background.least:g} dB", "none possible", pack.background.cite)
        for upto, correction in pack.background.steps:
            background.add_row(f"rounded, up to {upto} dB", f"{correction:+d} dB", "")
        background.add_row(f"above {pack.background.most:g} dB", "none needed", "")
        yield "background", background
    allowances = terminal.table("allowance", "states", "hours", "verified", "cite")
    for one in pack.allowances:
        verified = "yes" if one.verified else "no"
        allowances.add_row(one.id, ", ".join(one.states), f"{one.hours:g} a {one.per}", verified, one.cite)
    yield "allowances", allowances
    if pack.substitution:
        told = pack.substitution
        gaps = terminal.table("for", "captured", "gap", "hours looked back on", "verified", "cite")
        for tier in told.tiers:
            captured, gap = _span(tier.capture_from, tier.capture_below, "%"), _span(tier.gap_above, tier.gap_upto, "h")
            hours = f"{tier.statistic} of {tier.hours or 'as many as the gap has'}"
            verified = "yes" if told.verified else "no"
            gaps.add_row(", ".join(tier.parameters) or "others", captured, gap, hours, verified, told.cite)
        yield "substitution (for totals alone)", gaps
    for title, head, rows in us_words(pack.us) if pack.us else ():
        table = terminal.table(*head)
        for cells in rows:
            table.add_row(*cells)
        yield title, table
    if pack.rating:
        yield "rating", _rating(pack.rating)
    examples = terminal.table("clause", "settings", "value", "limit", "verdict", "source")
    for example in pack.examples:
        given = ", ".join(f"{key} = {value}" for key, value in {**example.settings, **example.given}.items())
        limit = "none" if example.limit is None else f"{example.limit:g}"
        verdict = "exceeds" if example.exceeds else "complies"
        examples.add_row(example.clause, given, f"{example.value:g}", limit, verdict, example.source)
    yield "examples", examples


def _validation(pack: RulePack) -> Iterator[tuple[str, Table]]:
    """What European texts allow beside a limit."""
    if pack.validation:
        intervals = terminal.table("parameter", "subtracted", "where", "verified", "cite")
        for row in pack.validation.intervals:
            other = "" if row.below is None else f" (below {row.below:g}: {row.instead})"
            measured = f", or {row.measured} where smaller" if row.measured else ""
            verified, text = (
                "yes" if row.verified else "no",
                f"{row.percent:g} % of the limit of {row.of}{other}{measured}",
            )
            intervals.add_row(row.parameter, text, _when(row.when), verified, row.cite)
        yield f"confidence intervals, subtracted from each {pack.validation.window} mean", intervals
        days = terminal.table("invalid means a day", "lost days a year", "verified", "cite")
        most = "" if pack.validation.days_max is None else f"at most {pack.validation.days_max}"
        days.add_row(
            f"at most {pack.validation.invalid_max}", most, "yes" if pack.validation.verified else "no",
            pack.validation.cite,
        )  # fmt: skip
        yield "days", days
    shares = terminal.table("clause", "holds for", "or all windows of", "standing", "verified", "cite")
    for share in pack.shares:
        verified, least = "yes" if share.verified else "no", f"{share.least:.0%} of a {share.over}"
        shares.add_row(share.clause, least, share.instead, str(share.standing), verified, share.cite)
    yield "shares", shares
    if pack.quality:
        quality = terminal.table("part", "numbers", "verified", "cite")
        parts = {"range": pack.quality.watch} | {
            name: getattr(pack.quality, name) for name in ("calibration", "surveillance", "cusum", "shewhart")
        }
        for name, part in parts.items():
            numbers = {key: value for key, value in asdict(part).items() if key not in ("cite", "verified")}
            numbers |= {"margin_percent": pack.quality.margin_percent} if name == "range" else {}
            text = ", ".join(f"{key} = {value:g}" for key, value in numbers.items())
            quality.add_row(name, text, "yes" if part.verified else "no", part.cite)
        yield "quality assurance", quality


def _rating(text: RatingText) -> Table:
    table = terminal.table("rating", "says", "verified", "cite")

    def add(
        name: str, says: str, row: Period | Supplement | SensitiveHours | Deduction | Residual | Indication
    ) -> None:
        table.add_row(name, says, "yes" if row.verified else "no", row.cite)

    for period in text.periods:
        more = [f"{period.add:+g} dB"] if period.add else []
        more += [f"by {period.reference}"] if period.reference else []
        add(f"period {period.name}", " ".join([f"{period.begin} to {period.end}", *more]), period)
    for supplement in text.supplements:
        add(
            f"supplement {supplement.name}",
            " ".join(f"{step:g}" for step in supplement.steps) or "measured",
            supplement,
        )
    for row in text.sensitive:
        hours = ", ".join(f"{begin} to {end}" for begin, end in row.spans)
        where = f"{row.setting} {', '.join(map(str, row.choices))}"
        add("on rest days" if row.rest_day else "on other days", f"{where}: {row.add:+g} dB {hours}", row)
    if text.deduction:
        add("deduction", f"{-text.deduction.subtract:+g} dB where limits are watched", text.deduction)
    if text.residual:
        add("residual sound", f"at least {text.residual.least:g} dB below the total", text.residual)
    for indication in text.indications:
        add(f"{indication.least:g} dB above background", indication.name, indication)
    return table


def _judges(clause: ClauseText) -> str:
    parts = [clause.parameter, clause.window]
    parts += [clause.statistic] if clause.statistic == "maximum" else []
    parts += [clause.count.told()] if clause.count else []
    parts += [f"at {clause.period}"] if clause.period else []
    parts += [clause.corrected] if clause.corrected != "as measured" else []
    parts += [f"{clause.rounding} to {clause.places}"] if clause.rounding != "none" else []
    return " ".join(parts)


def _row(row: LimitRow, unit: str) -> str:
    """One limit in words: `area_class 2: at most 50 dB(A)`."""
    when = [_when(row.when)] if row.when else []
    for bound in row.given:
        when += [f"{bound.parameter} above {bound.above:g}"] if bound.above is not None else []
        when += [f"{bound.parameter} up to {bound.upto:g}"] if bound.upto is not None else []
    when += [f"from {row.from_date}"] if row.from_date else []
    when += [f"until {row.to_date}"] if row.to_date else []
    limits = [f"at least {row.low:g}"] if row.low is not None else []
    limits += [f"at most {row.high:g}"] if row.high is not None else []
    limits += [f"at most {row.times:.0%} of {row.of}," if row.times != 1.0 else f"at most {row.of},"] if row.of else []
    text = f"{' and '.join(limits) or 'no limit'} {unit if limits else ''}".strip()
    return f"{', '.join(when)}: {text}" if when else text


def _when(settings: Mapping[str, Any]) -> str:
    """Settings in words: `area_class 2, indoor true`."""
    return ", ".join(f"{name} {str(v).lower() if isinstance(v, bool) else v}" for name, v in settings.items())


def _needs(row: ValidityText) -> str:
    part = "values" if row.part == "value" else f"valid {row.part} means"
    if row.minimum is not None:
        return f"{row.minimum} {part}"
    if row.share is None:
        return f"share of {part} by setting {row.setting}"
    return f"{row.share if isinstance(row.share, Fraction) else f'{row.share:.0%}'} of {part}"


def _span(low: float | None, high: float | None, unit: str) -> str:
    """Two bounds in words, as the bounds of a tier are meant."""
    first = ("from " if unit == "%" else "above ") + f"{low:g}" if low is not None else ""
    last = ("below " if unit == "%" else "up to ") + f"{high:g}" if high is not None else ""
    return " ".join(filter(None, (first, last, unit))) if first or last else "any"


def _summary(pack: RulePack) -> dict[str, Any]:
    return {
        "id": pack.id, "kind": pack.kind, "title": asdict(pack.title), "source": pack.source, "file": pack.file,
        "in_force": [
            {"from": str(force.from_date), "to": force.to_date and str(force.to_date), "cite": force.cite}
            for force in pack.in_force
        ],
        "clauses": [clause.id for clause in pack.clauses],
        "unverified": [clause.id for clause in pack.clauses if not clause.verified],
    }  # fmt: skip

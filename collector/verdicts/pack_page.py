"""A rule pack as a page in Markdown that a regulator can read beside the text of the law; and the index of them.

Everything on it is taken from the pack: what is not verified says so at its clause, and the examples are those that
are tried at every start. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from collector.verdicts import pack_words as words
from collector.verdicts.pack import ClauseText, RulePack
from collector.verdicts.records import Standing
from gateway.parameters import Parameter, Parameters
from gateway.settings import Label

MEANS = {
    "energy": "energy-equivalent level", "median": "median", "flow_weighted": "flow-weighted mean",
    "maximum": "highest value", "sum": "sum",
}  # fmt: skip
WINDOWS = {
    "1m": "each minute", "5m": "each 5 minutes", "10m": "each 10 minutes", "15m": "each quarter of an hour",
    "30m": "each half-hour", "1h": "each hour", "24h": "each day, 00 to 24 h", "day": "each day",
    "night": "each night, named by the date it starts on", "calendar_night": "the hours of night of each date",
    "month": "each calendar month", "30d": "30 days, ending at every midnight", "year": "each calendar year",
}  # fmt: skip
CORRECTED = {
    "as measured": "as measured",
    "converted": "converted to standard state (273 K, 101325 Pa), dry gas and the reference oxygen of the point",
    "background": "less the background level (below)",
    "validated": "converted to standard state, dry gas and reference oxygen, less the confidence interval (below)",
}
ROUNDED = {"half_even": "a half to the even digit", "half_up": "a half away from zero"}
STANDINGS = {
    Standing.FINDING: "the text itself makes a breach of what is measured so",
    Standing.EVIDENCE: "what is measured so is evidence; whether it is a breach, others decide",
    Standing.EARLY_WARNING: "no breach by itself, or no text was found that makes it one",
}
UNVERIFIED = "**no**: not checked against the text in force"


def index(packs: Iterable[RulePack]) -> str:
    """The page that names all packs, with links to `<id>.md` beside it."""
    known = list(packs)
    rows = [
        (
            f"[{pack.id}]({pack.id}.md)", pack.title.en, _chinese(pack.title), pack.kind,
            str(min(force.from_date for force in pack.in_force)), str(len(pack.clauses)),
            str(sum(not clause.verified for clause in pack.clauses)),
        )
        for pack in known
    ]  # fmt: skip
    head = ("pack", "title", "中文", "points", "in force since", "clauses", "unverified")
    standings = [(str(standing), text) for standing, text in STANDINGS.items()]
    told = (
        "One standard a page, as the product judges by it; what a key means is told in "
        "[rule-packs.md](../rule-packs.md). A limit is broken strictly above it (or strictly below a lower one): equal "
        "complies. A clause that is not verified is never sent to a regulator unless switched on by name.\n"
    )
    worth = ["What a verdict is worth:\n", _table(("standing", "meaning"), standings)]
    return "\n".join(["# Rule packs of the product\n", told, _table(head, rows), *worth])


def page(pack: RulePack, parameters: Parameters) -> str:
    """One pack: title, source, force, clauses with their limits and examples, and all its tables."""
    parts = [f"# {pack.title.en}\n"]
    if _chinese(pack.title):
        parts.append(f"{pack.title.zh}\n")
    unverified = sum(not clause.verified for clause in pack.clauses)
    facts = [("pack", f"`{pack.id}`"), ("for", f"{pack.kind} points"), ("source", pack.source)]
    facts += [
        (f"in force from {force.from_date}" + (f" until {force.to_date}" if force.to_date else ""), force.cite)
        for force in pack.in_force
    ]
    if pack.night:
        moved = f", moved by the setting {pack.night.setting}" if pack.night.setting else ""
        facts.append(("night", f"{pack.night.begin} to {pack.night.end}{moved} ({pack.night.cite})"))
    facts.append(("clauses", f"{len(pack.clauses)}, of which {unverified} unverified" if pack.clauses else "none"))
    parts.append(_table(("", ""), facts))
    if pack.note:
        parts.append(f"{_text(pack.note)}\n")
    for title, head, rows in words.pack_words(pack):
        if title == words.CLAUSES:
            parts += ["## Clauses\n", *(_section(clause, pack, parameters) for clause in pack.clauses)]
        elif title != words.EXAMPLES:  # they stand with their clauses
            parts += [f"## {title[0].upper()}{title[1:]}\n", _table(head, rows)]
    if pack.rating and pack.rating.examples:
        examples = [
            (e.calculation, _pairs(e.given), _pairs(e.expect), f"{e.within:g}", e.source) for e in pack.rating.examples
        ]
        parts += [
            "## Examples of the rating\n",
            _table(("calculation", "given", "gives", "within", "source"), examples),
        ]
    return "\n".join(parts)


def _section(clause: ClauseText, pack: RulePack, parameters: Parameters) -> str:
    """A clause with its limits and examples."""
    title = f"{clause.title.en}" + (f" ({clause.title.zh})" if _chinese(clause.title) else "")
    parts = [f"### {clause.id}\n", f"{_text(title)}\n", _table(("", ""), list(_facts(clause, pack, parameters)))]
    rows = [
        (
            words.when(row.when) or "all points", ", ".join(words.given(row)), ", ".join(words.dates(row)),
            "" if row.low is None else f"{row.low:g}", _highest(row.of, row.times, row.high),
        )
        for row in clause.rows
    ]  # fmt: skip
    unit = f" [{clause.unit}]" if clause.unit else ""
    parts.append(_table(("where", "while", "days", f"at least{unit}", f"at most{unit}"), rows, full=False))
    if clause.adjustments:
        changes = [(words.when(a.when), f"{a.add:+g} {clause.unit}", a.cite) for a in clause.adjustments]
        parts.append(_table(("added where", "to the limits", "text"), changes))
    examples = [
        (
            words.when(e.settings), words.when(e.given), str(e.on), f"{e.value:g}", f"{e.compared:g}",
            "none" if e.limit is None else f"{e.limit:g}", "exceeds" if e.exceeds else "complies", e.source,
        )
        for e in pack.examples
        if e.clause == clause.id
    ]  # fmt: skip
    head = ("example: settings", "while", "on", "value", "compared", "limit", "verdict", "source")
    return "\n".join([*parts, _table(head, examples, full=False)])


def _facts(clause: ClauseText, pack: RulePack, parameters: Parameters) -> Iterator[tuple[str, str]]:
    known = parameters.get(clause.parameter)
    name = f"`{clause.parameter}`" + (f", {known.name.en} ({known.name.zh})" if known else "")
    yield "parameter", name
    yield "unit", clause.unit or ("a number" if clause.count else "none (a bare number)")
    yield "judged", _judged(clause, known)
    yield "window", f"`{clause.window}`" + (f", where it starts in the {clause.period}" if clause.period else "")
    if clause.states:
        yield "plant states", words.states(clause.states)
    if clause.rounding == "none":
        yield "rounding", "none: compared as it is"
    else:
        places = f"to {clause.places} decimals" if clause.places else "to a whole number"
        yield "rounding", f"{places}, {ROUNDED[clause.rounding]} ({clause.rounding_cite})"
    needed = [row for row in pack.validity if row.window == clause.window]
    for row in needed if clause.statistic == "value" else ():
        yield "needs", f"{words.needs(row)} ({row.cite}{'' if row.verified else '; unverified'})"
    yield "standing", f"{clause.standing}: {STANDINGS[clause.standing]}"
    yield "verified", "yes" if clause.verified else UNVERIFIED
    yield "text", clause.cite
    if clause.note:
        yield "note", clause.note


def _judged(clause: ClauseText, known: Parameter | None) -> str:
    """What is held against the limit, in a sentence."""
    if clause.count:
        unit = known.unit if known else ""
        return f"the {clause.count.told()} {unit}".rstrip() + f", in {WINDOWS[clause.window]}"
    method = (
        "highest single value" if clause.statistic == "maximum" else MEANS.get(known.average if known else "", "mean")
    )
    return f"the {method} of {WINDOWS[clause.window]}, {CORRECTED[clause.corrected]}"


def _highest(of: str, times: float, high: float | None) -> str:
    if of:
        return f"the setting {of}" if times == 1.0 else f"{times:.0%} of the setting {of}"
    return "" if high is None else f"{high:g}"


def _chinese(label: Label) -> str:
    return "" if label.zh == label.en else label.zh


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, full: bool = True) -> str:
    """A table; where it is not to be full, columns in which no row has anything are left out."""
    lines = [tuple(map(_text, row)) for row in rows]
    shown = [number for number in range(len(head)) if full or any(row[number] for row in lines)]
    cells = [tuple(row[number] for number in shown) for row in (head, tuple("---" for _ in head), *lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def _text(text: str) -> str:
    """A text in one line in which nothing is markup of a table or of HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

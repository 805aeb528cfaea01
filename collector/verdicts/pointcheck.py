"""Whether a site's points and the rule packs fit together, and whether a pack does what its examples say. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from datetime import date

from collector.verdicts.limits import breaking, read_settings, resolve, rounded
from collector.verdicts.pack import Example, RulePack
from gateway.document import Fault, Table
from gateway.settings import Point, Site


def site_faults(site: Site, packs: Mapping[str, RulePack], on: date) -> list[Fault]:
    """What is wrong with the points' rules and settings: unknown packs, wrong kind, missing or unknown settings."""
    faults: list[Fault] = []
    for number, point in enumerate(site.points):
        table = Table(site.document, f"point[{number}]", {}, faults)
        named = _named(point, packs, table)
        for pack in named:
            if not pack.holds_on(on):
                table.fault("rules", f"{pack.id!r} is not in force on {on}", "see `emitwatch rules show`")
        if len(named) == len(point.rules):
            path = table.place("settings")
            faults += read_settings(point.kind, named, point.settings, document=site.document, path=path)[1]
    return faults


def _named(point: Point, packs: Mapping[str, RulePack], table: Table) -> list[RulePack]:
    """The packs a point names, as far as they exist and are for its kind."""
    found = []
    for id in point.rules:
        if id not in packs:
            near = difflib.get_close_matches(id, packs, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known packs: {', '.join(sorted(packs))}"
            table.fault("rules", f"no rule pack {id!r}", hint)
        elif packs[id].kind != point.kind:
            table.fault("rules", f"{id!r} is for {packs[id].kind}, not {point.kind}", "see `emitwatch rules list`")
        else:
            found.append(packs[id])
    return found


def example_faults(pack: RulePack) -> list[Fault]:
    """The examples of a pack that its own clauses contradict."""
    return [
        Fault(pack.file, f"example[{number}]", None, f"{example.clause}: {message}", "one of the two is wrong")
        for number, example in enumerate(pack.examples)
        for message in _contradictions(pack, example)
    ]


def _contradictions(pack: RulePack, example: Example) -> Iterator[str]:
    clauses, faults = resolve(pack, example.settings, example.on)
    if faults:
        yield from (f"{fault.path}: {fault.message}" for fault in faults)
        return
    if not pack.holds_on(example.on):
        yield f"the pack is not in force on {example.on}"
        return
    clause = next((clause for clause in clauses if clause.id == example.clause), None)
    if clause is None:
        if example.limit is not None or example.exceeds:
            yield "no limit holds for these settings"
        return
    compared = float(rounded(clause, example.value))
    if compared != example.compared:
        yield f"{example.value:g} is compared as {compared:g}, not {example.compared:g}"
    if bool(breaking(clause, example.value, example.given)) != example.exceeds:
        yield f"{example.value:g} {'complies' if example.exceeds else 'exceeds'}"
    if example.limit is None or example.limit not in clause.bounds(example.given):
        yield f"the limits are {clause.bounds(example.given)}, not {example.limit}"

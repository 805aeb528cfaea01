"""What contradicts within a rule pack, though each field of it is good.

A clause or an example without the other; choices of the settings for which a clause has no row of limits, or two at
once; `[validation]` and `[[share]]` that name what is not there. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from collector.verdicts import pack as p
from collector.verdicts.validation_rules import check_validation_rules
from gateway.document import Table

ROW_HINT = 'limit = [{ when = { area_class = 2 }, high = 50 }, ...]; high = "none" where the text sets none'


def check_whole(root: Table, pack: p.RulePack) -> None:
    """What no single field shows: clauses without an example, examples without a clause, holes in the rows."""
    shown = {example.clause for example in pack.examples}
    ids = [clause.id for clause in pack.clauses]
    for number, clause in enumerate(pack.clauses):
        if clause.id not in shown:
            root.fault(f"clause[{number}].id", f"{clause.id!r} has no example", "add [[example]] with this clause")
        for fault in dict.fromkeys(_holes(clause, pack)):
            root.fault(f"clause[{number}].limit", fault, ROW_HINT)
    about = {clause.id: (clause.parameter, clause.corrected, clause.standing) for clause in pack.clauses}
    check_validation_rules(root, about, pack.validation, pack.shares)
    for number, example in enumerate(pack.examples):
        if example.clause not in ids:
            root.fault(f"example[{number}].clause", f"{example.clause!r} is not known", f"clauses: {', '.join(ids)}")


def _holes(clause: p.ClauseText, pack: p.RulePack) -> Sequence[str]:
    """Choices for which a clause has no row, or two at once."""
    names = sorted({name for row in clause.rows for name in row.when})
    choices = [
        (False, True) if pack.settings[name].kind == "boolean" else pack.settings[name].choices for name in names
    ]
    days = {day for row in clause.rows for day in (row.from_date, row.to_date) if day}
    days |= {force.from_date for force in pack.in_force}
    found = []
    for day, values in itertools.product(sorted(filter(pack.holds_on, days)), itertools.product(*choices)):
        settings = dict(zip(names, values, strict=True))
        rows = [row for row in clause.rows if row.on(day) and row.agrees(settings)]
        place = ", ".join(f"{name} = {value}" for name, value in settings.items()) or f"the day {day}"
        if not rows:
            found.append(f"no row for {place}")
        elif len(rows) > 1 and not all(row.given for row in rows):
            found.append(f"two rows hold at once for {place}")
    return found

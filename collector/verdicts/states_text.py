"""What a standard makes of plant states, as its rule pack says it: `[states]` and the `states` of a clause.

    [states]
    operating = ["operating", "start_up", "shut_down"]   # what the text calls operating time
    judged = ["operating"]                               # what its clauses judge
    cite = "..."
    verified = false

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.verdicts.states import STATES
from gateway.document import Table

ANY = "any"
HINT = f"some of: {', '.join(STATES)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesText:
    """Plant states as a pack's text has them; all of them where it does not say.

    operating: what counts as operating time. judged: what its clauses judge that say nothing of their own. Both in the
    order of STATES.
    """

    operating: tuple[str, ...]
    judged: tuple[str, ...]
    cite: str
    verified: bool


def parse_states(root: Table) -> StatesText | None:
    """The `[states]` of a rule pack, None where it has none; faults are noted in the table."""
    if "states" not in root:
        return None
    with root.table("states") as table:
        operating, judged = named_states(table, "operating"), named_states(table, "judged")
        if not operating and not judged:
            table.fault("", "neither operating nor judged", 'judged = ["operating"]')
        if judged and operating and not set(judged) <= set(operating):
            table.fault("judged", "more than the operating time", "what is judged is a part of it")
        return StatesText(
            operating=operating or STATES,
            judged=judged or operating or STATES,
            cite=table.text("cite", hint="the text and its clause") or "",
            verified=bool(table.boolean("verified", hint="true when the primary text was read")),
        )


def named_states(table: Table, key: str = "states") -> tuple[str, ...]:
    """The states that a key lists, `["any"]` for all of them; empty where it is not there. Faults are noted."""
    found = table.texts(key, (), hint=HINT)
    if ANY in found:
        return STATES
    for state in (state for state in found if state not in STATES):
        table.fault(key, f"{state!r} is not known", HINT)
    return tuple(state for state in STATES if state in found)

"""Counts: clauses that limit not a value, but how often one is passed.

"Not more than five 5-minute means of a day below 850 degC": shorter windows of the same parameter are counted
within the window that is judged, those strictly above or strictly below a value, and the number is held
against the clause's limit. Rules of this file:

- only valid shorter windows count, so what is counted is certain. Whether the judged window is valid as a
  whole does not matter: what is missing can only add to the number;
- where the clause is about converted values, the shorter windows' converted values are compared, never rounded;
- a parameter whose values stand for longer than the shorter windows cannot be counted, and is not judged.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from collector.verdicts.windows import KINDS, Windows
from gateway.document import Table
from gateway.measurement import Float64

if TYPE_CHECKING:  # a pack has counts, and tables are made by packs
    from collector.verdicts.limits import Clause
    from collector.verdicts.tables import Tables

HINT = 'count = { window = "5m", below = 850 }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What is counted: windows of a kind with a value strictly above, or strictly below. [unit of the parameter]

    above, below: exactly one is given.
    """

    window: str
    above: float | None = None
    below: float | None = None

    def beyond(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which values lie beyond the bound, shape as given; NaN is none of them.

        >>> Count(window="5m", below=850.0).beyond([849.9, 850.0, float("nan"), 700.0]).tolist()
        [True, False, False, True]
        """
        array = np.asarray(values, np.float64)
        return np.asarray(array > self.above if self.above is not None else array < (self.below or 0.0))

    def told(self) -> str:
        """In words: number of 5m below 850."""
        beyond = f"below {self.below:g}" if self.above is None else f"above {self.above:g}"
        return f"number of {self.window} {beyond}"


def counted(clause: Clause, windows: Windows, tables: Tables) -> Float64 | None:
    """How many shorter windows in each of some windows lie beyond the bound of a clause; None where it counts none.

    windows: of the clause's kind, as in `tables`, shape (n,).
    """
    table = tables.table(clause.parameter, clause.count.window) if clause.count else None
    if clause.count is None or table is None:
        return None
    values = table.value if clause.corrected == "as measured" else table.converted
    if values is None:
        return None
    beyond = clause.count.beyond(values) & table.valid
    return windows.whole(table.windows).number(beyond).astype(np.float64)


def parse_count(table: Table) -> Count | None:
    """The `count` of a clause's table, None where its statistic is another one; faults are noted in the table."""
    if table.values.get("statistic") != "count":
        return None
    own = table.values.get("window")
    with table.table("count", required=True, hint=HINT) as row:
        kind = row.choice("window", KINDS) or KINDS[0]
        above, below = row.number("above", None), row.number("below", None)
        if (above is None) == (below is None):
            row.fault("", "one of above and below is needed", HINT)
        if own in KINDS and (own == "calendar_night" or KINDS.index(kind) >= KINDS.index(str(own))):
            row.fault("window", f"{kind!r} are not counted within {own!r}", "shorter windows, within one span of time")
    if "rounding" in table:
        table.fault("rounding", "a count is not rounded", "leave it out")
    return Count(window=kind, above=above, below=below)

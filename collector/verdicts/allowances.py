"""Allowances: how long a plant may be in a state in which its data are not held against a limit.

An incinerator that starts up, shuts down or breaks down within so many hours of a year is not judged by
its automatic data meanwhile; what goes over the hours is. Rules of this file:

- a state is a span that the operator marked (`states`); spans that overlap count once, and are spent in order of time;
- each calendar year or quarter, by the local clock, has the hours anew;
- an allowance that is spent in the middle of a span excuses the part before;
- time that nobody marked is not excused: what is missing counts against the operator.

Which states share how many hours is data of a rule pack (`[[allowance]]`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts import states
from collector.verdicts.states import State
from collector.verdicts.windows import HOUR_NS, local_date, windows
from gateway.document import Table
from gateway.measurement import Int64
from gateway.settings import Label, label

PERIODS = ("quarter", "year")
# Of the plant, where it does not run as it should, and maintenance of its monitors.
STATES = (*(state for state in states.STATES if state != "operating"), "maintenance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """So many hours of some states together, in each quarter or year."""

    id: str
    title: Label
    states: tuple[str, ...]
    hours: float
    per: str
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent of an allowance in one period.

    period: its local year or quarter, as 2026 or 2026-Q2. hours: in its states. over_hours: of them, not excused.
    excused: the spans [from, to) in which data are not judged. [ns since 1970 UTC]
    """

    allowance: str
    period: str
    hours: float
    over_hours: float
    excused: tuple[tuple[int, int], ...]


def spent(allowance: Allowance, said: Iterable[State], timezone: str) -> list[Spent]:
    """What was spent of an allowance, for each period in which something was, in order.

    said: in any order; those that the allowance is not about are passed over. timezone: IANA name.
    Source: GB 18484-2020 7.2 (hours of a furnace and calendar year), by a rule pack.
    """
    pieces: dict[str, list[tuple[int, int]]] = {}
    about = ((s.from_ns, s.to_ns) for s in said if s.state in allowance.states and s.from_ns < s.to_ns)
    for from_ns, to_ns in _merged(about):
        months = windows("month", timezone, from_ns, to_ns)
        for begin, end in zip(months.from_ns.tolist(), months.to_ns.tolist(), strict=True):
            key = _period(allowance.per, timezone, begin)
            pieces.setdefault(key, []).append((max(begin, from_ns), min(end, to_ns)))
    return [_spent(allowance, period, found) for period, found in pieces.items()]


def excused(
    allowances: Sequence[Allowance], said: Sequence[State], timezone: str, time_ns: Int64
) -> npt.NDArray[np.bool_]:
    """Which instants lie in a state that an allowance excuses, shape as given. time_ns: [ns since 1970 UTC]"""
    found = np.zeros(time_ns.shape, np.bool_)
    for allowance in allowances:
        for one in spent(allowance, said, timezone):
            for from_ns, to_ns in one.excused:
                found |= (time_ns >= from_ns) & (time_ns < to_ns)
    return found


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order of time, those that overlap or touch as one."""
    found: list[tuple[int, int]] = []
    for from_ns, to_ns in sorted(spans):
        if found and from_ns <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], to_ns))
        else:
            found.append((from_ns, to_ns))
    return found


def _period(per: str, timezone: str, time_ns: int) -> str:
    day = local_date(timezone, time_ns)
    return f"{day.year}" if per == "year" else f"{day.year}-Q{(day.month - 1) // 3 + 1}"


def _spent(allowance: Allowance, period: str, pieces: Sequence[tuple[int, int]]) -> Spent:
    left = budget = round(allowance.hours * HOUR_NS)
    used, kept = 0, []
    for from_ns, to_ns in pieces:
        used += to_ns - from_ns
        part = min(to_ns - from_ns, left)
        if part > 0:
            kept.append((from_ns, from_ns + part))
            left -= part
    return Spent(
        allowance=allowance.id, period=period, hours=used / HOUR_NS, over_hours=max(used - budget, 0) / HOUR_NS,
        excused=tuple(_merged(kept)),
    )  # fmt: skip


def parse_allowances(root: Table) -> tuple[Allowance, ...]:
    """The `[[allowance]]`s of a rule pack; faults are noted in the table. A state belongs to one of them."""
    found: list[Allowance] = []
    for table in root.tables("allowance"):
        with table:
            id = table.identifier("id") or ""
            among = table.texts("states", hint=f"some of: {', '.join(STATES)}")
            for state in among:
                if state not in STATES:
                    table.fault("states", f"{state!r} is not known", f"some of: {', '.join(STATES)}")
                if any(state in other.states for other in found):
                    table.fault("states", f"{state!r} belongs to an allowance before", "each state to one of them")
            found.append(
                Allowance(
                    id=id,
                    title=label(table, "title", id),
                    states=among,
                    hours=table.number("hours", low=0.0, high=8784.0) or 0.0,
                    per=table.choice("per", PERIODS) or "year",
                    cite=table.text("cite", hint="the text and its clause") or "",
                    verified=bool(table.boolean("verified", hint="true when the primary text was read")),
                )
            )
    return tuple(found)

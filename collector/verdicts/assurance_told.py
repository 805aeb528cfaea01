"""What averages tell of the certificates behind them, and how often a valid calibration range is left.

- An average of calibrated values tells each function in force in its window, and its mean as measured;
- a day tells how many of its valid short-term averages lie above the valid range, at the conditions of the limit and
  with nothing subtracted; of the days of a week follows whether a new QAL2 is due (`weeks_above`);
- an average tells why values of its window were not assured.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from collector.verdicts.assessment import Cite, Outcome, Problem
from collector.verdicts.assurance import END_NS, Assurance, Calibration, Lapse, bias_told, cited
from collector.verdicts.certificates import told_time
from collector.verdicts.quality import watched
from collector.verdicts.quality_rules import RangeWatch
from collector.verdicts.records import Average
from collector.verdicts.tables import DIGITS, Tables
from collector.verdicts.windows import local_date
from gateway.units import conversion

LAPSES_TOLD = 10  # newest ones, of a window
WEEKS_TOLD = 60  # newest ones; more than from one AST to the next


def told(found: Assurance, tables: Tables, averages: list[Average]) -> list[Average]:
    """Averages that tell, beside how they came about, what certificates made of their values. [inputs]

    tables: that the averages were taken from. Those of a minute are left as they are: there are many of them.
    """
    return [_told(found, tables, one) for one in averages] if found else averages


def _told(found: Assurance, tables: Tables, average: Average) -> Average:
    if average.window == "1m":
        return average
    more: dict[str, Any] = {}
    known = [one for one in found.calibrations.get(average.parameter, ()) if _overlaps(one, average)]
    if known:
        more["calibration"] = {"functions": [_function(one, average) for one in known], "raw": _raw(known, average)}
        more |= {"range": told} if (told := _range(known[-1], tables, average)) else {}
    if lapses := [one for one in found.lapses.get(average.parameter, ()) if _overlaps(one, average)]:
        more["not_assured"] = [
            {"from": told_time(one.from_ns), "to": None if one.to_ns == END_NS else told_time(one.to_ns),
             "why": one.why, **cited(one.cite)} for one in lapses[-LAPSES_TOLD:]
        ]  # fmt: skip
    derived = average.inputs.get("derived", {})
    if derived.get("how") in ("mass", "mass_flow"):
        names = (*derived["of"], *(["gas_flow"] if "velocity" in derived["of"] else []))
        biases = {name: bias_told(found, name, average.to_ns - 1) for name in names}
        more |= {"bias": told} if (told := {name: bias for name, bias in biases.items() if bias}) else {}
    return replace(average, inputs={**average.inputs, **more}) if more else average


def _overlaps(span: Calibration | Lapse, average: Average) -> bool:
    return span.from_ns < average.to_ns and average.from_ns < span.to_ns


def _function(one: Calibration, average: Average) -> dict[str, Any]:
    return {
        "slope": one.line.slope, "intercept": one.line.intercept, "unit": one.unit, "method": one.method,
        "from": told_time(one.from_ns), "report": one.report, "overdue": one.overdue_ns < average.to_ns,
        **cited(one.cite),
    }  # fmt: skip


def _raw(known: Sequence[Calibration], average: Average) -> float | None:
    """The mean as measured; None where functions changed within the window, or it is no mean."""
    line = known[0].within(average.unit)
    whole = len(known) == 1 and known[0].from_ns <= average.from_ns
    if (
        line is None
        or not whole
        or average.value is None
        or average.inputs.get("method") not in ("mean", "flow_weighted")
    ):
        return None
    return round((average.value - line.intercept) / line.slope, DIGITS)


def _range(one: Calibration, tables: Tables, average: Average) -> dict[str, Any] | None:
    """How many of a day's short-term averages lie above the valid range; None for windows that are not a day."""
    table = tables.table(average.parameter, one.short) if average.window == "24h" else None
    if table is None:
        return None
    values = table.value if table.converted is None else table.converted
    rows = (table.windows.from_ns >= average.from_ns) & (table.windows.to_ns <= average.to_ns)
    shown = values[rows & table.valid & np.isfinite(values)]
    line = conversion(average.unit, one.unit)
    upto = one.upto if line is None else (one.upto - line.shift) / line.factor
    return {"upto": upto, "short": one.short, "of": len(shown), "above": int((shown > upto).sum())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weeks:
    """How often the valid calibration range of a parameter was left since its last calibration.

    weeks: Monday of each, how many short-term averages of it there are, and how many lie above. often: weeks in which
    these were too many. due: Monday of the week from which a new QAL2 is due, None = none is.
    """

    parameter: str
    upto: float
    unit: str
    weeks: tuple[tuple[date, int, int], ...]
    often: int
    due: date | None


def weeks_above(days: Sequence[Average], timezone: str, rule: RangeWatch, since: Mapping[str, int]) -> list[Weeks]:
    """The watch of every parameter whose days tell `range` in their inputs, in the order of their names.

    days: averages of kind 24h, at most one a date and parameter. since: by parameter, when its last QAL2 or AST began
    to count [ns since 1970 UTC]; days before it are another calibration's.
    Source: as `quality.range_watch`.
    """
    found = []
    for name in sorted({day.parameter for day in days}):
        own = [d for d in days if d.parameter == name and "range" in d.inputs and d.from_ns >= since.get(name, 0)]
        counts: dict[date, tuple[int, int]] = {}
        for day in own:
            on = local_date(timezone, day.from_ns)
            monday, told = on - timedelta(days=on.weekday()), day.inputs["range"]
            of, above = counts.get(monday, (0, 0))
            counts[monday] = of + told["of"], above + told["above"]
        if not counts:
            continue
        weeks = sorted(counts)
        numbers = np.array([counts[week] for week in weeks], np.int64)
        result = watched(np.arange(len(weeks)), numbers[:, 0], numbers[:, 1], rule)
        found.append(
            Weeks(
                parameter=name, upto=own[-1].inputs["range"]["upto"], unit=own[-1].unit, often=result.often,
                weeks=tuple((week, *counts[week]) for week in weeks),
                due=None if result.due_week is None else weeks[result.due_week],
            )
        )  # fmt: skip
    return found


def watch_outcome(found: Weeks, known: Assurance) -> Outcome:
    """The watch of a valid range as a test among others. known: of the point, with the function that is watched."""
    assert known.watch is not None, "nothing is watched without a rule"
    due = [
        Problem(
            f"the valid range is left too often since the week of {found.due}",
            "a new QAL2 is due; the function in force is used meanwhile",
        )
    ] if found.due is not None else []  # fmt: skip
    last = found.weeks[-1][0]
    return Outcome(
        test="valid range", path="", parameter=found.parameter, unit=found.unit, date=str(last + timedelta(days=6)),
        facts={
            "valid_upto": found.upto, "weeks_too_often": found.often,
            "week": [(str(monday), f"{above} of {of} above") for monday, of, above in found.weeks[-WEEKS_TOLD:]],
        },
        problems=tuple(due),
        cites=(Cite(known.calibrations[found.parameter][-1].cite.pack, known.watch.cite, known.watch.verified),),
    )  # fmt: skip

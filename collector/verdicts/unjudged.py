"""What a point's measurements came to without being judged, in words.

Rules of this file:

- a parameter that no clause in force judges is told, unless a limit, a correction, a flow weight, a derived series, the
  exclusion of weather or the plant's state takes it;
- valid windows that a clause does not judge for the state that the plant was in are told, clause by clause;
- a maximum that its clause looks for in windows shorter than a value stands for is told where no window of the channel
  can be judged instead (`peaks`);
- a window whose value has to be converted, and whose conversion has no result, is told with the gas
  conditions it lacks. A condition is there when its own average over the window is valid.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from collector.verdicts.background import CORRECTED
from collector.verdicts.derived import weather_rule
from collector.verdicts.limits import Clause
from collector.verdicts.oxides import FROM_BOTH, NO, NO2
from collector.verdicts.peaks import unheld
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.state_sources import channels
from collector.verdicts.tables import FLOW
from collector.verdicts.weather import CHANNELS

Key = tuple[str, str, int]  # parameter, window, from_ns


def unjudged(rules: PointRules, parameters: Sequence[str], averages: Sequence[Average]) -> list[str]:
    """What nobody judges, one sentence each: parameters as a whole, then windows for the plant's state and corrections.

    averages: all of a span of time. parameters: those that have measurements.
    """
    # Every day that has measurements has a whole-day average, and clauses hold by the day.
    clauses = {c.key: c for a in averages if a.window == "24h" for c in rules.on(a.from_ns)}
    taken = {clause.parameter for clause in clauses.values()} | _taken(rules, list(clauses.values()), parameters)
    derived = (a.inputs.get("derived", {}) for a in averages if a.window in ("1h", "24h"))
    taken |= {name for told in derived for name in told.get("of", ())}
    taken |= set(CHANNELS) if weather_rule(rules) else set()
    taken |= {NO, NO2} if rules.settings.get("nox_from") == FROM_BOTH else set()
    packs = ", ".join(pack.id for pack in rules.packs)
    idle = [
        f"{parameter}: averaged, but judged by no clause of {packs} in force at this point{_unknown(rules, parameter)}"
        for parameter in parameters
        if parameter not in taken
    ]
    return [*idle, *unheld(rules, averages), *_passed_over(averages), *_unconverted(rules, averages)]


def _unknown(rules: PointRules, parameter: str) -> str:
    """Of decibels a plain mean says nothing, so that nobody takes one for a level."""
    return "" if parameter in rules.parameters else "; a plain mean, for no parameter is called so"


def _taken(rules: PointRules, clauses: Sequence[Clause], parameters: Sequence[str]) -> set[str]:
    """Parameters that are no one's clause, but go into the judgement of others."""
    taken = {name for clause in clauses for name in clause.conditions} | channels(rules.settings)
    if any(clause.corrected != "as measured" for clause in clauses):
        taken |= set(_needed(rules))
    if any(rules.method(parameter) == "flow_weighted" for parameter in parameters):
        taken.add(FLOW)
    return taken


def _needed(rules: PointRules) -> list[str]:
    """The gas conditions that the corrections of a stack with these settings take."""
    stack = rules.stack
    if stack is None:
        return []
    needed = ["O2"] if stack.reference_oxygen is not None else []
    needed += ["temperature", "pressure"] if stack.state == "actual" else []
    wet = stack.basis == "wet" or (stack.reference_oxygen is not None and stack.oxygen_basis == "wet")
    return [*needed, *(["moisture"] if wet else [])]


def _passed_over(averages: Sequence[Average]) -> Iterator[str]:
    """The valid windows that a clause does not judge for the plant's state, clause by clause."""
    windows = Counter((key, a.parameter, a.window) for a in averages for key in a.inputs.get("not_judged", ()))
    for (key, parameter, window), number in windows.items():
        yield f"{parameter}: not judged by {key} for the state of the plant, windows of {window}: {number}"


def _unconverted(rules: PointRules, averages: Sequence[Average]) -> Iterator[str]:
    """The windows that a clause wants converted and that could not be, clause by clause."""
    converted = {(c.parameter, c.window) for pack in rules.packs for c in pack.clauses if c.corrected != "as measured"}
    known: set[Key] = {(a.parameter, a.window, a.from_ns) for a in averages if a.valid and a.value is not None}
    beyond = {(a.parameter, a.window, a.from_ns) for a in averages if "out_of_range" in a.inputs.get("counts", {})}
    lacking: dict[tuple[str, str], Counter[str]] = {}
    windows: Counter[tuple[str, str]] = Counter()
    for average in averages:
        if (average.parameter, average.window) not in converted or not average.valid:
            continue
        for clause in rules.on(average.from_ns):
            if not _has_corrected(clause, average) and _converts(rules, clause, average):
                windows[clause.key, average.parameter] += 1
                here = {name: (name, average.window, average.from_ns) for name in _needed(rules)}
                missing = [
                    f"{name} in range" if key in beyond else name for name, key in here.items() if key not in known
                ]
                if clause.corrected == CORRECTED:
                    missing = [average.inputs["background"]["lacking"]]
                lacking.setdefault((clause.key, average.parameter), Counter()).update(
                    missing or ["values of all conditions at one time, or oxygen up to oxygen_max"]
                )
    for (key, parameter), number in windows.items():
        told = ", ".join(f"{name} ({count})" for name, count in lacking[key, parameter].items())
        yield f"{parameter}: not judged by {key} for want of a correction, windows: {number}; lacking {told}"


def _has_corrected(clause: Clause, average: Average) -> bool:
    """Whether an average has the value a clause is about; what is evaluated may be one's that converts nothing.

    A validated value stands alone in its window (`concurrent.mixed`).
    """
    evaluated = average.evaluated
    found = evaluated if clause.corrected == "validated" else average.inputs.get("converted", evaluated)
    return found is not None


def _converts(rules: PointRules, clause: Clause, average: Average) -> bool:
    """Whether a clause judges an average by its converted value."""
    about = (clause.parameter, clause.window) == (average.parameter, average.window)
    converts = clause.corrected != "as measured" and clause.statistic == "value"
    return about and converts and bool(rules.applies(clause, np.array([average.from_ns])).all())

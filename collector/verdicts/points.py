"""What is made of a point's measurements: its calendar, its windows, its law.

A `PointRules` is all that averages and judgement need to know of a point besides the measurements:
its kind and local hours, which windows are built, how its parameters are averaged, how much of a
window must be there, and which clauses are in force on a date. Pure: the site, the packs and the
parameters come in as values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np

from collector.verdicts.corrections import StackSettings, stack_settings
from collector.verdicts.limits import MIXED_HINT, Clause, mixed, night_hours, read_settings, resolve, validities
from collector.verdicts.pack import RulePack
from collector.verdicts.screening import Booleans
from collector.verdicts.validity import Validity
from collector.verdicts.windows import KINDS, Night, Windows, local_date, windows
from gateway.document import Document, Fault
from gateway.measurement import Int64
from gateway.parameters import Parameters

# Built for every point of a kind, whether a pack uses them or not; packs may ask for more.
BUILT: Mapping[str, tuple[str, ...]] = {
    "noise": ("1m", "1h", "24h", "day", "night", "calendar_night"),
    "stack": ("1m", "1h", "24h", "day"),
    "water": ("1m", "1h", "24h", "day"),
}
CONCENTRATIONS = ("mg/m3", "ug/m3", "ng/m3")  # what a stack's corrections are for


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRules:
    """How the measurements of one point become averages and verdicts.

    night: begin and end of night, local clock; None = no such thing at this kind of point.
    settings: typed and complete. built: kinds of windows, shortest first. validity: for every kind of window, as the
    first pack says that does; it is what is shown, and each pack judges by its own (`by_validity`).
    sources: sensor id -> what evidence says of it (`evidence.sensor_source`).
    """

    plant: str
    point: str
    kind: str
    timezone: str
    night: Night | None
    settings: Mapping[str, Any]
    packs: tuple[RulePack, ...]
    parameters: Parameters
    validity: Mapping[str, Validity]
    built: tuple[str, ...]
    stack: StackSettings | None
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _clauses: dict[date, tuple[Clause, ...]] = field(default_factory=dict, repr=False, compare=False)

    def clauses(self, on: date) -> tuple[Clause, ...]:
        """The clauses in force at this point on a date."""
        if on not in self._clauses:
            self._clauses[on] = tuple(c for pack in self.packs for c in resolve(pack, self.settings, on)[0])
        return self._clauses[on]

    def on(self, time_ns: int) -> tuple[Clause, ...]:
        """The clauses in force at an instant; a window is judged by the date it starts on."""
        return self.clauses(local_date(self.timezone, time_ns))

    def windows(self, kind: str, from_ns: int, to_ns: int) -> Windows:
        """All windows of a kind at this point that overlap a span."""
        return windows(kind, self.timezone, from_ns, to_ns, self.night)

    def applies(self, clause: Clause, from_ns: Int64) -> Booleans:
        """Which of the windows of a clause's kind, by their starts, lie in the part of the day it is about."""
        if clause.period not in ("day", "night") or clause.window == clause.period or not len(from_ns):
            return np.ones(len(from_ns), np.bool_)
        period = self.windows(clause.period, int(from_ns.min()), int(from_ns.max()) + 1)
        return np.asarray(period.place(from_ns) >= 0)

    def method(self, parameter: str) -> str:
        """How values of a parameter become an average: energy, mean, median, flow_weighted, maximum or sum."""
        known = self.parameters.get(parameter)
        return known.average if known else "mean"

    def by_validity(self) -> list[tuple[PointRules, tuple[str, ...]]]:
        """This point as its packs count what must be there of a window, and the ids of the packs that count so.

        First the point itself. A kind of window that a pack does not speak of counts as the first other pack says.
        """
        found: list[tuple[PointRules, tuple[str, ...]]] = []
        for pack in self.packs:
            others = [other for other in self.packs if other is not pack]
            own = validities([pack, *others], self.settings)
            alike = [number for number, (view, _) in enumerate(found) if _counts(view.validity) == _counts(own)]
            if alike:
                view, ids = found[alike[0]]
                found[alike[0]] = (view, (*ids, pack.id))
            else:
                found.append((replace(self, validity=own) if found else self, (pack.id,)))
        return found

    def corrects(self, parameter: str, unit: str) -> bool:
        """Whether the stack's corrections are for this parameter."""
        known = self.parameters.get(parameter)
        return self.stack is not None and (known.unit if known else unit) in CONCENTRATIONS


def _counts(validity: Mapping[str, Validity]) -> dict[str, tuple[str, int | None, float | Fraction | None]]:
    """What is counted of each kind of window, whoever says so."""
    return {kind: (row.part, row.minimum, row.share) for kind, row in validity.items()}


def point_rules(
    plant: str,
    point: str,
    kind: str,
    *,
    timezone: str,
    packs: Sequence[RulePack],
    settings: Mapping[str, Any],
    parameters: Parameters,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    document: Document | None = None,
    path: str = "settings",
) -> tuple[PointRules, list[Fault]]:
    """The rules of a point, and what is wrong with its settings.

    settings: as written in the site file or on the command line. document, path: where they stand, for the faults.
    """
    typed, faults = read_settings(kind, packs, settings, document=document, path=path)
    if problem := mixed(packs):
        faults.append((document or Document("", {}, {})).fault(path.replace("settings", "rules"), problem, MIXED_HINT))
    clauses = [clause for pack in packs for clause in pack.clauses]
    asked = {clause.window for clause in clauses} | {clause.count.window for clause in clauses if clause.count}
    rules = PointRules(
        plant=plant, point=point, kind=kind, timezone=timezone, settings=typed, packs=tuple(packs),
        parameters=parameters, validity=validities(packs, typed), sources=sources or {},
        night=night_hours(packs, typed) if kind == "noise" else None,
        built=tuple(name for name in KINDS if name in asked or name in BUILT.get(kind, BUILT["stack"])),
        stack=stack_settings(typed) if kind == "stack" else None,
    )  # fmt: skip
    return rules, faults

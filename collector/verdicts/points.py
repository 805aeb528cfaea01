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
from typing import Any

import numpy as np

from collector.verdicts.assurance import UNCERTIFIED, Assurance
from collector.verdicts.concurrent import MIXED_HINT, mixed, nights, strictest, validities
from collector.verdicts.corrections import StackSettings, stack_settings
from collector.verdicts.limits import Clause, read_settings, resolve
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
HANGING = ("day", "night", "calendar_night")  # on the hours of night


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRules:
    """How the measurements of one point become averages and verdicts.

    nights: from which date on which hours are night, local clock, the first from ever on; empty = there are no nights
    at this kind of point. A night has the hours of the date it starts on, as it is judged by what is in force then.
    settings: typed and complete. built: kinds of windows, shortest first. validity: for every kind of window, as the
    first pack says that does; it is what is shown, and each pack judges by its own (`by_validity`).
    sources: sensor id -> what evidence says of it (`evidence.sensor_source`).
    assurance: what the certificates of its measuring systems come to.
    """

    plant: str
    point: str
    kind: str
    timezone: str
    nights: Sequence[tuple[date, Night]]
    settings: Mapping[str, Any]
    packs: tuple[RulePack, ...]
    parameters: Parameters
    validity: Mapping[str, Validity]
    built: tuple[str, ...]
    stack: StackSettings | None
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    assurance: Assurance = UNCERTIFIED
    _clauses: dict[date, tuple[Clause, ...]] = field(default_factory=dict, repr=False, compare=False)

    def clauses(self, on: date) -> tuple[Clause, ...]:
        """The clauses in force at this point on a date."""
        if on not in self._clauses:
            found = tuple(c for pack in self.packs for c in resolve(pack, self.settings, on)[0])
            # One law is one object, so that the days of a year are told apart quickly.
            self._clauses[on] = next((law for law in reversed([*self._clauses.values()]) if law == found), found)
        return self._clauses[on]

    def on(self, time_ns: int) -> tuple[Clause, ...]:
        """The clauses in force at an instant; a window is judged by the date it starts on."""
        return self.clauses(local_date(self.timezone, time_ns))

    def windows(self, kind: str, from_ns: int, to_ns: int) -> Windows:
        """All windows of a kind at this point that overlap a span."""
        if kind not in HANGING or len(self.nights) < 2:
            return windows(kind, self.timezone, from_ns, to_ns, self.nights[0][1] if self.nights else None)
        ends = [day for day, _ in self.nights[1:]] + [date.max]
        found = []
        for (first, night), end in zip(self.nights, ends, strict=True):
            every = windows(kind, self.timezone, from_ns, to_ns, night)
            days = [local_date(self.timezone, start) for start in every.from_ns.tolist()]
            found.append(every.take(np.array([first <= day < end for day in days], np.bool_)))
        return _joined(found)

    def rated_by(self, derived: str, code: str) -> list[RulePack]:
        """The packs by whose rating a parameter is derived in a way ("composite", "rating" or "specific")."""
        return [pack for pack in self.packs if pack.rating and pack.rating.makes(derived) == code]

    def strictest(self, parameter: str) -> float | None:
        """The least upper limit that packs ever set for a mean of a parameter here, None = none. [unit]"""
        return strictest(self.packs, self.settings, parameter)

    def applies(self, clause: Clause, from_ns: Int64, to_ns: Int64 | None = None) -> Booleans:
        """Which windows, by their starts, lie in the part of the day a clause is about.

        to_ns: their ends, where they have to lie in it as a whole. [ns since 1970 UTC]
        """
        if clause.period not in ("day", "night") or clause.window == clause.period or not len(from_ns):
            return np.ones(len(from_ns), np.bool_)
        period = self.windows(clause.period, int(from_ns.min()), int(from_ns.max()) + 1)
        place = period.place(from_ns)
        return np.asarray((place >= 0) & (True if to_ns is None else place == period.place(to_ns - 1)))

    def method(self, parameter: str) -> str:
        """How values of a parameter become an average: energy, mean, median, flow_weighted, maximum or sum."""
        known = self.parameters.get(parameter)
        return known.average if known else "mean"

    def by_validity(self) -> list[tuple[PointRules, tuple[str, ...]]]:
        """This point as its packs count what must be there of a window, and the ids of the packs that count so.

        First the point itself. A kind of window that a pack does not speak of counts as the first other pack says that
        is ever in force together with it.
        """
        found: list[tuple[PointRules, tuple[str, ...]]] = []
        for pack in self.packs:
            own = _validity(pack, self.packs, self.settings)
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


def _joined(found: Sequence[Windows]) -> Windows:
    """Windows of one kind that follow each other, as one."""
    before = np.cumsum([0, *(len(part) for part in found)])
    return Windows(
        kind=found[0].kind,
        from_ns=np.concatenate([part.from_ns for part in found]),
        to_ns=np.concatenate([part.to_ns for part in found]),
        piece_from=np.concatenate([part.piece_from for part in found]),
        piece_to=np.concatenate([part.piece_to for part in found]),
        piece_window=np.concatenate([n + part.piece_window for n, part in zip(before, found, strict=False)]),
    )


def _validity(pack: RulePack, packs: Sequence[RulePack], settings: Mapping[str, Any]) -> Mapping[str, Validity]:
    """What a pack counts of each kind of window, with what others say that are ever in force together with it."""
    others = [other for other in packs if other is not pack and pack.holds_with(other)]
    return validities([pack, *others], settings)


def _counts(validity: Mapping[str, Validity]) -> dict[str, tuple[Any, ...]]:
    """What is counted of each kind of window, whoever says so."""
    return {
        kind: (row.part, row.minimum, row.missing, row.share, row.operating, row.quadrants)
        for kind, row in validity.items()
    }


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
    if problem := mixed(packs, settings):
        faults.append((document or Document("", {}, {})).fault(path.replace("settings", "rules"), problem, MIXED_HINT))
    clauses = [clause for pack in packs for clause in pack.clauses]
    asked = {clause.window for clause in clauses} | {clause.count.window for clause in clauses if clause.count}
    rules = PointRules(
        plant=plant, point=point, kind=kind, timezone=timezone, settings=typed, packs=tuple(packs),
        parameters=parameters, sources=sources or {},
        validity=_validity(packs[0], packs, typed) if packs else validities([], typed),
        nights=nights(packs, settings) if kind == "noise" else (),
        built=tuple(name for name in KINDS if name in asked or name in BUILT.get(kind, BUILT["stack"])),
        stack=stack_settings(typed) if kind == "stack" else None,
    )  # fmt: skip
    return rules, faults

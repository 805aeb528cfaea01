"""What a rule pack says about a value: which clauses hold for a point, and whether one is broken.

- A limit is broken strictly above it (or strictly below the lower one); equal complies.
- The value compared is the one an inspector would compare: corrected and rounded where the clause says so.
- Where a condition on another channel is not known, the loosest limit that could hold is taken:
  what breaks that one is certain.
- An average that is not valid is not judged; a single peak is (it was measured, however short the minute), and so
  is a count of windows (those that were valid are certain, however few).

Pure. Packs are read by `collector.catalogue`; code holds no limit value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts import corrections, plausible
from collector.verdicts.counts import Count
from collector.verdicts.pack import Bound, ClauseText, RulePack, Setting
from collector.verdicts.records import Standing
from collector.verdicts.rounding import round_half_even, round_half_up
from collector.verdicts.state_sources import SETTINGS as STATE_SETTINGS
from collector.verdicts.states import STATES
from collector.verdicts.validated import confidence_interval
from collector.verdicts.windows import NIGHT
from gateway.document import Document, Fault, Table
from gateway.measurement import Float64
from gateway.settings import Label

Booleans = npt.NDArray[np.bool_]
Conditions = Mapping[str, float]

# What every point of a kind may set, whatever packs it names.
KIND_SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "noise": (
        Setting(name="night", kind="hours", title=Label("Night hours", "夜间时段"), cite="site", default=NIGHT),
        *STATE_SETTINGS,
    ),
    "stack": (*corrections.SETTINGS, *plausible.SETTINGS, *STATE_SETTINGS),
    "water": (*plausible.SETTINGS, *STATE_SETTINGS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Bounds that hold where the other channels meet `given`; None = no bound on that side. [unit of the clause]"""

    low: float | None
    high: float | None
    given: tuple[Bound, ...] = ()

    def possible(self, conditions: Conditions) -> bool:
        """Whether nothing known speaks against this limit."""
        return all(bound.holds(conditions[bound.parameter]) for bound in self.given if _known(conditions, bound))


def _known(conditions: Conditions, bound: Bound) -> bool:
    value = conditions.get(bound.parameter)
    return value is not None and not math.isnan(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of one pack, resolved for a point's settings and a date.

    kind: noise, stack or water. window: which average is judged. period: "day" or "night" where only windows
    that start within it are judged, "" = all. statistic: "value" or "maximum" of the window, or "count": of shorter
    windows in it, as `count` says.
    corrected: "as measured", "converted" (standard state, dry, reference oxygen), or "validated": the same, and less
    `interval` [unit], which is subtracted from averages over `short` windows; None = it is not known.
    rounding: "half_even", "half_up" or "none", to `places` digits. limits: never empty.
    states: of the plant, that it judges. operating: the states that its text calls operating time.
    """

    pack: str
    id: str
    cite: str
    title: Label
    kind: str
    parameter: str
    window: str
    period: str
    statistic: str
    unit: str
    standing: Standing
    verified: bool
    corrected: str
    rounding: str
    places: int
    limits: tuple[Limit, ...]
    short: str = ""
    interval: float | None = None
    count: Count | None = None
    states: frozenset[str] = frozenset(STATES)
    operating: frozenset[str] = frozenset(STATES)

    @property
    def key(self) -> str:
        """pack/clause, as reports and routes name it."""
        return f"{self.pack}/{self.id}"

    @property
    def two_sided(self) -> bool:
        """Whether there is a lower limit too."""
        return any(limit.low is not None for limit in self.limits)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The other channels that the limit depends on."""
        return tuple(dict.fromkeys(bound.parameter for limit in self.limits for bound in limit.given))

    @property
    def evaluates(self) -> bool:
        """Whether a corrected or rounded value is compared, not the average itself."""
        return self.rounding != "none" or self.corrected != "as measured"

    def bounds(self, conditions: Conditions | None = None) -> tuple[float | None, float | None]:
        """Lower and upper limit under some conditions, the loosest that could hold. [unit]"""
        possible = [limit for limit in self.limits if limit.possible(conditions or {})] or list(self.limits)
        lows, highs = [limit.low for limit in possible], [limit.high for limit in possible]
        known_low, known_high = [low for low in lows if low is not None], [high for high in highs if high is not None]
        return (
            min(known_low) if len(known_low) == len(lows) else None,
            max(known_high) if len(known_high) == len(highs) else None,
        )

    def limit(self, conditions: Conditions | None = None) -> float | None:
        """Upper limit under some conditions, None where there is only a lower one. [unit]"""
        return self.bounds(conditions)[1]


def resolve(
    pack: RulePack, settings: Mapping[str, Any], on: date, *, document: Document | None = None, path: str = "settings"
) -> tuple[tuple[Clause, ...], list[Fault]]:
    """The clauses of a pack that hold for a point on a day; none where the pack is not in force then.

    settings: of the point; those of other packs are passed over. document, path: where they stand, for the faults.
    """
    chosen, faults = read_asked(pack.settings.values(), settings, document, path)
    if faults or not pack.holds_on(on):
        return (), faults
    clauses = (_clause(pack, text, chosen, on) for text in pack.clauses)
    return tuple(clause for clause in clauses if clause is not None), []


def _clause(pack: RulePack, text: ClauseText, settings: Mapping[str, Any], on: date) -> Clause | None:
    """The clause for these settings, or None where the text sets no limit for them."""
    limits = _limits(text, settings, on)
    if all(limit.low is None and limit.high is None for limit in limits):
        return None
    validation = pack.validation if text.corrected == "validated" else None
    states, operating = pack.judged(text)
    return Clause(
        pack=pack.id, id=text.id, cite=text.cite, title=text.title, kind=pack.kind, parameter=text.parameter,
        window=text.window, period=text.period, statistic=text.statistic, unit=text.unit, standing=text.standing,
        verified=text.verified, corrected=text.corrected, rounding=text.rounding, places=text.places, limits=limits,
        short=validation.window if validation else "",
        interval=_interval(pack, text.parameter, settings, on) if validation else None,
        count=text.count, states=states, operating=operating,
    )  # fmt: skip


def _limits(text: ClauseText, settings: Mapping[str, Any], on: date) -> tuple[Limit, ...]:
    """The rows of a clause that hold for these settings, adjusted."""
    add = sum(adjustment.add for adjustment in text.adjustments if adjustment.agrees(settings))
    rows = [(row, row.upper(settings)) for row in text.rows if row.on(on) and row.agrees(settings)]
    return tuple(
        Limit(
            low=None if row.low is None else row.low + add, high=None if high is None else high + add, given=row.given
        )
        for row, high in rows
    )


def _interval(pack: RulePack, parameter: str, settings: Mapping[str, Any], on: date) -> float | None:
    """What is subtracted from the short-term averages of a parameter, None where it is not known. [unit]"""
    row = pack.validation.interval(parameter, settings) if pack.validation else None
    if row is None:
        return None
    limit = _upper(pack.clause(row.of), settings, on)
    if limit is not None and row.below is not None and limit < row.below:
        limit = _upper(pack.clause(row.instead), settings, on)
    found = math.nan if limit is None else float(confidence_interval(limit, row.percent, settings.get(row.measured)))
    return None if math.isnan(found) else found


def _upper(text: ClauseText, settings: Mapping[str, Any], on: date) -> float | None:
    """The largest upper limit that a clause could have for these settings. [unit]"""
    return max((limit.high for limit in _limits(text, settings, on) if limit.high is not None), default=None)


def read_settings(
    kind: str, packs: Sequence[RulePack], settings: Mapping[str, Any],
    *, document: Document | None = None, path: str = "settings",
) -> tuple[dict[str, Any], list[Fault]]:  # fmt: skip
    """A point's settings, checked, in their true types and with the defaults of its packs and its kind filled in.

    Takes texts for numbers (`--set area_class=2`). An unknown key is a fault.
    """
    asked = [setting for pack in packs for setting in pack.settings.values()]
    return read_asked([*asked, *KIND_SETTINGS.get(kind, ())], settings, document, path, strict=True)


def read_asked(
    asked: Iterable[Setting], given: Mapping[str, Any], document: Document | None, path: str, *, strict: bool = False
) -> tuple[dict[str, Any], list[Fault]]:
    """The settings asked for, as `read_settings` gives them. strict: a key that nobody asked for is a fault."""
    faults: list[Fault] = []
    chosen: dict[str, Any] = {}
    table = Table(document or Document("", {}, {}), path, given, faults)
    wrong: set[str] = set()
    for setting in asked:
        value = table.raw(setting.name, None)
        if setting.name in wrong:
            continue  # several packs may ask for it; what is wrong is told once
        if value is None:  # settings read before say so where TOML leaves the key out
            if setting.required:
                table.fault(setting.name, "missing", f"{setting.title.en}: {_allowed(setting)} ({setting.cite})")
                wrong.add(setting.name)
            chosen.setdefault(setting.name, None if setting.default is None else setting.read(setting.default))
            continue
        try:
            chosen.setdefault(setting.name, setting.read(value))
        except ValueError as error:
            table.fault(setting.name, str(error), f"{setting.title.en}: {_allowed(setting)} ({setting.cite})")
            wrong.add(setting.name)
    if strict:
        with table:  # leaving it notes the keys that nobody asked for
            pass
    return chosen, faults


def _allowed(setting: Setting) -> str:
    return " or ".join(map(repr, setting.choices)) if setting.choices else f"a value of kind {setting.kind}"


def rounded(clause: Clause, value: npt.ArrayLike) -> Float64:
    """Values rounded as a clause says; arrays in, arrays out. [unit]"""
    if clause.rounding == "half_even":
        return round_half_even(value, clause.places)
    if clause.rounding == "half_up":
        return round_half_up(value, clause.places)
    return np.asarray(value, np.float64)


def breaking(clause: Clause, value: npt.ArrayLike, conditions: Conditions | None = None) -> Booleans:
    """Which of many values break a clause: booleans of the same shape; NaN breaks nothing.

    value: corrected already where the clause says so; rounding is done here. [unit]
    """
    compared = rounded(clause, value)
    low, high = clause.bounds(conditions)
    above = compared > high if high is not None else np.zeros(compared.shape, np.bool_)
    return np.asarray(above | (compared < low) if low is not None else above)

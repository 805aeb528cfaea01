"""Derived series: what is made of a point's measurements and kept apart from them, under names of its own.

Loads and volumes (`loads`), levels of whole days (`day_levels`), rating levels (`rating_levels`) and specific sound
(`specific_sound`) are tables like those of measured parameters, so averages, clauses and evidence treat them alike;
`Table.origin` tells how they came about. Nitrogen oxides of two channels (`oxides`) are a signal, and so is what
weather leaves (`weather`). Hours that a text has valid by quadrants are so here (`us_hours`). Rules of this file:

- which of them a point has, its settings, its packs and what it measures say; what is measured is never derived;
- they exist for hours and longer windows, levels of whole days for days and longer ones, rating levels and specific
  sound for hours, days and nights;
- what was measured is never changed by them. The normalised value (standard state, dry) goes into mass, the value of a
  limit is made of it on another way: neither is made of the other.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from collector.verdicts import loads, specific_sound
from collector.verdicts.bias import adjusted
from collector.verdicts.day_levels import KINDS as WHOLE_DAYS
from collector.verdicts.day_levels import LEVEL, composite_hours, day_level_table, in_periods
from collector.verdicts.oxides import summed
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.rating_levels import KINDS as RATED
from collector.verdicts.rating_levels import rating_table
from collector.verdicts.screening import Signal
from collector.verdicts.states import ALWAYS, Scope, Timeline
from collector.verdicts.substituted import KINDS as TOTALS
from collector.verdicts.substituted import substituted_table
from collector.verdicts.tables import FLOW, Table, Tables
from collector.verdicts.us_hours import by_quadrants
from collector.verdicts.weather import Weather, excluded
from collector.verdicts.windows import KINDS
from gateway.parameters import Parameter

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_DAYS = ("24h", "day")
# What is derived of levels by the rating of a pack, and the windows it has, the shortest first.
_LEVELS = {"composite": WHOLE_DAYS, "rating": RATED, "specific": specific_sound.KINDS}


def prepared(
    rules: PointRules, signals: Mapping[str, Signal], around: Mapping[str, Signal] | None = None
) -> dict[str, Signal]:
    """The signals of a point as its averages take them: NOx of NO and NO2, without levels of bad weather.

    around: the weather, as `excluded` takes it.
    """
    return excluded(weather_rule(rules), rules.settings, summed(rules.settings, rules.parameters, signals), around)


def weather_rule(rules: PointRules) -> Weather | None:
    """What weather is left out at a point, as its first pack says that does; None = none."""
    return next((pack.weather for pack in rules.packs if pack.weather), None)


def offered(rules: PointRules, measured: Collection[str]) -> dict[str, Parameter]:
    """What is derived at a point of some measured parameters, by code, in the order of the parameters' file."""
    found = {code: p for code, p in rules.parameters.items() if p.derived and rules.kind in p.media}
    return {code: p for code, p in found.items() if code not in measured and main_input(rules, p, measured) in measured}


def main_input(rules: PointRules, parameter: Parameter, measured: Collection[str]) -> str:
    """The measured parameter whose windows a derived one has; "" = it is not derived at this point."""
    if parameter.derived in _LEVELS:
        return LEVEL if _naming(rules, parameter) else ""
    if rules.kind == "water":
        return parameter.of or FLOW if FLOW in measured else ""
    channel = loads.flow_channel(rules.stack) if rules.stack else ""
    if not channel or (parameter.derived == "mass_substituted" and not _substituting(rules)):
        return ""
    return parameter.of or channel


def _naming(rules: PointRules, made: Parameter) -> RulePack | None:
    """The pack of a point by whose rating a level is derived."""
    packs = rules.rated_by(made.derived, made.code)
    if made.derived == "specific":
        packs = [pack for pack in packs if specific_sound.given(pack, rules)]
    return next(iter(packs), None)


def _substituting(rules: PointRules) -> RulePack | None:
    """The pack of a point that says how gaps in totals are filled."""
    return next((pack for pack in rules.packs if pack.substitution), None)


class DerivedTables(Tables):
    """The tables of a point's measurements and of what is derived of them; arguments as those of Tables."""

    def __init__(
        self, rules: PointRules, signals: Mapping[str, Signal], from_ns: int, to_ns: int,
        *, states: Timeline = ALWAYS, scope: Scope | None = None,
    ) -> None:  # fmt: skip
        super().__init__(rules, signals, from_ns, to_ns, states=states, scope=scope)
        self._offered: dict[str, Parameter] | None = None
        self._hours: dict[str, loads.Hours] = {}

    @property
    def parameters(self) -> list[str]:
        """The parameters that have tables, in alphabetical order."""
        return sorted([*super().parameters, *self._derived()])

    def unit(self, parameter: str) -> str:
        """The unit of a parameter that has tables."""
        made = self._derived().get(parameter)
        return made.unit if made else super().unit(parameter)

    def base(self, parameter: str) -> str:
        """The shortest kind of window a parameter has."""
        made = self._derived().get(parameter)
        if made is None:
            return super().base(parameter)
        return {**_LEVELS, "mass_substituted": TOTALS}.get(made.derived, (loads.HOUR,))[0]

    def table(self, parameter: str, kind: str) -> Table | None:
        """The table of a parameter; None where it has none, or the windows are shorter than it has."""
        made = self._derived().get(parameter)
        if made is None:
            return super().table(parameter, kind)
        key = (parameter, kind)
        if key not in self._tables:
            make = self._level if made.derived in _LEVELS else self._load
            self._tables[key] = (self._substituted if made.derived == "mass_substituted" else make)(made, kind)
        return self._tables[key]

    def _make(self, parameter: str, kind: str) -> Table | None:
        found, validity = super()._make(parameter, kind), self._rules.validity[kind]
        rule = validity.quadrants
        if found is None or rule is None:
            return found
        coarse = _RANK[self.base(parameter)] > _RANK[validity.part]
        quarters = None if coarse else self.table(parameter, validity.part)
        ran = self.length_ns(self.windows(validity.part), validity) > 0
        return by_quadrants(found, quarters, self.signals[parameter], ran, rule)

    def _derived(self) -> Mapping[str, Parameter]:
        """The parameters that are derived here, by code."""
        if self._offered is None:
            self._offered = offered(self._rules, super().parameters)
        return self._offered

    def _level(self, made: Parameter, kind: str) -> Table | None:
        rules, like = self._rules, super().table(LEVEL, kind)
        pack = _naming(rules, made)
        if kind not in _LEVELS[made.derived] or like is None or pack is None:
            return None
        if made.derived == "composite":
            found = in_periods(composite_hours(pack, rules.settings), rules.timezone, self, like.windows)
            return day_level_table(pack, rules, found, self.windows(loads.HOUR), like, rules.validity[kind])
        if made.derived == "rating":
            return rating_table(pack, rules, self, like)
        return specific_sound.specific_table(pack, rules, like)

    def _substituted(self, made: Parameter, kind: str) -> Table | None:
        of, pack = f"{made.of}_mass", _substituting(self._rules)
        like, hours = self.table(of, kind), self.table(of, loads.HOUR)
        concentration = super().table(made.of, loads.HOUR)
        if kind not in TOTALS or like is None or hours is None or concentration is None or pack is None:
            return None
        return substituted_table(pack, of, like, hours, concentration, self._rules.timezone, self.windows("month"))

    def _load(self, made: Parameter, kind: str) -> Table | None:
        main = main_input(self._rules, made, super().parameters)
        like = super().table(main, kind) if _RANK[kind] >= _RANK[loads.HOUR] else None
        if like is None or super().table(main, loads.HOUR) is None:
            return None
        validity = self._rules.validity[kind]
        by_days = validity.part in _DAYS and _RANK[kind] > _RANK["day"]
        days = self.table(made.code, validity.part) if by_days else None
        summed = made.average == "sum"
        return loads.load_table(made.derived, like, self._by_hour(made), validity, days, summed=summed)

    def _by_hour(self, made: Parameter) -> loads.Hours:
        """The hours that a load is made of, the same for its rate and its sum."""
        if made.of not in self._hours:
            self._hours[made.of] = self._let_out(made.of)
        return self._hours[made.of]

    def _let_out(self, of: str) -> loads.Hours:
        stack = self._rules.stack
        if stack is None:
            return loads.water_mass(self, of) if of else loads.water_volume(self)
        if not of:
            return loads.dry_gas_flow(stack, self)
        return adjusted(self._rules.assurance, loads.gas_mass(stack, self, of))

"""What a rule pack says about a value: which clauses hold for a point, and whether one is broken.

- A limit is broken strictly above it (or strictly below the lower one); equal complies.
- The value compared is the one an inspector would compare: corrected and rounded where the clause says so.
- Where a condition on another channel is not known, the loosest limit that could hold is taken:
  what breaks that one is certain.
- An average that is not valid is not judged; a single peak is (it was measured, however short the minute), and so
  is a count of windows (those that were valid are certain, however few).
- Where several packs have a say about the validity that is shown, the first one named wins; each is judged by its own
  (`points.by_validity`). Packs in force at the same time whose nights differ cannot judge one point by them; hours of
  night are those of the packs in force on the date.

Pure. Packs are read by `collector.catalogue`; code holds no limit value.
"""

from __future__ import annotations

import difflib
import itertools
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
from collector.verdicts.records import Average, Standing
from collector.verdicts.rounding import round_half_even, round_half_up
from collector.verdicts.state_sources import SETTINGS as STATE_SETTINGS
from collector.verdicts.states import STATES
from collector.verdicts.validated import confidence_interval
from collector.verdicts.validity import UNRULED_SHARE, Validity
from collector.verdicts.windows import KINDS, NIGHT
from gateway.document import Document, Fault, Table
from gateway.measurement import Float64
from gateway.settings import Label, Point, Site

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


MIXED_HINT = "name them at two points, with a sensor each or two of one link"


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
    chosen, faults = _read(pack.settings.values(), settings, document, path)
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


def mixed(packs: Sequence[RulePack], settings: Mapping[str, Any]) -> str:
    """What keeps packs from judging one point together, "" = nothing: an average shows one evaluated value.

    A validated value has something subtracted, which nothing else may be shown or counted by (`shares`). And a night
    has the same hours for all that judge by it while they are in force. settings: as in night_hours.
    """
    for pack in (pack for pack in packs if pack.validation):
        own = {(c.parameter, c.window) for c in pack.clauses if c.corrected == "validated"}
        for other in packs:
            both = own & {(c.parameter, c.window) for c in other.clauses}
            if other is not pack and both:
                about = " ".join(min(both))
                return f"{pack.id} judges {about} by validated values, {other.id} judges it too"
    judging = [(pack, hours) for pack in packs if _by_night(pack) and (hours := _own_night(pack, settings))]
    for (pack, hours), (other, others) in itertools.combinations(judging, 2):
        if hours != others and pack.holds_with(other):
            return f"the night of {pack.id} is {' to '.join(hours)}, that of {other.id} {' to '.join(others)}"
    return ""


def read_settings(
    kind: str, packs: Sequence[RulePack], settings: Mapping[str, Any],
    *, document: Document | None = None, path: str = "settings",
) -> tuple[dict[str, Any], list[Fault]]:  # fmt: skip
    """A point's settings, checked, in their true types and with the defaults of its packs and its kind filled in.

    Takes texts for numbers (`--set area_class=2`). An unknown key is a fault.
    """
    asked = [setting for pack in packs for setting in pack.settings.values()]
    return _read([*asked, *KIND_SETTINGS.get(kind, ())], settings, document, path, strict=True)


def _read(
    asked: Iterable[Setting], given: Mapping[str, Any], document: Document | None, path: str, *, strict: bool = False
) -> tuple[dict[str, Any], list[Fault]]:
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


def night_hours(packs: Sequence[RulePack], settings: Mapping[str, Any], on: date | None = None) -> tuple[str, str]:
    """Begin and end of night on a date, local clock; 22:00 to 06:00 where no pack in force has a say.

    The first pack in force that judges by the night has it, else the first that speaks of one.
    settings: as the site file has them, in which what is not said is missing; wrong ones are passed over.
    on: None = as if all packs were in force.
    """
    own = [(_own_night(pack, settings), _by_night(pack)) for pack in packs if on is None or pack.holds_on(on)]
    for hours in (*(hours for hours, judges in own if judges), *(hours for hours, _ in own)):
        if hours is not None:
            return hours
    return _said(KIND_SETTINGS["noise"][0], settings) or NIGHT


def nights(packs: Sequence[RulePack], settings: Mapping[str, Any]) -> tuple[tuple[date, tuple[str, str]], ...]:
    """From which date on which hours are night at a point, by the packs in force then; the first from ever on.

    settings: as in night_hours.
    """
    days = {day for pack in packs if pack.night for force in pack.in_force for day in (force.from_date, force.to_date)}
    found: list[tuple[date, tuple[str, str]]] = []
    for day in [date.min, *sorted(day for day in days if day is not None)]:
        hours = night_hours(packs, settings, day)
        if not found or found[-1][1] != hours:
            found.append((day, hours))
    return tuple(found)


def _own_night(pack: RulePack, settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """The hours of night by which a pack judges a point, None where it does not speak of them."""
    if pack.night is None:
        return None
    setting = pack.settings.get(pack.night.setting)
    return (setting and _said(setting, settings)) or (pack.night.begin, pack.night.end)


def _said(setting: Setting, settings: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a setting's own type
    """What a point says itself of a setting, None where it is silent or wrong (which is told elsewhere)."""
    value = settings.get(setting.name)
    try:
        return None if value is None else setting.read(value)
    except ValueError:
        return None


def _by_night(pack: RulePack) -> bool:
    """Whether a pack has clauses that hang on the hours of night."""
    return any(clause.period or clause.window in ("day", "night", "calendar_night") for clause in pack.clauses)


def strictest(packs: Sequence[RulePack], settings: Mapping[str, Any], parameter: str) -> float | None:
    """The least upper limit above 0 that packs ever set for a mean of a parameter at a point, None = none. [unit]

    settings: as read_settings gives them.
    """
    rows = (
        row.upper(settings)
        for pack in packs
        for clause in pack.clauses
        if clause.parameter == parameter and clause.statistic == "value"
        for row in clause.rows
        if row.agrees(settings)
    )
    return min((limit for limit in rows if limit is not None and limit > 0.0), default=None)


def validities(packs: Sequence[RulePack], settings: Mapping[str, Any]) -> dict[str, Validity]:
    """How much each kind of window needs, with a row for every kind.

    A kind no pack speaks of needs UNRULED_SHARE of its values (our own choice, unverified).
    settings: as read_settings gives them.
    """
    found = {
        window: Validity(
            window=window,
            part="value",
            minimum=None,
            share=UNRULED_SHARE,
            cite="no pack has a say",
            verified=False,
            operating=any(pack.states for pack in packs),
        )
        for window in KINDS
    }
    for row in (row for pack in reversed(packs) for row in pack.validity):
        share = settings[row.setting] if row.setting else row.share
        found[row.window] = Validity(
            window=row.window, part=row.part, minimum=row.minimum, share=share, cite=row.cite, verified=row.verified,
            missing=row.missing, operating=row.operating,
        )  # fmt: skip
    return found


def rounded(clause: Clause, value: npt.ArrayLike) -> Float64:
    """Values rounded as a clause says; arrays in, arrays out. [unit]"""
    if clause.rounding == "half_even":
        return round_half_even(value, clause.places)
    if clause.rounding == "half_up":
        return round_half_up(value, clause.places)
    return np.asarray(value, np.float64)


def breach(
    clause: Clause, average: Average, conditions: Conditions | None = None, *, counted: int | None = None
) -> tuple[float, float] | None:
    """What was compared and the limit it breaks, or None. [unit]

    Compared is `average.maximum` (statistic maximum), else `counted` (statistic count), else `average.evaluated` where
    the clause evaluates, else `average.value`. conditions: means of the other channels over the same window, as far as
    known. counted: as `counts.counted` gives it.
    """
    assert clause.parameter == average.parameter, "an average is judged by the clauses of its parameter"
    if clause.statistic == "maximum":
        compared = None if average.maximum is None else float(rounded(clause, average.maximum))
    elif clause.count is not None:
        compared = None if counted is None else float(counted)
    elif not average.valid:
        return None
    else:
        compared = average.evaluated if clause.evaluates else average.value
    if compared is None or math.isnan(compared):
        return None
    limit = _broken(clause, compared, conditions)
    return None if limit is None else (compared, limit)


def _broken(clause: Clause, compared: float, conditions: Conditions | None) -> float | None:
    """The bound that a value breaks, None where it complies."""
    low, high = clause.bounds(conditions)
    if high is not None and compared > high:
        return high
    return low if low is not None and compared < low else None


def breaking(clause: Clause, value: npt.ArrayLike, conditions: Conditions | None = None) -> Booleans:
    """Which of many values break a clause: booleans of the same shape; NaN breaks nothing.

    value: corrected already where the clause says so; rounding is done here. [unit]
    """
    compared = rounded(clause, value)
    low, high = clause.bounds(conditions)
    above = compared > high if high is not None else np.zeros(compared.shape, np.bool_)
    return np.asarray(above | (compared < low) if low is not None else above)


def site_faults(site: Site, packs: Mapping[str, RulePack], on: date) -> list[Fault]:
    """What is wrong with the points' rules and settings: unknown packs, wrong kind, missing or unknown settings."""
    faults: list[Fault] = []
    for number, point in enumerate(site.points):
        table = Table(site.document, f"point[{number}]", {}, faults)
        named = _named(point, packs, table)
        for pack in named:
            if not pack.holds_on(on):
                table.fault("rules", f"{pack.id!r} is not in force on {on}", "see `emitwatch rules show`")
        if problem := mixed(named, point.settings):
            table.fault("rules", problem, MIXED_HINT)
        faults += _point_settings(site, point, named, table.place("settings"))
    return faults


def _point_settings(site: Site, point: Point, named: Sequence[RulePack], path: str) -> list[Fault]:
    """What is wrong with a point's settings; unknown ones are known as such only where all its packs are."""
    kind = point.kind or next((pack.kind for pack in named), "")
    asked = [*(s for pack in named for s in pack.settings.values()), *KIND_SETTINGS.get(kind, ())]
    complete = len(named) == len(point.rules) and bool(kind)
    chosen, faults = _read(asked, point.settings, site.document, path, strict=complete)
    for name, value in point.settings.items():  # `_read` takes texts for numbers, as a command line gives them
        if isinstance(value, str) and isinstance(chosen.get(name), bool | int | float):
            message = f"{value!r} is a text, not a value"
            faults.append(site.document.fault(f"{path}.{name}", message, f"write {name} = {value}, without quotes"))
    return faults


def _named(point: Point, packs: Mapping[str, RulePack], table: Table) -> list[RulePack]:
    """The packs a point names, as far as they exist and are for its kind."""
    found = []
    for id in point.rules:
        if not id:  # noted already
            continue
        if id not in packs:
            near = difflib.get_close_matches(id, packs, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known packs: {', '.join(sorted(packs))}"
            table.fault("rules", f"no rule pack {id!r}", hint)
        elif point.kind not in ("", packs[id].kind):
            table.fault("rules", f"{id!r} is for {packs[id].kind}, not {point.kind}", "see `emitwatch rules list`")
        else:
            found.append(packs[id])
    return found

"""What the packs of one point say together: hours of night, validity, the strictest limit, and what is wrong with them.

- Where several packs have a say about the validity that is shown, the first one named wins; each is judged by its own
  (`points.by_validity`). Packs in force at the same time whose nights differ cannot judge one point by them; hours of
  night are those of the packs in force on the date.

Pure.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from collector.verdicts.limits import KIND_SETTINGS, read_asked
from collector.verdicts.pack import RulePack, Setting
from collector.verdicts.validity import UNRULED_SHARE, Validity
from collector.verdicts.windows import KINDS, NIGHT
from gateway.document import Fault, Table
from gateway.settings import Point, Site

MIXED_HINT = "name them at two points, with a sensor each or two of one link"


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
    for pack in reversed(packs):
        hour = pack.us.hour if pack.us else None
        for row in pack.validity:
            share = settings[row.setting] if row.setting else row.share
            found[row.window] = Validity(
                window=row.window, part=row.part, minimum=row.minimum, share=share, missing=row.missing,
                operating=row.operating, quadrants=hour if row.quadrants else None, cite=row.cite,
                verified=row.verified,
            )  # fmt: skip
    return found


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
    chosen, faults = read_asked(asked, point.settings, site.document, path, strict=complete)
    for name, value in point.settings.items():  # `read_asked` takes texts for numbers, as a command line gives them
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

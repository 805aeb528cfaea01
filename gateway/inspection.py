"""Inspection: how instruments are set and which ones they are, read back at the start and every hour.

Whoever changes a span, a slope or a unit number at the instrument changes every value that follows. `gateway.readback`
says which registers tell it and what they mean; this module says whose turn it is, and what there is to record:

- all sensors are inspected within SPREAD_NS of the start, and then every EVERY_NS, spread over the hour. One request at
  a time, when the link has nothing else to do: no value waits for it;
- a request that brings no answer is made again after RETRY_NS, each time after twice the wait. What could not be read
  is no change. An instrument that gives its values and not its settings for UNREAD_NS is told, once;
- what is refused with exception 2 is halved, and what is refused alone is told and asked no more by this process;
- an instrument whose serial number is not the one in the site file is told once, by each process;
- what an instrument says is recorded where nothing of it was recorded before, by this process or an earlier one; then
  each change, with what it was before. A constant that is something else is recorded when it is first seen so.

Pure: words and `now_ns` in, notes out. `now_ns` is monotonic. [ns]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from gateway.blocks import Block, Part, divide, halves
from gateway.links.link import Remedy, policy
from gateway.measurement import SECOND_NS, UInt16
from gateway.profiles import Item, Profile
from gateway.readback import Change, Said, changes, contradictions, read_items
from gateway.sensors import Sensor

EVERY_NS = 3600 * SECOND_NS
SPREAD_NS = 60 * SECOND_NS
RETRY_NS = (60 * SECOND_NS, EVERY_NS)  # first, longest
UNREAD_NS = 2 * EVERY_NS
PRESSING_NS = 600 * SECOND_NS  # overdue for so long, a busy link has to find a moment
FIGURES = 14  # of a record, beside sensor and profile
ILLEGAL_ADDRESS = 2

Value: TypeAlias = float | str | None
Told: TypeAlias = Mapping[str, Mapping[str, Value]]  # what was recorded, by sensor and profile (`_key`)
Note: TypeAlias = tuple[str, str, Mapping[str, Any]]  # a word for machines, a sentence, figures


class Wanted(NamedTuple):
    """A request to be made. overdue_ns: since it should have been made."""

    sensor: Sensor
    part: Part
    overdue_ns: int


@dataclass(slots=True)
class _Inspection:
    """Of one sensor. left: still to be asked for; answers: what came. due_ns: next. read_ns: when it last was whole.

    failures: in a row. parts: what one whole inspection asks for. unread: that it cannot be read was told.
    stranger: the serial number of another instrument than the site file names, as it was told.
    """

    sensor: Sensor
    parts: list[Part]
    due_ns: int
    next_ns: int
    read_ns: int
    left: list[Part] = field(default_factory=list)
    answers: dict[Block, UInt16] = field(default_factory=dict)
    failures: int = 0
    unread: bool = False
    stranger: Value = None


class Inspections:
    """The inspections of some sensors; those whose profile names nothing to read back have none.

    told: what was recorded before, by this process or an earlier one (`remembered`).
    """

    def __init__(self, sensors: Iterable[Sensor], now_ns: int, told: Told) -> None:
        mine = [sensor for sensor in sensors if sensor.profile.settings or sensor.profile.identity]
        self._all: dict[str, _Inspection] = {}
        self.told = dict(told)  # of those that are away, too: they may come back set otherwise
        self.changed = False  # what was told, since somebody kept it
        for number, sensor in enumerate(mine):
            items = (*sensor.profile.settings, *sensor.profile.identity)
            parts = divide((_span(item) for item in items), sensor.profile.limits, sensor.plan.cost)
            self._all[sensor.settings.id] = _Inspection(
                sensor, list(parts), now_ns + number * SPREAD_NS // len(mine),
                now_ns + (number + 1) * EVERY_NS // len(mine), now_ns,
            )  # fmt: skip

    def take_over(self, before: Inspections) -> None:
        """Go on where others, of the configuration before, were, with sensors that are still the same.

        What was told is told, whoever is inspected now.
        """
        for id, one in self._all.items():
            old = before._all.get(id)
            if old and old.sensor.profile == one.sensor.profile and old.sensor.link == one.sensor.link:
                one.due_ns, one.next_ns, one.read_ns, one.failures = old.due_ns, old.next_ns, old.read_ns, old.failures
                one.parts, one.left, one.answers, one.unread = old.parts, old.left, old.answers, old.unread
                if old.sensor.settings.serial == one.sensor.settings.serial:
                    one.stranger = old.stranger
        self.told |= before.told
        self.changed |= before.changed

    def wanted(self, sensors: Iterable[str], now_ns: int) -> Wanted | None:
        """The next request to some sensors, the most overdue first; None = none is due."""
        some = [one for id in sensors if (one := self._all.get(id)) and one.parts and one.due_ns <= now_ns]
        one = min(some, key=lambda one: one.due_ns, default=None)
        if one is None:
            return None
        if not one.left:
            one.left, one.answers = list(one.parts), {}
        return Wanted(one.sensor, one.left[0], now_ns - one.due_ns)

    # --- what came of it ---------------------------------------------------------------------------------------

    def answered(self, wanted: Wanted, words: UInt16, now_ns: int) -> list[Note]:
        """The words of a request; what there is to record."""
        one = self._all[wanted.sensor.settings.id]
        one.answers[wanted.part.block] = words
        one.left.remove(wanted.part)
        one.failures = 0
        return [] if one.left else self._over(one, now_ns)

    def refused(self, wanted: Wanted, code: int, now_ns: int) -> list[Note]:
        """A request was refused with an exception."""
        one, part = self._all[wanted.sensor.settings.id], wanted.part
        if policy(code).remedy is not Remedy.NONE:
            return self.failed(wanted, now_ns, f"exception {code}")
        one.left.remove(part)
        at = one.parts.index(part)
        rest = halves(part, one.sensor.profile.limits) if code == ILLEGAL_ADDRESS else ()
        one.parts[at : at + 1] = rest
        one.left[:0] = rest
        notes = [] if rest else [_refused(one.sensor, part, code)]
        return notes if one.left else [*notes, *self._over(one, now_ns)]

    def failed(self, wanted: Wanted, now_ns: int, problem: str) -> list[Note]:
        """A request brought no answer."""
        one = self._all[wanted.sensor.settings.id]
        first_ns, longest_ns = RETRY_NS
        one.due_ns = now_ns + min(first_ns << min(one.failures, 10), longest_ns)
        one.failures += 1
        return self._unread(one, now_ns, problem)

    def _unread(self, one: _Inspection, now_ns: int, problem: str) -> list[Note]:
        if one.unread or now_ns - one.read_ns < UNREAD_NS or not one.parts:
            return []
        one.unread = True
        id = one.sensor.settings.id
        text = f"the settings of {id} have not been read back for {(now_ns - one.read_ns) / EVERY_NS:.0f} h: {problem}"
        return [("settings_unread", text, {"sensor": id, "problem": problem})]

    def _over(self, one: _Inspection, now_ns: int) -> list[Note]:
        """All that can be read was."""
        one.read_ns, one.unread = now_ns, False
        one.due_ns = one.next_ns
        while one.due_ns <= now_ns:
            one.due_ns += EVERY_NS
        one.next_ns = one.due_ns + EVERY_NS
        profile = one.sensor.profile
        said = read_items(profile, one.answers)
        before = self.told.get(_key(one.sensor), {})
        notes = _first(one.sensor, {name: said[name] for name in said if name not in before})
        notes += [_change(one.sensor, change) for change in changes(before, said)]
        wrong = [c for c in contradictions(profile, said) if c.name not in before or before[c.name] != c.after]
        notes += [_contradiction(one.sensor, change) for change in wrong]
        if notes:
            self.told[_key(one.sensor)] = {**before, **said}
            self.changed = True
        other = other_instrument(one.sensor.settings.serial, said)
        if other and other.after != one.stranger:
            notes.append(_stranger(one.sensor, other))
        one.stranger = other.after if other else None
        return notes

    def remembered(self) -> Told:
        """What was recorded of each sensor, also of those that are away, for the next process."""
        return dict(self.told)


def _key(sensor: Sensor) -> str:
    """What was said by one profile says nothing of another. Neither name has a blank."""
    return f"{sensor.settings.id} {sensor.profile.name}"


def _span(item: Item) -> Block:
    return Block(item.fc, item.address, item.count)


def _items(profile: Profile) -> Iterator[Item]:
    yield from profile.settings
    yield from profile.identity


# --- in words ------------------------------------------------------------------------------------------------------


def _first(sensor: Sensor, said: Said) -> list[Note]:
    """What an instrument says of itself, in as many records as it takes."""
    id, profile, names = sensor.settings.id, sensor.profile, list(said)
    units = {item.name: item.unit for item in _items(profile)}
    notes: list[Note] = []
    for at in range(0, len(names), FIGURES):
        part = {name: said[name] for name in names[at : at + FIGURES]}
        told = ", ".join(f"{name} {_shown(value, units[name])}" for name, value in part.items())
        notes.append(("settings", f"{id} says of itself: {told}", {**part, "sensor": id, "profile": profile.name}))
    return notes


def _change(sensor: Sensor, change: Change) -> Note:
    unit, item = _item(sensor.profile, change.name)
    text = (
        f"{change.name} of {sensor.settings.id} was {_shown(change.before, unit)} and is {_shown(change.after, unit)}"
        f" (register {item.fc}:{item.address})"
    )
    return "setting_changed", text, _figures(sensor, change)


def _contradiction(sensor: Sensor, change: Change) -> Note:
    unit, item = _item(sensor.profile, change.name)
    text = (
        f"{change.name} of {sensor.settings.id} is {_shown(change.after, unit)}, and of a {sensor.profile.name} always "
        f"{_shown(change.before, unit)} (register {item.fc}:{item.address}): another instrument, or another word order?"
    )
    return "contradiction", text, _figures(sensor, change)


def _stranger(sensor: Sensor, change: Change) -> Note:
    id = sensor.settings.id
    text = (
        f"the instrument of {id} says that its serial number is {_shown(change.after, '')}, and the site file has "
        f"{_shown(change.before, '')}: was it exchanged? `emitwatch swap` records that"
    )
    return "other_instrument", text, _figures(sensor, change)


def _refused(sensor: Sensor, part: Part, code: int) -> Note:
    names = [item.name for item in _items(sensor.profile) if _span(item) in part.spans]
    text = f"{', '.join(names)} of {sensor.settings.id} cannot be read back: it refuses them (exception {code})"
    detail = {"sensor": sensor.settings.id, "profile": sensor.profile.name, "settings": " ".join(names)}
    return "configuration", text, detail


def _figures(sensor: Sensor, change: Change) -> Mapping[str, Any]:
    return {
        "sensor": sensor.settings.id, "profile": sensor.profile.name, "setting": change.name,
        "before": change.before, "after": change.after,
    }  # fmt: skip


def _item(profile: Profile, name: str) -> tuple[str, Item]:
    item = next(item for item in _items(profile) if item.name == name)
    return item.unit, item


def _shown(value: Value, unit: str) -> str:
    if value is None:
        return "nothing"
    return f"{value:.9g} {unit}".rstrip() if isinstance(value, float) else f'"{value}"'


# --- from one process to the next ----------------------------------------------------------------------------------


def told_text(told: Told) -> str:
    """What was recorded, as text to be kept.

    >>> told_of(told_text({"cems-1 fer-1000": {"serial_number": None, "span": 500.0}}))
    {'cems-1 fer-1000': {'serial_number': None, 'span': 500.0}}
    """
    return json.dumps(told, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def told_of(text: str) -> dict[str, dict[str, Value]]:
    """What was recorded, by such a text; what cannot be read was never told."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    sensors = found.items() if isinstance(found, dict) else ()
    return {
        id: {name: float(v) if isinstance(v, int | float) else v for name, v in said.items() if _plain(v)}
        for id, said in sensors
        if isinstance(said, dict)
    }


def _plain(value: object) -> bool:
    return value is None or (isinstance(value, int | float | str) and not isinstance(value, bool))


def other_instrument(serial: str, said: Said) -> Change | None:
    """That an instrument says another serial number than it should have; None = it says that one, or none.

    serial: as the site file has it, "" = none. Blanks, leading zeros and the case of letters are no difference, and a
    serial number that is a number in its register is one.
    >>> other_instrument("007-a12", {"serial_number": "7-A12"}), other_instrument("4711", {"serial_number": 4711.0})
    (None, None)
    >>> other_instrument("4711", {"serial_number": "4712"})
    Change(name='serial_number', before='4711', after='4712')
    """
    found = said.get("serial_number")
    if not serial or found is None or _serial(found) == _serial(serial):
        return None
    return Change("serial_number", serial, found)


def _serial(said: float | str) -> str:
    text = f"{said:.0f}" if isinstance(said, float) else said
    return "".join(text.split()).lstrip("0").casefold()

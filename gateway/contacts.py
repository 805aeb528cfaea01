"""Contacts: what the inputs of all sensors say right now, and over which measurements that is laid.

`gateway.inputs` reads them from the site file, the poller brings their words. Rules:

- an input at the unit of its sensor is read in every poll of it, after the values. All others are at *input modules*,
  units that are read by themselves, once for all sensors that name them: as often as the fastest of these sensors,
  but not more than once a second, and at least every ten;
- a word is laid over the values of ticks that lie within AGE_NS of its reading. Then, and as long as it could never be
  read, the input says nothing: the values keep their own status, and that it cannot be read is told, once;
- of a sensor's inputs the first one that says something and holds decides. It outranks what the instrument says of
  itself, also where there is no value: a person turned that key.

Pure and by column: one entry a series of all that a gateway polls. Times are those of the ticks. [ns since 1970 UTC]
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from gateway.blocks import Block, Cost, Limits, Part, divide, halves, link_cost
from gateway.breaker import Breaker
from gateway.inputs import Input, holds, input_parts, words_at
from gateway.links.address import Link
from gateway.measurement import SECOND_NS, Int64, Series, UInt8, UInt16
from gateway.plans import Index
from gateway.sensors import Sensor

AGE_NS = 30 * SECOND_NS  # three readings of the slowest module: one that is missed is no news
FASTEST_NS, SLOWEST_NS = SECOND_NS, 10 * SECOND_NS  # between two readings of a module: a hand turns the key
NOTHING = 255  # no status of a measurement
Place: TypeAlias = tuple[tuple[str, str, int], int]  # bus and unit


@dataclass(slots=True, eq=False, kw_only=True)
class Source:
    """Inputs at one unit that are read together.

    sensors: ids of those they are about. interval_ns: between two readings, 0 = with each poll of the sensor.
    limits: of what the unit answers. blocks: of the inputs. parts: the requests. resting: those that bring nothing.
    heard_ns: when all of it was last there, at first when it was made. problem: as it was told, "" = nothing was.
    job: its number in the turns of its bus.
    """

    link: Link
    sensors: tuple[str, ...]
    interval_ns: int
    limits: Limits
    blocks: frozenset[Block]
    parts: list[Part]
    heard_ns: int
    resting: dict[Part, Breaker] = field(default_factory=dict)
    problem: str = ""
    job: int = -1

    @property
    def name(self) -> str:
        """Where it is, for people."""
        link = self.link
        return f"{link.kind}://{link.address}{f':{link.port}' if link.port else ''}?unit={link.unit}"

    @property
    def whole(self) -> bool:
        """Whether all parts bring something."""
        return not self.resting

    def alike(self, other: Source) -> bool:
        """Whether another is read in the same way, whatever became of its parts."""
        return (self.link, self.interval_ns, self.limits, self.blocks) == (
            other.link, other.interval_ns, other.limits, other.blocks,
        )  # fmt: skip

    def about(self, sensors: tuple[str, ...]) -> Source:
        """The same, about other sensors from now on."""
        self.sensors = sensors
        return self

    def next(self, asked: Collection[Part], now_ns: int) -> Part | None:
        """The next part to be asked for; none that was, or that rests. now_ns: monotonic."""
        for part in self.parts:
            if part not in asked and not (self.resting and part in self.resting and self.resting[part].resting(now_ns)):
                return part
        return None

    def halve(self, part: Part) -> bool:
        """A part was refused with exception 2: it is halved; False where it cannot be."""
        rest = halves(part, self.limits)
        if rest:
            at = self.parts.index(part)
            self.parts[at : at + 1] = rest
            self.resting.pop(part, None)
        return bool(rest)

    def rest(self, part: Part, now_ns: int) -> None:
        """A part brought nothing: after some times it is asked for now and then. now_ns: monotonic."""
        self.resting.setdefault(part, Breaker()).failed(now_ns)

    def works(self, part: Part) -> None:
        """A part brought its words."""
        if self.resting:
            self.resting.pop(part, None)

    def answered(self, at_ns: int) -> bool:
        """All of it was there; whether it had been told that it is not."""
        self.heard_ns, told, self.problem = at_ns, bool(self.problem), ""
        return told

    def failed(self, at_ns: int, problem: str) -> bool:
        """Some of it was not; whether that is to be told now: what it said does not count any longer."""
        if self.problem or at_ns - self.heard_ns <= AGE_NS:
            return False
        self.problem = problem
        return True


@dataclass(slots=True, eq=False)
class _Slot:
    """An input of a sensor. id: of that, sensor: its number. rows: the series it is about. holds: at_ns; 0 = never."""

    id: str
    sensor: int
    item: Input
    rows: Index
    holds: bool = False
    at_ns: int = 0


@dataclass(slots=True)
class _Named:
    """The inputs at one input module, and which sensors name them, how often these are polled."""

    link: Link
    items: list[Input] = field(default_factory=list)
    sensors: dict[str, None] = field(default_factory=dict)
    interval_ns: int = SLOWEST_NS


class Contacts:
    """What the inputs of some sensors say. series: all that is measured, as rows are numbered. now_ns: of the start.

    modules: what is read by itself. own: by id of the sensor, what is read with its polls.
    """

    def __init__(self, sensors: Sequence[Sensor], series: Sequence[Series], now_ns: int) -> None:
        self._said: UInt8 = np.full(len(series), NOTHING, np.uint8)
        self._at_ns: Int64 = np.zeros(len(series), np.int64)
        self._laid = False
        self._slots: dict[Place, list[_Slot]] = {}
        self._of: dict[int, list[_Slot]] = {}
        self.own: dict[str, Source] = {}
        with_inputs = [number for number, sensor in enumerate(sensors) if sensor.settings.inputs]
        rows: dict[str, list[int]] = {}
        for row, one in enumerate(series) if with_inputs else ():
            rows.setdefault(one.sensor, []).append(row)
        named: dict[Place, _Named] = {}
        known = {place_of(sensor.link): sensor.link for sensor in sensors} if with_inputs else {}
        for number in with_inputs:
            sensor = sensors[number]
            settings, own = sensor.settings, []
            for item in settings.inputs:
                link = item.link or settings.link
                mine = [r for r in rows[settings.id] if not item.parameters or series[r].parameter in item.parameters]
                slot = _Slot(settings.id, number, item, np.array(mine, np.intp))
                self._slots.setdefault(place_of(link), []).append(slot)
                self._of.setdefault(number, []).append(slot)
                if place_of(link) == place_of(settings.link):
                    own.append(item)
                    continue
                module = named.setdefault(place_of(link), _Named(known.get(place_of(link), link)))
                module.items.append(item)
                module.sensors[settings.id] = None
                fastest = min(rate.interval_ns for rate in sensor.rates)
                module.interval_ns = max(FASTEST_NS, min(module.interval_ns, fastest))
            if own:
                self.own[settings.id] = _own(sensor, own, now_ns)
        self.modules = tuple(_module(one, now_ns) for one in named.values())

    def take_over(self, before: Contacts) -> None:
        """Go on where others were. What is read as before is the same source, with all that is known of it."""
        were = {place_of(one.link): one for one in before.modules}
        self.modules = tuple(
            old.about(new.sensors) if (old := were.get(place_of(new.link))) and old.alike(new) else new
            for new in self.modules
        )
        self.own.update((id, old) for id, old in before.own.items() if id in self.own and old.alike(self.own[id]))
        known = {(slot.id, slot.item): slot for slots in before._slots.values() for slot in slots}
        for slot in (slot for slots in self._slots.values() for slot in slots):
            if old_slot := known.get((slot.id, slot.item)):
                slot.holds, slot.at_ns = old_slot.holds, old_slot.at_ns
        for number, slots in self._of.items():
            self._settle(number, max(slot.at_ns for slot in slots))

    def sources(self) -> Iterator[Source]:
        """Everything that inputs are read from."""
        yield from self.modules
        yield from self.own.values()

    def differs(self, source: Source, part: Part, words: UInt16) -> bool:
        """Whether the words of a part say something else than the last ones did."""
        return any(slot.holds is not now for slot, now in self._heard(source, part, words))

    def hear(self, source: Source, part: Part, words: UInt16, at_ns: int) -> None:
        """The words of a part of a source. words: shape (part.block.count,). at_ns: when they were read."""
        touched = set()
        for slot, now in self._heard(source, part, words):
            if slot.holds or now:
                touched.add(slot.sensor)
            slot.holds, slot.at_ns = now, at_ns
        for number in touched:
            self._settle(number, at_ns)

    def _heard(self, source: Source, part: Part, words: UInt16) -> Iterator[tuple[_Slot, bool]]:
        found = words_at(part, words)
        for slot in self._slots.get(place_of(source.link), ()):
            if slot.item.block in found:
                yield slot, holds(slot.item.condition, found[slot.item.block])

    def _settle(self, number: int, now_ns: int) -> None:
        """What the inputs of a sensor say together."""
        slots = self._of[number]
        for slot in slots:
            self._said[slot.rows] = NOTHING
        for slot in reversed(slots):
            if slot.holds and abs(now_ns - slot.at_ns) <= AGE_NS:
                self._said[slot.rows], self._at_ns[slot.rows] = slot.item.status, slot.at_ns
        self._laid = bool((self._said != NOTHING).any())

    def lay(self, rows: Index, time_ns: Int64, status: UInt8) -> UInt8:
        """Statuses of values of some series, shapes (r,), as the inputs have them; the same array where none holds."""
        if not self._laid:
            return status
        said = self._said[rows]
        hit = (said != NOTHING) & (np.abs(time_ns - self._at_ns[rows]) <= AGE_NS)
        return np.where(hit, said, status) if hit.any() else status


def place_of(link: Link) -> Place:
    """The unit behind a link."""
    return link.bus, link.unit


def _own(sensor: Sensor, items: Iterable[Input], now_ns: int) -> Source:
    limits, link = sensor.profile.limits, sensor.link
    blocks = frozenset(item.block for item in items)
    return Source(
        link=link, sensors=(sensor.settings.id,), interval_ns=0, limits=limits, blocks=blocks,
        parts=list(divide(blocks, limits, _cost(link))), heard_ns=now_ns,
    )  # fmt: skip


def _module(one: _Named, now_ns: int) -> Source:
    return Source(
        link=one.link, sensors=tuple(one.sensors), interval_ns=one.interval_ns, limits=Limits(), heard_ns=now_ns,
        blocks=frozenset(item.block for item in one.items), parts=list(input_parts(one.items, _cost(one.link))),
    )  # fmt: skip


def _cost(link: Link) -> Cost:
    return link_cost(link.kind, link.line.baud) if link.kind == "rtu" else link_cost(link.kind)

"""What becomes of each reading when a gateway goes on with other sensors.

- A reading of a sensor that stands there as before, read over the same way, by the same plan and as often, is kept: it
  is not touched, whatever becomes of the others.
- A reading that begins is the heir of those that end and gave one of its series: it goes on where they stop
  (`gateway.schedule.onward`), whatever else is different: the link, the registers, the interval.
- All others end with the last tick that was told of them, or begin with the next that comes.

Pure: readings before and after in, their numbers out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.harvest import Reading
from gateway.schedule import Standing, onward
from gateway.watchdog import enumeration


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What becomes of readings, by their numbers.

    kept: after -> before. begun: after -> the readings before that it is the heir of, () = none. ended: before.
    added, changed, removed: ids of sensors.
    """

    kept: Mapping[int, int]
    begun: Mapping[int, tuple[int, ...]]
    ended: tuple[int, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def begins(self, after: Sequence[Reading], before: Mapping[int, Standing]) -> dict[int, Standing]:
        """Where the ticks of each reading that begins do so. before: how far those that end have come."""
        return {n: onward([before[was] for was in heir], after[n].interval_ns) for n, heir in self.begun.items()}

    def missed(self, begins: Mapping[int, Standing], before: Mapping[int, Standing]) -> dict[int, int]:
        """The ticks that have come, of readings that end, and that no heir serves: number before -> tick. [ns]"""
        served = {(was, begins[n].tick_ns) for n, heir in self.begun.items() for was in heir}
        return {n: one.tick_ns for n, one in before.items() if one.tick_ns and (n, one.tick_ns) not in served}

    def __str__(self) -> str:
        """For people."""
        parts = [("begins", self.added), ("changed", self.changed), ("ends", self.removed)]
        return "; ".join(f"{what}: {enumeration(ids)}" for what, ids in parts if ids) or "no sensor changes"


def revise(before: Sequence[Reading], after: Sequence[Reading]) -> Revision:
    """What becomes of readings."""
    places = {_place(reading): number for number, reading in enumerate(before)}
    kept = {
        number: places[_place(reading)]
        for number, reading in enumerate(after)
        if _place(reading) in places and _alike(before[places[_place(reading)]], reading)
    }
    ended = tuple(sorted(set(range(len(before))) - set(kept.values())))
    givers: dict[tuple[str, str], int] = {key: number for number in ended for key in _given(before[number])}
    begun = {
        number: tuple(sorted({givers[key] for key in _given(reading) if key in givers}))
        for number, reading in enumerate(after)
        if number not in kept
    }
    return Revision(
        kept=kept, begun=begun, ended=ended,
        **_names({_id(before[n]) for n in ended}, {_id(after[n]) for n in begun}, before, after),
    )  # fmt: skip


def _id(reading: Reading) -> str:
    return reading.sensor.settings.id


def _place(reading: Reading) -> tuple[str, int]:
    """What tells the readings of one configuration apart: a sensor has one for each interval."""
    return _id(reading), reading.interval_ns


def _given(reading: Reading) -> list[tuple[str, str]]:
    return [(series.sensor, series.parameter) for series in reading.series]


def _alike(a: Reading, b: Reading) -> bool:
    """Whether nobody could tell one reading from the other by what it does."""
    return (
        a.series == b.series
        and a.interval_ns == b.interval_ns
        and a.plan == b.plan
        and a.sensor.link == b.sensor.link
        and a.sensor.settings == b.sensor.settings
    )


def _names(
    ended: set[str], begun: set[str], before: Iterable[Reading], after: Iterable[Reading]
) -> dict[str, tuple[str, ...]]:
    """Which sensors are new, other than they were, or gone, in the order of their files."""
    old, new = dict.fromkeys(map(_id, before)), dict.fromkeys(map(_id, after))
    return {
        "added": tuple(id for id in new if id not in old),
        "changed": tuple(id for id in new if id in old and (id in ended or id in begun)),
        "removed": tuple(id for id in old if id not in new),
    }

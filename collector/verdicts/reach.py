"""Reach: of which time a value speaks that tells the state of a plant or the weather, beyond its own instant.

Rules of this file:

- what a window comes to hangs on its own measurements and on what was said of its time. A slow channel says it with
  values that began before the window, and with those that come later in the stretch of time that they share
  (`state_sources`, `weather`): these are looked at too, and when such a value comes, all of the time that it speaks
  of is derived anew. So a window is the same whatever is derived with it, and in whatever order values came;
- a value of any other channel speaks of its own minute, but for one that says that the plant is stopped;
- a level that stands for more minutes than one goes where any of them is left out, so weather speaks of the levels
  that began before it.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts.derived import weather_rule
from collector.verdicts.points import PointRules
from collector.verdicts.state_sources import channels, grid_ns
from collector.verdicts.weather import heeded, overhang_ns
from collector.verdicts.windows import MINUTE_NS, minutes_of
from gateway.measurement import Int64, Series, Status, UInt8

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """What the values of a channel speak of: from the start of the cell of a grid, so long as that and they last. [ns]

    grid_ns: length of the cells, > 0. stands_ns: how long a value stands whatever its cell. back_ns: how much before
    its cell is derived with it. always: whether all its values speak, or only those that say that the plant is stopped.
    """

    grid_ns: int = MINUTE_NS
    stands_ns: int = 0
    back_ns: int = 0
    always: bool = False

    @property
    def beyond(self) -> bool:
        """Whether it may speak of more than the minute of a value."""
        return self.grid_ns != MINUTE_NS or self.stands_ns > 0 or self.back_ns > 0

    def heard(self, from_ns: int, to_ns: int) -> Span:
        """The instants [first, last) whose values speak of a part of [from_ns, to_ns). [ns since 1970 UTC]

        >>> Reach(grid_ns=300).heard(700, 800), Reach(grid_ns=1, stands_ns=3600).heard(7200, 7260)
        ((600, 900), (3601, 7260))
        """
        first = min(from_ns // self.grid_ns * self.grid_ns, from_ns - self.stands_ns + 1)
        return first, -(-(to_ns + self.back_ns) // self.grid_ns) * self.grid_ns


PLAIN = Reach()


def spoken(time_ns: Int64, grid_ns: Int64 | int, stands_ns: Int64 | int, back_ns: Int64 | int) -> tuple[Int64, Int64]:
    """Begin and end of what each value speaks of, shape as given: the same as `Reach.heard`, from the other side. [ns]

    grid_ns, stands_ns, back_ns: of the reach of each.
    """
    cell = time_ns // grid_ns * grid_ns
    return np.asarray(cell - back_ns), np.maximum(cell + grid_ns, time_ns + stands_ns)


def spoken_minutes(time_ns: Int64, status: UInt8, reach: Int64) -> tuple[npt.NDArray[np.intp], Int64]:
    """Each minute of which some values speak: the place of the value, and the number of the minute.

    time_ns, status: shape (n,). reach: of each value, as `Reaches.columns` has them, shape (4, n).
    """
    grid_ns, stands_ns, back_ns, always = reach
    speaks = (always > 0) | (status == Status.STOPPED)
    from_ns, to_ns = spoken(
        time_ns, np.where(speaks, grid_ns, MINUTE_NS), np.where(speaks, stands_ns, 0), np.where(speaks, back_ns, 0)
    )
    return minutes_of(np.maximum(from_ns, 0), to_ns)


class Reaches:
    """The reach of every channel at every point.

    intervals_ns: by plant, sensor and parameter, how much time a value stands for; of others it is a minute at most.
    """

    def __init__(
        self, rules: Mapping[tuple[str, str], PointRules], intervals_ns: Mapping[tuple[str, str, str], int]
    ) -> None:
        self._rules = rules
        self._intervals = intervals_ns
        self._back_ns = {key: _overhang_ns(key[0], one, intervals_ns) for key, one in rules.items()}
        self._beyond = {key: self._further(key) for key in rules}

    def of(self, series: Series) -> Reach:
        """The reach of a channel; that of the others where nobody judges its point."""
        key = (series.plant, series.point)
        known = self._intervals.get((series.plant, series.sensor, series.parameter))
        return self._reach(key, series.parameter, known or MINUTE_NS) if key in self._rules else PLAIN

    def columns(self, series: Sequence[Series]) -> Int64 | None:
        """The reaches of some channels: grid_ns, stands_ns, back_ns and always, shape (4, n).

        None where none goes beyond a minute.
        """
        reaches = [self.of(one) for one in series]
        return np.array([astuple(one) for one in reaches], np.int64).T if any(one.beyond for one in reaches) else None

    def heard(self, series: Series, from_ns: int, to_ns: int) -> Span:
        """The instants [first, last) of a channel that say something of a span; empty where none is beyond its minute.

        [ns since 1970 UTC]
        """
        if series.parameter not in self._beyond[series.plant, series.point]:
            return from_ns, from_ns
        return self.of(series).heard(from_ns, to_ns)

    def around(self, point: tuple[str, str], from_ns: int, to_ns: int) -> Span:
        """The instants at which any channel of a point may say something of a span. [ns since 1970 UTC]"""
        spans = [reach.heard(from_ns, to_ns) for some in self._beyond[point].values() for reach in some]
        return min([from_ns, *(a for a, _ in spans)]), max([to_ns, *(b for _, b in spans)])

    def touched(self, point: tuple[str, str], from_ns: int, to_ns: int) -> Span:
        """The time of which any value of a span may say something, at any point. [ns since 1970 UTC]"""
        ends = np.array([from_ns, to_ns - 1], np.int64)
        spans = [
            spoken(ends, reach.grid_ns, reach.stands_ns, reach.back_ns)
            for some in self._beyond.get(point, {}).values()
            for reach in some
        ]
        return min([from_ns, *(int(a[0]) for a, _ in spans)]), max([to_ns, *(int(b[1]) for _, b in spans)])

    def _further(self, point: tuple[str, str]) -> dict[str, set[Reach]]:
        """The reaches beyond a minute of all channels that may be at a point, by parameter."""
        rules, found = self._rules[point], dict[str, set[Reach]]()
        known = [(name, interval_ns) for (plant, _, name), interval_ns in self._intervals.items() if plant == point[0]]
        telling = channels(rules.settings) | heeded(weather_rule(rules), rules.settings)
        for name, interval_ns in [*known, *((name, MINUTE_NS) for name in telling)]:
            if (reach := self._reach(point, name, interval_ns)).beyond:
                found.setdefault(name, set()).add(reach)
        return found

    def _reach(self, point: tuple[str, str], parameter: str, interval_ns: int) -> Reach:
        rules, cell_ns = self._rules[point], grid_ns(interval_ns)
        stands_ns = 0 if cell_ns else interval_ns
        if parameter in heeded(weather_rule(rules), rules.settings):
            return Reach(max(cell_ns, MINUTE_NS), interval_ns, self._back_ns[point], always=True)
        return Reach(cell_ns or 1, stands_ns, always=parameter in channels(rules.settings))


def _overhang_ns(plant: str, rules: PointRules, intervals_ns: Mapping[tuple[str, str, str], int]) -> int:
    """How long before its minute the weather speaks of levels at a point, at most. [ns]"""
    known = [
        interval_ns
        for (its, sensor, name), interval_ns in intervals_ns.items()
        if its == plant and (sensor in rules.sources or not rules.sources) and interval_ns > 0
        and name in rules.parameters and rules.parameters[name].unit.startswith("dB")
    ]  # fmt: skip
    return int(overhang_ns(np.array([MINUTE_NS, *known], np.int64)).max())

"""When each sensor is polled: at whole multiples of its interval, never twice, never in a burst.

Time here is any count of nanoseconds that never falls - a monotonic clock, or one with a constant
added so that it reads as UTC. Ticks stand at origin_ns + k * interval: with such a clock and origin 0 a sensor with an
interval of 1 s is due at every full second, so that its measurements make a regular series.

Missed ticks follow one policy: they are skipped and counted, and the rhythm stays (a poll that comes
late does not move the next one). Pure: the caller asks with its own `now`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NEVER_NS = 1 << 63  # later than any clock shows


class Standing(NamedTuple):
    """How far the ticks of a sensor have come. [ns]

    told_ns: the last tick whose outcome was told; what comes after it and is not told either was missed. tick_ns: the
    one that waits to be served. 0 = none. after_ns: no further tick stands at or before it.
    """

    interval_ns: int
    told_ns: int = 0
    tick_ns: int = 0
    after_ns: int = 0


def onward(before: Sequence[Standing], interval_ns: int) -> Standing:
    """Where a rhythm begins that goes on with what others gave: no instant is told twice, and what waits is served.

    before: of those that gave some of the same series, all of one interval or not. A tick that waits and does not
    fall into the new rhythm is left out; with the same interval all ticks that were missed are told.

    >>> onward([Standing(60, told_ns=120, after_ns=120)], 60)
    Standing(interval_ns=60, told_ns=120, tick_ns=0, after_ns=120)
    >>> onward([Standing(60, told_ns=120, after_ns=120)], 10)
    Standing(interval_ns=10, told_ns=0, tick_ns=0, after_ns=120)
    >>> onward([Standing(60, told_ns=60, tick_ns=120, after_ns=120)], 40)
    Standing(interval_ns=40, told_ns=0, tick_ns=120, after_ns=120)
    """
    told_ns = max((one.told_ns for one in before), default=0)
    waiting = [one.tick_ns for one in before if one.tick_ns > told_ns and one.tick_ns % interval_ns == 0]
    tick_ns = max(waiting, default=0)
    same = bool(before) and all(one.interval_ns == interval_ns for one in before)
    return Standing(interval_ns, told_ns if same else 0, tick_ns, max(told_ns, tick_ns))


class Schedule:
    """The ticks of several sensors, by their index.

    intervals_ns: time between two ticks of each sensor, > 0. [ns]
    start_ns: no tick stands before it. [ns]
    origin_ns: the instant all rhythms share. [ns]
    missed: ticks of each sensor that passed without being asked for in time.

    >>> schedule = Schedule([1_000, 5_000], start_ns=4_300)
    >>> schedule.due(4_999), schedule.next_ns(4_999)
    ([], 5000)
    >>> schedule.due(5_010), schedule.tick_ns(0), schedule.next_ns(5_010)
    ([0, 1], 5000, 6000)
    >>> schedule.due(8_200), schedule.tick_ns(0), schedule.missed
    ([0], 8000, [2, 0])
    """

    def __init__(self, intervals_ns: Sequence[int], start_ns: int, *, origin_ns: int = 0) -> None:
        assert all(interval > 0 for interval in intervals_ns), "an interval is longer than nothing"
        self._intervals = tuple(intervals_ns)
        self._next = [start_ns + (origin_ns - start_ns) % interval for interval in intervals_ns]
        self._last = [tick - interval for tick, interval in zip(self._next, intervals_ns, strict=True)]
        self.missed = [0] * len(self._intervals)

    def due(self, now_ns: int) -> list[int]:
        """The sensors whose tick has come since they were last returned, by index; each at most once."""
        found = []
        for index, tick in enumerate(self._next):
            if tick > now_ns:
                continue
            interval = self._intervals[index]
            skipped = (now_ns - tick) // interval
            self._last[index] = tick + skipped * interval
            self._next[index] = self._last[index] + interval
            self.missed[index] += skipped
            found.append(index)
        return found

    def skip(self, index: int, upto_ns: int) -> None:
        """No tick of a sensor stands at or before an instant, either."""
        interval = self._intervals[index]
        if self._next[index] <= upto_ns:
            self._next[index] += ((upto_ns - self._next[index]) // interval + 1) * interval

    def tick_ns(self, index: int) -> int:
        """The tick that `due` last returned a sensor for: the instant its measurements carry. [ns]"""
        return self._last[index]

    def next_ns(self, now_ns: int) -> int:
        """When the next sensor is due, `now_ns` if one is already; NEVER_NS where there are no sensors."""
        return max(now_ns, min(self._next, default=NEVER_NS))

"""The journal's time of day: it never falls, never stands still, and finds back to the clock.

Receive times and ticks go by the collector's clock, which people and time servers set. Pure: both clocks come
in as arguments. Rules of this file:

- a clock behind the journal's time is not followed back: the journal's time goes on at half the pace of the
  monotonic clock until the clock has caught up, so ticks go on and windows close, only later;
- a clock set back by more than BACK_NS, or forward by more than AHEAD_NS, is told once, with the figure:
  receive times prove when something was there, so whoever reads them has to know;
- what the clock did while no collector ran is known only where it is behind the journal then.
"""

from __future__ import annotations

from dataclasses import dataclass

# As the gateways tell a step (protocol 2.4): less is what time servers do every day.
BACK_NS = 500_000_000
# A machine that slept, or a first contact with a time server, moves less.
AHEAD_NS = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """The clock was set. by_ns: by how much, negative = back. behind_ns: how far it is behind the journal's time."""

    by_ns: int
    behind_ns: int


class Timekeeper:
    """Gives the journal's time."""

    def __init__(self) -> None:
        self._last_ns = 0
        self._behind = False
        self._read: tuple[int, int] | None = None

    def read(self, now_ns: int, time_ns: int, held_ns: int) -> tuple[int, Step | None]:
        """The journal's time, and the step that the clock made since it was last read.

        now_ns: a monotonic clock. [ns] time_ns: the clock. held_ns: the journal's last receive time, 0 = it is empty.
        [both ns since 1970 UTC]
        """
        before, self._read = self._read, (now_ns, time_ns)
        passed_ns = now_ns - before[0] if before else 0
        by_ns = time_ns - before[1] - passed_ns if before else 0
        self._last_ns = max(time_ns, self._last_ns + passed_ns // 2, held_ns)
        behind_ns, was_behind = self._last_ns - time_ns, self._behind
        self._behind = behind_ns > BACK_NS
        if by_ns < -BACK_NS or by_ns > AHEAD_NS:
            return self._last_ns, Step(by_ns, behind_ns)
        return self._last_ns, Step(-behind_ns, behind_ns) if self._behind and not was_behind else None

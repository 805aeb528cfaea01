"""The journal's disk: when to stop taking batches in, and when it will be full at this pace.

Pure. Rules of this file:

- below CLOSE_SHARE of free space nothing is taken in any more, while there is still room to end in
  order; it is again above OPEN_SHARE, so that it does not flutter at the limit;
- the forecast goes by what the journal itself has grown since its newest month's file was begun.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOSE_SHARE = 0.05
OPEN_SHARE = 0.06
_DAY_NS = 86_400 * 1_000_000_000
# A pace measured over less says nothing.
_SPAN_NS = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Space:
    """A file system. free: what this process may still use. [bytes]"""

    total: int
    free: int

    @property
    def share(self) -> float:
        """Free part of the whole; 1 = empty."""
        return self.free / self.total if self.total else 0.0


class Gauge:
    """Whether there is room to take batches in. trouble: why not; "" = there is."""

    def __init__(self) -> None:
        self.trouble = ""

    def observe(self, space: Space) -> bool:
        """Whether there is room, by what the file system says now."""
        if space.share < (OPEN_SHARE if self.trouble else CLOSE_SHARE):
            self.trouble = (
                f"the journal's disk has {space.share:.1%} of its space left ({space.free // 2**20} MiB): make room "
                f"until {OPEN_SHARE:.0%} is free; until then gateways keep what they measure"
            )
        else:
            self.trouble = ""
        return not self.trouble


def days_left(space: Space, grown: int, span_ns: int) -> float | None:
    """Days until nothing is taken in any more; None where it cannot be told. grown: [bytes] in span_ns: [ns]

    >>> days_left(Space(total=1000, free=550), grown=50, span_ns=86_400 * 10**9)
    10.0
    """
    if span_ns < _SPAN_NS or grown <= 0:
        return None
    usable = max(0.0, space.free - CLOSE_SHARE * space.total)
    return round(usable / grown * span_ns / _DAY_NS, 1)

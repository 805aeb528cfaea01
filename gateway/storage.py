"""How full the outbox is, and how long it will last: what an operator has to know before anything is lost.

Only rows without acknowledgement can fill an outbox: acknowledged ones are evidence, and go first. So the
share is what waits, of all that could wait: the limit, or less where the disk has not so much room left. The
pace is what was sealed within the last hour; divided into what is left, it says how long a collector
may stay away from now on. A disk on which even the reserve has no place is as good as full.

Pure. Source: protocol 2.3 (alarms at 50, 80 and 95 %), 2.5 rows 5 and 6.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

HOUR_NS = 3600 * 10**9
LEVELS = (95, 80, 50)  # [%]
MARKS = 60  # of the pace: one a minute


@dataclass(frozen=True, slots=True)
class Room:
    """What an outbox takes and may take. used: all that is kept; waiting: of it, without acknowledgement. [bytes]

    limit: how large it may become. free: what the disk still has. reserve: laid, spent, or none (never had room).
    """

    used: int
    waiting: int
    limit: int
    free: int
    reserve: str


@dataclass(frozen=True, slots=True)
class Standing:
    """share: of all that could wait. hours_left: at the present pace, None = it will never be full. alarm: 0 = none."""

    share: float
    hours_left: float | None
    alarm: int


def assess(room: Room, bytes_per_hour: float) -> Standing:
    """How the outbox stands.

    >>> assess(Room(used=60, waiting=45, limit=100, free=30, reserve="laid"), 5.0)
    Standing(share=0.5, hours_left=9.0, alarm=50)
    """
    capacity = max(1, min(room.limit, room.used + room.free))
    share = min(1.0, room.waiting / capacity)
    level = next((level for level in LEVELS if share * 100 >= level), 0)
    if room.reserve == "spent":
        level = LEVELS[0]
    left = max(0, capacity - room.waiting) / bytes_per_hour if bytes_per_hour > 0 else None
    return Standing(share, left, level)


def report(room: Room, standing: Standing) -> dict[str, Any]:
    """For the gateway's state. Source: docs/reference/wire.md (State)."""
    left = standing.hours_left
    return {
        "used_bytes": room.used,
        "waiting_bytes": room.waiting,
        "limit_bytes": room.limit,
        "disk_free_bytes": room.free,
        "share": round(standing.share, 4),
        "hours_left": None if left is None else round(left, 1),
        "alarm": standing.alarm,
        "reserve": room.reserve,
    }


class Pace:
    """How much is sealed in an hour, by the last one."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque(maxlen=MARKS + 1)

    def note(self, now_ns: int, total: int) -> None:
        """So many bytes were sealed altogether. [ns, monotonic]"""
        if not self._marks or now_ns - self._marks[-1][0] >= HOUR_NS // MARKS:
            self._marks.append((now_ns, total))

    def per_hour(self, now_ns: int, total: int) -> float:
        """The pace; 0 while it is not known. [bytes/h]"""
        if not self._marks or now_ns <= self._marks[0][0]:
            return 0.0
        first_ns, first = self._marks[0]
        return (total - first) * HOUR_NS / (now_ns - first_ns)

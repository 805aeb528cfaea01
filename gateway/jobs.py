"""What a link's queue (`gateway.turns`) knows of each unit behind it, and of each job. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.breaker import Breaker
from gateway.patience import Patience


@dataclass(slots=True, eq=False)
class Unit:
    """A unit of the link. tried_ns: when last, at first when it was made. owes_ns: until then."""

    patience: Patience
    tried_ns: int
    owes_ns: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    heard: bool = False

    @property
    def dead(self) -> bool:
        """Whether it failed more than once."""
        return self.breaker.failures > 1


@dataclass(slots=True, eq=False)
class Job:
    """A sensor's poll at its ticks, or the reading of an input module.

    told_ns: the last tick whose outcome was told, 0 = none. tick_ns: the one that waits, 0 = none. after_ns: not
    before. tries: of that tick. cost_ns: what a poll takes, smoothed. refused: asks for what is not there.
    """

    unit: Unit
    interval_ns: int
    told_ns: int = 0
    tick_ns: int = 0
    after_ns: int = 0
    tries: int = 0
    served_ns: int = 0
    cost_ns: int = 0
    refused: Breaker = field(default_factory=Breaker)

    @property
    def due_ns(self) -> int:
        """When it may be asked at the earliest."""
        return max(self.after_ns, self.unit.owes_ns)

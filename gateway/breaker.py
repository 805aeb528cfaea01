"""What does not answer is left alone for a while, and may take only a share of the time of what does.

A `Breaker` opens after FAILURES in a row: its unit is then only tried now and then, each time after twice
the wait. A `Budget` is what all such tries on one link may take together. Pure; `now_ns` never falls. [ns]
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3  # in a row, after which a unit is only tried now and then
WAIT_NS = (1_000_000_000, 30_000_000_000)  # between two such tries: first, longest


@dataclass(slots=True)
class Breaker:
    """Whether something that fails is to be tried. failures: in a row. until_ns: it is left alone until then."""

    failures: int = 0
    until_ns: int = 0

    def resting(self, now_ns: int) -> bool:
        """Whether it is not to be tried now."""
        return now_ns < self.until_ns

    def failed(self, now_ns: int) -> None:
        """It failed again: from the third time on it is left alone, each time for twice as long."""
        self.failures += 1
        if self.failures >= FAILURES:
            first, longest = WAIT_NS
            self.until_ns = now_ns + min(first << min(self.failures - FAILURES, 20), longest)

    def worked(self) -> None:
        """It works."""
        self.failures, self.until_ns = 0, 0

    def wake(self) -> None:
        """There is reason to believe that it works again: it is tried as if it had failed but once."""
        self.failures, self.until_ns = min(self.failures, 1), 0


class Budget:
    """A share of the time that passes, of which `saved_ns` at most is saved up; a try may overdraw it. [ns]"""

    __slots__ = ("_at_ns", "_most_ns", "_saved_ns", "_share")

    def __init__(self, share: float, saved_ns: int, now_ns: int) -> None:
        self._share, self._most_ns, self._at_ns, self._saved_ns = share, saved_ns, now_ns, 0.0

    def affords(self, cost_ns: int, now_ns: int) -> bool:
        """Whether a try that may take so long may begin: all of it is saved up, or as much as can be."""
        self._saved_ns = min(self._saved_ns + self._share * (now_ns - self._at_ns), self._most_ns)
        self._at_ns = now_ns
        return self._saved_ns >= min(cost_ns, self._most_ns)

    def spend(self, took_ns: int) -> None:
        """A try took so long."""
        self._saved_ns -= took_ns

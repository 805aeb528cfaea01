"""How long an answer may take: learned from how long the answers of a unit took.

- The time-out is a few times the 99th percentile of the last answers, so that a quick unit that dies costs little;
- it starts generous, since nothing is known of the unit yet, and is never below nor above the limits here;
- each answer that does not come in time doubles it, up to the highest and then from the start again, so that a unit
  that became slower is found, and a dead one does not always cost the most;
- the newest answers count whatever the others were, so that it stays found.

Pure: durations in, a duration out. [ns]
"""

from __future__ import annotations

import math

FIRST_NS = 500_000_000
LOW_NS = 100_000_000  # a busy gateway looks up late, and a time-out costs the connection
HIGH_NS = 5_000_000_000
FACTOR = 3
KEPT = 100  # answers
NEWEST = 4  # of them, that count in full
KNOWN = 8  # answers, before which the first time-out stays the least
LEARN_EVERY = 10  # answers; the percentile of a hundred hardly moves faster


class Patience:
    """The time-out of one unit. learned_ns: by its answers alone. first_ns: least, while these are few. [ns]"""

    __slots__ = ("_at", "_misses", "_p99_ns", "_took_ns", "first_ns", "learned_ns")

    def __init__(self, first_ns: int = FIRST_NS) -> None:
        self.first_ns = first_ns
        self._took_ns: list[int] = []
        self._at = self._misses = self._p99_ns = 0
        self.learned_ns = LOW_NS

    def heard(self, took_ns: int) -> None:
        """An answer came."""
        self._misses = 0
        if len(self._took_ns) < KEPT:
            self._took_ns.append(took_ns)
        else:
            self._took_ns[self._at % KEPT] = took_ns
        self._at += 1
        if self._at % LEARN_EVERY == 0 or self._at <= LEARN_EVERY:
            self._p99_ns = percentile(self._took_ns, 0.99)
        newest = max(self._took_ns[(self._at - 1 - n) % KEPT] for n in range(min(NEWEST, self._at)))
        self.learned_ns = min(max(FACTOR * max(self._p99_ns, newest), LOW_NS), HIGH_NS)

    def missed(self) -> None:
        """No answer came in time."""
        self._misses += 1

    @property
    def least_ns(self) -> int:
        """What an answer may take by what is known, whether or not the last ones came. [ns]"""
        return self.learned_ns if self._at >= KNOWN else min(max(self.learned_ns, self.first_ns), HIGH_NS)

    @property
    def timeout_ns(self) -> int:
        """How long the next answer may take. [ns]"""
        if not self._misses:
            return self.least_ns
        levels = (HIGH_NS // self.least_ns).bit_length()
        return min(self.least_ns << self._misses % (levels + 1), HIGH_NS)


def percentile(numbers: list[int], share: float) -> int:
    """The nearest-rank percentile of some numbers.

    >>> percentile([5, 1, 9, 3], 0.5), percentile([7], 0.99)
    (3, 7)
    """
    return sorted(numbers)[math.ceil(share * len(numbers)) - 1]

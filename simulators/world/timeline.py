"""The world's time: what happens next, happens now.

One heap of actions, each at an instant; of two at the same instant the one that was entered first comes
first. Nothing else makes time pass, so a day takes as long as what happens in it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

START_NS = 1_794_000_000 * 1_000_000_000  # what the true time is when a world begins: November 2026 [ns since 1970 UTC]


class Timeline:
    """now: the true time since the world began. [ns] steps: actions so far."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._entered = 0

    def at(self, when_ns: int, action: Callable[..., None], *arguments: object) -> None:
        """Let something happen at an instant; one that has gone is now."""
        self._entered += 1
        heappush(self._heap, (when_ns if when_ns > self.now else self.now, self._entered, action, arguments))

    def after(self, wait_ns: int, action: Callable[..., None], *arguments: object) -> None:
        """Let something happen in a while."""
        self._entered += 1
        heappush(self._heap, (self.now + wait_ns, self._entered, action, arguments))

    def run(self, until_ns: int) -> None:
        """Let happen all that happens before an instant, which then is now."""
        heap = self._heap
        while heap and heap[0][0] < until_ns:
            self.now, _, action, arguments = heappop(heap)
            self.steps += 1
            action(*arguments)
        self.now = until_ns

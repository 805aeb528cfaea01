"""Dice: the only chance in the world, all of it from the seed.

Each part of the world has dice of its own, named after it, so that a draw more in one part changes nothing
in another. Same names, same throws, on any machine and in any process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")
_THROWS = 1024  # drawn at once: one by one they would take ten times as long


class Dice:
    """Throws that follow from some names. names: a seed, and whose dice these are."""

    def __init__(self, *names: int | str) -> None:
        key = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=16).digest()
        self._source = np.random.Generator(np.random.PCG64(int.from_bytes(key)))
        self._throws: list[float] = []

    def share(self) -> float:
        """At least 0, less than 1."""
        if not self._throws:
            self._throws = self._source.random(_THROWS).tolist()
        return self._throws.pop()

    def chance(self, share: float) -> bool:
        """True in this share of the throws."""
        return self.share() < share

    def below(self, end: int) -> int:
        """A whole number from 0, less than `end`."""
        return int(self.share() * end)

    def between(self, low: float, high: float) -> int:
        """A whole number between two, for times. [ns]"""
        return int(low + (high - low) * (self._throws.pop() if self._throws else self.share()))

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of some."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[_Item], count: int) -> list[_Item]:
        """So many of some, each at most once."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def bytes(self, count: int) -> bytes:
        """So many bytes."""
        return bytes(self.below(256) for _ in range(count))

"""Which batches of a stream are in the store: ranges of numbers, few since numbers are given without gaps.

Pure; a value is never changed, so that readers can keep the one they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Ranges beyond this are joined where the gap is least: the text has to stay below 64 kB. What is in such a gap is
# taken for known and looked up, which costs time only.
RANGES_MAX = 1000

UInt64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Numbers, as ranges. first, last: their ends, both included, ordered and apart, shape (n,)."""

    first: UInt64
    last: UInt64

    @classmethod
    def of(cls, pairs: Iterable[Sequence[int]] = ()) -> Ranges:
        """Ranges of (first, last), ordered and apart."""
        table = np.array([tuple(pair) for pair in pairs], np.uint64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    def pairs(self) -> list[tuple[int, int]]:
        """(first, last) of each."""
        return list(zip(self.first.tolist(), self.last.tolist(), strict=True))

    def contains(self, seq: UInt64) -> npt.NDArray[np.bool_]:
        """Which numbers are in, shape (n,)."""
        if not len(self.first):
            return np.zeros(len(seq), np.bool_)
        place = np.searchsorted(self.first, seq, "right")
        within: npt.NDArray[np.bool_] = seq <= self.last[np.maximum(place, 1) - 1]
        return within & (place > 0)

    def with_numbers(self, seq: UInt64) -> Ranges:
        """These and some more numbers.

        >>> Ranges.of([(1, 3)]).with_numbers(np.array([4, 9], np.uint64)).pairs()
        [(1, 4), (9, 9)]
        """
        added = np.unique(seq)
        first, last = np.concatenate([self.first, added]), np.concatenate([self.last, added])
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        apart = np.ones(len(first), np.bool_)
        apart[1:] = first[1:] > last[:-1] + np.uint64(1)
        first, last = first[apart], last[np.append(apart[1:], True)] if len(last) else last
        if len(first) > RANGES_MAX:
            gaps = first[1:] - last[:-1]
            kept = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - RANGES_MAX + 1 :])
            first, last = first[np.append(0, kept + 1)], last[np.append(kept, len(last) - 1)]
        return Ranges(first, last)

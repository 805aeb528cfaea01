"""Was anything lost, was anything doubled: what the outboxes hold against what the store gives back.

A measurement is counted by its key (gateway, epoch, seq, index), and the answer comes from the two sets
of keys, never from counters that the parts keep of themselves. Pure, and by column: a key is packed
into 64 bits (stream 12, seq 36, index 16).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]
Stream = tuple[str, bytes]
_SEQ_BITS, _INDEX_BITS = 36, 16


class Streams:
    """Numbers for streams, the same for all sets of keys that are compared."""

    def __init__(self) -> None:
        self._numbers: dict[Stream, int] = {}

    def number(self, stream: Stream) -> int:
        """The number of a stream, a new one where it has none."""
        number = self._numbers.setdefault(stream, len(self._numbers))
        assert number < 1 << (64 - _SEQ_BITS - _INDEX_BITS), "too many streams to count"
        return number

    def batches(self, batches: Iterable[tuple[str, bytes, int, int]]) -> UInt64:
        """Keys of all measurements in batches (gateway, epoch, seq, number of measurements)."""
        table = [(self.number((gateway, epoch)), seq, n) for gateway, epoch, seq, n in batches if n]
        if not table:
            return np.empty(0, np.uint64)
        stream, seq, n = np.array(table, np.uint64).T
        counts = n.astype(np.intp)
        first = np.cumsum(counts) - counts
        index = np.arange(counts.sum()) - np.repeat(first, counts)
        return _packed(np.repeat(stream, counts), np.repeat(seq, counts), index)

    def rows(
        self,
        streams: Iterable[Stream],
        stream_index: npt.NDArray[np.uint16],
        seq: npt.NDArray[np.uint64],
        index: npt.NDArray[np.uint16],
    ) -> UInt64:
        """Keys of rows by column. streams: table that stream_index points into."""
        numbers = np.array([self.number(stream) for stream in streams], np.uint64)
        return _packed(numbers[stream_index] if len(stream_index) else np.empty(0, np.uint64), seq, index)


def _packed(stream: UInt64, seq: UInt64, index: npt.NDArray[np.integer]) -> UInt64:
    assert not len(seq) or int(seq.max()) < 1 << _SEQ_BITS, "a seq is too large to count"
    high = (stream << np.uint64(_SEQ_BITS)) | seq
    return (high << np.uint64(_INDEX_BITS)) | index.astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of distinct keys. duplicated: rows of the store beyond the first of their key.

    foreign: keys in the store that no outbox holds.
    """

    measured: int
    stored: int
    lost: int
    duplicated: int
    foreign: int


def tally(measured: UInt64, stored: UInt64) -> Tally:
    """Compare keys in the outboxes with keys in the store.

    >>> tally(np.array([1, 2, 3, 3], np.uint64), np.array([1, 2, 2, 9], np.uint64))
    Tally(measured=3, stored=3, lost=1, duplicated=1, foreign=1)
    """
    sent, kept = np.unique(measured), np.unique(stored)
    both = len(np.intersect1d(sent, kept, assume_unique=True))
    return Tally(len(sent), len(kept), len(sent) - both, len(stored) - len(kept), len(kept) - both)

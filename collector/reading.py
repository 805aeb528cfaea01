"""Batches that were read last: gate, store and verdicts each read every batch, mostly within moments.

What is remembered takes at most MOST_BYTES. A batch to which its gateway adds fields is not remembered: nobody but the
gateway decides how large these are.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from gateway import wire

MOST_BYTES = 32 << 20
_BATCH_BYTES, _SERIES_BYTES, _VALUE_BYTES = 2000, 300, 19  # of memory, about


class Reader:
    """Reads batches and remembers them, the one that was asked for last for longest. For any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self.bytes = most_bytes, 0
        self._batches: OrderedDict[bytes, wire.Batch] = OrderedDict()
        self._using = threading.Lock()

    def decoded(self, body: bytes) -> wire.Batch:
        """As `wire.decode`; raises what that raises."""
        with self._using:
            if found := self._batches.get(body):
                self._batches.move_to_end(body)
                return found
        batch = wire.decode(body)
        if not batch.fields:
            with self._using:
                self._remember(body, batch)
        return batch

    def _remember(self, body: bytes, batch: wire.Batch) -> None:
        if body not in self._batches:
            self._batches[body] = batch
            self.bytes += _size(body, batch)
        while self.bytes > self._most:
            self.bytes -= _size(*self._batches.popitem(last=False))


def _size(body: bytes, batch: wire.Batch) -> int:
    columns = batch.columns
    return _BATCH_BYTES + len(body) + _SERIES_BYTES * len(columns.series) + _VALUE_BYTES * len(columns)


decoded = Reader().decoded

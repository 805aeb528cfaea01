"""An outbox in memory: what the sender asks of the disk."""

from __future__ import annotations

from gateway import outbox, wire
from gateway.lanes import START, Key, Row


class Shelf:
    """Rows that are without acknowledgement until `acked`."""

    def __init__(self) -> None:
        self.waiting: dict[Key, Row] = {}
        self.newest: dict[bytes, int] = {}

    def add(self, epoch: bytes, rows: int = 1, size: int = 100) -> list[Key]:
        """Commit further rows of an epoch."""
        first = self.newest.get(epoch, 0) + 1
        self.newest[epoch] = first + rows - 1
        made = [Row(epoch, seq, 1, bytes(size)) for seq in range(first, first + rows)]
        self.waiting |= {row.key: row for row in made}
        return [row.key for row in made]

    def acked(self, ack: wire.Ack) -> None:
        """Take out what an acknowledgement names."""
        for key in outbox.held(ack, list(self.waiting)):
            del self.waiting[key]

    def pending(self, limit: int, after: Key) -> list[Row]:
        return [self.waiting[key] for key in sorted(self.waiting) if key > after][:limit]

    def row(self, key: Key) -> Row | None:
        return self.waiting.get(key)

    def tail(self, rows: int) -> Key:
        keys = sorted(self.waiting)
        return keys[-rows - 1] if len(keys) > rows else START

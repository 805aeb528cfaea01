"""By which configuration a gateway measures, whatever order its records come in. Pure; rules of this file:

- a backlog brings records that are older than the last one: within one machine, epoch and number say which is newer;
- a new machine counts its epochs from the beginning. So a hello that begins anew starts another row of epochs, and
  what it says comes after all that was said before; so does one whose epoch does not rise over the one it follows;
- an epoch belongs to the row of the one that its hello names. That may arrive later, and is looked at again then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Epochs remembered of one gateway, as in `lineage`.
_EPOCHS = 64


@dataclass(frozen=True, slots=True)
class Measuring:
    """By which configuration a gateway measures. hash: hex.

    problem: why the collector has not approved it, "" = it has.
    since_ns: when that was told. [ns since 1970 UTC]
    """

    hash: str
    problem: str
    since_ns: int


class Measured:
    """The configurations that one gateway told of, and which of them is the latest."""

    def __init__(self) -> None:
        self._records: dict[bytes, tuple[int, Measuring]] = {}  # the last one of each epoch, with its number
        self._rows: dict[bytes, int] = {}
        self._before: dict[bytes, bytes] = {}
        self._newest = 0

    @property
    def now(self) -> Measuring | None:
        """The latest one; None where none was told."""
        return self._records[max(self._records, key=self._place)][1] if self._records else None

    def begin(self, epoch: bytes, before: bytes, *, anew: bool) -> None:
        """A hello: which epoch it follows, b"" = none, and whether that is a beginning after others."""
        if anew or (before and epoch[:8] <= before[:8]):
            self._newest += 1
            self._rows[epoch] = self._newest
            self._before.pop(epoch, None)
        else:
            self._rows.setdefault(epoch, self._newest)
            self._before[epoch] = before
        self._join()

    def told(self, epoch: bytes) -> dict[str, int | str]:
        """What a later process has to know of an epoch."""
        return {"row": self._row(epoch), "follows": self._before.get(epoch, b"").hex()}

    def remember(self, epoch: bytes, told: Mapping[str, Any]) -> None:
        """What a former process told of an epoch; the first versions told nothing."""
        self._rows[epoch] = int(told.get("row", self._row(epoch)))
        self._newest = max(self._newest, self._rows[epoch])
        if before := bytes.fromhex(told.get("follows", "")):
            self._before[epoch] = before
        self._join()

    def speaks(self, epoch: bytes) -> bool:
        """Whether the row of an epoch has said anything yet; what it says first is told, so that it is known later."""
        return any(self._row(one) == self._row(epoch) for one in self._records)

    def note(self, epoch: bytes, seq: int, found: Measuring) -> bool:
        """A record; whether it is the latest."""
        self._rows.setdefault(epoch, self._newest)
        if seq >= self._records.get(epoch, (0, found))[0]:
            self._records[epoch] = seq, found
        self._forget()
        return max(self._records, key=self._place) == epoch and self._records[epoch][0] == seq

    def _place(self, epoch: bytes) -> tuple[int, bytes]:
        return self._row(epoch), epoch

    def _row(self, epoch: bytes) -> int:
        """In which row an epoch stands, as far as is known."""
        return self._rows.get(epoch, self._newest)

    def _join(self) -> None:
        """Put epochs into the row of those they follow, whose epochs are lower: one pass reaches all of a row."""
        for epoch in sorted(self._before):
            if self._before[epoch] in self._rows:
                self._rows[epoch] = self._rows[self._before[epoch]]
        self._forget()

    def _forget(self) -> None:
        """Keep the latest epochs alone."""
        known = {*self._rows, *self._before, *self._records}
        for epoch in sorted(known, key=self._place)[:-_EPOCHS] if len(known) > _EPOCHS else ():
            self._rows.pop(epoch, None)
            self._before.pop(epoch, None)
            self._records.pop(epoch, None)

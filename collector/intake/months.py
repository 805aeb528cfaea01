"""The months of the journal that are over: what is known of each, wherever its entries are.

A month is sealed once nothing more can come into it: its file is read-only from then on, and its SHA-256 is
noted. A sealed month can be archived (its file is elsewhere) or expired (it is nowhere). Then a thin file takes
its place, with the month's events alone, since these say what was declared lost. Pure. Rules of this file:

- what is noted of a month outlives the month: it is carried on from file to file of the journal;
- entries that are not here are missed by name, never passed over in silence;
- only a month that is over for SETTLE_NS may leave: until then windows that reach into it are still judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

KEY = "month/"
HOUR_NS = 3600 * 1_000_000_000
SETTLE_NS = 72 * HOUR_NS
REMEDY = "A month comes back with `emitwatch journal attach SITE FILE`, while the collector is stopped"
# What one batch spans at most, to be taken for a span: a wild clock must not make a month cover all time.
_BATCH_HOURS = 31 * 24


class State(StrEnum):
    """Where a month's entries are."""

    SEALED = "sealed"
    ARCHIVED = "archived"
    EXPIRED = "expired"


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month that is over. name: as 2026-11. first, last: positions of its entries. last_ns: last receive time.

    bytes, sha256: of its sealed file. place: the folder it was archived to. covers: the hours since 1970 in
    which its batches have measurements, as ranges with both ends included.
    """

    name: str
    first: int
    last: int
    last_ns: int
    bytes: int
    sha256: str
    state: State = State.SEALED
    place: str = ""
    covers: tuple[tuple[int, int], ...] = ()

    @property
    def here(self) -> bool:
        """Whether its entries are in the journal's folder."""
        return self.state is State.SEALED

    def touches(self, from_ns: int, to_ns: int) -> bool:
        """Whether it may have a measurement in [from_ns, to_ns)."""
        return any(a * HOUR_NS < to_ns and (b + 1) * HOUR_NS > from_ns for a, b in self.covers)

    def __str__(self) -> str:
        where = f" to {self.place}" if self.place and self.state is State.ARCHIVED else ""
        return f"{self.name} ({self.state}{where})"


_month = msgspec.json.Decoder(Month).decode


def noted(meta: Mapping[str, Any]) -> dict[str, Month]:
    """The months in the journal's notes, in order."""
    found = (_month(value) for key, value in meta.items() if key.startswith(KEY))
    return {month.name: month for month in sorted(found, key=lambda month: month.first)}


def note(month: Month) -> dict[str, str]:
    """A month as the journal's notes hold it."""
    return {f"{KEY}{month.name}": msgspec.json.encode(month).decode()}


def hours(first_ns: npt.NDArray[np.int64], last_ns: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """The hours that some batches cover; of a batch with a wild clock its two ends. [ns since 1970 UTC]

    >>> hours(np.array([0, 2 * HOUR_NS, 9 * HOUR_NS]), np.array([HOUR_NS, 3 * HOUR_NS, 9 * HOUR_NS]))
    ((0, 3), (9, 9))
    """
    low, high = first_ns // HOUR_NS, last_ns // HOUR_NS
    wild = high - low > _BATCH_HOURS
    spans = np.stack([np.r_[low, high[wild]], np.r_[np.where(wild, low, high), high[wild]]], axis=1)
    merged: list[tuple[int, int]] = []
    for a, b in np.unique(spans, axis=0).tolist():
        if merged and a <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], b)
        else:
            merged.append((a, b))
    return tuple(merged)


def missing(months: Iterable[Month], first: int, last: int) -> list[Month]:
    """The months with entries of [first, last], positions, that are not here."""
    return [month for month in months if not month.here and month.first <= last and month.last >= first]


def overdue(months: Iterable[Month], keep: int, newest: str) -> list[Month]:
    """The months here that are older than the last `keep` before the newest; keep: 0 = for ever. newest: as 2026-11."""
    return [month for month in months if keep and month.here and _number(month.name) < _number(newest) - keep]


def _number(name: str) -> int:
    year, month = name.split("-")
    return 12 * int(year) + int(month) - 1

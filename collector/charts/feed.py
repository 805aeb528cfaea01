"""Points for charts, and those who have them to give, each row once and in order.

A feed is followed by a mark: the last row that was copied, as a number that grows and a check by which a feed tells
whether that row is still the one that was meant. Whoever copies keeps the mark where the copies are, so that a place
that was emptied is filled again from the first row, and what was copied twice lies over itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

AVERAGE, EXCEEDANCE, LIMIT, LINK, GATEWAY, INCIDENT = "average", "exceedance", "limit", "link", "gateway", "incident"
NAMES = (AVERAGE, EXCEEDANCE, LIMIT, LINK, GATEWAY, INCIDENT)

Mark: TypeAlias = tuple[int, int]  # number and check of a row
BEGIN: Mark = (0, 0)


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn at an instant. fields: numbers, and few texts; at least one. [time: ns since 1970 UTC]

    anew: what was there before has fields that this one lacks, and goes first.
    """

    name: str
    tags: Mapping[str, str]
    fields: Mapping[str, float | str]
    time_ns: int
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """All points of a name and tags from an instant on are to go."""

    name: str
    tags: Mapping[str, str]
    from_ns: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a feed. drops come before points; several rows may write one point, the last one counts."""

    id: int
    check: int
    points: tuple[Point, ...]
    drops: tuple[Drop, ...] = ()


class Feed(Protocol):
    """Who has points to give. name: of its mark."""

    name: str

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The rows that follow a mark, at most `limit`; from the first on where the mark is of another feed."""

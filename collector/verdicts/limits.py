"""What a rule pack says about a value: which clauses hold for a point, and whether one is broken.

- A limit is broken strictly above it (or strictly below the lower one); equal complies.
- The value compared is the one an inspector would compare: corrected and rounded where the clause says so.
- Where a condition on another channel is not known, the loosest limit that could hold is taken:
  what breaks that one is certain.
- An average that is not valid is not judged; a single peak is (it was measured, however short the minute).

Pure. Packs are read by `collector.catalogue`; code holds no limit value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy.typing as npt

from collector.verdicts.pack import Bound, RulePack
from collector.verdicts.records import Average, Standing
from gateway.document import Document, Fault
from gateway.measurement import Float64
from gateway.settings import Label, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Bounds that hold where the other channels meet `given`; None = no bound on that side. [unit of the clause]"""

    low: float | None
    high: float | None
    given: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of one pack, resolved for a point's settings and a date.

    kind: noise, stack or water. window: which average is judged. period: "day" or "night" where only windows
    that start within it are judged, "" = all. statistic: "value" or "maximum" of the window.
    corrected: "as measured", or "converted" (standard state, dry, reference oxygen).
    rounding: "half_even", "half_up" or "none", to `places` digits. limits: never empty.
    conditions: parameters of other channels that the limit depends on.
    """

    pack: str
    id: str
    cite: str
    title: Label
    kind: str
    parameter: str
    window: str
    period: str
    statistic: str
    unit: str
    standing: Standing
    verified: bool
    corrected: str
    rounding: str
    places: int
    limits: tuple[Limit, ...]

    @property
    def key(self) -> str:
        """pack/clause, as reports and routes name it."""
        return f"{self.pack}/{self.id}"

    @property
    def two_sided(self) -> bool:
        """Whether there is a lower limit too."""
        return any(limit.low is not None for limit in self.limits)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The other channels that the limit depends on."""
        raise NotImplementedError

    @property
    def evaluates(self) -> bool:
        """Whether a corrected or rounded value is compared, not the average itself."""
        return self.rounding != "none" or self.corrected != "as measured"

    def bounds(self, conditions: Mapping[str, float] | None = None) -> tuple[float | None, float | None]:
        """Lower and upper limit under some conditions. [unit]"""
        raise NotImplementedError

    def limit(self, conditions: Mapping[str, float] | None = None) -> float | None:
        """Upper limit under some conditions, None where there is only a lower one. [unit]"""
        return self.bounds(conditions)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """How much of a window must be there: a number of valid parts, or a share of those expected.

    part: "value" (measurements) or the kind of the windows it is made of.
    """

    window: str
    part: str
    minimum: int | None
    share: float | None
    cite: str
    verified: bool

    def enough(self, valid: npt.ArrayLike, expected: npt.ArrayLike) -> npt.NDArray[Any]:
        """Whether `valid` parts of `expected` ones make the window valid; shapes as numpy broadcasts them."""
        raise NotImplementedError


def resolve(
    pack: RulePack, settings: Mapping[str, Any], on: date, *, document: Document | None = None, path: str = "settings"
) -> tuple[tuple[Clause, ...], list[Fault]]:
    """The clauses of a pack that hold for a point on a day; none where the pack is not in force then.

    settings: of the point; those of other packs are passed over. document, path: where they stand, for the faults.
    """
    raise NotImplementedError


def read_settings(
    kind: str, packs: Sequence[RulePack], settings: Mapping[str, Any],
    *, document: Document | None = None, path: str = "settings",
) -> tuple[dict[str, Any], list[Fault]]:  # fmt: skip
    """A point's settings, checked, in their true types and with the defaults of its packs and its kind filled in.

    Takes texts for numbers (`--set area_class=2`). An unknown key is a fault.
    """
    raise NotImplementedError


def night_hours(packs: Sequence[RulePack], settings: Mapping[str, Any]) -> tuple[str, str]:
    """Begin and end of night, local clock, by the first pack that has a say; 22:00 to 06:00 where none has."""
    raise NotImplementedError


def validities(packs: Sequence[RulePack], settings: Mapping[str, Any]) -> dict[str, Validity]:
    """How much each kind of window needs, under the strictest of some packs; a row for every kind of window.

    A kind no pack speaks of needs UNRULED_SHARE of its values (our own choice, unverified).
    """
    raise NotImplementedError


def evaluated(clauses: Sequence[Clause], average: Average, corrected: float | None = None) -> float | None:
    """The value as an inspector would have it, by the first clause that corrects or rounds this average.

    corrected: the converted value, where there is one (`corrections.Converted.converted`).
    None where no clause says how, or the correction has no result.
    """
    raise NotImplementedError


def rounded(clause: Clause, value: npt.ArrayLike) -> Float64:
    """Values rounded as a clause says; arrays in, arrays out. [unit]"""
    raise NotImplementedError


def breach(
    clause: Clause, average: Average, conditions: Mapping[str, float] | None = None
) -> tuple[float, float] | None:
    """What was compared and the limit it breaks, or None. [unit]

    Compared is `average.maximum` (statistic maximum), else `average.evaluated` where the clause evaluates, else `value`.
    """
    raise NotImplementedError


def breaking(
    clause: Clause, value: npt.ArrayLike, conditions: Mapping[str, float] | None = None
) -> npt.NDArray[Any]:
    """Which of many values break a clause: booleans of the same shape; NaN breaks nothing. [unit]

    value: corrected already where the clause says so; rounding is done here.
    """
    raise NotImplementedError


def site_faults(site: Site, packs: Mapping[str, RulePack], on: date) -> list[Fault]:
    """What is wrong with the points' rules and settings: unknown packs, wrong kind, missing or unknown settings."""
    raise NotImplementedError

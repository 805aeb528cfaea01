"""What a rule pack says about rating: how a level becomes the number that a noise standard compares.

A standard adds to a level what makes a sound more annoying (a tone, impulses, the hour of the day),
takes the loudest hour or an average over periods, deducts for the measurement, and says what the
difference to the background indicates. Those numbers are data; `rating` computes with them, and
`rating_file` reads them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A part of the day that has a level of its own.

    begin, end: local clock, full hours for levels of hours.
    add: what its level counts more in the level of the whole day. [dB]
    reference: kind of window that is rated, "" = the period as a whole.
    setting: setting of the pack that holds its hours at a point, "" = they are fixed.
    """

    name: str
    begin: str
    end: str
    add: float
    reference: str
    cite: str
    verified: bool
    setting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplement:
    """What a character of the sound adds. steps: the values named by the text, rising; () = what is measured. [dB]

    setting: setting of the pack that holds it at a point, "" = none. measured: code of the level that lies above the
    average level by it, "" = none; where that was measured, it goes before the setting.
    """

    name: str
    steps: tuple[float, ...]
    cite: str
    verified: bool
    setting: str = ""
    measured: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitiveHours:
    """Hours of the day in which a level counts more. spans: begin and end, local clock. add: [dB]

    rest_day: whether they are those of Sundays and public holidays, or of all other days.
    setting, choices: for points with which choices of that setting they hold.
    """

    rest_day: bool
    spans: tuple[tuple[str, str], ...]
    add: float
    setting: str
    choices: tuple[Any, ...]
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduction:
    """What is taken off a measured rating level before it is compared. [dB]"""

    subtract: float
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far the total sound must lie above the residual sound for the specific sound to be told. least: [dB]

    day, night: settings of the pack that hold the residual level of the period at a point, "" = none.
    """

    least: float
    cite: str
    verified: bool
    day: str = ""
    night: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indication:
    """What a rating level that exceeds the background by at least so much indicates. least: [dB]"""

    least: float
    name: str
    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingExample:
    """A worked example of a rating: as a case of a conformance file. calculation: a name of `rating.RATINGS`."""

    calculation: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]
    within: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingText:
    """The `[rating]` of a pack. indications: the largest first.

    composite: code of the parameter that the level of the whole day is, all periods together; "" = none.
    rated: code of the parameter that the rating levels of hours, days and nights are; "" = none.
    specific: code of the parameter that the level less the residual sound is; "" = none.
    rest_days: setting of the pack that holds the public holidays of a point, "" = none.
    """

    periods: tuple[Period, ...]
    supplements: tuple[Supplement, ...]
    sensitive: tuple[SensitiveHours, ...]
    deduction: Deduction | None
    residual: Residual | None
    indications: tuple[Indication, ...]
    examples: tuple[RatingExample, ...]
    composite: str = ""
    rated: str = ""
    specific: str = ""
    rest_days: str = ""

    def makes(self, derived: str) -> str:
        """The code of the parameter that is derived in a way by this rating, "" = none. derived: as of a Parameter."""
        return {"composite": self.composite, "rating": self.rated, "specific": self.specific}.get(derived, "")

    def period(self, name: str) -> Period:
        """The period of a name; ValueError where the pack has none."""
        for period in self.periods:
            if period.name == name:
                return period
        raise ValueError(f"the pack has no period {name!r}")

    def supplement(self, name: str) -> Supplement:
        """The supplement of a name; ValueError where the pack has none."""
        for supplement in self.supplements:
            if supplement.name == name:
                return supplement
        raise ValueError(f"the pack has no supplement {name!r}")

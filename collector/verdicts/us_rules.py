"""What 40 CFR 60 and 75 ask of a monitor, as data: tables under `[us]` of a rule pack.

A pack of the United States brings, beside limits: when an hour is valid, how availability is counted,
what stands in for a missing hour (tiers, look-back, MODC codes), the tests a monitor must pass, and
the factors of fuels. `pack_file` calls `parse_us`; `quadrants`, `substitution_us`, `certification`
and `part75` work by what comes out. The format is told in docs/reference/rule-packs.md. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

METHODS = ("neighbours", "mean", "percentile", "extreme", "potential")
CALIBRATIONS = ("daily", "seven_day")
CITE_HINT = 'the text and its clause, as cite = "40 CFR 75.33(b)(1)"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """Where a row is from, and whether that text was read."""

    cite: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HourRule(Cited):
    """When an hour is valid. quadrant_minutes: one point in each. apart_minutes: of two points in a hour with tests."""

    quadrant_minutes: int
    apart_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityRule(Cited):
    """How availability is counted. window_hours: of operation. oldest_hours: by the clock; nothing older counts."""

    window_hours: int
    oldest_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What stands in for an hour from this availability on, in gaps up to this length.

    availability_percent: lowest, itself allowed. gap_hours: longest gap, None = any.
    method: neighbours (mean of the hour before and after), mean (of the look-back), percentile (of the look-back,
    unless the neighbours are worse), extreme (of the look-back), potential. percentile: whole, else None. [%]
    """

    availability_percent: float
    gap_hours: int | None
    method: str
    percentile: int | None
    modc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstitutionRule(Cited):
    """How missing hours of some parameters are filled.

    lookback_hours: of quality-assured hours; as many must be there before the tiers hold.
    by_load: whether only hours of the same load count. toward: "high" where more is worse, "low" where less is.
    places: decimals of a mean. initial: method until then, and its code.
    empty_modc, potential_modc, measured_modc: codes for an empty load bin, the potential value, a measured one.
    """

    parameters: tuple[str, ...]
    lookback_hours: int
    by_load: bool
    toward: str
    places: int
    initial: str
    initial_modc: str
    empty_modc: str
    potential_modc: str
    measured_modc: str
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modc(Cited):
    """A method of determination code. measured: parameters whose hours with this code are quality-assured."""

    code: str
    title: str
    measured: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A difference that passes where the percentage does not, for spans of a size (None = any). [as measured]"""

    difference: float
    span_above: float | None
    span_upto: float | None
    span_below: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRule(Cited):
    """What a calibration error may be: percent of span, or a difference; exactly one of the two is given.

    test: daily or seven_day. places: decimals that errors are rounded to before they are compared.
    target: what the monitor is expected to keep; beyond it, it drifts. [as the one given]
    """

    test: str
    parameters: tuple[str, ...]
    percent: float | None
    difference: float | None
    target: float
    places: int
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLife(Cited):
    """How long a passed calibration holds, and how long a start-up may wait for the next. [clock hours]"""

    hours: int
    grace_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearityRule(Cited):
    """What a linearity error may be: percent of the reference, or else a difference. places: as CalibrationRule."""

    parameters: tuple[str, ...]
    percent: float
    difference: float
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RataStep:
    """One way to pass a RATA, and for how many quarters: a relative accuracy [%], or a mean difference.

    reference_upto: largest mean of the reference method for which the difference will do, None = any.
    """

    quarters: int
    relative_accuracy: float | None
    difference: float | None
    reference_upto: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RataRule(Cited):
    """How a RATA is judged; the first step that holds counts.

    runs: fewest. places: decimals of differences. bias: whether a low monitor gets a factor.
    low_factor, low_reference: largest factor that a source up to this mean reference need apply, None = no such source.
    """

    parameters: tuple[str, ...]
    runs: int
    places: int
    bias: bool
    low_factor: float | None
    low_reference: float | None
    steps: tuple[RataStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuel(Cited):
    """F factors of a fuel. fd: dry flue gas, fc: carbon dioxide. [scf/mmBtu]"""

    name: str
    fd: float
    fc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiluentCap(Cited):
    """Diluent content that may be used instead of a leaner one. units: kind of unit. [%]"""

    units: str
    co2_percent: float
    o2_percent: float


_For = TypeVar("_For", SubstitutionRule, CalibrationRule, LinearityRule, RataRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsRules:
    """All tables of a pack."""

    hour: HourRule | None
    availability: AvailabilityRule | None
    substitution: tuple[SubstitutionRule, ...]
    modc: tuple[Modc, ...]
    calibration: tuple[CalibrationRule, ...]
    calibration_life: CalibrationLife | None
    linearity: tuple[LinearityRule, ...]
    rata: tuple[RataRule, ...]
    fuels: tuple[Fuel, ...]
    diluent_caps: tuple[DiluentCap, ...]

    def substitution_of(self, parameter: str) -> SubstitutionRule:
        """How a parameter's missing hours are filled. ValueError for a parameter nobody named, as in all of these."""
        return _of(self.substitution, parameter)

    def calibration_of(self, parameter: str, test: str = "daily") -> CalibrationRule:
        """What a parameter's calibration error may be in a test."""
        return _of([rule for rule in self.calibration if rule.test == test], parameter)

    def linearity_of(self, parameter: str) -> LinearityRule:
        """What a parameter's linearity error may be."""
        return _of(self.linearity, parameter)

    def rata_of(self, parameter: str) -> RataRule:
        """How a parameter's RATA is judged."""
        return _of(self.rata, parameter)

    def measured_codes(self, parameter: str) -> tuple[str, ...]:
        """MODC codes of a parameter's quality-assured hours."""
        return tuple(row.code for row in self.modc if parameter in row.measured)


def _of(rules: Iterable[_For], parameter: str) -> _For:
    rules = list(rules)
    for rule in rules:
        if parameter in rule.parameters:
            return rule
    known = ", ".join(name for rule in rules for name in rule.parameters) or "none"
    raise ValueError(f"no rule for {parameter!r}; there are rules for: {known}")

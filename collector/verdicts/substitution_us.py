"""What stands in for hours that a monitor missed, as 40 CFR 75 subpart D has it.

- An hour is missing when the unit ran and there is no quality-assured value. A gap is a run of missing
  hours with no quality-assured hour between; hours in which the unit stood still neither end nor lengthen it.
- Availability is counted hour by hour: quality-assured hours over operating hours, since certification
  (equation 8), then over the last 8,760 operating hours (equation 9), never over more than three years.
- The availability of the hour and the length of the whole gap choose a tier. The look-back goes over
  quality-assured hours, not over the clock; for load-based parameters only hours of the same load bin count.
- Until the look-back is full once, the initial procedures hold.
- A value says by its code (MODC) what it is. A gap that is still open has no neighbours' mean yet, so it
  has no value, and no code, where that mean is asked for.

Hours of one unit in order, from certification on, so that number n is n hours after it.
Arrays in, arrays out; a year of hours takes milliseconds. Pure; tiers and codes are data (`us_rules`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts.look_back_us import LookBack, Measured, look_back
from collector.verdicts.part75 import rounded_away
from collector.verdicts.us_rules import AvailabilityRule, SubstitutionRule
from gateway.measurement import Float64, Int64

Booleans = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.str_]

INITIAL, NO_TIER = -1, -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Substituted:
    """A series of hours without holes. [unit of the series]

    value: shape (n,), NaN where the unit stood still, or nothing can be said yet. modc: two digits, "" where there
    is no value. missing: which hours were. availability_percent: as of each hour.
    """

    value: Float64
    modc: Codes
    missing: Booleans
    availability_percent: Float64


def availability(quality_assured: npt.ArrayLike, operating: npt.ArrayLike, rule: AvailabilityRule) -> Float64:
    """Percent monitor data availability as of each hour, shape (n,); NaN before the unit first ran. [%]

    quality_assured, operating: whether each hour had a quality-assured value, and the unit ran, shape (n,) each.
    Source: 40 CFR 75.32(a), equations 8 and 9; 66 FR 31842 for units with fewer hours in three years.
    """
    ran = np.asarray(operating, np.bool_)
    good = np.asarray(quality_assured, np.bool_) & ran
    ran_until, good_until = _counts(ran), _counts(good)
    hours = np.flatnonzero(ran)
    if not hours.size:
        return np.full(ran.shape, np.nan)
    number = np.arange(len(ran))
    by_count = hours[np.maximum(ran_until[1:] - rule.window_hours, 0)]
    begin = np.maximum(np.minimum(by_count, number), number + 1 - rule.oldest_hours)
    total = ran_until[1:] - ran_until[begin]
    good_hundred = 100 * (good_until[1:] - good_until[begin])  # whole numbers, so that 95 in 100 is 95 %
    return np.asarray(np.divide(good_hundred, total, out=np.full(len(ran), np.nan), where=total > 0))


def substitute_hours(
    values: npt.ArrayLike,
    quality_assured: npt.ArrayLike,
    operating: npt.ArrayLike,
    rule: SubstitutionRule,
    available: AvailabilityRule,
    *,
    potential: npt.ArrayLike,
    load_bin: npt.ArrayLike | None = None,
) -> Substituted:
    """Every hour of a parameter, the missing ones filled.

    values: hourly means (bias-adjusted; O2 unadjusted), shape (n,), NaN = none. quality_assured, operating: as in
    availability. potential: maximum potential value (where less is worse, the minimum), one or shape (n,).
    load_bin: number of each hour's load bin, from 0, shape (n,), negative = not known; only where the rule is by
    load. Infinite values are none.
    Source: 40 CFR 75.31, 75.33, 75.35 to 75.37; table 4a of 75.57.
    """
    value = np.asarray(values, np.float64)
    ran = np.asarray(operating, np.bool_)
    measured = ran & np.asarray(quality_assured, np.bool_) & np.isfinite(value)
    percent = availability(measured, ran, available)
    result = np.where(measured, value, np.nan)
    modc = np.where(measured, rule.measured_modc, "").astype("U2")
    missing = ran & ~measured
    hours = np.flatnonzero(missing)
    if hours.size:
        bins = np.zeros(len(value), np.int64) if load_bin is None or not rule.by_load else _whole(load_bin)
        at = np.flatnonzero(measured)
        gaps = _Gaps.of(hours, at, rule, available)
        before, after = np.append(value, np.nan)[gaps.before], np.append(value, np.nan)[gaps.after]
        tier = choose_tier(rule, percent[hours], gaps.length)
        tier = np.where((gaps.prior < rule.lookback_hours) & (hours < available.oldest_hours), INITIAL, tier)
        asked = percentile_asked(rule, tier)
        back = look_back(Measured(value[at], bins[at]), gaps.oldest, gaps.prior, bins[hours], rule, asked)
        top = np.broadcast_to(np.asarray(potential, np.float64), value.shape)[hours]
        result[hours], modc[hours] = fill(rule, tier, before, after, back, top)
    return Substituted(value=result, modc=modc, missing=missing, availability_percent=percent)


def choose_tier(rule: SubstitutionRule, availability_percent: npt.ArrayLike, gap_hours: npt.ArrayLike) -> Int64:
    """Number of the tier that holds, by availability [%] and length of the gap [h]; -2 where availability is not known.

    Source: 40 CFR 75.33(b), (c).
    """
    percent, gap = np.broadcast_arrays(np.asarray(availability_percent, np.float64), np.asarray(gap_hours, np.float64))
    chosen = np.full(percent.shape, NO_TIER, np.int64)
    for number, tier in reversed(list(enumerate(rule.tiers))):
        longest = np.inf if tier.gap_hours is None else tier.gap_hours
        chosen[(percent >= tier.availability_percent) & (gap <= longest)] = number
    return chosen


def percentile_asked(rule: SubstitutionRule, tier: Int64) -> Int64:
    """Which percentile each tier asks the look-back for, 0 = mean or extreme alone, negative = nothing. [%]"""
    methods = [(row.method, row.percentile or 0) for row in rule.tiers] + [("potential", 0), (rule.initial, 0)]
    asked = [percent if method in ("mean", "percentile", "extreme") else -1 for method, percent in methods]
    return np.array(asked, np.int64)[tier]  # the two negative tiers are the last of the list


def fill(
    rule: SubstitutionRule, tier: Int64, before: Float64, after: Float64, back: LookBack, potential: Float64
) -> tuple[Float64, Codes]:
    """Values and codes of missing hours, shape (m,) each as everything that goes in.

    tier: as choose_tier gives it, -1 = the initial procedures. before, after: quality-assured values next to the
    gap, NaN = there is none (yet). back: what was measured before. potential: the potential value.
    Source: as substitute_hours.
    """
    worse = np.fmax if rule.toward == "high" else np.fmin
    neighbours = rounded_away((before + after) / 2.0, rule.places)
    value, modc = potential.copy(), np.full(tier.shape, rule.potential_modc, "U2")
    procedures = [(number, row.method, row.gap_hours, row.modc) for number, row in enumerate(rule.tiers)]
    procedures.append((INITIAL, rule.initial, None, rule.initial_modc))
    for number, method, longest, code in procedures:
        rows = tier == number
        if method == "potential":
            continue
        empty = np.full(rows.shape, method != "neighbours") & (back.count == 0)
        found = {
            "neighbours": neighbours,
            "mean": rounded_away(back.mean, rule.places),
            "extreme": back.extreme,
            "percentile": worse(back.ranked, neighbours),
        }[method]
        # A gap whose end is not there may yet grow into another tier, and its neighbours' mean is not known.
        waits = longest is not None or method in ("neighbours", "percentile")
        pending = ~empty & ~np.isnan(before) & np.isnan(after) & waits
        # The initial procedures know no higher bin to turn to.
        found = np.where(empty, np.nan if number == INITIAL else back.next_extreme, found)
        known = rows & ~np.isnan(found) & ~pending
        value = np.where(known, found, np.where(rows & pending, np.nan, value))
        modc = np.where(known, np.where(empty, rule.empty_modc, code), modc)
    return value, np.where(np.isnan(value), "", modc)


# --- gaps -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gaps:
    """Of each missing hour, shape (m,): its gap.

    before, after: quality-assured hours next to the gap, -1 = there is none (yet). prior: quality-assured hours
    before it. length: missing hours in it. oldest: first quality-assured hour, numbered among those, looked back at.
    """

    before: Int64
    after: Int64
    prior: Int64
    length: Int64
    oldest: Int64

    @classmethod
    def of(cls, hours: Int64, measured: Int64, rule: SubstitutionRule, available: AvailabilityRule) -> _Gaps:
        """The gaps of missing hours among measured ones, both in order."""
        prior = np.searchsorted(measured, hours)
        _, first, gap, length = np.unique(prior, return_index=True, return_inverse=True, return_counts=True)
        too_old = np.searchsorted(measured, hours[first] - available.oldest_hours)
        oldest = np.maximum(too_old, prior[first] - rule.lookback_hours)[gap]
        framed = np.concatenate([[-1], measured, [-1]])
        return cls(before=framed[prior], after=framed[prior + 1], prior=prior, length=length[gap], oldest=oldest)


def _whole(numbers: npt.ArrayLike) -> Int64:
    """Whole numbers of what may hold NaN, which becomes -1."""
    array = np.asarray(numbers, np.float64)
    return np.where(np.isfinite(array), array, -1.0).astype(np.int64)


def _counts(flags: Booleans) -> Int64:
    """How many are true before each place, shape (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)])

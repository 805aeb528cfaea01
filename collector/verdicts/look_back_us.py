"""What a monitor showed before a gap: the look-back of 40 CFR 75, by load bin where that matters.

A look-back is a span of quality-assured hours, not of the clock. Hours are dealt by load bin first, so that
the part of a span that belongs to a bin is one piece; equal pieces are summed and sorted once, and some at
a time, so that memory does not grow with the history. The percentile is by nearest rank: the texts do not
define it, and interpolation would invent values that nobody measured. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from collector.verdicts.us_rules import SubstitutionRule
from gateway.measurement import Float64, Int64

_CELLS = 1 << 20  # of look-back that are held at once: 8 MB, whatever the history


@dataclass(frozen=True, slots=True, kw_only=True)
class LookBack:
    """What was measured before some gaps, shape (m,) each; NaN where there was nothing, or nobody asked.

    count: hours that count. extreme, next_extreme: worst of them, and worst of the next higher load bin that has
    any. ranked: the percentile asked for.
    """

    count: Int64
    mean: Float64
    extreme: Float64
    next_extreme: Float64
    ranked: Float64


def look_back_of(
    lookback: npt.ArrayLike, rule: SubstitutionRule, percentile: int = 0, *, next_bin: npt.ArrayLike = ()
) -> LookBack:
    """What one list of quality-assured hours gives, what is not finite passed over; arrays of one.

    lookback: values, shape (n,), newest last; more than the rule looks back at are passed over. percentile: whole,
    0 = none is asked for. next_bin: values of the next higher load bin that has any. [%]
    """
    rows, higher = (array[np.isfinite(array)] for array in (_floats(lookback), _floats(next_bin)))
    rows = rows[np.newaxis, -rule.lookback_hours :]
    return LookBack(
        count=np.array([rows.size]), mean=_mean(rows), extreme=_extreme(rows, rule),
        next_extreme=_extreme(higher[np.newaxis], rule), ranked=_ranked(rows, percentile, rule),
    )  # fmt: skip


class Measured:
    """Quality-assured hours, dealt by load bin: of a span of them, those of a bin are next to one another."""

    def __init__(self, value: Float64, bins: Int64) -> None:
        order = np.argsort(bins, kind="stable")
        self._value, self._place = value[order], order
        found, first = np.unique(bins[order], return_index=True)
        self.bins: list[int] = found.tolist()
        bounds = np.append(first, len(order)).tolist()
        self._bounds = dict(zip(self.bins, pairwise(bounds), strict=True))

    def spans(self, bin: int, begin: Int64, end: Int64) -> tuple[Int64, Int64]:
        """Where the hours of a bin among those numbered from begin to under end are, first and behind the last."""
        low, high = self._bounds.get(bin, (0, 0))
        place = self._place[low:high]
        return low + np.searchsorted(place, begin), low + np.searchsorted(place, end)

    def rows(self, first: Int64, last: Int64) -> Iterator[tuple[slice, Float64]]:
        """The values of spans as rows of equal width, filled up with NaN, some at a time."""
        width = int((last - first).max(initial=0))
        step = max(1, _CELLS // max(width, 1))
        for begin in range(0, len(first), step):
            some = slice(begin, begin + step)
            place = first[some, np.newaxis] + np.arange(width)
            there = place < last[some, np.newaxis]
            yield some, np.where(there, self._value[np.minimum(place, max(len(self._value) - 1, 0))], np.nan)


def look_back(
    measured: Measured, begin: Int64, end: Int64, bin: Int64, rule: SubstitutionRule, percentile: Int64
) -> LookBack:
    """The look-back of each missing hour.

    begin, end: quality-assured hours it goes over, numbered among those, end not included. bin: its load bin,
    negative = not known. percentile: what is asked for, 0 = mean and extremes alone, negative = nothing. [%]
    All of shape (m,).
    """
    back = LookBack(
        count=np.zeros(len(bin), np.int64), mean=_nothing(len(bin)), extreme=_nothing(len(bin)),
        next_extreme=_nothing(len(bin)), ranked=_nothing(len(bin)),
    )  # fmt: skip
    asked = (percentile >= 0) & (bin >= 0)
    for own, percent in np.unique(np.stack([bin[asked], percentile[asked]]), axis=1).T.tolist():
        hours = np.flatnonzero(asked & (bin == own) & (percentile == percent))
        first, last = measured.spans(own, begin[hours], end[hours])
        back.count[hours] = last - first
        # Hours of a gap look back at the same values: each span is taken once.
        far = int(last.max()) + 1
        keys, same = np.unique(first * far + last, return_inverse=True)
        mean, extreme, ranked = _nothing(len(keys)), _nothing(len(keys)), _nothing(len(keys))
        for some, rows in measured.rows(keys // far, keys % far):
            mean[some], extreme[some] = _mean(rows), _extreme(rows, rule)
            ranked[some] = _ranked(rows, percent, rule)
        back.mean[hours], back.extreme[hours], back.ranked[hours] = mean[same], extreme[same], ranked[same]
        empty = hours[first == last]
        back.next_extreme[empty] = _higher(measured, begin[empty], end[empty], own, rule)
    return back


def _higher(measured: Measured, begin: Int64, end: Int64, bin: int, rule: SubstitutionRule) -> Float64:
    """The worst value of the next higher load bin that has any in a span, NaN where none has."""
    found = _nothing(len(begin))
    for higher in (other for other in measured.bins if other > bin):
        open_yet = np.flatnonzero(np.isnan(found))
        first, last = measured.spans(higher, begin[open_yet], end[open_yet])
        for some, rows in measured.rows(first, last):
            found[open_yet[some]] = _extreme(rows, rule)
    return found


# --- statistics -------------------------------------------------------------------------------------


def _extreme(rows: Float64, rule: SubstitutionRule) -> Float64:
    """The worst value of each row, NaN for a row without any."""
    worst = np.fmax if rule.toward == "high" else np.fmin
    return np.asarray(worst.reduce(rows, axis=-1, initial=np.nan))


def _mean(rows: Float64) -> Float64:
    """The mean of each row, NaN for a row without any."""
    count = (~np.isnan(rows)).sum(axis=1)
    return np.asarray(np.divide(np.nansum(rows, axis=1), count, out=_nothing(len(rows)), where=count > 0))


def _ranked(rows: Float64, percent: int, rule: SubstitutionRule) -> Float64:
    """The percentile of each row by nearest rank, from above or below; NaN for a row without values, and for none."""
    if not rows.shape[1] or not percent:
        return _nothing(len(rows))
    ordered = np.sort(rows, axis=1)  # NaN comes last
    count = (~np.isnan(ordered)).sum(axis=1)
    share = percent if rule.toward == "high" else 100 - percent
    rank = np.maximum(-(-share * count // 100), 1)  # whole numbers, so that 90 % of 720 is the 648th
    return np.asarray(np.take_along_axis(ordered, rank[:, np.newaxis] - 1, axis=1)[:, 0])


def _nothing(size: int) -> Float64:
    return np.full(size, np.nan)


def _floats(numbers: npt.ArrayLike) -> Float64:
    return np.asarray(numbers, np.float64)

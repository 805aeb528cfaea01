"""Values that stand for unequal times: each counts for as long as it stands for.

An instrument of one value a second takes the place of one of a value a minute, and both lie in one
window. Counting values would let the second one have 60 times its say. So a percentile, a median and
a mean are those of the time: what they would be had every value been repeated once for each of the shortest
intervals in its window. Where all intervals of a window are equal, results are those of plain counting
to the last bit. Arrays in, arrays out. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, Int64

Group = npt.NDArray[np.integer]


def time_weights(interval_ns: Int64, group: Group, groups: int) -> Float64:
    """How much each value counts, 1 for those of the shortest interval in their group, shape (n,). [1]

    interval_ns: how long each value stands for, > 0, shape (n,). [ns] group: 0 to groups - 1, shape (n,).
    >>> time_weights(np.array([1, 60, 60]), np.array([0, 0, 1]), 2).tolist()
    [1.0, 60.0, 1.0]
    """
    return np.asarray(interval_ns / _shortest(interval_ns, group, groups)[group])


def mean_by(values: Float64, group: Group, groups: int, weights: Float64) -> Float64:
    """Mean of each group over time, shape (groups,); NaN for a group without a value. [as given]

    values, weights: shape (n,); weights as time_weights gives them.
    """
    time = np.bincount(group, weights, groups)
    total = np.bincount(group, values * weights, groups)
    return np.asarray(np.divide(total, time, out=np.full(groups, np.nan), where=time > 0.0))


def median_by(values: Float64, group: Group, groups: int, interval_ns: Int64) -> Float64:
    """Median of each group over time, shape (groups,); NaN for a group without a value. [as given]

    values: shape (n,). group, interval_ns: as time_weights.
    >>> median_by(np.array([6.0, 7.0, 8.0]), np.array([0, 0, 0]), 1, np.array([1, 1, 60])).tolist()
    [8.0]
    """
    ranked = _Ranked(values, group, groups, interval_ns)
    half = ranked.total // 2
    # The middle of an odd number of nanoseconds lies within one, that of an even number between two.
    low = ranked.at((half - 1 + ranked.total % 2)[:, None])
    return np.asarray((low + ranked.at(half[:, None]))[:, 0] / 2.0)


def percentiles_by(
    values: Float64, group: Group, groups: int, interval_ns: Int64, exceeded_percent: Sequence[int]
) -> Float64:
    """What each group exceeds N % of the time, shape (groups, number of N); NaN for a group without a value.

    Arguments as median_by. exceeded_percent: N, 0 to 100. [%]
    Interpolated as in `noise.percentile_level`, between steps of the shortest interval.
    """
    ranked = _Ranked(values, group, groups, interval_ns)
    shortest = _shortest(interval_ns, group, groups)[:, None]
    last = np.maximum(-(-ranked.total[:, None] // shortest) - 1, 0)
    share = 1.0 - np.array(exceeded_percent) / 100.0
    place = np.maximum(ranked.total[:, None] / shortest - 1.0, 0.0) * share
    low = np.floor(place).astype(np.int64)
    lower, upper = ranked.at(low * shortest), ranked.at(np.minimum(low + 1, last) * shortest)
    return np.asarray(lower + (upper - lower) * (place - low))


class _Ranked:
    """Values laid end to end in rising order, group by group, each as long as the time it stands for.

    total: length of each group, shape (groups,). [ns]
    """

    def __init__(self, values: Float64, group: Group, groups: int, interval_ns: Int64) -> None:
        order = np.lexsort((values, group))
        self._values = values[order]
        self._end = np.cumsum(interval_ns[order])
        count = np.bincount(group, minlength=groups)
        ends = np.append(0, self._end)[np.cumsum(count)]
        self._some = count > 0
        self._begin = np.append(0, ends[:-1])
        self.total = ends - self._begin

    def at(self, place_ns: Int64) -> Float64:
        """The value at places in each group, shape (groups, k) as place_ns, 0 to under the group's length."""
        found = np.full(place_ns.shape, np.nan)
        places = (self._begin[:, None] + place_ns)[self._some]
        found[self._some] = self._values[np.searchsorted(self._end, places, "right")]
        return found


def _shortest(interval_ns: Int64, group: Group, groups: int) -> Int64:
    """The shortest interval of each group; one nanosecond where a group is empty. [ns]"""
    shortest = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(shortest, group, interval_ns)
    return np.where(np.bincount(group, minlength=groups) > 0, shortest, 1)

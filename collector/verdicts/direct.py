"""Averages made of the values themselves: levels, medians, maxima, sums, percentiles, and what else a window has.

Rules of this file:

- a mean of levels is that of their energies, which are computed once for all kinds of windows;
- where instruments of different intervals measured in one signal, time is counted, not values (`unequal`);
- a window of one value has that value, whatever the method.

Arrays in, arrays out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector.verdicts import noise, unequal
from collector.verdicts.screening import Booleans, Signal, usable
from collector.verdicts.segments import Segments
from collector.verdicts.windows import Windows
from gateway.measurement import Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """What the measurements in windows of one kind come to; row i of every column is window i.

    segments: rows of the signal in each window. measured, count: values there are, values that went in, shape (n,).
    covered_ns: time that these stand for, shape (n,). value, maximum: shape (n,), NaN = none.
    percentiles: shape (n, len(noise.PERCENTILES)), None where it is no level.
    """

    segments: Segments
    measured: Int64
    count: Int64
    covered_ns: Float64
    value: Float64
    maximum: Float64
    percentiles: Float64 | None


class Values:
    """The good values of a signal, and what is made of them.

    method: energy, mean, median, maximum or sum; a mean weighted by flow is made of the means.
    """

    def __init__(self, signal: Signal, method: str) -> None:
        good = usable(signal.value, signal.status)
        whole = bool(good.all())
        self.signal = signal
        self._method = method
        self._good: Booleans | None = None if whole else good
        self._value = signal.value if whole else signal.value[good]
        self._interval_ns: Int64 | None = None  # of each value, where they are not alike
        if len(set(signal.intervals_ns)) > 1:
            self._interval_ns = signal.interval_ns if whole else signal.interval_ns[good]
        self._energy: Float64 | None = None

    @property
    def alike(self) -> bool:
        """Whether all values stand for the same time."""
        return self._interval_ns is None

    def over(self, windows: Windows) -> Direct:
        """What the values in some windows come to."""
        segments = windows.instants(self.signal.time_ns)
        counted = segments if self._good is None else segments.among(self._good)
        measured = segments.count()
        count = measured if self._good is None else counted.count()
        single = counted.single()
        maximum = counted.largest(self._value) if single is None else _only(single, counted, self._value)
        if self._interval_ns is None:
            covered_ns = (count * self.signal.coarsest_ns).astype(np.float64)
        else:
            covered_ns = counted.total(self._interval_ns)
        leveled, value, percentiles = self._method == "energy", maximum, None
        if single is not None and leveled:
            percentiles = np.broadcast_to(maximum[:, None], (len(maximum), len(noise.PERCENTILES)))
        elif single is None:
            mixed = self._mixed(counted)
            value = maximum if self._method == "maximum" else self._averaged(counted, count, mixed)
            percentiles = self._percentiles(counted, mixed) if leveled else None
        return Direct(
            segments=segments, measured=measured, count=count, covered_ns=covered_ns, value=value, maximum=maximum,
            percentiles=percentiles,
        )  # fmt: skip

    def _mixed(self, counted: Segments) -> npt.NDArray[np.intp]:
        """The windows whose values stand for unequal times."""
        if self._interval_ns is None:
            return np.empty(0, np.intp)
        interval_ns = self._interval_ns.astype(np.float64)
        return np.flatnonzero(counted.largest(interval_ns) + counted.largest(-interval_ns) > 0.0)

    def _averaged(self, counted: Segments, count: Int64, mixed: npt.NDArray[np.intp]) -> Float64:
        """One value a window, NaN for one without any."""
        if self._method == "median":
            result = _medians(counted, self._value)
        else:
            total = counted.total(self._energies() if self._method == "energy" else self._value)
            result = np.where(count > 0, total if self._method == "sum" else total / np.maximum(count, 1), np.nan)
            result = noise.level(result) if self._method == "energy" else result
        if self._method != "sum":
            for places, value, group, interval_ns in self._by_time(counted, mixed):
                result[places] = _timed(self._method, value, group, len(places), interval_ns)
        return result

    def _energies(self) -> Float64:
        if self._energy is None:
            self._energy = noise.energy(self._value)
        return self._energy

    def _percentiles(self, counted: Segments, mixed: npt.NDArray[np.intp]) -> Float64:
        """The levels exceeded N % of the time, interpolated as in `noise.percentile_level`, shape (n, k)."""
        result = np.full((counted.windows, len(noise.PERCENTILES)), np.nan)
        share = 1.0 - np.array(noise.PERCENTILES) / 100.0
        for places, ranked in counted.ranked(self._value):
            place = (ranked.shape[1] - 1) * share
            low = np.floor(place).astype(np.intp)
            lower, upper = ranked[:, low], ranked[:, np.minimum(low + 1, ranked.shape[1] - 1)]
            result[places] = lower + (upper - lower) * (place - low)
        for places, value, group, interval_ns in self._by_time(counted, mixed):
            result[places] = unequal.percentiles_by(value, group, len(places), interval_ns, noise.PERCENTILES)
        return result

    def _by_time(
        self, counted: Segments, mixed: npt.NDArray[np.intp]
    ) -> Iterator[tuple[npt.NDArray[np.intp], Float64, npt.NDArray[np.intp], Int64]]:
        """Windows of unequal values, some at a time: which, their values, the window of each of these, their times."""
        if self._interval_ns is not None:
            for part, rows, group in counted.take(mixed).chunks():
                yield mixed[part], self._value[rows], group, self._interval_ns[rows]


def _timed(method: str, value: Float64, group: npt.NDArray[np.intp], n: int, interval_ns: Int64) -> Float64:
    """One value a group, each of its values counted for the time it stands for."""
    if method == "median":
        return unequal.median_by(value, group, n, interval_ns)
    average = noise.energy_average_by if method == "energy" else unequal.mean_by
    return average(value, group, n, unequal.time_weights(interval_ns, group, n))


def _only(there: Booleans, counted: Segments, value: Float64) -> Float64:
    """The value of each window that has one, of windows that have no more than one."""
    if not len(value):
        return np.full(len(there), np.nan)
    found = value[np.minimum(counted.start, len(value) - 1)]
    return found if there.all() else np.where(there, found, np.nan)


def _medians(counted: Segments, value: Float64) -> Float64:
    result = np.full(counted.windows, np.nan)
    for places, ranked in counted.ranked(value):
        middle = ranked.shape[1] // 2
        result[places] = (ranked[:, (ranked.shape[1] - 1) // 2] + ranked[:, middle]) / 2.0
    return result

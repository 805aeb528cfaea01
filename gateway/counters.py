"""Counters: what was counted between two readings, though a counter begins again at its end and is reset at times.

A volume totalizer of six digits goes from 999999 to 0; one that is replaced or cleared goes back too. What tells them
apart is how much can have been counted in between. Rules, for a counter with a declared rollover and a greatest rate:

- it went on: counted, if no more than the rate allows;
- it went back, and on over its end it is no more than the rate allows: a rollover, and counted;
- anything else is a reset: what was counted meanwhile nobody knows (NaN), and it goes on from there;
- between two readings so far apart that it can have gone all the way round, nobody knows either;
- a reading that is missing, or that the counter cannot show, is passed over: the next one counts from the last good.

What is stored is the counter as it was read: raw values are never altered. What was counted between two of them says
`Counters`, to whoever has them; what the gateway makes of it are its records that a counter began again, was reset,
or may have gone round, so that nobody takes such a step for a quantity (`Totals`). The first reading after a start is
the first: what was counted while nobody looked nobody knows.

Pure and by column: one entry a counter; the caller gives the instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gateway.measurement import SECOND_NS, Float64, Int64, Series, Status, UInt8
from gateway.plans import Index
from gateway.profiles import Checks

QUIET_NS = 60 * SECOND_NS  # a counter that is at odds with its profile at every reading is told once a minute
# With these a value is what the register shows, whatever that is worth.
_SHOWN = np.isin(
    np.arange(256), [Status.OK, Status.MAINTENANCE, Status.CALIBRATION, Status.STOPPED, Status.MANUAL, Status.STALE]
)


class Step(IntEnum):
    """What a reading of a counter is to the one before."""

    FIRST = 0
    COUNTED = 1
    ROLLOVER = 2
    RESET = 3
    UNKNOWN = 4  # it can have gone all the way round
    MISSING = 5


class Counters:
    """The last reading of some counters, and what each has counted.

    checks: of each counter, shape (m,); without a rollover a counter that goes back was reset, without a rate any
    step forward is believed. total: counted since the first reading, as far as it is known. [unit of the parameter]

    >>> counters = Counters([Checks(rollover=1e6, rate_max=50.0)])
    >>> for second, shown in enumerate([999_990.0, 999_995.0, 15.0, 3.0]):
    ...     at = np.array([second * SECOND_NS + 1])
    ...     counted, step = counters.read(np.array([0]), at, np.array([shown]))
    ...     print(counted[0], Step(step[0]).name)
    nan FIRST
    5.0 COUNTED
    20.0 ROLLOVER
    nan RESET
    >>> counters.total.tolist()
    [25.0]
    """

    def __init__(self, checks: Sequence[Checks]) -> None:
        self._rollover = np.array([np.inf if c.rollover is None else c.rollover for c in checks])
        self._rate_max = np.array([np.inf if c.rate_max is None else c.rate_max for c in checks])
        self._last = np.full(len(checks), np.nan)
        self._last_ns = np.zeros(len(checks), np.int64)
        self.total: Float64 = np.zeros(len(checks))

    def last(self, rows: Index) -> tuple[Float64, Int64]:
        """What some counters showed when they were last read, NaN = never, and when. [ns since 1970 UTC]"""
        return self._last[rows], self._last_ns[rows]

    def take_over(self, before: Counters, rows: Index) -> None:
        """Go on with what another has read. rows: as which each counter was known there, (m,), -1 = begin anew."""
        kept = rows >= 0
        was = rows[kept]
        self._last[kept], self._last_ns[kept] = before._last[was], before._last_ns[was]
        self.total[kept] = before.total[was]

    def read(self, rows: Index, time_ns: Int64, value: Float64) -> tuple[Float64, UInt8]:
        """What some counters, each at most once, counted since their last reading.

        rows: which counters, (r,). time_ns: when, (r,). [ns since 1970 UTC] value: what they show, (r,), NaN = nothing.
        Returns the increments, (r,), NaN = not known, and the codes of Step, (r,).
        """
        rollover, last = self._rollover[rows], self._last[rows]
        elapsed_s = (time_ns - self._last_ns[rows]) / SECOND_NS
        with np.errstate(invalid="ignore"):
            most = np.where(np.isinf(self._rate_max[rows]), np.inf, self._rate_max[rows] * np.maximum(elapsed_s, 0.0))
            forward = value - last
            # Of a difference of large floats the last digits are not counted.
            slack = 1e-9 * np.maximum(np.abs(value), np.abs(last))
            missing = ~(np.isfinite(value) & (value >= 0) & (value < rollover))
            first = np.isnan(last) | (elapsed_s <= 0)
            around = np.where(np.isinf(rollover), np.inf, forward + rollover)
            step = np.full(len(rows), Step.RESET, np.uint8)
            step[(forward < 0) & np.isfinite(rollover) & (around <= most + slack)] = Step.ROLLOVER
            step[(forward >= 0) & (forward <= most + slack)] = Step.COUNTED
            step[np.isfinite(most) & (most >= rollover)] = Step.UNKNOWN
        step[first] = Step.FIRST
        step[missing] = Step.MISSING
        counted = np.where(step == Step.COUNTED, forward, np.where(step == Step.ROLLOVER, around, np.nan))
        taken = rows[~missing]
        self._last[taken], self._last_ns[taken] = value[~missing], time_ns[~missing]
        self.total[rows] += np.nan_to_num(counted, nan=0.0)
        return counted, step


@dataclass(frozen=True, slots=True)
class Jump:
    """A step of a counter that is no plain count.

    row: of the series. before, after: what it showed. counted: between them, NaN = nobody knows. [unit of the series]
    """

    row: int
    step: Step
    before: float
    after: float
    counted: float
    elapsed_s: float

    @property
    def what(self) -> str:
        """The word for machines."""
        return {Step.ROLLOVER: "counter_rollover", Step.RESET: "counter_reset", Step.UNKNOWN: "counter_round"}[
            self.step
        ]

    def figures(self, series: Series) -> dict[str, float | str | None]:
        """For machines."""
        counted = None if np.isnan(self.counted) else self.counted
        told = {"before": self.before, "after": self.after, "counted": counted, "elapsed_s": self.elapsed_s}
        return {"sensor": series.sensor, "parameter": series.parameter, **told}

    def sentence(self, series: Series) -> str:
        """For people."""
        who, unit = f"the counter {series.parameter} of {series.sensor} at {series.point}", series.unit
        went = f"went from {self.before:.12g} to {self.after:.12g} {unit}".rstrip()
        if self.step is Step.ROLLOVER:
            return f"{who} began again at 0: it {went}, which is {self.counted:.12g} {unit}".rstrip()
        if self.step is Step.RESET:
            why = "back" if self.after < self.before else "faster than it can count"
            return f"{who} {went} in {self.elapsed_s:.6g} s, {why}: reset or exchanged, what it counted is not known"
        return f"{who} {went} in {self.elapsed_s:.6g} s, in which it can have gone all the way round"


class Totals:
    """The counters among some series, and what there is to tell of them. checks: of each series, shape (m,)."""

    def __init__(self, checks: Sequence[Checks]) -> None:
        self._rows = [row for row, check in enumerate(checks) if check.rollover is not None]
        self._number = np.full(len(checks), -1, np.intp)
        self._number[self._rows] = np.arange(len(self._rows))
        self._counters = Counters([checks[row] for row in self._rows])
        self._told_ns = np.full((len(Step), len(self._rows)), -QUIET_NS, np.int64)

    def take_over(self, before: Totals, rows: Index) -> None:
        """Go on with what another has read. rows: as which each series was known there, (m,), -1 = begin anew."""
        were = rows[self._rows]
        known, numbers = were >= 0, np.full(len(were), -1, np.intp)
        numbers[known] = before._number[were[known]]
        self._counters.take_over(before._counters, numbers)
        self._told_ns[:, numbers >= 0] = before._told_ns[:, numbers[numbers >= 0]]

    def read_table(self, rows: Index, time_ns: Int64, value: Float64, status: UInt8) -> list[Jump]:
        """Take in new values of some series, shapes (r,), in order of time, a series once an instant."""
        if not self._rows:
            return []
        mine = np.flatnonzero(self._number[rows] >= 0)
        if not len(mine):
            return []
        shown = np.where(_SHOWN[status[mine]], value[mine], np.nan)
        numbers, at = self._number[rows[mine]], time_ns[mine]
        found = []
        for part in np.split(np.arange(len(mine)), np.flatnonzero(np.diff(at)) + 1):
            found += self._read(numbers[part], at[part], shown[part])
        return found

    def _read(self, numbers: Index, at: Int64, shown: Float64) -> list[Jump]:
        before, before_ns = self._counters.last(numbers)
        counted, step = self._counters.read(numbers, at, shown)
        odd = (step == Step.ROLLOVER) | (step == Step.RESET) | (step == Step.UNKNOWN)
        odd &= at - self._told_ns[step, numbers] >= QUIET_NS
        if not odd.any():
            return []
        self._told_ns[step[odd], numbers[odd]] = at[odd]
        elapsed_s = (at - before_ns) / SECOND_NS
        return [
            Jump(
                self._rows[int(numbers[n])], Step(int(step[n])), float(before[n]), float(shown[n]), float(counted[n]),
                float(elapsed_s[n]),
            )
            for n in np.flatnonzero(odd)
        ]  # fmt: skip

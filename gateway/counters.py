"""Counters: what was counted between two readings, though a counter begins again at its end and is reset at times.

A volume totalizer of six digits goes from 999999 to 0; one that is replaced or cleared goes back too. What tells them
apart is how much can have been counted in between. Rules, for a counter with a declared rollover and a greatest rate:

- it went on: counted, if no more than the rate allows;
- it went back, and on over its end it is no more than the rate allows: a rollover, and counted;
- anything else is a reset: what was counted meanwhile nobody knows (NaN), and it goes on from there;
- between two readings so far apart that it can have gone all the way round, nobody knows either;
- a reading that is missing, or that the counter cannot show, is passed over: the next one counts from the last good.

Pure and by column: one entry a counter; the caller gives the instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from gateway.measurement import SECOND_NS, Float64, Int64, UInt8
from gateway.plans import Index
from gateway.profiles import Checks


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

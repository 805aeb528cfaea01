"""Plausibility: values that an instrument gives without a word of complaint and that cannot be, or are unlikely.

What a profile says a parameter can do (`gateway.profiles.Checks`) is held against what comes in. Rules:

- stuck: so many values in a row within less than the resolution, while something else at the same place moved. Then
  the status is FAULT and the value is kept. Where nothing moves the plant stands still, and nothing is stuck;
- beyond a soft limit, or changed faster than the rate: the value stays as good as it was, and a finding says so;
- only good values are looked at; one that is not ends the run of equal values, and no rate is taken across it;
- a finding is told when it begins, and when it has been gone for QUIET_NS: a value that dances on a limit is told once.

Hard limits are the profile's `low` and `high`, which `gateway.registers.decode` holds. Pure and by column: one entry a
series of all that a gateway polls; the caller gives the instants, and tells the findings.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gateway.measurement import SECOND_NS, Float64, Int64, Series, Status, UInt8
from gateway.plans import Bools, Index
from gateway.profiles import NO_CHECKS, Checks

QUIET_NS = 60 * SECOND_NS  # an operator reads one event a minute, not one a second
_SAME = 1 - 1e-6  # two values one resolution apart are not the same, whatever the last digit of their difference says


class Doubt(IntEnum):
    """What is doubtful about a value."""

    SOFT_LOW = 0
    SOFT_HIGH = 1
    RATE = 2
    STUCK = 3


_SENTENCES = {
    Doubt.SOFT_LOW: "is below what is plausible",
    Doubt.SOFT_HIGH: "is above what is plausible",
    Doubt.RATE: "changes faster than is plausible",
    Doubt.STUCK: "does not change while the instruments beside it do",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A doubt that begins or has ended. row: of the series. limit: what the value is held against."""

    row: int
    doubt: Doubt
    began: bool
    time_ns: int
    value: float
    limit: float

    def sentence(self, series: Series) -> str:
        """The finding for people."""
        who = f"{series.parameter} of {series.sensor} at {series.point}"
        if not self.began:
            return f"{who} is plausible again: {self.value:g} {series.unit}".rstrip()
        limits = {Doubt.RATE: f"{self.limit:g} {series.unit} a second", Doubt.STUCK: f"{self.limit:.0f} values"}
        limit = limits.get(self.doubt, f"{self.limit:g} {series.unit}").strip()
        return f"{who} {_SENTENCES[self.doubt]}: {self.value:g} {series.unit}".rstrip() + f" (limit: {limit})"


class Plausibility:
    """What some series did lately. checks: of each series; places: what stands or runs together, of each."""

    def __init__(self, checks: Sequence[Checks], places: Sequence[Hashable]) -> None:
        assert len(checks) == len(places), "one entry a series"
        m, known = len(checks), {place: number for number, place in enumerate(dict.fromkeys(places))}
        self._place, self._known = np.array([known[place] for place in places], np.intp), known
        self._soft_low = np.array([-np.inf if c.soft_low is None else c.soft_low for c in checks])
        self._soft_high = np.array([np.inf if c.soft_high is None else c.soft_high for c in checks])
        counter = [c.rollover is not None for c in checks]  # its rate has another meaning: gateway.counters
        self._rate_max = np.array(
            [np.inf if c.rate_max is None or n else c.rate_max for c, n in zip(checks, counter, strict=True)]
        )
        self._resolution = np.array([c.resolution for c in checks]) * _SAME
        self._stuck_after = np.array([c.stuck_after or np.iinfo(np.int64).max for c in checks], np.int64)
        watched = {place for c, place in zip(checks, places, strict=True) if c.stuck_after}
        # Whose values matter: what is checked itself, and what shows that something moves beside it.
        self._seen = np.array([c != NO_CHECKS or p in watched for c, p in zip(checks, places, strict=True)], np.bool_)
        self._lowest, self._highest = np.full(m, np.nan), np.full(m, np.nan)  # of the run of equal values
        self._run, self._since_ns = np.zeros(m, np.int64), np.zeros(m, np.int64)
        self._last, self._last_ns = np.full(m, np.nan), np.zeros(m, np.int64)
        self._moved_ns = np.zeros(len(known), np.int64)  # when something at a place last changed
        self._active = np.zeros((len(Doubt), m), np.bool_)
        self._doubted_ns = np.zeros((len(Doubt), m), np.int64)

    def take_over(self, before: Plausibility, rows: Index) -> None:
        """Go on with what another has seen. rows: as which each series was known there, (m,), -1 = begin anew."""
        kept = rows >= 0
        was = rows[kept]
        for mine, its in (
            (self._lowest, before._lowest), (self._highest, before._highest), (self._run, before._run),
            (self._since_ns, before._since_ns), (self._last, before._last), (self._last_ns, before._last_ns),
        ):  # fmt: skip
            mine[kept] = its[was]
        self._active[:, kept], self._doubted_ns[:, kept] = before._active[:, was], before._doubted_ns[:, was]
        for place, number in self._known.items():
            if place in before._known:
                self._moved_ns[number] = before._moved_ns[before._known[place]]

    def judge_table(self, rows: Index, time_ns: Int64, value: Float64, status: UInt8) -> tuple[UInt8, list[Finding]]:
        """The same as `judge` for values of several instants, in order of time: a series once an instant."""
        if not self._seen[rows].any():
            return status, []
        found, told = [], []
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(time_ns)) + 1):
            judged, findings = self.judge(rows[part], time_ns[part], value[part], status[part])
            found.append(judged)
            told += findings
        return np.concatenate(found), told

    def judge(self, rows: Index, time_ns: Int64, value: Float64, status: UInt8) -> tuple[UInt8, list[Finding]]:
        """Statuses of new values of some series, each at most once, and what there is to tell of them.

        rows: which series, (r,). time_ns: when, (r,). [ns since 1970 UTC] value, status: as decoded, (r,).
        """
        seen = self._seen[rows]
        if not seen.any():
            return status, []
        good = seen & (status == Status.OK)
        self._forget(rows[seen & ~good])
        rows, at, now = rows[good], time_ns[good], value[good]
        doubts = np.zeros((len(Doubt), len(rows)), np.bool_)
        doubts[Doubt.SOFT_LOW], doubts[Doubt.SOFT_HIGH] = now < self._soft_low[rows], now > self._soft_high[rows]
        doubts[Doubt.RATE] = self._fast(rows, at, now)
        doubts[Doubt.STUCK] = self._stuck(rows, at, now)
        if doubts[Doubt.STUCK].any():
            status = status.copy()
            status[np.nonzero(good)[0][doubts[Doubt.STUCK]]] = Status.FAULT
        return status, self._findings(rows, at, now, doubts)

    def _forget(self, rows: Index) -> None:
        self._run[rows], self._last_ns[rows], self._last[rows] = 0, 0, np.nan

    def _fast(self, rows: Index, at: Int64, now: Float64) -> Bools:
        elapsed_s = (at - self._last_ns[rows]) / SECOND_NS
        step = np.abs(now - self._last[rows])  # NaN where there was none before
        fast: Bools = (step > self._rate_max[rows] * elapsed_s) & (elapsed_s > 0)
        self._last[rows], self._last_ns[rows] = now, at
        return fast

    def _stuck(self, rows: Index, at: Int64, now: Float64) -> Bools:
        """Takes the values into the runs of equal ones; which runs are too long while something moved."""
        begun = self._run[rows] > 0
        lowest = np.where(begun, np.fmin(self._lowest[rows], now), now)
        highest = np.where(begun, np.fmax(self._highest[rows], now), now)
        spread = highest - lowest
        same = begun & ((spread < self._resolution[rows]) | (spread == 0.0))
        self._lowest[rows], self._highest[rows] = np.where(same, lowest, now), np.where(same, highest, now)
        self._run[rows] = np.where(same, self._run[rows] + 1, 1)
        self._since_ns[rows] = np.where(same, self._since_ns[rows], at)
        moved = begun & ~same
        np.maximum.at(self._moved_ns, self._place[rows[moved]], at[moved])
        beside: Bools = self._moved_ns[self._place[rows]] > self._since_ns[rows]
        return beside & (self._run[rows] >= self._stuck_after[rows])

    def _findings(self, rows: Index, at: Int64, now: Float64, doubts: Bools) -> list[Finding]:
        active = self._active[:, rows]
        if not (doubts.any() or active.any()):
            return []
        self._doubted_ns[:, rows] = np.where(doubts, at, self._doubted_ns[:, rows])
        begins = doubts & ~active
        ends = active & (at - self._doubted_ns[:, rows] >= QUIET_NS)
        self._active[:, rows] = (active | begins) & ~ends
        limits = (self._soft_low, self._soft_high, self._rate_max, self._stuck_after)
        return [
            Finding(int(rows[n]), Doubt(d), bool(begins[d, n]), int(at[n]), float(now[n]), float(limits[d][rows[n]]))
            for d, n in np.argwhere(begins | ends).tolist()
        ]

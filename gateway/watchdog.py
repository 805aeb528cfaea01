"""How long ago each sensor gave its last good value, and which ones have fallen silent.

A sensor is as old as the oldest of its series. It is silent when for SILENT_INTERVALS it gave neither a
good value nor a reason of its own for having none (maintenance, calibration, stopped, manual); that is
told once, and once that it is over. Pure and by column; `now_ns` is monotonic. [ns]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.measurement import SECOND_NS, Int64, Status, UInt8

SILENT_INTERVALS = 5
SILENT_NS = 10 * SECOND_NS  # less is a hiccup, however short the interval
_EXCUSED = np.isin(np.arange(256), [Status.MAINTENANCE, Status.CALIBRATION, Status.STOPPED, Status.MANUAL])
NAMED = 10  # sensors that a sentence names


class Watchdog:
    """The ages of some sensors. series: how many each has; intervals_ns: between two of its polls. [ns]"""

    def __init__(self, series: Sequence[int], intervals_ns: Sequence[int], now_ns: int) -> None:
        self._starts = np.cumsum([0, *series], dtype=np.intp)[:-1]
        self._limits = np.maximum(np.array(intervals_ns, np.int64) * SILENT_INTERVALS, SILENT_NS)
        self._good_ns = np.full(sum(series), now_ns, np.int64)
        self._heard_ns = self._good_ns.copy()
        self.silent = np.zeros(len(series), np.bool_)

    def take_over(self, before: Watchdog, series: npt.NDArray[np.intp], sensors: npt.NDArray[np.intp]) -> None:
        """Go on with what another knows. series, sensors: as which each was known there, -1 = it was not."""
        known, named = series >= 0, sensors >= 0
        self._good_ns[known], self._heard_ns[known] = before._good_ns[series[known]], before._heard_ns[series[known]]
        self.silent[named] = before.silent[sensors[named]]

    def see(self, series: npt.NDArray[np.intp], status: UInt8, now_ns: int) -> None:
        """Values came in: of which series, with which status."""
        good = status == Status.OK
        self._good_ns[series[good]] = now_ns
        self._heard_ns[series[good | _EXCUSED[status]]] = now_ns

    def look(self, now_ns: int) -> tuple[list[int], list[int]]:
        """The sensors that fell silent since the last look, and those that did not stay so."""
        silent = now_ns - np.minimum.reduceat(self._heard_ns, self._starts) > self._limits
        gone, back = silent & ~self.silent, self.silent & ~silent
        self.silent = silent
        return np.flatnonzero(gone).tolist(), np.flatnonzero(back).tolist()

    def ages_ns(self, now_ns: int) -> Int64:
        """How long ago the last good value of each sensor was, counted from the start where there was none. [ns]"""
        ages: Int64 = now_ns - np.minimum.reduceat(self._good_ns, self._starts)
        return ages


def enumeration(names: Sequence[str]) -> str:
    """Some names in a sentence.

    >>> enumeration(["a"]), enumeration([str(n) for n in range(12)])
    ('a', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 others')
    """
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} others" if more > 0 else "")

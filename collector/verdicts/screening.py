"""Screening: which measurements go into an average, and how much time each stands for.

Rules of this file:

- a value counts when its status is plainly good (HJ 212 flag N); all others are counted by status and
  shown, never averaged. So is one that a clock has dated that is known or presumed to be wrong, until its time is
  corrected: a good value of an unknown time is none of this window;
- an instant has one value: where two streams brought the same instant, a good value beats a bad one,
  and the later in the journal beats the earlier (a clock that was set back measures instants twice: both stay in
  the store, one is averaged);
- a value stands for its sensor's interval, from its instant on. Where nobody says the interval
  (files judged offline), it is the usual distance between two values, so that a gap does not stretch it;
- where the times of a file wander around the full minute, a value dated just before it stands for the minute that
  begins: else of two such minutes one has a value too few, and the other one too many.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collector.verdicts.windows import MINUTE_NS
from gateway.measurement import SECOND_NS, Float64, Int64, Status, UInt8

Booleans = npt.NDArray[np.bool_]

# Why a value goes into no average: its status, or, beyond what instruments and gateways say, what it was measured in.
REASONS = (*(status.name.lower() for status in Status), "wind", "rain", "other_state", "not_assured")
WIND, RAIN, OTHER_STATE, NOT_ASSURED = range(len(Status), len(REASONS))
USABLE = (Status.OK,)
# How far times wander at most, in parts of what a value stands for and in all: our own choice, no text speaks of it.
STRAY_PARTS, STRAY_NS = 10, SECOND_NS
_USABLE = np.array([code in USABLE for code in range(len(REASONS))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Measurements of one parameter at one point, ordered by time, one value an instant.

    sensors: ids of the instruments. intervals_ns: what a value of each stands for, > 0. [ns]
    sensor_index: which instrument gave value i, shape (n,). time_ns, value, status (places in REASONS): shape (n,).
    raw: the values as measured, where a calibration function made others of them; None = they are as measured.
    """

    parameter: str
    unit: str
    sensors: tuple[str, ...]
    intervals_ns: tuple[int, ...]
    sensor_index: npt.NDArray[np.uint16]
    time_ns: Int64
    value: Float64
    status: UInt8
    raw: Float64 | None = None

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def interval_ns(self) -> Int64:
        """How much time each value stands for, shape (n,). [ns]"""
        return np.array(self.intervals_ns, np.int64)[self.sensor_index]

    @property
    def coarsest_ns(self) -> int:
        """The longest time one of its values stands for. [ns]"""
        return max(self.intervals_ns)

    def within(self, from_ns: int, to_ns: int) -> Signal:
        """The measurements of [from_ns, to_ns)."""
        return self.rows(slice(*np.searchsorted(self.time_ns, (from_ns, to_ns))))

    def rows(self, rows: slice | Booleans) -> Signal:
        """Some of the measurements, in the same order."""
        return Signal(
            parameter=self.parameter, unit=self.unit, sensors=self.sensors, intervals_ns=self.intervals_ns,
            sensor_index=self.sensor_index[rows], time_ns=self.time_ns[rows], value=self.value[rows],
            status=self.status[rows], raw=None if self.raw is None else self.raw[rows],
        )  # fmt: skip


def signal(
    parameter: str, unit: str, *, time_ns: Int64, value: Float64, status: UInt8, interval_ns: int, sensor: str = ""
) -> Signal:
    """A signal of one sensor. Rows in any order; of rows of one instant the last good one stays."""
    keep = settled(time_ns, value, status)
    return Signal(
        parameter=parameter, unit=unit, sensors=(sensor,), intervals_ns=(interval_ns,),
        sensor_index=np.zeros(len(keep), np.uint16), time_ns=time_ns[keep], value=value[keep], status=status[keep],
    )  # fmt: skip


def joined(parts: Sequence[Signal]) -> Signal:
    """Signals of several sensors at one point (an instrument was replaced) as one. At least one part."""
    if len(parts) == 1:
        return parts[0]
    time_ns = np.concatenate([part.time_ns for part in parts])
    value = np.concatenate([part.value for part in parts])
    status = np.concatenate([part.status for part in parts])
    index = np.concatenate([np.full(len(part), number, np.uint16) for number, part in enumerate(parts)])
    keep = settled(time_ns, value, status)
    return Signal(
        parameter=parts[0].parameter, unit=parts[0].unit, sensors=tuple(part.sensors[0] for part in parts),
        intervals_ns=tuple(part.intervals_ns[0] for part in parts), sensor_index=index[keep], time_ns=time_ns[keep],
        value=value[keep], status=status[keep],
    )  # fmt: skip


def usable(value: Float64, status: UInt8) -> Booleans:
    """Which measurements go into averages."""
    return np.asarray(_USABLE[status] & np.isfinite(value))


def settled(time_ns: Int64, value: Float64, status: UInt8) -> npt.NDArray[np.intp]:
    """Rows in the order of time with one row an instant: the last usable one, or the last where none is."""
    if len(time_ns) < 2 or (np.diff(time_ns) > 0).all():
        return np.arange(len(time_ns))
    order = np.lexsort((np.arange(len(time_ns)), usable(value, status), time_ns))
    last = np.append(time_ns[order][1:] != time_ns[order][:-1], True)
    return np.asarray(order[last])


def disputed(time_ns: Int64, value: Float64, status: UInt8) -> int:
    """How many instants have more than one usable value, and not the same; `settled` takes the last of each."""
    good = usable(value, status)
    times, values = time_ns[good], value[good]
    order = np.lexsort((values, times))
    times, values = times[order], values[order]
    return len(np.unique(times[1:][(times[1:] == times[:-1]) & (values[1:] != values[:-1])]))


def named(counts: Sequence[int]) -> dict[str, int]:
    """Counts of one group by the name of the status or reason, without those that are zero.

    >>> named([5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0])
    {'ok': 5, 'fault': 1, 'wind': 2}
    """
    return {name: count for name, count in zip(REASONS, counts, strict=True) if count}


def status_named(text: str) -> Status | None:
    """The status of a name (`ok`, `out_of_range`) or an HJ 212 flag (`N`, `T`); None where it is neither.

    >>> status_named("calibration"), status_named("D"), status_named("fine")
    (<Status.CALIBRATION: 2>, <Status.FAULT: 3>, None)
    """
    return _BY_NAME.get(text.strip().casefold())


_BY_NAME: Mapping[str, Status] = {
    # Backwards, so that of statuses with one flag (B, N) the first is meant.
    **{status.hj212_flag.casefold(): status for status in reversed(Status)},
    **{status.name.casefold(): status for status in Status},
}


def spacing_ns(time_ns: Int64) -> int:
    """The usual distance between two values; one minute where there are not two. [ns]

    time_ns: rising, shape (n,). A gap counts like any other distance, so a few do not matter.
    """
    steps = np.diff(time_ns)
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else 60 * SECOND_NS


def steadied(signal: Signal) -> Signal:
    """A signal with those values on the full minute that are dated just before it, where its times wander around it.

    They do where, of the values around full minutes, at least a tenth lie on either side: an instrument that dates all
    its values a little early or late has as many of them in each minute as any other.
    """
    most_ns = np.minimum(np.array(signal.intervals_ns, np.int64) // STRAY_PARTS, STRAY_NS)
    near_ns = most_ns[signal.sensor_index] if len(most_ns) > 1 else most_ns[0]
    off_ns = (signal.time_ns + MINUTE_NS // 2) % MINUTE_NS - MINUTE_NS // 2
    near = np.abs(off_ns) <= near_ns
    early = near & (off_ns < 0)
    if not 0.1 * near.sum() <= early.sum() <= 0.9 * near.sum() or not early.any():
        return signal
    time_ns = np.where(early, signal.time_ns - off_ns, signal.time_ns)
    taken = np.append(time_ns[1:] == time_ns[:-1], False)  # by the next value, which stays there
    return replace(signal, time_ns=np.where(taken, signal.time_ns, time_ns))

"""Polls the instruments: on every tick each sensor gives its measurements, or says why not.

The sensors behind one network address share a connection and are read one after the other, in a
task of their own, so that a slow address delays nobody else. Rules:

- a measurement carries the tick it was read for, so that a series is regular;
- an instrument that does not answer gives NaN with NO_COMM at every tick, and a tick that could not
  be served in time gives the same: missing is a status, never a gap;
- an answer that comes more than STALE_INTERVALS after its tick is STALE: it is no value of that instant;
- a sensor is not asked again before its last values are on the disk, so that a crash costs one poll of a sensor and
  no more; sensors that are polled faster than once a second do not wait;
- after some failures in a row a sensor is only tried now and then, so that a dead unit does not take
  the time of the living ones behind the same address;
- that an instrument went away is logged once, and once that it is back.

Ticks follow the monotonic clock, set to UTC at the start; when the wall clock is stepped, they are
set anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from gateway.clock import STEP_NS
from gateway.links.link import Link, LinkDown, LinkError, Refused, Remedy, policy
from gateway.links.open import open_link
from gateway.measurement import SECOND_NS, Columns, Float64, Int64, Status, UInt8
from gateway.registers import decode
from gateway.schedule import Schedule
from gateway.sensors import Sensor

TIMEOUT_S = (0.2, 3.0)  # of an answer: half the shortest interval of the address, within these
FAILURES = 3  # in a row, after which a sensor or an address is only tried now and then
STALE_INTERVALS = 2.5
STALE_NS = SECOND_NS  # less than this is no age, however short the interval
PROBE_S = (1.0, 30.0)  # between two such tries of a sensor: first, longest
PROBE_ADDRESS_S = (1.0, 5.0)  # of an address; shorter, since all its sensors wait for it
LOOK_S = 10.0  # longest sleep, so that a step of the clock is seen soon
KEPT_S = 0.02  # between two looks whether a poll is on the disk
MAX_FILL = 3600  # ticks that are filled with NO_COMM at once

_log = structlog.get_logger("gateway.poller")


@dataclass(slots=True)
class Rest:
    """How long something that fails is left alone: pure, `now_ns` is monotonic. wait_s: first and longest."""

    wait_s: tuple[float, float]
    failures: int = 0
    until_ns: int = 0

    def resting(self, now_ns: int) -> bool:
        """Whether it is not to be tried now."""
        return now_ns < self.until_ns

    def failed(self, now_ns: int) -> None:
        """It failed again: each time it is left alone for twice as long."""
        self.failures += 1
        if self.failures >= FAILURES:
            first, longest = self.wait_s
            seconds = min(first * 2 ** min(self.failures - FAILURES, 20), longest)
            self.until_ns = now_ns + int(seconds * SECOND_NS)

    def worked(self) -> None:
        """It works."""
        self.failures, self.until_ns = 0, 0


@dataclass(slots=True)
class _Instrument:
    """A sensor while it is polled.

    tick_ns: the last one served, 0 = none. ticket: of its last values. problem: "" = it answers.
    """

    sensor: Sensor
    rest: Rest = field(default_factory=lambda: Rest(PROBE_S))
    tick_ns: int = 0
    ticket: int = 0
    problem: str = ""
    answered: int = 0
    failed: int = 0
    unserved: int = 0


class Poller:
    """Polls sensors and hands their measurements to `put`.

    put: takes Columns and returns a ticket, quickly; called in the event loop. kept: whether what a ticket stands for
    is on the disk, or cannot be there for want of room.
    now_ns, mono_ns: wall and monotonic clock. [ns]
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        put: Callable[[Columns], int],
        *,
        kept: Callable[[int], bool] = lambda _: True,
        now_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._put, self._kept, self._now_ns, self._mono_ns = put, kept, now_ns, mono_ns
        self._instruments = [_Instrument(sensor) for sensor in sensors]
        self._addresses: dict[tuple[str, str, int], list[_Instrument]] = {}
        for instrument in self._instruments:
            self._addresses.setdefault(instrument.sensor.settings.link.bus, []).append(instrument)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            for instruments in self._addresses.values():
                group.create_task(self._serve(instruments))

    def state(self) -> Mapping[str, Any]:
        """How the instruments are, for the gateway's state: problem of each, "" = it answers."""
        return {
            "links": {i.sensor.settings.id: i.problem for i in self._instruments},
            "polls_answered": sum(i.answered for i in self._instruments),
            "polls_failed": sum(i.failed for i in self._instruments),
            "ticks_unserved": sum(i.unserved for i in self._instruments),
        }

    async def _serve(self, instruments: Sequence[_Instrument]) -> None:
        """Serve the ticks of all sensors behind one address."""
        intervals = [i.sensor.interval_ns for i in instruments]
        timeout_s = min(max(TIMEOUT_S[0], min(intervals) / 2 / SECOND_NS), TIMEOUT_S[1])
        link = open_link(instruments[0].sensor.settings.link, connect_s=timeout_s)
        rest = Rest(PROBE_ADDRESS_S)
        offset_ns = self._now_ns() - self._mono_ns()
        schedule = Schedule(intervals, self._mono_ns() + offset_ns)
        try:
            while True:
                stepped_ns = self._now_ns() - self._mono_ns()
                if abs(stepped_ns - offset_ns) > STEP_NS:
                    offset_ns = stepped_ns
                    schedule = Schedule(intervals, self._mono_ns() + offset_ns)
                    for instrument in instruments:
                        instrument.tick_ns = 0  # ticks between the old and the new time never were
                now_ns = self._mono_ns() + offset_ns
                for index in schedule.due(now_ns):
                    await self._poll(link, timeout_s, rest, instruments[index], schedule.tick_ns(index), offset_ns)
                now_ns = self._mono_ns() + offset_ns
                await asyncio.sleep(min((schedule.next_ns(now_ns) - now_ns) / SECOND_NS, LOOK_S))
        finally:
            link.close()

    async def _poll(
        self, link: Link, timeout_s: float, rest: Rest, instrument: _Instrument, tick_ns: int, offset_ns: int
    ) -> None:
        """One tick of one sensor: its measurements, or NO_COMM. offset_ns: of the wall clock that the ticks are of."""
        self._fill(instrument, tick_ns)
        instrument.tick_ns = tick_ns
        value, status = _nothing(instrument.sensor, 1)
        now_ns = self._mono_ns()
        if not (rest.resting(now_ns) or instrument.rest.resting(now_ns)):
            await self._wait_kept(instrument)
            try:
                value, status = await _read(link, instrument.sensor, timeout_s)
            except LinkError as error:
                self._failed(rest, instrument, error)
                if isinstance(error, Refused) and policy(error.code).remedy is Remedy.FAULT:
                    status[:] = Status.FAULT
            else:
                self._worked(rest, instrument)
                age_ns = self._mono_ns() + offset_ns - tick_ns
                if age_ns > max(STALE_INTERVALS * instrument.sensor.interval_ns, STALE_NS):
                    status[status == Status.OK] = Status.STALE
        instrument.ticket = self._put(_columns(instrument.sensor, np.array([tick_ns], np.int64), value, status))

    async def _wait_kept(self, instrument: _Instrument) -> None:
        """Until the sensor's last values are on the disk."""
        while instrument.sensor.interval_ns >= SECOND_NS and not self._kept(instrument.ticket):  # noqa: ASYNC110 - by a thread
            await asyncio.sleep(KEPT_S)

    def _fill(self, instrument: _Instrument, tick_ns: int) -> None:
        """The ticks since the last one served, which nobody had time for."""
        interval_ns = instrument.sensor.interval_ns
        if not instrument.tick_ns or tick_ns <= instrument.tick_ns + interval_ns:
            return
        first_ns = max(instrument.tick_ns + interval_ns, tick_ns - MAX_FILL * interval_ns)
        ticks = np.arange(first_ns, tick_ns, interval_ns, dtype=np.int64)
        instrument.unserved += len(ticks)
        self._put(_columns(instrument.sensor, ticks, *_nothing(instrument.sensor, len(ticks))))

    def _failed(self, rest: Rest, instrument: _Instrument, error: LinkError) -> None:
        now_ns = self._mono_ns()
        if isinstance(error, LinkDown):
            rest.failed(now_ns)
        else:
            rest.worked()
            instrument.rest.failed(now_ns)
        instrument.failed += 1
        if not instrument.problem:
            settings = instrument.sensor.settings
            _log.warning(
                "An instrument gives no values; it is polled on, the others are not touched",
                sensor=settings.id, point=settings.point, profile=settings.profile, problem=str(error),
            )  # fmt: skip
        instrument.problem = str(error)

    def _worked(self, rest: Rest, instrument: _Instrument) -> None:
        rest.worked()
        instrument.rest.worked()
        instrument.answered += 1
        if instrument.problem:
            instrument.problem = ""
            settings = instrument.sensor.settings
            _log.info("An instrument gives values again", sensor=settings.id, point=settings.point)


async def _read(link: Link, sensor: Sensor, timeout_s: float) -> tuple[Float64, UInt8]:
    """The values of a sensor now, shapes (1, k). Raises LinkError when a block cannot be read."""
    unit, quirks = sensor.settings.link.unit, sensor.settings.link.quirks
    words = [
        (await link.read(unit, block, timeout_s=timeout_s, quirks=quirks))[None, :] for block in sensor.plan.blocks
    ]
    return decode(sensor.plan, words)


def _nothing(sensor: Sensor, ticks: int) -> tuple[Float64, UInt8]:
    """No communication at some ticks."""
    shape = (ticks, len(sensor.series))
    return np.full(shape, np.nan), np.full(shape, Status.NO_COMM, np.uint8)


def _columns(sensor: Sensor, ticks: Int64, value: Float64, status: UInt8) -> Columns:
    """Values and statuses of some ticks, shapes (n, k), by column."""
    k = len(sensor.series)
    index = np.tile(np.arange(k, dtype=np.uint16), len(ticks))
    return Columns(sensor.series, index, np.repeat(ticks, k), value.ravel(), status.ravel())

"""Polls the instruments: on every tick each sensor gives its measurements, or says why not.

Each TCP endpoint and each serial bus has a task of its own, so that a slow one delays no other; whose turn it
is on one, and for how long, `gateway.turns` decides. What polls give is put together over all of them
(`gateway.harvest`). Rules:

- a measurement carries the tick it was read for, so that a series is regular;
- an instrument that does not answer gives NaN with NO_COMM at every tick, and a tick that could not
  be served in time gives the same: missing is a status, never a gap;
- an answer that comes more than STALE_INTERVALS after its tick is STALE: it is no value of that instant;
- a sensor is not asked again before its last values are on the disk, so that a crash costs one poll of a sensor and
  no more; sensors that are polled faster than once a second do not wait;
- that an instrument went away is logged once, and once that it is back; that sensors have been silent for some
  intervals (`gateway.watchdog`), or that registers asked for do not exist, is also an event of the gateway.

Ticks follow the monotonic clock, set to UTC at the start; when the wall clock is stepped, they are
set anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from gateway.clock import STEP_NS
from gateway.harvest import Harvest, Reading, readings
from gateway.links.link import Link, LinkError, Refused, Remedy, policy
from gateway.links.open import open_link
from gateway.measurement import SECOND_NS, Columns, Status, UInt16
from gateway.sensors import Sensor
from gateway.shelves import SpoolError
from gateway.turns import Ask, Lapse, Turns
from gateway.watchdog import Watchdog, enumeration

CONNECT_S = 1.5  # a second try of the system's own falls into it, and one that was lost costs less than a second more
STALE_INTERVALS = 2.5
STALE_NS = SECOND_NS  # less than this is no age, however short the interval
LOOK_S = 10.0  # longest sleep, so that a step of the clock is seen soon
GATHER_S = 0.05  # that a poll waits for others to be decoded with
WATCH_S = 1.0
MAX_FILL = 3600  # ticks that are filled with NO_COMM at once
MAX_NOTES = 100  # that wait for a disk which takes none
MAX_TEXT = 500  # letters of a note that a collector takes

_log = structlog.get_logger("gateway.poller")


@dataclass(slots=True)
class _Poll:
    """A reading while it is polled.

    ticket: of its last values, None = they are not put yet. problem: "" = it answers. alarmed: that it asks for what
    does not exist was told.
    """

    reading: Reading
    ticket: int | None = 0
    problem: str = ""
    alarmed: bool = False
    answered: int = 0
    failed: int = 0
    unserved: int = 0


class Poller:
    """Polls sensors and hands their measurements to `put`.

    put: takes Columns and returns a ticket, quickly; called in the event loop. kept: whether what a ticket stands for
    is on the disk, or cannot be there for want of room. tell: takes what is to be recorded of the gateway itself;
    called in another thread.
    now_ns, mono_ns: wall and monotonic clock. [ns]
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        put: Callable[[Columns], int],
        *,
        kept: Callable[[int], bool] = lambda _: True,
        tell: Callable[[str, str, Mapping[str, Any]], None] = lambda *_: None,
        now_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._put, self._kept, self._tell, self._now_ns, self._mono_ns = put, kept, tell, now_ns, mono_ns
        self._sensors = list(sensors)
        self._polls = [_Poll(reading) for sensor in self._sensors for reading in readings(sensor)]
        self._harvest, self._some = Harvest([poll.reading for poll in self._polls]), asyncio.Event()
        slowest = [max(reading.interval_ns for reading in readings(sensor)) for sensor in self._sensors]
        self._watchdog = Watchdog([len(sensor.series) for sensor in self._sensors], slowest, mono_ns())
        self._notes: list[tuple[str, str, Mapping[str, Any]]] = []
        self._buses: dict[tuple[str, str, int], list[int]] = {}
        for number, poll in enumerate(self._polls):
            self._buses.setdefault(poll.reading.sensor.settings.link.bus, []).append(number)

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._gather())
                group.create_task(self._watch())
                for numbers in self._buses.values():
                    group.create_task(self._serve(numbers))
        finally:
            self._give()

    def state(self) -> Mapping[str, Any]:
        """How the instruments are, for the gateway's state.

        links: problem of each, "" = it answers. good_s: how long ago the last good value of each was. [s]
        """
        problems: dict[str, str] = {}
        for poll in self._polls:
            id = poll.reading.sensor.settings.id
            problems[id] = problems.get(id) or poll.problem
        ages_s = (self._watchdog.ages_ns(self._mono_ns()) / SECOND_NS).round(1).tolist()
        return {
            "links": problems,
            "good_s": {sensor.settings.id: age_s for sensor, age_s in zip(self._sensors, ages_s, strict=True)},
            "polls_answered": sum(poll.answered for poll in self._polls),
            "polls_failed": sum(poll.failed for poll in self._polls),
            "ticks_unserved": sum(poll.unserved for poll in self._polls),
        }

    # --- one link --------------------------------------------------------------------------------------------

    async def _serve(self, numbers: Sequence[int]) -> None:
        """Serve the ticks of all readings behind one address."""
        asked = [self._polls[number].reading for number in numbers]
        link = open_link(asked[0].sensor.settings.link, connect_s=CONNECT_S)
        offset_ns = self._now_ns() - self._mono_ns()
        units, intervals = [r.sensor.settings.link.unit for r in asked], [r.interval_ns for r in asked]
        numbered = all(reading.sensor.settings.link.numbered for reading in asked)
        turns = Turns(units, intervals, self._mono_ns(), offset_ns, numbered=numbered)
        try:
            while True:
                stepped_ns = self._now_ns() - self._mono_ns()
                if abs(stepped_ns - offset_ns) > STEP_NS:
                    offset_ns = stepped_ns
                    turns.reset(self._mono_ns(), offset_ns)
                for lapse in turns.look(self._mono_ns()):
                    self._lapse(numbers[lapse.job], lapse)
                turn = turns.next(self._mono_ns(), lambda job: self._ready(numbers[job]))
                if isinstance(turn, Ask):
                    await self._poll(link, turns, turn, numbers[turn.job], offset_ns)
                else:
                    await asyncio.sleep(min((turn - self._mono_ns()) / SECOND_NS, LOOK_S))
        finally:
            link.close()

    def _ready(self, number: int) -> bool:
        """Whether a reading's last values are on the disk."""
        poll = self._polls[number]
        return poll.reading.interval_ns < SECOND_NS or (poll.ticket is not None and self._kept(poll.ticket))

    async def _poll(self, link: Link, turns: Turns, ask: Ask, number: int, offset_ns: int) -> None:
        """One turn of one reading. offset_ns: of the wall clock that the ticks are of."""
        poll, began_ns = self._polls[number], self._mono_ns()
        try:
            words = await self._read(link, turns, ask, poll.reading)
        except LinkError as error:
            now_ns = self._mono_ns()
            if turns.failed(ask, now_ns, now_ns - began_ns, error):
                self._nothing(number, [ask.tick_ns], self._failed(poll, error))
            return
        now_ns = self._mono_ns()
        turns.answered(ask, now_ns, now_ns - began_ns)
        self._worked(poll)
        stale_ns = max(STALE_INTERVALS * poll.reading.interval_ns, STALE_NS)
        self._harvest.answer(number, ask.tick_ns, words, late=now_ns + offset_ns - ask.tick_ns > stale_ns)
        poll.ticket = None
        self._some.set()

    async def _read(self, link: Link, turns: Turns, ask: Ask, reading: Reading) -> list[UInt16]:
        """The words of each block. Raises LinkError when one cannot be read; a probe begins with the smallest."""
        address, blocks = reading.sensor.settings.link, reading.plan.blocks
        words: dict[int, UInt16] = {}
        for number in sorted(range(len(blocks)), key=lambda n: blocks[n].count if ask.probe else n):
            try:
                words[number] = await link.read(
                    address.unit, blocks[number], timeout_s=ask.timeout_ns / SECOND_NS, quirks=address.quirks
                )
            except Refused:
                turns.heard(ask.job, int(link.latency_s * SECOND_NS))
                raise
            turns.heard(ask.job, int(link.latency_s * SECOND_NS))
        return [words[number] for number in range(len(blocks))]

    # --- what came of it ---------------------------------------------------------------------------------------

    def _lapse(self, number: int, lapse: Lapse) -> None:
        """Ticks that nobody had time for, or that a reading was not asked for."""
        poll = self._polls[number]
        interval_ns = poll.reading.interval_ns
        ticks = range(max(lapse.first_ns, lapse.end_ns - MAX_FILL * interval_ns), lapse.end_ns, interval_ns)
        poll.unserved += len(ticks) if lapse.unserved else 0
        self._nothing(number, ticks)

    def _nothing(self, number: int, ticks_ns: Iterable[int], status: Status = Status.NO_COMM) -> None:
        self._harvest.nothing(number, ticks_ns, status)
        self._polls[number].ticket = None
        self._some.set()

    def _failed(self, poll: _Poll, error: LinkError) -> Status:
        """Note it; the status of the values that did not come."""
        poll.failed += 1
        settings, text = poll.reading.sensor.settings, str(error)
        remedy = policy(error.code).remedy if isinstance(error, Refused) else Remedy.AWAY
        if not poll.problem:
            _log.warning(
                "An instrument gives no values; it is polled on, the others are not touched",
                sensor=settings.id, point=settings.point, profile=settings.profile, problem=text,
            )  # fmt: skip
        if remedy is Remedy.NONE and not poll.alarmed:
            poll.alarmed = True
            say = f"{settings.id} refuses what profile {settings.profile} asks for: {text}"
            self._note("configuration", say, {"sensor": settings.id, "profile": settings.profile, "problem": text})
        poll.problem = text
        return Status.FAULT if remedy is Remedy.FAULT else Status.NO_COMM

    def _worked(self, poll: _Poll) -> None:
        poll.answered += 1
        poll.alarmed = False
        if poll.problem:
            poll.problem = ""
            settings = poll.reading.sensor.settings
            _log.info("An instrument gives values again", sensor=settings.id, point=settings.point)

    # --- over all links ------------------------------------------------------------------------------------------

    async def _gather(self) -> None:
        """Hand on what polls gave, together."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            self._give()

    def _give(self) -> None:
        polls, tables = self._harvest.polls, self._harvest.gather()
        self._some.clear()
        now_ns, ticket = self._mono_ns(), 0
        for start, columns in tables:
            ticket = self._put(columns)
            self._watchdog.see(columns.series_index.astype(np.intp) + start, columns.status, now_ns)
        for number in polls:
            self._polls[number].ticket = ticket

    async def _watch(self) -> None:
        """Tell who fell silent and who is back, and what else is to be recorded."""
        while True:
            await asyncio.sleep(WATCH_S)
            gone, back = self._watchdog.look(self._mono_ns())
            self._name("silent", "no good values from", gone)
            self._name("heard", "good values again from", back)
            while self._notes:
                try:
                    await asyncio.to_thread(self._tell, *self._notes[0])
                except SpoolError:
                    break  # the next flush says what is wrong with the disk
                del self._notes[0]

    def _name(self, what: str, text: str, numbers: Sequence[int]) -> None:
        names = [self._sensors[number].settings.id for number in numbers]
        if names:
            self._note(what, f"{text} {enumeration(names)}", {"sensors": " ".join(names)[:MAX_TEXT], "n": len(names)})

    def _note(self, what: str, text: str, detail: Mapping[str, Any]) -> None:
        self._notes = [*self._notes, (what, text[:MAX_TEXT], detail)][-MAX_NOTES:]

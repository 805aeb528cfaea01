"""Polls the instruments: on every tick each sensor gives its measurements, or says why not.

Each TCP endpoint and each serial bus has a task of its own, so that a slow one delays no other; whose turn it
is on one, and for how long, `gateway.turns` decides. What polls give is put together over all of them
(`gateway.harvest`). Rules:

- a measurement carries the tick it was read for, so that a series is regular;
- what an instrument says it does not have is found by halving (`gateway.plans`) and left out, so that one wrong
  register does not cost the others; each is told once, and asked for again after RECHECK_NS;
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
from msgspec.structs import replace

from gateway.blocks import Block
from gateway.clock import STEP_NS
from gateway.harvest import Harvest, Reading, readings
from gateway.links.address import Link as Address
from gateway.links.link import Link, LinkError, Refused, Remedy, policy
from gateway.links.open import open_link
from gateway.measurement import SECOND_NS, Columns, Status, UInt16
from gateway.plans import Plan, narrowed, why
from gateway.plausible import Plausibility
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
ILLEGAL_ADDRESS = 2
NARROWED_MAX = 16  # halvings in one turn: enough for one bad register among all that an instrument can have
RECHECK_NS = 3600 * SECOND_NS  # an instrument that was starting, or was exchanged, has them later
MAX_FILL = 3600  # ticks that are filled with NO_COMM at once
MAX_NOTES = 100  # that wait for a disk which takes none
MAX_TEXT = 500  # letters of a note that a collector takes

_log = structlog.get_logger("gateway.poller")


@dataclass(slots=True)
class _Poll:
    """A reading while it is polled.

    ticket: of its last values, None = they are not put yet. problem: "" = it answers. alarmed: that it asks for what
    does not exist was told. plan: what is asked for now. narrowed_ns: since when that is less than all, 0 = it is all.
    lost: parameters of which something is refused, told already.
    """

    reading: Reading
    plan: Plan
    link: Address
    ticket: int | None = 0
    problem: str = ""
    alarmed: bool = False
    narrowed_ns: int = 0
    lost: frozenset[str] = frozenset()
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
        asked = [reading for sensor in self._sensors for reading in readings(sensor)]
        self._polls = [_Poll(reading, reading.plan, reading.sensor.link) for reading in asked]
        self._harvest, self._some = Harvest([poll.reading for poll in self._polls]), asyncio.Event()
        self._series = [series for reading in asked for series in reading.series]
        checks = [r.sensor.profile.register(name).checks for r in asked for name in r.plan.parameters]
        self._doubts = Plausibility(checks, [series.point for series in self._series])
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
        numbered = all(reading.sensor.link.numbered for reading in asked)
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
            words = await self._read(link, turns, ask, number)
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

    async def _read(self, link: Link, turns: Turns, ask: Ask, number: int) -> list[UInt16]:
        """The words of each block of a reading's plan. Raises LinkError; a probe begins with the smallest."""
        poll = self._polls[number]
        address = poll.link
        if poll.narrowed_ns and self._mono_ns() - poll.narrowed_ns > RECHECK_NS:
            self._go_on(number, poll.reading.plan)
        words: dict[Block, UInt16] = {}
        halvings = 0
        while missing := [block for block in poll.plan.blocks if block not in words]:
            block = min(missing, key=lambda block: block.count) if ask.probe else missing[0]
            try:
                words[block] = await link.read(
                    address.unit, block, timeout_s=ask.timeout_ns / SECOND_NS, quirks=address.quirks
                )
            except Refused as error:
                turns.heard(ask.job, int(link.latency_s * SECOND_NS))
                halvings += 1
                if error.code != ILLEGAL_ADDRESS or halvings > NARROWED_MAX or not self._narrow(number, block):
                    raise
            else:
                turns.heard(ask.job, int(link.latency_s * SECOND_NS))
        self._say_lost(poll)
        return [words[block] for block in poll.plan.blocks]

    def _narrow(self, number: int, block: Block) -> bool:
        """Go on without what is refused; False where nothing is left: then all is asked for again, another time."""
        poll = self._polls[number]
        rest = narrowed(poll.plan, poll.plan.blocks.index(block))
        self._go_on(number, rest if rest.blocks else poll.reading.plan)
        return bool(rest.blocks)

    def _go_on(self, number: int, plan: Plan) -> None:
        poll = self._polls[number]
        whole = plan is poll.reading.plan
        poll.plan, poll.narrowed_ns = plan, 0 if whole else poll.narrowed_ns or self._mono_ns()
        self._harvest.change(number, plan)

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

    def _say_lost(self, poll: _Poll) -> None:
        """Tell, once each, what an instrument that gives the rest does not have."""
        settings = poll.reading.sensor.settings
        for name, reason in why(poll.plan).items() if poll.plan.refused else ():
            if name not in poll.lost:
                poll.lost |= {name}
                detail = {"sensor": settings.id, "profile": settings.profile, "parameter": name, "problem": reason}
                self._note("configuration", f"{name} of {settings.id} cannot be read: {reason}", detail)

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
            rows = columns.series_index.astype(np.intp) + start
            status, findings = self._doubts.judge_table(rows, columns.time_ns, columns.value, columns.status)
            ticket = self._put(replace(columns, status=status) if status is not columns.status else columns)
            self._watchdog.see(rows, status, now_ns)
            for finding in findings:
                series = self._series[finding.row]
                detail = {"sensor": series.sensor, "parameter": series.parameter, "value": finding.value}
                self._note("implausible" if finding.began else "plausible", finding.sentence(series), detail)
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

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
- what inputs say is laid over the values (`gateway.contacts`), before anything is judged by them; how instruments are
  set is read back when a link has nothing else to do (`gateway.inspection`, `gateway.errands`);
- a sensor is not asked again before its last values are on the disk, so that a crash costs one poll of a sensor and
  no more; sensors that are polled faster than once a second do not wait;
- that an instrument went away is logged once, and once that it is back; that sensors have been silent for some
  intervals (`gateway.watchdog`), that registers asked for do not exist, that a counter began again
  (`gateway.counters`) or that an instrument is set otherwise is also an event of the gateway;
- it can go on with other sensors (`reconfigure`): what stays the same is not touched, and no tick of it is missing,
  told twice or late; what is another goes on with its next tick (`gateway.revision`).

Ticks follow the monotonic clock, set to UTC at the start; when the wall clock is stepped, they are
set anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import structlog

from gateway.blocks import Block
from gateway.bus import Bus, Buses
from gateway.clock import STEP_NS
from gateway.contacts import Source
from gateway.errands import Beside, Errands
from gateway.harvest import Harvest
from gateway.inspection import Note, Told
from gateway.known import Outlook, nothing_yet, outlook
from gateway.links.link import Link, LinkError, Refused
from gateway.measurement import SECOND_NS, Columns, Status, UInt16
from gateway.plans import Plan, narrowed
from gateway.polled import Poll
from gateway.revision import Revision
from gateway.schedule import Standing
from gateway.sensors import Sensor
from gateway.shelves import SpoolError
from gateway.turns import Ask, Lapse, Turns
from gateway.watchdog import enumeration

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
SETTLE_S = 2.0  # that a reconfiguration waits for what is under way and would end
LULL_S = 0.01

_log = structlog.get_logger("gateway.poller")


class Poller:
    """Polls sensors and hands their measurements to `put`.

    put: takes Columns and returns a ticket, quickly; called in the event loop. kept: whether what a ticket stands for
    is on the disk, or cannot be there for want of room. tell: takes what is to be recorded of the gateway itself;
    called in another thread. told: what earlier processes have recorded of how instruments are set; keep: takes that
    for the next one, in another thread.
    now_ns, mono_ns: wall and monotonic clock. [ns]
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        put: Callable[[Columns], int],
        *,
        kept: Callable[[int], bool] = lambda _: True,
        tell: Callable[[str, str, Mapping[str, Any]], None] = lambda *_: None,
        told: Told = MappingProxyType({}),
        keep: Callable[[Told], None] = lambda _: None,
        now_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._put, self._kept, self._tell, self._now_ns, self._mono_ns = put, kept, tell, now_ns, mono_ns
        self._notes = deque[Note](maxlen=MAX_NOTES)
        self._told, self._keep = told, keep
        self._buses = Buses[Poll | Source]()
        self._group: asyncio.TaskGroup | None = None  # while it runs
        self._some = asyncio.Event()
        self._past = Counter[str]()  # what polls that ended had counted
        self._polls: list[Poll] = []
        self._known = nothing_yet([], mono_ns())
        self._take(outlook(self._known, list(sensors), mono_ns(), now_ns(), told))

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._gather())
                self._group.create_task(self._watch())
                begun: list[tuple[Poll | Source, Standing]] = [(poll, self._standing(poll)) for poll in self._polls]
                self._seat((), [*begun, *map(_begins, self._known.contacts.modules)], self._mono_ns())
        finally:
            self._group = None
            self._give()

    def state(self) -> Mapping[str, Any]:
        """How the instruments are, for the gateway's state: `Known.state`, and counts."""
        known, polls, past = self._shown  # at once, as whoever asks may do so from another thread
        problems: dict[str, str] = {}
        for poll in polls:
            id = poll.reading.sensor.settings.id
            problems[id] = problems.get(id) or poll.problem
        return {
            **known.state(problems, self._mono_ns()),
            "polls_answered": past["answered"] + sum(poll.answered for poll in polls),
            "polls_failed": past["failed"] + sum(poll.failed for poll in polls),
            "ticks_unserved": past["unserved"] + sum(poll.unserved for poll in polls),
        }

    def note(self, what: str, text: str, detail: Mapping[str, Any]) -> None:
        """Record what was noticed, as soon as the disk takes it. what: a word for machines, text: a sentence."""
        self._notes.append((what, text[:MAX_TEXT], detail))

    # --- other sensors -----------------------------------------------------------------------------------------

    async def prepare(self, sensors: Sequence[Sensor]) -> Outlook:
        """What `reconfigure` needs, at a moment in which nothing is under way that would end with it.

        It is worked out in another thread. What stays the same is not waited for, and what is never at rest no longer
        than SETTLE_S: then it is left to its heirs, or told to be missing.
        """
        found = await asyncio.to_thread(outlook, self._known, sensors, self._mono_ns(), self._now_ns(), self._told)
        ended = [self._polls[number] for number in found.revision.ended]
        end_ns = self._mono_ns() + int(SETTLE_S * SECOND_NS)
        while (now_ns := self._mono_ns()) < end_ns:
            for bus in self._buses:
                self._look(bus, now_ns)
            if not any(self._standing(poll).tick_ns for poll in ended):
                break
            await asyncio.sleep(LULL_S)
        return found

    def reconfigure(self, found: Outlook) -> Revision:
        """From now on poll others. All that was measured before has been put when it returns, and nothing else."""
        revision, now_ns = found.revision, self._mono_ns()
        ended = {number: self._polls[number] for number in revision.ended}
        for gone, lapse in self._buses.withdraw(ended.values()):
            if not isinstance(gone, Source):
                self._lapse(gone.number, lapse)
        for bus in self._buses:
            self._look(bus, now_ns)
        before = {number: self._standing(poll) for number, poll in ended.items()}
        begins = revision.begins(found.known.asked, before)
        for number, tick_ns in revision.missed(begins, before).items():
            self._nothing(number, [tick_ns])
        self._give()
        for poll in ended.values():
            poll.number = -1
            self._past.update(answered=poll.answered, failed=poll.failed, unserved=poll.unserved)
        modules = self._known.contacts.modules
        self._take(found)
        for number, heir in revision.begun.items():
            self._polls[number].ticket = max((ended[was].ticket or 0 for was in heir), default=0)
        begun: list[tuple[Poll | Source, Standing]] = [(self._polls[n], standing) for n, standing in begins.items()]
        stay = self._known.contacts.modules
        begun += [_begins(module) for module in stay if module not in modules]
        self._seat([*ended.values(), *(module for module in modules if module not in stay)], begun, now_ns)
        return revision

    def _seat(
        self, ended: Iterable[Poll | Source], begun: Sequence[tuple[Poll | Source, Standing]], now_ns: int
    ) -> None:
        """Those who begin get a place on their buses, and those who end lose it; nobody else notices."""
        if self._group is not None:
            for bus in self._buses.revise(ended, begun, now_ns, self._now_ns() - self._mono_ns()):
                self._group.create_task(self._serve(bus))

    def _standing(self, poll: Poll) -> Standing:
        """How far a poll has come."""
        return self._buses.standing(poll, poll.reading.interval_ns)

    def _take(self, found: Outlook) -> None:
        """Poll these; those that stay go on as they are."""
        before, kept, asked = self._polls, found.revision.kept, found.known.asked
        self._polls = [
            before[kept[number]] if number in kept else Poll(reading, reading.plan, reading.sensor.link, number)
            for number, reading in enumerate(asked)
        ]
        self._harvest = Harvest(asked)
        for number, (poll, reading) in enumerate(zip(self._polls, asked, strict=True)):
            poll.reading, poll.number = reading, number
            if poll.narrowed_ns:
                self._harvest.change(number, poll.plan)
        self._known = found.come_true(self._known)
        self._beside = Beside(
            contacts=self._known.contacts, inspections=self._known.inspections, note=self.note, changing=self._give,
            crowded=lambda: len(self._notes) > MAX_NOTES // 2, mono_ns=self._mono_ns,
        )  # fmt: skip
        self._shown = self._known, self._polls, self._past.copy()

    # --- one link --------------------------------------------------------------------------------------------

    async def _serve(self, bus: Bus[Poll | Source]) -> None:
        """Serve the ticks of all readings, and of all input modules, behind one address, as long as there are any."""
        errands = Errands(bus.turns, lambda: self._beside, lambda: _jobs(bus))
        try:
            while bus.polls:
                self._look(bus, self._mono_ns())
                turn = bus.turns.next(self._mono_ns(), lambda job: self._ready(bus.polls[job]))
                if not isinstance(turn, Ask):
                    if not await errands.inspect(bus.link):
                        await bus.nap(min((turn - self._mono_ns()) / SECOND_NS, LOOK_S))
                elif isinstance(poll := bus.polls[turn.job], Source):
                    await errands.module(bus.link, poll, turn, bus.offset_ns)
                else:
                    await self._poll(bus.link, bus.turns, turn, poll.number, bus.offset_ns, errands)
        finally:
            self._buses.close(bus)

    def _look(self, bus: Bus[Poll | Source], now_ns: int) -> None:
        """Take the ticks that have come, by the clock as it is set now."""
        stepped_ns = self._now_ns() - self._mono_ns()
        if abs(stepped_ns - bus.offset_ns) > STEP_NS:
            bus.set_clock(now_ns, stepped_ns)
        for lapse in bus.turns.look(now_ns):
            if not isinstance(poll := bus.polls[lapse.job], Source):
                self._lapse(poll.number, lapse)

    def _ready(self, poll: Poll | Source) -> bool:
        """Whether a reading's last values are on the disk."""
        if isinstance(poll, Source):
            return True
        return poll.reading.interval_ns < SECOND_NS or (poll.ticket is not None and self._kept(poll.ticket))

    async def _poll(self, link: Link, turns: Turns, ask: Ask, number: int, offset_ns: int, errands: Errands) -> None:
        """One turn of one reading. offset_ns: of the wall clock that the ticks are of."""
        poll, began_ns = self._polls[number], self._mono_ns()
        try:
            words = await self._read(link, turns, ask, number)
        except LinkError as error:
            now_ns = self._mono_ns()
            if turns.failed(ask, now_ns, now_ns - began_ns, error) and poll.number >= 0:
                self._nothing(poll.number, [ask.tick_ns], poll.fails(error, self.note))
            return
        now_ns = self._mono_ns()
        # of who is polled no more the id may be an heir's by now, whose inputs are not at this link
        if poll.number >= 0 and (inputs := self._known.contacts.own.get(poll.reading.sensor.settings.id)):
            await errands.own(link, inputs, ask, offset_ns)
        turns.answered(ask, self._mono_ns(), now_ns - began_ns)
        if poll.number < 0:
            return  # its heir is asked for the same tick
        poll.works()
        stale_ns = max(STALE_INTERVALS * poll.reading.interval_ns, STALE_NS)
        self._harvest.answer(poll.number, ask.tick_ns, words, late=now_ns + offset_ns - ask.tick_ns > stale_ns)
        poll.ticket = None
        self._some.set()

    async def _read(self, link: Link, turns: Turns, ask: Ask, number: int) -> list[UInt16]:
        """The words of each block of a reading's plan. Raises LinkError; a probe begins with the smallest."""
        poll = self._polls[number]
        address = poll.link
        if poll.narrowed_ns and self._mono_ns() - poll.narrowed_ns > RECHECK_NS:
            self._go_on(poll, poll.reading.plan)
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
                if error.code != ILLEGAL_ADDRESS or halvings > NARROWED_MAX or not self._narrow(poll, block):
                    raise
            else:
                turns.heard(ask.job, int(link.latency_s * SECOND_NS))
        poll.say_lost(self.note)
        return [words[block] for block in poll.plan.blocks]

    def _narrow(self, poll: Poll, block: Block) -> bool:
        """Go on without what is refused; False where nothing is left: then all is asked for again, another time."""
        rest = narrowed(poll.plan, poll.plan.blocks.index(block))
        self._go_on(poll, rest if rest.blocks else poll.reading.plan)
        return bool(rest.blocks)

    def _go_on(self, poll: Poll, plan: Plan) -> None:
        whole = plan is poll.reading.plan
        poll.plan, poll.narrowed_ns = plan, 0 if whole else poll.narrowed_ns or self._mono_ns()
        if poll.number >= 0:
            self._harvest.change(poll.number, plan)

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
            judged, notes = self._known.judge(start, columns, now_ns)
            ticket = self._put(judged)
            for note in notes:
                self.note(*note)
        for number in polls:
            self._polls[number].ticket = ticket

    async def _watch(self) -> None:
        """Tell who fell silent and who is back, and what else is to be recorded."""
        while True:
            await asyncio.sleep(WATCH_S)
            gone, back = self._known.watchdog.look(self._mono_ns())
            self._name("silent", "no good values from", gone)
            self._name("heard", "good values again from", back)
            while self._notes:
                note = self._notes[0]
                try:
                    await asyncio.to_thread(self._tell, *note)
                except SpoolError:
                    break  # the next flush says what is wrong with the disk
                if self._notes[0] is note:  # else it made room for another one meanwhile
                    self._notes.popleft()
            if (inspections := self._known.inspections).changed and not self._notes:
                inspections.changed = False
                await asyncio.to_thread(self._keep, inspections.remembered())

    def _name(self, what: str, text: str, numbers: Sequence[int]) -> None:
        names = [self._known.sensors[number].settings.id for number in numbers]
        if names:
            self.note(what, f"{text} {enumeration(names)}", {"sensors": " ".join(names)[:MAX_TEXT], "n": len(names)})


def _begins(module: Source) -> tuple[Source, Standing]:
    return module, Standing(module.interval_ns)


def _jobs(bus: Bus[Poll | Source]) -> dict[str, int]:
    """Of each sensor that is polled over a bus, one job."""
    return {poll.reading.sensor.settings.id: job for job, poll in bus.polls.items() if not isinstance(poll, Source)}

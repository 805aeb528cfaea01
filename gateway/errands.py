"""What is read on a link beside the measurements: the words of inputs, and how the instruments are set.

`gateway.contacts` says which words inputs need and what they mean, `gateway.inspection` what is read back and when;
this is where both are asked for. Rules:

- an input module is a unit among the others of its link: it has its turn, its learned time-out and its breaker;
- what a unit refuses, or does not answer for while it answers for its values, is left alone for longer each time, so
  that it costs the values next to nothing, and never a value;
- a request of an inspection is made when nobody waits for the link, and nobody would be late if it took as long as it
  may. If that has not been so for long, the time it usually takes is enough;
- nothing comes of one that is under way while other sensors are taken over: whoever inspects them then asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.blocks import Part
from gateway.contacts import Contacts, Source
from gateway.inspection import ILLEGAL_ADDRESS, PRESSING_NS, UNREAD_NS, Inspections, Note
from gateway.links.link import BadAnswer, Link, LinkDown, LinkError, NoAnswer, Refused
from gateway.measurement import SECOND_NS
from gateway.turns import Ask, Turns
from gateway.watchdog import enumeration

AGAIN_NS = SECOND_NS  # until it is looked again whether there is time for an inspection

_log = structlog.get_logger("gateway.errands")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What all links have in common, as long as the same sensors are polled.

    note: takes what is to be recorded. changing: called before a word is taken that says something new.
    crowded: whether so much waits to be recorded that nothing more may come. mono_ns: monotonic clock. [ns]
    """

    contacts: Contacts
    inspections: Inspections
    note: Callable[[str, str, Mapping[str, Any]], None]
    changing: Callable[[], None]
    crowded: Callable[[], bool]
    mono_ns: Callable[[], int]


class Errands:
    """The errands on one link, whose turns these are. beside: now. jobs: of each sensor polled over it, one."""

    def __init__(self, turns: Turns, beside: Callable[[], Beside], jobs: Callable[[], Mapping[str, int]]) -> None:
        self._turns, self._now, self._jobs = turns, beside, jobs
        self._again_ns = 0

    @property
    def _beside(self) -> Beside:
        return self._now()

    # --- inputs ------------------------------------------------------------------------------------------------

    async def module(self, link: Link, source: Source, ask: Ask, offset_ns: int) -> None:
        """One turn of an input module. offset_ns: between ticks and the monotonic clock."""
        began_ns = self._beside.mono_ns()
        try:
            problem = await self._visit(link, source, ask, offset_ns)
        except LinkError as error:
            now_ns = self._beside.mono_ns()
            if self._turns.failed(ask, now_ns, now_ns - began_ns, error):
                self._lost(source, now_ns + offset_ns, str(error))
            return
        now_ns = self._beside.mono_ns()
        self._turns.answered(ask, now_ns, now_ns - began_ns)
        self._came(source, now_ns + offset_ns, problem)

    async def own(self, link: Link, source: Source, ask: Ask, offset_ns: int) -> None:
        """The inputs at an instrument that has just given its values."""
        try:
            problem = await self._visit(link, source, ask, offset_ns)
        except LinkError as error:
            problem = str(error)
            if not isinstance(error, LinkDown):
                self._turns.owed(ask.job, ask.timeout_ns, self._beside.mono_ns())
        self._came(source, self._beside.mono_ns() + offset_ns, problem)

    async def _visit(self, link: Link, source: Source, ask: Ask, offset_ns: int) -> str:
        """Ask for all parts that do not rest; what was wrong with one that is refused. Raises LinkError."""
        asked: set[Part] = set()
        problem, address = "", source.link
        while part := source.next(asked, self._beside.mono_ns()):
            asked.add(part)
            try:
                words = await link.read(
                    address.unit, part.block, timeout_s=ask.timeout_ns / SECOND_NS, quirks=address.quirks
                )
            except Refused as error:
                self._heard(link, ask.job)
                if error.code != ILLEGAL_ADDRESS or not source.halve(part):
                    problem = f"{part.block.fc}:{part.block.address}: {error}"
                    source.rest(part, self._beside.mono_ns())
            except LinkError:
                source.rest(part, self._beside.mono_ns())
                raise
            else:
                self._heard(link, ask.job)
                source.works(part)
                if self._beside.contacts.differs(source, part, words):
                    self._beside.changing()
                self._beside.contacts.hear(source, part, words, self._beside.mono_ns() + offset_ns)
        return problem

    def _heard(self, link: Link, job: int) -> None:
        self._turns.heard(job, int(link.latency_s * SECOND_NS))

    def _came(self, source: Source, at_ns: int, problem: str) -> None:
        if problem or not source.whole:
            self._lost(source, at_ns, problem)
        elif source.answered(at_ns):
            _log.info("Inputs can be read again", place=source.name)
            self._beside.note("input_heard", f"inputs at {source.name} can be read again", {"place": source.name})

    def _lost(self, source: Source, at_ns: int, problem: str) -> None:
        if not source.failed(at_ns, problem or "it does not answer for all of them"):
            return
        _log.warning("Inputs cannot be read; values keep their own status", place=source.name, problem=source.problem)
        about = enumeration(source.sensors)
        text = f"inputs at {source.name} cannot be read, the values of {about} keep their own status: {source.problem}"
        detail = {"place": source.name, "problem": source.problem, "sensors": " ".join(source.sensors)[:200]}
        self._beside.note("input_silent", text, {**detail, "n": len(source.sensors)})

    # --- settings and identity ---------------------------------------------------------------------------------

    async def inspect(self, link: Link) -> bool:
        """Make the next request of an inspection, if one is due and there is time; whether it was made."""
        now_ns, inspections = self._beside.mono_ns(), self._beside.inspections
        if now_ns < self._again_ns or self._beside.crowded():
            return False
        jobs = {id: job for id, job in self._jobs().items() if self._turns.answers(job)}
        wanted = inspections.wanted(jobs, now_ns)
        self._again_ns = now_ns + AGAIN_NS
        if wanted is None:
            return False
        job, address = jobs[wanted.sensor.settings.id], wanted.sensor.link
        timeout_ns = self._turns.spare(job, now_ns, pressing=wanted.overdue_ns > PRESSING_NS)
        if not timeout_ns:
            if wanted.overdue_ns > UNREAD_NS:
                self._record(inspections.failed(wanted, now_ns, "its link is never idle"))
            return False
        self._again_ns = 0
        try:
            words = await link.read(
                address.unit, wanted.part.block, timeout_s=timeout_ns / SECOND_NS, quirks=address.quirks
            )
        except Refused as error:
            self._heard(link, job)
            if inspections is self._beside.inspections:
                self._record(inspections.refused(wanted, error.code, self._beside.mono_ns()))
        except LinkError as error:
            now_ns = self._beside.mono_ns()
            if isinstance(error, NoAnswer | BadAnswer):
                self._turns.owed(job, timeout_ns, now_ns)
            if inspections is self._beside.inspections:
                self._record(inspections.failed(wanted, now_ns, str(error)))
        else:
            self._heard(link, job)
            if inspections is self._beside.inspections:
                self._record(inspections.answered(wanted, words, self._beside.mono_ns()))
        return True

    def _record(self, notes: list[Note]) -> None:
        for what, text, detail in notes:
            if what == "settings":
                _log.info("An instrument says how it is set", said=text)
            else:
                _log.warning("The settings of an instrument", said=text, what=what)
            self._beside.note(what, text, detail)

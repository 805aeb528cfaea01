"""The probe: asks an instrument what it takes to know it, over any link, and fills a `Finding`.

Read-only, one request at a time, and everything bounded: units, speeds, requests, readings. What is made of the
answers is `gateway.finding`'s and `gateway.decodings`' affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gateway import diagnosis
from gateway.blocks import MAX_REGISTERS, Block
from gateway.finding import Finding, Tried
from gateway.links.address import Line
from gateway.links.address import Link as Address
from gateway.links.link import BadAnswer, HungUp, Link, LinkDown, LinkError, NoAnswer, Refused, Remedy, policy
from gateway.measurement import SECOND_NS, UInt16
from gateway.patience import Patience
from gateway.survey import BITS, Survey, merged

LOOK_S = 0.3  # that a unit which is looked for may take; a known one is waited for longer
LOOK_LOW_S = 0.06
SILENCES_MAX = 4  # in a row, before it is looked whether the unit is still there
SILENT_MAX = 60  # in all: a device that falls silent instead of refusing costs a time-out each
ASKS = 30  # requests of each length that its turnaround is measured with
Step = Callable[[str, int, int | None], None]  # what goes on, how far it is, how far it goes (None = nobody knows)
Opener = Callable[[Address], Link]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request. code: of the exception, 0 = none. took_s: until the answer or the refusal."""

    words: UInt16 | None = None
    code: int = 0
    error: LinkError | None = None
    took_s: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether the unit is there: a refusal is an answer too, but for one in its name."""
        return self.words is not None or (self.code != 0 and policy(self.code).remedy is not Remedy.AWAY)


class Prober:
    """Asks over one link, and notes what becomes of it. timeout_s: that an answer may take at first."""

    def __init__(self, address: Address, open_link: Opener, finding: Finding, *, timeout_s: float, step: Step) -> None:
        self.address, self.finding, self._step = address, finding, step
        self._open_link, self._timeout_s = open_link, timeout_s
        self._link = open_link(address)
        self._quirks = address.quirks
        self._patience = Patience(round(timeout_s * SECOND_NS))

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    async def ask(self, unit: int, block: Block, *, timeout_s: float | None = None) -> Outcome:
        """One request, again where the unit is busy, or only its transaction number is wrong. Raises LinkDown."""
        wait_s = timeout_s or min(self._patience.timeout_ns / SECOND_NS, 2 * self._timeout_s)
        outcome = await self._once(unit, block, wait_s)
        for _ in range(2):
            if policy(outcome.code).remedy not in (Remedy.LATER, Remedy.AGAIN) or not outcome.code:
                break
            await asyncio.sleep(0.3)
            outcome = await self._once(unit, block, wait_s)
        if isinstance(outcome.error, BadAnswer):
            outcome = await self._odd(unit, block, outcome, wait_s)
        return outcome

    async def _once(self, unit: int, block: Block, wait_s: float) -> Outcome:
        tally, loop = self.finding.tally, asyncio.get_running_loop()
        tally.asked += 1
        began_s = loop.time()
        try:
            words = await self._link.read(unit, block, timeout_s=wait_s, quirks=self._quirks)
        except Refused as refused:
            tally.refused[refused.code] = tally.refused.get(refused.code, 0) + 1
            return Outcome(code=refused.code, error=refused, took_s=self._link.latency_s)
        except HungUp as error:
            tally.bad += 1
            self._note(diagnosis.hung_up(self.address.kind))
            return Outcome(error=error)
        except LinkDown:
            raise
        except LinkError as error:
            tally.silent += isinstance(error, NoAnswer)
            if isinstance(error, NoAnswer) and heard(error):
                self._note(diagnosis.no_answer(self.address.kind, unit, heard=True))
            tally.bad += isinstance(error, BadAnswer)
            return Outcome(error=error)
        finally:
            tally.busy_s += loop.time() - began_s
        took_s = self._link.latency_s
        tally.took_s.append(took_s)
        tally.carried += diagnosis.frame_bytes(self.address.kind, block)
        self._patience.heard(round(took_s * SECOND_NS))
        return Outcome(words=words, took_s=took_s)

    async def _odd(self, unit: int, block: Block, outcome: Outcome, wait_s: float) -> Outcome:
        """Something else came back: what it is, and once more where that can be lived with."""
        found = diagnosis.wrong_answer(self.address.kind, unit, block, heard(outcome.error))
        self._note(found)
        if found.kind == "transaction 0" and not self._quirks.tid_zero_ok:
            self._quirks = replace(self._quirks, tid_zero_ok=True)
            self.finding.tid_zero = True
            return await self._once(unit, block, wait_s)
        return outcome

    # --- who is there ---------------------------------------------------------------------------------

    async def find_units(self, units: Sequence[int], functions: Sequence[int], look_s: float = LOOK_S) -> None:
        """Which units answer, each asked once for the first register; a refusal is an answer.

        look_s: that the first of them may take; then it is learned from those that answer. [s]
        """
        longest_s = 0.0
        for number, unit in enumerate(units):
            self._step("units", number, len(units))
            wait_s = max(LOOK_LOW_S, min(look_s, 3 * longest_s + 0.03)) if longest_s else look_s
            outcome = await self.ask(unit, Block(functions[0], 0, 1), timeout_s=wait_s)
            self.finding.scanned.append(unit)
            if outcome.answered:
                longest_s = max(longest_s, outcome.took_s)
                how = "answers" if outcome.words is not None else f"answers with exception {outcome.code}"
                self.finding.units[unit] = how
            elif isinstance(outcome.error, BadAnswer) or heard(outcome.error):
                self.finding.units[unit] = "something answers, and wrongly"
        self._step("units", len(units), len(units))

    async def find_line(self, lines: Sequence[Line], units: Sequence[int]) -> Line | None:
        """The first way of speaking at which a unit gives a whole frame, check sum and all; None = none.

        Raises LinkDown where the port takes none of them.
        """
        down: LinkDown | None = None
        for number, line in enumerate(lines):
            self._step("speeds", number, len(lines))
            self._link.close()
            self._link = self._open_link(replace(self.address, line=line))
            try:
                unit, what = await self._heard_at(units)
            except LinkDown as error:
                unit, what, down = None, "the port does not take it", error
            self.finding.lines.append(Tried(line.baud, line.parity, unit is not None, what))
            if unit is not None:
                self.address = replace(self.address, line=line)
                return line
        if down is not None and all(line.what == "the port does not take it" for line in self.finding.lines):
            raise down
        return None

    async def _heard_at(self, units: Sequence[int]) -> tuple[int | None, str]:
        """The first unit that answers as the line is set now, and what is heard."""
        noise = False
        for unit in units:
            outcome = await self.ask(unit, Block(3, 0, 1), timeout_s=LOOK_S)
            if outcome.answered:
                return unit, f"unit {unit} answers"
            noise |= isinstance(outcome.error, BadAnswer) or bool(heard(outcome.error))
        return None, "something is heard, and no frame in it" if noise else "silence"

    # --- what it has ----------------------------------------------------------------------------------

    async def look(self, unit: int, survey: Survey) -> None:
        """Which registers exist."""
        self.finding.survey = survey
        silences = silent = 0
        while (block := survey.next()) is not None:
            self._step("registers", survey.asked, survey.asked + survey.left)
            outcome = await self.ask(unit, block)
            silences = silences + 1 if outcome.error is not None and not outcome.code else 0
            silent += silences > 0
            if silences >= SILENCES_MAX or silent >= SILENT_MAX:
                if silent >= SILENT_MAX or not await self._alive(unit, survey):
                    self._gone(unit, outcome.error)
                    return
                silences = 0
            if outcome.words is not None:
                survey.answered(block)
            else:
                survey.refuse(block, outcome.code)
            if outcome.code not in (0, 2):
                self._note(diagnosis.exception(outcome.code))
            if policy(outcome.code).remedy in (Remedy.AWAY, Remedy.FAULT) and outcome.code:
                return
        self._step("registers", survey.asked, survey.asked)

    async def read(self, unit: int, times: int, every_s: float) -> None:
        """Everything that exists, several times."""
        longest = self.finding.survey.longest if self.finding.survey else MAX_REGISTERS
        blocks = [part for whole in self.finding.existing for part in _pieces(whole, longest)]
        for number in range(times if blocks else 0):
            reading: dict[Block, UInt16] = {}
            self.finding.rounds.append(reading)
            for place, block in enumerate(blocks):
                self._step("readings", number * len(blocks) + place, times * len(blocks))
                outcome = await self.ask(unit, block)
                if outcome.words is not None:
                    reading[block] = outcome.words
            if number + 1 < times:
                await asyncio.sleep(every_s)
        self._step("readings", 1, 1)

    async def measure(self, unit: int, asks: int = ASKS) -> None:
        """What a request and a register more take: the shortest and the longest that it answers, each some times."""
        registers = [b for whole in self.finding.existing if not whole.bits for b in _pieces(whole, MAX_REGISTERS)]
        if not registers or not asks:
            return
        longest = max(registers, key=lambda b: b.count)
        longest = Block(longest.fc, longest.address, min(longest.count, self._longest))
        took: dict[int, list[float]] = {}
        for number, block in enumerate([Block(longest.fc, longest.address, 1), longest]):
            for ask in range(asks):
                self._step("turnaround", number * asks + ask, 2 * asks)
                outcome = await self.ask(unit, block)
                if outcome.words is not None:
                    took.setdefault(block.count, []).append(outcome.took_s)
        self._step("turnaround", 1, 1)
        if 1 in took and longest.count in took:
            request_s, register_s = diagnosis.cost(took[1], took[longest.count], longest.count)
            self.finding.turnaround = {
                "request_ms": request_s * 1000,
                "register_us": register_s * 1e6,
                "registers": longest.count,
            }

    @property
    def _longest(self) -> int:
        return self.finding.survey.longest if self.finding.survey else MAX_REGISTERS

    async def _alive(self, unit: int, survey: Survey) -> bool:
        """Whether a unit that has fallen silent still answers what it has answered before."""
        known = survey.found[0] if survey.found else Block(3, 0, 1)
        return (await self.ask(unit, known)).answered

    def _gone(self, unit: int, error: LinkError | None) -> None:
        if isinstance(error, NoAnswer):
            self._note(diagnosis.no_answer(self.address.kind, unit, heard=bool(heard(error))))

    def _note(self, found: diagnosis.Diagnosis) -> None:
        self.finding.faults.setdefault(found.kind, found)


def heard(error: LinkError | None) -> bytes:
    """What came instead of an answer; b"" = nothing, or the link does not say.

    A link says with an error of its own which place it is about; what was heard is with the error behind it.
    """
    said = error.__cause__ if error is not None and error.__cause__ is not None else error
    return said.heard if isinstance(said, BadAnswer | NoAnswer) else b""


def _pieces(block: Block, longest: int) -> Iterable[Block]:
    most = BITS if block.bits else longest
    return merged([block], most)

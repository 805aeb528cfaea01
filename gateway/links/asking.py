"""One question after the other over a connection or a serial line, and never the answer to another.

After a time-out, a bad frame or a read that was given up, a TCP connection is closed, and the next read
opens another; a serial line is listened to until it is silent, and opened anew where it does not fall
silent. Where an answer does not say which request it belongs to, `doubt` says how long to wait and
whether to believe it.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod

from pymodbus.transport import CommParams, CommType

from gateway.links.address import PLAIN, Quirks
from gateway.links.doubt import Doubt
from gateway.links.frames import Question
from gateway.links.link import BadAnswer, LinkDown, LinkError, Refused
from gateway.links.wire import Wire
from gateway.measurement import UInt16
from gateway.registers import Block

CONNECT_S = 3.0  # how long connecting may take
NOISY_S = 2.0  # longer than this no line is listened to that should be silent


class Asking(ABC):
    """A link of any kind, opened when it is needed.

    place: for people. silence_s: between two frames; byte_s: how long a byte takes on a serial line, 0 = no time. [s]
    """

    def __init__(self, place: str, parameters: CommParams, *, silence_s: float = 0.0, byte_s: float = 0.0) -> None:
        self._place, self._parameters, self._byte_s = place, parameters, byte_s
        self._reopens = parameters.comm_type is CommType.TCP
        self._doubt = Doubt(silence_s)
        self._wire: Wire | None = None
        self.latency_s = 0.0

    async def read(self, unit: int, block: Block, *, timeout_s: float, quirks: Quirks = PLAIN) -> UInt16:
        """The words of a block of a unit, shape (block.count,); bits as 0 and 1. Raises LinkError.

        timeout_s: how long the unit may take to answer, without the time the bytes take on a serial line. [s]
        """
        if self._numbered(quirks):
            wire = await self._connected()
            if quirks.pause_s:
                await asyncio.sleep(wire.heard_s + quirks.pause_s - wire.loop.time())
            return await self._ask(wire, self._question(unit, block, quirks), timeout_s)
        self._look(unit)
        if self._doubt.owes(unit):
            wire = await self._calm(unit, quirks.pause_s)
            if self._doubt.owes(unit):
                await self._prove(wire, self._question(unit, block, quirks), timeout_s)
        wire = await self._calm(unit, quirks.pause_s)
        return await self._ask(wire, self._question(unit, block, quirks), timeout_s)

    def close(self) -> None:
        """End the connection; the next read opens it anew."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    @abstractmethod
    def _question(self, unit: int, block: Block, quirks: Quirks) -> Question:
        """A request, with a transaction number of its own where there are such."""

    def _numbered(self, quirks: Quirks) -> bool:  # noqa: ARG002 - some kinds of links look at them
        """Whether an answer says which request it belongs to, and nothing else has to be waited for."""
        return False

    async def _connected(self) -> Wire:
        """The connection; a new one where there is none, or where over TCP something came unasked."""
        if self._wire is not None and not self._wire.gone and not (self._reopens and self._wire.heard):
            return self._wire
        self.close()
        wire = Wire(self._parameters)
        try:
            await wire.open()
        except LinkDown as error:
            raise LinkDown(f"cannot connect to {self._place}: {error}") from error
        self._wire = wire
        return wire

    async def _calm(self, unit: int, pause_s: float) -> Wire:
        """The connection, once a unit may be asked over it. Raises LinkDown, or BadAnswer if it never falls silent."""
        wire = await self._connected()
        now_s = wire.loop.time()
        noisy_s = max(self._doubt.due_s(unit, wire.heard_s, pause_s), now_s) + NOISY_S
        while (due_s := self._doubt.due_s(unit, wire.heard_s, pause_s)) > now_s:
            if now_s > noisy_s:
                self.close()
                raise BadAnswer(f"{self._place} does not fall silent, {len(wire.heard)} bytes came unasked")
            await wire.stirs(due_s - now_s)
            now_s = wire.loop.time()
            self._settle(wire)
        if wire.gone:
            raise LinkDown(f"{self._place}: the connection was closed")
        return wire

    def _look(self, unit: int) -> None:
        """What came since the last request: the answer that is owed, or something nobody asked for."""
        wire = self._wire
        if wire is not None and wire.heard and not self._settle(wire) and not self._doubt.owes(unit):
            self._doubt.disturbed(unit, wire.loop.time())

    def _settle(self, wire: Wire) -> bool:
        settled = bool(wire.heard) and self._doubt.settles(wire.heard, wire.heard_s)
        if settled:
            wire.heard = b""
        return settled

    async def _prove(self, wire: Wire, question: Question, timeout_s: float) -> None:
        """Let a unit that owes an answer show that it is alive; which answer this is nobody knows."""
        with contextlib.suppress(Refused):
            await self._ask(wire, question, timeout_s)
        self._doubt.proved(question.unit)

    async def _ask(self, wire: Wire, question: Question, timeout_s: float) -> UInt16:
        asked_s = wire.loop.time()
        timeout_s += question.longest * self._byte_s
        try:
            words = await wire.ask(question, timeout_s)
        except Refused:
            self._answered(wire, question, asked_s)
            raise
        except LinkError as error:
            self._lost(wire, question, asked_s, timeout_s)
            raise type(error)(f"{self._place}: {error}") from error
        except asyncio.CancelledError:
            self._lost(wire, question, asked_s, timeout_s)
            raise
        self._answered(wire, question, asked_s)
        return words

    def _answered(self, wire: Wire, question: Question, asked_s: float) -> None:
        took_s = wire.heard_s - asked_s
        self._doubt.answered(question.unit, took_s)
        self.latency_s = max(0.0, took_s - question.longest * self._byte_s)

    def _lost(self, wire: Wire, question: Question, asked_s: float, timeout_s: float) -> None:
        """No answer: it may still come, and must not be taken for the next one."""
        self._doubt.missed(question, asked_s, timeout_s, wire.loop.time())
        if self._reopens:
            self.close()

"""One connection, TCP or serial: bytes out, and what comes back until it is an answer.

pymodbus connects and carries the bytes; it takes answers for good that are not (wrong function, too
many or too few registers, transaction 0 of a late answer), so what came is judged here, as it comes,
by `frames`. A wire is used for one connection and then thrown away, so that nothing heard on one is
ever there on the next.
"""

from __future__ import annotations

import asyncio

from pymodbus.transport import CommParams, ModbusProtocol

from gateway.links.frames import Question
from gateway.links.link import LinkDown, LinkError, NoAnswer
from gateway.measurement import UInt16

HEARD_MAX = 4096  # bytes kept of what nobody asked for; the longest answer has 260


class Wire(ModbusProtocol):
    """One connection from its opening to its end.

    heard: what came since the last request, or unasked after its answer. gone: the other side closed it.
    heard_s: when the last byte came, on the loop's clock; 0 = none did.
    """

    def __init__(self, parameters: CommParams) -> None:
        super().__init__(parameters, is_server=False)
        self.heard = b""
        self.heard_s = 0.0
        self.gone = False
        self._question: Question | None = None
        self._answer: asyncio.Future[UInt16] | None = None

    async def open(self) -> bool:
        """Whether there is a connection now."""
        return await self.connect() and not self.gone

    async def ask(self, question: Question, timeout_s: float) -> UInt16:
        """Send a request, and the words of its answer; what was heard before is forgotten. Raises LinkError."""
        self.heard = b""
        self._question, self._answer = question, self.loop.create_future()
        try:
            self.send(question.request)
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError as error:
            how = f"gave only {len(self.heard)} bytes of an answer" if self.heard else "did not answer"
            raise NoAnswer(f"unit {question.unit} {how} within {timeout_s:.3g} s") from error
        finally:
            self._question = self._answer = None
            self.heard = b""

    def data_received(self, data: bytes) -> None:
        """Called with what comes; judges it while an answer is waited for."""
        self.heard_s = self.loop.time()
        if len(self.heard) < HEARD_MAX:
            self.heard += data
        if self._question is None or self._answer is None or self._answer.done():
            return
        try:
            words = self._question.answer(self.heard)
        except LinkError as error:
            self._answer.set_exception(error)
        else:
            if words is not None:
                self._answer.set_result(words)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Called when the other side has gone."""
        self.gone = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkDown(f"the connection was closed instead of an answer ({exc or 'end'})"))

    def callback_connected(self) -> None:
        """Called when there is a connection; nothing is to be done."""

    def callback_new_connection(self) -> ModbusProtocol:
        """Called by servers only."""
        raise AssertionError("a wire listens to nobody")

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:
        """Called by nothing here: `data_received` takes what comes."""
        raise AssertionError(f"{len(data)} bytes from {addr} not taken")

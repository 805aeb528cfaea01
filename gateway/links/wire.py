"""One connection, TCP or serial: bytes out, and what comes back until it is an answer.

pymodbus connects and carries the bytes; it takes answers for good that are not (wrong function, too
many or too few registers, transaction 0 of a late answer), so what came is judged here, as it comes,
by `frames`. A wire is used for one connection and then thrown away, so that nothing heard on one is
ever there on the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import termios

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from gateway.links.frames import Question
from gateway.links.link import HungUp, LinkDown, LinkError, NoAnswer, Refused
from gateway.measurement import UInt16

HEARD_MAX = 4096  # bytes kept of what nobody asked for; the longest answer has 260


class Wire(ModbusProtocol):
    """One connection from its opening to its end.

    heard: what came since the last request, or unasked after its answer. gone: the other side closed it.
    heard_s: when the last byte came, or else the connection was opened, on the loop's clock.
    """

    def __init__(self, parameters: CommParams) -> None:
        super().__init__(parameters, is_server=False)
        self.heard = b""
        self.heard_s = 0.0
        self.gone = False
        self._made = self.loop.create_future()
        self._stirred: asyncio.Future[None] | None = None
        self._question: Question | None = None
        self._answer: asyncio.Future[UInt16] | None = None

    async def open(self) -> None:
        """Connect. Raises LinkDown."""
        try:
            async with asyncio.timeout(self.comm_params.timeout_connect):
                self.transport, _ = await self.call_create()
                await self._made
        except TimeoutError as error:
            self.close()
            raise LinkDown(f"no connection within {self.comm_params.timeout_connect:.3g} s") from error
        except (OSError, termios.error) as error:
            raise LinkDown(str(error)) from error
        except BaseException:
            self.close()
            raise
        self.heard_s = self.loop.time()

    async def ask(self, question: Question, timeout_s: float) -> UInt16:
        """Send a request, and the words of its answer; what was heard before is forgotten. Raises LinkError."""
        self.heard = b""
        self._question, self._answer = question, self.loop.create_future()
        patience = self.loop.call_later(timeout_s, self._give_up, question, timeout_s)
        try:
            self.send(question.request)
            return await self._answer
        finally:
            patience.cancel()
            if self._answer.done() and not self._answer.cancelled():
                self._answer.exception()  # seen, also where nobody waits for it any more
            self._question = self._answer = None

    def _give_up(self, question: Question, timeout_s: float) -> None:
        """The time is over; what came was judged before, so that a loop that is late takes no answer for silence."""
        if self._answer is not None and not self._answer.done():
            how = f"gave only {len(self.heard)} bytes of an answer" if self.heard else "did not answer"
            said = f"unit {question.unit} {how} within {timeout_s:.3g} s"
            self._answer.set_exception(NoAnswer(said, self.heard))

    async def stirs(self, seconds: float) -> None:
        """Wait until something comes, or for so long."""
        self._stirred = self.loop.create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred

    def data_received(self, data: bytes) -> None:
        """Called with what comes; judges it while an answer is waited for."""
        self.heard_s = self.loop.time()
        if len(self.heard) < HEARD_MAX:
            self.heard += data
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)
        if self._question is None or self._answer is None or self._answer.done():
            return
        try:
            words = self._question.answer(self.heard)
        except LinkError as error:
            self._answer.set_exception(error)
            if isinstance(error, Refused):
                self.heard = b""
        else:
            if words is not None:
                self._answer.set_result(words)
                self.heard = b""

    def callback_connected(self) -> None:
        """Called when there is a connection."""
        if not self._made.done():
            self._made.set_result(None)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Called when the other side has gone."""
        self.gone = True
        if self._answer is not None and not self._answer.done():
            # An adapter that is pulled out is no answer of the unit; a connection that is closed may be one.
            down = HungUp if self.comm_params.comm_type is CommType.TCP else LinkDown
            self._answer.set_exception(down(f"the connection was closed instead of an answer ({exc or 'end'})"))

    def callback_new_connection(self) -> ModbusProtocol:
        """Called by servers only."""
        raise AssertionError("a wire listens to nobody")

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:
        """Called by nobody: `data_received` takes what comes."""
        raise AssertionError(f"{len(data)} bytes from {addr} not taken")

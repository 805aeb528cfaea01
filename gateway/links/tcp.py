"""Modbus TCP, read-only: one connection, one request at a time, every answer checked.

After a time-out, a frame that is not the answer, or a read that was given up, the connection is closed,
because what comes next on it could be the answer to something else; the next read connects anew, and
its transaction has a number that the old ones had not. An exception is an answer: the connection stays.
Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
"""

from __future__ import annotations

from pymodbus.transport import CommParams, CommType

from gateway.links.address import PLAIN, Quirks
from gateway.links.frames import tcp_question
from gateway.links.link import LinkDown, LinkError, Refused
from gateway.links.wire import Wire
from gateway.measurement import UInt16
from gateway.registers import Block

CONNECT_S = 3.0  # how long connecting may take
_TRANSACTIONS = 0xFFFF  # 1 to this; 0 is what devices send that do not know the number


class TcpLink:
    """One Modbus TCP connection, opened when it is needed. One caller at a time."""

    def __init__(self, host: str, port: int, *, connect_s: float = CONNECT_S) -> None:
        self._place = f"{host}:{port}"
        self._parameters = CommParams(
            comm_name=self._place, comm_type=CommType.TCP, host=host, port=port, timeout_connect=connect_s
        )
        self._wire: Wire | None = None
        self._transaction = 0

    async def read(self, unit: int, block: Block, *, timeout_s: float, quirks: Quirks = PLAIN) -> UInt16:
        """The words of a block of a unit, shape (block.count,); bits as 0 and 1. Raises LinkError."""
        wire = await self._connected()
        self._transaction = self._transaction % _TRANSACTIONS + 1
        question = tcp_question(unit, block, self._transaction, zero_ok=quirks.tid_zero_ok)
        try:
            return await wire.ask(question, timeout_s)
        except Refused:
            raise
        except LinkError as error:
            self.close()
            raise type(error)(f"{self._place}: {error}") from error
        except BaseException:
            self.close()  # cancelled: the answer may still come and must not be taken for the next one
            raise

    def close(self) -> None:
        """End the connection; the next read opens it anew."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> Wire:
        """The connection, a new one where there is none or where something came that nobody had asked for."""
        if self._wire is not None and not self._wire.gone and not self._wire.heard:
            return self._wire
        self.close()
        wire = Wire(self._parameters)
        if not await wire.open():
            raise LinkDown(f"cannot connect to {self._place}")
        self._wire = wire
        return wire

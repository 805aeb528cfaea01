"""Modbus TCP, read-only: one connection, one request at a time, every answer checked.

pymodbus sends and receives, but it takes answers for good that are not (wrong function, too many or
too few registers, transaction 0 of a late answer), so the frame itself is held against the request
here: transaction, unit, function, both lengths, and nothing besides it. After a time-out or a frame
that is not the answer the connection is closed, because what comes next on it could be the answer
to something else; the next read connects anew. Function codes 1 to 4 are all this link can say.

Errors, all LinkError: LinkDown (no connection), NoAnswer (in time), BadAnswer (something else), and
Refused (the instrument answered with an exception code; the connection is fine and stays).
Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b; MODBUS Application Protocol V1.1b3.
"""

from __future__ import annotations

import numpy as np
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gateway.measurement import UInt16
from gateway.registers import Block

_REQUESTS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
_BIT_FUNCTIONS = (1, 2)
_HEADER = 9  # MBAP (7 bytes), function code, byte count
_REASONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, busy",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
DEVICE_FAILURE = 4


class LinkError(Exception):
    """A read that gave no values; says why."""


class LinkDown(LinkError):
    """There is no connection to the instrument's address, so no unit behind it can be read."""


class NoAnswer(LinkError):
    """The unit did not answer in time."""


class BadAnswer(LinkError):
    """Something else than the answer to the request came back."""


class Refused(LinkError):
    """The instrument answered with an exception. code: its Modbus exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}, {_REASONS.get(code, 'unknown')}")


class TcpLink:
    """One Modbus TCP connection, opened when it is needed. One caller at a time.

    timeout_s: how long connecting and each answer may take.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._place = f"{host}:{port}"
        self._timeout_s = timeout_s
        self._heard = b""
        self._client = AsyncModbusTcpClient(
            host, port=port, timeout=timeout_s, retries=0, reconnect_delay=0, trace_packet=self._hear
        )

    async def read(self, unit: int, block: Block) -> UInt16:
        """The words of a block of a unit, shape (block.count,); bits as 0 and 1. Raises LinkError."""
        await self._connect()
        request = _REQUESTS[block.fc](address=block.address, count=block.count, dev_id=unit)
        self._heard = b""
        try:
            answer: ModbusPDU = await self._client.execute(False, request)
        except ConnectionException as error:
            self.close()
            raise LinkDown(f"the connection to {self._place} is gone") from error
        except ModbusException as error:
            self.close()
            if self._heard:
                raise BadAnswer(f"unit {unit} at {self._place} answered with something unreadable") from error
            raise NoAnswer(f"unit {unit} at {self._place} did not answer within {self._timeout_s:g} s") from error
        except BaseException:
            self.close()  # cancelled: the answer may still come and must not be taken for the next one
            raise
        return self._checked(answer, request.transaction_id, unit, block)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    async def _connect(self) -> None:
        if not self._client.connected and not await self._client.connect():
            self.close()
            raise LinkDown(f"cannot connect to {self._place}")

    def _hear(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._heard = bytes(data)
        return data

    def _checked(self, answer: ModbusPDU, transaction: int, unit: int, block: Block) -> UInt16:
        frame = self._heard
        start = transaction.to_bytes(2) + b"\0\0"
        code = getattr(answer, "exception_code", 0)
        if code and frame == start + bytes([0, 3, unit, block.fc | 0x80, code]):
            raise Refused(code)
        bits = block.fc in _BIT_FUNCTIONS
        size = (block.count + 7) // 8 if bits else 2 * block.count
        if frame[:_HEADER] != start + (size + 3).to_bytes(2) + bytes([unit, block.fc, size]) or (
            len(frame) != _HEADER + size
        ):
            self.close()
            raise BadAnswer(
                f"unit {unit} at {self._place} answered {frame[:_HEADER].hex(' ')} ({len(frame)} bytes) "
                f"to function {block.fc}, {block.count} from {block.address}"
            )
        if bits:
            packed = np.frombuffer(frame, np.uint8, offset=_HEADER)
            return np.unpackbits(packed, bitorder="little")[: block.count].astype(np.uint16)
        return np.frombuffer(frame, ">u2", offset=_HEADER).astype(np.uint16)

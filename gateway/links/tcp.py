"""Modbus TCP, read-only: one connection, one request at a time, every answer with the number of its request.

Numbers go on over connections, so that an answer to an old request fits no new one, whichever way it
comes. A device that answers with transaction 0 (`tid_zero_ok`) is treated with the doubt that RTU needs.
Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
"""

from __future__ import annotations

from pymodbus.transport import CommParams, CommType

from gateway.links.address import Quirks
from gateway.links.asking import CONNECT_S, Asking
from gateway.links.frames import Question, tcp_question
from gateway.registers import Block

_TRANSACTIONS = 0xFFFF  # 1 to this; 0 is what devices send that do not know the number


class TcpLink(Asking):
    """One Modbus TCP connection. One caller at a time."""

    def __init__(self, host: str, port: int, *, connect_s: float = CONNECT_S) -> None:
        place = f"{host}:{port}"
        super().__init__(place, CommParams(place, CommType.TCP, host=host, port=port, timeout_connect=connect_s))
        self._transaction = 0

    def _question(self, unit: int, block: Block, quirks: Quirks) -> Question:
        self._transaction = self._transaction % _TRANSACTIONS + 1
        return tcp_question(unit, block, self._transaction, zero_ok=quirks.tid_zero_ok)

    def _numbered(self, quirks: Quirks) -> bool:
        return not quirks.tid_zero_ok

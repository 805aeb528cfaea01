"""RTU frames, read-only: on a serial line, and over TCP behind a serial server.

A frame ends with a check sum and does not say which request it answers: see `doubt`. A serial server may
pass on what comes late over whatever connection there is by then, so over TCP a new connection alone does
not help, and the same silence is waited for.
Source: MODBUS over Serial Line V1.02, 2.5.1.
"""

from __future__ import annotations

from pymodbus.transport import CommParams, CommType

from gateway.links.address import Line, Quirks
from gateway.links.asking import CONNECT_S, Asking
from gateway.links.frames import Question, rtu_question
from gateway.registers import Block


class _RtuLink(Asking):
    def _question(self, unit: int, block: Block, quirks: Quirks) -> Question:  # noqa: ARG002 - no quirk changes it
        return rtu_question(unit, block)


class RtuTcpLink(_RtuLink):
    """One TCP connection to a serial server that passes on RTU frames. One caller at a time."""

    def __init__(self, host: str, port: int, *, connect_s: float = CONNECT_S) -> None:
        place = f"{host}:{port}"
        parameters = CommParams(place, CommType.TCP, host=host, port=port, timeout_connect=connect_s)
        # How fast its serial side is nobody knows: the shortest silence that the standard names.
        super().__init__(place, parameters, silence_s=Line(baud=115200).silence_s)


class RtuLink(_RtuLink):
    """One serial line, for this process alone. One caller at a time."""

    def __init__(self, device: str, line: Line, *, connect_s: float = CONNECT_S) -> None:
        parameters = CommParams(
            device, CommType.SERIAL, host=device, timeout_connect=connect_s,
            baudrate=line.baud, bytesize=8, parity=line.parity, stopbits=line.stopbits,
        )  # fmt: skip
        super().__init__(device, parameters, silence_s=line.silence_s, byte_s=line.byte_s)

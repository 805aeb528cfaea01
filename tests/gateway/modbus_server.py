"""Instruments for the tests of links and poller: a Modbus TCP server that can be told to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Reply = bytes | None  # None = say nothing


@dataclass(frozen=True, slots=True)
class Request:
    """A read request as it arrived. answer: the right reply to it."""

    tid: bytes
    unit: int
    fc: int
    address: int
    count: int
    answer: bytes


def word(unit: int, address: int) -> int:
    """What register `address` of a unit holds: another number everywhere, so that every mix-up shows."""
    return (unit * 1000 + address) & 0xFFFF


@dataclass
class Instruments:
    """Every unit of one address. script: what to answer instead; called with each request."""

    script: Callable[[Request], Reply] = lambda request: request.answer
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    registers: Callable[[int, int], int] = word
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self) -> None:
        """Listen; on the same port as before where there was one."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End it and every connection."""
        if self._server:
            self._server.close()
            self.hang_up()
            await asyncio.sleep(0)
            self._server = None

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                frame = await reader.readexactly(12)
                reply = self.script(self._request(frame))
                if reply:
                    writer.write(reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _request(self, frame: bytes) -> Request:
        unit, fc = frame[6], frame[7]
        address, count = int.from_bytes(frame[8:10]), int.from_bytes(frame[10:12])
        words = [self.registers(unit, address + i) for i in range(count)]
        if fc in (1, 2):
            bits = sum((w & 1) << i for i, w in enumerate(words))
            data = bits.to_bytes((count + 7) // 8, "little")
        else:
            data = b"".join(w.to_bytes(2) for w in words)
        answer = mbap(frame[:2], unit, bytes([fc, len(data)]) + data)
        request = Request(frame[:2], unit, fc, address, count, answer)
        self.requests.append(request)
        return request


def mbap(tid: bytes, unit: int, pdu: bytes) -> bytes:
    """A frame of Modbus TCP."""
    return tid + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


@asynccontextmanager
async def serving(instruments: Instruments) -> AsyncIterator[Instruments]:
    """Instruments for the length of a block."""
    await instruments.start()
    try:
        yield instruments
    finally:
        await instruments.stop()

"""Devices that misbehave to order, over all three framings: Modbus TCP, RTU over TCP, RTU on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.links.address import Line, Link
from gateway.links.asking import Asking
from gateway.links.frames import crc
from gateway.links.open import open_link
from simulators.pty_port import PtyPort

KINDS = ("tcp", "rtu+tcp", "rtu")
BAUD = 115200

HANG_UP = "hang up"
Act = bytes | float | str  # what is sent, how long is waited [s], or HANG_UP


@dataclass(frozen=True, slots=True)
class Request:
    """A read request as it arrived. raw: all its bytes."""

    kind: str
    raw: bytes
    tid: int
    unit: int
    fc: int
    address: int
    count: int

    @property
    def pdu(self) -> bytes:
        """The right reply, without what frames it."""
        if self.fc in (1, 2):
            bits = sum((word(self.unit, self.address + i) & 1) << i for i in range(self.count))
            data = bits.to_bytes((self.count + 7) // 8, "little")
        else:
            data = b"".join(word(self.unit, self.address + i).to_bytes(2) for i in range(self.count))
        return bytes((self.fc, len(data))) + data

    def frame(self, pdu: bytes | None = None, *, unit: int | None = None, tid: int | None = None) -> bytes:
        """A reply with the frame of its kind; the right one where nothing else is said."""
        pdu = self.pdu if pdu is None else pdu
        unit = self.unit if unit is None else unit
        if self.kind == "tcp":
            return struct.pack(">HHHB", self.tid if tid is None else tid, 0, len(pdu) + 1, unit) + pdu
        return (body := bytes((unit,)) + pdu) + crc(body)


def word(unit: int, address: int) -> int:
    """What register `address` of a unit holds: another number everywhere, so that every mix-up shows."""
    return (unit * 1009 + address * 7 + 3) & 0xFFFF


def right(request: Request) -> Sequence[Act]:
    """The reply of a device that is well."""
    return [request.frame()]


@dataclass
class Device:
    """All units of one address. script: what is done with each request; they wait in line, as on a bus."""

    kind: str
    folder: Path
    script: Callable[[Request], Sequence[Act]] = right
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    shared: bool = False  # a late reply goes to whoever is connected by then, as with a serial server
    answered: int = 0
    overtaking: bool = False  # a late reply does not hold up the later ones, as on a network of many paths
    _server: asyncio.Server | None = None
    _port: PtyPort | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def link(self) -> Link:
        """Its address."""
        if self.kind == "rtu":
            return Link(kind="rtu", address=str(self.folder / "line"), port=0, unit=1, line=Line(baud=BAUD))
        assert self._server is not None
        return Link(kind=self.kind, address="127.0.0.1", port=self._server.sockets[0].getsockname()[1], unit=1)

    async def start(self) -> None:
        """Listen."""
        if self.kind == "rtu":
            self._port = PtyPort(str(self.folder / "line"))
            self._talk(await self._port.open())
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End it and every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._port is not None:
            self._port.close()
        for writer in self._writers:
            writer.close()
        if self._server is not None:
            self._server.close()

    def send(self, data: bytes) -> None:
        """Put bytes on the line, or on the newest connection."""
        if self._port is not None:
            self._port.write(data)
        elif self._writers and not self._writers[-1].is_closing():
            self._writers[-1].write(data)

    async def hang_up(self) -> None:
        """Close all connections; a serial line is pulled out and put in again."""
        for writer in self._writers:
            if not self.shared:
                writer.transport.abort()
        self._writers.clear()
        if self._port is not None:
            self._port.close()
            self._port = PtyPort(str(self.folder / "line"))
            self._talk(await self._port.open())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._talk(reader, writer)

    def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None = None) -> None:
        self._start(self._serve(reader, writer))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        """Requests one after the other; also of several connections, where they share a bus."""
        try:
            while True:
                raw = await reader.readexactly(12 if self.kind == "tcp" else 8)
                if self.overtaking:
                    self._start(self._answer(raw, writer))
                    continue
                async with self._turn if self.shared else asyncio.Lock():
                    await self._answer(raw, writer)
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            return
        finally:
            if writer is not None:
                writer.close()

    async def _answer(self, raw: bytes, writer: asyncio.StreamWriter | None) -> None:
        request = self._request(raw)
        self.requests.append(request)
        for act in self.script(request):
            if isinstance(act, bytes):
                if writer is None or self.shared:
                    self.send(act)
                else:
                    writer.write(act)
            elif isinstance(act, str):
                await self.hang_up()
            else:
                await asyncio.sleep(act)
        self.answered += 1

    async def finished(self) -> None:
        """All that it had to send is on its way."""
        while self.answered < len(self.requests):  # noqa: ASYNC110 - a test may wait
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)

    def _request(self, raw: bytes) -> Request:
        if self.kind == "tcp":
            tid, protocol, length, unit, fc, address, count = struct.unpack(">HHHBBHH", raw)
            assert (protocol, length) == (0, 6), raw.hex(" ")
        else:
            unit, fc, address, count = struct.unpack(">BBHH", raw[:6])
            assert crc(raw[:6]) == raw[6:], raw.hex(" ")
            tid = 0
        return Request(self.kind, raw, tid, unit, fc, address, count)


@asynccontextmanager
async def served(device: Device) -> AsyncIterator[Asking]:
    """A device for the length of a block, and the link to it."""
    await device.start()
    link = open_link(device.link)
    assert isinstance(link, Asking)
    try:
        yield link
    finally:
        link.close()
        await device.stop()
        await asyncio.sleep(0.002)

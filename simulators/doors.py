"""Where instruments are asked: Modbus TCP and RTU over TCP on sockets, RTU on pseudo-terminals.

A door is opened for an address and takes a function that knows what its units reply. What comes is cut into requests,
one after the other on each connection; a connection ends when rubbish comes, when the reply says so, or with the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TypeAlias

from simulators.pty_port import PtyPort
from simulators.requests import Request, rtu_requests, tcp_requests

CONNECTIONS_MAX = 64  # of one port; a real converter takes 4 to 32

# transaction (None: RTU has none), unit and PDU -> the bytes on the wire; empty = silence, None = hang up
Reply: TypeAlias = Callable[[int | None, int, bytes], Awaitable[bytes | None]]


class Doors:
    """Open sockets and serial lines. Not thread-safe: everything happens in one event loop."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._lines: list[PtyPort] = []
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self, kind: str, address: str, port: int, reply: Reply) -> int:
        """Listen at a host's port (0 = a free one), or at the name of a serial line; the port. Raises OSError."""
        if kind == "rtu":
            await self._open_line(address, reply)
            return 0
        server = await asyncio.start_server(self._accept(kind, reply), address, port)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close every socket and line."""
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await asyncio.gather(*(server.wait_closed() for server in self._servers))
        for line in self._lines:
            line.close()

    async def _open_line(self, name: str, reply: Reply) -> None:
        line = PtyPort(name)
        requests = rtu_requests(await line.open())
        self._lines.append(line)

        async def send(frame: bytes | None) -> bool:
            line.write(frame or b"")
            return True  # a serial line cannot be hung up

        self._start(_answer(reply, requests, send))

    def _accept(self, kind: str, reply: Reply) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        talks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(talks) >= CONNECTIONS_MAX:
                writer.close()
                return
            talk = self._start(_talk(kind, reply, reader, writer))
            talks.add(talk)
            talk.add_done_callback(talks.discard)

        return accept

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        talk = asyncio.ensure_future(work)
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return talk


async def _talk(kind: str, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request after request, until it closes or turns into rubbish."""

    async def send(frame: bytes | None) -> bool:
        if frame:
            writer.write(frame)
            await writer.drain()
        return frame is not None

    try:
        await _answer(reply, (rtu_requests if kind == "rtu+tcp" else tcp_requests)(reader), send)
    except ConnectionError:
        return
    finally:
        writer.close()


async def _answer(
    reply: Reply, requests: AsyncIterator[Request], send: Callable[[bytes | None], Awaitable[bool]]
) -> None:
    """Answer until nothing more comes, or `send` says that this is the end."""
    async for transaction, unit, request in requests:
        if not await send(await reply(transaction, unit, request)):
            return

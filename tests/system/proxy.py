"""A TCP proxy that does to a connection what networks do.

It stands on a port of its own before a server and passes bytes on, until told otherwise. `fault` holds
for the connections there are and for those that come, until it is `PASS` again:

    DROP        connections are reset at once, and so is every new one
    DELAY       every piece arrives `delay_s` later
    HALF_CLOSE  the server's side hears that the client has ended; the client hears nothing more
    BLACK_HOLE  connections stand, and nothing arrives: what was sent into it is gone for good
    DRIBBLE     bytes arrive one by one
    CUT         `cut_after` more bytes are passed on, wherever in a frame that is, then comes a reset

A connection that was in a black hole or half closed stays so when the fault ends, as one that a
firewall has forgotten; only new ones work.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import Enum

PATIENCE_S = 10.0
PIECE = 65536


class Fault(Enum):
    """What happens to the bytes."""

    PASS = "pass"
    DROP = "drop"
    DELAY = "delay"
    HALF_CLOSE = "half-close"
    BLACK_HOLE = "black hole"
    DRIBBLE = "dribble"
    CUT = "cut"


class Proxy:
    """A proxy before one local port, in a thread of its own. connections: how many there were."""

    def __init__(self, target: int, *, delay_s: float = 0.2, cut_after: int = 700, dribble: int = 2000) -> None:
        """dribble: bytes that arrive one by one, before they come in pieces of 64."""
        self._target, self._delay_s, self._cut_after, self._dribble = target, delay_s, cut_after, dribble
        self._fault, self._loop = Fault.PASS, asyncio.new_event_loop()
        self._pipes: set[_Pipe] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.connections = self.port = 0

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE_S)

    def stop(self) -> None:
        """End every connection and stop listening."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def fault(self) -> Fault:
        """What happens now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        async def turn() -> None:
            self._fault = fault
            for pipe in list(self._pipes):
                pipe.befall(fault)

        asyncio.run_coroutine_threadsafe(turn(), self._loop).result(PATIENCE_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        talks = [talk for pipe in self._pipes for talk in pipe.talks]
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._fault is Fault.DROP:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pipe = _Pipe((writer, server_writer), self._delay_s, self._cut_after, self._dribble)
        self._pipes.add(pipe)
        pipe.befall(self._fault)
        pipe.talks = [
            asyncio.ensure_future(pipe.carry(reader, server_writer, to_server=True)),
            asyncio.ensure_future(pipe.carry(server_reader, writer, to_server=False)),
        ]
        await asyncio.gather(*pipe.talks, return_exceptions=True)
        pipe.end()
        self._pipes.discard(pipe)


class _Pipe:
    """One connection through the proxy. writers: to the client, to the server."""

    def __init__(
        self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter], delay_s: float, cut_after: int, dribble: int
    ) -> None:
        self.writers, self.talks = writers, list[asyncio.Task[None]]()
        self._fault, self._deaf = Fault.PASS, False
        self._delay_s, self._cut_after, self._dribble = delay_s, cut_after, dribble
        self._left = 0

    def befall(self, fault: Fault) -> None:
        """From now on this happens to it."""
        self._fault, self._left = fault, self._cut_after if fault is Fault.CUT else self._dribble
        if fault in (Fault.BLACK_HOLE, Fault.HALF_CLOSE):
            self._deaf = True
        if fault is Fault.DROP:
            self.end()
        if fault is Fault.HALF_CLOSE:
            with contextlib.suppress(OSError):
                self.writers[1].write_eof()

    def end(self) -> None:
        """Reset both sides."""
        for writer in self.writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        """Bytes of one direction until they end."""
        try:
            while piece := await reader.read(PIECE):
                await self._pass(piece, writer)
        except (ConnectionError, OSError):
            pass
        # Into a black hole the end of a connection does not get either.
        if not self._deaf or to_server:
            self.end()

    async def _pass(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        if self._deaf:
            return
        if self._fault is Fault.DELAY:
            await asyncio.sleep(self._delay_s)
        elif self._fault is Fault.DRIBBLE:
            for part in self._crumbs(piece):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            return
        elif self._fault is Fault.CUT:
            writer.write(piece[: self._left])
            self._left -= len(piece)
            if self._left <= 0:
                await asyncio.sleep(0.01)  # so that the half frame gets there before the reset
                self.end()
            return
        writer.write(piece)
        await writer.drain()

    def _crumbs(self, piece: bytes) -> Iterator[bytes]:
        alone, self._left = piece[: self._left], max(0, self._left - len(piece))
        yield from (alone[n : n + 1] for n in range(len(alone)))
        rest = piece[len(alone) :]
        yield from (rest[n : n + 64] for n in range(0, len(rest), 64))


@contextlib.contextmanager
def proxy(target: int, **settings: float) -> Iterator[Proxy]:
    """A proxy before a port, for the length of a block."""
    found = Proxy(target, **settings)  # type: ignore[arg-type]
    found.start()
    try:
        yield found
    finally:
        found.stop()

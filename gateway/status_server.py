"""The gateway's own page: read-only, for whoever is on the machine.

It is served to `emitwatch status` over a socket in the gateway's folder, which its user alone may open, and, where
`[[gateway]] status_port` says so, on 127.0.0.1 for a browser: `/` the page, `/status` JSON, `/metrics` for
Prometheus. Nothing that comes in can change anything: a request is at most a few kilobytes and has to be there
within seconds. A page of another site cannot read it: who asks has to name this machine (`Host`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from gateway.status import Latest, metrics, page

SOCKET = "status.sock"
HOSTS = ("127.0.0.1", "localhost", "[::1]")
WAIT_S = 5.0  # for a request
LONGEST = 8192  # bytes of it
MOST = 16  # asked at once

_log = structlog.get_logger("gateway.status")


@contextlib.asynccontextmanager
async def served(folder: Path, port: int, state: Callable[[], Mapping[str, Any]], latest: Latest) -> AsyncIterator[int]:
    """Serve while the block runs; the port on 127.0.0.1, 0 = none. port: the wanted one, 0 = none."""
    desk = _Desk(state, latest)
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(os.close, place)
        own = _own_socket(place)
        stack.callback(lambda: (folder / SOCKET).unlink(missing_ok=True))
        await stack.enter_async_context(await asyncio.start_unix_server(desk.answer, sock=own, limit=LONGEST))
        found = 0
        if port:
            try:
                server = await asyncio.start_server(desk.answer, "127.0.0.1", port, limit=LONGEST)
            except OSError as error:
                _log.warning("The status page cannot be served; the gateway goes on", port=port, problem=str(error))
            else:
                await stack.enter_async_context(server)
                found = port
                _log.info("The status page is at", url=f"http://127.0.0.1:{port}/")
        yield found


def _own_socket(place: int) -> socket.socket:
    """A socket in a folder, for its owner alone. By the folder's number: a socket's path may not be long."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=place)  # of a process that was killed: the outbox's lock says that there is no other
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        found.bind(f"/proc/self/fd/{place}/{SOCKET}")
    finally:
        os.umask(before)
    return found


class _Desk:
    """Answers requests."""

    def __init__(self, state: Callable[[], Mapping[str, Any]], latest: Latest) -> None:
        self._state, self._latest = state, latest
        self._seats = asyncio.Semaphore(MOST)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        try:
            async with self._seats:
                request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
                writer.write(self._reply(request.decode("latin-1"), local=_is_local(writer)))
                await asyncio.wait_for(writer.drain(), WAIT_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who does not ask properly gets no answer
        finally:
            writer.close()

    def _reply(self, request: str, *, local: bool) -> bytes:
        line, *headers = request.split("\r\n")
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        host = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("host:")), "")
        if not local and host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return _http(403, "text/plain", "this page is for the machine it runs on\n")
        if method != "GET":
            return _http(405, "text/plain", "this page can only be read\n")
        state, rows = self._state(), self._latest.shown(time.time_ns())
        if path == "/":
            return _http(200, "text/html; charset=utf-8", page(state, rows))
        if path == "/status":
            measured = [{**asdict(one), "status": one.status.name.lower()} for one in rows]
            return _http(200, "application/json", json.dumps({**state, "measured": measured}))
        if path == "/metrics":
            return _http(200, "text/plain; version=0.0.4", metrics(state, rows))
        return _http(404, "text/plain", "there is /, /status and /metrics\n")


def _is_local(writer: asyncio.StreamWriter) -> bool:
    """Whether somebody asks over the folder's socket."""
    return bool(writer.get_extra_info("socket").family == socket.AF_UNIX)


def _http(code: int, kind: str, text: str) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {code} {'OK' if code == 200 else 'No'}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def ask(folder: Path) -> dict[str, Any]:
    """What the gateway of a folder says of itself; raises OSError or ValueError where none answers."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(WAIT_S)
            link.connect(f"/proc/self/fd/{place}/{SOCKET}")
            link.sendall(b"GET /status HTTP/1.1\r\n\r\n")
            answer = b""
            while part := link.recv(1 << 16):
                answer += part
    finally:
        os.close(place)
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found

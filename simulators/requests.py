"""What comes over a connection or a serial line, cut into requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from gateway.links.frames import crc
from simulators import modbus

# transaction (None: RTU has none), unit, PDU
Request = tuple[int | None, int, bytes]

GAP_S = 0.05  # silence after which what has come so far is no beginning of a request; longer than a busy machine needs
_RTU_MIN, _RTU_READ, _RTU_MAX = 4, 8, 256


async def tcp_requests(reader: asyncio.StreamReader) -> AsyncIterator[Request]:
    """Requests of Modbus TCP, until the connection closes or what comes is none."""
    while True:
        try:
            transaction, protocol, length, unit = modbus.HEADER.unpack(await reader.readexactly(modbus.HEADER.size))
            if protocol != 0 or not 2 <= length <= modbus.LENGTH_MAX:
                return
            yield transaction, unit, await reader.readexactly(length - 1)
        except (asyncio.IncompleteReadError, ConnectionError):
            return


async def rtu_requests(reader: asyncio.StreamReader) -> AsyncIterator[Request]:
    """Requests in RTU frames; what is none is passed over, as on a bus, until the line ends."""
    held = b""
    while True:
        try:
            async with asyncio.timeout(GAP_S if held else None):
                came = await reader.read(_RTU_MAX)
        except TimeoutError:
            held = b""
            continue
        except OSError:
            return
        if not came:
            return
        held += came
        while len(held) >= _RTU_READ and _sound(held[:_RTU_READ]):
            yield None, held[0], held[1 : _RTU_READ - 2]
            held = held[_RTU_READ:]
        if len(held) >= _RTU_MIN and _sound(held):
            yield None, held[0], held[1:-2]
            held = b""
        held = held[-_RTU_MAX:]


def _sound(frame: bytes) -> bool:
    return crc(frame[:-2]) == frame[-2:]

"""What checking every byte of an answer costs: registers a second over Modbus TCP, beside a bare pymodbus loop.

Both read blocks of 125 holding registers from the same server, in turns, so that both meet the same
machine. The server is a process of its own that answers from memory, so the figures are those of the
reading side; the best round of each counts, the others were disturbed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.figure import Figure
from gateway.links.tcp import TcpLink
from gateway.registers import Block

READS = 1000  # of each in a round
ROUNDS = 5
LEAST = 0.7  # of the bare loop's rate
BLOCK = Block(3, 0, 125)


def measure() -> list[Figure]:
    """Registers a second of our link, and as a share of the bare loop's: the limit is a least."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
    server.start()
    try:
        ours, bare = asyncio.run(_both(listener.getsockname()[1]))
    finally:
        server.terminate()
        server.join()
        listener.close()
    rate = READS * BLOCK.count
    name = f"a register, blocks of {BLOCK.count}: our link, {rate / ours:,.0f} registers/s"
    limit = f"the time a bare pymodbus loop may take for {LEAST:.0%} of it, {rate / bare:,.0f} registers/s"
    micro = 1e6 / rate
    return [Figure(name=name, value=ours * micro, unit="us", reference=bare * micro / LEAST, reference_name=limit)]


async def _both(port: int) -> tuple[float, float]:
    """The shortest time of a round, ours and the bare loop's. [s]"""
    link, client = TcpLink("127.0.0.1", port), AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    ours, bare = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(READS):
            await link.read(1, BLOCK, timeout_s=3.0)
        between = time.perf_counter()
        for _ in range(READS):
            answer = await client.read_holding_registers(BLOCK.address, count=BLOCK.count, device_id=1)
            assert len(answer.registers) == BLOCK.count
        ours.append(between - started)
        bare.append(time.perf_counter() - between)
    link.close()
    client.close()
    return min(ours), min(bare)


def _serve(listener: socket.socket) -> None:
    """Answer every request of any connection with the same registers."""
    data = bytes(2 * BLOCK.count)
    tail = b"\0\0" + (len(data) + 3).to_bytes(2) + bytes((1, BLOCK.fc, len(data))) + data

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            writer.write(request[:2] + tail)

    async def serve() -> None:
        async with await asyncio.start_server(talk, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(serve())

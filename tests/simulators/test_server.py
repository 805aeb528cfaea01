"""The simulated instruments over a real socket: what they answer decodes to what the plant is worth."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway import registers
from gateway.measurement import SECOND_NS, Status
from gateway.sensors import Sensor
from gateway.settings import Site
from simulators import plant
from simulators.doors import CONNECTIONS_MAX
from simulators.faults import parse_fault
from simulators.server import Simulator
from tests.simulators.plants import free_port, small_site

AT_NS = 1_794_000_000 * SECOND_NS + 300_000_000


class Client:
    """A Modbus client that believes nothing: bytes out, bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.transaction = reader, writer, 0

    async def ask(self, unit: int, pdu: bytes, timeout_s: float = 2.0) -> tuple[int, int, bytes]:
        """Send a PDU; (transaction, unit, PDU) of the answer."""
        self.transaction += 1
        self.writer.write(struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, unit) + pdu)
        header = await asyncio.wait_for(self.reader.readexactly(7), timeout_s)
        transaction, protocol, length, unit = struct.unpack(">HHHB", header)
        assert protocol == 0
        return transaction, unit, await self.reader.readexactly(length - 1)

    async def read(self, sensor: Sensor) -> tuple[dict[str, float], set[int]]:
        """A poll of a sensor, decoded: its values, and the statuses found among them."""
        words = []
        for block in sensor.plan.blocks:
            request = struct.pack(">BHH", block.fc, block.address, block.count)
            transaction, unit, pdu = await self.ask(sensor.settings.link.unit, request)
            assert (transaction, unit, pdu[0]) == (self.transaction, sensor.settings.link.unit, block.fc)
            raw = np.frombuffer(pdu[2:], np.uint8)
            bits = np.unpackbits(raw, bitorder="little")[: block.count].astype(np.uint16)
            words.append((bits if block.fc < 3 else np.frombuffer(pdu[2:], ">u2").astype(np.uint16))[None, :])
        value, status = registers.decode(sensor.plan, words)
        return dict(zip(sensor.plan.parameters, value[0].tolist(), strict=True)), set(status[0].tolist())


Scene = tuple[Site, Sequence[Sensor], Callable[[], Awaitable[Client]]]


@asynccontextmanager
async def served(*faults: str, clock: Callable[[], int] = lambda: AT_NS, speed: float = 1.0) -> AsyncIterator[Scene]:
    """The small site on a free port; a function that connects."""
    port = free_port()
    site, sensors = small_site(port)
    simulator = Simulator(
        [(site, sensors)], seed=7, fault=[parse_fault(f) for f in faults], speed=speed, clock_ns=clock
    )
    assert await simulator.start() == []
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    try:
        yield site, sensors, connect
    finally:
        for client in clients:
            client.writer.close()
        await simulator.stop()


def test_every_sensor_answers_with_the_plants_values() -> None:
    async def scene() -> None:
        async with served() as (site, sensors, connect):
            client = await connect()
            for sensor in sensors:
                found, statuses = await client.read(sensor)
                place = plant.place(site, sensor.point)
                second = np.array([AT_NS // SECOND_NS * SECOND_NS])
                true = plant.values(7, place, sensor.plan.parameters, second)[0]
                assert statuses == {Status.OK}
                for wanted, seen in zip(true, found.values(), strict=True):
                    assert abs(seen - wanted) <= max(0.051, 1e-4 * abs(wanted)), sensor.settings.id

    asyncio.run(scene())


def test_units_addresses_and_functions_that_do_not_exist() -> None:
    async def scene() -> None:
        async with served() as (_, _, connect):
            client = await connect()
            read = struct.pack(">BHH", 3, 60000, 1)
            assert (await client.ask(1, read))[2] == b"\x83\x02"
            assert (await client.ask(99, read))[2] == b"\x83\x0b"
            assert (await client.ask(1, bytes.fromhex("06 0000 0001")))[2] == b"\x86\x01"
            assert (await client.ask(1, bytes.fromhex("03 0000 0000")))[2] == b"\x83\x03"

    asyncio.run(scene())


def test_rubbish_ends_a_connection_and_no_other() -> None:
    async def scene() -> None:
        async with served() as (_, sensors, connect):
            good, bad = await connect(), await connect()
            bad.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.wait_for(bad.reader.read(), 2.0) == b""
            assert (await good.read(sensors[0]))[1] == {Status.OK}

    asyncio.run(scene())


def test_requests_may_come_in_pieces_and_in_bundles() -> None:
    async def scene() -> None:
        async with served() as (_, _, connect):
            client = await connect()
            frame = struct.pack(">HHHB", 1, 0, 6, 99) + bytes.fromhex("03 0000 0001")
            for byte in frame:
                client.writer.write(bytes((byte,)))
                await client.writer.drain()
            client.writer.write(frame * 3)
            assert len(await asyncio.wait_for(client.reader.readexactly(4 * 9), 2.0)) == 36

    asyncio.run(scene())


def test_connections_have_a_limit() -> None:
    async def scene() -> None:
        async with served() as (_, sensors, connect):
            clients = [await connect() for _ in range(CONNECTIONS_MAX)]
            assert (await clients[0].read(sensors[0]))[1] == {Status.OK}
            extra = await connect()
            assert await asyncio.wait_for(extra.reader.read(), 2.0) == b""

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("slm:exception=6", b"\x83\x06"),
        ("slm:function=4", None),
        ("slm:unit=9", None),
        ("slm:transaction=1", None),
        ("slm:short=1", None),
    ],
)
def test_faults_of_the_answer(fault: str, answer: bytes | None) -> None:
    async def scene() -> None:
        async with served(fault) as (_, sensors, connect):
            client = await connect()
            block = sensors[0].plan.blocks[0]
            request = struct.pack(">BHH", block.fc, block.address, block.count)
            transaction, unit, pdu = await client.ask(1, request)
            good = (transaction, unit, pdu[0], len(pdu)) == (client.transaction, 1, block.fc, 2 + 2 * block.count)
            assert not good
            assert answer is None or pdu == answer
            # The others are well.
            assert (await client.read(sensors[1]))[1] == {Status.OK}

    asyncio.run(scene())


def test_silence_and_delay_and_hanging_up() -> None:
    async def scene() -> None:
        async with served("slm:silent", "water:late=0.3", "flow:hangup") as (_, sensors, connect):
            client = await connect()
            request = bytes.fromhex("03 0000 0001")
            with pytest.raises(TimeoutError):
                await client.ask(1, request, timeout_s=0.2)
            loop = asyncio.get_running_loop()
            started = loop.time()
            await client.read(sensors[3])
            assert loop.time() - started >= 0.3
            with pytest.raises(asyncio.IncompleteReadError):
                await client.ask(3, request)

    asyncio.run(scene())


def test_faults_of_the_values() -> None:
    async def scene() -> None:
        async with served("slm:status=1", "cems:nan") as (_, sensors, connect):
            client = await connect()
            assert (await client.read(sensors[0]))[1] == {Status.MAINTENANCE}
            values, statuses = await client.read(sensors[1])
            assert np.isnan(list(values.values())).all()
            assert statuses == {Status.FAULT}

    asyncio.run(scene())


def test_a_stuck_instrument_and_a_fast_clock() -> None:
    now = [AT_NS]

    async def scene() -> None:
        async with served("flow:stuck", clock=lambda: now[0], speed=60.0) as (site, sensors, connect):
            client = await connect()
            before = [await client.read(sensor) for sensor in sensors]
            now[0] += SECOND_NS
            after = [await client.read(sensor) for sensor in sensors]
            assert before[2] == after[2]
            assert all(before[n] != after[n] for n in (0, 1, 3))
            minute_on = np.array([(AT_NS + 60 * SECOND_NS) // SECOND_NS * SECOND_NS])
            true = plant.values(7, plant.place(site, sensors[0].point), ("LAeq",), minute_on)[0, 0]
            assert abs(after[0][0]["LAeq"] - true) < 0.051

    asyncio.run(scene())


def test_a_port_that_is_taken_is_said_and_the_rest_goes_on() -> None:
    async def scene() -> None:
        async with served() as (site, sensors, _):
            simulator = Simulator([(site, sensors)])
            (sentence,) = await simulator.start()
            assert f"127.0.0.1:{sensors[0].settings.link.port}" in sentence
            await simulator.stop()

    asyncio.run(scene())

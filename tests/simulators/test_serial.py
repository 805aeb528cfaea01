"""The simulated instruments on serial lines and over RTU over TCP, read by the gateway's own links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway import catalogue, registers, sensors
from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Refused
from gateway.links.open import open_link
from gateway.measurement import SECOND_NS, Columns, Status
from gateway.poller import Poller
from gateway.sensors import Sensor
from gateway.settings import parse_site
from simulators import plant
from simulators.faults import FAULTS, parse_fault
from simulators.pty_port import PtyPort
from simulators.server import Simulator
from tests.simulators.plants import free_port, site_text

AT_NS = 1_794_000_000 * SECOND_NS + 300_000_000
KINDS = ("tcp", "rtu+tcp", "rtu")


@asynccontextmanager
async def simulated(kind: str, folder: Path, *faults: str) -> AsyncIterator[tuple[Simulator, Sequence[Sensor]]]:
    """The small site behind one link of a kind."""
    place = f"rtu://{folder}/line" if kind == "rtu" else f"{kind}://127.0.0.1:PORT"
    text = site_text(0).replace("tcp://127.0.0.1:0", place).replace("PORT", str(free_port()))
    site, wrong = parse_site(text, "test.toml")
    assert site, wrong
    found, wrong = sensors.resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not wrong, wrong
    simulator = Simulator([(site, found)], seed=7, fault=[parse_fault(f) for f in faults], clock_ns=lambda: AT_NS)
    assert await simulator.start() == []
    try:
        yield simulator, found
    finally:
        await simulator.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_every_unit_behind_a_link_gives_the_plants_values(kind: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with simulated(kind, tmp_path) as (simulator, found):
            link = open_link(found[0].settings.link)
            for sensor in found:
                words = [
                    (await link.read(sensor.settings.link.unit, block, timeout_s=2.0))[None, :]
                    for block in sensor.plan.blocks
                ]
                value, status = registers.decode(sensor.plan, words)
                instrument = simulator.buses[sensor.settings.link.bus][sensor.settings.link.unit]
                second = np.array([AT_NS // SECOND_NS * SECOND_NS])
                want = plant.values(7, instrument.place, sensor.plan.parameters, second)
                assert (status == Status.OK).all()
                assert value == pytest.approx(want, rel=0.01, abs=0.06)
            link.close()
            await asyncio.sleep(0.01)

    asyncio.run(scene())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault", ["silent", "hangup", "short", "function", "unit", "crc", "half", "noise", "twice", "echo"]
)
def test_no_fault_on_demand_gives_a_value(kind: str, fault: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with simulated(kind, tmp_path, f"slm:{fault}") as (_, found):
            link = open_link(found[0].settings.link)
            with pytest.raises((NoAnswer, BadAnswer, LinkDown)):
                await link.read(1, found[0].plan.blocks[0], timeout_s=0.1)
            assert len(await link.read(4, found[3].plan.blocks[0], timeout_s=2.0)), "the other units are not touched"
            link.close()
            await asyncio.sleep(0.01)

    assert fault in FAULTS
    asyncio.run(scene())


@pytest.mark.parametrize("kind", KINDS)
def test_units_and_functions_that_do_not_exist(kind: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with simulated(kind, tmp_path, "slm:exception=4") as (_, found):
            link = open_link(found[0].settings.link)
            with pytest.raises(Refused, match="exception 4"):
                await link.read(1, found[0].plan.blocks[0], timeout_s=2.0)
            with pytest.raises(LinkError, match="exception 11" if kind == "tcp" else "did not answer"):
                await link.read(99, found[0].plan.blocks[0], timeout_s=2.0 if kind == "tcp" else 0.1)
            link.close()
            await asyncio.sleep(0.01)

    asyncio.run(scene())


def test_requests_come_in_pieces_after_rubbish_and_with_other_functions(tmp_path: Path) -> None:
    async def scene() -> None:
        async with simulated("rtu+tcp", tmp_path) as (simulator, _):
            ((_, host, port),) = simulator.buses
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"\x01\x03\xff")
            await asyncio.sleep(0.2)
            for byte in bytes.fromhex("01 03 ea60 0001 b00c"):
                writer.write(bytes((byte,)))
            assert await asyncio.wait_for(reader.readexactly(5), 2.0) == bytes.fromhex("01 83 02 c0 f1")
            writer.write(bytes.fromhex("01 10 0000 0001 02 0005 6653"))
            assert await asyncio.wait_for(reader.readexactly(5), 2.0) == bytes.fromhex("01 90 01 8d c0")
            writer.close()
            await writer.wait_closed()

    asyncio.run(scene())


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    name = tmp_path / "line"
    name.write_text("mine")

    async def scene() -> None:
        with pytest.raises(FileExistsError):
            await PtyPort(str(name)).open()
        assert await asyncio.to_thread(name.read_text) == "mine"

    asyncio.run(scene())


def test_a_name_that_was_left_behind_is_taken_over_and_given_back(tmp_path: Path) -> None:
    name = tmp_path / "line"
    name.symlink_to("/dev/pts/9999")

    async def scene() -> None:
        port = PtyPort(str(name))
        await port.open()
        assert await asyncio.to_thread(name.exists)
        port.close()
        port.close()

    asyncio.run(scene())
    assert not name.is_symlink()


def statuses(given: list[Columns]) -> dict[str, set[int]]:
    """What each sensor's values were worth."""
    found: dict[str, set[int]] = {}
    for columns in given:
        for index, status in zip(columns.series_index, columns.status, strict=True):
            found.setdefault(columns.series[index].sensor, set()).add(int(status))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_gateway_polls_all_units_on_one_line(kind: str, tmp_path: Path) -> None:
    given: list[Columns] = []

    async def scene() -> None:
        async with simulated(kind, tmp_path, "cems:silent") as (_, found):
            # Every second all of them: they wait for one another, not for the silent one.
            every = [replace(s, settings=replace(s.settings, interval_s=1.0)) for s in found]
            poller = Poller(every, lambda columns: given.append(columns) or len(given))
            polling = asyncio.create_task(poller.run())
            for _ in range(400):
                await asyncio.sleep(0.05)
                if {sensor for sensor, found in statuses(given).items() if Status.OK in found} == {
                    "slm",
                    "flow",
                    "water",
                }:
                    break
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    asyncio.run(scene())
    said = statuses(given)
    assert said.pop("cems") == {Status.NO_COMM}
    assert {sensor for sensor, found in said.items() if Status.OK in found} == {"slm", "flow", "water"}

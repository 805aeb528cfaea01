"""mbpoll, a client that others wrote (on libmodbus), reads of our simulator what our own links read."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from gateway.links.open import open_link
from gateway.registers import Block
from gateway.settings import Link
from tests.simulators.test_serial import simulated

TABLE = {1: "0", 2: "1", 3: "4:hex", 4: "3:hex"}
VALUE = re.compile(r"^\[\d+\]:\s+(0x[0-9A-F]+|\d+)", re.MULTILINE)


async def poll(program: str, link: Link, block: Block) -> list[int]:
    """What mbpoll reads, once. It gives up by itself."""
    place = ["-m", "rtu", "-b", "9600", "-P", "none"] if link.kind == "rtu" else ["-m", "tcp", "-p", str(link.port)]
    what = ["-t", TABLE[block.fc], "-0", "-r", str(block.address), "-c", str(block.count), "-a", str(link.unit)]
    process = await asyncio.create_subprocess_exec(
        program, *place, *what, "-1", "-q", "-o", "5", link.address,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, error.decode()
    return [int(value, 0) for value in VALUE.findall(out.decode())]


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
def test_mbpoll_reads_what_our_links_read(kind: str, mbpoll: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with simulated(kind, tmp_path) as (_, sensors):
            for sensor in sensors:
                link = open_link(sensor.settings.link)
                ours = [
                    (await link.read(sensor.settings.link.unit, block, timeout_s=5.0)).tolist()
                    for block in sensor.plan.blocks
                ]
                link.close()
                await asyncio.sleep(0.01)
                theirs = [await poll(mbpoll, sensor.settings.link, block) for block in sensor.plan.blocks]
                assert theirs == ours
                assert any(any(words) for words in ours)

    asyncio.run(scene())

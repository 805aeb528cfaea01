"""The plant that chaos happens to: counting instruments, and a site file that reads them.

Every instrument serves two registers values: its own number and how often it has answered. So each
answer is a key (sensor number, counter) that exists once in the world, and what becomes of it can be
followed to the store. The instruments live in the process that does the killing and are never killed.
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.identity import load_or_create_key, public_hex
from gateway.spooler import outbox_folder
from simulators.modbus import HEADER, REQUEST, frame

GATEWAY = "chaos-gw"
NUMBER, COUNTER = "flow", "total_volume"  # the parameters that carry the key
UNITS = 25  # behind one address
PATIENCE_S = 10.0

PROFILE = """
[profile]
name = "counting"
maker = "emitwatch"
model = "counts its answers"
kind = "water"
source = "tests/system/chaos_plant.py"
manual = "tests/system/chaos_plant.py"
no_status = "it only counts"
[[register]]
parameter = "flow"
fc = 3
address = 0
type = "uint32"
unit = "L/s"
low = 0
high = 4294967295
manual = "the instrument's number"
[[register]]
parameter = "total_volume"
fc = 3
address = 2
type = "uint32"
unit = "m3"
low = 0
high = 4294967295
manual = "how often it has answered"
[[example]]
title = "the ninth answer of instrument 7"
read = [{ fc = 3, address = 0, words = [0, 7, 0, 9] }]
expect = { flow = 7, total_volume = 9 }
source = "tests/system/chaos_plant.py"
"""

SITE = """
[plant]
id = "chaos"
timezone = "UTC"
data_dir = "{data}"
[broker]
url = "mqtt://127.0.0.1:{broker}"
[folders]
profiles = ["profiles"]
[collector]
public_key = "{collector}"
[[gateway]]
id = "{id}"
public_key = "{gateway}"
"""

SENSOR = """
[[point]]
id = "outfall-{number}"
kind = "water"
[[sensor]]
id = "{number}"
point = "outfall-{number}"
link = "tcp://127.0.0.1:{port}?unit={unit}"
profile = "counting"
interval_s = {interval_s}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an instrument said. time_ns: when. [ns since 1970 UTC]"""

    sensor: int
    counter: int
    time_ns: int


@dataclass
class Instruments:
    """`points` instruments on the network, in a thread of their own. log: every answer, in order."""

    points: int
    log: list[Answer] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._counters = [0] * (self.points + 1)
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._talks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="instruments", daemon=True)

    def start(self) -> None:
        """Listen, UNITS of them behind each port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE_S)

    def stop(self) -> None:
        """Say nothing any more."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)
            self._loop.close()

    async def _listen(self) -> None:
        for first in range(1, self.points + 1, UNITS):

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: int = first) -> None:
                await self._talk(reader, writer, first)

            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: int) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        try:
            while True:
                transaction, _, _, unit = HEADER.unpack(await reader.readexactly(HEADER.size))
                function, address, quantity = REQUEST.unpack(await reader.readexactly(REQUEST.size))
                assert (function, address, quantity) == (3, 0, 4), "the profile asks for one block"
                writer.write(frame(transaction, unit, self._answer(first + unit - 1)))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # nobody asks any more
        finally:
            self._talks.discard(task)
            writer.close()

    def _answer(self, sensor: int) -> bytes:
        self._counters[sensor] += 1
        self.log.append(Answer(sensor, self._counters[sensor], time.time_ns()))
        return struct.pack(">BBII", 3, 8, sensor, self._counters[sensor])


def write_site(folder: Path, data: Path, instruments: Instruments, *, broker: int, interval_s: float) -> Path:
    """The site file of some instruments that listen, with all keys made."""
    gateway, _ = load_or_create_key(outbox_folder(data, GATEWAY) / "key")
    collector, _ = load_or_create_key(data / "collector" / "key")
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / "counting.toml").write_text(PROFILE)
    text = SITE.format(
        data=data, broker=broker, id=GATEWAY, collector=public_hex(collector), gateway=public_hex(gateway)
    )
    for sensor in range(1, instruments.points + 1):
        place, unit = divmod(sensor - 1, UNITS)
        text += SENSOR.format(number=sensor, port=instruments.ports[place], unit=unit + 1, interval_s=interval_s)
    file = folder / "site.toml"
    file.write_text(text)
    return file

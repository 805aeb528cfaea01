"""Instruments to be read: every sensor of some sites behind real Modbus, TCP, RTU over TCP or a serial line.

One socket or line for each address in the sites, many units behind it, as a serial gateway in a plant has
them; a serial line is a pseudo-terminal, with the name that the sites give it. What a unit holds is
encoded from its profile and the plant's values at this very moment; the clock may run faster than the
wall (`speed`). A port that is taken is reported and the rest goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

import numpy as np

from gateway import catalogue, readback, registers, sensors
from gateway.document import FaultyFiles
from gateway.measurement import SECOND_NS, UInt8
from gateway.sensors import Sensor
from gateway.settings import Site
from simulators import faults, modbus, plant
from simulators.faults import Fault
from simulators.pty_port import PtyPort
from simulators.requests import Request, rtu_requests, tcp_requests

CONNECTIONS_MAX = 64  # of one port; a real converter takes 4 to 32


class Instrument:
    """One sensor's registers, computed when they are asked for."""

    def __init__(self, site: Site, sensor: Sensor, seed: int, fault: Fault | None) -> None:
        self.sensor, self.seed, self.fault = sensor, seed, fault
        self.place = plant.place(site, site.point(sensor.settings.point))
        # Everything the maker has put into the instrument, not only what this site asks for.
        self.plan = registers.plan(sensor.profile)
        self.started_ns = 0
        self._held: tuple[int, modbus.Memory] | None = None

    def memory(self, now_ns: int) -> modbus.Memory:
        """The registers at an instant; they change with the second."""
        self.started_ns = self.started_ns or now_ns
        second_ns = faults.instant(self.fault, now_ns, self.started_ns) // SECOND_NS * SECOND_NS
        if self._held is None or self._held[0] != second_ns:
            self._held = (second_ns, self._encoded(second_ns))
        return self._held[1]

    def _encoded(self, at_ns: int) -> modbus.Memory:
        value = plant.values(self.seed, self.place, self.plan.parameters, np.array([at_ns], np.int64))
        status: UInt8 = np.zeros(value.shape, np.uint8)
        words = registers.encode(self.plan, *faults.disguise(self.fault, value, status))
        pieces = [(b.fc, b.address, w) for b, w in readback.item_words(self.sensor.profile, {}).items()]
        pieces += [(b.fc, b.address, w[0]) for b, w in zip(self.plan.blocks, words, strict=True)]
        return modbus.memory(pieces)  # of a word that both have, the measurement's counts


class Simulator:
    """The sockets and serial lines of some sites. Not thread-safe: everything happens in one event loop."""

    def __init__(
        self,
        sites: Iterable[tuple[Site, Sequence[Sensor]]],
        *,
        seed: int = 1,
        fault: Sequence[Fault] = (),
        speed: float = 1.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock_ns, self._speed, self._started_ns = clock_ns, speed, clock_ns()
        self._servers: list[asyncio.Server] = []
        self._lines: list[PtyPort] = []
        self._talks: set[asyncio.Task[None]] = set()
        self.buses: dict[tuple[str, str, int], dict[int, Instrument]] = {}
        for site, instruments in sites:
            for sensor in instruments:
                link = sensor.settings.link
                found = next((f for f in fault if f.befalls(sensor.settings.id)), None)
                self.buses.setdefault(link.bus, {})[link.unit] = Instrument(site, sensor, seed, found)

    def now_ns(self) -> int:
        """The plant's clock. [ns since 1970 UTC]"""
        return self._started_ns + int((self._clock_ns() - self._started_ns) * self._speed)

    async def start(self) -> list[str]:
        """Listen; returns a sentence for every port or line that could not be had."""
        refused = []
        for (kind, address, port), units in self.buses.items():
            try:
                if kind == "rtu":
                    await self._open_line(address, units)
                else:
                    self._servers.append(await asyncio.start_server(self._accept(kind, units), address, port))
            except OSError as error:
                place = address if kind == "rtu" else f"{address}:{port}"
                refused.append(f"cannot serve {place} (units {sorted(units)}): {error.strerror or error}")
        return refused

    async def stop(self) -> None:
        """Close every socket and line."""
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await asyncio.gather(*(server.wait_closed() for server in self._servers))
        for line in self._lines:
            line.close()

    async def _open_line(self, name: str, units: Mapping[int, Instrument]) -> None:
        line = PtyPort(name)
        requests = rtu_requests(await line.open())
        self._lines.append(line)

        async def send(reply: bytes | None) -> bool:
            line.write(reply or b"")
            return True  # a serial line cannot be hung up

        self._start(self._answer(units, requests, send))

    def _accept(
        self, kind: str, units: Mapping[int, Instrument]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        talks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(talks) >= CONNECTIONS_MAX:
                writer.close()
                return
            talk = self._start(self._talk(kind, units, reader, writer))
            talks.add(talk)
            talk.add_done_callback(talks.discard)

        return accept

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        talk = asyncio.ensure_future(work)
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        return talk

    async def _talk(
        self, kind: str, units: Mapping[int, Instrument], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, request after request, until it closes or turns into rubbish."""

        async def send(reply: bytes | None) -> bool:
            if reply:
                writer.write(reply)
                await writer.drain()
            return reply is not None

        try:
            await self._answer(units, (rtu_requests if kind == "rtu+tcp" else tcp_requests)(reader), send)
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _answer(
        self,
        units: Mapping[int, Instrument],
        requests: AsyncIterator[Request],
        send: Callable[[bytes | None], Awaitable[bool]],
    ) -> None:
        """Answer until nothing more comes, or `send` says that this is the end."""
        async for transaction, unit, request in requests:
            if not await send(await self._reply(units, transaction, unit, request)):
                return

    async def _reply(
        self, units: Mapping[int, Instrument], transaction: int | None, unit: int, request: bytes
    ) -> bytes | None:
        instrument = units.get(unit)
        if instrument is None and transaction is None:
            return b""  # on a bus nobody answers in the place of another
        if instrument is None:
            # A converter says that nobody behind it answers: gateway target failed to respond.
            return modbus.frame(transaction, unit, modbus.refusal(request[0], 11))
        pdu = modbus.answer(instrument.memory(self.now_ns()), request)
        await asyncio.sleep(faults.delay_s(instrument.fault))
        return faults.replies(instrument.fault, transaction, unit, pdu, request)


def load(path: str) -> list[tuple[Site, tuple[Sensor, ...]]]:
    """The sites of a file or folder with their sensors; raises FaultyFiles."""
    result, faults = [], []
    for site in catalogue.load_sites(path):
        profiles = catalogue.profiles([site.path(folder) for folder in site.folders.profiles])
        found, wrong = sensors.resolve(site, profiles, catalogue.parameters())
        result.append((site, found))
        faults += wrong
    if faults:
        raise FaultyFiles(faults)
    return result

"""Instruments to be read: every sensor of some sites behind real Modbus, TCP, RTU over TCP or a serial line.

The input modules that the sites name are there as well.

One socket or line for each address in the sites, many units behind it, as a serial gateway in a plant has
them; a serial line is a pseudo-terminal, with the name that the sites give it. What a unit holds is
encoded from its profile and the plant's values at this very moment; the clock may run faster than the
wall (`speed`). A port that is taken is reported and the rest goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from gateway import catalogue, readback, registers, sensors
from gateway.contacts import place_of
from gateway.document import FaultyFiles
from gateway.measurement import SECOND_NS, UInt8, UInt16
from gateway.sensors import Sensor
from gateway.settings import Site
from simulators import faults, modbus, plant
from simulators.contacts import contacts
from simulators.doors import Doors
from simulators.faults import Fault

Piece: TypeAlias = tuple[int, int, UInt16]  # function, address, words


class Instrument:
    """One sensor's registers, computed when they are asked for."""

    def __init__(
        self, site: Site, sensor: Sensor, seed: int, fault: Fault | None, inputs: Sequence[Piece] = ()
    ) -> None:
        self.sensor, self.seed, self.fault, self.inputs = sensor, seed, fault, inputs
        self.place = plant.place(site, site.point(sensor.settings.point))
        # Everything the maker has put into the instrument, not only what this site asks for.
        self.plan = registers.plan(sensor.profile)
        self.started_ns = 0
        self._shown: dict[str, float] = {}
        self._held: tuple[int, modbus.Memory] | None = None

    @property
    def name(self) -> str:
        """What it is, for people."""
        settings = self.sensor.settings
        return f"{settings.id} at {settings.point}, {settings.profile}"

    def show(self, parameter: str, value: float | None) -> None:
        """From now on a parameter has this value, in its unit; None = the plant's."""
        self._shown.pop(parameter, None)
        if value is not None:
            self._shown[parameter] = value
        self._held = None

    def memory(self, now_ns: int) -> modbus.Memory:
        """The registers at an instant; they change with the second."""
        self.started_ns = self.started_ns or now_ns
        second_ns = faults.instant(self.fault, now_ns, self.started_ns) // SECOND_NS * SECOND_NS
        if self._held is None or self._held[0] != second_ns:
            self._held = (second_ns, self._encoded(second_ns))
        return self._held[1]

    def _encoded(self, at_ns: int) -> modbus.Memory:
        value = plant.values(self.seed, self.place, self.plan.parameters, np.array([at_ns], np.int64))
        for number, parameter in enumerate(self.plan.parameters):
            value[:, number] = self._shown.get(parameter, value[:, number])
        status: UInt8 = np.zeros(value.shape, np.uint8)
        words = registers.encode(self.plan, *faults.disguise(self.fault, value, status))
        pieces = [*self.inputs]
        pieces += [(b.fc, b.address, w) for b, w in readback.item_words(self.sensor.profile, {}).items()]
        pieces += [(b.fc, b.address, w[0]) for b, w in zip(self.plan.blocks, words, strict=True)]
        return modbus.memory(pieces)  # of a word that both have, the measurement's counts


class Module:
    """An input module: the words of inputs at a unit that is no instrument of the sites."""

    fault = None
    name = "inputs"

    def __init__(self, inputs: Sequence[Piece]) -> None:
        self._held = modbus.memory(inputs)

    def memory(self, now_ns: int) -> modbus.Memory:  # noqa: ARG002 - a key stays as it was turned
        """The words."""
        return self._held


Unit: TypeAlias = Instrument | Module


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
        self._doors = Doors()
        self.buses: dict[tuple[str, str, int], dict[int, Unit]] = {}
        sites = list(sites)
        turned = {f.sensor for f in fault if f.kind == "key"}
        inputs = contacts((s, bool(turned & {"", s.settings.id})) for _, instruments in sites for s in instruments)
        for site, instruments in sites:
            for sensor in instruments:
                link = sensor.settings.link
                found = next((f for f in fault if f.befalls(sensor.settings.id)), None)
                self.buses.setdefault(link.bus, {})[link.unit] = Instrument(
                    site, sensor, seed, found, inputs.get(place_of(link), ())
                )
        for (bus, unit), pieces in inputs.items():
            self.buses.setdefault(bus, {}).setdefault(unit, Module(pieces))

    def instruments(self) -> dict[str, Instrument]:
        """The instruments by their sensors' ids."""
        units = (unit for units in self.buses.values() for unit in units.values())
        return {one.sensor.settings.id: one for one in units if isinstance(one, Instrument)}

    def now_ns(self) -> int:
        """The plant's clock. [ns since 1970 UTC]"""
        return self._started_ns + int((self._clock_ns() - self._started_ns) * self._speed)

    async def start(self) -> list[str]:
        """Listen; returns a sentence for every port or line that could not be had."""
        refused = []
        for (kind, address, port), units in self.buses.items():
            try:
                await self._doors.open(kind, address, port, partial(self._reply, units))
            except OSError as error:
                place = address if kind == "rtu" else f"{address}:{port}"
                refused.append(f"cannot serve {place} (units {sorted(units)}): {error.strerror or error}")
        return refused

    async def stop(self) -> None:
        """Close every socket and line."""
        await self._doors.close()

    async def _reply(
        self, units: Mapping[int, Unit], transaction: int | None, unit: int, request: bytes
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

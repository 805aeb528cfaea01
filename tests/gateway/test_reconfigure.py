"""The poller goes on with other sensors while it polls, over real TCP and on a real pseudo-terminal.

What stays the same must not notice: every tick is there once. What changes must be told by one plan before the change
and by the other after it, and no instant twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway import catalogue
from gateway.measurement import SECOND_NS, Columns, Status, concatenate
from gateway.plans import plan
from gateway.poller import Poller
from gateway.sensors import Sensor, resolve
from gateway.settings import Site, parse_site
from simulators.server import Simulator
from tests.effort import examples
from tests.gateway.batches import PATIENCE_S
from tests.gateway.modbus_server import Instruments, Request, mbap, serving
from tests.gateway.ports import free_port

UNITS = range(1, 7)
TICK_NS = SECOND_NS // 10
AT_NS = 1_793_500_000 * SECOND_NS
RELOADS = examples(15, 250)
SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "gw"
"""


def instruments(place: str, units: Sequence[int] = UNITS) -> tuple[Site, dict[int, Sensor]]:
    """Sound level meters behind one address, ten values a second."""
    text = SITE
    for unit in units:
        text += f'[[point]]\nid = "fence-{unit}"\nkind = "noise"\n[[sensor]]\nid = "slm-{unit}"\n'
        text += f'point = "fence-{unit}"\nlink = "{place}unit={unit}"\n'
        text += 'profile = "emitwatch-noise"\ninterval_s = 0.1\n'
    site, faults = parse_site(text, "site.toml")
    assert site, faults
    found, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return site, {sensor.settings.link.unit: sensor for sensor in found}


def every(sensor: Sensor, interval_s: float) -> Sensor:
    return replace(sensor, settings=replace(sensor.settings, interval_s=interval_s))


def raised(sensor: Sensor, db: float) -> Sensor:
    """Read by a profile that says so much more."""
    registers = tuple(replace(register, offset=register.offset + db) for register in sensor.profile.registers)
    profile = replace(sensor.profile, registers=registers)
    made = plan(profile, sensor.plan.parameters, sensor.plan.cost)
    return replace(sensor, profile=profile, plan=made)


class Bench:
    """A poller in a running loop and what it gave. bounds: how much that was at each change, and what had changed."""

    def __init__(self, sensors: Sequence[Sensor], tell: Callable[..., None] = lambda *_: None) -> None:
        self.given: list[Columns] = []
        self.bounds: list[tuple[int, dict[str, Sensor]]] = [(0, {s.settings.id: s for s in sensors})]
        self.poller = Poller(sensors, self._put, tell=tell)

    def _put(self, columns: Columns) -> int:
        self.given.append(columns)
        return len(self.given)

    async def change(self, sensors: Sequence[Sensor]) -> None:
        self.poller.reconfigure(await self.poller.prepare(sensors))
        self.bounds.append((len(self.given), {s.settings.id: s for s in sensors}))

    def rows(self, sensor: str, given: Sequence[Columns] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ticks, LAeq values and statuses of one sensor."""
        table = concatenate(self.given if given is None else given)
        mine = np.array([s.sensor == sensor and s.parameter == "LAeq" for s in table.series], np.bool_)
        rows = table.take(mine[table.series_index])
        return rows.time_ns, rows.value, rows.status

    def good(self, unit: int) -> int:
        """How many good values a sensor gave."""
        return int((self.rows(f"slm-{unit}")[2] == Status.OK).sum()) if self.given else 0

    def lives(self, sensor: str) -> list[tuple[Sensor | None, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """What a sensor gave under each configuration."""
        ends = [n for n, _ in self.bounds[1:]] + [len(self.given)]
        return [
            (known.get(sensor), self.rows(sensor, self.given[start:end]))
            for (start, known), end in zip(self.bounds, ends, strict=True)
        ]

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def polled(bench: Bench) -> AsyncIterator[Bench]:
    running = asyncio.create_task(bench.poller.run())
    try:
        yield bench
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["tcp", "rtu+tcp", "rtu"])
def test_who_stays_keeps_every_tick_and_who_changes_goes_on_at_the_next(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)

    async def whole() -> Bench:
        place = f"rtu://{tmp_path}/line?baud=115200&" if kind == "rtu" else f"{kind}://127.0.0.1:{free_port()}?"
        site, all = instruments(place)
        simulator = Simulator([(site, tuple(all.values()))], seed=7, clock_ns=lambda: AT_NS)
        assert await simulator.start() == []
        async with polled(Bench(list(all.values()))) as bench:
            await bench.until(lambda: min(bench.good(unit) for unit in UNITS) > 0)
            for number in range(RELOADS):
                sensors = [all[1], all[2], raised(all[5], number % 3)]
                sensors += [every(all[3], interval_s) for interval_s in [chance.choice([0.1, 0.2, 0.5, 0.7])]]
                sensors += [all[unit] for unit in (4, 6) if chance.random() < 0.5]
                chance.shuffle(sensors)
                await bench.change(sensors)
                await asyncio.sleep(chance.uniform(0.0, 0.25))
        await simulator.stop()
        return bench

    bench = asyncio.run(whole())
    base = np.nanmax(bench.lives("slm-5")[0][1][1])
    for unit in UNITS:
        time_ns, _, status = bench.rows(f"slm-{unit}")
        assert (np.diff(time_ns) > 0).all(), "no instant twice"
        assert set(status.tolist()) <= {Status.OK, Status.NO_COMM, Status.STALE}, "a busy machine is late"
    for unit in (1, 2, 5):
        time_ns, _, status = bench.rows(f"slm-{unit}")
        assert (np.diff(time_ns) == TICK_NS).all(), "every tick is there"
        assert (status == Status.OK).mean() > 0.5, "a busy machine may miss a tick"
    for sensor, (_, value, status) in bench.lives("slm-5"):
        assert sensor is not None
        offset = sensor.profile.register("LAeq").offset
        assert value[status == Status.OK] == pytest.approx(base + offset), "by the plan of its time"
    for unit in (3, 4, 6):
        for sensor, (time_ns, _, _) in bench.lives(f"slm-{unit}"):
            assert sensor is not None or not len(time_ns), "it ends with its last tick"
            if sensor is not None:
                assert (np.diff(time_ns) == sensor.interval_ns).all()
                assert (time_ns % sensor.interval_ns == 0).all()


def levels(unit: int, address: int) -> int:
    return {0: 554, 1: 612, 2: 0}.get(address, 0)


def test_the_connection_of_those_who_stay_is_not_touched_and_the_last_to_leave_closes_it() -> None:
    async def whole() -> None:
        async with serving(Instruments(registers=levels)) as one, serving(Instruments(registers=levels)) as other:
            _, here = instruments(f"tcp://127.0.0.1:{one.port}?")
            _, there = instruments(f"tcp://127.0.0.1:{other.port}?", [7])
            async with polled(Bench([here[1], here[2]])) as bench:
                await bench.until(lambda: bench.poller.state()["polls_answered"] > 4)
                for _ in range(10):
                    await bench.change([here[3], here[1]])
                    await bench.change([here[1], here[2]])
                    await asyncio.sleep(0.03)
                await bench.change([here[1], there[7]])
                await bench.until(lambda: len(bench.rows("slm-7")[0]) > 2)
                assert (one.connections, other.connections) == (1, 1)
                await bench.change([there[7]])
                answered = bench.poller.state()["polls_answered"]
                await bench.until(lambda: bench.poller.state()["polls_answered"] > answered + 3)
                asked = len(one.requests)
                await asyncio.sleep(0.3)
                assert len(one.requests) == asked, "nobody is asked there any more"
                await bench.change([there[7], here[2]])
                await bench.until(lambda: one.connections == 2)
                await bench.change([])
                await bench.change([here[1]])
                await bench.until(lambda: bench.rows("slm-1")[0][-1] > bench.rows("slm-7")[0][-1])
                assert bench.poller.state()["links"] == {"slm-1": ""}

    asyncio.run(whole())


def test_who_is_new_is_not_kept_waiting_by_an_address_that_sleeps() -> None:
    async def whole() -> float:
        async with serving(Instruments(registers=levels)) as served:
            _, all = instruments(f"tcp://127.0.0.1:{served.port}?")
            slow = every(all[1], 3600.0)
            async with polled(Bench([slow])) as bench:
                await asyncio.sleep(0.2)
                await bench.change([slow, all[2]])
                began = time.monotonic()
                await bench.until(lambda: len(bench.rows("slm-2")[0]) > 0 if bench.given else False)
                return time.monotonic() - began

    assert asyncio.run(whole()) < 5.0, "and the longest sleep is ten seconds"


def test_a_line_that_is_set_otherwise_is_opened_anew(tmp_path: Path) -> None:
    async def whole() -> Bench:
        site, slow = instruments(f"rtu://{tmp_path}/line?baud=57600&", [1, 2])
        _, fast = instruments(f"rtu://{tmp_path}/line?baud=115200&", [1, 2])
        simulator = Simulator([(site, tuple(slow.values()))], seed=7, clock_ns=lambda: AT_NS)
        assert await simulator.start() == []
        async with polled(Bench(list(slow.values()))) as bench:
            for sensors in (slow, fast, slow, fast):
                await bench.change(list(sensors.values()))
                answered = bench.poller.state()["polls_answered"]
                await bench.until(lambda before=answered: bench.poller.state()["polls_answered"] > before + 5)  # type: ignore[misc]
        await simulator.stop()
        return bench

    bench = asyncio.run(whole())
    for unit in (1, 2):
        assert (np.diff(bench.rows(f"slm-{unit}")[0]) == TICK_NS).all()


def test_what_is_known_of_those_who_stay_is_not_asked_or_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.05)
    monkeypatch.setattr("gateway.watchdog.SILENT_NS", 2 * SECOND_NS)  # longer than a busy machine stands still
    told: list[str] = []
    asked: list[tuple[int, int]] = []

    def odd(request: Request) -> bytes | None:
        """Unit 1 has no register 1, unit 2 is dead."""
        if request.unit == 1:
            asked.append((request.address, request.count))
            if request.address <= 1 < request.address + request.count:
                return mbap(request.tid, request.unit, bytes([request.fc | 0x80, 2]))
        return None if request.unit == 2 else request.answer

    async def whole() -> Bench:
        async with serving(Instruments(registers=levels, script=odd)) as served:
            _, all = instruments(f"tcp://127.0.0.1:{served.port}?")
            async with polled(Bench([all[1], all[2]], lambda what, *_: told.append(what))) as bench:
                await bench.until(lambda: {"configuration", "silent"} <= set(told))
                for number in range(12):
                    await bench.change([all[3 + number % 2], all[2], all[1]])
                    await asyncio.sleep(0.1)
            return bench

    with capture_logs() as logs:
        bench = asyncio.run(whole())
    assert len([place for place in asked if place[0] <= 1 < sum(place)]) <= 3, "found by halving, once"
    assert sorted(told) == ["configuration", "silent"], "LAFmax of unit 1 makes it silent; once each"
    assert len([line for line in logs if line.get("sensor") == "slm-2"]) == 1
    assert bench.poller.state()["good_s"]["slm-2"] > 1.0
    assert (np.diff(bench.rows("slm-2")[0]) == TICK_NS).all()


def test_the_state_can_be_asked_for_at_any_time_and_its_counters_never_fall() -> None:
    states: list[dict[str, Any]] = []
    ended = threading.Event()

    async def whole() -> None:
        async with serving(Instruments(registers=levels)) as served:
            _, all = instruments(f"tcp://127.0.0.1:{served.port}?")
            async with polled(Bench([all[1], all[2]])) as bench:

                def look() -> None:
                    while not ended.is_set():
                        states.append(dict(bench.poller.state()))

                looking = threading.Thread(target=look)
                looking.start()
                try:
                    for number in range(20):
                        await bench.change([all[1], *(all[unit] for unit in range(2, 3 + number % 4))])
                        await asyncio.sleep(0.05)
                    await bench.until(lambda: bool(states) and states[-1]["polls_answered"] > 5)
                finally:
                    ended.set()
                    looking.join()

    asyncio.run(whole())
    assert all(set(state["links"]) == set(state["good_s"]) for state in states)
    for counter in ("polls_answered", "polls_failed", "ticks_unserved"):
        counts = [state[counter] for state in states]
        assert counts == sorted(counts)

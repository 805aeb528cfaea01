"""Many devices behind one gateway: how fast, how large, and whether dead ones hurt the living.

The instruments are real TCP servers in other processes, which answer from memory; everything from the
request to the committed row of the outbox is the product's own. Counts (the share of polls kept, the
recovery) are tests as well, on virtual time and on real sockets; what takes time or memory is only here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.figure import Figure
from gateway.links.address import Link
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.poller import Poller
from gateway.profiles import Profile, Register
from gateway.registers import plan
from gateway.sensors import Sensor
from gateway.settings import Label, Point, SensorSettings
from gateway.spooler import Spooler
from gateway.units import Conversion

TAGS, RUN_S, WARM_S = 20, 20.0, 5.0  # of a device; measured; before
LIMIT_TAGS_S, LIMIT_MB, LIMIT_KEPT, LIMIT_RECOVERY_S = 50_000, 120.0, 0.99, 1.0
UNITS = 10  # behind an address
DEAD_OF, DEAD, SETTLED_S = 100, 30, 10

# Answers every request for 16-bit registers at once, except in the name of units that are dead.
RESPONDER = """
import asyncio, sys
dead = set(map(int, sys.argv[2].split(","))) if sys.argv[2] else set()
class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""
    def data_received(self, data):
        self.held += data
        while len(self.held) >= 12:
            ask, self.held = self.held[:12], self.held[12:]
            if ask[6] not in dead:
                count = 2 * int.from_bytes(ask[10:12])
                self.transport.write(ask[:4] + (count + 3).to_bytes(2) + ask[6:8] + bytes([count]) + bytes(count))
async def main():
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Answers, "127.0.0.1", int(port)) for port in sys.argv[1].split(",")]
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def measure() -> list[Figure]:
    """Tags a second into the outbox, memory with 10,000 tags, polls kept beside dead units, recovery of a link."""
    rate, used = _in_a_process("speed")
    memory = _in_a_process("memory")[0]
    (kept,) = _in_a_process("dead")
    (recovery,) = _in_a_process("recovery")
    return [
        Figure(name="tags a second in the outbox", value=rate, unit="1/s",
               reference=LIMIT_TAGS_S, reference_name="the least"),
        Figure(name="processor time for it", value=used, unit="cores", reference=2.0, reference_name="both"),
        Figure(name="memory with 10,000 tags", value=memory, unit="MB", reference=LIMIT_MB, reference_name="the limit"),
        Figure(name="polls that 70 living of 100 units keep", value=kept, unit="", reference=LIMIT_KEPT,
               reference_name="the least"),
        Figure(name="first good value after a link returns, beyond one poll", value=recovery, unit="s",
               reference=LIMIT_RECOVERY_S, reference_name="the limit"),
    ]  # fmt: skip


def _in_a_process(name: str) -> list[float]:
    """The numbers a part of this module prints, run alone so that its memory and time are its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.polling", name], capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.splitlines()[-1].split()]  # what it logs stands before


def sensors(ports: Sequence[int], units: int, tags: int, interval_s: float) -> tuple[Sensor, ...]:
    """Devices of one kind: `units` behind each port, each with registers of 16 bits in a row."""
    registers = tuple(
        Register(
            parameter=f"tag-{n}", fc=3, address=n, type="int16", order="ABCD", scale=0.1, offset=0.0, unit="mg/m3",
            conversion=Conversion(1.0, 0.0), sentinels=((-32768.0, -32768.0),), low=-1e3, high=1e3, added=False,
            manual="benchmark",
        )
        for n in range(tags)
    )  # fmt: skip
    profile = Profile(
        name="benchmark", title=Label("benchmark", "benchmark"), maker="", model="", kind="stack", source="benchmark",
        manual="", unverified=(), max_registers=125, max_hole=0, max_hole_bits=0, no_status="has none",
        registers=registers, status=(), examples=(), file="",
    )  # fmt: skip
    point = Point(id="stack", kind="stack", name=Label("stack", "stack"), rules=(), settings={})
    found = []
    for port in ports:
        for unit in range(1, units + 1):
            link = Link(kind="tcp", address="127.0.0.1", port=port, unit=unit)
            id = f"s{port}-{unit}"
            settings = SensorSettings(
                id=id, point="stack", link=link, profile="benchmark", interval_s=interval_s, parameters=(), gateway="gw"
            )
            reading = plan(profile)
            series = tuple(Series("p", "stack", id, name, "mg/m3") for name in reading.parameters)
            found.append(Sensor(settings=settings, point=point, profile=profile, plan=reading, series=series))
    return tuple(found)


@contextlib.contextmanager
def responders(ports: Sequence[int], processes: int = 1, dead: Sequence[int] = ()) -> Iterator[None]:
    """Devices behind ports, shared out over some processes."""
    shares = [",".join(map(str, ports[n::processes])) for n in range(processes)]
    told = ",".join(map(str, dead))
    running = [
        subprocess.Popen([sys.executable, "-c", RESPONDER, share, told], stdout=subprocess.PIPE) for share in shares
    ]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def free_ports(n: int) -> list[int]:
    """Ports that are free now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports: list[int] = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


async def _gateway(found: Sequence[Sensor], folder: Path, run_s: float) -> tuple[float, float]:
    """Poll and seal as `gateway.__main__` does; committed values a second after the warm-up, and cores used."""
    spooler = Spooler(folder, "p", "gw", Ed25519PrivateKey.generate())
    poller = Poller(found, spooler.put, kept=spooler.kept)

    async def seal() -> None:
        while True:
            due_s = spooler.due_s()
            await asyncio.sleep(0.1 if due_s is None else min(due_s, 0.1))
            if due_s == 0.0:
                await asyncio.to_thread(spooler.flush)

    tasks = [asyncio.create_task(poller.run()), asyncio.create_task(seal())]
    await asyncio.sleep(WARM_S)
    before, cpu, at = spooler.counts()["sealed_values"], time.process_time(), time.monotonic()
    lost = poller.state()
    await asyncio.sleep(run_s)
    took = time.monotonic() - at
    rate, used = (spooler.counts()["sealed_values"] - before) / took, (time.process_time() - cpu) / took
    now = poller.state()
    share = (now["polls_answered"] - lost["polls_answered"]) / took
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    spooler.close()
    sys.stderr.write(f"{share:.0f} polls/s answered, unserved {now['ticks_unserved'] - lost['ticks_unserved']}, ")
    sys.stderr.write(f"failed {now['polls_failed'] - lost['polls_failed']}\n")
    return min(rate, share * TAGS), used


def speed(interval_s: float = 0.1, devices: int = 300) -> tuple[float, float]:
    """Committed good tags a second, and the cores of the gateway's process; devices offer 60,000."""
    ports = free_ports(devices // UNITS)
    with tempfile.TemporaryDirectory() as folder, responders(ports):
        return asyncio.run(_gateway(sensors(ports, UNITS, TAGS, interval_s), Path(folder), RUN_S))


def memory() -> tuple[float, ...]:
    """Highest resident memory of a gateway with 10,000 tags, each polled once a second. [MB]"""
    import gateway.__main__  # noqa: F401 - what a gateway loads, it has in memory

    ports = free_ports(50)
    with tempfile.TemporaryDirectory() as folder, responders(ports):
        asyncio.run(_gateway(sensors(ports, UNITS, TAGS, 1.0), Path(folder), RUN_S))
    status = Path("/proc/self/status").read_text("ascii")
    return (int(status.split("VmHWM:")[1].split()[0]) / 1024,)


def dead() -> tuple[float, ...]:
    """Of the polls of 70 living units behind one address, with 30 dead ones between them, how many gave values.

    From the time on when it is known who answers.
    """
    (port,) = free_ports(1)
    silent = [unit for unit in range(1, DEAD_OF + 1) if unit % 10 in (1, 4, 7)]
    given: list[Columns] = []
    found = sensors([port], DEAD_OF, 2, 1.0)

    def put(columns: Columns) -> int:
        given.append(columns)
        return 0

    async def poll() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(Poller(found, put).run(), SETTLED_S + 2 * RUN_S)

    with responders([port], dead=silent):
        asyncio.run(poll())
    assert len(silent) == DEAD
    living = {s.series[0] for s in found if s.settings.link.unit not in silent}
    series = given[0].series
    mine = np.array([one in living for one in series])
    settled_ns = min(columns.time_ns.min() for columns in given) + SETTLED_S * SECOND_NS
    status = np.concatenate(
        [columns.status[mine[columns.series_index] & (columns.time_ns >= settled_ns)] for columns in given]
    )
    return (float((status == Status.OK).mean()),)


def recovery(rounds: int = 5) -> tuple[float, ...]:
    """The longest time from a server's return to the first good value, less one interval of 1 s. [s]"""
    (port,) = free_ports(1)
    found, seen = sensors([port], 3, 2, 1.0), asyncio.Event()

    def put(columns: Columns) -> int:
        if (columns.status == Status.OK).any():
            seen.set()
        return 0

    async def poll() -> float:
        worst = 0.0
        running = asyncio.create_task(Poller(found, put).run())
        for number in range(rounds):
            with await asyncio.to_thread(lambda: _entered(responders([port]))) as _:
                back = time.monotonic()
                seen.clear()
                await seen.wait()
                worst = max(worst, time.monotonic() - back)
            await asyncio.sleep(2.0 + 0.37 * number)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return worst - 1.0

    return (asyncio.run(poll()),)


def _entered(context: contextlib.AbstractContextManager[None]) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(context)
    return stack


if __name__ == "__main__":
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    print(*globals()[sys.argv[1]](*map(float, sys.argv[2:])))

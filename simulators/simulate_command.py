"""`emitwatch simulate`: every sensor of a site answers over Modbus, as if the plant stood there."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from simulators.faults import FAULTS, Fault, parse_fault
from simulators.server import Simulator, load

FAULT_HELP = "what is wrong, as [SENSOR:]KIND[=ARGUMENT]; may be given several times. " + "; ".join(
    f"{kind}: {does}" for kind, (does, _, _) in FAULTS.items()
)


def simulate(
    site: Annotated[str, typer.Argument(metavar="SITE", help="a site file, or a folder of them")],
    seed: Annotated[int, typer.Option(help="another seed, another plant")] = 1,
    fault: Annotated[list[str] | None, typer.Option(metavar="F", help=FAULT_HELP)] = None,
    speed: Annotated[float, typer.Option(min=0.001, max=10_000.0, help="plant seconds in a second")] = 1.0,
) -> None:
    """Serve every sensor of a site over Modbus at the addresses its links name, until Ctrl-C.

    A serial line is a pseudo-terminal, and the link's device a symbolic link to it: name one in a folder of your own.
    """
    try:
        wanted = [parse_fault(text) for text in fault or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from error
    code = asyncio.run(serve(site, seed=seed, fault=wanted, speed=speed))
    raise typer.Exit(code)


async def serve(site: str, *, seed: int, fault: Sequence[Fault], speed: float = 1.0) -> int:
    """Serve a site until SIGINT or SIGTERM; the exit code."""
    sites = load(site)
    ids = {sensor.settings.id for _, sensors in sites for sensor in sensors}
    for one in fault:
        if one.sensor and one.sensor not in ids:
            sys.stderr.write(f"there is no sensor {one.sensor!r}; sensors: {', '.join(sorted(ids))}\n")
            return 2
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    simulator = Simulator(sites, seed=seed, fault=fault, speed=speed)
    refused = await simulator.start()
    for sentence in refused:
        sys.stderr.write(
            f"{sentence}\n    hint: another program has the port or the file, or it is not of this machine\n"
        )
    if len(refused) == len(simulator.buses):
        sys.stderr.write("no sensor can be served\n")
        return 1
    _show(simulator)
    await stop.wait()
    await simulator.stop()
    return 0


def _show(simulator: Simulator) -> None:
    for (kind, address, port), units in simulator.buses.items():
        place = f"{kind}://{address}" + (f":{port}" if port else "")
        for unit, instrument in sorted(units.items()):
            settings = instrument.sensor.settings
            wrong = f"  [{instrument.fault.kind}]" if instrument.fault else ""
            sys.stdout.write(f"{place}?unit={unit}  {settings.id} at {settings.point}, {settings.profile}{wrong}\n")
    sys.stdout.write("Ctrl-C ends it.\n")
    sys.stdout.flush()

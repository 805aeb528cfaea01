"""`emitwatch simulate`: every sensor of a site over Modbus, as if the plant stood there; or a recorded session."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.links.address import LINK_HINT, Link, parse_link
from gateway.terminal import AsJson
from simulators.faults import FAULTS, Fault, parse_fault
from simulators.replay import serve_record
from simulators.server import Instrument, Simulator, Unit, load
from simulators.shown import parse_shown

REPLAY_PORT = 5020

FAULT_HELP = "what is wrong, as [SENSOR:]KIND[=ARGUMENT]; may be given several times. " + "; ".join(
    f"{kind}: {does}" for kind, (does, _, _) in FAULTS.items()
)
SHOW_HELP = (
    "what an instrument shows, as SENSOR/PARAMETER=VALUE; may be given several times, and typed while it runs, "
    "as a calibrator is put on and taken off: without a value it shows the plant again"
)


def simulate(
    site: Annotated[str, typer.Argument(metavar="SITE", help="a site file, or a folder of them")] = "",
    seed: Annotated[int, typer.Option(help="another seed, another plant")] = 1,
    fault: Annotated[list[str] | None, typer.Option(metavar="F", help=FAULT_HELP)] = None,
    show: Annotated[list[str] | None, typer.Option(metavar="S/P=V", help=SHOW_HELP)] = None,
    speed: Annotated[float, typer.Option(min=0.001, max=10_000.0, help="plant seconds in a second")] = 1.0,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="serve a recorded session instead")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the replay, on 127.0.0.1; 0 = free")] = REPLAY_PORT,
    link: Annotated[str, typer.Option(help="of the replay, if not Modbus TCP at --port")] = "",
    loop: Annotated[bool, typer.Option("--loop", help="begin the record again when it ends")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve every sensor of a site, and its input modules, over Modbus at the addresses its links name, until Ctrl-C.

    A serial line is a pseudo-terminal, and the link's device a symbolic link to it: name one in a folder of your own.
    With --replay a session that `emitwatch probe --record FILE` wrote is served: the same requests get what they got.
    """
    if bool(site) == (replay is not None):
        raise typer.BadParameter("give a site, or --replay with a recorded session", param_hint="SITE")
    try:
        wanted = [parse_fault(text) for text in fault or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from error
    if replay is None and (link or loop):
        raise typer.BadParameter("it belongs to --replay", param_hint="--link" if link else "--loop")
    if replay is None:
        code = asyncio.run(serve(site, seed=seed, fault=wanted, show=show or (), speed=speed, as_json=as_json))
    elif show:
        raise typer.BadParameter("a record shows what was recorded", param_hint="--show")
    elif wanted:
        raise typer.BadParameter("a record has the faults that were recorded", param_hint="--fault")
    else:
        code = asyncio.run(_replay(replay, _address(link, port), speed=speed, loop=loop, as_json=as_json))
    raise typer.Exit(code)


def _address(link: str, port: int) -> Link:
    try:
        return parse_link(link) if link else Link(kind="tcp", address="127.0.0.1", port=port, unit=1)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; {LINK_HINT}", param_hint="--link") from error


async def _replay(file: Path, link: Link, *, speed: float, loop: bool, as_json: bool) -> int:
    try:
        return await serve_record(file, link, _stopped(), speed=speed, loop=loop, as_json=as_json)
    except OSError as error:
        sys.stderr.write(f"{file}: {error.strerror or error}\n    hint: name a file that `probe --record` wrote\n")
        return 2


def _stopped() -> asyncio.Event:
    """Set by SIGINT or SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def serve(
    site: str, *, seed: int, fault: Sequence[Fault], show: Sequence[str] = (), speed: float = 1.0, as_json: bool = False
) -> int:
    """Serve a site until SIGINT or SIGTERM; the exit code."""
    sites = load(site)
    ids = {sensor.settings.id for _, sensors in sites for sensor in sensors}
    for one in fault:
        if one.sensor and one.sensor not in ids:
            sys.stderr.write(f"there is no sensor {one.sensor!r}; sensors: {', '.join(sorted(ids))}\n")
            return 2
    stop = _stopped()
    simulator = Simulator(sites, seed=seed, fault=fault, speed=speed)
    for text in show:
        if problem := _showing(simulator, text):
            sys.stderr.write(f"--show: {problem}\n")
            return 2
    refused = await simulator.start()
    for sentence in refused:
        sys.stderr.write(
            f"{sentence}\n    hint: another program has the port or the file, or it is not of this machine\n"
        )
    if len(refused) == len(simulator.buses):
        sys.stderr.write("no sensor can be served\n")
        return 1
    (_show_json if as_json else _show)(simulator)
    if sys.stdin.isatty():
        asyncio.get_running_loop().add_reader(sys.stdin, _typed, simulator)
    await stop.wait()
    await simulator.stop()
    return 0


def _showing(simulator: Simulator, text: str) -> str:
    """Have an instrument show what a text asks for; what is wrong with the text."""
    instruments = simulator.instruments()
    try:
        wanted = parse_shown(text, {id: one.plan.parameters for id, one in instruments.items()})
    except ValueError as error:
        return str(error)
    instruments[wanted.sensor].show(wanted.parameter, wanted.value)
    return ""


def _typed(simulator: Simulator) -> None:
    line = sys.stdin.readline()
    if not line:
        asyncio.get_running_loop().remove_reader(sys.stdin)
    elif line.strip():
        sys.stdout.write((_showing(simulator, line) or "shown from now on") + "\n")
        sys.stdout.flush()


def _show(simulator: Simulator) -> None:
    for link, instrument in _served(simulator):
        wrong = f"  [{instrument.fault.kind}]" if instrument.fault else ""
        sys.stdout.write(f"{link}  {instrument.name}{wrong}\n")
    sys.stdout.write("Ctrl-C ends it.\n")
    sys.stdout.flush()


def _show_json(simulator: Simulator) -> None:
    units = list(_served(simulator))
    links = {one.sensor.settings.id: link for link, one in units if isinstance(one, Instrument)}
    inputs = [link for link, one in units if not isinstance(one, Instrument)]
    sys.stdout.write(json.dumps({"what": "serving", "links": links, "inputs": inputs}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _served(simulator: Simulator) -> Iterator[tuple[str, Unit]]:
    for (kind, address, port), units in simulator.buses.items():
        place = f"{kind}://{address}" + (f":{port}" if port else "")
        for unit, instrument in sorted(units.items()):
            yield f"{place}?unit={unit}", instrument

"""`emitwatch probe LINK`: what is behind a link, and what its registers mean - for whoever stands before it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway import catalogue, diagnosis, probe_plan, probe_terminal
from gateway.decodings import Decoding, assigned
from gateway.document import IDENTIFIER
from gateway.finding import Finding, as_json, best
from gateway.links.address import LINK_HINT, Line, Link, parse_link
from gateway.links.link import LinkDown
from gateway.links.open import open_link
from gateway.links.recorded import recording
from gateway.probe_terminal import steps
from gateway.prober import LOOK_S, Opener, Prober, Step
from gateway.profile_draft import draft
from gateway.profiles import Profile
from gateway.quantities import Quantity
from gateway.settings import KINDS
from gateway.survey import FUNCTIONS, MOST, Survey
from gateway.terminal import AsJson, console

INTERRUPTED = 130
TIMES_MAX, ASKS_MAX = 1000, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done. units: to look for, () = the link's own. lines: ways of speaking to try, () = the link's."""

    link: Link
    units: tuple[int, ...]
    lines: tuple[Line, ...]
    functions: tuple[int, ...]
    survey: Survey
    times: int
    every_s: float
    timeout_s: float
    asks: int


def probe(
    link: Annotated[str, typer.Argument(metavar="LINK", help=LINK_HINT)],
    address: Annotated[
        int | None, typer.Option(help="First register, on the wire from 0; else all that are usual.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many registers from there.", min=1, max=65536)] = 100,
    fc: Annotated[str, typer.Option("--fc", help="Functions: 3 holding, 4 input registers, 1 coils, 2 inputs.")] = "",
    units: Annotated[str, typer.Option(help="Units to look for, as 1-247 or 1,5; else the link's.")] = "",
    bauds: Annotated[str, typer.Option(help="Baud rates to try on a serial line: all, or as 9600,19200.")] = "",
    parities: Annotated[str, typer.Option(help="Parities to try with them.")] = "N,E,O",
    expect: Annotated[str, typer.Option(help="What it measures, as SO2,O2=8.1: with what its display shows.")] = "",
    profile: Annotated[str, typer.Option(help="A device profile whose parameters and ranges are expected.")] = "",
    times: Annotated[int, typer.Option(help="How often registers are read.", min=1, max=TIMES_MAX)] = 5,
    every: Annotated[float, typer.Option(help="Seconds between these.", min=0.0, max=3600.0)] = 0.5,
    timeout: Annotated[float, typer.Option(help="Seconds an answer may take at first.", min=0.05, max=10.0)] = 1.0,
    most: Annotated[int, typer.Option(help="Requests to find registers with.", min=1, max=1_000_000)] = MOST,
    asks: Annotated[int, typer.Option(help="Requests to measure turnaround with.", min=0, max=ASKS_MAX)] = 30,
    profile_draft: Annotated[Path | None, typer.Option(help="Write a device profile to go on with.")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep the session, for emitwatch simulate --replay.")] = None,
    kind: Annotated[str, typer.Option(help=f"Of the point it belongs to: {', '.join(KINDS)}.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Show all registers, however many.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Look into an instrument: units, registers, what they may mean, how it answers. It only ever reads.

    Exit 1 where something is wrong or nothing is found, 2 where there is no connection at all.
    """
    try:
        task = _task(link, units, bauds, parities, fc, address, count, most, times, every, timeout, asks)
        expected = probe_plan.expected(expect, _profile(profile), catalogue.parameters())
        if kind and kind not in KINDS:
            raise ValueError(f"{kind!r} is not a kind of point: {', '.join(KINDS)}")
    except ValueError as error:
        raise _cannot(str(error), "emitwatch probe --help") from error
    if profile_draft and not expected:
        raise _cannot("a profile draft needs to know what is measured", "add --expect SO2,O2")
    finding = Finding(link, task.link.kind, task.link.unit)
    with _opener(record, link) as opener:
        code = _run(task, finding, opener, quiet=as_json_)
    decodings = best(finding, expected)
    if as_json_:
        typer.echo(json.dumps(as_json(finding, expected, decodings), ensure_ascii=False, indent=1))
    elif code != 2:
        probe_terminal.show(finding, expected, decodings, every=all_)
    chosen = assigned(decodings)
    if profile_draft:
        _write_draft(profile_draft, finding, chosen, expected, kind, quiet=as_json_)
    if code == 0 and (finding.faults or not finding.rounds or (expected and len(chosen) < len(expected))):
        code = 1
    raise typer.Exit(code)


def _task(
    link: str, units: str, bauds: str, parities: str, fc: str, address: int | None, count: int, most: int,
    times: int, every: float, timeout: float, asks: int,
) -> Task:  # fmt: skip
    place = parse_link(link)
    functions = tuple(probe_plan.numbers(fc, "function", (1, 2, 3, 4))) if fc else FUNCTIONS
    if address is not None and not 0 <= address <= 65536 - count:
        raise ValueError(f"registers {address} to {address + count - 1}: there are 0 to 65535 on the wire")
    if bauds and place.kind != "rtu":
        raise ValueError("--bauds is for serial lines, rtu:///dev/..; behind a converter its web page sets the speed")
    allowed = [unit for unit in probe_plan.UNITS if place.kind == "tcp" or 1 <= unit <= 247]
    return Task(
        link=place, units=tuple(probe_plan.numbers(units, "unit", allowed)) if units else (),
        lines=tuple(probe_plan.lines(bauds, parities, place.line)) if bauds else (), functions=functions,
        survey=probe_plan.survey(address, count, functions, most), times=times, every_s=every, timeout_s=timeout,
        asks=asks,
    )  # fmt: skip


def _profile(name: str) -> Profile | None:
    if not name:
        return None
    if name.endswith(".toml"):
        return catalogue.load_profile(name)
    known = catalogue.profiles()
    if name not in known:
        raise ValueError(f"there is no device profile {name!r}: emitwatch profiles list")
    return known[name]


@contextmanager
def _opener(record: Path | None, link: str) -> Iterator[Opener]:
    """How links are opened: as they are, or so that all that goes over them is kept in a file."""
    if record is None:
        yield open_link
        return
    try:
        file = record.open("w", encoding="ascii", buffering=1)  # by line: a record is good up to where it was cut
    except OSError as error:
        raise _cannot(f"{record} cannot be written: {error.strerror}", "another file, or another folder") from error
    with file:
        yield recording(open_link, file.write, link)


def _cannot(message: str, hint: str) -> typer.Exit:
    typer.echo(f"{message}\n    hint: {hint}", err=True)
    return typer.Exit(2)


def _run(task: Task, finding: Finding, opener: Opener, *, quiet: bool) -> int:
    """Everything there is to ask; the exit code as far as the link has a say in it."""
    try:
        with steps(quiet=quiet) as step:
            asyncio.run(_probe(task, finding, opener, step))
    except KeyboardInterrupt:
        finding.interrupted = True
        return INTERRUPTED
    except LinkDown as error:
        fault = diagnosis.no_link(task.link.kind, str(error))
        finding.faults[fault.kind] = fault
        if not finding.tally.took_s:
            typer.echo(f"{fault.what}\n    hint: {fault.do}", err=True)
            return 2
    return 0


async def _probe(task: Task, finding: Finding, opener: Opener, step: Step) -> None:
    prober = Prober(task.link, opener, finding, timeout_s=task.timeout_s, step=step)
    try:
        if task.lines and await prober.find_line(task.lines, task.units or _first_units(task)) is None:
            return
        unit = await _unit(task, prober, finding)
        if unit is None:
            silent = diagnosis.no_answer(task.link.kind, task.link.unit, heard=False)
            if not finding.faults:
                finding.faults[silent.kind] = silent
            return
        if unit != task.link.unit and not task.units:
            other = diagnosis.another_unit(task.link.unit, unit)
            finding.faults[other.kind] = other
        finding.unit = unit
        await prober.look(unit, task.survey)
        await prober.read(unit, task.times, task.every_s)
        await prober.measure(unit, task.asks)
    finally:
        prober.close()
        await asyncio.sleep(0)  # a connection ends in the loop that had it


def _first_units(task: Task) -> Sequence[int]:
    return [task.link.unit, *probe_plan.quick_units(task.link)[:3]]


async def _unit(task: Task, prober: Prober, finding: Finding) -> int | None:
    """The unit to look into: that of the link where it answers, else the first that does."""
    look_s = LOOK_S if task.units else task.timeout_s
    await prober.find_units(task.units or [task.link.unit], task.functions, look_s=look_s)
    if not task.units and not finding.units:
        await prober.find_units(probe_plan.quick_units(task.link), task.functions)
    there = [unit for unit, how in finding.units.items() if how.startswith("answers")]
    return task.link.unit if task.link.unit in there else next(iter(there), None)


def _write_draft(
    file: Path,
    finding: Finding,
    chosen: Mapping[str, Decoding],
    expected: Sequence[Quantity],
    kind: str,
    *,
    quiet: bool,
) -> None:
    if not chosen:
        sys.stderr.write(f"{file} is not written: nothing was found that is more likely than not\n")
        return
    name = file.stem if IDENTIFIER.fullmatch(file.stem) else "draft"
    file.write_text(draft(name, finding, chosen, expected, catalogue.parameters(), kind), "utf-8")
    if not quiet:
        console().print(
            f"\n{file}: a profile draft for {', '.join(chosen)}. Look each up in the manual, then", style="bold"
        )
        console().print(f"    emitwatch profiles check {file}\n    emitwatch profiles try {file} '{finding.link}'")

"""`emitwatch loopcheck`: a known value, injected at an instrument, is followed down the whole line."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from api.loopcheck import (
    Injection,
    Missing,
    Record,
    Seen,
    Stage,
    Tolerance,
    Verdict,
    Where,
    default_tolerance,
    failing,
    judge,
    parse_range,
    parse_tolerance,
    parse_value,
    require_range,
    span,
)  # fmt: skip
from api.loopcheck_stages import DIRECTLY, Way, follow
from api.settings import parse_api
from api.times import format_time
from gateway import catalogue, terminal
from gateway.document import FaultyFiles
from gateway.parameters import Parameters
from gateway.sensors import Sensor, resolve
from gateway.settings import Site
from gateway.spooler import outbox_folder
from gateway.terminal import AsJson
from gateway.units import conversion

WAIT_INTERVALS, WAIT_S = 3.0, 20.0  # a tick that was missed, and a batch on its way
MAX_POINTS = 100
STYLES = {Verdict.AGREES: "green", Verdict.DEPARTS: "red", Verdict.LATE: "yellow", Verdict.UNREACHED: "yellow"}

Values = Annotated[
    list[str] | None, typer.Argument(metavar="VALUE...", help="What is injected: 50, or 50% of the range.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is to be checked. values: injected, in the parameter's unit, with how they were entered."""

    site: str
    way: Way
    values: Sequence[tuple[float, str]]
    tolerance: Tolerance
    range: tuple[float, float]
    stages: Sequence[Where]
    wait_s: float
    settle_s: float


def loopcheck(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    sensor: Annotated[str, typer.Argument(help="Id of a sensor there.")],
    parameter: Annotated[str, typer.Argument(help="What it measures, as NOx.")],
    values: Values = None,
    tolerance: Annotated[str, typer.Option(help="0.5, 2% of the value or 1%fs of the range; else one step.")] = "",
    unit: Annotated[str, typer.Option(help="Of values and tolerance, if not the parameter's.")] = "",
    range: Annotated[str, typer.Option(metavar="LOW..HIGH", help="What % is of, as on the type plate.")] = "",
    points: Annotated[Path | None, typer.Option(metavar="FILE", help="Values, one a line.")] = None,
    until: Annotated[Where, typer.Option(help="The last stage to look at.")] = Where.SHOWN,
    wait: Annotated[float, typer.Option(metavar="S", min=0, help="For each value; else by the interval.")] = 0,
    settle: Annotated[float, typer.Option(metavar="S", min=0, help="Before each value counts.")] = 0,
    plant: Annotated[str, typer.Option(help="Which plant, where several have such a sensor.")] = "",
    url: Annotated[str, typer.Option(help="Address of the collector's interface, if not the site file's.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="Its token, if not the site file's.")] = None,
    by: Annotated[str, typer.Option(help="Who makes the check, for the record.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the record, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare an injected value with the register, with what is stored and with what the page is told.

    Where several values are given, each is asked for: inject it, and press Enter when it is steady.
    Negative values go behind a double dash: loopcheck SITE SENSOR temperature -- -20
    Exit 1 where a stage departs or nothing arrives in time, 2 where it could not be run.
    """
    given = [*(values or ()), *(_lines(points) if points else ())]
    if not 1 <= len(given) <= MAX_POINTS:
        _fail(f"give 1 to {MAX_POINTS} values to inject, as arguments or with --points FILE; there are {len(given)}")
    stages = list(Where)[: list(Where).index(until) + 1]
    task = _task(site, plant, sensor, parameter, given, unit, tolerance, range, stages, url, token_file, wait, settle)
    record = _checked(task, by, out, as_json=as_json)
    if as_json:
        sys.stdout.write(_json(record))
    raise typer.Exit(0 if record.passed else 1)


def _task(
    file: Path, plant: str, sensor: str, parameter: str, given: Sequence[str], unit: str, tolerance: str, plate: str,
    stages: Sequence[Where], url: str, token_file: Path | None, wait: float, settle: float,
) -> _Task:  # fmt: skip
    sites = catalogue.load_sites(str(file))
    settings, faults = parse_api(sites)
    if settings is None:
        raise FaultyFiles(faults)
    parameters = catalogue.parameters()
    site, found = _sensor(sites, parameters, sensor, plant)
    known = parameters.find(parameter)
    if known is None or known.code not in found.plan.parameters:
        _fail(f"{sensor} does not measure {parameter!r}; it measures: {', '.join(found.plan.parameters)}")
    way = conversion(unit or known.unit, known.unit, known.molar_mass)
    if way is None:
        _fail(f"--unit {unit!r} does not become {known.unit!r}, the unit of {known.code}")
    registers = found.profile.parts(known.code)
    try:
        bounds = parse_range(plate, way) if plate else span(registers)
        if not plate and any("%" in text for text in (*given, tolerance)):
            require_range(found.profile)
        wanted = [(parse_value(text, way, bounds), _entered(text, unit or known.unit)) for text in given]
        allowed = parse_tolerance(tolerance, way, bounds, default_tolerance(registers))
    except ValueError as error:
        _fail(str(error))
    own, address = found.settings, (url or settings.url).rstrip("/")
    try:
        httpx.URL(address)
    except httpx.InvalidURL as error:
        _fail(f"--url {url!r}: {error}; as http://127.0.0.1:8080")
    place = Way(
        sensor=found, parameter=known.code, unit=known.unit, folder=outbox_folder(site.data_dir, own.gateway),
        port=next((one.status_port for one in site.gateways if one.id == own.gateway), 0),
        url=address, token=_token(token_file, Path(settings.token_file)),
    )  # fmt: skip
    wait_s = wait or WAIT_INTERVALS * found.intervals_ns[known.code] / 1e9 + WAIT_S
    return _Task(
        site=str(file), way=place, values=wanted, tolerance=allowed, range=bounds, stages=stages, wait_s=wait_s,
        settle_s=settle,
    )  # fmt: skip


def _sensor(sites: Sequence[Site], parameters: Parameters, id: str, plant: str) -> tuple[Site, Sensor]:
    known: list[tuple[Site, Sensor]] = []
    for site in sites:
        sensors, faults = resolve(site, catalogue.profiles([site.path(f) for f in site.folders.profiles]), parameters)
        if faults:
            raise FaultyFiles(faults)
        known += [(site, sensor) for sensor in sensors if plant in ("", site.plant.id)]
    found = [pair for pair in known if pair[1].settings.id == id]
    if len(found) > 1:
        _fail(f"sensor {id!r} is of several plants: --plant {' | '.join(site.plant.id for site, _ in found)}")
    if not found:
        _fail(f"there is no sensor {id!r}; sensors: {', '.join(sorted(one.settings.id for _, one in known))}")
    return found[0]


def _token(named: Path | None, usual: Path) -> str:
    file = named or usual
    try:
        return file.read_text("ascii").strip() if named or file.exists() else ""
    except UnicodeDecodeError:
        _fail(f"{file}: it holds no token")
    except OSError as error:
        _fail(
            f"{file}: {error.strerror or error}\n    hint: who runs the collector may read its token: --token-file FILE"
        )


def _lines(file: Path) -> list[str]:
    """Values of a file, one a line; what stands behind # is for people."""
    try:
        texts = [line.partition("#")[0].strip() for line in file.read_text("utf-8", errors="replace").splitlines()]
    except OSError as error:
        _fail(f"{file}: {error.strerror or error}")
    return [text for text in texts if text]


def _entered(text: str, unit: str) -> str:
    return f"{text.strip()} of the range" if text.strip().endswith("%") else f"{text.strip()} {unit}".strip()


def _checked(task: _Task, by: str, out: Path | None, *, as_json: bool) -> Record:
    """Follow each value; show each as it comes, and keep it at once: nobody wants to inject it again."""
    console, began_ns = terminal.console(), time.time_ns()
    injections = []
    for number, (injected, entered) in enumerate(task.values, 1):
        if len(task.values) > 1:
            _ask_for(task, injected, number)
        injections.append(_followed(task, injected, entered))
        record = _record(task, by, began_ns, injections)
        if out is not None:
            _keep(record, out)
        if not as_json:
            _show(console, task, injections[-1])
    if not as_json:
        console.print(Text(_summary(task, injections), "green" if record.passed else "red"))
    return record


def _summary(task: _Task, injections: Sequence[Injection]) -> str:
    bad, count = sum(not one.passed for one in injections), len(injections)
    if bad:
        return f"{bad} of {count} values fail" if count > 1 else "it fails"
    return f"{f'all {count} values agree' if count > 1 else 'it agrees'} at every stage: {', '.join(task.stages)}"


def _ask_for(task: _Task, injected: float, number: int) -> None:
    """Ask for a value on a terminal, or for a line of whoever drives the calibrator."""
    own = task.way.sensor.settings
    sys.stderr.write(
        f"{number}/{len(task.values)}: inject {injected:.6g} {task.way.unit} at {own.id} ({own.point}, "
        f"{task.way.parameter}), and press Enter when it is steady "
    )
    sys.stderr.flush()
    pressed = sys.stdin.readline()
    if not sys.stdin.isatty():
        sys.stderr.write("\n")
    if not pressed:
        _fail("nobody presses Enter: give one value, or run it on a terminal")


def _followed(task: _Task, injected: float, entered: str) -> Injection:
    console = Console(stderr=True, highlight=False, markup=False)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=console, transient=True) if console.is_terminal else None
    with progress or nullcontext():
        job = progress.add_task(f"{task.settle_s:g} s to settle") if progress else None
        time.sleep(task.settle_s)
        waiting = list(task.stages)

        def told(stage: Where, _: Seen | Missing) -> None:
            waiting.remove(stage)
            if progress and job is not None:
                progress.update(job, description=_waiting(waiting, task.wait_s))

        if progress and job is not None:
            progress.update(job, description=_waiting(waiting, task.wait_s))
        began_ns, came = asyncio.run(follow(task.way, task.stages, task.wait_s, told))
    own = task.way.sensor.settings
    names = {"site": task.site, "sensor": own.id, "profile": own.profile, "parameter": task.way.parameter}
    allowed = task.tolerance.at(injected, task.range)
    stages = judge(injected, task.way.unit, allowed, came, names)
    return Injection(
        injected=injected, entered=entered, tolerance=allowed, began=_to_the_ms(began_ns),
        passed=failing(stages) is None, stages=stages,
    )  # fmt: skip


def _to_the_ms(time_ns: int) -> str:
    return format_time(time_ns // 1_000_000 * 1_000_000)


def _waiting(stages: Sequence[str], wait_s: float) -> str:
    return f"waiting for what is measured now: {', '.join(stages) or 'done'} (up to {wait_s:.0f} s)"


def _record(task: _Task, by: str, began_ns: int, injections: Sequence[Injection]) -> Record:
    sensor = task.way.sensor
    return Record(
        plant=sensor.series[0].plant, point=sensor.point.id, sensor=sensor.settings.id, parameter=task.way.parameter,
        unit=task.way.unit, profile=sensor.profile.name, link=task.way.address, by=by, tolerance=task.tolerance.text,
        began=_to_the_ms(began_ns), ended=_to_the_ms(time.time_ns()),
        passed=len(injections) == len(task.values) and all(one.passed for one in injections),
        injections=tuple(injections),
    )  # fmt: skip


def _show(console: Console, task: _Task, injection: Injection) -> None:
    unit = task.way.unit
    console.print(
        Text(
            f"{injection.injected:.6g} {unit} injected, tolerance {injection.tolerance:.3g} ({task.tolerance.text})",
            "bold",
        )
    )
    table = terminal.table("stage", "value", "difference", "measured at", "there after", "verdict", "source")
    for stage in injection.stages:
        table.add_row(*_cells(stage), style="" if stage.verdict is Verdict.AGREES else STYLES[stage.verdict])
    console.print(table)
    for stage in injection.stages:
        if DIRECTLY in stage.source:
            console.print(Text(f"{DIRECTLY}: it was read directly", "yellow"))
    if bad := failing(injection.stages):
        console.print(Text(f"it {_WORDS[bad.verdict]} at: {bad.stage}\n    hint: {bad.hint}", STYLES[bad.verdict]))


_WORDS = {Verdict.DEPARTS: "departs", Verdict.LATE: "did not arrive in time", Verdict.UNREACHED: "cannot be asked"}


def _cells(stage: Stage) -> tuple[str, ...]:
    status = "" if stage.status in ("", "ok") else f", {stage.status}"
    return (
        stage.stage,
        "-" if stage.value is None else f"{stage.value:.6g} {stage.unit}",
        "-" if stage.difference is None else f"{stage.difference:+.3g}",
        stage.time[11:] or "-",
        "-" if stage.after_s is None else f"{stage.after_s:.1f} s",
        f"{stage.verdict.value}{status}",
        stage.source.partition(",")[0],
    )


def _json(record: Record) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n"


def _keep(record: Record, file: Path) -> None:
    try:
        file.write_text(_json(record), "utf-8")
    except OSError as error:
        _fail(f"{file}: {error.strerror or error}; the record was not kept")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(2)

"""`emitwatch world`: seeds of the whole line, simulated on all cores, and what the oracle says of them."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from simulators.world.run import Result, run_seed
from simulators.world.schedule import ROWS


def world(
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="the first seed")],
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="how many seeds, from the first one on")] = 1,
    days: Annotated[
        float | None,
        typer.Option(min=0.001, max=366.0, metavar="D", help="how long each lasts; else ten minutes, some a day"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
) -> None:
    """Simulate the whole line from seeds, under every fault of the failure table; exit code 1 on a violation.

    A seed is gateways, broker and collector, made of the product's own state machines, with simulated disks, network
    and clocks. The same seed is the same run, bit for bit.
    """
    faults: Counter[int] = Counter()
    violations: list[dict[str, Any]] = []
    simulated_s = 0.0
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=seeds)
        for result in results(range(seed, seed + seeds), days):
            faults.update(result.faults)
            simulated_s += result.simulated_s
            for one in result.violations:
                violations.append({"seed": result.seed, "clause": one.clause, "detail": one.detail})
                progress.console.print(f"seed {result.seed}: {one.clause}: {one.detail}", markup=False, highlight=False)
            progress.advance(task)
    if as_json:
        named = {str(row): faults[row] for row in ROWS}
        report = {"seeds": seeds, "simulated_s": simulated_s, "faults": named, "violations": violations}
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        _show(seeds, simulated_s, faults, violations, days)
    raise typer.Exit(1 if violations else 0)


def results(seeds: range, days: float | None = None) -> Iterator[Result]:
    """The results in the order of the seeds; one process for each core, where there is more than one seed."""
    simulate = partial(run_seed, days=days)
    cores = min(len(seeds), os.cpu_count() or 1)
    if cores == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(cores) as pool:
        yield from pool.map(simulate, seeds)


def _show(
    seeds: int, simulated_s: float, faults: Counter[int], violations: list[dict[str, Any]], days: float | None
) -> None:
    console = Console()
    table = Table("row", "fault", "times", box=None, header_style="bold")
    for row, name in ROWS.items():
        table.add_row(str(row), name, str(faults[row]))
    console.print(table)
    for one in violations:
        again = f"emitwatch world --seed {one['seed']}" + (f" --days {days:g}" if days else "")
        console.print(f"{one['clause']}: {one['detail']}\n    again: {again}", markup=False, highlight=False)
    bad = len({one["seed"] for one in violations})
    console.print(
        f"{seeds} seeds, {simulated_s / 3600:.1f} h simulated, {faults.total()} faults, "
        f"{len(violations)} violations in {bad} seeds",
        highlight=False,
    )

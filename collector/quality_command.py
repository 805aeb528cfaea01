"""`emitwatch quality FILE...`: what certificates of measuring systems come to; exit 1 where a test is not passed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from collector.catalogue import certificate_files, rule_packs
from collector.verdicts import quality_words
from collector.verdicts.assessment import Outcome, assess_en14181
from collector.verdicts.assessment_us import assess_part75
from collector.verdicts.assurance import Law
from collector.verdicts.certificates import Certificates
from gateway import terminal
from gateway.terminal import AsJson


def quality(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Certificate files, or folders of them.")],
    rules: Annotated[list[Path] | None, typer.Option(help="A folder of further rule packs.")] = None,
    on: Annotated[str, typer.Option(help="The day on which it is asked what is overdue; today.", metavar="DATE")] = "",
    as_json: AsJson = False,
) -> None:
    """Compute what the tests of measuring systems come to: QAL2, AST, QAL3, daily calibration, linearity, RATA.

    Exit 1 where one is not passed, a system is out of control, or the next test is overdue.
    """
    today = _day(on)
    found = certificate_files([str(file) for file in files], rule_packs([str(folder) for folder in rules or ()]))
    outcomes = [(certificates, assessed(certificates, law, today)) for certificates, law in found]
    failed = sum(not outcome.passed for _, own in outcomes for outcome in own)
    if as_json:
        typer.echo(json.dumps([_file(*one) for one in outcomes], ensure_ascii=False, indent=1))
    else:
        console = terminal.console()
        for certificates, own in outcomes:
            _show(console, certificates, own)
        console.print(f"{sum(len(own) for _, own in outcomes)} tests, {failed} not passed")
    if failed:
        raise typer.Exit(1)


def assessed(found: Certificates, law: Law, on: date) -> list[Outcome]:
    """Every test of a file. on: today."""
    european = assess_en14181(found, law.quality, law.quality_pack, on) if law.quality else ()
    american = assess_part75(found, law.us, law.us_pack, on) if law.us else ()
    return [*european, *american]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError as error:
        raise typer.BadParameter(f"--on {text!r} is not a date, as 2026-11-22") from error


# --- what is printed -------------------------------------------------------------------------------


def _file(found: Certificates, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "file": found.file, "plant": found.plant, "point": found.point,
        "tests": [quality_words.plain({**asdict(outcome), "passed": outcome.passed}) for outcome in outcomes],
    }  # fmt: skip


def _show(console: Console, found: Certificates, outcomes: Sequence[Outcome]) -> None:
    console.print(Text(f"{found.file}  {found.plant}/{found.point}", "bold"))
    for outcome in outcomes:
        verdict = Text("passed", "green") if outcome.passed else Text("NOT PASSED", "bold red")
        console.print(Text.assemble(f"\n{outcome.test} {outcome.parameter} [{outcome.unit}] {outcome.date}: ", verdict))
        for line in quality_words.facts(outcome):
            console.print(Text(f"    {line}"))
        for problem in outcome.problems:
            colour = "red" if problem.fails else "yellow"
            console.print(Text(f"  {'!' if problem.fails else '*'} {problem.what}", colour))
            console.print(Text(f"    do: {problem.todo}"))
        for drawn in outcome.charts:
            for line in quality_words.chart(drawn):
                console.print(Text(f"    {line}"))
        for cite in outcome.cites:
            read = "" if cite.verified else ", not read in the text itself"
            console.print(Text(f"    by {cite.pack}{read}: {cite.cite}", "dim"))
    console.print()

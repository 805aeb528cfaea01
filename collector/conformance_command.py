"""`emitwatch conformance FILE...`: runs worked examples; exit 1 where one fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from collector.catalogue import grade_rules, rule_packs
from collector.verdicts.conformance import Case, Outcome, calculations, parse_cases, run
from gateway.document import Fault, FaultyFiles


def conformance(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Worked examples, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every case as JSON.")] = False,
    rules: Annotated[list[Path] | None, typer.Option(help="A folder of further rule packs.")] = None,
) -> None:
    """Run worked examples (conformance/*.toml); the last line counts them, exit 1 where one fails."""
    try:
        known = calculations(rule_packs([str(folder) for folder in rules or ()]), grade_rules())
    except FaultyFiles as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    cases, faults = _read(paths)
    outcomes = run(cases, known)
    failed = sum(not outcome.passed for outcome in outcomes) + len(faults)
    if as_json:
        typer.echo(json.dumps([_item(outcome) for outcome in outcomes], ensure_ascii=False, indent=1))
    _report(outcomes, faults, Console(stderr=as_json, soft_wrap=True, highlight=False))
    if failed:
        raise typer.Exit(1)


def _read(paths: list[Path]) -> tuple[list[Case], list[Fault]]:
    """The cases of all files, and what is wrong with the files."""
    cases: list[Case] = []
    faults: list[Fault] = []
    for path in _files(paths):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(Fault(str(path), "", None, f"not readable: {error}", "give TOML files with [[case]]"))
            continue
        found, wrong = parse_cases(text, str(path))
        cases += found
        faults += wrong
        if not found and not wrong:
            faults.append(Fault(str(path), "", None, "no case in this file", "a case starts with [[case]]"))
    return cases, faults


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.toml")) if path.is_dir() else (path,)


def _report(outcomes: list[Outcome], faults: list[Fault], console: Console) -> None:
    for fault in faults:
        console.print(Text(str(fault)))
    for outcome in outcomes:
        if not outcome.passed:
            console.print(Text.assemble(("FAILED ", "bold red"), f"{outcome.case.id}: {outcome.message}"))
    failed = sum(not outcome.passed for outcome in outcomes) + len(faults)
    console.print(f"{len(outcomes) - failed + len(faults)} passed, {failed} failed")


def _item(outcome: Outcome) -> dict[str, object]:
    case = asdict(outcome.case)
    return {key: case[key] for key in ("id", "calculation", "source")} | {
        "passed": outcome.passed,
        "message": outcome.message,
    }

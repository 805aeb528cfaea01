"""`emitwatch quality [FILE...] [--site SITE]`: what certificates of measuring systems come to; exit 1 on a failure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from collector.catalogue import certificate_files, rule_packs, site_certificates
from collector.settings import parse_collector
from collector.verdicts import quality_words
from collector.verdicts.assessment import Outcome, assess_en14181
from collector.verdicts.assessment_us import assess_part75
from collector.verdicts.assurance import Assurance, Law
from collector.verdicts.assurance_told import watch_outcome, weeks_above
from collector.verdicts.book import Book, BookError
from collector.verdicts.certificates import Certificates
from gateway import catalogue, terminal
from gateway.document import FaultyFiles
from gateway.settings import Site
from gateway.terminal import AsJson


def quality(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Certificate files, or folders of them.")
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            help="The certificates that a site names, and how often their valid ranges were left.", metavar="SITE"
        ),
    ] = None,
    rules: Annotated[list[Path] | None, typer.Option(help="A folder of further rule packs.")] = None,
    on: Annotated[str, typer.Option(help="The day on which it is asked what is overdue; today.", metavar="DATE")] = "",
    as_json: AsJson = False,
) -> None:
    """Compute what the tests of measuring systems come to: QAL2, AST, QAL3, daily calibration, linearity, RATA.

    Exit 1 where one is not passed, a system is out of control, or the next test is overdue.
    """
    today = _day(on)
    if not files and site is None:
        raise typer.BadParameter("name certificate files, or a site with --site SITE")
    packs = rule_packs([str(folder) for folder in rules or ()])
    outcomes = [
        (certificates, assessed(certificates, law, today))
        for certificates, law in certificate_files([str(file) for file in files or ()], packs)
    ]
    try:
        outcomes += _of_site(site, today) if site else []
    except (BookError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
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


def _of_site(path: Path, on: date) -> list[tuple[Certificates, list[Outcome]]]:
    """Every test of the certificates that sites name, and the watch of their valid ranges by what was judged so far."""
    sites = catalogue.load_sites(str(path))
    settings, faults = parse_collector(sites)
    if settings is None:
        raise FaultyFiles(faults)
    found: list[tuple[Certificates, list[Outcome]]] = []
    for site in sites:
        packs = rule_packs([site.path(folder) for folder in site.folders.rules])
        known, _, faults = site_certificates(site, packs)
        if faults:
            raise FaultyFiles(faults)
        for point in site.points:
            files = certificate_files([site.path(name) for name in point.certificates], packs)
            own = [(one, law) for one, law in files if (one.plant, one.point) == (site.plant.id, point.id)]
            found += [(one, assessed(one, law, on)) for one, law in own]
            watched = _watched(Path(settings.folder) / "verdicts.db", site, point.id, known[point.id]) if own else []
            found += (
                [(Certificates(file=str(path), plant=site.plant.id, point=point.id, rules=()), watched)]
                if watched
                else []
            )
    return found


def _watched(file: Path, site: Site, point: str, known: Assurance) -> list[Outcome]:
    """How often valid ranges of a point were left; nothing where no collector has judged here."""
    if not file.exists() or known.watch is None:
        return []
    with closing(Book(file)) as book:
        days = [
            row.average
            for name in known.calibrations
            for row in book.averages(
                plant=site.plant.id, point=point, parameter=name, window="24h", from_ns=known.watched_ns[name]
            )
        ]
    return [watch_outcome(one, known) for one in weeks_above(days, site.plant.timezone, known.watch, known.watched_ns)]


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

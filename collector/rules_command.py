"""`emitwatch rules list|show NAME|check FILE`: the rule packs, with their citations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from collector.catalogue import check_pack, rule_packs
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_words import pack_words
from gateway import terminal
from gateway.document import FaultyFiles
from gateway.terminal import AsJson, Language

app = typer.Typer(help="Rule packs: limits as data, with their citations.", no_args_is_help=True)
Folders = Annotated[list[Path] | None, typer.Option("--rules", help="A folder of further rule packs.")]


@app.command("list")
def list_packs(folders: Folders = None, as_json: AsJson = False, language: Language = "en") -> None:
    """Every rule pack: id, kind of point, clauses, since when, title."""
    packs = _packs(folders)
    if as_json:
        typer.echo(json.dumps([_summary(pack) for pack in packs.values()], ensure_ascii=False, indent=1))
        return
    table = terminal.table("id", "kind", "clauses", "unverified", "in force since", "title")
    for pack in packs.values():
        since = min(force.from_date for force in pack.in_force).isoformat()
        open_clauses = sum(not clause.verified for clause in pack.clauses)
        table.add_row(
            pack.id, pack.kind, str(len(pack.clauses)), str(open_clauses), since, pack.title.of(language)
        )  # fmt: skip
    terminal.console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Id of a rule pack, or a file.")],
    folders: Folders = None,
    as_json: AsJson = False,
    language: Language = "en",
) -> None:
    """One rule pack: its settings, clauses with limits and citations, validity and examples."""
    pack = _pack(name, folders)
    if as_json:
        typer.echo(json.dumps(asdict(pack), ensure_ascii=False, indent=1, default=str))
        return
    console = terminal.console()
    console.print(Text(f"{pack.id}  {pack.title.of(language)}", "bold"))
    console.print(Text(f"source: {pack.source}"))
    for force in pack.in_force:
        until = f" until {force.to_date}" if force.to_date else ""
        console.print(Text(f"in force from {force.from_date}{until}: {force.cite}"))
    if pack.note:
        console.print(Text("\n" + " ".join(pack.note.split())))
    for title, head, rows in pack_words(pack, language):
        table = terminal.table(*head)
        for cells in rows:
            table.add_row(*cells)
        console.print(Text(f"\n{title}", "bold"))
        console.print(table)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule packs.")],
    as_json: AsJson = False,
) -> None:
    """Every fault of rule packs, their examples run too; exit 1 where there is one."""
    found = {str(file): check_pack(str(file)) for file in files}
    faults = [fault for _, wrong in found.values() for fault in wrong]
    if as_json:
        typer.echo(json.dumps([asdict(fault) for fault in faults], ensure_ascii=False, indent=1))
    else:
        for fault in faults:
            typer.echo(str(fault))
        for file, (pack, _) in found.items():
            if pack:
                typer.echo(f"{file}: {pack.id} is good: {len(pack.clauses)} clauses, {_examples(pack)} examples")
    if faults:
        raise typer.Exit(1)


def _examples(pack: RulePack) -> int:
    return len(pack.examples) + (len(pack.rating.examples) if pack.rating else 0)


def _packs(folders: list[Path] | None) -> Mapping[str, RulePack]:
    try:
        return rule_packs([str(folder) for folder in folders or ()])
    except FaultyFiles as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _pack(name: str, folders: list[Path] | None) -> RulePack:
    if name.endswith(".toml"):
        pack, faults = check_pack(name)
        if pack is None:
            typer.echo("\n".join(map(str, faults)), err=True)
            raise typer.Exit(1)
        return pack
    packs = _packs(folders)
    if name not in packs:
        typer.echo(f"no rule pack {name!r}; there are: {', '.join(packs)}", err=True)
        raise typer.Exit(1)
    return packs[name]


def _summary(pack: RulePack) -> dict[str, Any]:
    return {
        "id": pack.id, "kind": pack.kind, "title": asdict(pack.title), "source": pack.source, "file": pack.file,
        "in_force": [
            {"from": str(force.from_date), "to": force.to_date and str(force.to_date), "cite": force.cite}
            for force in pack.in_force
        ],
        "clauses": [clause.id for clause in pack.clauses],
        "unverified": [clause.id for clause in pack.clauses if not clause.verified],
    }  # fmt: skip

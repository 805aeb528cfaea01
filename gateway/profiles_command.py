"""`emitwatch profiles list|show NAME|check FILE|try NAME LINK`: the device profiles, with their citations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gateway import catalogue, terminal
from gateway.blocks import TCP, Block, Part, serial
from gateway.document import FaultyFiles
from gateway.links.address import LINK_HINT
from gateway.plans import Plan, plan
from gateway.profiles import Item, Profile, Register, StatusRule
from gateway.terminal import AsJson, Language
from gateway.trial import TOLERANCE

app = typer.Typer(help="Device profiles: what an instrument's registers mean.", no_args_is_help=True)
Folders = Annotated[list[Path] | None, typer.Option("--profiles", help="A folder of further profiles.")]


@app.command("list")
def list_profiles(folders: Folders = None, as_json: AsJson = False, language: Language = "en") -> None:
    """Every device profile: name, kind of point, parameters, title."""
    profiles = _profiles(folders)
    if as_json:
        typer.echo(json.dumps([_summary(profile) for profile in profiles.values()], ensure_ascii=False, indent=1))
        return
    table = terminal.table("name", "kind", "parameters", "unverified", "title")
    for profile in profiles.values():
        table.add_row(
            profile.name, profile.kind, " ".join(profile.parameters), str(len(profile.unverified)),
            profile.title.of(language),
        )  # fmt: skip
    terminal.console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a device profile, or a file.")],
    folders: Folders = None,
    baud: Annotated[int, typer.Option(help="Plan for a serial line of this speed; 0 = for TCP.", min=0)] = 0,
    as_json: AsJson = False,
    language: Language = "en",
) -> None:
    """One device profile: its registers with the place in the manual, its status rules and the requests it takes."""
    profile = _profile(name, folders)
    reading = plan(profile, (), serial(baud) if baud else TCP)
    if as_json:
        typer.echo(json.dumps(_whole(profile, reading), ensure_ascii=False, indent=1))
        return
    console = terminal.console()
    console.print(Text(f"{profile.name}  {profile.title.of(language)}", "bold"))
    console.print(Text(f"{profile.maker}, {profile.model}; for {profile.kind} points"))
    console.print(Text(f"source: {profile.source}\nmanual: {profile.manual}"))
    for text in profile.unverified:
        console.print(Text(f"unverified: {text}"))
    for hole in profile.holes:
        console.print(
            Text(f"never asked for: function {hole.fc}, {_address(hole.address)} to {_address(hole.end - 1)}")
        )
    if profile.no_status:
        console.print(Text(f"no status: {profile.no_status}"))
    titles = {"registers": _registers(profile), "status, first that applies": _status(profile, language)}
    titles |= {"settings, read back": _items(profile.settings), "identity": _items(profile.identity)}
    way = f"a serial line of {baud} baud" if baud else "TCP"
    titles[f"requests, {reading.cost_s * 1000:.0f} ms over {way}"] = _requests(reading)
    for title, table in titles.items():
        if table.row_count:
            console.print(Text(f"\n{title}", "bold"))
            console.print(table)


@app.command("check")
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Device profiles.")]) -> None:
    """Every fault of device profiles, their examples tried too; exit 1 where there is one."""
    good = True
    for file in files:
        try:
            profile = catalogue.load_profile(str(file))
        except FaultyFiles as error:
            good = False
            typer.echo(str(error))
        else:
            counts = f"{len(profile.parameters)} parameters, {len(profile.examples)} examples"
            typer.echo(f"{file}: {profile.name} is good: {counts}")
    if not good:
        raise typer.Exit(1)


@app.command("try")
def try_(
    name: Annotated[str, typer.Argument(help="Name of a device profile, or a file.")],
    link: Annotated[str, typer.Argument(help=LINK_HINT)],
    value: Annotated[
        list[str] | None, typer.Option(metavar="PARAMETER=VALUE", help="What the display shows, as SO2=35.2.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Percent by which they may differ.", min=0.0, max=100.0)] = TOLERANCE,
    folders: Folders = None,
    as_json: AsJson = False,
) -> None:
    """Read an instrument by a profile and compare with what it shows; exit 1 where something does not fit.

    On a terminal it asks what the display shows. Where a value does not fit it says what else in the words would.
    """
    from gateway.try_command import try_profile  # asyncio and the links cost the other commands time

    raise typer.Exit(try_profile(_profile(name, folders), link, value or (), tolerance, quiet=as_json))


def _profiles(folders: list[Path] | None) -> Mapping[str, Profile]:
    try:
        return catalogue.profiles([str(folder) for folder in folders or ()])
    except FaultyFiles as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _profile(name: str, folders: list[Path] | None) -> Profile:
    if name.endswith(".toml"):
        try:
            return catalogue.load_profile(name)
        except FaultyFiles as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
    profiles = _profiles(folders)
    if name not in profiles:
        typer.echo(f"no device profile {name!r}; there are: {', '.join(profiles)}", err=True)
        raise typer.Exit(1)
    return profiles[name]


def _registers(profile: Profile) -> Table:
    table = terminal.table("parameter", "function", "address", "type", "order", "value", "unit", "range", "manual")
    for r in profile.registers:
        name = f"+ {r.parameter}" if r.added else r.parameter
        order = r.order if r.width > 1 or r.order in ("BADC", "DCBA") else ""
        type = f"{r.type} & 0x{r.mask:04X}" if r.mask else r.type
        range = f"{r.low:g} to {r.high:g} {_parameter_unit(r)}".strip()
        table.add_row(name, str(r.fc), _address(r.address), type, order, _formula(r), r.unit, range, r.manual)
    return table


def _parameter_unit(register: Register) -> str:
    return catalogue.parameters()[register.parameter].unit


def _formula(register: Register) -> str:
    """How the raw number becomes one in the instrument's unit."""
    text = "raw" if register.scale == 1 else f"raw * {register.scale:g}"
    text += f" {register.offset:+g}" if register.offset else ""
    return ", ".join([text, *(f"as {by.fc}:{by.address} says" for by in register.by)])


def _address(address: int) -> str:
    return f"{address} (0x{address:04X})"


def _status(profile: Profile, language: str) -> Table:
    table = terminal.table("function", "address", "when", "status", "parameters", "meaning", "manual")
    for rule in profile.status:
        whose = "all" if rule.parameters == profile.parameters else " ".join(rule.parameters)
        when, text = _condition(rule), rule.text.of(language)
        table.add_row(str(rule.fc), _address(rule.address), when, rule.status.name.lower(), whose, text, rule.manual)
    return table


def _condition(rule: StatusRule) -> str:
    """When a status rule applies, in words."""
    if rule.fc in (1, 2):
        return f"is {rule.values[0]}"
    if rule.mask.bit_count() == 1 and not rule.negated:
        return f"bit {int(math.log2(rule.mask))} is {int(rule.values[0] != 0)}"
    masked = "word" if rule.mask == 0xFFFF else f"word & 0x{rule.mask:04X}"
    return f"{masked} is {'not ' if rule.negated else ''}{' or '.join(map(str, rule.values))}"


def _items(items: Sequence[Item]) -> Table:
    table = terminal.table("name", "function", "address", "type", "unit", "manual")
    for item in items:
        type = f"{item.type}, {item.count} registers" if item.type == "ascii" else item.type
        table.add_row(item.name, str(item.fc), _address(item.address), type, item.unit, item.manual)
    return table


def _requests(reading: Plan) -> Table:
    table = terminal.table("function", "from", "count", "cost", "brings")
    for part in reading.parts:
        cost, brings = f"{reading.cost.of(part.block) * 1000:.1f} ms", ", ".join(_brought(reading, part))
        table.add_row(str(part.block.fc), _address(part.block.address), str(part.block.count), cost, brings)
    return table


def _brought(reading: Plan, part: Part) -> list[str]:
    """What is in a block, in the order of its addresses."""
    registers = [f.register for f in reading.fields]
    found = [(r.fc, r.address, r.width, f"+ {r.parameter}" if r.added else r.parameter) for r in registers]
    found += [(by.fc, by.address, 1, f"unit or scale of {r.parameter}") for r in registers for by in r.by]
    found += [(w.rule.fc, w.rule.address, 1, "status") for w in reading.watches]
    held = [(address, text) for fc, address, count, text in found if part.block.holds(Block(fc, address, count))]
    return list(dict.fromkeys(text for _, text in sorted(held)))


def _summary(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name, "title": {"en": profile.title.en, "zh": profile.title.zh}, "kind": profile.kind,
        "maker": profile.maker, "model": profile.model, "parameters": list(profile.parameters),
        "source": profile.source, "manual": profile.manual, "unverified": list(profile.unverified),
        "file": profile.file,
    }  # fmt: skip


def _whole(profile: Profile, reading: Plan) -> dict[str, Any]:
    registers = [
        {
            "parameter": r.parameter, "fc": r.fc, "address": r.address, "type": r.type, "order": r.order,
            "scale": r.scale, "offset": r.offset, "unit": r.unit, "sentinels": [list(ends) for ends in r.sentinels],
            "low": r.low, "high": r.high, "range_unit": _parameter_unit(r), "added": r.added, "manual": r.manual,
            "mask": r.mask, "interval_s": r.interval_s, "checks": asdict(r.checks),
            "by": [[by.fc, by.address] for by in r.by],
        }
        for r in profile.registers
    ]  # fmt: skip
    status = [
        {
            "fc": rule.fc, "address": rule.address, "when": _condition(rule), "status": rule.status.name.lower(),
            "parameters": list(rule.parameters), "text": {"en": rule.text.en, "zh": rule.text.zh},
            "manual": rule.manual,
        }
        for rule in profile.status
    ]  # fmt: skip
    requests = [
        {**asdict(part.block), "cost_s": reading.cost.of(part.block), "brings": _brought(reading, part)}
        for part in reading.parts
    ]
    items = {
        key: [{"name": item.name, "fc": item.fc, "address": item.address, "type": item.type} for item in found]
        for key, found in (("settings", profile.settings), ("identity", profile.identity))
    }
    return {
        **_summary(profile),
        "no_status": profile.no_status,
        "registers": registers,
        "status": status,
        "requests": requests,
        **items,
    }

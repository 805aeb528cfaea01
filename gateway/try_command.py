"""`emitwatch profiles try NAME LINK`: a profile read live, and compared with what the instrument shows.

On a terminal it asks for what the display shows, parameter by parameter; scripts say it with --value.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.markup import escape
from rich.prompt import Prompt
from rich.text import Text

from gateway import catalogue, diagnosis, terminal
from gateway.blocks import Block, link_cost
from gateway.decodings import Samples
from gateway.links.address import Link, Quirks, parse_link
from gateway.links.link import Link as Way
from gateway.links.link import LinkDown, LinkError, NoAnswer, Refused
from gateway.links.open import open_link
from gateway.measurement import Status, UInt16
from gateway.plans import Plan, narrowed, plan
from gateway.prober import heard
from gateway.profiles import Profile
from gateway.quantities import Shown, quantity, read_shown
from gateway.readback import Change, contradictions, item_blocks, read_items
from gateway.trial import Reading, Verdict, as_json, explain, judge, problems, read, side_by_side, window

TIMEOUT_S = 2.0
ILLEGAL_ADDRESS = 2


@dataclass(slots=True)
class Trial:
    """One profile at one link. faults: what the link had to say that was no answer."""

    profile: Profile
    link: Link
    way: Way
    plan: Plan
    faults: dict[str, diagnosis.Diagnosis]

    async def round(self) -> list[Reading]:
        """What the profile reads now. Raises LinkDown."""
        units = {name: catalogue.parameters()[name].unit for name in self.plan.parameters}
        answers: dict[Block, UInt16] = {}
        number, lacks = 0, False
        while number < len(self.plan.blocks):
            block = self.plan.blocks[number]
            try:
                answers[block] = await self._ask(block)
            except Refused as refused:
                if refused.code == ILLEGAL_ADDRESS:
                    lacks = True
                    self.plan = narrowed(
                        self.plan, number
                    )  # what was behind this block moves up: the same number again
                    continue
                self._note(block, refused)
            except LinkDown:
                raise
            except LinkError as error:
                self._note(block, error)
            number += 1
        readings = read(self.plan, answers, units)
        if lacks and 2 * (missing := sum(not one.words for one in readings)) > len(readings):
            found = diagnosis.another_model(self.profile.name, missing, len(readings))
            self.faults.setdefault(found.kind, found)
        return readings

    async def items(self) -> dict[str, float | str | None]:
        """What the instrument says of itself; what it refuses is left out."""
        answers = {}
        for block in item_blocks(self.profile, self.plan.cost):
            if (words := await self.words(block)) is not None:
                answers[block] = words
        return read_items(self.profile, answers)

    async def around(self, block: Block) -> list[Samples]:
        """The registers around a wrong one: all at once, or one after the other where the instrument lacks some."""
        whole = await self.words(block)
        if whole is not None:
            return [Samples(block.fc, block.address, whole[None, :])]
        words = [
            (address, await self.words(Block(block.fc, address, 1))) for address in range(block.address, block.end)
        ]
        return side_by_side(block.fc, [(address, int(word[0])) for address, word in words if word is not None])

    async def words(self, block: Block) -> UInt16 | None:
        """The words of a block, None where it does not give them. Raises LinkDown."""
        try:
            return await self._ask(block)
        except LinkDown:
            raise
        except LinkError:
            return None

    async def _ask(self, block: Block) -> UInt16:
        own = self.link.quirks
        quirks = Quirks(
            tid_zero_ok=own.tid_zero_ok or self.profile.tid_zero_ok, pause_s=max(own.pause_s, self.profile.pause_s)
        )
        return await self.way.read(self.link.unit, block, timeout_s=TIMEOUT_S, quirks=quirks)

    def _note(self, block: Block, error: LinkError) -> None:
        kind, unit = self.link.kind, self.link.unit
        if isinstance(error, Refused):
            found = diagnosis.exception(error.code)
        elif isinstance(error, NoAnswer):
            found = diagnosis.no_answer(kind, unit, heard=bool(heard(error)))
        else:
            found = diagnosis.wrong_answer(kind, unit, block, heard(error))
        self.faults.setdefault(found.kind, found)


def try_profile(profile: Profile, link: str, values: Sequence[str], tolerance: float, *, quiet: bool) -> int:
    """Read, compare and print; the exit code: 1 where something does not fit, 2 where it cannot be tried."""
    try:
        place = parse_link(link)
        shown = _given(profile, values)
    except ValueError as error:
        return _cannot(str(error), "--value SO2=35.2, or with the unit of the display: --value 'SO2=12.3 ppm'")
    reading = plan(profile, (), link_cost(place.kind, place.line.baud))
    trial = Trial(profile, place, open_link(place), reading, {})
    asks = sys.stdin.isatty() and not quiet and not values
    try:
        verdicts, said, wrong = asyncio.run(_tried(trial, shown, tolerance, asks=asks))
    except LinkDown as error:
        fault = diagnosis.no_link(place.kind, str(error))
        return _cannot(fault.what, fault.do)
    except (KeyboardInterrupt, EOFError):
        return 130
    if quiet:
        sys.stdout.write(
            json.dumps(as_json(profile, link, verdicts, said, wrong, tolerance), ensure_ascii=False, indent=1)
        )
        sys.stdout.write("\n")
    else:
        _show(profile, verdicts, said, wrong, list(trial.faults.values()))
    return 1 if problems(verdicts, wrong) else 0


def _given(profile: Profile, values: Sequence[str]) -> dict[str, Shown]:
    """What the operator has read off, by parameter."""
    known, found = catalogue.parameters(), {}
    for text in values:
        name, _, number = text.partition("=")
        parameter = known.find(name.strip())
        if parameter is None or parameter.code not in profile.parameters:
            raise ValueError(f"{name.strip()!r} is not in {profile.name}: it has {', '.join(profile.parameters)}")
        found[parameter.code] = read_shown(number, parameter)
    return found


def _cannot(message: str, hint: str) -> int:
    sys.stderr.write(f"{message}\n    hint: {hint}\n")
    return 2


Found = tuple[list[Verdict], Mapping[str, float | str | None], Sequence[Change]]


async def _tried(trial: Trial, shown: Mapping[str, Shown], tolerance: float, *, asks: bool) -> Found:
    try:
        before = await trial.round()
        if asks:
            _table([Verdict(reading=one) for one in before])
            shown = _asked(before)
        after = await trial.round() if shown else before
        rounds = {one.parameter: [one] for one in before}
        for one in after:
            rounds[one.parameter].append(one)
        verdicts = [judge(readings, shown.get(name), tolerance) for name, readings in rounds.items()]
        verdicts = [await _explained(trial, one) for one in verdicts]
        said = await trial.items()
        return verdicts, said, contradictions(trial.profile, said)
    finally:
        trial.way.close()
        await asyncio.sleep(0)  # a connection ends in the loop that had it


async def _explained(trial: Trial, verdict: Verdict) -> Verdict:
    """What would give what is shown, where the profile does not."""
    if verdict.fits is not False or verdict.shown is None:
        return verdict
    register = trial.profile.register(verdict.reading.parameter)
    expected = quantity(catalogue.parameters()[register.parameter], register.low, register.high).shows(verdict.shown)
    runs = await trial.around(window(register))
    return replace(verdict, explained=explain(register, expected, runs))


def _asked(readings: Sequence[Reading]) -> dict[str, Shown]:
    """What the operator answers. It may say the unit of the display; nothing = it does not show this."""
    found = {}
    known = catalogue.parameters()
    for one in readings:
        question = f"{one.parameter} on the display" + (f" [{one.unit}]" if one.unit else "") + ", empty = not shown"
        while text := Prompt.ask(escape(question), default="", show_default=False).strip():
            try:
                found[one.parameter] = read_shown(text, known[one.parameter])
                break
            except ValueError as error:
                terminal.console().print(f"{error}\n    hint: a number, and its unit where it is another", style="red")
    return found


# --- what it shows --------------------------------------------------------------------------------------


def _show(
    profile: Profile, verdicts: Sequence[Verdict], said: Mapping[str, float | str | None], wrong: Sequence[Change],
    faults: Sequence[diagnosis.Diagnosis],
) -> None:  # fmt: skip
    console = terminal.console()
    console.print(Text(f"{profile.name}  {profile.title.en}", "bold"))
    _table(verdicts)
    for one in verdicts:
        for number, text in enumerate(one.explained):
            console.print(Text(f"{one.reading.parameter}: {text}", "yellow" if number else "bold yellow"))
        if one.fits is False and not one.explained:
            hint = "the instrument may have answered for another moment, or the value stands elsewhere: emitwatch probe"
            console.print(
                Text(f"{one.reading.parameter}: no decoding near its register gives it\n    hint: {hint}", "yellow")
            )
        if one.reading.why:
            console.print(Text(f"{one.reading.parameter}: {one.reading.why}", "red"))
    for name, value in said.items():
        console.print(Text(f"    {name:<20}{value}", "dim"))
    for change in wrong:
        what = f"{change.name} is {change.after!r}, and always {change.before!r} of a {profile.model}"
        console.print(Text(f"{what}\n    hint: another instrument or word order; or unit= of the link", "red"))
    for fault in faults:
        console.print(Text(f"{fault.what}\n    hint: {fault.do}", "red"))
    compared = sum(one.shown is not None for one in verdicts)
    if not problems(verdicts, wrong):
        text = f"all {compared} compared values fit" if compared else "everything could be read; nothing was compared"
        console.print(Text(text, "green"))


def _table(verdicts: Sequence[Verdict]) -> None:
    table = terminal.table("parameter", "value", "unit", "status", "words", "display", "")
    for one in verdicts:
        reading = one.reading
        value = "none" if reading.value is None else f"{reading.value:.6g}"
        words = " ".join(f"{word:04X}" for word in reading.words.values())
        shown = f"{one.shown.value:g}" if one.shown else ""
        fits = {True: "fits", False: "does not fit", None: ""}[one.fits]
        style = {True: "green", False: "red", None: "" if reading.status is Status.OK else "yellow"}[one.fits]
        table.add_row(
            reading.parameter, value, reading.unit, reading.status.name.lower(), words, shown, fits, style=style
        )
    terminal.console().print(table)

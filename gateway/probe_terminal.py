"""What `emitwatch probe` shows a person: tables of what was found, the likeliest first, and faults with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway import terminal
from gateway.decodings import Decoding, assigned
from gateway.diagnosis import Diagnosis
from gateway.finding import SIDE_BY_SIDE, Finding, bits, guesses, manual_number, places, runs
from gateway.prober import Step
from gateway.quantities import Quantity

ROWS = 40  # of registers side by side, without --all
GOOD, DOUBTFUL, HOPELESS = 80, 40, 1  # scores
LEAST = 2  # decodings that are shown however hopeless
_NAMES = {1: "coils (1)", 2: "inputs (2)", 3: "holding registers (3)", 4: "input registers (4)"}
_WHAT = {
    "speeds": "baud rates and parities",
    "units": "looking for units",
    "registers": "which registers exist",
    "readings": "reading them",
    "turnaround": "how long it takes",
}


@contextmanager
def steps(*, quiet: bool) -> Iterator[Step]:
    """A bar of what goes on, with its estimated end, on the terminal of a person."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<26}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: int, of: int | None) -> None:
            if what not in tasks:
                for old in tasks.values():
                    bars.update(old, visible=False)
                tasks[what] = bars.add_task(_WHAT.get(what, what))
            bars.update(tasks[what], completed=done, total=of)

        yield step


def show(
    finding: Finding, expected: Sequence[Quantity], decodings: Mapping[str, Sequence[Decoding]], *, every: bool
) -> None:
    """All that was found. every: all registers, however many."""
    console = terminal.console()
    console.print(Text(f"{finding.link}  unit {finding.unit}", "bold"))
    if finding.interrupted:
        console.print(Text("interrupted: this is what was found by then", "yellow"))
    _lines(console, finding)
    _units(console, finding)
    _registers(console, finding)
    _words(console, finding, every=every)
    _bits(console, finding)
    for one in expected:
        _ranking(console, one, decodings.get(one.name, ()))
    if expected:
        _chosen(console, expected, decodings)
    else:
        _guesses(console, finding)
    _quality(console, finding)
    for fault in finding.faults.values():
        show_fault(console, fault)


def show_fault(console: Console, fault: Diagnosis) -> None:
    """What is wrong, and what to do about it."""
    console.print(Text(f"{fault.what}\n    hint: {fault.do}", "red"))


def _lines(console: Console, finding: Finding) -> None:
    if finding.lines:
        table = terminal.table("baud", "parity", "")
        for line in finding.lines:
            table.add_row(str(line.baud), line.parity, line.what, style="green" if line.answered else "dim")
        console.print(table)


def _units(console: Console, finding: Finding) -> None:
    if len(finding.scanned) < 2 and finding.units:
        return
    console.print(f"{len(finding.scanned)} units asked, {len(finding.units)} there")
    for unit, how in sorted(finding.units.items()):
        console.print(Text(f"    unit {unit:<4}{how}", "green" if how == "answers" else "yellow"))
    others = [str(unit) for unit in finding.units if unit != finding.unit]
    if others and finding.rounds:
        console.print(Text(f"    looked into: unit {finding.unit}; unit= of the link chooses another", "dim"))


def _registers(console: Console, finding: Finding) -> None:
    survey = finding.survey
    if survey is None:
        return
    table = terminal.table("function", "there are", "as a manual may count")
    for block in finding.existing:
        manual = f"{manual_number(block.fc, block.address)} to {manual_number(block.fc, block.end - 1)}"
        everywhere = ", and it answers for every other address too" if block.fc in survey.boundless else ""
        table.add_row(_NAMES[block.fc], f"{block.address} to {block.end - 1}{everywhere}", manual)
    console.print(Text(f"\nregisters, found with {survey.asked} requests", "bold"))
    console.print(table if table.row_count else "none that it answers for")
    if left := sum(block.count for block in survey.unknown):
        hint = "not looked at any closer: more with --address and --count, or --most"
        console.print(Text(f"{left} addresses {hint}", "dim"))


def _words(console: Console, finding: Finding, *, every: bool) -> None:
    rows = [place for run in runs(finding) for place in places(run)]
    if not rows:
        return
    times = len(rows[0].words)
    console.print(Text(f"\nregisters that are not 0, read {times} times", "bold"))
    table = terminal.table(
        "address", "manual", "word", "uint16", "int16", *(str(form) for form in SIDE_BY_SIDE), "text", "",
    )  # fmt: skip
    for place in rows if every else rows[:ROWS]:
        moves = place.moves not in ("constant", "")
        table.add_row(
            f"{place.fc}:{place.address}", manual_number(place.fc, place.address), f"{place.words[-1]:04X}",
            place.whole, place.signed, *place.long, *[""] * (len(SIDE_BY_SIDE) - len(place.long)), place.letters,
            place.moves, style="" if moves else "dim",
        )  # fmt: skip
    console.print(table)
    if len(rows) > ROWS and not every:
        console.print(Text(f"and {len(rows) - ROWS} more: --all shows them, --json has them", "dim"))


def _bits(console: Console, finding: Finding) -> None:
    found = bits(finding)
    if found:
        console.print(Text("\ncoils and inputs that are on, or were", "bold"))
        console.print(
            ", ".join(f"{fc}:{address}" + ("" if all(v) else " (changes)") for fc, address, v in found[:ROWS])
        )


def _style(score: int) -> str:
    return "bold green" if score >= GOOD else "yellow" if score >= DOUBTFUL else "dim"


def _ranking(console: Console, one: Quantity, found: Sequence[Decoding]) -> None:
    wanted = f", shows {one.shown.value:g}" if one.shown else ""
    head = f"\n{one.name} [{one.unit}]: {one.low:g} to {one.high:g}, usually {one.typical[0]:g} to {one.typical[1]:g}"
    console.print(Text(head + wanted, "bold"))
    table = terminal.table("score", "register", "manual", "type", "scale", "value", "or with scale", "why", "as well")
    for decoding in [one for n, one in enumerate(found) if n < LEAST or one.score > HOPELESS]:
        others = "; ".join(f"{case.scale:g} {case.unit}: {case.value:.4g}" for case in decoding.rivals[:2])
        same = ", ".join(map(str, decoding.same[:3])) + (" .." if len(decoding.same) > 3 else "")
        table.add_row(
            str(decoding.score), f"{decoding.fc}:{decoding.address}", manual_number(decoding.fc, decoding.address),
            str(decoding.form), f"{decoding.scale:g} {decoding.unit}", f"{decoding.value:.6g}", others,
            ", ".join(decoding.notes), same, style=_style(decoding.score),
        )  # fmt: skip
    console.print(table if table.row_count else Text("nothing that could be it", "red"))


def _chosen(console: Console, expected: Sequence[Quantity], decodings: Mapping[str, Sequence[Decoding]]) -> None:
    chosen = assigned(decodings)
    console.print(Text("\nbest together, no register twice", "bold"))
    for one in expected:
        if found := chosen.get(one.name):
            text = f"{found.fc}:{found.address} {found.form}, scale {found.scale:g} {found.unit}".rstrip()
            console.print(Text(f"    {one.name:<12}{found.value:.6g} {one.unit}  ({text})", _style(found.score)))
        else:
            console.print(Text(f"    {one.name:<12}nothing that is more likely than not", "yellow"))


def _guesses(console: Console, finding: Finding) -> None:
    found = guesses(finding)
    if not found:
        return
    console.print(Text("\nnumbers that seem to be there (--expect SO2,O2 says what to look for)", "bold"))
    table = terminal.table("score", "register", "manual", "type", "raw", "why", "as well")
    for one in found:
        table.add_row(
            str(one.score), f"{one.fc}:{one.address}", manual_number(one.fc, one.address), str(one.form),
            f"{one.value:.6g}", ", ".join(one.notes), ", ".join(map(str, one.same[:3])), style=_style(one.score),
        )  # fmt: skip
    console.print(table)


def _quality(console: Console, finding: Finding) -> None:
    told = finding.tally.summary()
    besides = " (besides its bytes on the line)" if finding.kind == "rtu" else ""
    if not told["answers"]:
        return
    console.print(Text("\nlink", "bold"))
    console.print(
        f"    {told['requests']} requests: {told['answers']} answers, {told['refusals']} refusals, "
        f"{told['time_outs']} time-outs, {told['bad_frames']} bad frames"
    )
    console.print(
        f"    an answer takes{besides} {told['min_ms']:.3g} ms at least, {told['median_ms']:.3g} ms usually, "
        f"{told['p99_ms']:.3g} ms at the 99th percentile; {told['bytes_a_second']} bytes a second"
    )
    if took := finding.turnaround:
        more = f"and {took['register_us']:.3g} us for a register more"
        console.print(f"    turnaround {took['request_ms']:.3g} ms a request, {more}")

"""`emitwatch judge`: averages, exceedances and episodes of a CSV file, by one rule pack, offline.

The same pure modules judge here and in the running collector (`collector.verdicts.judgement`); this
file only reads the options and the file, and prints. What was passed over on the way is told on stderr.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from collector.catalogue import check_pack, rule_packs
from collector.certified import certified, certified_inputs, range_watch, watched_weeks
from collector.verdicts import csv_file, csv_times, quality_words
from collector.verdicts.csv_file import Layout, parse_columns, read_csv
from collector.verdicts.day_sums import DAY
from collector.verdicts.judgement import Derived, Episode, derive, episodes
from collector.verdicts.listed import rfc3339
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average, Exceedance
from collector.verdicts.screening import Signal, steadied
from collector.verdicts.states import STATES, State
from collector.verdicts.unjudged import unjudged
from collector.verdicts.windows import FIXED_NS
from collector.verdicts.year_counts import of_days, of_year
from gateway import catalogue
from gateway.document import Fault, FaultyFiles
from gateway.measurement import SECOND_NS
from gateway.settings import KINDS

ROWS_MAX = 60  # lines of a table on the screen; --json has them all
YEARS_MAX = 5  # judged at once: every minute of them is a window, and one wrong time must not make millions

Rules = Annotated[str, typer.Option("--rules", help="Id of a rule pack, or a file.", metavar="NAME|FILE")]
Point = Annotated[str, typer.Option("--point", help=f"Kind of point: {', '.join(KINDS)}.", metavar="KIND")]
Csv = Annotated[Path, typer.Option("--csv", help="The file; - reads standard input.", metavar="FILE")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting of the point.", metavar="KEY=VALUE")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", help="time=HEADER,value=HEADER, or PARAMETER=HEADER.", metavar="NAME=HEADER,..."),
]
Timezone = Annotated[str, typer.Option("--timezone", help="Local time of the point, and of naive times in the file.")]
Stamp = Annotated[str, typer.Option("--stamp", help="What a time marks of its interval: start, middle or end.")]
Dates = Annotated[
    str, typer.Option("--dates", help="Dates like 3-4-2026: day first (dmy) or month first (mdy).", metavar="dmy|mdy")
]
Start = Annotated[str, typer.Option("--start", help="Time of the first row, where there is no time column.")]
Interval = Annotated[float | None, typer.Option("--interval", help="What a value stands for. [s]", metavar="S")]
States = Annotated[
    list[str] | None,
    typer.Option("--state", help="When the plant was in which state, as a mark says it.", metavar="STATE=FROM/TO"),
]
Certificates = Annotated[
    list[Path] | None,
    typer.Option("--certificates", help="Certificates of the point, or a folder of them.", metavar="FILE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def judge(
    rules: Rules,
    point: Point,
    csv: Csv,
    settings: Settings = None,
    columns: Columns = None,
    timezone: Timezone = "",
    stamp: Stamp = "start",
    dates: Dates = "",
    start: Start = "",
    interval: Interval = None,
    state: States = None,
    certificates: Certificates = None,
    as_json: AsJson = False,
) -> None:
    """Judge measurements in a CSV file by a rule pack, offline. Exit 0 whether or not a limit is exceeded."""
    pack = _pack(rules, point)
    _require(stamp in csv_file.STAMPS, f"--stamp {stamp!r} is not one of: {', '.join(csv_file.STAMPS)}")
    _require(dates in ("", *csv_times.ORDERS), f"--dates {dates!r} is not one of: {', '.join(csv_times.ORDERS)}")
    zone = _zone(timezone or "UTC")
    parameters = catalogue.parameters()
    law, faults = point_rules(
        "offline", str(csv), point, timezone=zone, packs=[pack], settings=_settings(settings or []),
        parameters=parameters, path="--set",
    )  # fmt: skip
    if faults:
        raise FaultyFiles(faults)
    law, unused = certified(law, pack, certificates or [])

    def named(text: str) -> str:
        known = parameters.find(text)
        return known.code if known else text

    def known(header: str) -> bool:
        found = parameters.find(header)
        return found is not None and point in found.media

    units = {clause.parameter: clause.unit for clause in pack.clauses} | {p.code: p.unit for p in parameters.values()}
    layout = Layout(
        columns=_columns(columns or []), timezone=zone, stamp=stamp, dates=dates, parameter=_parameter(pack),
        start_ns=_start(start, interval, zone), interval_ns=None if interval is None else round(interval * SECOND_NS),
        named=named, unit=lambda code: units.get(code, ""), known=known,
    )  # fmt: skip
    signals, faults, notes = read_csv(_text(csv), str(csv), layout)
    if faults:
        raise FaultyFiles(faults)
    _require_short(signals, str(csv))
    derived = judged(law, signals, [_state(text, zone) for text in state or ()])
    for note in [
        *notes,
        *_wandering(signals),
        *unused,
        *unjudged(law, [signal.parameter for signal in signals], derived.averages),
    ]:
        sys.stderr.write(f"note: {csv}: {note}\n")
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report(pack, law, derived)) + b"\n")
    else:
        _show(pack, law, derived)


def judged(law: PointRules, signals: Sequence[Signal], said: Sequence[State] = ()) -> Derived:
    """What the signals of one point come to, in every kind of window that is built for it.

    said: of the plant's state, the later over the earlier. Times that wander around the full minute are made steady.
    """
    signals = [steadied(signal) for signal in signals]
    from_ns = min(int(signal.time_ns[0]) for signal in signals)
    to_ns = max(int(signal.time_ns[-1]) + signal.coarsest_ns for signal in signals)
    wanted = {kind: law.windows(kind, from_ns, to_ns) for kind in law.built}
    counts = any(pack.shares or pack.validation for pack in law.packs)
    found = derive(law, {signal.parameter: signal for signal in signals}, wanted, proof=False, said=said, sums=counts)
    return Derived(found.averages, [*found.exceedances, *_counts(law, found.averages, from_ns, to_ns)])


def _counts(law: PointRules, averages: Sequence[Average], from_ns: int, to_ns: int) -> Iterator[Exceedance]:
    """What packs count over days and years; of a year that the file does not end, what its rest cannot mend."""
    days = [average for average in averages if average.window == DAY and average.sums]
    yield from of_days(law, days)
    years = law.windows("year", from_ns, to_ns) if days else None
    for start, end in zip(years.from_ns.tolist(), years.to_ns.tolist(), strict=True) if years else ():
        yield from of_year(law, days, start, end, ended=end <= to_ns)


def _wandering(signals: Sequence[Signal]) -> Iterator[str]:
    """What to tell of values that are judged in the minute after the one they are dated in."""
    for signal in signals:
        if moved := int((steadied(signal).time_ns != signal.time_ns).sum()):
            told = "times wander around the full minute; values judged in the one that follows"
            yield f"{signal.parameter}: {told}: {moved}"


def report(pack: RulePack, law: PointRules, derived: Derived) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "rules": pack.id,
        "timezone": law.timezone,
        "averages": [_average(average) for average in derived.averages],
        "exceedances": [_exceedance(exceedance) for exceedance in derived.exceedances],
        "episodes": [_episode(episode) for episode in episodes(law, derived.exceedances)],
        **range_watch(law, derived.averages),
    }


def _average(average: Average) -> dict[str, Any]:
    return {
        "parameter": average.parameter, "window": average.window, "from": rfc3339(average.from_ns),
        "to": rfc3339(average.to_ns), "value": average.value, "evaluated": average.evaluated, "unit": average.unit,
        "coverage": average.coverage, "valid": average.valid, "percentiles": average.percentiles,
        **{name: average.inputs[name] for name in ("not_judged",) if name in average.inputs},
        **certified_inputs(average),
    }  # fmt: skip


def _exceedance(found: Exceedance) -> dict[str, Any]:
    return {
        "clause": found.clause, "parameter": found.parameter, "from": rfc3339(found.from_ns),
        "to": rfc3339(found.to_ns), "value": found.value, "limit": found.limit, "unit": found.unit,
        "standing": found.standing.value,
    }  # fmt: skip


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "clause": episode.clause, "from": rfc3339(episode.from_ns), "to": rfc3339(episode.to_ns),
        "windows": episode.windows,
    }  # fmt: skip


def _require_short(signals: Sequence[Signal], file: str) -> None:
    """Raise FaultyFiles for a file that reaches over more years than are judged at once."""
    first, last = (int(end(signal.time_ns[place] for signal in signals)) for end, place in ((min, 0), (max, -1)))
    if last - first > YEARS_MAX * 366 * 86400 * SECOND_NS:
        message = f"the times reach from {rfc3339(first)} to {rfc3339(last)}"
        hint = f"at most {YEARS_MAX} years are judged at once; is one of the times wrong?"
        raise FaultyFiles([Fault(file, "time", None, message, hint)])


# --- options ---------------------------------------------------------------------------------------


def _require(good: bool, message: str) -> None:
    if not good:
        raise typer.BadParameter(message)


def _pack(name: str, kind: str) -> RulePack:
    """The pack of an id or a file, for this kind of point."""
    _require(kind in KINDS, f"--point {kind!r} is not one of: {', '.join(KINDS)}")
    if name.endswith(".toml") or Path(name).is_file():
        pack, faults = check_pack(name)
        if pack is None:
            raise FaultyFiles(faults)
    else:
        packs = rule_packs()
        _require(name in packs, f"no rule pack {name!r}; there are: {', '.join(sorted(packs))}, or name a file")
        pack = packs[name]
    _require(pack.kind == kind, f"{pack.id} is for {pack.kind}, not for --point {kind}")
    return pack


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f'--timezone {name!r} is not a time zone; an IANA name, as "Asia/Shanghai"') from error
    return name


def _settings(texts: Sequence[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        _require(bool(equals and key.strip()), f"--set {text!r} is not of the form KEY=VALUE")
        settings[key.strip()] = value.strip()
    return settings


def _columns(texts: Sequence[str]) -> dict[str, str]:
    try:
        return parse_columns(texts)
    except ValueError as error:
        raise typer.BadParameter(f"--columns: {error}") from error


def _start(text: str, interval: float | None, zone: str) -> int | None:
    _require(interval is None or 0.001 <= interval <= 366 * 86400, "--interval is in seconds, above 0")
    if not text:
        return None
    _require(interval is not None, "--start needs --interval S, the seconds from row to row")
    try:
        return csv_times.instant(text, zone)
    except ValueError as error:
        raise typer.BadParameter(f"--start {text!r} is not a time, as 2026-11-21T08:00:00Z") from error


def _state(text: str, zone: str) -> State:
    """`start_up=2026-11-20T06:00/2026-11-20T09:00`: a state, its first instant and the one after the last."""
    state, _, span = text.partition("=")
    begin, _, end = span.partition("/")
    _require(state in STATES, f"--state {text!r}: {state!r} is none of {', '.join(STATES)}")
    try:
        found = State(state=state, from_ns=csv_times.instant(begin, zone), to_ns=csv_times.instant(end, zone))
    except ValueError as error:
        raise typer.BadParameter(f"--state {text!r} is not of the form STATE=FROM/TO: {error}") from error
    _require(found.from_ns < found.to_ns, f"--state {text!r} ends before it begins")
    return found


def _parameter(pack: RulePack) -> str:
    """What a column `value` is of, where only one answer makes sense: the level, or the pack's single parameter."""
    names = list(dict.fromkeys(clause.parameter for clause in pack.clauses))
    if pack.kind == "noise":
        rated = pack.rating.rated if pack.rating else ""  # it is made of the level
        return "LAeq" if not names or {"LAeq", rated} & set(names) else names[0]
    return names[0] if len(names) == 1 else ""


def _text(path: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise FaultyFiles([Fault(str(path), "", None, f"not readable: {error.strerror}", "")]) from error
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in raw[:1000]:
        message = "not UTF-8, but UTF-16 (a spreadsheet's Unicode text) or no text at all"
        raise FaultyFiles([Fault(str(path), "", None, message, "save as UTF-8")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Chinese spreadsheets write; it reads any bytes of ASCII headers and numbers the same.
        return raw.decode("gb18030", errors="replace")


# --- for people ------------------------------------------------------------------------------------


def _show(pack: RulePack, law: PointRules, derived: Derived) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"[bold]{pack.title.en}[/bold]  {law.timezone}")
    zone = ZoneInfo(law.timezone)
    _print(console, "Averages longer than an hour", _averages_table(derived.averages, zone))
    found = Table("clause", "parameter", "from", "value", "limit", "unit", "standing", box=None)
    for e in derived.exceedances[:ROWS_MAX]:
        found.add_row(
            e.clause, e.parameter, _local(e.from_ns, zone), f"{e.value:g}", f"{e.limit:g}", e.unit, e.standing
        )
    _print(console, f"Exceedances: {len(derived.exceedances)}", found)
    runs = episodes(law, derived.exceedances)
    table = Table("clause", "parameter", "from", "to", "windows", box=None)
    for run in runs[:ROWS_MAX]:
        table.add_row(run.clause, run.parameter, _local(run.from_ns, zone), _local(run.to_ns, zone), str(run.windows))
    _print(console, f"Episodes: {len(runs)}", table)
    for found_weeks in watched_weeks(law, derived.averages):
        console.print("\n".join(["", *quality_words.weeks(found_weeks)]))


def _averages_table(found: Sequence[Average], zone: ZoneInfo) -> Table:
    table = Table(
        "parameter", "window", "from", "value", "evaluated", "unit", "coverage", "valid", "L10", "L90", box=None
    )
    longer = [average for average in found if average.window not in FIXED_NS]
    for a in longer[:ROWS_MAX]:
        levels = [f"{a.percentiles[name]:.1f}" if name in a.percentiles else "" for name in ("L10", "L90")]
        numbers = ["" if value is None else f"{value:.2f}" for value in (a.value, a.evaluated)]
        table.add_row(
            a.parameter, a.window, _local(a.from_ns, zone), *numbers, a.unit, f"{a.coverage:.1%}",
            "yes" if a.valid else "no", *levels,
        )  # fmt: skip
    return table


def _print(console: Console, title: str, table: Table) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    if table.row_count:
        console.print(table)
    if table.row_count == ROWS_MAX:
        console.print(f"... the first {ROWS_MAX}; --json prints all")


def _local(time_ns: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(time_ns // SECOND_NS, zone).strftime("%Y-%m-%d %H:%M")

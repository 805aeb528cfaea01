"""`emitwatch soundcheck`: hold a sound level meter against its calibrator, and file what it showed.

    emitwatch soundcheck SITE SENSOR --author .. --key ..

The engineer puts the calibrator on; the command watches what the collector stores, takes the mean once the level
stands, waits until the calibrator is off again, marks all of that time as calibration, so that no LAeq has it, and
files a signed record: as found, as left, passed or not. Exit 1 where the meter fails, 2 where nothing stood.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import typer
from msgspec.structs import asdict, replace
from rich.console import Console
from rich.text import Text

from api.filing import (
    AuthorId,
    Interface,
    KeyFile,
    PlantId,
    SitePath,
    TokenFile,
    Url,
    author_of,
    fail,
    interface,
    signer,
)  # fmt: skip
from api.soundcheck import Level, before, over, problems, said, shown, standing
from api.swap_command import sensor_of
from api.times import format_time, parse_time
from collector.catalogue import sound_checks
from collector.marks import Kind, SoundCheck
from collector.sound_checks import Limit, Steady
from gateway import catalogue, terminal
from gateway.measurement import SECOND_NS
from gateway.terminal import AsJson

POLL_S = 0.5
OFF_S = 120.0  # so long the calibrator may stay on after the check; then the check ends as it is
SILENT = ("no_comm", "stale")
Found: TypeAlias = Callable[[Sequence[Level]], Sequence[Level]]


def soundcheck(
    site: SitePath,
    sensor: Annotated[str, typer.Argument(help=r"The [\[sensor]] of the sound level meter.")],
    author: AuthorId,
    key: KeyFile,
    level: Annotated[float, typer.Option(help="What the calibrator makes. [dB]")] = 94.0,
    correction: Annotated[float, typer.Option(help="Of the microphone in it, from the meter's manual. [dB]")] = 0.0,
    tolerance: Annotated[float | None, typer.Option(help="How far off it may be; else as the data say. [dB]")] = None,
    parameter: Annotated[str, typer.Option(help="What is watched.")] = "LAeq",
    adjust: Annotated[bool, typer.Option("--adjust", help="Wait for the meter to be adjusted, measure again.")] = False,
    calibrator: Annotated[str, typer.Option(help="Serial number of the calibrator.")] = "",
    wait: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="How long to wait for a level that stands. [s]")
    ] = 300,
    steady: Annotated[float | None, typer.Option(min=1.0, help="How long it stands; else as the data say. [s]")] = None,
    note: Annotated[str, typer.Option(help="Why; shown with it for ever.")] = "sound check",
    plant: PlantId = "",
    url: Url = "",
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold a sound level meter against a calibrator and file what it showed, signed; exit 1 where it fails."""
    sites = catalogue.load_sites(str(site))
    place, settings = sensor_of(sites, plant, sensor)
    if place.point(settings.point).kind != "noise":
        raise fail(f"{sensor} stands at {settings.point}, where no noise is measured", 2)
    where, who = author_of(sites, place.plant.id, author)
    data = sound_checks()
    rule = data.steady if steady is None else dataclasses.replace(data.steady, seconds=steady)
    limit = data.tolerance if tolerance is None else Limit(tolerance, "")
    drift = data.drift_at(place.point(settings.point).rules)
    with interface(sites, url, token_file) as api:
        by = signer(where, who, key)  # before anybody climbs up
        asked = {"plant": place.plant.id, "point": settings.point, "sensor": settings.id}
        awaited = round(level + correction, 2)
        watch = Watch(api, {**asked, "parameter": parameter}, awaited, rule, sys.stderr.isatty() and not as_json)
        found, left = _levels(watch, wait, adjust)
        check = SoundCheck(
            level=awaited, as_found=found, as_left=left, tolerance=limit.db, tolerance_cite=limit.cite,
            before=before(api.items("marks", **asked), awaited), drift_max=drift.db if drift else None,
            drift_cite=drift.cite if drift else "", serial=_serial(api, asked), calibrator=calibrator, passed=False,
        )  # fmt: skip
        wrong = problems(check)
        record = {"point": settings.point, "sensor": settings.id, "reason": note, **watch.span()}
        time_mark = api.file(by, {**record, "kind": Kind.CALIBRATION})[1]
        check = replace(check, passed=not wrong)
        id = api.file(by, {**record, "kind": Kind.SOUND_CHECK, "sound_check": check})[1]
    if as_json:
        told = {"mark": id, "calibration": time_mark, **asdict(check), "problems": wrong}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(terminal.console(), check, wrong, f"mark {id}, and mark {time_mark}: that time is calibration")
    if wrong:
        raise typer.Exit(1)


@dataclasses.dataclass(slots=True)
class Watch:
    """What the collector has of the meter since the check began. awaited: the calibrator's level. [dB]

    live: whether somebody looks on.
    """

    api: Interface
    asked: dict[str, str]
    awaited: float
    steady: Steady
    live: bool
    began_ns: int = dataclasses.field(default_factory=time.time_ns)
    since_ns: int = 0
    ended_ns: int = 0

    def levels(self) -> list[Level]:
        """What was measured since the check, or its second part, began."""
        since = format_time(max(self.began_ns, self.since_ns))
        items = self.api.items("measurements", **self.asked, **{"from": since, "to": format_time(time.time_ns())})
        usable = (item for item in items if item["value"] is not None and item["status"] not in SILENT)
        return [Level(parse_time(item["time"]), item["value"]) for item in usable]

    def stood(self, wait_s: float) -> float:
        """What the meter shows once the level stands; raises typer.Exit where it never does."""
        found = self._until(lambda levels: standing(levels, self.awaited, self.steady), wait_s)
        if not found:
            newest = self.levels()[-1:]
            last = f"the last level is {newest[0].db:g} dB" if newest else "nothing was measured since"
            raise fail(
                f"no level stood near {self.awaited:g} dB within {wait_s:g} s: {last}\n    hint: {self.hint()}", 2
            )
        return shown(found)

    def off(self) -> None:
        """Wait until the calibrator is off; after OFF_S the check ends all the same."""
        self.say("take the calibrator off")
        self.since_ns = time.time_ns()
        self._until(lambda levels: [one for one in levels[-1:] if one.db < self.awaited - self.steady.near_db], OFF_S)
        self.ended_ns = time.time_ns()

    def hint(self) -> str:
        """What to do where the check ended and the calibrator may have been on."""
        names = [f"--{name} {self.asked[name]}" for name in ("plant", "point", "sensor")]
        return (
            "was the calibrator on? Then what it made is measured as noise until you say so: `emitwatch mark SITE "
            f"--kind calibration {' '.join(names)} --from {format_time(self.began_ns)} --to ...`"
        )

    def span(self) -> dict[str, int]:
        """All of the time in which the calibrator may have been on, to the second after it."""
        return {"from_ns": self.began_ns, "to_ns": (self.ended_ns // SECOND_NS + 1) * SECOND_NS}

    def _until(self, found: Found, wait_s: float) -> Sequence[Level]:
        console, end_s = Console(stderr=True, highlight=False), time.monotonic() + wait_s
        with console.status("waiting") as status:
            while True:
                levels = self.levels()
                if self.live:
                    status.update(f"{levels[-1].db:.1f} dB" if levels else "no measurement yet")
                if (enough := found(levels)) or time.monotonic() >= end_s:
                    return enough
                time.sleep(POLL_S)

    def say(self, text: str) -> None:
        """Tell who stands at the meter."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _levels(watch: Watch, wait_s: float, adjust: bool) -> tuple[float, float]:
    """What the meter shows as found, and as left, with the calibrator off again in the end. [dB]"""
    try:
        watch.say(f"put the calibrator on; waiting for {watch.awaited:g} dB that stand")
        found = left = watch.stood(wait_s)
        watch.say(f"as found {found:.2f} dB ({over(found, watch.awaited):+.2f})")
        if adjust:
            watch.say("adjust the meter now, leave the calibrator on, and press Enter")
            sys.stdin.readline()
            watch.since_ns = time.time_ns()
            left = watch.stood(wait_s)
            watch.say(f"as left {left:.2f} dB ({over(left, watch.awaited):+.2f})")
        watch.off()
    except KeyboardInterrupt:
        watch.say(f"nothing is filed\n    hint: {watch.hint()}")
        raise
    return found, left


def _serial(api: Interface, asked: dict[str, str]) -> str:
    return str(api.items("instruments", **asked)[-1]["serial"])


def _show(console: Console, check: SoundCheck, wrong: Sequence[str], filed: str) -> None:
    table = terminal.table("", "dB", "off by", "allowed", "who says so")
    for name, db in (("as found", check.as_found), ("as left", check.as_left)):
        table.add_row(name, f"{db:.2f}", f"{over(db, check.level):+.2f}", f"{check.tolerance:g}", said(check))
    if check.before is not None:
        allowed = "" if check.drift_max is None else f"{check.drift_max:g}"
        drift = f"{over(check.as_found, check.before):+.2f}"
        table.add_row("check before", f"{check.before:.2f}", drift, allowed, check.drift_cite)
    console.print(table)
    for problem in wrong:
        console.print(Text(problem, "red"))
    console.print(Text("fails" if wrong else "passes", "bold red" if wrong else "bold green"), Text(f"({filed})"))

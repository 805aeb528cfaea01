"""`emitwatch demo`: a whole plant on this machine, from the register to the page, with two days of history.

    register -> Modbus TCP -> gateway -> MQTT -> journal -> store -> verdicts -> incidents -> page

Everything it starts ends with it. The first Ctrl-C ends it in order, the second one at once. With `--for`
it ends by itself: polling stops, the line drains, and the report says whether anything was lost.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from collector.intake.recorder import TICK_NS
from simulators.broker import NoBroker
from simulators.children import Children, tail
from simulators.line import DRAIN_S, Line, PortTaken, Setting
from simulators.report import report

INTERRUPTED = 130
PREFIX = "emitwatch-demo-"
STEP_S = 0.25  # between two looks at the line
LIVE_S = 120.0  # after which a line without live values counts as broken
JUDGED_S = 300.0  # the same for the back-fill: delivered and judged
Said = Callable[[str], None]


class Interrupted(Exception):
    """Somebody wants it to end."""


class Broken(Exception):
    """A part of the line does not do its work; says which and what it had to say."""


def demo(
    for_s: Annotated[float | None, typer.Option("--for", min=0.0, metavar="S", help="end after S seconds")] = None,
    report_file: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="with --for: write JSON")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="of the page; 0 = a free one")] = None,
    broker: Annotated[str | None, typer.Option(metavar="amqtt|mosquitto", help="default: mosquitto if there")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="keep everything in this new folder")] = None,
    seed: Annotated[int, typer.Option(help="another seed, another plant")] = 1,
    hours: Annotated[float, typer.Option(min=0.1, max=720.0, help="of history")] = 48.0,
) -> None:
    """Run a whole simulated plant, from register to page, until Ctrl-C."""
    if broker not in (None, "amqtt", "mosquitto"):
        raise typer.BadParameter("amqtt or mosquitto", param_hint="--broker")
    if data and data.exists() and any(data.iterdir()):
        raise typer.BadParameter(f"{data} is not empty; name a new folder", param_hint="--data")
    sweep(Path(tempfile.gettempdir()))
    folder = data.resolve() if data else Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    stage = _Stage(folder, Setting(broker=broker, port=port, seed=seed, hours=hours))
    code = 1
    try:
        code = stage.run(for_s, report_file)
    finally:
        stage.children.stop_all(2.0)
        if not data:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


def sweep(folder: Path) -> None:
    """Remove what demonstrations left behind that were killed."""
    for left in folder.glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)


class _Stage:
    """One run of the demonstration, in the main thread."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.folder = folder
        self.children = Children(folder / "logs")
        self.line = Line(folder, setting, self.children)
        self.console = Console(highlight=False, soft_wrap=True)
        self.started = time.monotonic()
        self.started_ns = time.time_ns()
        self.stopping = False
        self.sealed: dict[str, Any] = {}
        self.timings: dict[str, float] = {}
        self.goal = 0  # the journal's position when a tick had come after all of the past
        self.ticked = 0.0  # when that is, by the monotonic clock; 0 = the past is not delivered yet

    def run(self, for_s: float | None, report_file: Path | None) -> int:
        """Show everything; the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        try:
            self.line.start(progress=self._progress_line, said=self._said)
            self._mark("started_s")
            self.console.print(f"The page will be at [bold]{self.line.url}[/bold] ({self.line.kind}, Ctrl-C ends it)")
            self._show_past()
            if for_s is None:
                self._until(lambda: False, None, "")
            self._sleep(for_s or 0.0)
            return self._finish(report_file)
        except Interrupted:
            self.console.print("Ending; another Ctrl-C ends it at once.")
            self._end()
            return INTERRUPTED
        except (NoBroker, PortTaken) as error:
            self.console.print(str(error), style="red")
            return 2
        except Broken as error:
            self.console.print(str(error), style="red", markup=False)
            self._end()
            return 1

    # --- signals and lines of children -------------------------------------------------------------

    def _signalled(self, *_: object) -> None:
        if self.stopping:
            self.children.kill_all()
            if self.folder.name.startswith(PREFIX):
                shutil.rmtree(self.folder, ignore_errors=True)
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the progress bar has hidden the cursor
            os._exit(INTERRUPTED)
        self.stopping = True

    def _progress_line(self, line: str) -> None:
        self.sealed = json.loads(line)

    def _said(self, line: str) -> None:
        """The server's console: the first line of each notice is shown, all of it is kept."""
        with (self.folder / "logs" / "console.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if line.startswith("***"):
            self.console.print(line.removeprefix("*** "), style="yellow", markup=False)

    # --- waiting --------------------------------------------------------------------------------------

    def _until(self, reached: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        """Wait until something is reached; raises Interrupted or Broken."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not reached():
            if self.stopping:
                raise Interrupted
            for child in self.children.surprises():
                if child is self.line.history and child.process.returncode == 0:
                    child.ending = True
                    continue
                raise Broken(f"{child.name} ended by itself, {child.process.returncode}:\n{tail(child)}")
            if end is not None and time.monotonic() > end:
                raise Broken(f"{what} within {timeout_s:g} s; the parts' own words are below\n{self._tails()}")
            time.sleep(STEP_S)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= end, None, "")

    def _tails(self) -> str:
        logs = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"--- {log.stem}\n{log.read_text('utf-8', 'replace')[-800:]}" for log in logs)

    def _mark(self, name: str) -> None:
        self.timings.setdefault(name, round(time.monotonic() - self.started, 2))

    # --- the past ---------------------------------------------------------------------------------------

    def _show_past(self) -> None:
        """Wait for page, live values and the past, and show how far each is."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            sealed = bars.add_task("history: sealed", total=None)
            judged = bars.add_task("history: stored and judged", total=None)
            self._until(lambda: self.line.ask("health") is not None, LIVE_S, "the page did not answer")
            self._mark("page_s")
            self.console.print(f"The page is at [bold]{self.line.url}[/bold]")
            self._until(lambda: self._past_step(bars, sealed, judged), JUDGED_S, "history was not delivered and judged")
        self._until(self._live, LIVE_S, "no live value came")
        self.console.print(
            f"{self.sealed.get('total', 0):,} measurements of the last {self.line.setting.hours:g} hours stored and "
            f"judged within {self.timings['judged_s'] - self.timings['started_s']:.0f} s; "
            f"live values since {self.timings['live_s']:.0f} s after the start."
        )

    def _past_step(self, bars: Progress, sealed: TaskID, judged: TaskID) -> bool:
        """One look at the line; whether the past is delivered and judged."""
        self._live()
        if self.sealed:
            bars.update(sealed, completed=self.sealed["sealed"], total=self.sealed["total"])
        health = self.line.ask("health") or {}
        last = health.get("journal", {}).get("position", 0)
        done = min(health.get(part, {}).get("position", 0) for part in ("store", "evaluator"))
        delivered = self.line.history is not None and self.line.history.process.returncode == 0
        if self.sealed and last:
            share = (self.sealed["sealed"] / max(1, self.sealed["total"])) * done / last
            bars.update(judged, completed=100.0 * share, total=100.0)
        if not delivered:
            return False
        if "delivered_s" not in self.timings:
            self._mark("delivered_s")
            self.ticked = time.monotonic() + TICK_NS / 1e9 + 1.0
        if not self.goal and time.monotonic() >= self.ticked:
            self.goal = last  # verdicts come at ticks: the one after delivery derives what was left
        if not self.goal or done < self.goal:
            return False
        self._mark("judged_s")
        return True

    def _live(self) -> bool:
        """Whether a value measured since the start is on the page."""
        if "live_s" in self.timings:
            return True
        points = (self.line.ask("points") or {}).get("items", [])
        latest = [p["latest"] for point in points for p in point["parameters"] if p.get("latest")]
        if any(one["value"] is not None and _time_ns(one["time"]) >= self.started_ns for one in latest):
            self._mark("live_s")
            return True
        return False

    # --- the end ------------------------------------------------------------------------------------------

    def _finish(self, report_file: Path | None) -> int:
        """Stop polling, drain, end everything, count; the exit code."""
        self.console.print("Polling stops; the line drains.")
        end = time.monotonic() + DRAIN_S
        self.children.stop(self.line.gateways, DRAIN_S)
        while time.monotonic() < end and not self._drained() and not self.stopping:
            time.sleep(STEP_S)
        self._end()
        if self.stopping:
            return INTERRUPTED
        found = report(self.line.data, self.line.url) | {"broker": self.line.kind, "timings": self.timings}
        text = json.dumps(found, ensure_ascii=False, indent=2)
        if report_file:
            report_file.write_text(text + "\n", "utf-8")
        self.console.print(text, markup=False)
        return 1 if found["lost"] or found["duplicated"] else 0

    def _drained(self) -> bool:
        """Whether everything received is stored and judged, and everybody who has to be told was told."""
        health = self.line.ask("health") or {}
        last, alerts = health.get("journal", {}).get("position", 0), health.get("alerts", {})
        quiet = not any(alerts.get(name, 0) for name in ("behind", "wanted", "sending"))
        done = min(health.get(part, {}).get("position", 0) for part in ("store", "evaluator"))
        return bool(last) and done >= last and quiet

    def _end(self) -> None:
        """End the children in the direction of the data; all of it fits into ten seconds."""
        first = [*self.line.gateways, *([self.line.history] if self.line.history else [])]
        self.children.stop(first, 2.5)
        if self.line.server:
            self.children.stop([self.line.server], 4.0)
        self.children.stop_all(1.5)


def _time_ns(text: str) -> int:
    """An instant of the interface. [ns since 1970 UTC]"""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return int(moment.timestamp() * 1_000_000) * 1000

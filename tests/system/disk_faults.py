"""Every call to the disk fails once: gateway and collector stop or wait, and nothing they promised is lost.

    python -m tests.system.disk_faults --points 200 --json F
    python -m tests.system.disk_faults --kill --points 50

A point is one life of a process in which one call fails: strace lets the N-th `pwrite64` (or another) of a thread
end with EIO or ENOSPC, in a process that starts or in one that runs already; or a limit on the size of
files makes the kernel write a part of what is asked and then refuse, which no injection can imitate. After each
point the process is killed with what it has and starts into the next one. N grows until it is not reached any
more. With --kill the process is killed as it makes the call, before anything of it is done: between two steps of
whatever it does at that time. Gateway and collector go through their points at the same time; at the end
`chaos_oracle` judges.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from simulators.broker import PLACES
from simulators.children import Child
from tests.system.chaos import Line, line
from tests.system.chaos_oracle import Count, count

# What fails, and how: what SQLite, DuckDB and our own files use.
CALLS = (
    ("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("pread64", "EIO"), ("fsync", "EIO"),
    ("ftruncate", "EIO"), ("rename", "EIO"), ("rename", "ENOSPC"),
)  # fmt: skip
SHORT = "short write"
PHASES = ("runs", "starts")
KILL = "SIGKILL"
STEPS = ("pwrite64", "fdatasync", "sendto", "fsync", "ftruncate", "rename", "unlink")
Kind = tuple[str, str, str]  # phase, call, error
FAULTS: tuple[Kind, ...] = (*((phase, *call) for call in CALLS for phase in PHASES), ("runs", SHORT, "EFBIG"))
KILLS: tuple[Kind, ...] = tuple((phase, call, KILL) for call in STEPS for phase in PHASES)
REACHED_S = 4.0  # within which a call that is to fail is made, or is not made at all
AFTER_S = 1.2  # in which the process ends, or gets over it
READY_S = 20.0  # within which it is at work, or has died of it
WATCHER_S = 5.0  # within which a strace ends that is asked to
OVER_S = 15.0  # in which a gateway that stays writes again
STEP_BYTES = 1000  # by which limits differ: they fall on every place in a page


@dataclass(frozen=True, slots=True)
class Point:
    """One call that fails, or is the last. phase: whether the process runs or starts. number: which one, from 1."""

    phase: str
    call: str
    error: str
    number: int


@dataclass
class Outcome:
    """What became of the points of one process, by the point's kind. ended: the process ended by itself.

    points: different ones that were reached. least: how often each of them was, at least.
    """

    reached: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    stayed: int = 0
    points: int = 0
    least: int = 0


def points(limit: int, kinds: Sequence[Kind]) -> Iterator[tuple[Point, list[bool]]]:
    """Points of some kinds, lowest numbers first; whoever takes one says in the list whether it was reached.

    A kind of which a number was not reached is not tried any further.
    """
    left = list(kinds)
    number = reached = 0
    while left:
        number += 1
        for kind in list(left):
            said: list[bool] = []
            yield Point(*kind, number), said
            reached += said[0]
            if not said[0]:
                left.remove(kind)
            if reached == limit:
                return


class Torment:
    """One process of a line, and how its disk fails."""

    def __init__(self, plant: Line, name: str) -> None:
        self.plant, self.name, self.outcome = plant, name, Outcome()
        self.log = plant.folder / f"{name}.strace"

    def run(self, limit: int, kinds: Sequence[Kind], rounds: int) -> None:
        """Go through so many points that are reached, each so many times, and leave the process running."""
        times: Counter[Point] = Counter()
        for point, said in points(limit, kinds):
            said.append(self.befall(point))
            times[point] += said[0]
        found = [point for point in times if times[point]]
        for point in found * (2 * rounds):  # now and then a point is not reached
            if times[point] < rounds:
                times[point] += self.befall(point)
        self.outcome.points, self.outcome.least = len(found), min((times[point] for point in found), default=0)
        self.kill()
        self.plant.revive(self.name)

    def befall(self, point: Point) -> bool:
        """One point, from a killed process on; whether it was reached."""
        self.kill()
        self.log.unlink(missing_ok=True)
        reached = self.short(point) if point.call == SHORT else self.fail(point)
        if reached:
            kind = f"{point.call} {point.error}, the process {point.phase}"
            self.outcome.reached[kind] = self.outcome.reached.get(kind, 0) + 1
            stayed = self.child.running and self.gets_over_it()
            self.outcome.stayed += stayed
            self.outcome.ended += not stayed
        return reached

    @property
    def child(self) -> Child:
        """The process as it is now."""
        return self.plant.running[self.name]

    def kill(self) -> None:
        """kill -9, if it has not ended by itself."""
        self.child.ending = True
        self.child.process.kill()
        self.child.process.wait()

    def fail(self, point: Point) -> bool:
        """Let one call fail; whether it was made."""
        words = strace(self.log, point)
        watcher = None
        if point.phase == "starts":
            said = self.revive(*words)
            _within(READY_S, lambda: self.injected(point) or said())
        else:
            self.ready()
            watcher = self.plant.children.exec(f"{self.name}-strace", [*words, "-p", str(self.child.process.pid)])
        self.child.ending = True
        reached = _within(REACHED_S, lambda: self.injected(point))
        if reached:
            _within(AFTER_S, lambda: not self.child.running)
        if watcher:
            _end(watcher)
        return reached

    def injected(self, point: Point) -> bool:
        """Whether the call was made; who is killed at it leaves no line."""
        if point.error == KILL:
            return not self.child.running
        return self.log.exists() and "(INJECTED)" in self.log.read_text()

    def gets_over_it(self) -> bool:
        """Whether a process that stays works on. What a gateway has in memory until then, no kill may take away."""
        if self.name == "collector":
            return True  # its intake may have ended; it says so and waits to be started again
        now_ns = time.time_ns()
        newest = "SELECT coalesce(max(sealed_ns), 0) FROM batch"
        writes = _within(OVER_S, lambda: not self.child.running or max(self.plant.outbox(newest))[0] > now_ns)
        assert writes, "the gateway runs and writes nothing"
        return self.child.running

    def short(self, point: Point) -> bool:
        """Let the kernel cut a write where a file reaches a size that is soon reached; afterwards it may grow again."""
        self.ready()
        self.child.ending = True
        pid = self.child.process.pid
        largest = max(file.stat().st_size for file in self.plant.data.glob(f"{self.name}*/**/*-wal"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + point.number * STEP_BYTES, resource.RLIM_INFINITY))
        _within(AFTER_S + 1, lambda: not self.child.running)
        if self.child.running:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            _within(AFTER_S, lambda: not self.child.running)
        return True

    def ready(self) -> None:
        """Start it, and wait until it is at work."""
        assert _within(READY_S, self.revive()), f"the {self.name} does not start"

    def revive(self, *before: str) -> Callable[[], bool]:
        """Start it; the answer tells whether it has said by now that it is at work. before: the words that run it."""
        log = self.plant.folder / "log" / f"{self.name}.log"
        size = log.stat().st_size
        self.plant.revive(self.name, *before)
        word = {"gateway": b"Connected to the broker", "collector": b"The broker is connected"}[self.name]
        return lambda: word in log.read_bytes()[size:]


def strace(log: Path, point: Point) -> list[str]:
    """The words that run a program one of whose calls fails; it stays the child, and strace is a bystander."""
    program = shutil.which("strace", path=PLACES)
    assert program, "strace is not installed: apt-get install strace"
    what = "signal=KILL" if point.error == KILL else f"error={point.error}"
    inject = f"inject={point.call}:{what}:when={point.number}"
    attached = [] if point.phase == "runs" else ["-D", "--seccomp-bpf"]
    return [program, *attached, "-f", "-qqq", "-o", str(log), "-e", f"trace={point.call}", "-e", inject]


def _end(watcher: Child) -> None:
    """End a strace. It may wait for ever for a thread that was made as its process was killed."""
    watcher.ending = True
    watcher.process.terminate()
    try:
        watcher.process.wait(WATCHER_S)
    except subprocess.TimeoutExpired:
        watcher.process.kill()
        watcher.process.wait()


def _within(time_s: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + time_s
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return met


def run(
    folder: Path,
    limit: int,
    kinds: Sequence[Kind] = FAULTS,
    names: Sequence[str] = ("gateway", "collector"),
    *,
    rounds: int = 1,
) -> tuple[Count, dict[str, Outcome]]:
    """So many points of each process, so many times, in an empty folder; the verdict, and what became of the points."""
    with line(folder, points=10, persistence="off") as plant:
        torments = [Torment(plant, name) for name in names]
        with ThreadPoolExecutor(len(torments)) as pool:
            for done in [pool.submit(torment.run, limit, kinds, rounds) for torment in torments]:
                done.result()
            found = plant.finish()  # before the threads end: the kernel ends what they have started with them
        return count(found), {torment.name: torment.outcome for torment in torments}


def main() -> int:
    """Run what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.disk_faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=200, help="how many calls fail in each process")
    parser.add_argument("--kill", action="store_true", help="kill the process at the call instead of failing it")
    parser.add_argument("--rounds", type=int, default=1, help="how often at each of them")
    parser.add_argument("--only", choices=("gateway", "collector"), help="one of the two")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave data and logs there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emitwatch-disk-") as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        names = (options.only,) if options.only else ("gateway", "collector")
        counted, outcomes = run(
            place.resolve(), options.points, KILLS if options.kill else FAULTS, names, rounds=options.rounds
        )
    report = dataclasses.asdict(counted) | {name: dataclasses.asdict(outcome) for name, outcome in outcomes.items()}
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if options.json:
        options.json.write_text(text)
    return 1 if counted.lost or counted.duplicated or counted.unexplained_gaps else 0


if __name__ == "__main__":
    sys.exit(main())

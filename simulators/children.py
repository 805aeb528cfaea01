"""The demonstration's processes: started together, ended together, none left behind.

Each child runs in a session of its own, so that the terminal's Ctrl-C reaches the demonstration alone, which
then ends its children in order; and each is tied to the demonstration's life by `simulators.__main__`, so
that it ends also when the demonstration is killed. What a child says goes to a log file in the data folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.__main__ import PARENT

TAIL_LINES = 12  # of a log, shown when its child ended by itself


@dataclass(slots=True)
class Child:
    """A process of the demonstration. ending: it was asked to end, so its end is no surprise."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    ending: bool = False

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None


class Children:
    """The processes that one demonstration has started. Use from the thread that outlives them all.

    The kernel ends a child when the *thread* that started it ends, so that has to be the main thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._all: list[Child] = []

    def call(
        self, name: str, target: str, arguments: Mapping[str, Any], lines: Callable[[str], None] | None = None
    ) -> Child:
        """Run `module:function` with keyword arguments in a process of its own.

        lines: called in another thread with each line the child writes to its standard output.
        """
        return self._start(name, ["call", target, json.dumps(arguments)], lines)

    def exec(self, name: str, command: Sequence[str]) -> Child:
        """Run another program."""
        return self._start(name, ["exec", *command], None)

    def _start(self, name: str, words: Sequence[str], lines: Callable[[str], None] | None) -> Child:
        log = self._folder / f"{name}.log"
        with log.open("ab") as file:
            process = subprocess.Popen(  # noqa: S603 - the demonstration's own parts
                [sys.executable, "-m", "simulators", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if lines else file,
                stderr=file,
                env={**os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        child = Child(name, process, log)
        self._all.append(child)
        if lines:
            threading.Thread(target=_forward, args=(process, lines), name=f"output of {name}", daemon=True).start()
        return child

    def surprises(self) -> list[Child]:
        """Children that ended without having been asked to."""
        return [child for child in self._all if not child.ending and not child.running]

    def stop(self, children: Iterable[Child], timeout_s: float) -> list[Child]:
        """Ask some to end and wait for them; those that did not are killed and returned."""
        asked = list(children)
        for child in asked:
            child.ending = True
            if child.running:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + timeout_s
        for child in asked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, end - time.monotonic()))
        late = [child for child in asked if child.running]
        for child in late:
            child.process.kill()
            child.process.wait()
        return late

    def stop_all(self, timeout_s: float) -> list[Child]:
        """End every child that still runs, the last one started first."""
        return self.stop([child for child in reversed(self._all) if child.running], timeout_s)

    def kill_all(self) -> None:
        """End every child this instant."""
        for child in self._all:
            child.ending = True
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()


def tail(child: Child) -> str:
    """The end of what a child had to say."""
    with contextlib.suppress(OSError):
        return "\n".join(child.log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:])
    return ""


def _forward(process: subprocess.Popen[str], lines: Callable[[str], None]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines(line.rstrip("\n"))

"""What takes an hour runs beside all other tests, in the time they leave over, and is asked for last."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Meanwhile:
    """A command that yields to everything else on the machine. output: where its standard output goes."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, process_group=0, preexec_fn=lambda: os.nice(19))

    def wait(self) -> str:
        """Its output, when it has ended."""
        self._process.wait()
        return self._output.read_text()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still for what measures how fast something is."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def end(self) -> None:
        """It need not go on, nor may its children."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

"""Where the log of a process goes, so that a log that cannot be written ends nobody.

A disk that is full, a file that may not grow, a pipe whose reader has gone: the log is often on the very disk whose
failure it tells of, and whoever tells of it has more important things to do. A pipe that nobody empties still holds up.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog


class _Patient:
    """The standard output or error there is at the time; what cannot be written is dropped."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            getattr(sys, self._name).write(text)
        return len(text)

    def flush(self) -> None:
        """Bring what waits to the file, or leave it waiting."""
        with suppress(OSError, ValueError):
            getattr(sys, self._name).flush()


def log_to(name: Literal["stdout", "stderr"] = "stdout") -> None:
    """Let the log of this process go there from now on."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Patient(name))))

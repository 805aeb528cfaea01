"""The register of identities on disk, and the thread that notices when it changes.

`append` waits until the disk has the line. A register that is broken, or shorter than it was, changes
nothing for those who follow it: they go on with what they knew and say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from collector.proof.identities import Record, Register, RegisterBroken, read_register
from gateway.identity import sync_folder

FILE = "identities.jsonl"
LOOK_S = 2.0

log = structlog.get_logger(__name__)


def load_register(path: Path) -> Register:
    """The register in a file; an empty one where there is none. Raises RegisterBroken."""
    try:
        return read_register(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        return Register()
    except UnicodeDecodeError as error:
        raise RegisterBroken(f"{path}: not UTF-8: {error}; restore it from a backup") from error
    except OSError as error:
        raise RegisterBroken(f"{path}: not readable: {error.strerror}; check its permissions") from error


def append(path: Path, register: Register, record: Record) -> Register:
    """Add a record to the file that `register` was read from; the register with it."""
    new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(register.line(record))
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)
    return load_register(path)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else changes the identities in a folder meanwhile."""
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Watcher:
    """Follows a register: calls `changed` with each new state, from its own thread.

    trouble: why the file cannot be followed for now, "" = it can.
    """

    def __init__(self, path: Path, changed: Callable[[Register], None], *, look_s: float = LOOK_S) -> None:
        """Read the register once (see `register`); raises RegisterBroken."""
        self.register = load_register(path)
        self.trouble = ""
        self._path, self._changed, self._look_s = path, changed, look_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="identities", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join(5.0)

    def _follow(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except Exception:
                log.exception("The register of identities could not be taken over; trying again.")

    def look(self) -> None:
        """Take over what is new in the file."""
        try:
            found = load_register(self._path)
            if not found.continues(self.register):
                raise RegisterBroken(f"{self._path}: records are gone that were there; restore it from a backup")
        except RegisterBroken as error:
            if self.trouble != str(error):
                self.trouble = str(error)
                log.error("The register of identities is not believed; the last good one stays in force.",
                          reason=self.trouble)  # fmt: skip
            return
        self.trouble = ""
        if found.head != self.register.head:
            new = found.records[len(self.register.records) :]
            self._changed(found)
            self.register = found
            for record in new:
                log.warning("An identity has changed.", gateway=record.gateway, kind=record.kind, reason=record.reason)

"""The files of an outbox, for tests that look behind its back."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gateway.spooler import Spooler


def newest(spooler: Spooler) -> sqlite3.Connection:
    """The database an outbox writes to."""
    files = spooler._store._files
    return files._database(files.newest)


def newest_path(folder: Path) -> Path:
    """The file an outbox writes to."""
    return max((folder / "outbox").glob("*.db"))


def abandon(spooler: Spooler) -> None:
    """End without a goodbye, as a crash does."""
    for database in spooler._store._files._open.values():
        database.close()
    os.close(spooler._lock)

"""`emitwatch backup`: a copy of the collector's folder that a new machine can go on from, made while it runs.

Rules of this file:

- who follows is copied before whom it follows (notices, then verdicts and tree, then the journal), so that nothing
  in the copy is ahead of the copy's journal, and each database is copied as one transaction left it;
- the store is left out: it is made anew from the journal; so is what the broker keeps in `broker/state`, which is not
  ours to read and holds nothing that gateways do not send again. Its folder is there, for the broker needs it;
- the copy has a mark of its own (`intake/generation`): a collector that starts from it begins a new generation
  of the journal, upon which gateways send again whatever it lacks;
- the copy has its name only when it is whole and on the disk.

Keys are in it: whoever can read a backup can sign in the collector's name.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from collector.intake.generation import Mark, encode
from collector.settings import parse_collector
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.identity import sync_folder
from gateway.terminal import AsJson

# Followers first, the journal's months last; what is not named follows nobody that is copied before it.
_ORDER = ("ledger.db", "commands.db", "verdicts.db", "tree.db")
_MARK = "journal.mark"
_BROKERS_OWN = Path("broker/state")
# Locks and what a database keeps beside itself while it is open.
_PASSING = (".db-wal", ".db-shm", ".wal")
_BUSY_S = 60.0


class BackupError(Exception):
    """The copy cannot be made; the text says why and what to do."""


def backup(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; a folder that is not there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy the collector's folder, all but the store, while the collector runs or stands still."""
    settings, faults = parse_collector(catalogue.load_sites(str(site)))
    if settings is None:
        raise FaultyFiles(faults)
    try:
        count, size = copy(Path(settings.folder), to, without=Path(settings.store_path))
    except (BackupError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"no backup was made: {error}\n")
        raise typer.Exit(2) from error
    said = json.dumps({"folder": str(to), "files": count, "bytes": size}) if as_json else ""
    sys.stdout.write(f"{said or f'{to}: {count} files, {size / 1e6:.1f} MB'}\n")


def copy(folder: Path, to: Path, *, without: Path) -> tuple[int, int]:
    """Copy a collector's folder; how many files, and their bytes. without: the store's file."""
    if not any((folder / "journal").glob("*.db")):
        raise BackupError(f"{folder / 'journal'}: no journal here; is it the data_dir of a collector that has run?")
    if to.exists():
        raise BackupError(f"{to} is there already; name a folder that is not there yet")
    draft = to.with_name(f".{to.name}.part")
    if draft.exists():  # of a backup that was interrupted
        shutil.rmtree(draft)
    draft.mkdir(parents=True, mode=0o700)
    files = [path for path in _files(folder) if path.resolve() != without.resolve()]
    for path in files:
        _copy(path, draft / path.relative_to(folder))
    if (folder / _BROKERS_OWN).exists():
        (draft / _BROKERS_OWN).mkdir(parents=True, exist_ok=True)
        for place in (_BROKERS_OWN, _BROKERS_OWN.parent):  # the broker's user gets in by its group
            shutil.copymode(folder / place, draft / place)
    mark = draft / _MARK
    mark.write_bytes(encode(Mark(0, os.urandom(8), 0)))
    _sync(mark)
    for place in sorted({path.parent for path in draft.rglob("*")}, reverse=True):
        sync_folder(place)
    size = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
    draft.rename(to)
    sync_folder(to.absolute().parent)
    return len(files), size


def _files(folder: Path) -> Iterator[Path]:
    """What is copied, in order."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name not in ("lock", _MARK)
        and not path.name.endswith(_PASSING) and folder / _BROKERS_OWN not in path.parents
    ]  # fmt: skip

    def place(path: Path) -> int:
        if path.parent.name == "journal":
            return len(_ORDER)
        return _ORDER.index(path.name) if path.name in _ORDER else -1

    yield from sorted(found, key=place)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.suffix == ".db" and path.stat().st_mode & stat.S_IWUSR:  # a sealed month is copied byte for byte
        to.touch(mode=0o600)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)
        shutil.copymode(path, to)
    else:
        shutil.copy2(path, to)
    _sync(to)


def _sync(path: Path) -> None:
    """Wait until the disk has a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

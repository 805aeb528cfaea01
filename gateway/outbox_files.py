"""The files of an outbox, what they are called, and how the disk's errors are told apart.

    <data_dir>/gateways/<gateway>/{outbox/, epoch, lock, key, reserve}
    outbox/{000001.db, 000002.db ..}

An outbox of an earlier version is one file, outbox.db; it becomes the folder's next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.identity import sync_folder, write_durably
from gateway.retention import Gap
from gateway.shelves import SpoolError, SpoolFull

FOLDER, SINGLE = "outbox", "outbox.db"
# What a file system without room for SQLite's shared index looks like.
_NO_ROOM = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMOPEN,
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell a full disk (SpoolFull) from a broken one (SpoolError)."""
    try:
        yield
    except sqlite3.Error as error:
        if is_full(error):
            raise SpoolFull(f"{path}: the disk is full; make room, nothing is lost yet") from error
        if is_damage(error):
            raise SpoolError(f"{path}: damaged: {error}; the next start salvages what is intact") from error
        raise SpoolError(f"{path}: cannot be used: {error}; check disk and permissions") from error
    except OSError as error:
        raise SpoolError(f"{path}: cannot be used: {error.strerror}; check disk and permissions") from error


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room; a closed database has no code."""
    return getattr(error, "sqlite_errorcode", 0) in _NO_ROOM


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the disk itself failed, so that nothing may be tried again."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_IOERR and not is_full(error)


def segment_path(folder: Path, number: int) -> Path:
    """Where a file of the outbox lies."""
    return folder / f"{number:06}.db"


def numbers(folder: Path) -> list[int]:
    """The files there are, whatever state they are in, the oldest first."""
    found = {path.name[:6] for path in folder.iterdir() if not path.match("*.salvaged-*") and path.name[:6].isdigit()}
    return sorted(int(number) for number in found)


def take_over(folder: Path) -> None:
    """Give the single file of an earlier version its place; its log goes first, so a crash in between does no harm."""
    single = folder / SINGLE
    parts = [path for path in (single, single.with_suffix(".damaged"), single.with_suffix(".suspect")) if path.exists()]
    if not parts:
        return
    (folder / FOLDER).mkdir(exist_ok=True)
    there = numbers(folder / FOLDER)
    orphan = there and not any((folder / FOLDER / f"{there[-1]:06}{end}").exists() for end in (".db", ".damaged"))
    number = (max(there, default=0) + (not orphan)) or 1
    for part in reversed(parts):
        target = segment_path(folder / FOLDER, number).with_suffix(part.suffix)
        for end in ("-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                part.with_name(part.name + end).replace(target.with_name(target.name + end))
    single.with_name(single.name + "-shm").unlink(missing_ok=True)
    sync_folder(folder / FOLDER)
    sync_folder(folder)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """COMMIT at the end, all or nothing."""
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
        raise


def read_batches(folder: str | Path) -> list[tuple[bytes, int, int]]:
    """Epoch, seq and number of measurements of every row in a gateway's outbox: what was measured and is kept."""
    query = "SELECT epoch, seq, n FROM batch"
    return sorted((epoch, seq, n) for epoch, seq, n in _ask(Path(folder), query))


def read_gaps(folder: str | Path) -> list[Gap]:
    """What the records in a gateway's outbox declare as given up, in the order of the records."""
    query = "SELECT epoch, seq, ep, from_seq, to_seq, n, t_first, t_last, reason FROM gap"
    return [Gap(*row[2:]) for row in sorted(_ask(Path(folder), query))]


def first_ns(folder: str | Path) -> int | None:
    """The earliest measurement in a gateway's outbox, if there is one. [ns]"""
    query = "SELECT min(first_ns) FROM batch WHERE n > 0"
    return min((first for (first,) in _ask(Path(folder), query) if first), default=None)


def _ask(folder: Path, query: str) -> Iterator[tuple[Any, ...]]:
    """Ask every file, also while the gateway uses them."""
    for path in [*sorted((folder / FOLDER).glob("*.db")), *folder.glob(SINGLE)]:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            yield from database.execute(query)


def lock(folder: Path) -> int:
    """Take the folder for this process; the system releases it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"{folder}: cannot be used for the outbox: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolError(f"{folder}: another process uses this outbox; a gateway runs once") from error
    return descriptor


def next_counter(folder: Path, last: int) -> int:
    """Count the process starts; higher than any before even when the file or the outbox went missing."""
    path = folder / "epoch"
    # Without the file the outbox still knows the last epoch, and the random half tells any two apart.
    with contextlib.suppress(FileNotFoundError, ValueError):
        last = max(last, int(path.read_text(encoding="ascii")))
    try:
        write_durably(path.with_name(".epoch"), f"{last + 1}\n")
        path.with_name(".epoch").replace(path)
        sync_folder(folder)
    except OSError as error:
        kind = SpoolFull if error.errno == errno.ENOSPC else SpoolError
        raise kind(f"{path}: cannot be written: {error.strerror}; check disk and permissions") from error
    return last + 1


def boot_id() -> str:
    """What tells one start of the machine from the next; "" where the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""

"""The cellar: what is done with the months of the journal that are over.

Sealed, archived to another folder, attached again, or expired. Whatever is done is an event in the journal, in
one transaction with the note of where the month now is (`months`). Rules of this file:

- a file leaves only when its SHA-256 is the one noted when it was sealed, and its copy has it too;
- the note is on the disk before the file leaves; what a crash interrupts in between is finished at the next start;
- the trees keep the leaves of a month, so what left can be told from what was never there.

Errors: JournalError.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from collector.intake import events
from collector.intake.events import What
from collector.intake.journal import Journal, JournalError
from collector.intake.journal_files import batches
from collector.intake.months import SETTLE_NS, Month, State, hours, note, overdue
from collector.intake.segment import Segment, thin
from collector.store import Entry
from gateway.identity import sync_folder

_SAID = {
    What.MONTH_SEALED: "was sealed: nothing of it changes any more",
    What.MONTH_ARCHIVED: "was archived to {place}: its entries are not here any more",
    What.MONTH_ATTACHED: "was attached again",
    What.MONTH_EXPIRED: "has expired: its entries are gone, its leaves stay in the trees",
}


class Cellar:
    """The months of a journal that is open to write."""

    def __init__(self, journal: Journal, followed: Callable[[], int]) -> None:
        """Finishes what an interruption has left half done. Raises JournalError.

        followed: the position up to which all that follow the journal have read it.
        """
        self._journal, self._followed = journal, followed
        for name, segment in journal.closed().items():
            month = journal.months.get(name)
            if month and not month.here and not segment.thin:
                self._take_away(segment)

    def seal(self) -> list[Month]:
        """Seal every month that is over and not sealed yet; raises JournalError where another process reads one."""
        return [
            self._seal(name, segment)
            for name, segment in self._journal.closed().items()
            if name not in self._journal.months
        ]

    def _seal(self, name: str, segment: Segment) -> Month:
        segment.seal()
        last, last_ns = segment.end()
        rows = segment.query("SELECT first_ns, last_ns FROM entry WHERE span IS NOT NULL")
        spans = np.array(rows, np.int64).reshape(-1, 2)
        with _errors(segment.path):
            month = Month(
                name=name, first=segment.first, last=last, last_ns=last_ns, bytes=segment.path.stat().st_size,
                sha256=_sha256(segment.path), covers=hours(spans[:, 0], spans[:, 1]),
            )  # fmt: skip
        self._note(What.MONTH_SEALED, month)
        return month

    def archive(self, name: str, folder: Path) -> Month:
        """Move a month's file to a folder; returns the month as it is noted now."""
        month, segment = self._leaving(name)
        copy = folder.absolute() / segment.path.name
        with _errors(copy):
            folder.mkdir(parents=True, exist_ok=True)
            _copy(segment.path, copy, month)
        month = msgspec.structs.replace(month, state=State.ARCHIVED, place=str(copy.parent))
        self._note(What.MONTH_ARCHIVED, month)
        self._take_away(segment)
        return month

    def expirable(self, name: str) -> Month:
        """The month of that name; raises JournalError where there is none that could expire."""
        month = self._known(name)
        if month.state is State.EXPIRED:
            raise JournalError(f"{name} has expired already")
        return month

    def expire(self, name: str) -> Month:
        """Let a month's entries go, wherever they are said to be; an archived file is not touched."""
        month = self.expirable(name)
        segment = self._leaving(name)[1] if month.here else None
        month = msgspec.structs.replace(month, state=State.EXPIRED)
        self._note(What.MONTH_EXPIRED, month)
        if segment:
            self._take_away(segment)
        return month

    def expire_older(self, keep: int) -> list[Month]:
        """Let all months but the newest and `keep` before it go; 0 = keep all. Those that cannot leave yet stay."""
        due = overdue(self._journal.months.values(), keep, self._journal.newest())
        return [self.expire(month.name) for month in due if self._settled(month)]

    def _settled(self, month: Month) -> bool:
        return self._journal.received_ns >= month.last_ns + SETTLE_NS and self._followed() >= month.last

    def attach(self, file: Path, vouched: Callable[[Entry], bool]) -> Month:
        """Bring a month back from its file. vouched: whether a batch is the one that the trees have at its place."""
        month = self._known(file.stem)
        if month.here:
            raise JournalError(f"{file.stem} is here already")
        segment = self._journal.closed()[month.name]
        draft = segment.path.with_name(f"{segment.path.name}.attached")
        with _errors(file):
            _copy(file, draft, month)
        for entry in batches(draft):
            if not vouched(entry):
                draft.unlink()
                raise JournalError(f"{file}: entry {entry.position} is not what the tree has there; it was altered")
        month = msgspec.structs.replace(month, state=State.SEALED, place="")
        # First the file, then the note: the other way round a crash would leave a note of what is not here.
        self._journal.exchange(month.name, draft)
        self._note(What.MONTH_ATTACHED, month)
        return month

    def _known(self, name: str) -> Month:
        months = self._journal.months
        if name not in months:
            known = ", ".join(map(str, months.values())) or "none"
            raise JournalError(f"{name} is no sealed month of this journal; sealed ones: {known}")
        return months[name]

    def _leaving(self, name: str) -> tuple[Month, Segment]:
        """A month that may leave, with its file as it was sealed."""
        month = self._known(name)
        if not month.here:
            raise JournalError(f"{month} is not here")
        if self._journal.received_ns < month.last_ns + SETTLE_NS:
            raise JournalError(f"{name}: wait until it is over for {SETTLE_NS // 3600 // 10**9} h; it is still judged")
        if self._followed() < month.last:
            raise JournalError(
                f"{name}: not everything that follows the journal has read it yet; let the collector run"
            )
        segment = self._journal.closed()[name]
        with _errors(segment.path):
            if _sha256(segment.path) != month.sha256:
                raise JournalError(f"{segment.path}: it is not as it was sealed; find out who changed it")
        return month, segment

    def _take_away(self, segment: Segment) -> None:
        draft = segment.path.with_name(f"{segment.path.name}.thin")
        thin(segment, draft)
        self._journal.exchange(segment.path.stem, draft)

    def _note(self, what: What, month: Month) -> None:
        detail: dict[str, Any] = {
            "month": month.name, "first": month.first, "last": month.last, "bytes": month.bytes, "sha256": month.sha256,
        }  # fmt: skip
        text = f"month {month.name} of the journal {_SAID[what].format(place=month.place)}"
        told = events.entry(
            what, "", b"", time.time_ns(), text, detail | ({"place": month.place} if month.place else {})
        )
        self._journal.append([told], meta=note(month))


def _copy(source: Path, target: Path, month: Month) -> None:
    """Copy a month's file, to the disk; raises JournalError where it is not the one that was sealed."""
    if _sha256(source) != month.sha256:
        raise JournalError(f"{source}: its SHA-256 is not {month.sha256}, noted when {month.name} was sealed")
    if target.exists() and _sha256(target) == month.sha256:
        return
    if target.exists() and target.suffix == ".db":
        raise JournalError(f"{target}: is there already, and is something else")
    half = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, half)
    with half.open("rb+") as file:
        os.fsync(file.fileno())
    half.chmod(0o440)
    if _sha256(half) != month.sha256:
        raise JournalError(f"{half}: the copy is not the same; is the disk healthy?")
    half.replace(target)
    sync_folder(target.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(f"{error.filename or path}: {error.strerror or error}") from error

"""What memory holds while the disk takes nothing: a note beside the outbox, for the next start to tell.

Measurements wait in memory while the disk is full. A process that is killed then, or ends because the full disk
breaks as well, takes them along, and nobody would know. So each time they cannot be written it is noted how many they
are and which time they span, in a file that has its room already. The note names the last batch of the outbox: where
one with measurements has followed since, what the note speaks of was written after all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from gateway.lanes import Key
from gateway.outbox import Dropped

FILE = "unsaved"
SIZE = 4096
_SUM = 32


class _Note(msgspec.Struct, frozen=True):
    epoch: bytes
    seq: int
    n: int
    first_ns: int
    last_ns: int


_read = msgspec.msgpack.Decoder(_Note).decode


class Unsaved:
    """The note in a gateway's folder. It is a help, and never in the way: what cannot be written is let be."""

    def __init__(self, folder: Path) -> None:
        self._path, self._noted = folder / FILE, True
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, SIZE)
            finally:
                os.close(descriptor)

    def read(self) -> tuple[Key, Dropped] | None:
        """The last batch when it was noted, and what memory held; None where nothing is noted, or it is damaged."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = self._path.read_bytes()
            size = int.from_bytes(found[:2])
            body = found[2 + _SUM : 2 + _SUM + size]
            if size and hashlib.sha256(body).digest() == found[2 : 2 + _SUM]:
                note = _read(body)
                return (note.epoch, note.seq), Dropped(note.n, note.first_ns, note.last_ns)
        return None

    def note(self, last: Key, held: Dropped) -> None:
        """Memory holds this, and the outbox ends with that batch."""
        body = msgspec.msgpack.encode(_Note(*last, held.n, held.first_ns, held.last_ns))
        self._write(len(body).to_bytes(2) + hashlib.sha256(body).digest() + body)
        self._noted = True

    def clear(self) -> None:
        """All that was noted is written."""
        if self._noted:
            self._write(bytes(2))
            self._noted = False

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)  # room may have come
            try:
                os.pwrite(descriptor, data, 0)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

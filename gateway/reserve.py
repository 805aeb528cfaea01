"""Room on the disk that nobody else can take: a file that is there to be given back.

A disk that another process has filled takes not even the word that something was lost: to delete or to mark
needs room as well. So a gateway lays some room aside while there is some. Where a record or an acknowledgement
finds the disk full, the reserve is released. Measurements then take no more of the room than leaves some for
those: a gap record will be needed to say that they were dropped. It is laid again when there is room.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE = 16 << 20
SPARE = 4 << 20  # what measurements leave free while it is spent, and what has to be free besides before it is laid


class Reserve:
    """The reserve in a gateway's folder. spent: it was released, and could not be laid since."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "reserve"
        self.spent = False

    def lay(self) -> bool:
        """Lay it, where it is not laid and there is room; whether it is laid."""
        if not self.laid and free_bytes(self._path.parent) >= SIZE + SPARE:
            with contextlib.suppress(OSError):
                self._allocate()
        if self.laid:
            self.spent = False
        return self.laid

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SIZE)
        except OSError:
            os.ftruncate(descriptor, 0)
            raise
        finally:
            os.close(descriptor)

    def admits(self) -> bool:
        """Whether measurements may be written."""
        return not self.spent or self.lay() or free_bytes(self._path.parent) >= SPARE

    @property
    def laid(self) -> bool:
        """Whether it is there."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_size >= SIZE
        return False

    def release(self) -> bool:
        """Give its room back; False where there was none."""
        if not self.laid:
            return False
        os.truncate(self._path, 0)
        self.spent = True
        return True


def free_bytes(folder: Path) -> int:
    """What a process may still write to the disk under a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize

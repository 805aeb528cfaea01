"""A serial line that is not there: a pseudo-terminal, with a name at which programs open it.

What is written to the name comes out here, and the other way round; speed and parity are accepted and
mean nothing. A name that is there already and is not such a line's is left alone.
"""

from __future__ import annotations

import asyncio
import os
import tty
from pathlib import Path


class PtyPort:
    """One end of a serial line. name: the symbolic link that is made to the other end."""

    def __init__(self, name: str) -> None:
        self.name = Path(name)
        self._end, self._far = -1, -1
        self._stream: asyncio.ReadTransport | None = None

    async def open(self) -> asyncio.StreamReader:
        """Make the line and its name; what comes. Raises OSError where the name cannot be had."""
        if self.name.is_symlink() and str(self.name.readlink()).startswith("/dev/pts/"):
            self.name.unlink()  # left behind by one that was killed
        self._end, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._end, False)
        try:
            self.name.symlink_to(os.ttyname(self._far))
        except OSError:
            self._forget()
            raise
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        self._stream, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(self._end), "rb", 0)
        )
        return reader

    def write(self, data: bytes) -> None:
        """Send bytes; what does not fit into the line, because nobody reads it, is lost."""
        try:
            os.write(self._end, data)
        except BlockingIOError:
            return

    def close(self) -> None:
        """End the line; whoever has it open sees it hang up."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self.name.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        for end in (self._end, self._far):
            if end >= 0:
                os.close(end)
        self._end = self._far = -1

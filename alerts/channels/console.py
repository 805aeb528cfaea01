"""The console: a notice as a block of lines, for whoever watches the process or reads its log."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from alerts.egress import NotSent
from alerts.records import Notice
from alerts.settings import Recipient

_WRITING = threading.Lock()  # one block at a time, whoever writes


class ConsoleChannel:
    """Writes to a stream. stream: None = standard output, as it is when a notice comes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, notice: Notice, recipient: Recipient) -> str:
        """Write one notice; raises NotSent where nothing can be written."""
        stream = self._stream or sys.stdout
        text = "".join(f"    {line}\n" for line in notice.message.text.splitlines())
        try:
            with _WRITING:
                stream.write(f"*** {notice.message.subject}\n{text}")
                stream.flush()
        except UnicodeEncodeError as error:
            raise NotSent(f"the console shows no such characters: {error}; set PYTHONUTF8=1", again=False) from error
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise NotSent(f"the console cannot be written to: {error}") from error
        return f"shown to {recipient.id}"

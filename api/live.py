"""What is new, pushed to every open page: measurements as they are journalled, and hints that lists changed.

One thread follows the journal and hands each batch to all listeners; nothing is decoded while nobody
listens, and a batch whose measurements are older than FRESH_NS (a backlog, the back-fill) is passed
over by its header alone, because a page asks for history by range. A listener that does not keep up
loses the oldest events and is told to load again (`reload`), it never slows the others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from api.views import batch_items
from collector.store import AHEAD_NS, Entry, EntryKind, JournalReader
from gateway.measurement import SECOND_NS
from gateway.seal import SIGNATURE_BYTES
from gateway.wire import WireError, decode

FRESH_NS = 15 * 60 * SECOND_NS
MAX_LISTENERS = 64  # a page each; two cores serve a second's batch to this many in some milliseconds
MAX_WAITING = 256  # events a listener may lag behind, some minutes of a quiet plant
READ_LIMIT = 200
WAIT_S = 1.0

log = structlog.get_logger("api.live")

Changes = Callable[[], dict[str, int]]


class TooManyListeners(Exception):
    """Every place for a listener is taken."""


@dataclass(slots=True, eq=False)
class Listener:
    """One open page. events: (event name, JSON); None = the end."""

    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[tuple[str, bytes] | None] = field(default_factory=asyncio.Queue)
    lagging: bool = False

    def put(self, event: tuple[str, bytes] | None) -> None:
        """Add an event, in the listener's own loop."""
        if event is not None and self.events.qsize() >= MAX_WAITING:
            if not self.lagging:
                self.lagging = True
                self.events.put_nowait(("reload", b"{}"))
            return
        self.lagging = False
        self.events.put_nowait(event)


class Live:
    """Follows the journal for all listeners. changes: newest ids of the lists a page shows, by list."""

    def __init__(self, journal: JournalReader, changes: Changes) -> None:
        self._journal = journal
        self._changes = changes
        self._position: int | None = None  # None: from wherever the journal ends when the thread begins
        self._seen: dict[str, int] = {}
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Begin to follow, from the journal's present end."""
        self._thread.start()

    def stop(self) -> None:
        """End every listener's stream and the thread."""
        self._stopped.set()
        self.end_streams()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * WAIT_S + 1)

    def end_streams(self) -> None:
        """Tell every listener that no more events come."""
        self._send(None)

    def join(self) -> Listener:
        """A place for one more listener; call in its event loop. Raises TooManyListeners."""
        with self._lock:
            if len(self._listeners) >= MAX_LISTENERS:
                raise TooManyListeners(f"{MAX_LISTENERS} pages are open already")
            listener = Listener(asyncio.get_running_loop())
            self._listeners.add(listener)
            return listener

    def leave(self, listener: Listener) -> None:
        """Give the place back."""
        with self._lock:
            self._listeners.discard(listener)

    def count(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def _run(self) -> None:
        """Follow until told to stop; an unforeseen error is logged, and it goes on after the entry at hand."""
        while not self._stopped.is_set():
            try:
                self._follow()
            except Exception:
                log.exception("Pages are not told what is new for a moment.")
                self._stopped.wait(WAIT_S)

    def _follow(self) -> None:
        if self._position is None:
            self._position, self._seen = self._journal.wait(0, 0.0), self._changes()
        while not self._stopped.is_set():
            end = self._journal.wait(self._position, WAIT_S)
            if not self._listeners:
                self._position = end
                continue
            for entry in self._journal.read(self._position, READ_LIMIT):
                self._position = entry.position
                self._forward(entry)
            now = self._changes()
            if now != self._seen:
                self._seen = now
                self._send(("changed", msgspec.json.encode(now)))

    def _forward(self, entry: Entry) -> None:
        if entry.kind is not EntryKind.BATCH or entry.last_ns < entry.received_ns - FRESH_NS:
            return
        try:
            columns = decode(entry.payload[1 + SIGNATURE_BYTES :]).columns
        except WireError as error:
            log.warning("A journalled batch cannot be decoded; pages miss it.", position=entry.position, why=str(error))
            return
        columns = columns.take(columns.time_ns <= entry.received_ns + AHEAD_NS)
        if len(columns):
            self._send(("measurements", msgspec.json.encode({"items": batch_items(columns)})))

    def _send(self, event: tuple[str, bytes] | None) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener.loop.call_soon_threadsafe(listener.put, event)
            except RuntimeError:
                # The loop is closed: the server has stopped before the listener could leave.
                self.leave(listener)

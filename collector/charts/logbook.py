"""Samples of how gateways are, kept on this machine until the store has them, and a while longer.

Nothing else remembers them: states are not journalled. So a server that is away misses none, and one that was emptied
gets back what is still here. A file that is damaged is begun anew: it is only for charts.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from collector.charts.feed import BEGIN, Mark, Point, Row
from collector.charts.samples import sampled

SAMPLE_S = 60
BYTES_MAX = 64 * 1024 * 1024  # a month of ten gateways with ten instruments each
_OLDEST = 1000  # rows that go at once when there is no more room
_SCHEMA = "CREATE TABLE IF NOT EXISTS sample (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER, body BLOB) STRICT"

log = structlog.get_logger(__name__)
_Body = list[tuple[str, dict[str, str], dict[str, float]]]
_decode = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode


class Logbook:
    """A file of samples. A feed, safe to use from any thread."""

    name = "sample"

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = _opened(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._connection = _opened(path)

    def add(self, points: Sequence[Point]) -> None:
        """Keep the points of an instant; the oldest go where there is no room."""
        if not points:
            return
        at_ns, body = points[0].time_ns, _encode([(one.name, one.tags, one.fields) for one in points])
        with self._lock:
            self._connection.execute("INSERT INTO sample (at_ns, body) VALUES (?, ?)", (at_ns, body))
            ((pages, size, free),) = self._connection.execute(
                "SELECT page_count, page_size, freelist_count FROM pragma_page_count, pragma_page_size, "
                "pragma_freelist_count"
            ).fetchall()
            if (pages - free) * size > BYTES_MAX:
                self._connection.execute("DELETE FROM sample WHERE id < (SELECT min(id) FROM sample) + ?", (_OLDEST,))

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The samples that follow a mark; from the oldest on where the mark is of another file."""
        with self._lock:
            known = self._connection.execute("SELECT at_ns FROM sample WHERE id = ?", after[:1]).fetchone()
            ((first,),) = self._connection.execute("SELECT min(id) FROM sample").fetchall()
            if first is not None and after[0] >= first and known != (after[1],):
                after = BEGIN
            sql = "SELECT id, at_ns, body FROM sample WHERE id > ? ORDER BY id LIMIT ?"
            found = self._connection.execute(sql, (after[0], limit)).fetchall()
        return [Row(id, at_ns, tuple(Point(*one, at_ns) for one in _decode(body))) for id, at_ns, body in found]

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(_SCHEMA)
    return connection


class Sampler:
    """Looks each minute how the gateways are, in a thread of its own. trouble: what keeps it, "" = nothing."""

    def __init__(self, logbook: Logbook, gateways: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self.trouble = ""
        self._logbook, self._gateways = logbook, gateways
        self._since_ns = time.time_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Take the first sample, and go on."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def sample(self, now_ns: int) -> None:
        """Keep how the gateways are; a second sample of a minute lies over the first."""
        try:
            self._logbook.add(list(sampled(self._gateways(), now_ns, self._since_ns)))
            self.trouble = ""
        except Exception as error:
            if not self.trouble:
                log.exception("How gateways are is not kept for charts; it is looked at again in a minute.")
            self.trouble = f"how gateways are is not kept for charts: {error}"

    def _run(self) -> None:
        while not self._stop.is_set():
            self.sample(time.time_ns())
            self._stop.wait(SAMPLE_S - time.time() % SAMPLE_S + 0.01)

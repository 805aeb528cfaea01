"""Points for charts copied to the server: what was judged, limits, incidents, gateways and links (`collector.charts`).

Whose points they are counts; these are copies. Rules of this file:

- how far it is with each feed stands in the server and is read from there each time, so that a database that was
  emptied is filled again; a mark names the last row besides its number, so that a feed that was made anew is copied
  from its beginning;
- the marks are written after everything they speak of was acknowledged, and what is written again overwrites itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import structlog

from collector.charts.feed import BEGIN, Feed, Mark, Point, Row
from collector.store import StoreError
from collector.stores.influxdb.dead_letters import DeadLetter, DeadLetters
from collector.stores.influxdb.lines import line, tame
from collector.stores.influxdb.reading import Reader
from collector.stores.influxdb.state import SLOT_NS
from collector.stores.influxdb.transport import Transport
from collector.stores.influxdb.writing import write, write_whole

CURSOR = "emitwatch_verdicts"
GROUP = 2000  # rows of one turn and feed
PAUSE_S, RETRY_S = 2.0, 5.0

log = structlog.get_logger(__name__)


class _Cursor(msgspec.Struct, frozen=True):
    """The last row that was copied of each feed."""

    marks: dict[str, Mark] = {}


_decode = msgspec.json.Decoder(_Cursor).decode
_encode = msgspec.json.Encoder().encode


class Mirror:
    """Follows feeds and copies them, in a thread of its own. trouble: what is wrong now, "" = nothing."""

    def __init__(self, feeds: Sequence[Feed], transport: Transport, letters: DeadLetters) -> None:
        self.trouble = ""
        self._feeds, self._transport, self._letters = list(feeds), transport, letters
        self._reader = Reader(transport)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="charts-to-influxdb", daemon=True)

    def follow(self, feed: Feed) -> None:
        """One more feed, before the start."""
        self._feeds.append(feed)

    def start(self) -> None:
        """Begin to follow the feeds."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the turn under way."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                more = self.turn()
            except StoreError as error:
                if not self.trouble:
                    log.error("Charts cannot be copied to the store; they are later.", reason=str(error))
                self.trouble = f"charts are not copied: {error}"
                self._stop.wait(RETRY_S)
                continue
            except Exception as error:
                if self._stop.is_set():  # a feed may have ended before
                    return
                self.trouble = f"charts are not copied any more: {error}"
                log.exception("Copying charts to the store ended; what they show is not concerned.")
                return
            self.trouble = ""
            if not more:
                self._stop.wait(PAUSE_S)

    def turn(self) -> bool:
        """Copy what comes next; whether there may be more. Raises StoreError."""
        at_ns, marks = self._cursor()
        moved, full = dict(marks), False
        for number, feed in enumerate(self._feeds, 1):
            rows = feed.read(marks.get(feed.name, BEGIN), GROUP)
            if rows:
                self._copy(rows, -number)
                moved[feed.name] = rows[-1].id, rows[-1].check
                full |= len(rows) == GROUP
        if moved != marks:
            slot_ns = max(at_ns, time.time_ns() // SLOT_NS * SLOT_NS)
            write_whole(
                self._transport, [line(CURSOR, {"id": "0"}, {"text": _encode(_Cursor(moved)).decode()}, slot_ns)]
            )
        return full

    def _cursor(self) -> tuple[int, dict[str, Mark]]:
        """Time of the marks' point, and the marks; none where nothing was copied."""
        found = self._reader.texts(CURSOR, ("id",))
        if not found:
            return -(2**62), {}
        try:
            return found[0][0], _decode(found[0][1]).marks
        except msgspec.DecodeError:
            return found[0][0], {}

    def _copy(self, rows: Sequence[Row], stream: int) -> None:
        """Bring rows to the server. stream: stands for that of a measurement where a line is refused."""
        for drop in (drop for row in rows for drop in row.drops):
            self._reader.delete_from(drop.name, _tamed(drop.tags), drop.from_ns)
        points = _last(rows)
        for _, _, one in points:
            if one.anew:
                self._reader.delete_point(one.name, _tamed(one.tags), one.time_ns)
        made = [line(one.name, _tamed(one.tags), one.fields, one.time_ns) for _, _, one in points]
        written = write(self._transport, lambda start, end: made[start:end], len(made))
        self._letters.add(DeadLetter(stream, *points[n][:2], text, why) for n, text, why in written.bad)


def _last(rows: Sequence[Row]) -> list[tuple[int, int, Point]]:
    """The last point of each place, with the number of its row and its own there.

    Where several versions come together, the fields of the first would stay if they were all written.
    """
    found: dict[object, tuple[int, int, Point]] = {}
    for row in rows:
        for number, one in enumerate(row.points):
            key = one.name, tuple(sorted(one.tags.items())), one.time_ns
            before = found.get(key)
            found[key] = row.id, number, replace(one, anew=True) if before and before[2].anew else one
    return list(found.values())


def _tamed(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: tame(value) for key, value in tags.items()}

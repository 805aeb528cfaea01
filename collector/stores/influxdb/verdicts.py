"""Averages and exceedances copied to the server for charts; `verdicts.db` is what counts.

    average,parameter=SO2,plant=riverside,point=stack-1,unit=mg/m3,window=1h value=31.2,evaluated=31,valid=1,... <from>
    exceedance,clause=so2-hour,pack=gb13223-2011,plant=riverside,...,standing=finding value=212,limit=200,... <from>

A point has the time at which its window begins, and a new version overwrites the old one. Rules of this file:

- where a new version has no value for a field that the old one may have, the old point is deleted first, since
  what is written leaves other fields as they were;
- how far it is stands in the server and is read from there each time, so that a database that was emptied is filled
  again; it names the last row besides its id, so that a book that was made anew is copied from its beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from collector.store import StoreError
from collector.stores.influxdb.dead_letters import DeadLetter, DeadLetters
from collector.stores.influxdb.lines import line, tame
from collector.stores.influxdb.reading import Reader
from collector.stores.influxdb.state import SLOT_NS
from collector.stores.influxdb.transport import Transport
from collector.stores.influxdb.writing import write, write_whole
from collector.verdicts.book import AverageRow, Book, ExceedanceRow
from collector.verdicts.records import Change

AVERAGE, EXCEEDANCE, CURSOR = "average", "exceedance", "emitwatch_verdicts"
GROUP = 2000  # rows of one turn
PAUSE_S, RETRY_S = 2.0, 5.0
_AVERAGES, _EXCEEDANCES = -1, -2  # stand for the stream of a refused line

log = structlog.get_logger(__name__)


class _Cursor(msgspec.Struct, frozen=True):
    """The last rows that were copied, and when the average was derived; 0 = none yet."""

    average: int = 0
    exceedance: int = 0
    derived_ns: int = 0


_decode = msgspec.json.Decoder(_Cursor).decode
_encode = msgspec.json.Encoder().encode

Point = tuple[str, dict[str, str], dict[str, float], int, bool]  # name, tags, fields, time, whether to delete first


def average_point(row: AverageRow) -> Point:
    """An average as a point. Pure."""
    one = row.average
    given = {"value": one.value, "evaluated": one.evaluated, "maximum": one.maximum, **one.percentiles}
    fields = {name: float(value) for name, value in given.items() if value is not None}
    tags = {"plant": one.plant, "point": one.point, "parameter": one.parameter, "window": one.window, "unit": one.unit}
    told = {
        "coverage": one.coverage, "valid": float(one.valid), "count": float(one.count), "version": float(one.version),
        "minutes": (one.to_ns - one.from_ns) / 60e9,
    }  # fmt: skip
    return AVERAGE, _tamed(tags), {**fields, **told}, one.from_ns, one.version > 1 and len(fields) < len(given)


def exceedance_point(row: ExceedanceRow) -> Point:
    """An exceedance as a point. Pure."""
    one = row.exceedance
    tags = {
        "plant": one.plant, "point": one.point, "parameter": one.parameter, "window": one.window, "unit": one.unit,
        "pack": one.pack, "clause": one.clause, "standing": one.standing.value,
    }  # fmt: skip
    fields = {
        "value": one.value, "limit": one.limit, "withdrawn": float(one.change is Change.WITHDRAWN),
        "verified": float(one.verified), "late": float(one.late), "version": float(one.version), "id": float(row.id),
        "minutes": (one.to_ns - one.from_ns) / 60e9, **({} if one.low is None else {"low": one.low}),
    }  # fmt: skip
    return EXCEEDANCE, _tamed(tags), fields, one.from_ns, False


def _tamed(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: tame(value) for key, value in tags.items()}


class Mirror:
    """Follows a book and copies it, in a thread of its own. trouble: what is wrong now, "" = nothing."""

    def __init__(self, book: Book, transport: Transport, letters: DeadLetters) -> None:
        self.trouble = ""
        self._book, self._transport, self._letters = book, transport, letters
        self._reader = Reader(transport)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verdicts-to-influxdb", daemon=True)

    def start(self) -> None:
        """Begin to follow the book."""
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
                    log.error("Averages cannot be copied to the store; they are later.", reason=str(error))
                self.trouble = f"averages are not copied: {error}"
                self._stop.wait(RETRY_S)
                continue
            except Exception as error:
                self.trouble = f"averages are not copied any more: {error}"
                log.exception("Copying averages to the store ended; the verdicts themselves are not concerned.")
                return
            self.trouble = ""
            if not more:
                self._stop.wait(PAUSE_S)

    def turn(self) -> bool:
        """Copy what comes next; whether there may be more. Raises StoreError."""
        at_ns, cursor = self._cursor()
        averages = self._book.averages(after_id=cursor.average, limit=GROUP, newest=False)
        exceedances = self._book.exceedances(after_id=cursor.exceedance, limit=GROUP)
        if not averages and not exceedances:
            return False
        self._copy([(row.id, average_point(row)) for row in averages], _AVERAGES)
        self._copy([(row.id, exceedance_point(row)) for row in exceedances], _EXCEEDANCES)
        cursor = _Cursor(
            averages[-1].id if averages else cursor.average,
            exceedances[-1].id if exceedances else cursor.exceedance,
            averages[-1].derived_ns if averages else cursor.derived_ns,
        )
        slot_ns = max(at_ns, time.time_ns() // SLOT_NS * SLOT_NS)
        write_whole(self._transport, [line(CURSOR, {"id": "0"}, {"text": _encode(cursor).decode()}, slot_ns)])
        return max(len(averages), len(exceedances)) == GROUP

    def _cursor(self) -> tuple[int, _Cursor]:
        """Time of the cursor's point, and the cursor; the beginning where the book is another one."""
        found = self._reader.texts(CURSOR, ("id",))
        if not found:
            return -(2**62), _Cursor()
        try:
            cursor = _decode(found[0][1])
        except msgspec.DecodeError:
            return found[0][0], _Cursor()
        if cursor.average:
            last = self._book.averages(after_id=cursor.average - 1, limit=1, newest=False)
            if not last or (last[0].id, last[0].derived_ns) != (cursor.average, cursor.derived_ns):
                return found[0][0], _Cursor()
        return found[0][0], cursor

    def _copy(self, points: Sequence[tuple[int, Point]], kind: int) -> None:
        for _, (name, tags, _fields, time_ns, delete) in points:
            if delete:
                self._reader.delete_point(name, tags, time_ns)
        made = [line(name, tags, fields, time_ns) for _, (name, tags, fields, time_ns, _) in points]
        written = write(self._transport, lambda start, end: made[start:end], len(made))
        self._letters.add(DeadLetter(kind, points[n][0], 0, text, why) for n, text, why in written.bad)

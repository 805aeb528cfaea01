"""The book of verdicts: averages and exceedances, version by version, in `verdicts.db`.

Rules of this file:

- nothing written is ever changed or removed (triggers refuse it); a new result is a new row with
  the next version;
- what one tick derived, the evaluator's state after it and its cursor are one transaction, so
  that a crash leaves either all of it or nothing;
- ids grow with every row over both tables' lives and serve as cursors: append, commit, follow;
- charts are read from columns, which are made of the rows and may be lost (`book_curves`).

The evaluator is the only writer. Readers may call from any thread; each call borrows a
connection of its own, so nobody waits for the writer (SQLite WAL).

    BookError
    `-- raised when the file cannot be used: another version of the product wrote it, or it is damaged
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from collector.marks import Filed
from collector.verdicts import book_curves, book_rows, curves
from collector.verdicts.book_rows import MARKS_SCHEMA, SCHEMA, SCHEMA_VERSION, SUMS_COLUMN
from collector.verdicts.curves import Curve
from collector.verdicts.records import Average, Exceedance
from collector.verdicts.windows import Windows

LIMIT = 10_000  # rows a reader gets at most in one call: what the API promises for raw measurements
END_NS = 2**63 - 1
log = structlog.get_logger(__name__)
Known = tuple[dict[tuple[str, str, int], Average], dict[tuple[str, str, int], Exceedance]]


class BookError(Exception):
    """The book cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class AverageRow:
    """An average as it stands in the book. derived_ns: when, by the journal's time. [ns since 1970 UTC]"""

    id: int
    derived_ns: int
    average: Average


@dataclass(frozen=True, slots=True)
class ExceedanceRow:
    """An exceedance as it stands in the book. derived_ns: when, by the journal's time. [ns since 1970 UTC]"""

    id: int
    derived_ns: int
    exceedance: Exceedance


class Book:
    """`verdicts.db`. One writer (the evaluator), any number of readers in any thread.

    path: the file; it and its folder are made where missing.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._lock = threading.Lock()  # guards _idle alone, so that no reader waits for the writer
        self._news = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._writer = self._open()

    # --- writing ---------------------------------------------------------------------------------

    def commit(
        self,
        averages: Sequence[Average],
        exceedances: Sequence[Exceedance],
        *,
        derived_ns: int,
        state: bytes,
        position: int,
        marks: Sequence[Filed] = (),
    ) -> None:
        """Add what one tick derived and the marks taken since the last, and move state and cursor: all or nothing."""
        with self._writing, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                _insert("average", (*book_rows.AVERAGE, "derived_ns")),
                (book_rows.average_values(a, derived_ns) for a in averages),
            )
            self._writer.executemany(
                _insert("exceedance", (*book_rows.EXCEEDANCE, "derived_ns")),
                (book_rows.exceedance_values(e, derived_ns) for e in exceedances),
            )
            self._writer.executemany(_insert("mark", book_rows.MARK), map(book_rows.mark_values, marks))
            self._writer.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (position, state))
        if averages or exceedances:
            with self._news:
                self._news.notify_all()
        self.fold(len(averages) + book_curves.STEP)

    def fold(self, most: int = book_curves.STEP) -> bool:
        """Make what charts are read from follow the averages, by `most` rows at most; whether more of them wait.

        Commits do so too. A book of a version that knew no such thing has years to do, which others need not wait for.
        """
        try:
            with self._writing, self._writer:
                upto, latest = book_curves.behind(self._writer)
                if latest - upto < book_curves.FEW:
                    return False
                self._writer.execute("BEGIN IMMEDIATE")
                return book_curves.fold(self._writer, most)
        except sqlite3.Error as error:  # what is for charts keeps nobody from judging
            log.warning("Columns for charts cannot be written; charts are read from rows.", reason=str(error))
            return False

    def state(self) -> tuple[int, bytes]:
        """The evaluator's cursor and state as last committed; (0, b"") in a new book."""
        rows = self._rows("SELECT position, body FROM state")
        return (rows[0][0], rows[0][1]) if rows else (0, b"")

    # --- reading ---------------------------------------------------------------------------------

    def cursor(self) -> int:
        """The journal position up to which everything due was judged; 0 = nothing yet."""
        return self.state()[0]

    def averages(
        self,
        *,
        plant: str = "",
        point: str = "",
        parameter: str = "",
        window: str = "",
        from_ns: int = -END_NS,
        to_ns: int = END_NS,
        after_id: int = 0,
        limit: int = LIMIT,
        newest: bool = True,
    ) -> list[AverageRow]:
        """Averages of windows that start in [from_ns, to_ns), ordered by id.

        Empty texts match everything. newest: only the last version of each; else all versions.
        """
        names = {"plant": plant, "point": point, "parameter": parameter, "window": window}
        where, values = _where(names, from_ns, to_ns, after_id)
        if newest:
            where += " AND " + _NEWEST_AVERAGE
        columns = ", ".join(book_rows.AVERAGE)
        sql = f"SELECT id, derived_ns, {columns} FROM average a WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
        return [
            AverageRow(row[0], row[1], book_rows.average(row[2:])) for row in self._rows(sql, *values, _capped(limit))
        ]

    def curve(
        self, plant: str, point: str, *, parameter: str, window: str, from_ns: int, to_ns: int, limit: int = LIMIT
    ) -> Curve:
        """One series of averages by column: windows that start in [from_ns, to_ns), the first `limit` of them."""
        key, limit = (plant, point, window, parameter), _capped(limit)
        if window == book_curves.MINUTES:
            sql = (
                f"SELECT {curves.COLUMNS} FROM average a WHERE (plant, point, window, parameter) = (?, ?, ?, ?) "  # noqa: S608
                f"AND from_ns >= ? AND from_ns < ? AND {_NEWEST_AVERAGE} ORDER BY from_ns LIMIT ?"
            )
            return curves.curve(curves.rows(self._rows(sql, *key, from_ns, to_ns, limit)), from_ns, to_ns, limit)
        with self._reader() as connection:
            connection.execute("BEGIN")
            try:
                found = book_curves.read(connection, key, from_ns, to_ns)
            except sqlite3.Error:  # the columns may be lost
                found = book_curves.from_rows(connection, key, from_ns, to_ns)
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
        return curves.curve(found, from_ns, to_ns, limit)

    def exceedances(
        self,
        *,
        after_id: int = 0,
        plant: str = "",
        point: str = "",
        parameter: str = "",
        pack: str = "",
        clause: str = "",
        window: str = "",
        from_ns: int = -END_NS,
        to_ns: int = END_NS,
        limit: int = LIMIT,
        newest: bool = False,
    ) -> list[ExceedanceRow]:
        """Exceedances with id > after_id, ordered by id: every version, so that a follower misses no change.

        newest: only the last version of each (a withdrawn one included).
        """
        names = {"plant": plant, "point": point, "parameter": parameter, "pack": pack, "clause": clause}
        where, values = _where({**names, "window": window}, from_ns, to_ns, after_id)
        if newest:
            where += " AND " + _NEWEST_EXCEEDANCE
        columns = ", ".join(book_rows.EXCEEDANCE)
        sql = f"SELECT id, derived_ns, {columns} FROM exceedance a WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
        return [
            ExceedanceRow(row[0], row[1], book_rows.exceedance(row[2:]))
            for row in self._rows(sql, *values, _capped(limit))
        ]

    def exceedance(self, id: int) -> ExceedanceRow | None:
        """The exceedance of an id, with its evidence; None where there is none."""
        found = self.exceedances(after_id=id - 1, limit=1)
        return found[0] if found and found[0].id == id else None

    def marks(
        self, *, plant: str = "", point: str = "", from_ns: int = 0, to_ns: int = END_NS, after: int = 0,
        limit: int = END_NS,
    ) -> list[Filed]:  # fmt: skip
        """Marks that speak of a moment in [from_ns, to_ns), with position > after, in the order of the journal.

        A revocation speaks of the span of what it takes back, so one is found with the other.
        """
        names = {column: value for column, value in (("plant", plant), ("point", point)) if value}
        where = " AND ".join([*(f"{column} = ?" for column in names), "from_ns < ? AND to_ns > ? AND position > ?"])
        sql = f"SELECT {', '.join(book_rows.MARK)} FROM mark WHERE {where} ORDER BY position LIMIT ?"  # noqa: S608
        return [book_rows.mark(row) for row in self._rows(sql, *names.values(), to_ns, from_ns, after, limit)]

    def latest_id(self) -> int:
        """The id of the last exceedance; 0 where there is none."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM exceedance")[0][0])

    def wait(self, after: int, timeout_s: float) -> int:
        """The id of the last exceedance, as soon as it is above `after` or the time is over."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while (latest := self.latest_id()) <= after and (left := deadline - time.monotonic()) > 0:
                self._news.wait(left)
        return latest

    def close(self) -> None:
        """Release the file."""
        with self._writing, self._lock:
            for connection in (self._writer, *self._idle):
                connection.close()
            self._idle.clear()

    # --- for the evaluator -------------------------------------------------------------------------

    def known_averages(self, plant: str, point: str, window: str, from_ns: int, to_ns: int) -> list[Average]:
        """The newest version of every average of a kind of window that starts in [from_ns, to_ns)."""
        where, values = _where({"plant": plant, "point": point, "window": window}, from_ns, to_ns, 0)
        sql = f"SELECT {', '.join(book_rows.AVERAGE)} FROM average a WHERE {where} AND {_NEWEST_AVERAGE}"  # noqa: S608
        return [book_rows.average(row) for row in self._rows(sql, *values)]

    def known_exceedances(self, plant: str, point: str, window: str, from_ns: int, to_ns: int) -> list[Exceedance]:
        """The newest version of every exceedance of a kind of window that starts in [from_ns, to_ns)."""
        where, values = _where({"plant": plant, "point": point, "window": window}, from_ns, to_ns, 0)
        return self._standing(where, values)

    def _standing(self, where: str, values: Sequence[Any]) -> list[Exceedance]:
        """The newest version of every exceedance that meets a condition."""
        sql = f"SELECT {', '.join(book_rows.EXCEEDANCE)} FROM exceedance a WHERE {where} AND {_NEWEST_EXCEEDANCE}"  # noqa: S608
        return [book_rows.exceedance(row) for row in self._rows(sql, *values)]

    def known(self, plant: str, point: str, windows: Mapping[str, Windows], found: Iterable[Exceedance] = ()) -> Known:
        """The newest versions of what stands of some windows of a point, by kind: averages and exceedances.

        found: what breaks a clause in them now. A maximum that was judged in windows of another length before, when its
        channel was faster or slower, is known by its clause and start.
        """
        averages: dict[tuple[str, str, int], Average] = {}
        exceedances: dict[tuple[str, str, int], Exceedance] = {}
        for kind, laid in windows.items():
            asked = (plant, point, kind, int(laid.from_ns[0]), int(laid.from_ns[-1]) + 1)
            starts = set(laid.from_ns.tolist())
            for a in self.known_averages(*asked):
                if a.from_ns in starts:
                    averages[a.parameter, a.window, a.from_ns] = a
            for e in self.known_exceedances(*asked):
                if e.from_ns in starts:
                    exceedances[e.pack, e.clause, e.from_ns] = e
        missing: dict[tuple[str, str], set[int]] = {}
        for new in found:
            if (new.pack, new.clause, new.from_ns) not in exceedances:
                missing.setdefault((new.pack, new.clause), set()).add(new.from_ns)
        for (pack, clause), starts in missing.items():
            names = {"plant": plant, "point": point, "pack": pack, "clause": clause}
            standing = self._standing(*_where(names, min(starts), max(starts) + 1, 0))
            exceedances.update(((pack, clause, e.from_ns), e) for e in standing if e.from_ns in starts)
        return averages, exceedances

    # --- connections -----------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            writer = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = FULL")
            version = writer.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                writer.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            if version in (0, SCHEMA_VERSION):
                writer.executescript(MARKS_SCHEMA)
                columns = {row[1] for row in writer.execute("PRAGMA table_info(average)")}
                if "sums" not in columns:
                    writer.execute(SUMS_COLUMN)
                book_curves.prepare(writer)
        except sqlite3.DatabaseError as error:
            hint = "move it away and run `emitwatch rebuild` to derive it again from the journal"
            raise BookError(f"{self._path} cannot be used: {error}; {hint}") from error
        if version not in (0, SCHEMA_VERSION):
            writer.close()
            hint = f"this version reads {SCHEMA_VERSION}: update emitwatch, or move the file away and rebuild"
            raise BookError(f"{self._path} has format {version}; {hint}")
        return writer

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA query_only = 1")
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)

    def _rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._reader() as connection:
            return connection.execute(sql, values).fetchall()


_NEWEST_AVERAGE = (
    "NOT EXISTS (SELECT 1 FROM average n WHERE (n.plant, n.point, n.window, n.parameter, n.from_ns) = "
    "(a.plant, a.point, a.window, a.parameter, a.from_ns) AND n.version > a.version)"
)
_NEWEST_EXCEEDANCE = (
    "NOT EXISTS (SELECT 1 FROM exceedance n WHERE (n.plant, n.point, n.pack, n.clause, n.from_ns) = "
    "(a.plant, a.point, a.pack, a.clause, a.from_ns) AND n.version > a.version)"
)


def _capped(limit: int) -> int:
    return max(0, min(limit, LIMIT))


def _where(names: dict[str, str], from_ns: int, to_ns: int, after_id: int) -> tuple[str, list[Any]]:
    """The condition on the columns whose name is given, and its values."""
    asked = {column: value for column, value in names.items() if value}
    parts = [f"{column} = ?" for column in asked]
    values: list[Any] = list(asked.values())
    for condition, value, default in (
        ("from_ns >= ?", from_ns, -END_NS),
        ("from_ns < ?", to_ns, END_NS),
    ):
        if value != default:
            parts.append(condition)
            values.append(value)
    return " AND ".join([*parts, "id > ?"]), [*values, after_id]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608

"""The ledger: incidents, their history and every notice, in `ledger.db`; people's commands in `commands.db`.

Rules of this file:

- what one step changed, the notices it wants and the cursors it read up to are one transaction, so that
  a restart goes on exactly where the ledger ends: no exceedance counts twice, none is skipped;
- a notice is `wanted`, then `sending`, then `sent` or `failed`, each committed before the next begins.
  `begin` hands a notice out once: it commits `sending` before the first byte leaves. What ended for
  certain before the other side took it comes back as `wanted` and is tried again later;
- **a restart never sends twice.** When the process or the machine dies between `sending` and `sent`,
  nobody here knows whether the message arrived. It is then marked `unknown`, logged as an error and
  shown, and not sent again: the notice may be lost, never doubled. The incident stays open and visible.
- one process owns the ledger (a lock on `ledger.lock`); others may read.

Readers may be called from any thread. Answers are plain records (alerts/records.py).

    LedgerError
    |-- LedgerBusy       another process owns the ledger
    `-- UnknownIncident  a command names an incident that is not there
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts import ledger_rows as rows
from alerts.commissioning import called, held
from alerts.records import Case, Command, Event, Incident, Member, Notice, NoticeState, Reason, Step, Wanted
from collector.verdicts.records import Exceedance

LIMIT = 1000  # rows a reader gets at most in one call
NOTE_MAX = 2000  # characters of a person's note: a paragraph, not a file
LAST = 2**62


class LedgerError(Exception):
    """The ledger cannot be used; the message says why and what to do."""


class LedgerBusy(LedgerError):
    """Another process owns the ledger."""


class UnknownIncident(LedgerError):
    """There is no incident of that number."""


@dataclass(frozen=True, slots=True)
class Change:
    """One version of an incident as it was committed. number: grows. at_ns: when. first_ns: its first version's begin.

    [ns since 1970 UTC]
    """

    number: int
    at_ns: int
    first_ns: int
    incident: Incident


class Ledger:
    """`ledger.db` and `commands.db` in a folder, which is made where missing."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._owner: int | None = None
        self._counting = threading.Lock()  # the page asks for counts all the time; they are kept until a row changes
        self._counted: tuple[tuple[int, int], dict[str, int]] = ((-1, -1), {})
        self._ledger = _File(self.folder / "ledger.db", rows.SCHEMA, rows.CHANGES_SCHEMA)
        self._commands = _File(self.folder / "commands.db", rows.COMMANDS_SCHEMA)

    def own(self, now_ns: int) -> list[Notice]:
        """Take the ledger for this process; gives the notices whose sending a former process did not survive.

        These are `unknown` from now on. Raises LedgerBusy when another process has the ledger.
        """
        if self._owner is None:
            self._owner = _locked(self.folder / "ledger.lock")
        with self._ledger.transaction() as connection:
            found = connection.execute(rows.INTERRUPTED).fetchall()
            for notice, attempt in found:
                detail = "the process ended while sending; it may or may not have arrived, and is not sent again"
                _deliver(connection, notice, now_ns, NoticeState.UNKNOWN, attempt, detail)
        return [notice for id, _ in found if (notice := self.notice(id)) is not None]

    def abandon(self, channels: Sequence[str], now_ns: int) -> list[Notice]:
        """Give up what is to be sent over channels that are no longer there; gives these notices."""
        found = [(id, name) for id, name in self._ledger.rows(rows.PENDING) if name not in channels]
        with self._ledger.transaction() as connection:
            for notice, name in found:
                detail = f"channel {name!r} is no longer in the site file"
                _deliver(connection, notice, now_ns, NoticeState.FAILED, 0, detail)
        return [notice for id, _ in found if (notice := self.notice(id)) is not None]

    def suppress(self, places: Collection[tuple[str, str]], why: str, now_ns: int) -> list[Notice]:
        """Do not send what is to be sent about these points, (plant, point), but an end to whom was called of it.

        Gives these notices.
        """
        found = [
            (notice, incident, reason)
            for place in places
            for notice, incident, reason, recipient in self._ledger.rows(rows.PENDING_AT, *place)
            if recipient not in called(self.notices(incident), Reason(reason))
        ]
        with self._ledger.transaction() as connection:
            for notice, incident, reason in found:
                _deliver(connection, notice, now_ns, NoticeState.SUPPRESSED, 0, why)
                connection.executemany(rows.INSERT_EVENT, map(rows.event_values, held(incident, reason, why, now_ns)))
        return [notice for id, _, _ in found if (notice := self.notice(id)) is not None]

    def held(self) -> list[Incident]:
        """Incidents that are open, and of which nobody was told because their point was in commissioning."""
        return [rows.incident(row[0]) for row in self._ledger.rows(rows.HELD)]

    def close(self) -> None:
        """Release files and lock."""
        self._ledger.close()
        self._commands.close()
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    # --- the follower -----------------------------------------------------------------------------

    def commit(
        self, step: Step, wanted: Sequence[Wanted], *, exceedance: int, command: int, now_ns: int
    ) -> list[tuple[int, Wanted]]:
        """Add what one step did, the notices it wants and the cursors it reached: all or nothing.

        Gives the new notices with their numbers; one that the ledger has already is not added again.
        """
        with self._ledger.transaction() as connection:
            for case in step.cases:
                connection.execute(rows.INSERT_INCIDENT, rows.incident_values(case.incident, now_ns))
                members = [rows.member_values(case.incident.id, member) for member in case.members.values()]
                connection.executemany(rows.INSERT_MEMBER, members)
            connection.executemany(rows.INSERT_EVENT, map(rows.event_values, step.events))
            added = [(id, one) for one in wanted if (id := _add_notice(connection, one, now_ns)) is not None]
            connection.executemany(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?)", [("exceedance", exceedance), ("command", command)]
            )
        return added

    def cursors(self) -> tuple[int, int]:
        """The last exceedance and the last command that were applied; 0 = none."""
        found = dict(self._ledger.rows("SELECT name, value FROM cursor"))
        return found.get("exceedance", 0), found.get("command", 0)

    def next_id(self) -> int:
        """The number of the next new incident."""
        return int(self._ledger.rows("SELECT coalesce(max(id), 0) + 1 FROM incident")[0][0])

    def cases(self, exceedances: Sequence[Exceedance], incidents: Iterable[int], *, span_ns: int) -> list[Case]:
        """What `incidents.advance` needs: all incidents not closed, those named, and those the exceedances may touch.

        The last ones come with their members. span_ns: how near counts, beside the windows' own length. [ns]
        """
        places: dict[tuple[str, str, str, str], list[Exceedance]] = {}
        for e in exceedances:
            places.setdefault((e.plant, e.point, e.pack, e.clause), []).append(e)
        ids = {id for place, found in places.items() for id in self._touched(place, found, span_ns)}
        plain = set(incidents) | {row[0] for row in self._ledger.rows(rows.OPEN)}
        return [Case(i, self._members(i.id)) for id in sorted(ids) if (i := self.incident(id)) is not None] + [
            Case(i) for id in sorted(plain - ids) if (i := self.incident(id)) is not None
        ]

    def _touched(self, place: tuple[str, str, str, str], found: Sequence[Exceedance], span_ns: int) -> list[int]:
        first, last = min(e.from_ns for e in found), max(e.to_ns for e in found)
        span = max([span_ns, *(e.to_ns - e.from_ns for e in found)])
        near = self._ledger.rows(rows.NEAR, *place, last + span, first - span, first, last)
        return [row[0] for row in near]

    def _members(self, incident: int) -> dict[int, Member]:
        found = [rows.member(row[0]) for row in self._ledger.rows(rows.MEMBERS, incident)]
        return {member.from_ns: member for member in found}

    # --- the senders ------------------------------------------------------------------------------

    def begin(self, channel: str, now_ns: int) -> Notice | None:
        """Hand out the next due notice of a channel, marked `sending`; None = nothing is due."""
        if not self._ledger.rows(rows.DUE, channel, now_ns):
            return None
        with self._ledger.transaction() as connection:
            found = connection.execute(rows.DUE, (channel, now_ns)).fetchone()
            if found is None:
                return None
            row = connection.execute(rows.NOTICE, found).fetchone()
            attempt = rows.notice(row).attempts + 1
            _deliver(connection, found[0], now_ns, NoticeState.SENDING, attempt, "")
        return self.notice(found[0])

    def end(self, notice: Notice, state: NoticeState, now_ns: int, detail: str, *, due_ns: int = 0) -> None:
        """Say how a notice that `begin` handed out ended; `wanted` = not taken, to be tried again at due_ns."""
        with self._ledger.transaction() as connection:
            _deliver(connection, notice.id, now_ns, state, notice.attempts, detail[:500], due_ns)

    def next_due(self, channel: str) -> int | None:
        """When the next notice of a channel is due; None = there is none. [ns since 1970 UTC]"""
        sql = "SELECT min(due_ns) FROM pending WHERE channel = ? AND NOT sending"
        return self._ledger.rows(sql, channel)[0][0]  # type: ignore[no-any-return]

    # --- readers ----------------------------------------------------------------------------------

    def incidents(
        self, *, limit: int = 100, after: int | None = None, state: str = "", plant: str = "", point: str = ""
    ) -> list[Incident]:
        """Incidents with id < after, newest first. state: open, acknowledged or closed; "" = all."""
        asked = {name: value for name, value in (("state", state), ("plant", plant), ("point", point)) if value}
        where = "".join(f" AND {name} = ?" for name in asked)
        sql = f"SELECT body FROM incident_now WHERE id < ?{where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - fixed names
        found = self._ledger.rows(sql, LAST if after is None else after, *asked.values(), _capped(limit))
        return [rows.incident(row[0]) for row in found]

    def incident(self, id: int) -> Incident | None:
        """The newest version of an incident; None where there is none."""
        found = self._ledger.rows("SELECT body FROM incident WHERE id = ? ORDER BY version DESC LIMIT 1", id)
        return rows.incident(found[0][0]) if found else None

    def incident_of(self, exceedance: Exceedance) -> Incident | None:
        """The incident that gathers an exceedance, the newest where there are several; None where there is none."""
        e = exceedance
        found = self._ledger.rows(rows.INCIDENT_OF, e.plant, e.point, e.pack, e.clause, e.from_ns)
        return rows.incident(found[0][0]) if found else None

    def members(self, incident: int) -> list[Member]:
        """The exceedances an incident gathers, by time, those withdrawn since included."""
        return list(self._members(incident).values())

    def events(self, incident: int) -> list[Event]:
        """The history of an incident, oldest first."""
        sql = "SELECT incident, at_ns, kind, detail, who FROM event WHERE incident = ? ORDER BY id"
        return [rows.event(row) for row in self._ledger.rows(sql, incident)]

    def notices(self, incident: int | None = None, *, after: int | None = None, limit: int = LIMIT) -> list[Notice]:
        """Notices with id < after, newest first, of one incident or (None) of all."""
        asked = () if incident is None else (incident,)
        below = LAST if after is None else after
        found = self._ledger.rows(rows.NOTICES_OF if asked else rows.NOTICES, *asked, below, _capped(limit))
        return [rows.notice(row) for row in found]

    def notice(self, id: int) -> Notice | None:
        """The notice of a number, as it stands; None where there is none."""
        found = self._ledger.rows(rows.NOTICE, id)
        return rows.notice(found[0]) if found else None

    def changes(self, after: int, limit: int) -> list[Change]:
        """Versions of incidents with number > after, in the order in which they were committed."""
        found = self._ledger.rows(rows.CHANGES, after, limit)
        return [Change(number, at_ns, first_ns, rows.incident(body)) for number, at_ns, first_ns, body in found]

    def counts(self) -> dict[str, int]:
        """How many notices are in each state, and how many incidents are not closed."""
        with self._counting:
            if (mark := self._ledger.state()) != self._counted[0]:
                counts = {state.value: 0 for state in NoticeState} | dict(self._ledger.rows(rows.COUNTS))
                self._counted = mark, counts | {"incidents": len(self._ledger.rows(rows.OPEN))}
            return dict(self._counted[1])

    # --- commands ---------------------------------------------------------------------------------

    def acknowledge(self, incident: int, who: str, note: str, now_ns: int) -> int:
        """Write down that a person takes care of an incident; gives the command's number.

        Raises UnknownIncident.
        """
        if self.incident(incident) is None:
            raise UnknownIncident(f"there is no incident {incident}; `incidents` lists them")
        sql = "INSERT INTO command (at_ns, kind, incident, who, note) VALUES (?, 'acknowledge', ?, ?, ?)"
        with self._commands.transaction() as connection:
            return int(connection.execute(sql, (now_ns, incident, who, note[:NOTE_MAX])).lastrowid or 0)

    def commands(self, after: int, limit: int = LIMIT) -> list[Command]:
        """Commands with id > after, oldest first."""
        sql = "SELECT id, at_ns, incident, who, note FROM command WHERE id > ? ORDER BY id LIMIT ?"
        return [
            Command(id=row[0], at_ns=row[1], incident=row[2], who=row[3], note=row[4])
            for row in self._commands.rows(sql, after, _capped(limit))
        ]


class _File:
    """One SQLite file with one connection, whose users wait for one another: writes take milliseconds."""

    def __init__(self, path: Path, schema: str, more: str = "") -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            version = self._prepare(schema, more)
        except sqlite3.DatabaseError as error:
            self.close()
            raise LedgerError(f"{path} cannot be used: {error}; move it away, or restore it from a copy") from error
        if version not in (0, rows.SCHEMA_VERSION):
            self.close()
            hint = f"this version reads {rows.SCHEMA_VERSION}: update emitwatch"
            raise LedgerError(f"{path} has format {version}, {hint}")

    def _prepare(self, schema: str, more: str) -> int:
        """Set the file up where it is new; gives the format it had. more: what may have come later."""
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.transaction() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for statement in _statements(schema) if version == 0 else ():
                connection.execute(statement)
            for statement in _statements(more) if version in (0, rows.SCHEMA_VERSION) else ():
                connection.execute(statement)
        return version

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it ends."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def state(self) -> tuple[int, int]:
        """Two numbers that change whenever the file does, by others or by this connection."""
        with self._lock:
            return self._connection.execute("PRAGMA data_version").fetchone()[0], self._connection.total_changes

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _statements(schema: str) -> Iterator[str]:
    """The statements of a schema one by one: `executescript` would end the transaction."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _locked(path: Path) -> int:
    owner = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(owner)
        raise LedgerBusy(f"{path.parent}: another process owns the ledger; end that `emitwatch run` first") from error
    return owner


def _add_notice(connection: sqlite3.Connection, wanted: Wanted, now_ns: int) -> int | None:
    cursor = connection.execute(rows.INSERT_NOTICE, rows.notice_values(wanted, now_ns))
    if cursor.rowcount != 1 or cursor.lastrowid is None:
        return None
    if wanted.suppressed:
        _deliver(connection, cursor.lastrowid, now_ns, NoticeState.SUPPRESSED, 0, wanted.suppressed)
        return cursor.lastrowid
    connection.execute("INSERT INTO pending VALUES (?, ?, ?, 0)", (cursor.lastrowid, wanted.channel, now_ns))
    return cursor.lastrowid


def _deliver(
    connection: sqlite3.Connection,
    notice: int,
    now_ns: int,
    state: NoticeState,
    attempt: int,
    detail: str,
    due_ns: int = 0,
) -> None:
    """Write down a step of a notice's way, and whether it is still to be sent."""
    connection.execute(rows.INSERT_DELIVERY, (notice, now_ns, state, attempt, detail))
    if state is NoticeState.SENDING:
        connection.execute("UPDATE pending SET sending = 1 WHERE notice = ?", (notice,))
    elif state is NoticeState.WANTED:
        connection.execute("UPDATE pending SET sending = 0, due_ns = ? WHERE notice = ?", (due_ns, notice))
    else:
        connection.execute("DELETE FROM pending WHERE notice = ?", (notice,))


def _capped(limit: int) -> int:
    return max(0, min(limit, LIMIT))

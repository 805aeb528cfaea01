"""Rows of the ledger and the records they stand for; the layout of `ledger.db` and `commands.db`.

`incident` holds every version of every incident, `member` every version of the exceedances in them, `event` their
history, `notice` every message and `delivery` each step of its way: all append-only. Only `pending` and `cursor`
change, which say what is still to be sent and how far the book of verdicts was read. Pure: `ledger.py` moves the rows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.records import Event, EventKind, Incident, Member, Message, Notice, NoticeState, Reason, Wanted

SCHEMA_VERSION = 1

_APPEND_ONLY = "\n".join(
    f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    for table in ("incident", "member", "event", "notice", "delivery")
    for event in ("update", "delete")
)
SCHEMA = f"""
CREATE TABLE incident (
    id INTEGER NOT NULL, version INTEGER NOT NULL, at_ns INTEGER NOT NULL, state TEXT NOT NULL, plant TEXT NOT NULL,
    point TEXT NOT NULL, pack TEXT NOT NULL, clause TEXT NOT NULL, from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_place ON incident (plant, point, pack, clause, to_ns);
CREATE INDEX incident_open ON incident (id) WHERE state != 'closed';
CREATE TABLE member (
    incident INTEGER NOT NULL, from_ns INTEGER NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (incident, from_ns, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL, at_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    detail TEXT NOT NULL, who TEXT NOT NULL
) STRICT;
CREATE INDEX event_incident ON event (incident);
CREATE TABLE notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL, pack TEXT NOT NULL, clause TEXT NOT NULL,
    reason TEXT NOT NULL, recipient TEXT NOT NULL, channel TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
    late INTEGER NOT NULL, wanted_ns INTEGER NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL, payload TEXT NOT NULL
) STRICT;
CREATE INDEX notice_incident ON notice (incident);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT, notice INTEGER NOT NULL, at_ns INTEGER NOT NULL, state TEXT NOT NULL,
    attempt INTEGER NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE INDEX delivery_notice ON delivery (notice);
CREATE TABLE pending (
    notice INTEGER PRIMARY KEY, channel TEXT NOT NULL, due_ns INTEGER NOT NULL, sending INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_due ON pending (channel, due_ns);
CREATE VIEW incident_now AS SELECT * FROM incident i
    WHERE NOT EXISTS (SELECT 1 FROM incident n WHERE n.id = i.id AND n.version > i.version);
CREATE VIEW notice_now AS SELECT n.*, coalesce(d.state, 'wanted') AS state, coalesce(d.at_ns, n.wanted_ns) AS at_ns,
    coalesce(d.attempt, 0) AS attempt, coalesce(d.detail, '') AS detail
    FROM notice n LEFT JOIN delivery d ON d.id = (SELECT max(id) FROM delivery WHERE notice = n.id);
CREATE TABLE cursor (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
{_APPEND_ONLY}
PRAGMA user_version = {SCHEMA_VERSION};
"""  # noqa: S608 - a schema of constants
# Beside the schema, so that a ledger made before there was this gets it too.
CHANGES_SCHEMA = """
CREATE TABLE IF NOT EXISTS change (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL, version INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS incident_change AFTER INSERT ON incident
BEGIN INSERT INTO change (id, version) VALUES (new.id, new.version); END;
INSERT INTO change (id, version)
    SELECT id, version FROM incident WHERE NOT EXISTS (SELECT 1 FROM change) ORDER BY at_ns, id, version;
"""
COMMANDS_SCHEMA = f"""
CREATE TABLE command (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, incident INTEGER NOT NULL,
    who TEXT NOT NULL, note TEXT NOT NULL
) STRICT;
CREATE TRIGGER command_no_update BEFORE UPDATE ON command
BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END;
CREATE TRIGGER command_no_delete BEFORE DELETE ON command
BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END;
PRAGMA user_version = {SCHEMA_VERSION};
"""

INSERT_INCIDENT = "INSERT INTO incident VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_MEMBER = "INSERT INTO member VALUES (?, ?, ?, ?)"
INSERT_EVENT = "INSERT INTO event (incident, at_ns, kind, detail, who) VALUES (?, ?, ?, ?, ?)"
INSERT_NOTICE = (
    "INSERT INTO notice (incident, pack, clause, reason, recipient, channel, digest, late, wanted_ns, subject, text, "
    "payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING"
)
INSERT_DELIVERY = "INSERT INTO delivery (notice, at_ns, state, attempt, detail) VALUES (?, ?, ?, ?, ?)"

CHANGES = (
    "SELECT c.number, i.at_ns, f.from_ns, i.body FROM change c JOIN incident i ON (i.id, i.version) = (c.id, c.version)"
    " JOIN incident f ON (f.id, f.version) = (c.id, 1) WHERE c.number > ? ORDER BY c.number LIMIT ?"
)
OPEN = "SELECT id FROM incident_now WHERE state != 'closed'"
NEAR = (
    "SELECT id FROM incident_now i WHERE (plant, point, pack, clause) = (?, ?, ?, ?) AND (from_ns <= ? AND to_ns >= ? "
    "OR EXISTS (SELECT 1 FROM member m WHERE m.incident = i.id AND m.from_ns BETWEEN ? AND ?))"
)
MEMBERS = (
    "SELECT body FROM member m WHERE incident = ? AND NOT EXISTS (SELECT 1 FROM member n WHERE "
    "n.incident = m.incident AND n.from_ns = m.from_ns AND n.version > m.version) ORDER BY from_ns"
)
NOTICE = "SELECT * FROM notice_now WHERE id = ?"
NOTICES = "SELECT * FROM notice_now WHERE id < ? ORDER BY id DESC LIMIT ?"
NOTICES_OF = "SELECT * FROM notice_now WHERE incident = ? AND id < ? ORDER BY id DESC LIMIT ?"
INCIDENT_OF = (
    "SELECT i.body FROM incident_now i JOIN member m ON m.incident = i.id"
    " WHERE i.plant = ? AND i.point = ? AND i.pack = ? AND i.clause = ? AND m.from_ns = ? ORDER BY i.id DESC LIMIT 1"
)
COUNTS = "SELECT state, count(*) FROM notice_now GROUP BY state"
DUE = "SELECT notice FROM pending WHERE channel = ? AND NOT sending AND due_ns <= ? ORDER BY due_ns, notice LIMIT 1"
PENDING = "SELECT notice, channel FROM pending"
PENDING_AT = (
    "SELECT p.notice, n.incident, n.reason, n.recipient FROM pending p JOIN notice n ON n.id = p.notice "
    "JOIN incident_now i ON i.id = n.incident WHERE (i.plant, i.point) = (?, ?) AND NOT p.sending ORDER BY p.notice"
)
# What was open when nobody was told of it, and nobody has been told since. That it opened again tells by itself nobody:
# of what is late no notice goes out then. A notice and the event it tells of have the same instant: one step made both.
HELD = (
    "SELECT body FROM incident_now i WHERE state != 'closed' AND EXISTS (SELECT 1 FROM event e WHERE e.incident = i.id "
    "AND e.kind = 'suppressed' AND NOT EXISTS (SELECT 1 FROM event l WHERE l.incident = i.id AND l.id > e.id "
    "AND (l.kind = 'commissioned' OR l.kind IN ('reopened', 'live') AND EXISTS (SELECT 1 FROM notice_now n "
    "WHERE n.incident = i.id AND n.reason = l.kind AND n.wanted_ns = l.at_ns AND n.state != 'suppressed')))) "
    "ORDER BY id"
)
INTERRUPTED = (
    "SELECT notice, (SELECT max(attempt) FROM delivery d WHERE d.notice = p.notice) FROM pending p WHERE sending"
)


def incident_values(incident: Incident, at_ns: int) -> tuple[Any, ...]:
    """The row of an incident's version."""
    return (
        incident.id, incident.version, at_ns, incident.state, *incident.place, incident.from_ns, incident.to_ns,
        msgspec.json.encode(incident),
    )  # fmt: skip


_incident = msgspec.json.Decoder(Incident).decode


def incident(body: bytes) -> Incident:
    """The incident in a row's body."""
    return _incident(body)


def member_values(incident: int, member: Member) -> tuple[Any, ...]:
    """The row of a member's version."""
    return incident, member.from_ns, member.version, msgspec.json.encode(member)


_member = msgspec.json.Decoder(Member).decode


def member(body: bytes) -> Member:
    """The member in a row's body."""
    return _member(body)


def event_values(event: Event) -> tuple[Any, ...]:
    """The row of an event, without its number."""
    return event.incident, event.at_ns, event.kind, event.detail, event.who


def event(row: tuple[Any, ...]) -> Event:
    """The event in a row of incident, at_ns, kind, detail, who."""
    return Event(incident=row[0], at_ns=row[1], kind=EventKind(row[2]), detail=row[3], who=row[4])


def notice_values(wanted: Wanted, at_ns: int) -> tuple[Any, ...]:
    """The row of a notice, without its number."""
    i, m = wanted.incident, wanted.message
    return (
        i.id, i.pack, i.clause, wanted.reason, wanted.recipient, wanted.channel, wanted.digest, i.late, at_ns,
        m.subject, m.text, m.payload,
    )  # fmt: skip


def notice(row: tuple[Any, ...]) -> Notice:
    """The notice in a row of the view notice_now."""
    return Notice(
        id=row[0], incident=row[1], pack=row[2], clause=row[3], reason=Reason(row[4]), recipient=row[5],
        channel=row[6], digest=row[7], late=bool(row[8]), wanted_ns=row[9],
        message=Message(subject=row[10], text=row[11], payload=row[12]), state=NoticeState(row[13]), at_ns=row[14],
        attempts=row[15], detail=row[16],
    )  # fmt: skip

"""What the alerts stage hands on: incidents with their history, people's commands, calls to tell somebody.

An incident has versions like everything derived: the ledger appends, and the newest one counts. Times
named `from_ns` and `to_ns` are data time, all others the time at which something was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from collector.verdicts.records import Standing

# plant, point, pack, clause
Key: TypeAlias = tuple[str, str, str, str]
# plant, point, parameter
Watch: TypeAlias = tuple[str, str, str]


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Reason(StrEnum):
    """Why people are told about an incident."""

    OPENED = "opened"
    REOPENED = "reopened"
    LIVE = "live"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    COMMISSIONED = "commissioned"


class EventKind(StrEnum):
    """What happened to an incident, for its history."""

    OPENED = "opened"
    REOPENED = "reopened"
    LIVE = "live"
    AMENDED = "amended"
    RETRACTED = "retracted"
    ACKNOWLEDGED = "acknowledged"
    NOTED = "noted"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    SUPPRESSED = "suppressed"
    COMMISSIONED = "commissioned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One exceedance inside an incident, in the version last seen.

    exceedance: its number in the book, which evidence is asked for by.
    low: lower limit of a two-sided clause, else None. withdrawn: the data no longer break the limit.
    """

    from_ns: int
    to_ns: int
    exceedance: int
    version: int
    value: float
    limit: float
    low: float | None
    late: bool
    withdrawn: bool = False

    @property
    def over(self) -> float:
        """How far the value lies outside the limits. [unit of the clause]"""
        below = self.low is not None and self.value < self.low
        return self.low - self.value if below and self.low is not None else self.value - self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident, in one version.

    from_ns, to_ns: data time, start of the first and end of the last exceeding window. count: exceeding windows.
    worst: the one farthest over its limit; latest: the last one. standing: the highest of all.
    late: only back-filled data so far. openings: 1, and one more each time it opened again.
    opened_ns, acknowledged_ns, closed_ns: when that happened, None = it did not. [ns since 1970 UTC]
    closed_by: "quiet" or "withdrawn", "" = not closed. command: number of the last command applied.
    """

    id: int
    version: int
    plant: str
    point: str
    parameter: str
    pack: str
    clause: str
    cite: str
    title: str
    window: str
    unit: str
    standing: Standing
    verified: bool
    late: bool
    from_ns: int
    to_ns: int
    count: int
    worst: Member
    latest: Member
    opened_ns: int
    openings: int = 1
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    note: str = ""
    closed_ns: int | None = None
    closed_by: str = ""
    command: int = 0

    @property
    def key(self) -> str:
        """pack/clause, as reports and routes name it."""
        return f"{self.pack}/{self.clause}"

    @property
    def place(self) -> Key:
        """What all exceedances of this incident have in common."""
        return self.plant, self.point, self.pack, self.clause

    @property
    def watch(self) -> Watch:
        """The averages that show whether it is over."""
        return self.plant, self.point, self.parameter

    @property
    def state(self) -> IncidentState:
        """open, acknowledged or closed."""
        if self.closed_ns is not None:
            return IncidentState.CLOSED
        return IncidentState.OPEN if self.acknowledged_ns is None else IncidentState.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with its members by window start; members may be left out where no exceedance can touch it."""

    incident: Incident
    members: Mapping[int, Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A person's word about an incident. id: position in the table of commands, rising."""

    id: int
    incident: int
    who: str
    note: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of an incident's history. who: a person, "" = the system."""

    incident: int
    kind: EventKind
    at_ns: int
    detail: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """People have to be told about an incident, as it stands after the step."""

    incident: Incident
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one call of `advance` did. cases: the changed ones, each with the members that changed."""

    cases: tuple[Case, ...]
    events: tuple[Event, ...]
    calls: tuple[Call, ...]


class NoticeState(StrEnum):
    """Where a notice stands. unknown: the sending began and its end was never seen; it is not sent again.

    suppressed: it is not sent, for its point is in commissioning.
    """

    WANTED = "wanted"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a notice says. payload: the same for machines, a JSON object."""

    subject: str
    text: str
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A notice before the ledger knows it. digest: the message's name (messages.digest).

    suppressed: why it is written down and not sent, "" = it is sent.
    """

    incident: Incident
    reason: Reason
    recipient: str
    channel: str
    digest: str
    message: Message
    suppressed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message about an incident to one recipient over one channel, as the ledger has it.

    digest: names the message for its receiver; the same for every attempt. late: about back-filled data.
    wanted_ns: when it was written; at_ns: when its state was reached. [ns since 1970 UTC]
    attempts: how often sending began. detail: what the other side said, or why it failed.
    """

    id: int
    incident: int
    pack: str
    clause: str
    reason: Reason
    recipient: str
    channel: str
    digest: str
    late: bool
    wanted_ns: int
    message: Message
    state: NoticeState
    at_ns: int
    attempts: int
    detail: str

    @property
    def key(self) -> str:
        """pack/clause, as reports name it."""
        return f"{self.pack}/{self.clause}"

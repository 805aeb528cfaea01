"""The shapes of the HTTP interface, for OpenAPI and for what clients send. With `mark_schemas` pydantic's only user.

Answers are built by `api.views` and encoded without going through these models, which costs nothing
for ten thousand measurements; `tests/api/test_server.py` validates real answers against them instead.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.mark_schemas import Instrument, Mark
from api.shape import Shape
from api.trail_schemas import Versions

T = TypeVar("T")
StatusName = Literal[
    "ok", "maintenance", "calibration", "fault", "out_of_range", "stopped", "manual", "no_comm", "stale", "unsynced"
]
StandingName = Literal["finding", "evidence", "early warning"]
State = Literal["ok", "exceeded", "no_data"]


class Page(Shape, Generic[T]):
    """A list. next: what to send as `cursor` for the rest; null at the end."""

    items: list[T]
    next: str | None


class Name(Shape):
    """A name in English and Chinese."""

    en: str
    zh: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    instance: str
    hint: str = ""


class Plant(Shape):
    """One permitted site. position: latitude, longitude [degrees]."""

    id: str
    name: Name
    industry: str
    district: str
    timezone: str
    position: tuple[float, float] | None
    points: list[str]
    state: State


class Latest(Shape):
    """The newest measurement of a parameter."""

    time: str
    value: float | None
    status: StatusName


class Judged(Shape):
    """The newest window a clause could judge, its value as it is compared with the limit."""

    value: float
    from_: Annotated[str, Field(alias="from")]
    to: str


class Limit(Shape):
    """A clause as it holds at a point now. limit, low: null = no bound on that side, or none under the conditions."""

    pack: str
    clause: str
    cite: str
    title: Name
    limit: float | None
    low: float | None
    unit: str
    window: str
    period: Literal["", "day", "night"]
    statistic: Literal["value", "maximum"]
    corrected: str
    standing: StandingName
    verified: bool
    conditions: list[str]
    judged: Judged | None


class Rules(Shape):
    """A rule pack that a point is judged by."""

    id: str
    title: Name


class PointParameter(Shape):
    """A parameter as one point measures it."""

    code: str
    name: Name
    unit: str
    average: str
    sensor: str
    interval_s: float
    latest: Latest | None
    limits: list[Limit]


class Point(Shape):
    """A place that is watched. night: local clock, begin and end. commissioning: nobody is told of its incidents."""

    plant: str
    id: str
    kind: Literal["noise", "stack", "water"]
    name: Name
    settings: dict[str, Any]
    commissioning: bool
    rules: list[Rules]
    timezone: str
    night: tuple[str, str]
    parameters: list[PointParameter]
    state: State


class Parameter(Shape):
    """A quantity the product knows."""

    code: str
    name: Name
    unit: str
    hj212: str
    media: list[str]
    average: str
    aliases: list[str]
    source: str


class Measurement(Shape):
    """One value of one parameter at one instant. value, status: as measured.

    marked, mark: what the mark with the last word says, and its id; corrected: the value that counts instead. Only
    where there is one. maximum, evaluated, valid: only where an interval was asked for.
    """

    time: str
    plant: str
    point: str
    parameter: str
    value: float | None
    unit: str
    status: StatusName
    maximum: float | None = None
    evaluated: float | None = None
    valid: bool | None = None
    marked: Literal["maintenance", "calibration", "invalid", "correction"] | None = None
    mark: int | None = None
    corrected: float | None = None


class Average(Shape):
    """A value over a window, in its newest version. time = from. marks: ids of those it was derived under.

    not_judged: clauses in force that do not judge it although it is valid, for the state that the plant was in.
    """

    id: int
    time: str
    plant: str
    point: str
    parameter: str
    value: float | None
    unit: str
    status: StatusName
    from_: Annotated[str, Field(alias="from")]
    to: str
    window: str
    coverage: float
    valid: bool
    version: int
    evaluated: float | None
    count: int
    maximum: float | None
    percentiles: dict[str, float]
    marks: list[int]
    not_judged: list[str]
    derived: str


class Exceedance(Shape):
    """An average or maximum that breaks one clause, in its newest version."""

    id: int
    plant: str
    point: str
    parameter: str
    pack: str
    clause: str
    cite: str
    title: str
    window: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    value: float
    limit: float
    low: float | None
    unit: str
    standing: StandingName
    verified: bool
    late: bool
    change: Literal["opened", "amended", "withdrawn"]
    version: int
    derived: str


class Member(Shape):
    """An exceedance as an incident tells of it."""

    exceedance: int
    from_: Annotated[str, Field(alias="from")]
    to: str
    value: float
    limit: float
    low: float | None
    withdrawn: bool


class Incident(Shape):
    """What people handle. from, to: data time; opened, acknowledged, closed: when that happened."""

    id: int
    version: int
    state: Literal["open", "acknowledged", "closed"]
    plant: str
    point: str
    parameter: str
    pack: str
    clause: str
    cite: str
    title: str
    window: str
    unit: str
    standing: StandingName
    verified: bool
    late: bool
    from_: Annotated[str, Field(alias="from")]
    to: str
    count: int
    openings: int
    worst: Member
    latest: Member
    opened: str
    acknowledged: str | None
    acknowledged_by: str
    note: str
    closed: str | None
    closed_by: str


class Notice(Shape):
    """One message about an incident to one recipient over one channel. time: when its state was reached."""

    id: int
    incident: int
    pack: str
    clause: str
    reason: str
    recipient: str
    channel: str
    kind: str
    late: bool
    state: Literal["wanted", "sending", "sent", "failed", "unknown", "suppressed"]
    wanted: str
    time: str
    attempts: int
    detail: str
    subject: str
    text: str


class Acknowledgement(BaseModel):
    """A person's word on an incident."""

    model_config = ConfigDict(extra="forbid")
    who: Annotated[str, Field(max_length=64, description="who says so; empty = the holder of the token")] = ""
    note: Annotated[str, Field(max_length=1000, description="what is being done about it")] = ""


class Period(Shape):
    """A night (or day) as the rules of a point count it."""

    period: Literal["day", "night"]
    from_: Annotated[str, Field(alias="from")]
    to: str


class Event(Shape):
    """One line of an incident's history. who: a person, "" = the system."""

    time: str
    kind: str
    who: str
    detail: str


class IncidentFile(Incident):
    """An incident with its exceedances and its history."""

    members: list[Member]
    events: list[Event]


class Accepted(Shape):
    """A command that alerts will follow."""

    command: int
    incident: int


class TrailMeasurements(Shape):
    """What was measured in the window. statuses: how many of each. interval: raw, or 1m where there are many."""

    parameter: str
    unit: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    count: int
    statuses: dict[str, int]
    interval: Literal["raw", "1m"]
    items: list[Measurement]


class Trail(Shape):
    """What an exceedance stands on, newest first.

    evidence: what was written down with it, clause to manual page. average: the judged one in its newest version.
    marks: what was said of the point in the window. instruments: those that stood there then.
    versions: every version of the exceedance and of the average. sha256: of the evidence as the book has it.
    """

    exceedance: Exceedance
    title: Name
    incident: Incident | None
    notices: list[Notice]
    pack: dict[str, Any]
    average: Average | None
    measurements: TrailMeasurements
    marks: list[Mark]
    instruments: list[Instrument]
    versions: Versions
    sha256: str
    evidence: dict[str, Any]


class Commissioning(Shape):
    """A time in which nobody was told of a point's incidents. to: null = it lasts."""

    plant: str
    point: str
    from_: Annotated[str, Field(alias="from")]
    to: str | None


class JournalEvent(Shape):
    """What the collector noticed: an entry of its journal. detail: figures, by `what`."""

    position: int
    received: str
    gateway: str
    epoch: str
    what: str
    security: bool
    text: str
    detail: dict[str, Any]

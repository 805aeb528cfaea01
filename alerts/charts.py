"""Incidents as points for charts.

    incident,clause=gb12348-2008/night-level,parameter=LAeq,plant=riverside,point=fence,... open=1,count=3,... <begin>

A point lies at the begin of the exceedance that opened the incident, with the incident's number in the nanoseconds: so
two of one clause never share a place, versions overwrite one another, and no tag grows with time.
"""

from __future__ import annotations

from alerts.ledger import Change, Ledger
from alerts.records import IncidentState
from collector.charts.feed import BEGIN, INCIDENT, Mark, Point, Row
from gateway.measurement import SECOND_NS


def incident_point(change: Change) -> Point:
    """An incident in one version as a point."""
    one = change.incident
    tags = {
        "plant": one.plant, "point": one.point, "parameter": one.parameter, "window": one.window, "unit": one.unit,
        "clause": one.key,
    }  # fmt: skip
    fields = {
        "open": float(one.state is not IncidentState.CLOSED), "acknowledged": float(one.acknowledged_ns is not None),
        "count": float(one.count), "value": one.worst.value, "limit": one.worst.limit, "late": float(one.late),
        "verified": float(one.verified), "minutes": (one.to_ns - one.from_ns) / 60e9, "id": float(one.id),
        "openings": float(one.openings), "version": float(one.version), "standing": one.standing.value,
        "state": one.state.value,
    }  # fmt: skip
    return Point(INCIDENT, tags, fields, change.first_ns // SECOND_NS * SECOND_NS + one.id % SECOND_NS)


class Incidents:
    """The incidents of a ledger, version by version. A feed."""

    name = "incident"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The versions that follow a mark."""
        if after != BEGIN:
            last = self._ledger.changes(after[0] - 1, 1)
            after = after if [(one.number, one.at_ns) for one in last] == [after] else BEGIN
        found = self._ledger.changes(after[0], limit)
        return [Row(one.number, one.at_ns, (incident_point(one),)) for one in found]

"""Records as the HTTP interface shows them: what goes in is what the line keeps, what comes out is JSON's types.

Times become RFC 3339, a missing value becomes null with its status beside it, codes become the words
of the glossary. Columns are turned into items here, at the last moment and only as many as one answer
may hold. Pure.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import asdict

from alerts.records import Event, Incident, Member, Notice
from api.times import format_time, format_times
from collector.commissioning import Period as CommissioningPeriod
from collector.intake.events import event
from collector.marks import Filed, Kind
from collector.store import Entry, Slice
from collector.verdicts.book import AverageRow, ExceedanceRow
from collector.verdicts.curves import Curve
from collector.verdicts.marks import Overlay
from collector.verdicts.records import Average
from gateway.measurement import Columns, Float64, Series, Status
from gateway.parameters import Parameter
from gateway.settings import Label

Item = dict[str, Any]

STATUS_NAMES = {int(status): status.name.lower() for status in Status}


def names(label: Label) -> Item:
    """A name in both languages."""
    return {"en": label.en, "zh": label.zh}


def number(value: float | None) -> float | None:
    """A value, or None where it is missing."""
    return None if value is None or not math.isfinite(value) else value


def numbers(values: Float64) -> list[float | None]:
    """Values, None where one is missing."""
    finite = np.isfinite(values)
    if finite.all():
        return values.tolist()  # type: ignore[no-any-return]
    return [value if good else None for value, good in zip(values.tolist(), finite.tolist(), strict=True)]


def batch_items(columns: Columns) -> list[Item]:
    """The measurements of one batch."""
    rows = zip(
        columns.series_index.tolist(), format_times(columns.time_ns), numbers(columns.value), columns.status.tolist(),
        strict=True,
    )  # fmt: skip
    return [_measurement(columns.series[s], time, value, status) for s, time, value, status in rows]


def measurement_items(part: Slice) -> list[Item]:
    """The measurements of a part of one series."""
    rows = zip(format_times(part.time_ns), numbers(part.value), part.status.tolist(), strict=True)
    return [_measurement(part.series, time, value, status) for time, value, status in rows]


def _measurement(series: Series, time: str, value: float | None, status: int) -> Item:
    return {
        "time": time,
        "plant": series.plant,
        "point": series.point,
        "parameter": series.parameter,
        "value": value,
        "unit": series.unit,
        "status": STATUS_NAMES.get(status, str(status)),
    }


def show_marks(items: list[Item], laid: Overlay, kinds: Mapping[int, Kind]) -> None:
    """Say of measurements what marks make of them; `value` and `status` stay as measured. kinds: by position."""
    for row in np.flatnonzero(laid.mark[: len(items)]).tolist():
        kind = kinds[int(laid.mark[row])]
        items[row] |= {"marked": kind.value, "mark": int(laid.mark[row])}
        if kind is Kind.CORRECTION:
            items[row]["corrected"] = number(float(laid.value[row]))


def mark_item(filed: Filed, revoked_by: int) -> Item:
    """A mark as it stands in the journal. revoked_by: position of what took it back, 0 = it stands."""
    mark = filed.mark
    values = [{"time": format_time(time_ns), "value": value} for time_ns, value in mark.values]
    records = {"swap": mark.swap, "sound_check": mark.sound_check, "sheet": mark.sheet}
    return {
        "id": filed.position,
        "kind": mark.kind.value,
        "plant": mark.plant,
        "point": mark.point,
        "parameter": mark.parameter,
        "sensor": mark.sensor,
        "from": format_time(mark.from_ns),
        "to": format_time(mark.to_ns),
        "reason": mark.reason,
        "author": mark.author,
        "role": mark.role,
        "made": format_time(mark.made_ns),
        "received": format_time(filed.received_ns),
        "scale": mark.scale,
        "offset": mark.offset,
        "values": values,
        **{name: record and asdict(record) for name, record in records.items()},
        "old": {"position": mark.old.position, "batches": mark.old.batches, "sha256": mark.old.sha256},
        "prev": mark.prev,
        "sha256": filed.sha256,
        "revokes": mark.revokes.position if mark.revokes else None,
        "revoked_by": revoked_by or None,
        "payload": base64.b64encode(filed.payload).decode(),
    }


def curve_items(series: Series, curve: Curve) -> list[Item]:
    """Averages of one series in the shape of measurements, for charts; `valid` says whether enough was there."""
    rows = zip(
        format_times(curve.from_ns), numbers(curve.value), numbers(curve.maximum), numbers(curve.evaluated),
        curve.valid.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "time": time, "plant": series.plant, "point": series.point, "parameter": series.parameter, "value": value,
            "unit": series.unit, "status": "ok" if value is not None else "no_comm", "maximum": maximum,
            "evaluated": evaluated, "valid": valid,
        }
        for time, value, maximum, evaluated, valid in rows
    ]  # fmt: skip


def average_item(row: AverageRow) -> Item:
    """An average with its window, coverage and version."""
    return {"id": row.id, **average_fields(row.average), "derived": format_time(row.derived_ns)}


def average_fields(average: Average) -> Item:
    """What an average says, without its place in the book."""
    return {
        "time": format_time(average.from_ns),
        "plant": average.plant,
        "point": average.point,
        "parameter": average.parameter,
        "value": number(average.value),
        "unit": average.unit,
        "status": "ok" if average.value is not None else "no_comm",
        "from": format_time(average.from_ns),
        "to": format_time(average.to_ns),
        "window": average.window,
        "coverage": average.coverage,
        "valid": average.valid,
        "version": average.version,
        "evaluated": number(average.evaluated),
        "count": average.count,
        "maximum": number(average.maximum),
        "percentiles": dict(average.percentiles),
        "marks": list(average.inputs.get("marks", ())),
        "not_judged": list(average.inputs.get("not_judged", ())),
    }


def exceedance_item(row: ExceedanceRow) -> Item:
    """An exceedance without its evidence, which `evidence/{id}` has."""
    found = row.exceedance
    return {
        "id": row.id,
        "plant": found.plant,
        "point": found.point,
        "parameter": found.parameter,
        "pack": found.pack,
        "clause": found.clause,
        "cite": found.cite,
        "title": found.title,
        "window": found.window,
        "from": format_time(found.from_ns),
        "to": format_time(found.to_ns),
        "value": found.value,
        "limit": found.limit,
        "low": found.low,
        "unit": found.unit,
        "standing": found.standing.value,
        "verified": found.verified,
        "late": found.late,
        "change": found.change.value,
        "version": found.version,
        "derived": format_time(row.derived_ns),
    }


def incident_item(incident: Incident) -> Item:
    """An incident as it stands."""
    return {
        "id": incident.id,
        "version": incident.version,
        "state": incident.state.value,
        "plant": incident.plant,
        "point": incident.point,
        "parameter": incident.parameter,
        "pack": incident.pack,
        "clause": incident.clause,
        "cite": incident.cite,
        "title": incident.title,
        "window": incident.window,
        "unit": incident.unit,
        "standing": incident.standing.value,
        "verified": incident.verified,
        "late": incident.late,
        "from": format_time(incident.from_ns),
        "to": format_time(incident.to_ns),
        "count": incident.count,
        "openings": incident.openings,
        "worst": member_item(incident.worst),
        "latest": member_item(incident.latest),
        "opened": format_time(incident.opened_ns),
        "acknowledged": None if incident.acknowledged_ns is None else format_time(incident.acknowledged_ns),
        "acknowledged_by": incident.acknowledged_by,
        "note": incident.note,
        "closed": None if incident.closed_ns is None else format_time(incident.closed_ns),
        "closed_by": incident.closed_by,
    }


def member_item(member: Member) -> Item:
    """An exceedance as an incident tells of it."""
    return {
        "exceedance": member.exceedance,
        "from": format_time(member.from_ns),
        "to": format_time(member.to_ns),
        "value": member.value,
        "limit": member.limit,
        "low": member.low,
        "withdrawn": member.withdrawn,
    }


def notice_item(notice: Notice, kind: str) -> Item:
    """A notice as the ledger has it. kind: of its channel."""
    return {
        "id": notice.id,
        "incident": notice.incident,
        "pack": notice.pack,
        "clause": notice.clause,
        "reason": notice.reason.value,
        "recipient": notice.recipient,
        "channel": notice.channel,
        "kind": kind,
        "late": notice.late,
        "state": notice.state.value,
        "wanted": format_time(notice.wanted_ns),
        "time": format_time(notice.at_ns),
        "attempts": notice.attempts,
        "detail": notice.detail,
        "subject": notice.message.subject,
        "text": notice.message.text,
    }


def event_item(event: Event) -> Item:
    """One line of an incident's history."""
    return {"time": format_time(event.at_ns), "kind": event.kind.value, "who": event.who, "detail": event.detail}


def parameter_item(parameter: Parameter) -> Item:
    """A quantity the product knows."""
    return {
        "code": parameter.code,
        "name": names(parameter.name),
        "unit": parameter.unit,
        "hj212": parameter.hj212,
        "media": list(parameter.media),
        "average": parameter.average,
        "aliases": list(parameter.aliases),
        "source": parameter.source,
    }


def period_item(period: str, from_ns: int, to_ns: int) -> Item:
    """One night or day."""
    return {"period": period, "from": format_time(from_ns), "to": format_time(to_ns)}


def commissioning_item(period: CommissioningPeriod) -> Item:
    """A time in which nobody was told of a point's incidents."""
    to = None if period.to_ns is None else format_time(period.to_ns)
    return {"plant": period.plant, "point": period.point, "from": format_time(period.from_ns), "to": to}


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """A value of free evidence as JSON has it: `_ns` keys stay numbers, NaN becomes null, tuples lists."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value


def page_of(items: Iterable[Item], next: str | None = None) -> Item:
    """A list as every list is answered; next: the cursor of what follows, None at the end."""
    return {"items": list(items), "next": next}


def journal_event_item(entry: Entry) -> Item:
    """An event of the journal: what the collector noticed."""
    found = event(entry)
    return {
        "position": entry.position,
        "received": format_time(entry.received_ns),
        "gateway": entry.gateway,
        "epoch": entry.epoch.hex(),
        "what": found.what,
        "security": found.security,
        "text": found.text,
        "detail": found.detail,
    }

"""What a notice says, in English and Chinese.

A duty officer woken at night reads the subject and knows: what is exceeded, where, by how much over
which limit. The text below it adds since when, what the verdict is worth, the clause, and the page to
open; one fact a line, always in the same order. Times are the plant's own. Numbers show as many digits
as it takes to see that the limit is broken. The payload is the same for machines. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from alerts.records import Incident, IncidentState, Member, Message, Reason
from collector.verdicts.records import Standing
from gateway.settings import Label

PAYLOAD_FORMAT = "emitwatch/notice/1"

_HEAD = {
    Reason.OPENED: Label("EXCEEDED", "超标"),
    Reason.REOPENED: Label("EXCEEDED AGAIN", "再次超标"),
    Reason.LIVE: Label("STILL EXCEEDED", "仍在超标"),
    Reason.CLOSED: Label("OVER", "超标结束"),
    Reason.WITHDRAWN: Label("WITHDRAWN, no exceedance", "撤销（不超标）"),
    Reason.COMMISSIONED: Label("STILL EXCEEDED, commissioning is over", "调试结束，仍在超标"),
}
_LATE = Label("Back-filled data: ", "补传数据·")
_STANDING = {
    Standing.FINDING: Label(
        "finding - counts as a violation by itself", "认定——可直接作为超标认定依据"
    ),
    Standing.EVIDENCE: Label(
        "evidence - supports a finding, is none by itself", "证据——可作佐证，本身不构成超标认定"
    ),
    Standing.EARLY_WARNING: Label(
        "early warning - no legal exceedance yet, act before it is", "预警——尚不构成法定超标，请及时处置"
    ),
}  # fmt: skip
_UNVERIFIED = Label("; clause not verified in the primary text", "；条款原文未核实")
_WINDOW = {
    "1m": Label("minute", "分钟"), "5m": Label("5 minutes", "5分钟"), "10m": Label("10 minutes", "10分钟"),
    "15m": Label("15 minutes", "15分钟"), "30m": Label("half-hour", "半小时"), "1h": Label("hour", "小时"),
    "24h": Label("day", "日"), "day": Label("day", "昼间"), "night": Label("night", "夜间"),
    "calendar_night": Label("night of the date", "当日夜间"), "month": Label("month", "月"),
    "30d": Label("30 days", "30日"), "year": Label("year", "年"),
}  # fmt: skip
_ROWS = {
    "what": Label("What", "项目"), "where": Label("Where", "地点"), "much": Label("How much", "超限"),
    "worst": Label("Worst", "最严重"), "was": Label("Was", "原判"),
    "since": Label("Since", "时间"), "when": Label("When", "时间"),
    "worth": Label("Worth", "效力"), "rule": Label("Rule", "依据"), "note": Label("Note", "说明"),
    "link": Label("Open", "查看"),
}  # fmt: skip
_LATE_NOTE = Label(
    "judged now from data that came in late; all times are those of the data",
    "数据迟到后补判，所示时间均为数据时间",
)  # fmt: skip
_UNITS = {"mg/m3": "mg/m³", "m3/h": "m³/h", "degC": "°C"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names for people; an id or code stands for a name that is missing.

    plants: id -> name. timezones: plant id -> IANA name. points: (plant, point) -> name.
    parameters: code -> name. clauses: pack/clause -> title.
    """

    plants: Mapping[str, Label] = field(default_factory=dict)
    timezones: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[tuple[str, str], Label] = field(default_factory=dict)
    parameters: Mapping[str, Label] = field(default_factory=dict)
    clauses: Mapping[str, Label] = field(default_factory=dict)

    def plant(self, incident: Incident, language: str) -> str:
        """Name of the plant."""
        return _of(self.plants.get(incident.plant), incident.plant, language)

    def point(self, incident: Incident, language: str) -> str:
        """Name of the point."""
        return _of(self.points.get((incident.plant, incident.point)), incident.point, language)

    def clause(self, incident: Incident, language: str) -> str:
        """Title of the clause, as the rule pack has it or as the exceedance brought it."""
        return _of(self.clauses.get(incident.key), incident.title or incident.clause, language)


def digest(incident: Incident, reason: Reason, recipient: str, channel: str) -> str:
    """The name of a message, 32 hex digits: a recipient gets one message over one channel for one reason only.

    Each end of a commissioning is a reason of its own: it is the incident's version then.
    """
    ended = [str(incident.version)] if reason is Reason.COMMISSIONED else []
    parts = (
        *incident.place, str(incident.id), str(incident.opened_ns), str(incident.openings), reason.value, recipient,
        channel, *ended,
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def render(incident: Incident, reason: Reason, names: Names, *, language: str, link: str, notice: str) -> Message:
    """The message for one recipient. link: address of the page; notice: the message's digest."""
    head = _HEAD[reason].of(language)
    late = _LATE.of(language) if incident.late else ""
    where, what = names.point(incident, language), names.clause(incident, language)
    worst = incident.worst
    if language == "zh":
        subject = f"【{late}{head}】{where}：{what} {_compared(worst, incident.unit, language)}"
    else:
        subject = f"{late}{head} - {where}: {what} {_compared(worst, incident.unit, language)}"
    page = f"{link}/#incident-{incident.id}"
    rows = _rows(incident, reason, names, language) | {"link": page}
    text = "\n".join(_line(_ROWS[name].of(language), value, language) for name, value in rows.items())
    payload = _payload(incident, reason, names, subject=subject, text=text, link=page, notice=notice)
    return Message(subject=_one_line(subject), text=text, payload=payload)


def _rows(incident: Incident, reason: Reason, names: Names, language: str) -> dict[str, str]:
    parameter = _of(names.parameters.get(incident.parameter), incident.parameter, language)
    code = "" if parameter == incident.parameter else f" {incident.parameter}"
    much = {Reason.CLOSED: "worst", Reason.WITHDRAWN: "was"}.get(reason, "much")
    comma = "，" if language == "zh" else ", "
    rows = {
        "what": f"{names.clause(incident, language)} · {parameter}{code}",
        "where": f"{names.plant(incident, language)}{comma}{names.point(incident, language)}",
        much: _amount(incident.worst, incident.unit, language),
        "when" if _over(incident, reason) else "since": _span(incident, reason, names, language),
    }
    if reason is not Reason.WITHDRAWN:
        unverified = "" if incident.verified else _UNVERIFIED.of(language)
        rows["worth"] = _STANDING[incident.standing].of(language) + unverified
    rows["rule"] = f"{incident.cite} ({incident.key})"
    if incident.late:
        rows["note"] = _LATE_NOTE.of(language)
    return rows


def _line(name: str, value: str, language: str) -> str:
    return f"{name}：{_one_line(value)}" if language == "zh" else f"{name + ':':<10}{_one_line(value)}"


def _compared(worst: Member, unit: str, language: str) -> str:
    """`53 dB(A), limit 50`; `9.6, allowed 6 to 9`."""
    value, unit = _number(worst), _unit(unit)
    if worst.low is not None:
        allowed = f"{worst.low:g}～{worst.limit:g}" if language == "zh" else f"{worst.low:g} to {worst.limit:g}"
        return f"{value}{unit}，允许{allowed}" if language == "zh" else f"{value}{unit}, allowed {allowed}"
    return f"{value}{unit}，限值{worst.limit:g}" if language == "zh" else f"{value}{unit}, limit {worst.limit:g}"


def _amount(worst: Member, unit: str, language: str) -> str:
    """`_compared`, and by how much; in percent too where zero means nothing there (not for levels and pH)."""
    below = worst.low is not None and worst.value < worst.low
    over = _significant(worst.over)
    ratio = unit.startswith(("mg/", "ug/")) and worst.limit > 0 and not below
    percent = f" (+{100 * worst.over / worst.limit:.0f} %)" if ratio and worst.over >= 0.01 * worst.limit else ""
    if language == "zh":
        return f"{_compared(worst, unit, language)}，{'低于下限' if below else '超出'} {over}{_unit(unit)}{percent}"
    return f"{_compared(worst, unit, language)}: {over}{_unit(unit)} {'below' if below else 'over'}{percent}"


def _number(member: Member) -> str:
    """The value with at least three digits that count, and enough to show that it lies outside its limit."""
    below = member.low is not None and member.value < member.low
    for digits in range(3, 16):
        shown = float(f"{member.value:.{digits}g}")
        if (shown < member.low) if below and member.low is not None else (shown > member.limit):
            return f"{shown:.{max(digits, 6)}g}"
    return repr(member.value)


def _significant(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if value < 10 else f"{value:.0f}"


def _unit(unit: str) -> str:
    return f" {_UNITS.get(unit, unit)}" if unit else ""


def _span(incident: Incident, reason: Reason, names: Names, language: str) -> str:
    """From when to when, how many windows, and whether it is over."""
    zone = ZoneInfo(names.timezones.get(incident.plant, "UTC"))
    first, last = _local(incident.from_ns, zone), _local(incident.to_ns, zone)
    window = _of(_WINDOW.get(incident.window), incident.window, language)
    over = _over(incident, reason) and reason is not Reason.WITHDRAWN
    many = incident.count > 1
    if language == "zh":
        extent = f"，共{incident.count}个超标时段（{window}）" if many else f"（{window}）"
        return f"{_date_zh(first)} 至 {_date_zh(last, first)}{extent}{'，已结束' if over else ''}，{_offset(first)}"
    extent = f", {incident.count} windows ({window}) exceeded" if many else f" (1 {window})"
    return f"{_date_en(first)} to {_date_en(last, first)}{extent}{', now over' if over else ''}, {_offset(first)}"


def _over(incident: Incident, reason: Reason) -> bool:
    return reason in (Reason.CLOSED, Reason.WITHDRAWN) or incident.state is IncidentState.CLOSED


def _offset(time: datetime) -> str:
    """`UTC+8`, `UTC+5:30`."""
    text = time.strftime("%z")
    return f"UTC{text[0]}{int(text[1:3])}{':' + text[3:5] if text[3:5] != '00' else ''}"


def _local(time_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, zone)


def _date_en(time: datetime, after: datetime | None = None) -> str:
    if after is not None and after.date() == time.date():
        return f"{time:%H:%M}"
    return f"{_DAYS[time.weekday()]} {time.day} {_MONTHS[time.month - 1]} {time.year} {time:%H:%M}"


def _date_zh(time: datetime, after: datetime | None = None) -> str:
    if after is not None and after.date() == time.date():
        return f"{time:%H:%M}"
    return f"{time.year}年{time.month}月{time.day}日（周{'一二三四五六日'[time.weekday()]}）{time:%H:%M}"


def _of(label: Label | None, fallback: str, language: str) -> str:
    return label.of(language) if label is not None else fallback


def _one_line(text: str) -> str:
    """A text without line breaks and control characters: names come from files that people write."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split(" ")).strip()


def _rfc3339(time_ns: int) -> str:
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _payload(
    incident: Incident, reason: Reason, names: Names, *, subject: str, text: str, link: str, notice: str
) -> str:
    """The notice as a JSON object; docs/reference/alerts.md names its keys."""
    worst = incident.worst

    def both(label: Label | None, fallback: str) -> dict[str, str]:
        return {"en": label.en, "zh": label.zh} if label else {"en": fallback, "zh": fallback}

    place = both(names.points.get((incident.plant, incident.point)), incident.point)
    body = {
        "format": PAYLOAD_FORMAT,
        "notice": notice,
        "reason": reason,
        "incident": incident.id,
        "state": incident.state,
        "plant": {"id": incident.plant, "name": both(names.plants.get(incident.plant), incident.plant)},
        "point": {"id": incident.point, "name": place},
        "parameter": incident.parameter,
        "pack": incident.pack,
        "clause": incident.clause,
        "cite": incident.cite,
        "title": both(names.clauses.get(incident.key), incident.title),
        "window": incident.window,
        "value": worst.value,
        "limit": worst.limit,
        "low": worst.low,
        "unit": incident.unit,
        "from": _rfc3339(incident.from_ns),
        "to": _rfc3339(incident.to_ns),
        "windows": incident.count,
        "standing": incident.standing,
        "verified": incident.verified,
        "late": incident.late,
        "exceedance": worst.exceedance,
        "subject": subject,
        "text": text,
        "link": link,
    }
    return msgspec.json.encode(body).decode()

"""The evidence of one exceedance as a page of its own: to read without the app, to print, to hand to a court.

It needs no script and nothing from elsewhere, so that a saved copy shows the same for ever. What it says is what
`evidence/{exceedance}` says (`api.trail`), in the same order of the walk: verdict, clause, judged value, what
went in, instruments and manual pages, marks, who was told, and every version with why it came. All of it goes in
through `api.markup`, as text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.evidence_parts import average_part, measured_part, others
from api.markup import Child, Markup, facts, style_hash, table, tag
from api.told import Told

Trail = Mapping[str, Any]
# What the page says in words of its own; the rest of a clause is shown as it is.
CLAUSE = ("pack", "clause", "cite", "source", "title", "standing", "verified", "parameter", "window", "statistic",
          "corrected", "rounding", "places", "compared", "limit", "low", "high", "unit", "conditions", "interval",
          "interval_of", "count")  # fmt: skip
STANDINGS = {"finding": "finding_word", "evidence": "evidence_word", "early warning": "warning_word"}


def content_policy(style: str) -> str:
    """What the page may do: show itself, with this style."""
    return f"default-src 'none'; style-src {style_hash(style)}; base-uri 'none'; form-action 'none'"


def evidence_page(
    trail: Trail, told: Told, *, plant: object, point: object, style: str, version: str, made: str
) -> str:
    """The page. plant, point: names in both languages. style: CSS. version: of the software. made: now, RFC 3339."""
    found = trail["exceedance"]
    title = told.t("exceedance_no", found["id"])
    parts = [
        ("verdict", verdict_part(trail, told, plant, point)),
        ("step_clause", clause_part(trail, told)),
        ("step_average", average_part(trail, told)),
        ("went_in", measured_part(trail, told)),
        ("instruments", instruments_part(trail, told)),
        ("marks_window", marks_part(trail, told)),
        ("told_people", notices_part(trail, told)),
        ("history", history_part(trail, told)),
        ("proof", proof_part(trail, told, version, made)),
    ]
    body = [tag("section", tag("h2", told.t(name)), part, id=name) for name, part in parts]
    head = [
        tag("meta", charset="utf-8"), tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http__equiv="Content-Security-Policy", content=content_policy(style)),
        tag("title", f"{title} - {told.label(trail['title'])}"), Markup(f"<style>{style}</style>"),
    ]  # fmt: skip
    header = tag("header", tag("p", title, _class="quiet"), tag("h1", told.label(trail["title"])))
    document = tag("html", tag("head", *head), tag("body", tag("main", header, body)), lang=_lang(told))
    return f"<!DOCTYPE html>\n{document}\n"


def _lang(told: Told) -> str:
    return "zh-CN" if told.language == "zh" else "en"


def verdict_part(trail: Trail, told: Told, plant: object, point: object) -> Child:
    """What is said, of which place and time, and what it is worth."""
    found = trail["exceedance"]
    newest = trail["versions"]["exceedance"][-1:] or [found]
    change = told.t(f"change_{newest[0]['change']}")
    outdated = newest[0]["version"] != found["version"]
    return [
        tag("p", told.t("outdated", found["version"], newest[0]["version"], change), _class="warning")
        if outdated else None,
        tag("p", _against_limit(found, told), _class="figure"),
        facts([
            (told.t("plant"), f"{told.label(plant)} ({found['plant']})"),
            (told.t("point"), f"{told.label(point)} ({found['point']})"),
            (told.t("parameter"), found["parameter"]),
            (told.t("window"), f"{told.t('window_' + found['window'])}: {told.span(found['from'], found['to'])}"),
            (told.t("in_utc"), f"{found['from']} – {found['to']}"),
            (told.t("standing"), told.t(STANDINGS.get(found["standing"], found["standing"]))),
            (told.t("state"), [
                told.t(f"change_{found['change']}"), f" · {told.t('version', found['version'])}",
                f" · {told.t('late_hint')}" if found["late"] else None,
            ]),
        ]),
    ]  # fmt: skip


def _against_limit(found: Trail, told: Told) -> str:
    """The value and the limit it broke, which is the lower one where the value lies under it."""
    under = found["low"] is not None and found["value"] < found["low"]
    limit = f"≥ {told.number(found['low'])}" if under else told.number(found["limit"])
    return told.t(
        "over_limit", told.figure(found["value"], found["unit"]), f"{limit} {told.unit(found['unit'])}".strip()
    )


def clause_part(trail: Trail, told: Told) -> Child:
    """The clause as it was in force, down to where it stands."""
    clause, pack, found = trail["evidence"].get("clause", {}), trail["pack"], trail["exceedance"]
    conditions = [f"{name} {told.number(value)}" for name, value in clause.get("conditions", {}).items()]
    verified = clause.get("verified", found["verified"])
    return [
        tag("p", tag("strong", told.label(pack["title"])), f" ({pack['id']})"),
        facts([
            (told.t("clause_no"), f"{clause.get('cite', found['cite'])} ({found['clause']})"),
            (told.t("limit"), _bounds(clause or found, told)),
            (told.t("conditions"), ", ".join(conditions)),
            (told.t("statistic"), _statistic(clause, told)),
            (told.t("compared"), _compared(clause, told)),
            (told.t("verified"), told.t("yes" if verified else "no")),
            (told.t("source"), clause.get("source") or pack["source"]),
            (told.t("note_word"), pack["note"]),
            *others(clause, CLAUSE, told),
        ]),
    ]  # fmt: skip


def _bounds(clause: Trail, told: Told) -> str:
    low, high, unit = clause.get("low"), clause.get("high", clause.get("limit")), told.unit(clause.get("unit", ""))
    ends = [f"≥ {told.number(low)}" if low is not None else "", f"≤ {told.number(high)}" if high is not None else ""]
    return f"{', '.join(filter(None, ends))} {unit}".strip()


def _statistic(clause: Trail, told: Told) -> str:
    count = clause.get("count")
    if not count:
        return told.t(f"statistic_{clause.get('statistic', 'value')}")
    side = "above" if count.get("above") is not None else "below"
    kind = told.t(f"window_{count['window']}")
    return told.t("statistic_count", kind, told.t(f"beyond_{side}"), told.number(count[side]))


def _compared(clause: Trail, told: Told) -> str:
    """What was held against the limit, and how it was rounded."""
    corrected = clause.get("corrected", "as measured")
    if corrected == "validated":
        kind = told.t(f"window_{clause.get('interval_of') or clause['window']}")
        said = told.t("validated", told.number(clause.get("interval")), kind)
    else:
        said = told.t(str(corrected).replace(" ", "_"))
    rounding = clause.get("rounding", "none")
    rounded = (
        f", {told.t('rounded', clause['places'])} ({told.t('rounding_' + rounding)})" if rounding != "none" else ""
    )
    return f"{said}{rounded}: {told.figure(clause.get('compared'), clause.get('unit', ''))}"


def instruments_part(trail: Trail, told: Told) -> Child:
    """Every instrument that measured, down to the register and the page of its manual."""
    sensors = trail["evidence"].get("sensors", ())
    return [list(_instrument(sensor, trail, told)) for sensor in sensors] or tag("p", told.t("nothing_here"))


def _instrument(sensor: Trail, trail: Trail, told: Told) -> Iterator[Child]:
    serials = [one["serial"] for one in trail["instruments"] if one["sensor"] == sensor["sensor"] and one["serial"]]
    made = " ".join(filter(None, [sensor.get("maker"), sensor.get("model")]))
    yield tag(
        "h3", f"{sensor['sensor']} · {told.label(sensor.get('title'))}" if sensor.get("title") else sensor["sensor"]
    )
    yield facts([
        (told.t("parameter"), ", ".join(sensor.get("parameters", ()))),
        (told.t("sensor"), [made, f" · {told.t('serial', ' → '.join(serials))}" if serials else None]),
        (told.t("link"), sensor.get("link")),
        (told.t("profile"), sensor.get("profile")),
        (told.t("manual_word"), sensor.get("manual")),
        (told.t("source"), sensor.get("source")),
        (told.t("unverified_registers"), "; ".join(map(str, sensor.get("unverified", ())))),
    ])  # fmt: skip
    measured = set(sensor.get("parameters", ()))
    rows = [
        (one["parameter"], f"{one['fc']:02}", f"{one['address']} (0x{one['address']:04X})",
         f"{one['type']} {one['order']}",
         f"× {told.number(one['scale'])} + {told.number(one['offset'])} {told.unit(one['unit'])}", one["manual"])
        for one in sensor.get("registers", ()) if not measured or one["parameter"] in measured
    ]  # fmt: skip
    heads = ("parameter", "function", "address", "type", "scale", "manual_word")
    yield table([told.t(name) for name in heads], rows) if rows else None


def marks_part(trail: Trail, told: Told) -> Child:
    """What people said of the point in the window, each signed by its author."""
    rows = [
        (f"{one['id']}: {told.t('mark_' + one['kind'])}", f"{told.when(one['from'])} – {told.when(one['to'])}",
         " ".join(filter(None, [one["parameter"], one["sensor"], _changes(one, told)])),
         f"{one['author']} ({told.t('role_' + one['role'])}), {told.when(one['made'])}",
         [one["reason"], f" · {told.t('taken_back')} ({one['revoked_by']})" if one["revoked_by"] else None])
        for one in trail["marks"]
    ]  # fmt: skip
    heads = ("marks", "span_word", "parameter", "by_word", "reason")
    return table([told.t(name) for name in heads], rows) if rows else tag("p", told.t("nothing_here"))


def _changes(mark: Trail, told: Told) -> str:
    scale = f"× {told.number(mark['scale'])}" if mark["scale"] is not None else ""
    offset = f"+ {told.number(mark['offset'])}" if mark["offset"] is not None else ""
    given = told.t("values_given", len(mark["values"])) if mark["values"] else ""
    return " ".join(filter(None, [scale, offset, given]))


def notices_part(trail: Trail, told: Told) -> Child:
    """Whom the incident's notices went to, and what became of them."""
    rows = [
        (told.when(one["time"]), told.t(f"reason_{one['reason']}"), one["recipient"], told.t(f"channel_{one['kind']}"),
         told.t(f"notice_{one['state']}"))
        for one in trail["notices"]
    ]  # fmt: skip
    heads = ("when", "why", "step_notice", "link", "state")
    return table([told.t(name) for name in heads], rows) if rows else tag("p", told.t("no_notice_yet"))


def history_part(trail: Trail, told: Told) -> Child:
    """Every version of the exceedance and of its average, with what differs from the one before."""
    versions, marks = trail["versions"], {one["id"]: one for one in trail["marks"]}

    def why(one: Trail) -> str:
        causes = [_cause(cause, marks, told) for cause in one["because"]]
        return "; ".join(causes) if causes else told.t("because_first")

    exceedances = [
        (told.t("version", one["version"]), told.when(one["derived"]), told.t(f"change_{one['change']}"),
         told.figure(one["value"], one["unit"]), _bounds({**one, "high": one["limit"]}, told), why(one))
        for one in versions["exceedance"]
    ]  # fmt: skip
    averages = [
        (told.t("version", one["version"]), told.when(one["derived"]), told.figure(one["value"], one["unit"]),
         told.figure(one["evaluated"], one["unit"]), told.number(one["valid"]), told.statuses(one["statuses"]),
         why(one))
        for one in versions["average"]
    ]  # fmt: skip
    left = versions["left"]["exceedance"] + versions["left"]["average"]
    return [
        tag("p", told.t("history_why"), _class="quiet"),
        table([told.t(n) for n in ("version_word", "when", "state", "value", "limit", "why")], exceedances),
        tag("h3", told.t("change_average")),
        table(
            [told.t(n) for n in ("version_word", "when", "value", "evaluated", "valid", "statuses", "why")], averages
        ),
        tag("p", told.t("history_left", left)) if left else None,
    ]


def _cause(cause: Trail, marks: Mapping[int, Trail], told: Told) -> str:
    """One reason of a version in words."""
    what, position = cause["what"], cause.get("mark")
    if what == "mark":
        mark = marks.get(position or 0)
        return told.t("because_mark", position, *_said(mark, told))
    if what == "statuses":
        change = {name: f"{count:+d}" for name, count in cause["change"].items()}
        return told.t("because_statuses", ", ".join(f"{told.status(name)} {count}" for name, count in change.items()))
    return told.t(f"because_{what}", cause.get("count") if position is None else position)


def _said(mark: Trail | None, told: Told) -> tuple[str, str]:
    return (told.t("mark_" + mark["kind"]), mark["author"]) if mark else ("–", "–")


def proof_part(trail: Trail, told: Told, version: str, made: str) -> Child:
    """How somebody who trusts nobody can check the page."""
    where = f"/api/v1/evidence/{trail['exceedance']['id']}"
    said = told.t("proof_why", version, f"{told.when(made)} ({told.timezone})", where, trail["sha256"])
    return tag("p", said, _class="long")

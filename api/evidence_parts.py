"""Parts of the page to print that are made of numbers: the judged value, what went into it, and its curve. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from api.markup import Child, Markup, facts, table, tag
from api.times import parse_time
from api.told import Told
from collector.verdicts.windows import FIXED_NS
from gateway.measurement import SECOND_NS

Trail = Mapping[str, Any]
WIDE, HIGH = 720, 180  # of the curve, in its own units
MARGIN = 14
TOGETHER = 20  # rows of a table
GAP = 2.5  # usual distances between two values; further ones are no line
UNITS = {"_c": "degC", "_pa": "Pa", "_percent": "%"}
# What the page says in words of its own; the rest of an average is shown as it is.
AVERAGE = ("parameter", "window", "from", "to", "unit", "value", "evaluated", "maximum", "method", "coverage", "valid",
           "parts", "counts", "marks", "version", "percentiles", "count", "corrections", "standard_dry",
           "converted")  # fmt: skip
HEADS = {
    "time": "time", "from": "time", "value": "value", "converted": "converted_short", "judged": "judged_value",
    "valid": "valid", "statuses": "status_word", "status": "status_word", "sensor": "sensor",
}  # fmt: skip


def average_part(trail: Trail, told: Told) -> Child:
    """The judged value as it was written down, and how it came about."""
    average = trail["evidence"].get("average") or trail["average"] or {}
    unit = average.get("unit", "")
    levels = [(f"L{name[1:]}", told.figure(level, unit)) for name, level in average.get("percentiles", {}).items()]
    method = average.get("method")
    evaluated, maximum = average.get("evaluated"), average.get("maximum")
    return [
        facts([
            (told.t("value"), told.figure(average.get("value"), unit)),
            (told.t("evaluated"), told.figure(evaluated, unit) if evaluated is not None else None),
            (told.t("maximum_in"), told.figure(maximum, unit) if maximum is not None else None),
            (told.t("method"), told.t(f"method_{method}") if method else None),
            (told.t("coverage"), f"{average.get('coverage', 0.0):.1%}"),
            (told.t("valid"), told.number(bool(average.get("valid")))),
            (told.t("validity"), _validity(average.get("parts"), told)),
            (told.t("statuses"), told.statuses(average.get("counts", {}))),
            (told.t("marks"), ", ".join(map(str, average.get("marks", ())))),
            (told.t("version_word"), told.t("version", average.get("version", "–"))),
            *levels,
            *others(average, AVERAGE, told),
        ]),
        list(_corrections(average, told)),
        _settings(trail["evidence"].get("settings", {}), told),
    ]  # fmt: skip


def others(found: Trail, known: Collection[str], told: Told) -> Iterator[tuple[str, str]]:
    """What else was written down, as its name and its value in JSON, so that the page leaves nothing out."""
    for name in (name for name in found if name not in known and found[name] not in (None, "", [], {})):
        yield name.replace("_", " "), plain_json(found[name], told)


def plain_json(value: Any, told: Told) -> str:  # noqa: ANN401 - any JSON value
    """A value of JSON as people read it: `how: mass, of: SO2, velocity`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')}: {plain_json(item, told)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain_json(item, told) for item in value)
    return str(value) if isinstance(value, str) else told.number(value)


def _validity(parts: Trail | None, told: Told) -> str | None:
    if not parts:
        return None
    share = f"{parts['share'] or 0:.0%}"
    needed = share if parts["minimum"] is None else told.number(parts["minimum"])
    return f"{told.t('parts_needed', told.number(parts['valid']), needed)} ({parts['of']}) · {parts['cite']}"


def _corrections(average: Trail, told: Told) -> Iterator[Child]:
    """Each correction with what it took; the standard's own order."""
    if not average.get("corrections"):
        return
    unit = average.get("unit", "")
    rows: list[tuple[Child, Child]] = [(told.t("as_measured"), told.figure(average.get("value"), unit))]
    for step in average["corrections"]:
        took = {name: told.figure(value, _unit(name)) for name, value in step.items() if name != "step"}
        taken = [f"{told.t('taken_' + name)} {figure}" for name, figure in took.items()]
        rows.append((told.t(f"correction_{step['step']}"), ", ".join(taken)))
    rows += [
        (told.t(name), told.figure(average[name], unit))
        for name in ("standard_dry", "converted")
        if average.get(name) is not None
    ]
    yield tag("h3", told.t("corrections"))
    yield tag("dl", [[tag("dt", name), tag("dd", value)] for name, value in rows])


def _unit(taken: str) -> str:
    """The unit of what a correction takes, by the end of its name."""
    return next((unit for end, unit in UNITS.items() if taken.endswith(end)), "%" if "oxygen" in taken else "")


def _settings(settings: Trail, told: Told) -> Child:
    if not settings:
        return None
    rows = [(name, plain_json(value, told)) for name, value in settings.items() if value is not None]
    return [tag("h3", told.t("settings_used")), facts(rows)]


def measured_part(trail: Trail, told: Told) -> Child:
    """What went in, listed: the judged parameter with its curve, what the clause counts, the other channels."""
    evidence = trail["evidence"]
    measured, parts = evidence.get("measurements"), evidence.get("parts")
    if not measured:
        return tag("p", told.t("nothing_here"))
    found: list[Child] = [_curve(measured, evidence.get("clause", {}), told), _listing(measured, told)]
    if parts:
        about = {**measured, **parts}
        found += [tag("h3", told.t("parts_of_clause")), _rows(about, told)]
    others = evidence.get("conditions", {})
    if others:
        found.append(tag("h3", told.t("other_channels")))
        found += [_listing(other, told) for other in others.values()]
    return found


def _listing(measured: Trail, told: Told) -> Child:
    """One channel: how much, by what it is listed, its rows, and where the rest is."""
    raw, left = measured.get("interval") == "raw", measured.get("left")
    kind = told.t(f"window_{measured['interval']}") if measured.get("interval") and not raw else ""
    said = told.t("listed_raw", measured["count"]) if raw else told.t("listed_by", measured["count"], kind)
    pieces = [f"{told.when(begin)} – {told.when(end)}" for begin, end in measured.get("pieces", ())]
    return [
        tag("p", tag("strong", measured["parameter"]), f" [{told.unit(measured['unit'])}] · {said}"),
        tag("p", f"{told.t('between')}: {'; '.join(pieces)}") if pieces else None,
        tag("p", told.t("left_to", left["count"], left["query"], left["command"]), _class="quiet long")
        if left
        else None,
        _rows(measured, told) if measured.get("items") else None,
    ]


def _rows(measured: Trail, told: Told) -> Markup:
    """The rows of a listing in short tables, as many beside one another as fit; empty columns are left out.

    Within a day the date stands over a table, and its rows tell the time of day.
    """
    items = measured.get("items", ())
    columns = measured.get("columns") or ["from", "value", "converted", "valid"]
    kept = [n for n, name in enumerate(columns) if name != "converted" or any(row[n] is not None for row in items)]
    heads = [told.t(HEADS.get(columns[n], columns[n])) for n in kept]
    daily = measured.get("interval") not in ("raw", *FIXED_NS)
    tables: list[Markup] = []
    for date, rows in groupby(items, key=lambda row: "" if daily else told.when(row[0])[:10]):
        cells = [[_cell(columns[n], row[n], told, date) for n in kept] for row in rows]
        starts = range(0, len(cells), TOGETHER)
        tables += [table(heads, cells[start : start + TOGETHER], caption=date or None) for start in starts]
    return tag("div", tables, _class="rows")


def _cell(name: str, value: Any, told: Told, date: str) -> str:  # noqa: ANN401 - a cell of JSON
    if name in ("time", "from"):
        return told.when(value).removeprefix(date).strip()
    if name == "statuses":
        return told.statuses(value)
    if name == "status":
        return told.status(value)
    return value if isinstance(value, str) else told.number(value)


def _curve(measured: Trail, clause: Trail, told: Told) -> Child:
    """The values over the window, and the limit where it is one of such values; None where there is nothing to see."""
    columns = measured.get("columns") or ["from", "value", "converted"]
    converted = clause.get("corrected", "as measured") != "as measured" and "converted" in columns
    place = columns.index("converted" if converted else "value")
    status = columns.index("status") if "status" in columns else None
    points = [
        (parse_time(row[0]) / SECOND_NS, float(row[place]))
        for row in measured.get("items", ())
        if row[place] is not None and (status is None or row[status] == "ok")
    ]
    if len(points) < 2:
        return None
    alike = clause.get("statistic", "value") != "count" and clause.get("unit") == measured["unit"]
    limits = [float(end) for end in (clause.get("low"), clause.get("high")) if end is not None and alike]
    alt = told.t("curve_alt", measured["parameter"], told.when(measured["from"]), told.when(measured["to"]))
    return tag("figure", drawing(points, limits, alt, told.number))


def drawing(
    points: Sequence[tuple[float, float]], limits: Sequence[float], alt: str, say: Callable[[float], str]
) -> Markup:
    """A curve and its limits as a picture. points: seconds and values, by time, at least two. say: a number as text."""
    values = [value for _, value in points] + list(limits)
    low, high = min(values), max(values)
    tall, long = (high - low) or 1.0, (points[-1][0] - points[0][0]) or 1.0

    def x(seconds: float) -> float:
        return round(MARGIN + (seconds - points[0][0]) / long * (WIDE - 2 * MARGIN), 1)

    def y(value: float) -> float:
        return round(HIGH - MARGIN - (value - low) / tall * (HIGH - 2 * MARGIN), 1)

    usual = sorted(b[0] - a[0] for a, b in pairwise(points))[(len(points) - 1) // 2]
    runs: list[list[tuple[float, float]]] = [[points[0]]]
    for before, point in pairwise(points):
        if point[0] - before[0] > GAP * usual:
            runs.append([])  # nothing was measured between the two
        runs[-1].append(point)
    lines = [tag("polyline", points=" ".join(f"{x(s)},{y(v)}" for s, v in run), _class="values") for run in runs]
    ends = [tag("line", x1=MARGIN, x2=WIDE - MARGIN, y1=y(limit), y2=y(limit), _class="limit") for limit in limits]
    marks = [
        tag("text", say(value), x=WIDE - MARGIN, y=max(10, y(value) - 3)) for value in sorted({low, high, *limits})
    ]
    return tag("svg", lines, ends, marks, viewBox=f"0 0 {WIDE} {HIGH}", role="img", aria__label=alt)

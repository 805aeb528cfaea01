"""What an acceptance sheet says of a point: everything a plant and a regulator sign for, in the words of one language.

What the site file and the profiles say (instruments, registers) is taken from them; what runs and what was recorded is
taken from the collector's interface, as it answers at the moment the sheet is made. What is missing or failed stands
on the first page, so that nobody signs it unseen (`api.open_points`). Pure: answers in, a sheet out; `api.sheet` makes
the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.sheet_words import Words
from gateway.profiles import Register
from gateway.sensors import Sensor
from gateway.settings import Link, Point, Site

Item = Mapping[str, Any]


class Code(str):
    """A cell that is read letter by letter: a key, a hash, an address."""

    __slots__ = ()


class Good(str):
    """A cell that says that something is as it should be."""

    __slots__ = ()


class Bad(str):
    """A cell that says that something is not."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the collector's interface answered. made: RFC 3339. by: the author.

    marks: swaps and sound checks. loopchecks: records of loop checks, as their files have them. hashes: by gateway,
    of what it measures by according to the site file here.
    """

    made: str
    by: str
    point: Item
    health: Item
    instruments: Sequence[Item]
    coverage: Sequence[Item]
    commissioning: Sequence[Item]
    marks: Sequence[Item]
    loopchecks: Sequence[Item] = ()
    hashes: Mapping[str, str]
    version: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the sheet: rows of cells under a heading. head: of the columns, empty = names and what they are.

    widths: of the columns, as shares. empty: what stands there where there are no rows.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A sheet to be laid out. foot: of every page."""

    language: str
    title: str
    name: str
    made: str
    open: tuple[str, ...]
    sections: tuple[Section, ...]
    proof: str
    foot: str


def acceptance(
    site: Site, point: Point, sensors: Sequence[Sensor], told: Told, open: Sequence[str], words: Words
) -> Sheet:
    """The sheet of a point. sensors: those that stand there. open: what is missing or failed, in sentences."""
    local = Clock(site.plant.timezone)
    name = f"{site.plant.name.of(words.language)} · {point.name.of(words.language)}"
    return Sheet(
        language=words.language, title=words("title"), name=name,
        made=words("made", local(told.made, zone=True), told.by), open=tuple(open),
        sections=(
            _place(site, point, told, words, local), _instruments(sensors, told, words), _registers(sensors, words),
            _limits(told, words), _loopchecks(told, words, local), _work(told, words, local),
            _configuration(sensors, told, words, local), _coverage(told, words, local),
        ),
        proof=words("proof", site.plant.id, told.by), foot=f"emitwatch {told.version} · {site.plant.id}/{point.id}",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clock:
    """Times as the plant's clocks show them."""

    timezone: str

    def __call__(self, time: str | None, *, zone: bool = False) -> str:
        """An RFC 3339 time; "" for none. zone: with the name of the time zone."""
        if not time:
            return ""
        local = datetime.fromisoformat(time[:19] + "+00:00").astimezone(ZoneInfo(self.timezone))
        return f"{local:%Y-%m-%d %H:%M:%S}" + (f" ({self.timezone}, UTC{local.isoformat()[19:]})" if zone else "")


def _place(site: Site, point: Point, told: Told, words: Words, local: Clock) -> Section:
    plant = site.plant
    position = f"{plant.position[0]:g}, {plant.position[1]:g}" if plant.position else ""
    settings = ", ".join(f"{key} = {_plain(value)}" for key, value in sorted(point.settings.items()))
    silent = [
        words("silent_then", local(one["from"]), local(one["to"]))
        if one["to"]
        else words("silent_now", local(one["from"]))
        for one in told.commissioning
    ]
    rows = (
        (words("plant"), f"{plant.name.of(words.language)} ({plant.id})"),
        (words("point"), f"{point.name.of(words.language)} ({point.id})"), (words("kind"), words(point.kind)),
        (words("industry"), plant.industry), (words("district"), plant.district), (words("position"), position),
        (words("timezone"), plant.timezone), (words("settings"), settings),
        (words("commissioning"), "; ".join(silent) or words("never_silent")),
    )  # fmt: skip
    return Section(words("place"), (), tuple(row for row in rows if row[1]), (0.24, 0.76))


def _instruments(sensors: Sequence[Sensor], told: Told, words: Words) -> Section:
    serials = {one["sensor"]: one["serial"] for one in told.instruments if one["to"] is None}
    rows = tuple(
        (
            Code(sensor.settings.id), f"{sensor.profile.maker} {sensor.profile.model}",
            Code(found) if (found := serials.get(sensor.settings.id, "")) else Bad(words("unknown")),
            Code(link_text(sensor.settings.link)), f"{sensor.settings.interval_s:g} s",
            f"{sensor.profile.name}: {sensor.profile.source}",
        )
        for sensor in sensors
    )  # fmt: skip
    head = tuple(map(words, ("sensor", "instrument", "serial", "link", "interval", "profile")))
    return Section(words("instruments"), head, rows, (0.1, 0.17, 0.12, 0.26, 0.08, 0.27))


def _registers(sensors: Sequence[Sensor], words: Words) -> Section:
    rows = [row for sensor in sensors for row in _of_profile(sensor, words)]
    head = tuple(map(words, ("sensor", "parameter", "register", "type", "scale", "range", "manual")))
    return Section(words("registers"), head, tuple(rows), (0.1, 0.15, 0.11, 0.12, 0.13, 0.16, 0.23))


def _of_profile(sensor: Sensor, words: Words) -> Iterator[tuple[str, ...]]:
    units, id = {series.parameter: series.unit for series in sensor.series}, Code(sensor.settings.id)
    for register in sensor.profile.registers:
        if register.parameter in units:
            span = f"{register.low:g} – {register.high:g} {units[register.parameter]}"
            type = f"{register.type} {register.order}" if register.width > 1 else register.type
            where = Code(f"FC{register.fc} {register.address}")
            yield id, register.parameter, where, type, _scale(register), span, register.manual
    for rule in sensor.profile.status:
        where = Code(f"FC{rule.fc} {rule.address}")
        yield id, words("status", words.of({"en": rule.text.en, "zh": rule.text.zh})), where, "", "", "", rule.manual


def _scale(register: Register) -> str:
    offset = f" {'+' if register.offset > 0 else '−'} {abs(register.offset):g}" if register.offset else ""
    return f"× {register.scale:g}{offset} {register.unit}"


def _limits(told: Told, words: Words) -> Section:
    titles = {rule["id"]: words.of(rule["title"]) for rule in told.point["rules"]}
    rows = []
    for parameter in told.point["parameters"]:
        for one in parameter["limits"]:
            what = f"{words.of(one['title'])} · {parameter['code']}"
            cite = f"{titles.get(one['pack'], one['pack'])}: {one['cite']}"
            worth = f"{words(one['standing'])}, {words('verified' if one['verified'] else 'unverified')}"
            window = words(f"window_{one['window']}")
            window += f" ({words('window_' + one['period'])})" if one["period"] not in ("", one["window"]) else ""
            rows.append((what, cite, _bounds(one), window, worth))
    head = tuple(map(words, ("what", "clause", "limit", "window", "standing")))
    return Section(words("limits"), head, tuple(rows), (0.27, 0.33, 0.13, 0.13, 0.14), words("no_rules"))


def _bounds(limit: Item) -> str:
    low, high, unit = limit["low"], limit["limit"], limit["unit"]
    if low is not None and high is not None:
        return f"{low:g} – {high:g} {unit}".strip()
    if low is None and high is None:
        return "–"
    return f"{'≤' if low is None else '≥'} {high if low is None else low:g} {unit}".strip()


def _loopchecks(told: Told, words: Words, local: Clock) -> Section:
    rows = []
    for check in told.loopchecks:
        for injection in check.get("injections", ()):
            for stage in injection.get("stages", ()):
                verdict = str(stage.get("verdict", ""))
                good = verdict == "agrees"
                rows.append((
                    f"{check.get('sensor', '')} {check.get('parameter', '')}", local(str(injection.get("began", ""))),
                    f"{_number(injection.get('injected'))} {check.get('unit', '')}".strip(),
                    words(f"stage_{stage.get('stage', '')}"), _number(stage.get("value")),
                    _number(stage.get("difference")), f"± {_number(injection.get('tolerance'))}",
                    (Good if good else Bad)(words(verdict)),
                ))  # fmt: skip
    names = ("sensor", "when", "injected", "stage", "value", "difference", "tolerance", "result")
    widths = (0.17, 0.19, 0.13, 0.1, 0.11, 0.1, 0.1, 0.1)
    return Section(words("loopchecks"), tuple(map(words, names)), tuple(rows), widths, words("no_loopchecks"))


def _work(told: Told, words: Words, local: Clock) -> Section:
    rows = []
    for mark in told.marks:
        check, swap = mark["sound_check"], mark["swap"]
        if check:
            what, unit, true, good = words("sound_check"), "dB", check["level"], check["passed"]
            result: str = Good(words("passed")) if good else Bad(words("failed"))
        else:
            what, unit, true = words("swap", swap["old_serial"] or "?", swap["serial"]), swap["unit"], swap["reference"]
            result = ""
        said = check or swap
        result = words("taken_back") if mark["revoked_by"] else result
        values = (f"{_number(value)} {unit}".strip() for value in (said["as_found"], said["as_left"], true))
        rows.append((Code(mark["sensor"]), local(mark["to"]), what, *values, f"{mark['author']} #{mark['id']}", result))
    names = ("sensor", "when", "what", "as_found", "as_left", "reference", "by", "result")
    widths = (0.12, 0.19, 0.19, 0.1, 0.1, 0.1, 0.11, 0.09)
    return Section(words("work"), tuple(map(words, names)), tuple(rows), widths, words("no_work"))


def _configuration(sensors: Sequence[Sensor], told: Told, words: Words, local: Clock) -> Section:
    rows: list[tuple[str, str]] = []
    runs_there = told.health.get("version", "")
    for id in dict.fromkeys(sensor.settings.gateway for sensor in sensors):
        one = told.health.get("gateways", {}).get(id, {})
        runs = one.get("configuration", {})
        same = runs.get("hash") == told.hashes.get(id)
        since = local(_time(runs.get("since_ns", 0))) or words("never")
        approval: str = Bad(runs.get("problem", "")) if runs.get("problem") else Good(words("approved", since))
        clock: str = Bad(words("clock_wrong")) if one.get("clock_wrong") else Good(words("clock_right"))
        rows += [
            (words("gateway"), f"{id} · {words('heard')} {local(_time(one.get('received_ns', 0))) or words('never')}"),
            (words("key"), Code(one.get("public_key", "") or words("unknown"))),
            (words("hash"), Code(runs.get("hash", "") or words("unknown"))),
            (words("here"), Good(words("same")) if same else Bad(words("another"))),
            (words("approval"), approval), (words("clock"), clock),
        ]  # fmt: skip
    rows += [
        (words("collector_key"), Code(told.health.get("public_key", "") or words("unknown"))),
        (
            words("versions"),
            f"{words('collector')} emitwatch {runs_there}, {words('this_sheet')} emitwatch {told.version}",
        ),
    ]
    return Section(words("configuration"), (), tuple(rows), (0.24, 0.76))


def _coverage(told: Told, words: Words, local: Clock) -> Section:
    rows = tuple(
        (
            Code(one["sensor"]), f"{one['parameter']} [{one['unit']}]", f"{one['awaited']:,}", f"{one['received']:,}",
            f"{one['good']:,}", f"{one['coverage']:.2%}", local(one["newest"]),
        )
        for one in told.coverage
    )  # fmt: skip
    first = told.coverage[0] if told.coverage else {"from": "", "to": ""}
    head = tuple(map(words, ("sensor", "parameter", "awaited", "received", "good", "share", "newest")))
    title = words("coverage", local(first["from"]), local(first["to"]))
    return Section(title, head, rows, (0.14, 0.22, 0.12, 0.12, 0.12, 0.1, 0.18))


def link_text(link: Link) -> str:
    """A link as the site file writes it."""
    place = f"{link.kind}://{link.address}" + (f":{link.port}" if link.port else "")
    return f"{place}?" + "&".join(f"{key}={value}" for key, value in [*link.options.items(), ("unit", link.unit)])


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, ZoneInfo("UTC")).isoformat()[:19] + "Z" if time_ns else ""


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "–"


def _plain(value: object) -> str:
    return " – ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

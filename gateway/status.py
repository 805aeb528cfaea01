"""How a gateway is, for whoever stands beside it: as a page, as figures for Prometheus, and what was measured last.

For the first hour on site, when no collector answers yet, and for every visit after. Pure: the gateway's state
(docs/reference/wire.md, State) and its last measurements in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from gateway.measurement import SECOND_NS, Columns, Float64, Int64, Series, Status, UInt8
from gateway.state import age

REFRESH_S = 5
TROUBLE = (Status.FAULT, Status.OUT_OF_RANGE, Status.NO_COMM, Status.STALE, Status.UNSYNCED)  # none that people set


@dataclass(frozen=True, slots=True)
class Shown:
    """The last measurement of a series. value: None = there is none. age_s: since its instant, time_ns."""

    series: Series
    value: float | None
    status: Status
    age_s: float
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    """The last measurement of each of some series, shapes (n,). time_ns: 0 = there is none."""

    series: tuple[Series, ...]
    time_ns: Int64
    value: Float64
    status: UInt8


def _empty(series: tuple[Series, ...]) -> _Table:
    n = len(series)
    return _Table(series, np.zeros(n, np.int64), np.empty(n), np.zeros(n, np.uint8))


class Latest:
    """What was measured last, of every series."""

    def __init__(self) -> None:
        self._tables: dict[int, _Table] = {}  # the same few tables of series come again and again

    def put(self, columns: Columns) -> None:
        """Measurements that have come in."""
        table = self._tables.setdefault(id(columns.series), _empty(columns.series))
        order = np.argsort(columns.time_ns, kind="stable")
        order = order[columns.time_ns[order] >= table.time_ns[columns.series_index[order]]]
        places = columns.series_index[order]  # of equal ones the last is kept
        table.time_ns[places] = columns.time_ns[order]
        table.value[places] = columns.value[order]
        table.status[places] = columns.status[order]

    def keep(self, series: Sequence[Series]) -> None:
        """From now on only these are measured."""
        last, place = self._last(), {one: number for number, one in enumerate(series)}
        table = _empty(tuple(series))
        for one, found in last.items():
            if one in place:
                table.time_ns[place[one]], table.value[place[one]], table.status[place[one]] = found
        self._tables = {0: table}

    def shown(self, now_ns: int) -> list[Shown]:
        """The last of each series, by sensor and parameter. now_ns: time of day. [ns since 1970 UTC]"""
        newest = sorted(self._last().items(), key=lambda item: (item[0].sensor, item[0].parameter))
        return [_shown(series, *found, now_ns) for series, found in newest]

    def _last(self) -> dict[Series, tuple[int, float, int]]:
        """Time, value and status of the last of each series."""
        last: dict[Series, tuple[int, float, int]] = {}
        for table in list(self._tables.values()):
            rows = zip(table.series, table.time_ns.tolist(), table.value.tolist(), table.status.tolist(), strict=True)
            for series, *found in rows:
                if found[0] and found[0] >= last.get(series, (0,))[0]:
                    last[series] = (found[0], found[1], found[2])
        return last


def _shown(series: Series, time_ns: int, value: float, status: int, now_ns: int) -> Shown:
    known = value if value == value else None  # NaN is not itself
    return Shown(series, known, Status(status), (now_ns - time_ns) / SECOND_NS, time_ns)


LOOK = "emitwatch probe LINK, with the link of the site file, says what is wrong there and what to do"


def problems(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong, and what to do about it, "" where that is not known."""
    links, good_s = state.get("links", {}), state.get("good_s", {})
    found = [(f"{sensor}: {problem}", LOOK) for sensor, problem in links.items() if problem]
    quiet = [sensor for sensor in state.get("silent", ()) if not links.get(sensor)]
    found += [(f"{id}: no good value for {age(good_s.get(id, 0.0))}", "see what it says of itself") for id in quiet]
    found += [(f"inputs at {place}: {problem}", LOOK) for place, problem in state.get("inputs", {}).items()]
    connection, delivery = state.get("connection", {}), state.get("delivery", {})
    if connection.get("problem"):
        found.append((f"no connection to the broker: {connection['problem']}", connection.get("hint", "")))
    if delivery.get("problem"):
        found.append((f"delivery: {delivery['problem']}", delivery.get("hint", "")))
    clock = state.get("clock", {})
    if clock.get("standing") == "wrong":
        off = "" if clock.get("off_s") is None else f" by {clock['off_s']} s"
        found.append((f"the clock is wrong{off}", "let a time server hold it: apt-get install chrony"))
    storage = state.get("storage", {})
    if storage.get("alarm"):
        found.append((f"the outbox is {storage['alarm']} % full", "see why nothing is acknowledged"))
    if (reload := state.get("reload", {})).get("result") == "refused":
        hint = reload.get("hint") or "emitwatch check SITE, then reload again"
        found.append((f"the site file was not taken over: {reload['text']}", hint))
    if problem := state.get("configuration", {}).get("problem"):
        found.append((f"configuration: {problem}", "emitwatch enroll SITE GATEWAY --sign, at the collector"))
    return found


def facts(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is to be known beside the instruments, as name and text."""
    clock, storage, steps = state.get("clock", {}), state.get("storage", {}), state.get("clock", {}).get("steps", 0)
    away = state.get("connection", {}).get("problem")
    left = storage.get("hours_left")
    waiting = state.get("sealed_batches", 0) - state.get("acked_batches", 0)
    configuration, reload = state.get("configuration", {}), state.get("reload", {})
    approved = "approved" if configuration.get("signed") else "not approved"
    became = "" if reload.get("result") == "refused" else f": {reload.get('text')}"
    again = [("reload", f"{reload['result']} at {reload['time']}{became}")] if reload else []
    return [
        ("gateway", f"{state.get('gateway')} of plant {state.get('plant')}"),
        ("broker", f"{state.get('broker')}, {'not connected' if away else 'connected'}"),
        ("batches", f"{state.get('sealed_batches', 0)} sealed by this process, {max(0, waiting)} not acknowledged"),
        ("good values", _good(state)),
        ("polls", f"{state.get('polls_answered', 0)} answered, {state.get('polls_failed', 0)} failed"),
        ("clock", str(clock.get("standing")) + (f", was set {steps} time{'s' * (steps > 1)}" if steps else "")),
        ("outbox", f"{storage.get('share', 0) * 100:.1f} % full" + ("" if left is None else f", {left} h left")),
        ("configuration", f"{configuration.get('hash', '')[:16]}, {approved}"),
        *again,
        ("as of", str(state.get("time"))),
    ]


def _good(state: Mapping[str, Any]) -> str:
    """How long the sensor that lacks a good value longest has given none."""
    good_s: Mapping[str, float] = state.get("good_s", {})
    if not good_s:
        return "of no sensor"
    worst = max(good_s, key=good_s.__getitem__)
    return f"{worst} has given none for {age(good_s[worst])}, the longest of {len(good_s)} sensors"


def page(state: Mapping[str, Any], rows: Sequence[Shown]) -> str:
    """A page that renews itself and needs nothing but itself."""
    wrong = problems(state)
    listed = "".join(
        f"<li>{escape(what)}{f'<br><small>{escape(hint)}</small>' if hint else ''}</li>" for what, hint in wrong
    )
    verdict = f'<ul class="bad">{listed}</ul>' if wrong else '<p class="good">All instruments answer, all is well.</p>'
    good_s = state.get("good_s", {})
    measured = "".join(_row(one, good_s) for one in rows) or '<tr><td colspan="3">nothing was measured yet</td></tr>'
    return _PAGE.format(
        title=escape(str(state.get("gateway"))), refresh=REFRESH_S, verdict=verdict, values=measured,
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts(state)),
    )  # fmt: skip


def _row(shown: Shown, good_s: Mapping[str, float]) -> str:
    name, status = f"{shown.series.sensor} {shown.series.parameter}", status_text(shown, good_s)
    said = "" if shown.status is Status.OK else f"<br><small>{escape(status)}</small>"
    return (
        f"<tr{' class=bad' if shown.status in TROUBLE else ''}><td>{escape(name)}</td>"
        f"<td>{escape(value_text(shown))}{said}</td><td>{shown.age_s:.0f} s</td></tr>"
    )


def status_text(shown: Shown, good_s: Mapping[str, float]) -> str:
    """A status, and where it is not good how long the sensor has given no good value. good_s: of each sensor."""
    status, good = shown.status.name.lower(), good_s.get(shown.series.sensor)
    return status if shown.status is Status.OK or good is None else f"{status}, no good value for {age(good)}"


def value_text(shown: Shown) -> str:
    """A value with its unit, as it is read off."""
    return "-" if shown.value is None else f"{shown.value:.6g} {shown.series.unit}".strip()


def metrics(state: Mapping[str, Any], rows: Iterable[Shown]) -> str:
    """Figures in the text format of Prometheus (version 0.0.4)."""
    links: Mapping[str, str] = state.get("links", {})
    labels = f'gateway="{state.get("gateway")}",plant="{state.get("plant")}"'
    lines = [f"emitwatch_gateway_up{{{labels}}} 1"]
    counts = {name: value for name, value in state.items() if type(value) is int}
    counts["reload_refused"] = int(state.get("reload", {}).get("result") == "refused")
    lines += [f"emitwatch_gateway_{name}{{{labels}}} {value}" for name, value in counts.items()]
    storage = {name: value for name, value in state.get("storage", {}).items() if isinstance(value, int | float)}
    lines += [f"emitwatch_gateway_outbox_{name}{{{labels}}} {value}" for name, value in storage.items()]
    lines += [f'emitwatch_sensor_up{{{labels},sensor="{sensor}"}} {int(not bad)}' for sensor, bad in links.items()]
    lines += [
        f'emitwatch_sensor_good_age_seconds{{{labels},sensor="{_label(sensor)}"}} {good_s}'
        for sensor, good_s in state.get("good_s", {}).items()
    ]
    lines += [
        f'emitwatch_value_age_seconds{{{labels},sensor="{_label(one.series.sensor)}",'
        f'parameter="{_label(one.series.parameter)}"}} {one.age_s:.3f}'
        for one in rows
        if one.status is Status.OK
    ]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} - emitwatch</title>
<meta http-equiv="refresh" content="{refresh}"><meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; --good: light-dark(#1b6e3c, #7bd89f); --bad: light-dark(#a3201d, #ff9d94); }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 1.5rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; }} h2 {{ font-size: 1.1rem; }} .good {{ color: var(--good); }} .bad {{ color: var(--bad); }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .25rem .5rem; border-bottom: 1px solid #8884; text-align: left; overflow-wrap: anywhere; }}
td + td, th + th {{ text-align: right; white-space: nowrap; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
dt {{ opacity: .7; }}
</style></head><body>
<h1>{title}</h1>
{verdict}
<table><thead><tr><th>measured</th><th>value</th><th>age</th></tr></thead><tbody>{values}</tbody></table>
<h2>The gateway</h2>
<dl>{facts}</dl>
</body></html>
"""

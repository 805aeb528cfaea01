"""Evidence: everything an exceedance stands on, written down with it.

The walk goes backwards, notice < clause < average < measurements < registers < manual page, and an
exceedance carries the part from the clause on, so that it can be followed years later, when
settings, packs and instruments have changed: the clause as it was in force, the average with its
version and how it came about, the measurements that went in (each of them where they are few, else
by the minute), and for each instrument the registers and where its manual tells of them.

Evidence is plain JSON: texts, numbers, lists, mappings; times are RFC 3339. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from collector.verdicts.limits import Clause
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import REASONS, Signal
from collector.verdicts.states import STATES
from collector.verdicts.tables import CONDITIONS, FLOW, Table, Tables
from gateway.measurement import SECOND_NS, Int64
from gateway.sensors import Sensor

# Two minutes of 1-s values: enough to show a peak with what was around it; more is told by the minute.
VALUES_MAX = 120


def evidence(
    rules: PointRules,
    clause: Clause,
    average: Average,
    *,
    compared: float,
    limit: float,
    conditions: Mapping[str, float],
    signals: Mapping[str, Signal],
    tables: Tables,
) -> dict[str, Any]:
    """What an exceedance of a clause by an average stands on.

    compared: what was held against `limit`. conditions: other channels that the limit depends on.
    signals, tables: of the point, over a span that holds the window.
    """
    others = _others(rules, average, signals)
    return {
        "clause": clause_evidence(rules, clause, compared=compared, limit=limit, conditions=conditions),
        "average": average_evidence(average),
        "measurements": _measurements(average, signals[average.parameter], tables),
        "conditions": {name: _summary(signals[name], average) for name in others},
        "sensors": [
            {**_source(rules, id), "parameters": parameters}
            for id, parameters in _sensors(average, signals, [average.parameter, *others]).items()
        ],
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in rules.settings.items()},
    }


def clause_evidence(
    rules: PointRules, clause: Clause, *, compared: float, limit: float, conditions: Mapping[str, float]
) -> dict[str, Any]:
    """The clause as it was in force, and how the value stood against it."""
    source = next((pack.source for pack in rules.packs if pack.id == clause.pack), "")
    low, high = clause.bounds(conditions)
    return {
        "pack": clause.pack, "clause": clause.id, "cite": clause.cite, "source": source,
        "title": {"en": clause.title.en, "zh": clause.title.zh}, "standing": clause.standing.value,
        "verified": clause.verified, "parameter": clause.parameter, "window": clause.window, "period": clause.period,
        "statistic": clause.statistic, "corrected": clause.corrected, "rounding": clause.rounding,
        "places": clause.places, "compared": compared, "limit": limit, "low": low, "high": high, "unit": clause.unit,
        "conditions": dict(conditions),
        **({"interval": clause.interval, "interval_of": clause.short} if clause.corrected == "validated" else {}),
        **({"count": asdict(clause.count)} if clause.count else {}),
        **({"states": [s for s in STATES if s in clause.states]} if clause.states < set(STATES) else {}),
    }  # fmt: skip


def average_evidence(average: Average) -> dict[str, Any]:
    """An average with its version and how it came about."""
    return {
        "parameter": average.parameter, "window": average.window, "from": rfc3339(average.from_ns),
        "to": rfc3339(average.to_ns), "value": average.value, "evaluated": average.evaluated,
        "maximum": average.maximum, "unit": average.unit, "coverage": average.coverage, "valid": average.valid,
        "count": average.count, "percentiles": dict(average.percentiles), "version": average.version,
        **average.inputs,
    }  # fmt: skip


def sensor_source(sensor: Sensor) -> dict[str, Any]:
    """What evidence says of an instrument: link, profile, registers, manual."""
    profile = sensor.profile
    return {
        "sensor": sensor.settings.id,
        "gateway": sensor.settings.gateway,
        "link": _link(sensor),
        "interval_s": sensor.settings.interval_s,
        "profile": profile.name,
        "title": {"en": profile.title.en, "zh": profile.title.zh},
        "maker": profile.maker,
        "model": profile.model,
        "manual": profile.manual,
        "source": profile.source,
        "unverified": list(profile.unverified),
        "registers": [
            {
                "parameter": r.parameter, "fc": r.fc, "address": r.address, "type": r.type, "order": r.order,
                "scale": r.scale, "offset": r.offset, "unit": r.unit, "manual": r.manual,
                **({"mask": r.mask} if r.mask else {}),
                **({"by": [{"fc": by.fc, "address": by.address, "manual": by.manual} for by in r.by]} if r.by else {}),
            }
            for r in (field.register for field in sensor.plan.fields)
        ],
    }  # fmt: skip


def _link(sensor: Sensor) -> str:
    link = sensor.settings.link
    place = f"{link.address}:{link.port}" if link.port else link.address
    return f"{link.kind}://{place}?unit={link.unit}"


def _others(rules: PointRules, average: Average, signals: Mapping[str, Signal]) -> list[str]:
    """The other channels that went into an average: gas conditions of corrections, flow as a weight."""
    taken = {name for step in average.inputs.get("corrections", ()) for name in step}
    names = [parameter for name, (parameter, _) in CONDITIONS.items() if name in taken]
    if rules.stack is not None and rules.stack.oxygen_basis == "wet" and "O2" in names and "moisture" not in names:
        names.append("moisture")
    if average.inputs.get("method") == "flow_weighted":
        names.append(FLOW)
    return [name for name in names if name in signals and name != average.parameter]


def _measurements(average: Average, signal: Signal, tables: Tables) -> dict[str, Any]:
    """What was measured in a window: each value where they are few, else the shortest averages there are."""
    part = _inside(signal, average, tables)
    reference: dict[str, Any] = {
        "plant": average.plant, "point": average.point, "parameter": average.parameter, "unit": average.unit,
        "from": rfc3339(average.from_ns), "to": rfc3339(average.to_ns), "count": len(part),
    }  # fmt: skip
    if len(part) <= VALUES_MAX:
        names = [REASONS[code] for code in part.status.tolist()]
        rows = zip(_times(part.time_ns), _numbers(part.value.tolist()), names, strict=True)
        return {**reference, "interval": "raw", "items": [list(row) for row in rows]}
    base = tables.base(average.parameter)
    table = tables.table(average.parameter, base)
    assert table is not None, "a parameter with measurements has a base"
    return {**reference, "interval": base, "items": _windows(table, average)}


def _inside(signal: Signal, average: Average, tables: Tables) -> Signal:
    """The measurements of a window, without those between its pieces."""
    part = signal.within(average.from_ns, average.to_ns)
    windows = tables.windows(average.window)
    if average.window == "30d":
        return part
    number = int(np.searchsorted(windows.from_ns, average.from_ns))
    return part.rows(windows.place(part.time_ns) == number)


def _windows(table: Table, average: Average) -> list[list[Any]]:
    """Start, value, evaluated (None where there is no conversion) and validity of the windows within an average's."""
    windows = table.windows
    rows = (windows.from_ns >= average.from_ns) & (windows.to_ns <= average.to_ns) & (table.measured > 0)
    converted = table.converted if table.converted is not None else np.full(len(windows), np.nan)
    columns = (
        _times(windows.from_ns[rows]), _numbers(table.value[rows].tolist()), _numbers(converted[rows].tolist()),
        table.valid[rows].tolist(),
    )  # fmt: skip
    return [list(row) for row in zip(*columns, strict=True)]


def _summary(signal: Signal, average: Average) -> dict[str, Any]:
    """Where to find the measurements of another channel that went in."""
    part = signal.within(average.from_ns, average.to_ns)
    return {"parameter": signal.parameter, "unit": signal.unit, "count": len(part)}


def _sensors(average: Average, signals: Mapping[str, Signal], names: list[str]) -> dict[str, list[str]]:
    """The instruments that measured within the window, and what each measured."""
    found: dict[str, list[str]] = {}
    for name in names:
        part = signals[name].within(average.from_ns, average.to_ns)
        for index in np.unique(part.sensor_index):
            found.setdefault(part.sensors[index], []).append(name)
    return found


def _source(rules: PointRules, id: str) -> Mapping[str, Any]:
    """What is known of an instrument; its id alone where it is in the site file no more."""
    return rules.sources.get(id, {"sensor": id})


def rfc3339(time_ns: int) -> str:
    """An instant as text, in UTC.

    >>> rfc3339(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    return _times(np.array([time_ns], np.int64))[0]


def _times(time_ns: Int64) -> list[str]:
    if (time_ns % SECOND_NS == 0).all():
        return [f"{text}Z" for text in np.datetime_as_string(time_ns.astype("datetime64[ns]"), unit="s")]
    return [f"{text.rstrip('0').rstrip('.')}Z" for text in np.datetime_as_string(time_ns.astype("datetime64[ns]"))]


def _numbers(values: list[float]) -> list[float | None]:
    return [None if value != value else value for value in values]

"""Evidence: everything an exceedance stands on, written down with it.

The walk goes backwards, notice < clause < average < measurements < registers < manual page, and an
exceedance carries the part from the clause on, so that it can be followed years later, when
settings, packs and instruments have changed: the clause as it was in force, the average with its
version and how it came about, the measurements that went in with their statuses (`listed`), those of the
other channels that a correction, a weight or the limit took, and for each instrument the registers and where
its manual tells of them.

Evidence is plain JSON: texts, numbers, lists, mappings; times are RFC 3339. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from collector.verdicts.judged import Judged
from collector.verdicts.limits import Clause
from collector.verdicts.listed import CONDITION_ROWS_MAX, listed, parts, rfc3339
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal
from collector.verdicts.states import STATES
from collector.verdicts.tables import CONDITIONS, FLOW, Tables
from collector.verdicts.windows import KINDS
from gateway.sensors import Sensor


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
    signals, tables: of the point, over a span that holds the window. A parameter that is derived from others has a
    table and no signal.
    """
    others = _others(rules, clause, average, tables)
    return {
        "clause": clause_evidence(rules, clause, compared=compared, limit=limit, conditions=conditions),
        "average": average_evidence(average),
        "measurements": listed(rules, average, average.parameter, signals=signals, tables=tables),
        **_parts(rules, clause, average, tables),
        "conditions": {
            name: listed(rules, average, name, signals=signals, tables=tables, rows_max=CONDITION_ROWS_MAX)
            for name in others
        },
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


def _parts(rules: PointRules, clause: Clause, average: Average, tables: Tables) -> dict[str, Any]:
    """The shorter windows a clause itself speaks of: those it counts, or whose validated values it averages."""
    kind = clause.count.window if clause.count else clause.short if clause.corrected == "validated" else average.window
    table = tables.table(average.parameter, kind) if KINDS.index(kind) < KINDS.index(average.window) else None
    if table is None:
        return {}
    return {"parts": parts(average, table, Judged(rules, tables).column(clause, table), tables)}


def _others(rules: PointRules, clause: Clause, average: Average, tables: Tables) -> list[str]:
    """The other channels that went in: what an average is derived from, gas conditions, flow, what the limit asks."""
    taken = {name for step in average.inputs.get("corrections", ()) for name in step}
    names = [*average.inputs.get("derived", {}).get("of", ())]
    names += [parameter for name, (parameter, _) in CONDITIONS.items() if name in taken]
    if rules.stack is not None and rules.stack.oxygen_basis == "wet" and "O2" in names:
        names.append("moisture")
    if average.inputs.get("method") == "flow_weighted":
        names.append(FLOW)
    there = set(tables.parameters) - {average.parameter}
    return [name for name in dict.fromkeys([*names, *clause.conditions]) if name in there]


def _sensors(average: Average, signals: Mapping[str, Signal], names: list[str]) -> dict[str, list[str]]:
    """The instruments that measured within the window, and what each measured."""
    found: dict[str, list[str]] = {}
    for name in (name for name in names if name in signals):
        part = signals[name].within(average.from_ns, average.to_ns)
        for index in np.unique(part.sensor_index):
            found.setdefault(part.sensors[index], []).append(name)
    return found


def _source(rules: PointRules, id: str) -> Mapping[str, Any]:
    """What is known of an instrument; its id alone where it is in the site file no more."""
    return rules.sources.get(id, {"sensor": id})

"""The way back from an exceedance: notice < clause < average < measurements < registers < manual page.

The part from the clause on was written down with the exceedance (collector/verdicts/evidence.py) and is
handed out as it is: it is the word that counts. Beside it stands what the line has now: the notices of its
incident, what the rule pack says besides, the average in its newest version, the history of both (`versions`), and the
measurements as the store has them, so that one can look at the curve. Pure but for the readers it is given.
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from api.instruments import history, instrument_item, within
from api.queries import LIMIT, merge
from api.sources import Sources
from api.times import format_time
from api.versions import versions
from api.views import (
    STATUS_NAMES,
    Item,
    average_item,
    curve_items,
    exceedance_item,
    incident_item,
    mark_item,
    measurement_items,
    names,
    notice_item,
    plain,
)  # fmt: skip
from collector.store import Slice
from collector.verdicts.book import AverageRow, ExceedanceRow
from collector.verdicts.marks import Layer
from collector.verdicts.records import Exceedance
from gateway.measurement import SECOND_NS

RAW_SPAN_NS = 2 * 3600 * SECOND_NS  # a longer window is drawn by its minutes, where the instrument has any
MOST_COUNTED = 200_000  # values of a window that are counted by status: two days of seconds


def trail(sources: Sources, row: ExceedanceRow) -> Item:
    """Everything behind an exceedance, from what people got to what the instrument said."""
    found = row.exceedance
    incident = sources.alerts.incident_of(found)
    averages = _averages(sources, found)
    marks = sources.book.marks(plant=found.plant, point=found.point, from_ns=found.from_ns, to_ns=found.to_ns)
    layer = Layer(marks)
    return {
        "exceedance": exceedance_item(row),
        "title": _title(sources, found),
        "incident": incident_item(incident) if incident else None,
        "notices": [
            notice_item(notice, sources.channels.get(notice.channel, ""))
            for notice in reversed(sources.alerts.notices(incident.id) if incident else [])
        ],
        "pack": _pack(sources, found),
        "average": average_item(averages[-1]) if averages else None,
        "measurements": _measurements(sources, found),
        # What people said of the point in the window, also what they took back.
        "marks": [mark_item(one, layer.revoked_by(one.position)) for one in marks],
        "instruments": _instruments(sources, found),
        "versions": versions(_exceedances(sources, found), averages, layer.revoked_by),
        "sha256": hashlib.sha256(msgspec.json.encode(found.evidence)).hexdigest(),
        "evidence": plain(found.evidence),
    }


def _averages(sources: Sources, found: Exceedance) -> list[AverageRow]:
    """Every version of the average an exceedance is judged by, oldest first."""
    return sources.book.averages(
        plant=found.plant, point=found.point, parameter=found.parameter, window=found.window,
        from_ns=found.from_ns, to_ns=found.from_ns + 1, newest=False,
    )  # fmt: skip


def _exceedances(sources: Sources, found: Exceedance) -> list[ExceedanceRow]:
    """Every version of an exceedance, oldest first."""
    return sources.book.exceedances(
        plant=found.plant, point=found.point, pack=found.pack, clause=found.clause, window=found.window,
        from_ns=found.from_ns, to_ns=found.from_ns + 1,
    )  # fmt: skip


def _instruments(sources: Sources, found: Exceedance) -> list[Item]:
    """Which instruments stood at the point in the window, by their records and the site file."""
    place = sources.inventory.places.get((found.plant, found.point))
    swaps = history(place.sensors if place else (), sources.book.marks(plant=found.plant, point=found.point))
    return [instrument_item(one) for one in within(swaps, found.from_ns, found.to_ns)]


def _title(sources: Sources, found: Exceedance) -> Item:
    """The clause's title in both languages, where its pack is still there."""
    pack = sources.inventory.packs.get(found.pack)
    text = next((clause for clause in pack.clauses if clause.id == found.clause), None) if pack else None
    return names(text.title) if text else {"en": found.title, "zh": found.title}


def _pack(sources: Sources, found: Exceedance) -> Item:
    """What the rule pack says besides the clause that was in force."""
    pack = sources.inventory.packs.get(found.pack)
    if pack is None:
        return {"id": found.pack, "title": {"en": found.pack, "zh": found.pack}, "source": "", "note": ""}
    text = next((clause for clause in pack.clauses if clause.id == found.clause), None)
    return {
        "id": pack.id,
        "title": names(pack.title),
        "source": pack.source,
        "note": text.note if text else "",
        "rounding_cite": text.rounding_cite if text else "",
    }


def _measurements(sources: Sources, found: Exceedance) -> Item:
    """What was measured in the window: how much of it, what it was worth, and a curve to look at."""
    keys = (found.plant, found.point, found.parameter)
    series = [s for s in sources.store.series() if (s.plant, s.point, s.parameter) == keys]
    item: Item = {
        "parameter": found.parameter, "unit": series[0].unit if series else found.unit,
        "from": format_time(found.from_ns), "to": format_time(found.to_ns),
        "count": 0, "statuses": {}, "interval": "raw", "items": [],
    }  # fmt: skip
    if not series:
        return item
    parts = [sources.store.measurements(s, found.from_ns, found.to_ns, MOST_COUNTED) for s in series]
    time_ns, value, status = merge(parts)
    codes, counts = np.unique(status, return_counts=True)
    item["count"] = len(time_ns)
    item["statuses"] = {
        STATUS_NAMES.get(code, str(code)): n for code, n in zip(codes.tolist(), counts.tolist(), strict=True)
    }
    if found.to_ns - found.from_ns > RAW_SPAN_NS:
        curve = sources.book.curve(
            found.plant, found.point, parameter=found.parameter, window="1m", from_ns=found.from_ns, to_ns=found.to_ns
        )
        if len(curve.from_ns):
            return item | {"interval": "1m", "items": curve_items(series[0], curve)}
    raw = Slice(series[0], time_ns[:LIMIT], value[:LIMIT], status[:LIMIT])
    return item | {"items": measurement_items(raw)}

"""How much of what a point should have measured is there, and is good. Pure."""

from __future__ import annotations

import numpy as np

from api.times import format_time
from api.views import Item
from collector.store import Slice
from gateway.measurement import SECOND_NS, Status

MOST = 1_000_000  # values of one series that are counted: a day of tenths of a second
MOST_NS = 48 * 3600 * SECOND_NS


def coverage_item(part: Slice, interval_ns: int, from_ns: int, to_ns: int) -> Item:
    """What is there of one series in [from_ns, to_ns). part: all of it. interval_ns: between two values. [ns]

    coverage: good values of those awaited, at most 1. newest: null where there is none.
    """
    awaited = max(1, (to_ns - from_ns) // interval_ns)
    good = int(((part.status == Status.OK) & np.isfinite(part.value)).sum())
    return {
        "sensor": part.series.sensor,
        "parameter": part.series.parameter,
        "unit": part.series.unit,
        "interval_s": interval_ns / SECOND_NS,
        "from": format_time(from_ns),
        "to": format_time(to_ns),
        "awaited": awaited,
        "received": len(part.time_ns),
        "good": good,
        "coverage": round(min(1.0, good / awaited), 4),
        "newest": format_time(int(part.time_ns[-1])) if len(part.time_ns) else None,
    }

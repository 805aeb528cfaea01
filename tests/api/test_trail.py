"""The way back, where an instrument is so slow that it has no minutes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from api.sources import Sources
from api.trail import _measurements
from collector.store import Slice
from collector.verdicts.curves import Curve
from gateway.measurement import Series
from tests.alerts.kit import HOUR, T0, exceedance

SERIES = Series("riverside", "stack-1", "cems-1", "NOx", "mg/m3")


class Store:
    """A value every two hours."""

    def series(self) -> list[Series]:
        return [SERIES]

    def measurements(self, series: Series, from_ns: int, to_ns: int, limit: int) -> Slice:
        time_ns = np.arange(from_ns, to_ns, 2 * HOUR, dtype=np.int64)[:limit]
        return Slice(series, time_ns, np.full(len(time_ns), 61.5), np.zeros(len(time_ns), np.uint8))


def test_a_day_without_minutes_is_shown_as_measured() -> None:
    nothing = np.empty(0)
    curve = Curve(nothing.astype(np.int64), nothing, nothing, nothing, nothing.astype(np.bool_))
    book = SimpleNamespace(curve=lambda *_, **__: curve)
    sources = cast("Sources", SimpleNamespace(store=Store(), book=book))
    found: dict[str, Any] = _measurements(sources, exceedance(window="24h", to_ns=T0 + 24 * HOUR))
    assert (found["count"], found["interval"], len(found["items"])) == (12, "raw", 12)
    assert found["items"][0]["value"] == 61.5

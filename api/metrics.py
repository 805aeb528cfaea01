"""Health as Prometheus reads it: every number in the health answer becomes a gauge.

`{"journal": {"position": 7}}` is `emitwatch_journal_position 7`; a true or false is 1 or 0. Texts and
lists stay in `/api/v1/health`. So a part that reports a number is on the dashboards without more ado.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_NAME = re.compile(r"[^a-zA-Z0-9_]+")


class HealthCollector(Collector):
    """Reads the health answer each time it is asked."""

    def __init__(self, health: Callable[[], Mapping[str, Any]]) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every number there is now."""
        for name, number in numbers("emitwatch", self._health()):
            yield GaugeMetricFamily(name, f"{name.removeprefix('emitwatch_').replace('_', ' ')}, see /api/v1/health",
                                    value=number)  # fmt: skip


def numbers(prefix: str, value: object) -> Iterator[tuple[str, float]]:
    """Each number of a nested mapping with the name its keys make."""
    if isinstance(value, bool | int | float):
        yield prefix, float(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers(f"{prefix}_{_NAME.sub('_', str(key)).strip('_')}", item)

"""Health as Prometheus reads it: every number in the health answer becomes a gauge.

`{"journal": {"position": 7}}` is `emitwatch_journal_position 7`; a true or false is 1 or 0. What is told of
each gateway carries its id as a label. Texts and lists stay in `/api/v1/health`. So a part that reports a
number is on the dashboards without more ado.
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
        families: dict[str, GaugeMetricFamily] = {}
        for name, gateway, number in numbers("emitwatch", self._health()):
            if name not in families:
                help = f"{name.removeprefix('emitwatch_').replace('_', ' ')}, see /api/v1/health"
                families[name] = GaugeMetricFamily(name, help, labels=["gateway"] if gateway else [])
            families[name].add_metric([gateway] if gateway else [], number)
        yield from families.values()


def numbers(prefix: str, value: object, gateway: str = "") -> Iterator[tuple[str, str, float]]:
    """Each number of a nested mapping: the name its keys make, the gateway it is about ("" = none), the number."""
    if isinstance(value, bool | int | float):
        yield prefix, gateway, float(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if prefix == "emitwatch_gateways":
                yield from numbers("emitwatch_gateway", item, str(key))
            else:
                yield from numbers(f"{prefix}_{_NAME.sub('_', str(key)).strip('_')}", item, gateway)

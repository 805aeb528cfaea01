"""Health as Prometheus reads it: every number in the health answer becomes a gauge.

`{"journal": {"position": 7}}` is `emitwatch_journal_position 7`; a true or false is 1 or 0. What is told of
each gateway carries its id as a label, and what is told of each of its sensors that one's as well. Texts and lists
stay in `/api/v1/health`, but for why the store does not take something, which is a label. So a part that reports a
number is on the dashboards without more ado.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_NAME = re.compile(r"[^a-zA-Z0-9_]+")
# Maps whose keys are not names of figures but of whom they are about: the label, and what the figures are then called.
_ABOUT = {
    "emitwatch_gateways": ("gateway", "emitwatch_gateway"),
    "emitwatch_gateway_state_good_s": ("sensor", "emitwatch_gateway_sensor_good_s"),
    "emitwatch_store_why": ("part", "emitwatch_store_refusal"),
}
# Texts that are told all the same, as the label of a 1 while they hold.
_TOLD = {"emitwatch_store_refusal": "reason"}


class HealthCollector(Collector):
    """Reads the health answer each time it is asked."""

    def __init__(self, health: Callable[[], Mapping[str, Any]]) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every number there is now."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, number in numbers("emitwatch", self._health()):
            if name not in families:
                help = f"{name.removeprefix('emitwatch_').replace('_', ' ')}, see /api/v1/health"
                families[name] = GaugeMetricFamily(name, help, labels=list(labels))
            families[name].add_metric(list(labels.values()), number)
        yield from families.values()


def numbers(
    prefix: str, value: object, labels: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Each number of a nested mapping: the name its keys make, whom it is about, the number."""
    if isinstance(value, bool | int | float):
        yield prefix, labels, float(value)
    elif isinstance(value, str) and prefix in _TOLD:
        yield prefix, {**labels, _TOLD[prefix]: value}, 1.0
    elif isinstance(value, Mapping):
        label, name = _ABOUT.get(prefix, ("", prefix))
        for key, item in value.items():
            if label:
                yield from numbers(name, item, {**labels, label: str(key)})
            else:
                yield from numbers(f"{prefix}_{_NAME.sub('_', str(key)).strip('_')}", item, labels)

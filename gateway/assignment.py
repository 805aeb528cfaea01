"""What one gateway is to do: its part of a site file, and what of that cannot change while it runs.

What is measured can change while a gateway runs: sensors, links, intervals, parameters, points and profiles. Who it is
and where it keeps and sends what it measured cannot: plant and gateway id, data folder, broker, outbox, the collector's
key and the port of its page need a restart. A file that changes any of these is not taken over at all, not even its
sensors: what is in force is always one file as a whole. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gateway.document import Fault
from gateway.sensors import Sensor
from gateway.settings import Broker, Site

HINT = "systemctl restart emitwatch-gateway; until then nothing of this file is in force, its sensors included"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be run. broker: with paths from here, not from the site file. password: of the broker, None = none."""

    site: Site
    gateway: str
    sensors: tuple[Sensor, ...]
    broker: Broker
    password: str | None

    @property
    def status_port(self) -> int:
        """Where the gateway's own page is served; 0 = nowhere."""
        return self.site.gateways[self._place].status_port

    @property
    def _place(self) -> int:
        return next(n for n, one in enumerate(self.site.gateways) if one.id == self.gateway)

    def fixed(self) -> Iterator[tuple[str, Any]]:
        """What cannot change while it runs, by its path in the site file."""
        yield "plant.id", self.site.plant.id
        yield "plant.data_dir", self.site.data_dir
        for key, value in asdict(self.broker).items():
            yield f"broker.{key}", value
        yield "outbox.days", self.site.outbox.days
        yield "outbox.max_mb", self.site.outbox.bytes >> 20
        yield "collector.public_key", self.site.collector_key
        yield "gateway.status_port", self.status_port


def needing_restart(before: Assignment, after: Assignment) -> list[Fault]:
    """What of a site file another start would be needed for."""
    was, document = dict(before.fixed()), after.site.document
    faults = [
        document.fault(
            path.replace("gateway.", f"gateway[{after._place}]."), f"needs a restart: {was[path]!r} is in force", HINT
        )
        for path, value in after.fixed()
        if value != was[path]
    ]
    if after.password != before.password:
        faults.append(document.fault("broker.password_file", "needs a restart: another password is in force", HINT))
    return faults

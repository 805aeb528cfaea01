"""When points were in commissioning: told to the journal, so that the state cannot hide anything unseen.

While a point is in commissioning (`[[point]] commissioning = true`) nobody is told of its incidents. That it is so is
an event of the journal whenever a collector starts with other points in that state than the last one had; who looks
into a plant reads from when to when it was. What a gateway measures by (`gateway.configuration`) has the state too,
signed and in the plant's tree. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from collector.intake.events import What, entry, event
from collector.store import Entry
from gateway.settings import Site

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which nobody was told of a point's incidents. to_ns: None = it lasts. [ns since 1970 UTC]"""

    plant: str
    point: str
    from_ns: int
    to_ns: int | None


def in_commissioning(sites: Iterable[Site]) -> frozenset[Place]:
    """The points that the site files say are in commissioning, (plant, point)."""
    return frozenset((site.plant.id, point.id) for site in sites for point in site.points if point.commissioning)


def change(events: Iterable[Entry], now: Collection[Place]) -> Entry | None:
    """The event that says which points are in commissioning from now on; None where the journal says so already.

    events: of the journal, in its order.
    """
    before = {(one.plant, one.point) for one in periods(events) if one.to_ns is None}
    began, ended = (
        sorted(f"{plant}/{point}" for plant, point in some) for some in (set(now) - before, before - set(now))
    )
    if not began and not ended:
        return None
    parts = [f"in commissioning from now on: {', '.join(began)}; nobody is told of incidents there"] if began else []
    parts += [f"no longer in commissioning: {', '.join(ended)}"] if ended else []
    return entry(What.COMMISSIONING, "", b"", 0, "; ".join(parts), {"began": began, "ended": ended})


def periods(events: Iterable[Entry]) -> list[Period]:
    """From when to when points were in commissioning, by their begin. events: of the journal, in its order."""
    found: list[Period] = []
    since: dict[str, int] = {}
    for one in events:
        told = event(one)
        if told.what == What.COMMISSIONING:
            for place in told.detail.get("began", ()):
                since.setdefault(place, one.received_ns)
            ended = [(place, since.pop(place)) for place in told.detail.get("ended", ()) if place in since]
            found += [_period(place, from_ns, one.received_ns) for place, from_ns in ended]
    found += [_period(place, from_ns, None) for place, from_ns in since.items()]
    return sorted(found, key=lambda one: (one.from_ns, one.plant, one.point))


def _period(place: str, from_ns: int, to_ns: int | None) -> Period:
    plant, _, point = place.partition("/")
    return Period(plant, point, from_ns, to_ns)

"""Which instrument stood behind a sensor, and when: its series goes on when the instrument is another one.

A sensor is a place in a plant's plan, an instrument is a thing with a serial number that is swapped. Each swap is a
signed record in the journal (`collector.marks.Swap`), and one instrument follows the other at the end of its span.
What no record says, the site file does: the serial number of an instrument that was never swapped. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.times import format_time
from api.views import Item
from collector.marks import Filed, Kind
from collector.verdicts.marks import Layer
from gateway.sensors import Sensor


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument at its place. from_ns, to_ns: None = since ever, until now. [ns since 1970 UTC]

    serial: "" = nobody said it. came: the record of the swap that it came by, None = it was there.
    """

    sensor: Sensor
    serial: str
    from_ns: int | None
    to_ns: int | None
    came: Filed | None


def history(sensors: Iterable[Sensor], marks: Sequence[Filed]) -> list[Instrument]:
    """Every instrument of some sensors, by sensor and time. marks: of their point, also those taken back."""
    layer = Layer(marks)
    standing = [one for one in marks if one.mark.kind is Kind.SWAP and not layer.revoked_by(one.position)]
    found: list[Instrument] = []
    for sensor in sensors:
        mine = [one for one in standing if one.mark.sensor == sensor.settings.id]
        found += _line(sensor, sorted(mine, key=lambda one: (one.mark.to_ns, one.position)))
    return found


def _line(sensor: Sensor, swaps: Sequence[Filed]) -> Iterable[Instrument]:
    """The instruments of one sensor. swaps: its own, by their time."""
    serial, from_ns, came = sensor.settings.serial, None, None
    for swap in swaps:
        assert swap.mark.swap is not None, "a swap was decoded without what it says"
        yield Instrument(sensor, serial if came else swap.mark.swap.old_serial, from_ns, swap.mark.to_ns, came)
        serial, from_ns, came = swap.mark.swap.serial, swap.mark.to_ns, swap
    yield Instrument(sensor, serial, from_ns, None, came)


def within(found: Iterable[Instrument], from_ns: int, to_ns: int) -> list[Instrument]:
    """Those that stood there at a moment of [from_ns, to_ns)."""
    return [
        one
        for one in found
        if (one.from_ns is None or one.from_ns < to_ns) and (one.to_ns is None or one.to_ns > from_ns)
    ]


def instrument_item(one: Instrument) -> Item:
    """An instrument as the interface shows it. site_serial: another serial number that the site file gives it."""
    profile, swap = one.sensor.profile, one.came.mark.swap if one.came else None
    said = one.sensor.settings.serial
    return {
        "sensor": one.sensor.settings.id,
        "serial": one.serial,
        "maker": profile.maker,
        "model": profile.model,
        "profile": profile.name,
        "from": None if one.from_ns is None else format_time(one.from_ns),
        "to": None if one.to_ns is None else format_time(one.to_ns),
        "mark": one.came.position if one.came else None,
        "author": one.came.mark.author if one.came else "",
        "reason": one.came.mark.reason if one.came else "",
        "as_found": swap.as_found if swap else None,
        "as_left": swap.as_left if swap else None,
        "reference": swap.reference if swap else None,
        "unit": swap.unit if swap else "",
        "site_serial": said if one.to_ns is None and said != one.serial else "",
    }

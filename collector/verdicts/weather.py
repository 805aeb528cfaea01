"""Weather: the minutes in which a sound level is not the plant's, for wind or rain.

Rules of this file:

- a standard says how hard the wind may blow and that no rain or snow may fall while sound is measured; its numbers are
  data of a rule pack (`[weather]`). The first pack of a point that has some speaks for the whole point;
- what the weather was is measured at the same point: `wind_speed`, `rain` (a detector) and `rain_intensity`. Without
  such a channel, in minutes that it has nothing of, and where the pack's setting is off, nothing is left out;
- a minute is left out as a whole: where its mean wind is too strong, or any rain was seen in it. A level goes with the
  minutes it stands for, so one that stands for longer goes where any of them is left out. One of those of which a
  whole number makes a minute goes with the minute that it begins in, though its clock be a moment off;
- what is left out keeps its value and is counted as `wind` or `rain`, never as a fault of the instrument; averages,
  coverage and validity are made of the rest.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collector.verdicts.screening import RAIN, WIND, Booleans, Signal, usable
from collector.verdicts.windows import MINUTE_NS, minutes_of
from gateway.document import Table
from gateway.measurement import Float64, Int64, Status

WIND_SPEED, DETECTOR, INTENSITY = "wind_speed", "rain", "rain_intensity"
CHANNELS = (WIND_SPEED, DETECTOR, INTENSITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """In which weather sound is not measured.

    wind_from: mean wind of a minute from which on it is left out. [m/s] rain_above: highest intensity that is no rain.
    [mm/h] None = the text does not speak of it. setting: boolean setting of the pack that has it done.
    """

    wind_from: float | None
    rain_above: float | None
    setting: str
    cite: str
    verified: bool

    def told(self) -> dict[str, Any]:
        """As evidence tells it."""
        return {
            "wind_from_m_s": self.wind_from, "rain_above_mm_h": self.rain_above, "cite": self.cite,
            "verified": self.verified,
        }  # fmt: skip


def parse_weather(root: Table, switches: Iterable[str]) -> Weather | None:
    """The `[weather]` of a pack, None where it has none; faults are noted in the table. switches: boolean settings."""
    if "weather" not in root:
        return None
    with root.table("weather") as table:
        wind = table.number("wind_from", None, low=0.0, hint="m/s, as wind_from = 5")
        rain = table.number("rain_above", None, low=0.0, hint="mm/h, as rain_above = 0")
        if wind is None and rain is None:
            table.fault("", "neither wind_from nor rain_above", "wind_from = 5, or rain_above = 0")
        return Weather(
            wind_from=wind, rain_above=rain, setting=table.choice("setting", switches) or "",
            cite=table.text("cite", hint="the text and its clause") or "",
            verified=bool(table.boolean("verified", hint="true when the primary text was read")),
        )  # fmt: skip


def heeded(rule: Weather | None, settings: Mapping[str, Any]) -> frozenset[str]:
    """The channels that say what weather is left out, none where none is; arguments as those of `excluded`."""
    return frozenset(CHANNELS) if rule is not None and settings.get(rule.setting) else frozenset()


def excluded(
    rule: Weather | None, settings: Mapping[str, Any], signals: Mapping[str, Signal],
    around: Mapping[str, Signal] | None = None,
) -> dict[str, Signal]:  # fmt: skip
    """The signals of a point, with the levels of minutes of bad weather marked as such.

    rule: None = no pack of the point has one. settings: of the point, as `limits.read_settings` gives them.
    around: the weather before and after these signals too, as far as it says something of them; None = as in `signals`.
    """
    found = dict(signals)
    if rule is None or not heeded(rule, settings):
        return found
    weather = {**signals, **(around or {})}
    windy, wet = _windy(rule, weather), _wet(rule, weather)
    if not len(windy) and not len(wet):
        return found
    for name, signal in signals.items():
        if signal.unit.startswith("dB"):
            status = signal.status.copy()
            # The rain last: where both are, the standard's "no rain" needs no number to be compared with.
            for code, minutes in ((WIND, windy), (RAIN, wet)):
                status[_touches(signal, minutes) & (signal.status == Status.OK)] = code
            found[name] = replace(signal, status=status)
    return found


def _windy(rule: Weather, signals: Mapping[str, Signal]) -> Int64:
    """The minutes with too strong a wind, rising. [minutes since 1970 UTC]"""
    if rule.wind_from is None or WIND_SPEED not in signals:
        return np.empty(0, np.int64)
    value, minute = _by_minute(signals[WIND_SPEED])
    minutes, group = np.unique(minute, return_inverse=True)
    mean = np.bincount(group, value) / np.bincount(group)
    # Speeds come with few decimals: the mean of 4.9 and 5.1 is 5, if not to a double.
    return np.asarray(minutes[np.round(mean, 9) >= rule.wind_from])


def _wet(rule: Weather, signals: Mapping[str, Signal]) -> Int64:
    """The minutes with rain, rising. [minutes since 1970 UTC]"""
    found = [np.empty(0, np.int64)]
    if rule.rain_above is not None:
        # A detector says yes or no, whatever number it has for yes.
        for name, dry in ((DETECTOR, 0.0), (INTENSITY, rule.rain_above)):
            if name in signals:
                value, minute = _by_minute(signals[name])
                found.append(minute[value > dry])
    return np.unique(np.concatenate(found))


def _by_minute(signal: Signal) -> tuple[Float64, Int64]:
    """The usable values of a signal, each once for every minute that it stands for, and the number of the minute."""
    good = signal.rows(usable(signal.value, signal.status))
    row, minute = minutes_of(good.time_ns, good.time_ns + good.interval_ns)
    return good.value[row], minute


def overhang_ns(stands_ns: Int64) -> Int64:
    """How long after its instant a level that stands for so long still goes with the weather, shape as given. [ns]"""
    return np.where(MINUTE_NS % stands_ns == 0, 0, stands_ns - 1)


def _touches(signal: Signal, minutes: Int64) -> Booleans:
    """Which values stand for some of the minutes."""
    first = np.searchsorted(minutes, signal.time_ns // MINUTE_NS)
    after = np.searchsorted(minutes, (signal.time_ns + overhang_ns(signal.interval_ns)) // MINUTE_NS, "right")
    return np.asarray(after > first)

"""Values that cannot be: what an instrument calls good, and no such quantity can have.

Rules of this file:

- such a value keeps its number and gets the status OUT_OF_RANGE (NO_COMM where it has no number), so that it is counted
  and shown with what is wrong with it, and goes into no average;
- there is no less than none of a gas or a load, and no share below 0 or above 100 %; flue gas has less oxygen
  than air (HJ 212-2017 appendix D counts 21 %); no sound has a level beyond 300 dB either way; and no
  quantity here is so large that its sums lose it;
- around an emission of nothing an analyser's zero wanders to both sides. Down to some distance below zero a
  concentration counts as measured, so that in the mean the wandering cancels: left out, the mean would be too high, and
  hours of a clean stack lost. How far is the instrument's stated zero drift, a setting of the point. Where it says
  nothing, it is ZERO_SHARE of the strictest limit that the point's packs set for the parameter: no more than any
  analyser may drift whose range holds the limit, and no mean is moved by more. Where nothing is limited, nothing
  below zero counts.

What one instrument can show is narrower, and its profile says so (`low`, `high`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from collector.verdicts.corrections import AIR_OXYGEN_PERCENT
from collector.verdicts.pack import Setting
from collector.verdicts.screening import Signal
from gateway.measurement import Status
from gateway.settings import Label
from gateway.units import conversion

OXYGEN = "O2"
LARGEST = 1e12  # a year of such values each second can be added up and loses less than a thousandth of one
LOUDEST_DB = 300.0
# After the zero drift of gas analysers that HJ 75-2017 is said to allow, 2.5 % of full scale (from memory, its text was
# not read): of the limit, which is never more than the full scale. Own choice, unverified.
ZERO_SHARE = 0.025
SETTINGS = (
    Setting(
        name="zero_noise", kind="number", low=0.0, high=100.0,
        cite="the instrument's stated zero drift; silent: 2.5 % of the strictest limit, own choice, unverified",
        title=Label("How far below zero a concentration may read [mg/m3, mg/L]", "零点波动允许的负值 [mg/m3, mg/L]"),
    ),
)  # fmt: skip


def plausible(signal: Signal, settings: Mapping[str, Any], limit: float | None = None) -> Signal:
    """A signal whose good values all can be; the others get a status that says what they are.

    settings: of the point, as `limits.read_settings` gives them. limit: the strictest upper limit of the parameter at
    the point, None = none. [unit of the signal]
    """
    low, high = bounds(signal.parameter, signal.unit, settings.get("zero_noise"), limit)
    wrong = ~((signal.value >= low) & (signal.value <= high)) & (signal.status == Status.OK)
    if not wrong.any():
        return signal
    status = signal.status.copy()
    status[wrong] = np.where(np.isnan(signal.value[wrong]), Status.NO_COMM, Status.OUT_OF_RANGE)
    return replace(signal, status=status)


def bounds(
    parameter: str, unit: str, zero_noise: float | None = None, limit: float | None = None
) -> tuple[float, float]:
    """The smallest and the largest value that a quantity can have. [unit]

    zero_noise: how far below zero a concentration may read, 0 or more; None = ZERO_SHARE of `limit`. [mg/m3 or mg/L]
    limit: the strictest upper limit of the parameter, None = none. [unit]
    >>> bounds("SO2", "mg/m3", 0.5), bounds("SO2", "mg/m3", limit=40.0)[0], bounds("moisture", "%")
    ((-0.5, 1000000000000.0), -1.0, (0.0, 100.0))
    """
    if unit.startswith("dB"):
        return -LOUDEST_DB, LOUDEST_DB
    concentration = conversion(unit, "mg/m3") or conversion(unit, "mg/L")
    if concentration is not None:
        stated = ZERO_SHARE * (limit or 0.0) if zero_noise is None else zero_noise / concentration.factor
        return -max(stated, 0.0), LARGEST
    if unit == "%":
        return 0.0, float(np.nextafter(AIR_OXYGEN_PERCENT, 0.0)) if parameter == OXYGEN else 100.0
    return -LARGEST, LARGEST

"""How long it takes to fill the missing hours of a year by 40 CFR 75, and of three years.

NOx, the dearest parameter: ten load bins, look-backs of 2,160 hours, one operating hour in twenty missing, in
gaps of up to two days. One core; the best of some rounds counts, as the others were disturbed.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.figure import Figure
from collector.catalogue import rule_packs
from collector.verdicts.substitution_us import substitute_hours

YEAR_H = 8_760
ROUNDS = 7
LIMIT_MS = 50.0  # a year for each parameter of a plant with 20 of them stays below a second


def measure() -> list[Figure]:
    """Milliseconds for one parameter."""
    return [_figure(years) for years in (1, 3)]


def _figure(years: int) -> Figure:
    rules = rule_packs()["40cfr75"].us
    assert rules is not None
    assert rules.availability is not None
    rng, hours = np.random.default_rng(75), years * YEAR_H
    value, load_bin = rng.gamma(4.0, 50.0, hours), rng.integers(0, 10, hours)
    good = np.ones(hours, np.bool_)
    for begin in rng.integers(0, hours, hours // 250):
        good[begin : begin + rng.integers(1, 48) // 2] = False
    operating, best = rng.random(hours) > 0.1, float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        substitute_hours(
            value, good, operating, rules.substitution_of("NOx"), rules.availability, potential=800.0, load_bin=load_bin
        )
        best = min(best, (time.perf_counter() - begin) * 1000.0)
    return Figure(
        name=f"substitution of {years} year(s) of hours", value=best, unit="ms", reference=years * LIMIT_MS,
        reference_name="limit",
    )  # fmt: skip

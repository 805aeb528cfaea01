"""Averages that are valid and that a clause does not judge, for the state of the plant, say so."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.judgement import Derived
from collector.verdicts.records import Average
from collector.verdicts.states import State
from collector.verdicts.unjudged import unjudged
from tests.collector.verdicts.test_plant_states import (
    FURNACE,
    PARTS,
    SAID,
    broken,
    derived,
    found,
    furnace,
    law,
    minutes,
    said,
    toy,
)
from tests.effort import examples


def silent(average: Average) -> list[str]:
    return list(average.inputs.get("not_judged", ()))


def test_a_day_wholly_of_start_up_tells_that_no_clause_judges_it() -> None:
    rules, signals = law(FURNACE), furnace([50.0] * 24)
    lit = derived(rules, *signals, states=(said("start_up", 0, 24),))
    assert broken(lit) == []
    day = found(lit, "dust", "24h")[0]
    assert (day.valid, day.evaluated, silent(day)) == (True, 50.0, [f"{FURNACE}/dust-day"])
    assert [silent(hour) for hour in found(lit, "dust", "1h")] == [[f"{FURNACE}/dust-hour"]] * 24
    assert [text for text in unjudged(rules, ["dust", "O2"], lit.averages) if "state" in text] == [
        f"dust: not judged by {FURNACE}/dust-hour for the state of the plant, windows of 1h: 24",
        f"dust: not judged by {FURNACE}/dust-day for the state of the plant, windows of 24h: 1",
    ]


def test_what_is_judged_or_is_not_valid_tells_nothing() -> None:
    signals = furnace([50.0] * 24)
    hour = derived(law(FURNACE), *signals, states=(said("start_up", 0, 1),))
    assert [silent(one) for one in found(hour, "dust", "1h")] == [[f"{FURNACE}/dust-hour"], *[[]] * 23]
    assert silent(found(hour, "dust", "24h")[0]) == [], "made of what is left, it is judged"
    assert not any(silent(average) for average in derived(law(FURNACE), *signals).averages)
    stood = derived(toy(PARTS), minutes("SO2", np.full(60, 50.0)), states=(said("stopped", 0, 1),))
    assert not any(average.valid or silent(average) for average in stood.averages)


def test_a_day_of_which_too_little_is_left_tells_it() -> None:
    lit = derived(law(FURNACE), *furnace([50.0] * 24), states=(said("start_up", 0, 12),))
    assert silent(found(lit, "dust", "24h")[0]) == [f"{FURNACE}/dust-day"]


def test_a_maximum_is_judged_of_whatever_is_left() -> None:
    text = PARTS.replace('parameter = "SO2"', 'parameter = "SO2"\nstatistic = "maximum"', 1)
    rules, values = toy(text), minutes("SO2", np.full(60, 50.0))
    half, whole = (derived(rules, values, states=(said("start_up", 0, hours),)) for hours in (0.5, 1))
    assert [silent(found(one, "SO2", "1h")[0]) for one in (half, whole)] == [[], ["toy-2020/so2-hour"]]
    assert [len(one.exceedances) for one in (half, whole)] == [1, 0]


@given(st.lists(SAID, max_size=4))
@settings(max_examples=examples(20), deadline=None)
def test_every_valid_hour_above_its_limit_is_broken_or_says_why_not(states: list[State]) -> None:
    result: Derived = derived(law(FURNACE), *furnace([50.0, 60.0, 70.0]), states=tuple(states))
    accused = {(e.window, e.from_ns) for e in result.exceedances}
    for average in found(result, "dust", "1h"):
        if average.valid:
            assert bool(silent(average)) is (("1h", average.from_ns) not in accused)

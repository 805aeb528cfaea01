"""Specific sound: levels without the residual sound of the point, by hour, day and night."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.judgement import derive
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average
from tests.collector.verdicts.test_averages import DAY_NS, HOUR_NS, MIDNIGHT, PACKS, PARAMETERS, law, series
from tests.effort import examples

NAN = float("nan")
Found = dict[tuple[str, int], Average]


def point(**settings: Any) -> PointRules:
    return law("noise", settings, "iso1996-2-2017")


def made(rules: PointRules, hourly: Any) -> Found:
    """The specific levels, by window and hour from midnight."""
    values = series("LAeq", np.repeat(np.asarray(hourly, np.float64), 60))
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + DAY_NS) for kind in ("1h", "24h", "day", "night")}
    found = derive(rules, {"LAeq": values}, wanted).averages
    return {(a.window, (a.from_ns - MIDNIGHT) // HOUR_NS): a for a in found if a.parameter == "Ls"}


def test_the_energy_of_the_residual_is_taken_off() -> None:
    """10 lg(10^6 - 10^5.5) = 58.35 dB by day; at night 15 dB apart, and corrected all the same."""
    found = made(point(residual_day=55, residual_night=45), [60.0] * 24)
    assert (found["day", 6].value, found["day", 6].valid) == (pytest.approx(58.349115, abs=1e-6), True)
    assert found["night", 22].value == pytest.approx(59.860446, abs=1e-6)
    assert [found["1h", hour].value for hour in (5, 6, 21, 22)] == pytest.approx(
        [59.860446, 58.349115, 58.349115, 59.860446], abs=1e-6
    )
    told = found["day", 6].inputs["derived"]
    assert (told["how"], told["LAeq"], told["residual"], told["verified"]) == ("specific", 60.0, 55.0, False)
    assert (told["at_most"], "lacking" in told) == (None, False)
    assert {window for window, _ in found} == {"1h", "day", "night"}


def test_what_lies_too_near_is_at_most_what_was_measured() -> None:
    found = made(point(residual_day=57.0), [60.0] * 12 + [59.9] * 12)
    assert found["1h", 11].value == pytest.approx(10 * np.log10(1e6 - 10**5.7))
    near = found["1h", 12]
    assert (near.value, near.valid, near.inputs["derived"]["at_most"]) == (None, False, 59.9)
    assert near.inputs["derived"]["lacking"] == {"3 dB above the residual": 1}
    night = found["1h", 2]
    assert (night.value, night.inputs["derived"]["lacking"]) == (None, {"residual": 1})


def test_a_point_that_gives_no_residual_has_no_specific_sound() -> None:
    assert made(point(), [60.0] * 24) == {}
    assert made(law("noise", {"area_class": 2}, "gb12348-2008"), [60.0] * 24) == {}
    silent = made(point(residual_day=50.0), [NAN] * 24)["day", 6]
    assert (silent.value, silent.valid, "lacking" in silent.inputs["derived"]) == (None, False, False)


PERMIT = """
id = "permit"
kind = "noise"
title = "A permit"
source = "made up"
[[in_force]]
from = 2020-01-01
cite = "permit 1"
[[clause]]
id = "source"
cite = "permit 2"
title = "The plant alone"
parameter = "Ls"
window = "day"
unit = "dB(A)"
standing = "evidence"
verified = true
limit = [{ high = 58 }]
[[example]]
clause = "source"
value = 58.3
limit = 58
exceeds = true
source = "permit 2"
"""


@pytest.mark.parametrize(("residual", "values"), [(55.0, [pytest.approx(58.349115)]), (57.0, []), (58.0, [])])
def test_a_permit_may_limit_it(residual: float, values: list[Any]) -> None:
    permit, faults = parse_rules(PERMIT, "permit.toml", PARAMETERS)
    assert permit is not None, faults
    rules, wrong = point_rules(
        "p", "x", "noise", timezone="Asia/Shanghai", packs=[permit, PACKS["iso1996-2-2017"]],
        settings={"residual_day": residual}, parameters=PARAMETERS,
    )  # fmt: skip
    assert not wrong, wrong
    wanted = {"day": rules.windows("day", MIDNIGHT, MIDNIGHT + DAY_NS)}
    found = derive(rules, {"LAeq": series("LAeq", np.full(1440, 60.0))}, wanted).exceedances
    assert [e.value for e in found] == values
    assert not any(e.verified for e in found)  # the correction itself is not


@effort(max_examples=examples(20), deadline=None)
@given(st.lists(st.floats(), min_size=24, max_size=24), st.floats(0.0, 140.0), st.floats(0.0, 140.0))
def test_source_and_residual_together_are_what_was_measured(levels: list[float], day: float, night: float) -> None:
    for average in made(point(residual_day=day, residual_night=night), levels).values():
        told = average.inputs["derived"]
        assert average.valid <= (average.value is not None)
        if average.value is not None and abs(average.value) < 300.0:
            both = 10 * np.log10(10 ** (average.value / 10) + 10 ** (told["residual"] / 10))
            assert both == pytest.approx(told["LAeq"], abs=1e-6)
            assert told["LAeq"] - told["residual"] >= 3.0 - 1e-6

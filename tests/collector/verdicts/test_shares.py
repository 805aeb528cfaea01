from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.limits import read_settings
from collector.verdicts.pack import RulePack
from collector.verdicts.records import Standing
from collector.verdicts.shares import ShareVerdict, shares
from collector.verdicts.validated import either_broken
from tests.effort import examples

PACKS = rule_packs()
WASTE, LARGE = PACKS["ied-2010-75-annex-vi"], PACKS["ied-2010-75-annex-v"]
DAY = date(2026, 7, 1)
YEAR = 17_520  # half-hours


def judged(pack: RulePack, given: dict[str, object], averages: dict[str, object]) -> dict[str, ShareVerdict]:
    chosen, faults = read_settings("stack", [pack], given)
    assert not faults, faults
    return {verdict.share.clause: verdict for verdict in shares(pack, chosen, DAY, averages)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("between", "above_a", "broken"),
    [(0, 0, False), (525, 0, False), (526, 0, False), (525, 1, True), (524, 1, False), (17_520, 0, False)],
)
def test_half_hours_of_a_year_by_column_a_or_b(between: int, above_a: int, broken: bool) -> None:
    values = np.full(YEAR, 50.0)
    values[:between] = 200.0
    values[:above_a] = 201.0
    values[above_a : above_a + between] = 200.0
    found = judged(WASTE, {}, {"so2-half-hour-b": values, "so2-half-hour-a": values})["so2-half-hour-b"]
    assert bool(found.broken) is broken
    assert (int(found.within.allowed), found.limit) == (525, 50.0)  # 3 % of 17520 are 525.6
    assert found.share.standing is Standing.EVIDENCE
    assert bool(either_broken(values, 200.0, 50.0, 0.97)) is broken


@settings(max_examples=examples(60))
@given(st.lists(st.floats(0.0, 300.0), max_size=120))
def test_a_pack_is_judged_like_its_calculation(values: list[float]) -> None:
    found = judged(WASTE, {}, {"so2-half-hour-b": values, "so2-half-hour-a": values})["so2-half-hour-b"]
    assert bool(found.broken) == bool(either_broken(values, 200.0, 50.0, 0.97))


def test_carbon_monoxide_day_by_day() -> None:
    ten_minutes = np.array([[100.0] * 137 + [151.0] * 7, [100.0] * 136 + [151.0] * 8, [100.0] * 136 + [151.0] * 8])
    half_hours = np.array([[101.0] * 48, [100.0] * 48, [100.0] * 47 + [101.0]])
    found = judged(WASTE, {}, {"co-10-minutes": ten_minutes, "co-half-hour": half_hours})["co-10-minutes"]
    assert found.broken.tolist() == [False, False, True]


def test_what_nobody_measured_breaks_nothing_and_makes_up_for_nothing() -> None:
    assert not any(verdict.broken for verdict in judged(WASTE, {}, {}).values())
    found = judged(WASTE, {}, {"so2-half-hour-b": [60.0] * 10})["so2-half-hour-b"]
    assert found.instead is not None
    assert (bool(found.broken), int(found.instead.counted)) == (True, 0)


def test_a_share_without_a_limit_is_left_out() -> None:
    given = {"reference_oxygen": 6.0, "elv_so2": 200.0}
    found = judged(LARGE, given, {"so2-hour": [400.0] * 95 + [400.5] * 5})
    assert list(found) == ["so2-hour"]
    assert (bool(found["so2-hour"].broken), found["so2-hour"].instead) == (False, None)
    assert judged(LARGE, given, {"so2-hour": [400.0] * 94 + [400.5] * 6})["so2-hour"].broken
    old = judged(WASTE, {"size": "existing up to 6 t/h"}, {})
    assert "nox-half-hour-b" not in old
    assert "co-day" in old

"""Plausibility: stuck values only where something moves, soft limits and rates told once, and no value changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.measurement import SECOND_NS, Series, Status
from gateway.plausible import Doubt, Finding, Plausibility
from gateway.profiles import NO_CHECKS, Checks
from tests.effort import examples

START_NS = 1_790_000_000 * SECOND_NS
OK, FAULT, CALIBRATION = int(Status.OK), int(Status.FAULT), int(Status.CALIBRATION)
STUCK = Checks(stuck_after=5, resolution=0.1)


def judge(
    plausibility: Plausibility, second: float, values: list[float], status: list[int] | None = None
) -> tuple[list[int], list[Finding]]:
    rows = np.arange(len(values))
    at = np.full(len(values), START_NS + int(second * SECOND_NS))
    given = np.array(status or [OK] * len(values), np.uint8)
    found, findings = plausibility.judge(rows, at, np.array(values), given)
    return found.tolist(), findings


def test_a_value_is_stuck_when_what_stands_beside_it_moves() -> None:
    plausibility = Plausibility([STUCK, NO_CHECKS], ["stack", "stack"])
    statuses, told = [], []
    for second in range(8):
        status, findings = judge(plausibility, second, [10.0 + 0.01 * (second % 3), float(second)])
        statuses.append(status)
        told += findings
    assert [status[0] for status in statuses] == [OK] * 4 + [FAULT] * 4
    assert {status[1] for status in statuses} == {OK}
    (finding,) = told
    assert (finding.row, finding.doubt, finding.began) == (0, Doubt.STUCK, True)
    assert judge(plausibility, 8, [10.2, 8.0])[0] == [OK, OK], "a step of the resolution and it lives"


@pytest.mark.parametrize("beside", [[3.0] * 8, [float(n) for n in range(8)]])
def test_a_plant_that_stands_still_is_not_stuck(beside: list[float]) -> None:
    plausibility = Plausibility([STUCK, NO_CHECKS], ["stack-1", "stack-1" if len(set(beside)) == 1 else "stack-2"])
    for second, other in enumerate(beside):
        assert judge(plausibility, second, [10.0, other]) == ([OK, OK], [])


def test_a_value_of_one_resolution_more_is_another() -> None:
    plausibility = Plausibility([Checks(stuck_after=3, resolution=0.1), NO_CHECKS], ["a", "a"])
    for second in range(12):
        status, _ = judge(plausibility, second, [0.2 if second % 2 else 0.3, float(second)])
        assert status == [OK, OK]


def test_a_calibration_ends_the_run_and_the_rate() -> None:
    plausibility = Plausibility([Checks(stuck_after=3, rate_max=1.0), NO_CHECKS], ["a", "a"])
    for second in range(10):
        calibrating = second % 3 == 2
        value = 500.0 if calibrating else 10.0
        status, findings = judge(plausibility, second, [value, second], [CALIBRATION if calibrating else OK, OK])
        assert status == [CALIBRATION if calibrating else OK, OK]
        assert findings == []


def test_soft_limits_and_rates_are_told_and_change_nothing() -> None:
    plausibility = Plausibility([Checks(soft_low=1.0, soft_high=20.0, rate_max=2.0)], ["a"])
    told = []
    for second, value in enumerate([10.0, 11.0, 21.0, 19.0, 21.0, 19.0] + [18.0] * 70):
        status, findings = judge(plausibility, second, [value])
        assert status == [OK]
        told += findings
    assert [(f.doubt, f.began) for f in told] == [
        (Doubt.SOFT_HIGH, True), (Doubt.RATE, True), (Doubt.RATE, False), (Doubt.SOFT_HIGH, False),
    ]  # fmt: skip
    sentence = told[0].sentence(Series("p", "stack-1", "cems-1", "SO2", "mg/m3"))
    assert sentence == "SO2 of cems-1 at stack-1 is above what is plausible: 21 mg/m3 (limit: 20 mg/m3)"
    assert "again" in told[2].sentence(Series("p", "stack-1", "cems-1", "SO2", "mg/m3"))
    assert judge(plausibility, 100, [0.5])[1][0].doubt == Doubt.SOFT_LOW


def test_the_rate_of_a_counter_is_none_of_ours() -> None:
    plausibility = Plausibility([Checks(rollover=1e6, rate_max=1.0)], ["a"])
    assert judge(plausibility, 0, [999_999.0])[1] == []
    assert judge(plausibility, 1, [1.0])[1] == []


@settings(max_examples=examples(40))
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=25), st.permutations(range(4))
)
def test_the_order_and_the_company_of_series_do_not_matter(table: list[list[int]], order: list[int]) -> None:
    checks = [STUCK, Checks(soft_high=2.0), Checks(stuck_after=3), NO_CHECKS]
    together = Plausibility(checks, ["a"] * 4)
    shuffled = Plausibility([checks[n] for n in order], ["a"] * 4)
    for second, values in enumerate(table):
        status, findings = judge(together, second, [float(v) for v in values])
        other, others = judge(shuffled, second, [float(values[n]) for n in order])
        assert [status[n] for n in order] == other
        assert {(f.row, f.doubt, f.began) for f in findings} == {(order[f.row], f.doubt, f.began) for f in others}
        assert all(s in (OK, FAULT) for s in status)


def test_a_table_of_several_instants_is_judged_as_they_came() -> None:
    checks, values = [STUCK, NO_CHECKS], [[10.0, float(second)] for second in range(8)]
    single, whole = Plausibility(checks, ["a", "a"]), Plausibility(checks, ["a", "a"])
    expected = [status for second, row in enumerate(values) for status in judge(single, second, row)[0]]
    at = START_NS + np.repeat(np.arange(8), 2) * SECOND_NS
    status, findings = whole.judge_table(np.tile([0, 1], 8), at, np.ravel(values), np.zeros(16, np.uint8))
    assert status.tolist() == expected
    assert [finding.doubt for finding in findings] == [Doubt.STUCK]
    unchecked = np.zeros(1, np.uint8)
    other = Plausibility([NO_CHECKS], ["a"])
    assert other.judge_table(np.array([0]), at[:1], np.zeros(1), unchecked)[0] is unchecked


def test_series_without_checks_cost_nothing_and_come_back_as_they_are() -> None:
    plausibility = Plausibility([NO_CHECKS] * 3, ["a"] * 3)
    status = np.array([OK, FAULT, CALIBRATION], np.uint8)
    found, findings = plausibility.judge(np.arange(3), np.full(3, START_NS), np.zeros(3), status)
    assert found is status
    assert findings == []

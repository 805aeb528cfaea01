from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts import quality as q
from collector.verdicts.quality_rules import QualityRules, RangeWatch
from tests.effort import examples

NAN, INF = math.nan, math.inf
ANY = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12)
SMALL = st.floats(-100.0, 100.0)


def rules() -> QualityRules:
    found = rule_packs()["en-14181-2014"].quality
    assert found is not None
    return found


RULES = rules()
CUSUM = RULES.cusum


@settings(max_examples=examples(100))
@given(st.lists(SMALL, min_size=3, max_size=20, unique=True), st.floats(-50.0, 50.0), SMALL)
def test_pairs_on_a_line_give_the_line(signal: list[float], slope: float, intercept: float) -> None:
    if max(signal) - min(signal) < 1.0:
        signal = [*signal, min(signal) + 10.0]
    line = q.qal2_regression(signal, slope * np.array(signal) + intercept)
    assert line.slope == pytest.approx(slope, abs=1e-6)
    assert line.intercept == pytest.approx(intercept, abs=1e-4)


@settings(max_examples=examples(100))
@given(st.floats(5.0, 20.0), st.floats(0.1, 50.0))
def test_method_b_goes_through_zero_and_the_mean(signal: float, slope: float) -> None:
    line = q.qal2_through_zero([signal - 0.1, signal + 0.1], [slope * (signal - 4.0)] * 2, 4.0)
    assert line.slope == pytest.approx(slope)
    assert line.slope * 4.0 + line.intercept == pytest.approx(0.0, abs=1e-9)


def test_a_pair_that_is_not_whole_is_left_out_and_no_line_is_none() -> None:
    assert q.qal2_regression([4.0, NAN, 6.0, 5.0], [0.0, 1.0, 20.0, NAN]) == q.Line(10.0, -40.0)
    for line in (
        q.qal2_regression([4.0, 4.0], [1.0, 2.0]),
        q.qal2_regression([], []),
        q.qal2_through_zero([4.0], [1.0], 4.0),
    ):
        assert math.isnan(line.slope)
        assert math.isnan(line.intercept)


@pytest.mark.parametrize(
    ("reference", "method"),
    [
        ([10.0, 50.0], "A"),
        ([30.0, 69.9], "B"),
        ([29.9, 60.0], "C"),
        ([NAN], ""),
        ([], ""),
    ],
)
def test_which_method_the_spread_asks_for(reference: list[float], method: str) -> None:
    assert q.qal2_method(reference, 200.0, 40.0, RULES.calibration.lowest_percent) == method


KV = {2: 0.6745, 3: 0.8326, 4: 0.8881, 5: 0.9161, 6: 0.9329, 9: 0.9581, 10: 0.9628, 15: 0.9761, 20: 0.9824, 30: 0.9885}


@pytest.mark.parametrize(("pairs", "factor"), KV.items())
def test_the_factor_of_few_pairs(pairs: int, factor: float) -> None:
    assert q.variability_factor(pairs) == pytest.approx(factor, abs=6e-5)


def test_the_variability_test() -> None:
    sigma = q.sigma0(200.0, 20.0, RULES.calibration.coverage)
    assert sigma == pytest.approx(20.408, abs=1e-3)
    assert math.isnan(q.sigma0(200.0, 20.0, 0.0))
    reference = np.linspace(50.0, 150.0, 15)
    off = np.tile([25.0, -25.0, 0.0], 5)
    found = q.variability(reference + off, reference, sigma, RULES.calibration.pairs_min)
    assert (found.pairs, found.bias) == (15, pytest.approx(0.0))
    assert found.deviation == pytest.approx(math.sqrt(2 * 5 * 625.0 / 14))
    assert found.deviation_max == pytest.approx(sigma * 0.9761, abs=1e-3)
    assert not found.passed
    assert q.variability(reference + off / 2, reference, sigma, 15).passed
    assert not q.variability(reference[:14], reference[:14], sigma, 15).passed  # too few
    assert q.variability(reference[:14], reference[:14], sigma).passed
    assert not q.variability([1.0], [1.0], sigma).passed


def test_surveillance_asks_for_spread_and_bias() -> None:
    sigma, reference = 10.0, np.array([50.0, 60.0, 70.0, 80.0, 90.0])
    off = np.array([5.0, -5.0, 0.0, 5.0, -5.0])
    found = q.surveillance(reference + off - 14.0, reference, sigma)
    assert found.bias == pytest.approx(14.0)
    assert found.deviation == pytest.approx(5.0)
    assert found.bias_max == pytest.approx(2.132 * 5.0 / math.sqrt(5) + 10.0, abs=1e-3)
    assert found.passed
    assert not q.surveillance(reference + off - 15.0, reference, sigma).passed
    assert not q.surveillance(reference + off + 15.0, reference, sigma).passed
    wide = off * 2.5  # deviation 12.5: above 10 * 0.9161, within 1.5 times that
    assert not q.surveillance(reference + wide, reference, sigma).passed
    assert q.surveillance(reference + wide, reference, sigma, factor=RULES.surveillance.factor).passed
    assert not q.surveillance(reference[:4], reference[:4], sigma, pairs_min=5).passed
    assert not q.surveillance([], [], sigma).passed


def test_the_range_reaches_a_margin_above_what_was_calibrated() -> None:
    assert q.valid_range([10.0, NAN, 450.0], RULES.margin_percent) == pytest.approx(495.0)
    assert math.isnan(q.valid_range([], 10.0))


def week(outside: int, of: int = 100) -> list[float]:
    return [500.0] * outside + [100.0] * (of - outside)


@pytest.mark.parametrize(
    ("weeks", "due"),
    [
        ([5] * 20, None),  # not more than 5 %
        ([6] * 5, None),  # not more than five weeks
        ([6, 0] * 5 + [0, 6], 11),  # the sixth of them
        ([40], None),
        ([0, 41], 1),
        ([], None),
    ],
)
def test_a_range_that_is_left_often_asks_for_a_new_calibration(weeks: list[int], due: int | None) -> None:
    values = [value for outside in weeks for value in week(outside)]
    numbers = [number for number in range(len(weeks)) for _ in range(100)]
    found = q.range_watch([*values, NAN], [*numbers, 99], 495.0, RULES.watch)
    assert found.due_week == due
    assert found.share.tolist() == [outside / 100 for outside in weeks]
    assert found.often == sum(outside > 5 for outside in weeks)
    assert found.weeks.tolist() == list(range(len(weeks)))


def test_the_watch_goes_by_its_rule() -> None:
    strict = RangeWatch(week_percent=1.0, weeks_max=0, once_percent=50.0, cite="", verified=False)
    assert q.range_watch(week(2), [1] * 100, 495.0, strict).due_week == 1


@settings(max_examples=examples(100))
@given(st.lists(st.floats(-5.0, 5.0), max_size=40), st.floats(0.1, 10.0))
def test_charts_do_not_depend_on_the_unit_and_drifts_mirror(deviations: list[float], unit: float) -> None:
    one, other = q.qal3_drift(deviations, 1.0, CUSUM), q.qal3_drift(np.array(deviations) * unit, unit, CUSUM)
    assert other.sums == pytest.approx(one.sums, abs=1e-9)
    mirrored = q.qal3_drift(-np.array(deviations), 1.0, CUSUM)
    assert mirrored.alarm_at == one.alarm_at
    assert mirrored.direction == -one.direction
    assert (
        q.qal3_precision(-np.array(deviations), 1.0, CUSUM).alarm_at
        == q.qal3_precision(deviations, 1.0, CUSUM).alarm_at
    )
    assert (one.sums >= 0.0).all()


def test_drift_up_and_down_and_none() -> None:
    assert q.qal3_drift([1.0] * 8, 1.0, CUSUM).alarm_at == 6
    down = q.qal3_drift([-1.0] * 8, 1.0, CUSUM)
    assert (down.alarm_at, down.direction) == (6, -1)
    assert q.qal3_drift([0.5] * 1000, 1.0, CUSUM).alarm_at is None
    assert q.qal3_drift([1.0, NAN, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0, CUSUM).alarm_at == 7  # no check changes nothing
    assert q.qal3_drift([1.0] * 8, 2.0, CUSUM).alarm_at is None


def test_precision_is_the_scatter_from_check_to_check() -> None:
    assert q.qal3_precision([2.0, NAN, -2.0, 2.0], 1.0, CUSUM).alarm_at == 4
    assert q.qal3_precision([9.0] * 9, 1.0, CUSUM).alarm_at is None  # far off, but steady: that is a drift
    assert q.qal3_precision([], 1.0, CUSUM).alarm_at is None
    assert q.qal3_precision([NAN], 1.0, CUSUM).sums.tolist() == [0.0]


def test_a_shewhart_chart_looks_at_each_check_alone() -> None:
    multiple = RULES.shewhart.multiple
    assert q.qal3_shewhart([3.0, -3.0, -3.01], 1.0, multiple).alarm_at == 3
    assert q.qal3_shewhart([2.9] * 99, 1.0, multiple).alarm_at is None


@pytest.mark.parametrize("deviation", [0.0, -1.0, NAN, INF])
def test_without_a_standard_deviation_there_is_no_chart(deviation: float) -> None:
    assert q.qal3_drift([9.0, 9.0], deviation, CUSUM).alarm_at is None
    assert q.qal3_precision([9.0, -9.0], deviation, CUSUM).alarm_at is None
    assert q.qal3_shewhart([9.0], deviation, 3.0).alarm_at is None


@settings(max_examples=examples(100))
@given(ANY, ANY, st.floats(), st.floats())
def test_no_number_is_an_exception(one: list[float], other: list[float], first: float, second: float) -> None:
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]
    for line in (q.qal2_regression(one, other), q.qal2_through_zero(one, other, first)):
        assert math.isnan(line.slope) == math.isnan(line.intercept)
    assert q.qal2_method(one, first, second, 15.0) in ("", "A", "B", "C")
    q.variability(one, other, first)
    q.surveillance(one, other, first, factor=second)
    q.valid_range(one, first)
    q.range_watch(one, np.zeros(length, np.int64), first, RULES.watch)
    for chart in (q.qal3_drift(one, first, CUSUM), q.qal3_precision(one, first, CUSUM)):
        assert not np.isnan(chart.sums).any()
    assert len(q.qal3_shewhart(one, first, second).sums) == length

"""What QAL2, AST and QAL3 come to. Worked examples: tests/conformance/stack.toml."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.verdicts.certified import AST, PAIRS, QAL2, QAL3, checks, outcomes
from tests.effort import examples

MAY = "2026-05-{:02}T06:00:00Z"


def qal2(pairs: object, *more: str, method: str = "") -> str:
    text = QAL2.replace(f"pairs = {PAIRS}\n", f"pairs = {pairs}\n" if pairs else "").replace('method = "A"\n', method)
    return text + "".join(more)


def days(*shown: float, adjusted: int = -1, at: str = "zero") -> str:
    rows = [(MAY.format(n), *((v, 180.0) if at == "zero" else (0.0, 180.0 + v))) for n, v in enumerate(shown, 1)]
    return checks(*rows, adjusted=adjusted)


def test_the_line_of_the_worked_example_passes_and_holds_to_a_tenth_above_the_highest() -> None:
    (found,) = outcomes(QAL2)
    assert found.passed
    assert found.facts["slope"] == pytest.approx(23.0)
    assert found.facts["intercept"] == pytest.approx(-48.8)
    assert found.facts["valid_upto"] == pytest.approx(1.1 * 57.0)
    assert found.facts["deviation_max"] == pytest.approx(200.0 * 0.2 / 1.96 * 0.9761, abs=0.01)
    assert {cite.pack for cite in found.cites} == {"en-14181-2014"}
    assert "bias_max" not in found.facts, "a QAL2 does not ask for it"


def test_a_method_that_the_pairs_do_not_ask_for_is_told_and_fails_nothing() -> None:
    (problem,) = outcomes(QAL2)[0].problems
    assert "the pairs ask for B" in problem.what
    assert not problem.fails


def test_without_a_word_the_pairs_choose_their_method() -> None:
    (found,) = outcomes(qal2(PAIRS, "zero_signal = 2.0\n"))
    assert found.facts["method"] == "B"
    assert found.facts["slope"] * 2.0 + found.facts["intercept"] == pytest.approx(0.0)


def test_method_c_goes_by_reference_materials_too() -> None:
    pairs = [[1.0, 10.0], [1.1, 11.0], [0.9, 9.0]] * 5
    (found,) = outcomes(qal2(pairs, "materials = [[0.0, 0.0], [20.0, 200.0]]\n", method='method = "C"\n'))
    assert found.facts["slope"] == pytest.approx(10.0)
    assert found.passed


def test_what_is_compared_is_at_the_conditions_of_the_limit() -> None:
    (plain,) = outcomes(qal2([[x, y + (x > 4.4)] for x, y in PAIRS]))
    (half,) = outcomes(qal2([[x, y + (x > 4.4), 0.5] for x, y in PAIRS], method='method = "B"\n'))
    assert half.facts["deviation"] == pytest.approx(plain.facts["deviation"] / 2.0)
    assert half.facts["valid_upto"] == pytest.approx(plain.facts["valid_upto"] / 2.0)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (PAIRS[:14], "14 pairs, 15 are needed"),
        ([[x, y + (60.0 if n % 2 else -60.0)] for n, (x, y) in enumerate(PAIRS)], "they scatter by"),
        ([[4.0, y] for _, y in PAIRS], "no line that rises"),
        ([[-x, y] for x, y in PAIRS], "no line that rises"),
    ],
)
def test_a_calibration_that_fails_says_why(pairs: object, says: str) -> None:
    (found,) = outcomes(qal2(pairs, method='method = "A"\n'))
    assert not found.passed
    assert says in " / ".join(problem.what for problem in found.problems if problem.fails)
    assert all(problem.todo for problem in found.problems)


def test_the_laboratorys_line_holds_and_is_held_against_its_pairs() -> None:
    (near,) = outcomes(qal2(PAIRS, "line = { slope = 23.01, intercept = -48.9 }\n", method='method = "A"\n'))
    assert near.facts["slope"] == 23.01
    assert not [problem for problem in near.problems if "laboratory's line" in problem.what]
    (far,) = outcomes(qal2(PAIRS, "line = { slope = 24.0, intercept = -48.8 }\n", method='method = "A"\n'))
    (told,) = [problem for problem in far.problems if "laboratory's line" in problem.what]
    assert not told.fails


@pytest.mark.parametrize(
    ("number", "deviation", "fails"), [(15, 19.9, ""), (15, 20.0, "they scatter by 20 mg/m3"), (5, 3.0, "5 pairs, 15")]
)
def test_a_report_without_pairs_is_held_against_the_law(number: int, deviation: float, fails: str) -> None:
    told = f"line = {{ slope = 2.0, intercept = 1.0 }}\ndeviation = {deviation}\npairs_number = {number}\n"
    (found,) = outcomes(qal2(None, told, "valid_upto = 90.0\n"))
    assert found.passed == (not fails)
    assert found.facts["valid_upto"] == 90.0
    assert fails in " ".join(problem.what for problem in found.problems)


def test_an_overdue_calibration_is_told_until_there_is_a_newer_one() -> None:
    late = date(2031, 4, 1)
    assert outcomes(QAL2, on=date(2031, 3, 31))[0].passed
    assert not outcomes(QAL2, on=late)[0].passed
    newer = (
        QAL2.replace("2026-03-02", "2031-02-01").replace("2026-04-01", "2031-03-01").replace("2031-04-01", "2036-01-01")
    )
    assert [found.passed for found in outcomes(QAL2, newer, on=late)] == [True, True]


def test_a_surveillance_test_is_held_against_the_function_of_its_day() -> None:
    _, ast = outcomes(QAL2, AST)
    assert ast.passed
    assert ast.facts["against"] == "qal2[0]"
    assert ast.facts["bias"] == pytest.approx(1.0)
    assert ast.facts["deviation_max"] == pytest.approx(1.5 * 200.0 * 0.2 / 1.96 * 0.9161, abs=0.01)


def test_a_bias_fails_a_surveillance_test() -> None:
    pairs = str([[x, y + 1.0] for x, y in PAIRS[:5]])
    _, ast = outcomes(QAL2, AST.replace(pairs, str([[x, y + 30.0] for x, y in PAIRS[:5]])))
    assert not ast.passed
    (problem,) = ast.problems
    assert problem.what.startswith("bias: the system is -30 mg/m3 off")
    assert "QAL2" in problem.todo


def test_a_surveillance_test_before_any_calibration_cannot_be_made() -> None:
    _, ast = outcomes(QAL2, AST.replace("2026-10-02", "2026-03-30"))
    assert not ast.passed
    assert "no QAL2 of that day" in ast.problems[0].what


def test_drift_of_the_worked_example_alarms_at_the_sixth_check() -> None:
    (found,) = outcomes(QAL3, days(*[1.0] * 8))
    (problem,) = found.problems
    assert problem.fails
    assert problem.what.startswith("zero drift, upward [s_AMS] alarms on 2026-05-06T06:00:00Z")
    drift = found.charts[1]
    assert (drift.alarms, drift.alarm, len(drift.values)) == ((5,), 2.85, 8)


def test_scatter_of_the_worked_example_alarms_at_the_third_check_of_span() -> None:
    (found,) = outcomes(QAL3, days(2.0, -2.0, 2.0, -2.0, at="span"))
    assert [chart.title for chart in found.charts if chart.alarms] == ["span precision [s_AMS^2]"]
    assert "2026-05-03" in found.problems[0].what


def test_an_adjustment_begins_a_chart_anew_and_settles_its_alarm() -> None:
    (found,) = outcomes(QAL3, days(*[-1.0] * 12, adjusted=5))
    told, open_ = found.problems
    assert "downward" in told.what
    assert not told.fails
    assert "2026-05-12" in open_.what
    assert open_.fails
    assert not found.passed
    assert outcomes(QAL3, days(*[-1.0] * 11, adjusted=5))[0].passed


def test_a_shewhart_chart_alarms_beyond_its_multiple_alone() -> None:
    (found,) = outcomes(QAL3, 'chart = "shewhart"\nspan_deviation = 2.0\n', days(3.0, -3.1))
    assert [chart.alarms for chart in found.charts] == [(1,), ()]
    assert found.facts["span_deviation"] == 2.0
    assert outcomes(QAL3, 'chart = "shewhart"\nspan_deviation = 2.0\n', days(5.9, at="span"))[0].passed


def test_no_check_alarms_nothing() -> None:
    (found,) = outcomes(QAL3, "checks = []\n")
    assert found.passed
    assert [chart.values for chart in found.charts] == [(), (), (), ()]


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=8), st.integers(0, 7))
def test_a_chart_that_is_begun_anew_is_two_charts(shown: list[float], at: int) -> None:
    shown = [round(value, 3) for value in shown]
    cut = min(at + 1, len(shown))
    (whole,) = outcomes(QAL3, days(*shown, adjusted=at))
    (first,) = outcomes(QAL3, days(*shown[:cut]))
    (second,) = outcomes(QAL3, days(*shown[cut:]) if shown[cut:] else "checks = []\n")
    for number, chart in enumerate(whole.charts):
        assert chart.values == first.charts[number].values + second.charts[number].values

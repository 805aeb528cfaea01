"""What daily calibration, linearity and RATA come to. Worked examples: tests/conformance/us.toml."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.assessment_us import END_NS, lapses
from collector.verdicts.certification import Control
from collector.verdicts.windows import HOUR_NS
from tests.collector.verdicts.certified import DAILY, LINEARITY, MONITOR, RATA, TRUE, certificates, checks, outcomes
from tests.effort import examples

GOOD, BAD = (0.0, 251.0), (0.0, 280.0)  # us-21: 30 ppm of a span of 500


def at(hour: int, minute: int = 10) -> str:
    return f"2026-04-{1 + hour // 24:02}T{hour % 24:02}:{minute:02}:00Z"


def spans(*parts: str) -> list[tuple[int, int | None, Control]]:
    """Lapses in hours of April."""
    found, law = certificates(DAILY, *parts)
    assert law.us is not None
    assert law.us.calibration_life is not None
    april = 1775001600 * 10**9
    return [
        ((begin - april) // HOUR_NS, None if end == END_NS else (end - april) // HOUR_NS, why)
        for begin, end, why in lapses(found.daily[0], law.us, law.us.calibration_life)
    ]


def test_a_calibration_holds_for_26_clock_hours() -> None:
    assert spans(checks((at(6, 59), *GOOD))) == [(32, None, Control.EXPIRED)]


def test_a_late_calibration_leaves_a_gap_and_one_in_time_none() -> None:
    assert spans(checks((at(0), *GOOD), (at(30), *GOOD))) == [(26, 30, Control.EXPIRED), (56, None, Control.EXPIRED)]
    assert spans(checks((at(0), *GOOD), (at(25), *GOOD))) == [(51, None, Control.EXPIRED)]


def test_a_failed_calibration_ends_control_until_one_passes() -> None:
    failed = checks((at(0), *GOOD), (at(5), *BAD), (at(8), *GOOD))
    assert spans(failed) == [(5, 8, Control.FAILED), (34, None, Control.EXPIRED)]
    assert spans(checks((at(0), *GOOD), (at(5), *BAD))) == [(5, None, Control.FAILED)]


def test_a_start_up_after_a_standstill_has_some_hours_more() -> None:
    stood = f"stood = [[{at(20, 0)}, {at(40, 0)}]]\n"
    assert spans(checks((at(0), *GOOD)), stood) == [(48, None, Control.EXPIRED)]
    part = f"stood = [[{at(25, 30)}, {at(40, 0)}]]\n"
    assert spans(checks((at(0), *GOOD)), part) == [(26, None, Control.EXPIRED)], "it ran for a part of the last hour"


def test_without_a_calibration_nothing_is_said() -> None:
    assert spans("checks = []\n") == []
    (found,) = outcomes(DAILY, "checks = []\n")
    assert not found.passed
    assert found.date == ""


def test_a_failed_calibration_says_what_is_off_and_whether_it_passed_since() -> None:
    (found,) = outcomes(DAILY, checks((at(0), *GOOD), (at(5), 30.0, 280.0), (at(8), *GOOD)))
    assert found.passed
    assert found.facts["out_of_control_hours"] == 3
    assert found.facts["out_of_control"] == [("2026-04-01T05:00:00Z", "2026-04-01T08:00:00Z", "failed")]
    assert found.facts["in_control_until"] == "2026-04-02T10:00:00Z"
    off, hours = found.problems
    assert "zero off by 30 ppm (6 % of span); span off by 30 ppm (6 % of span)" in off.what
    assert off.todo == "passed since"
    assert hours.what == "3 hours out of control"
    (found,) = outcomes(DAILY, checks((at(0), *BAD)))
    assert not found.passed
    assert found.facts["out_of_control_since"] == "2026-04-01T00:00:00Z"
    assert "calibrate again" in found.problems[0].todo


def test_a_calibration_of_zero_alone_has_not_been_passed() -> None:
    (found,) = outcomes(DAILY, f"checks = [{{ time = {at(0)}, zero = 0 }}]")
    assert not found.passed
    assert "span not checked" in found.problems[0].what


def test_a_small_span_may_be_off_by_a_difference() -> None:
    """us-20: 6 ppm off at a span of 100."""
    small = DAILY.replace("span = 500", "span = 100").replace("span_gas = 250", "span_gas = 50")
    assert outcomes(small, checks((at(0), 0.0, 56.0)))[0].passed
    assert not outcomes(small, checks((at(0), 0.0, 61.0)))[0].passed


def test_a_seven_day_test_fails_for_one_day_and_has_no_hours() -> None:
    seven = DAILY + 'test = "seven_day"\n'
    (found,) = outcomes(seven, checks((at(0), *GOOD), (at(24), 0.0, 265.0), (at(48), *GOOD)))
    assert found.test == "seven-day calibration"
    assert not found.passed
    assert "out_of_control_hours" not in found.facts


def test_linearity_of_the_worked_examples_passes_and_says_by_how_much() -> None:
    (found,) = outcomes(LINEARITY)
    assert found.passed
    assert found.facts["low"]["error_percent"] == pytest.approx(10.0)
    assert found.facts["mid"]["error_percent"] == pytest.approx(4.0)


def test_a_level_that_is_not_linear_fails_the_test() -> None:
    (found,) = outcomes(LINEARITY.replace("[240]", "[230, 230, 230]"))
    assert not found.passed
    assert found.problems[0].what == "mid: 8 % off 250 ppm, allowed 5 % or 5 ppm"


def test_a_rata_of_the_worked_example_gives_its_factor() -> None:
    (found,) = outcomes(RATA)
    assert found.passed
    assert found.facts["bias_adjustment_factor"] == 1.024
    assert found.facts["applied_factor"] == 1.024
    assert found.facts["relative_accuracy_percent"] == pytest.approx(2.745267, abs=0.005)
    assert found.facts["quarters"] == 4


def test_a_larger_factor_may_be_applied_and_a_smaller_one_not() -> None:
    assert outcomes(RATA, "factor = 1.1\n")[0].facts["applied_factor"] == 1.1
    (found,) = outcomes(RATA, "factor = 1.01\n")
    assert not found.passed
    assert "less than 1.024" in found.problems[0].what


def test_too_few_runs_and_too_large_errors_are_not_passed() -> None:
    runs = [[m, t] for m, t in zip(MONITOR, TRUE, strict=True)]
    (few,) = outcomes(RATA.replace(str(runs), str(runs[:8])))
    assert few.problems[0].what == "8 runs, 9 are needed"
    assert few.facts["applied_factor"] == 1.0
    (far,) = outcomes(RATA.replace(str(runs), str([[m / 2.0, t] for m, t in runs])))
    assert "relative accuracy" in far.problems[0].what
    assert far.facts["applied_factor"] == 1.0


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=6))
def test_every_hour_is_out_of_control_or_within_26_hours_of_a_calibration_that_passed(
    rows: list[tuple[int, bool]],
) -> None:
    rows = sorted(dict(rows).items())
    found = spans(checks(*((at(hour), *(GOOD if good else BAD)) for hour, good in rows)))
    for hour in range(rows[0][0], rows[-1][0] + 60):
        last, good = next((h, g) for h, g in reversed(rows) if h <= hour)
        out = any(begin <= hour and (end is None or hour < end) for begin, end, _ in found)
        assert out == (not good or hour - last >= 26)

from __future__ import annotations

import math
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.assessment import Drawn
from collector.verdicts.assurance_told import Weeks
from collector.verdicts.quality_words import ROWS, chart, facts, plain, weeks
from tests.collector.verdicts.certified import DAILY, LINEARITY, QAL2, RATA, checks, outcomes
from tests.effort import examples


def drawn(*values: float, alarm: float = 3.0) -> Drawn:
    times = tuple(f"2026-04-{1 + n % 28:02}T00:00:00Z" for n in range(len(values)))
    return Drawn(title="drift", times=times, values=values, alarm=alarm, alarms=())


def test_facts_are_a_line_each() -> None:
    lines = list(facts(outcomes(QAL2)[0]))
    assert "slope: 23" in lines
    assert "report: R-17" in lines
    assert not [line for line in lines if line.startswith(("laboratory", "bias: -"))], "what is not known, and no dust"
    assert "mid: reference 250, mean 240, injections 1, error_percent 4, passed yes" in list(
        facts(outcomes(LINEARITY)[0])
    )
    assert "bias_adjustment_factor: 1.024" in list(facts(outcomes(RATA)[0]))
    late = checks(("2026-04-01T00:10:00Z", 0.0, 251.0), ("2026-04-03T00:10:00Z", 0.0, 251.0))
    lapse = "out_of_control: 2026-04-02T02:00:00Z 2026-04-03T00:00:00Z expired"
    assert lapse in list(facts(outcomes(DAILY, late)[0]))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.floats(0.0, 1e300), min_size=1, max_size=100), st.floats(0.1, 10.0))
def test_a_chart_shows_each_of_the_newest_checks_once(values: list[float], alarm: float) -> None:
    lines = list(chart(drawn(*values, alarm=alarm), 20))
    if len(lines) == 1:
        assert not any(values[-20:])
        return
    assert len(lines) == ROWS + 3
    columns = list(zip(*(line.split("|")[1] for line in lines[1:-1]), strict=True))
    assert len(columns) == min(len(values), 20)
    for column, value in zip(columns, values[-20:], strict=True):
        assert column.count("#") == (value > alarm)
        assert column.count("o") == (value <= alarm)


def test_a_chart_of_nothing_is_one_line() -> None:
    assert list(chart(drawn(0.0, 0.0))) == ["drift: 0 at all of 2 checks"]
    assert list(chart(drawn())) == ["drift: 0 at all of 0 checks"]


def test_weeks_say_when_a_calibration_is_due() -> None:
    found = Weeks(parameter="SO2", upto=70.0, unit="mg/m3", often=1, due=date(2026, 4, 6),
                  weeks=((date(2026, 3, 30), 0, 0), (date(2026, 4, 6), 48, 24)))  # fmt: skip
    assert list(weeks(found)) == [
        "SO2: valid up to 70 mg/m3", "week of 2026-03-30: 0 of 0 above (0.0 %)",
        "week of 2026-04-06: 24 of 48 above (50.0 %)", "a new QAL2 is due since the week of 2026-04-06",
    ]  # fmt: skip


def test_json_has_no_nan_and_no_dust() -> None:
    assert plain({"a": (0.1 + 0.2, math.nan, math.inf), "b": {"c": None}}) == {"a": [0.3, None, None], "b": {"c": None}}

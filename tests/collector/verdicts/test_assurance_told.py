from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from collector.catalogue import rule_packs
from collector.verdicts.assurance import UNCERTIFIED, Assurance, assured
from collector.verdicts.assurance_told import told, weeks_above
from collector.verdicts.averages import averages
from collector.verdicts.points import point_rules
from collector.verdicts.quality_rules import RangeWatch
from collector.verdicts.records import Average
from collector.verdicts.screening import signal
from collector.verdicts.tables import Tables
from gateway.catalogue import parameters
from gateway.measurement import SECOND_NS
from tests.collector.verdicts.certified import DAILY, PAIRS, QAL2, RATA, checks, point

MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1440 * MINUTE_NS
REPORTED = "line = { slope = 2.0, intercept = 1.0 }\nvalid_upto = 70.0\ndeviation = 1.0\npairs_number = 15\n"
HALVED = QAL2.replace(f"pairs = {PAIRS}\n", REPORTED)
SECOND = HALVED.replace("2026-04-01", "2026-04-03").replace("slope = 2.0", "slope = 4.0").replace("R-17", "R-18")
RULE = RangeWatch(week_percent=5.0, weeks_max=5, once_percent=40.0, cite="", verified=False)


def ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND_NS


def found(certificates: Assurance, *, step: int = 10, unit: str = "mg/m3") -> list[Average]:
    """Averages of 1 to 4 April: 30 mg/m3, and 40 in the first hour of each day."""
    start = ns(date(2026, 4, 1))
    time_ns = start + step * MINUTE_NS * np.arange(4 * 1440 // step)
    value = np.where((time_ns - start) % DAY_NS < 60 * MINUTE_NS, 40.0, 30.0)
    measured = signal("SO2", unit, time_ns=time_ns, value=value, status=np.zeros(len(time_ns), np.uint8),
                      interval_ns=step * MINUTE_NS)  # fmt: skip
    rules, faults = point_rules(
        "p", "s", "stack", timezone="UTC", packs=[rule_packs()["en-14181-2014"]], settings={}, parameters=parameters()
    )
    assert not faults
    rules = replace(rules, assurance=certificates)
    span = (start, start + 4 * DAY_NS)
    tables = Tables(rules, assured(certificates, {"SO2": measured}), *span)
    return averages(rules, tables, {kind: rules.windows(kind, *span) for kind in ("1h", "24h", "month")})


def day(averages: list[Average], number: int) -> Average:
    return [average for average in averages if average.window == "24h"][number]


def test_a_day_tells_function_mean_as_measured_and_range() -> None:
    average = day(found(point(HALVED)), 0)
    assert average.value == pytest.approx(2.0 * (30.0 + 10.0 / 24.0) + 1.0)
    calibration = average.inputs["calibration"]
    assert calibration["raw"] == pytest.approx(30.0 + 10.0 / 24.0)
    assert [line["report"] for line in calibration["functions"]] == ["R-17"]
    assert average.inputs["range"] == {"upto": 70.0, "short": "30m", "of": 48, "above": 2}


def test_an_hour_tells_no_range() -> None:
    assert all("range" not in average.inputs for average in found(point(HALVED)) if average.window == "1h")


def test_a_window_over_two_functions_tells_both_and_no_mean_as_measured() -> None:
    month = next(average for average in found(point(HALVED, SECOND)) if average.window == "month")
    assert [line["report"] for line in month.inputs["calibration"]["functions"]] == ["R-17", "R-18"]
    assert month.inputs["calibration"]["raw"] is None


def test_a_window_that_begins_before_its_function_tells_no_mean_as_measured() -> None:
    month = next(average for average in found(point(SECOND)) if average.window == "month")
    assert month.inputs["calibration"]["raw"] is None
    assert "calibration" not in day(found(point(SECOND)), 0).inputs


def test_a_function_past_its_day_says_so() -> None:
    late = HALVED.replace("2031-04-01", "2026-04-02")
    lines = [day(found(point(late)), number).inputs["calibration"]["functions"][0] for number in (0, 1)]
    assert [line["overdue"] for line in lines] == [False, True]


def test_values_longer_than_the_short_term_tell_no_range() -> None:
    assert "range" not in day(found(point(HALVED), step=60), 0).inputs


def test_the_range_is_told_in_the_unit_of_the_values() -> None:
    grams = HALVED.replace('"mg/m3"', '"g/m3"').replace("70.0", "0.07").replace("= 1.0 }", "= 0.001 }")
    assert day(found(point(grams)), 0).inputs["range"] == {"upto": 70.0, "short": "30m", "of": 48, "above": 2}


def test_a_unit_without_a_way_is_told_as_measured_elsewhere() -> None:
    average = day(found(point(HALVED), unit="m/s"), 0)
    assert average.value == pytest.approx(30.0 + 10.0 / 24.0)
    assert average.inputs["calibration"]["raw"] is None


def test_lapses_are_told_where_they_touch_and_the_newest_ten() -> None:
    late = [(f"2026-03-{n:02}T00:00:00Z", 0.0, 251.0) for n in range(1, 25, 2)] + [("2026-04-02T00:00:00Z", 0.0, 251.0)]
    averages = found(point(DAILY + checks(*late)))
    assert "not_assured" not in day(averages, 1).inputs, "26 hours are not over"
    (open_,) = day(averages, 3).inputs["not_assured"]
    assert (open_["from"], open_["to"], open_["rules"]) == ("2026-04-03T02:00:00Z", None, "40cfr75")
    assert day(averages, 3).inputs["counts"] == {"not_assured": 144}
    first = day(averages, 0).inputs["not_assured"]
    assert (first[-1]["to"], first[-1]["why"]) == ("2026-04-02T00:00:00Z", "calibration expired")


def test_a_bias_factor_changes_no_average_of_concentration() -> None:
    assert [a.inputs for a in found(point(RATA))] == [a.inputs for a in found(UNCERTIFIED)]


def test_minutes_are_left_as_they_are() -> None:
    average = replace(day(found(point(HALVED)), 0), window="1m", inputs={})
    assert told(point(HALVED), Tables.__new__(Tables), [average]) == [average]


def days(*above: int, of: int = 48, first: date = date(2026, 3, 30)) -> list[Average]:
    """One day a week from a Monday on."""
    return [
        Average(
            plant="p", point="s", parameter="SO2", window="24h", from_ns=ns(first + timedelta(weeks=n)), to_ns=0,
            value=1.0, unit="mg/m3", coverage=1.0, valid=True, count=1,
            inputs={"range": {"upto": 70.0, "of": of, "above": number}},
        )
        for n, number in enumerate(above)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("above", "often", "due"),
    [
        ((3, 3, 3, 3, 3, 2), 5, None),
        ((3, 3, 3, 3, 3, 3), 6, date(2026, 5, 4)),
        ((0, 19, 0), 0, None),
        ((0, 20, 0), 1, date(2026, 4, 6)),
        ((0,), 0, None),
    ],
)
def test_a_new_calibration_is_due_after_many_weeks_or_one_bad_one(
    above: tuple[int, ...], often: int, due: date | None
) -> None:
    (watched,) = weeks_above(days(*above), "UTC", RULE, {})
    assert watched.often == often + (19 in above)
    assert watched.due == due


def test_days_of_one_week_are_one_and_those_before_the_last_test_are_not_counted() -> None:
    both = [*days(3), *days(5, first=date(2026, 4, 5))]
    (watched,) = weeks_above(both, "UTC", RULE, {"SO2": ns(date(2026, 3, 30))})
    assert watched.weeks == ((date(2026, 3, 30), 96, 8),)
    (watched,) = weeks_above(both, "UTC", RULE, {"SO2": ns(date(2026, 3, 31))})
    assert watched.weeks == ((date(2026, 3, 30), 48, 5),)
    assert weeks_above(both, "UTC", RULE, {"SO2": ns(date(2027, 1, 1))}) == []
    assert weeks_above([replace(both[0], inputs={})], "UTC", RULE, {}) == []

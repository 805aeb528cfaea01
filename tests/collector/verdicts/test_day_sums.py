"""What a day keeps for longer windows, worked by hand, and what months make of it: as of all measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collector.verdicts.counts import Count
from collector.verdicts.day_sums import DAY
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.long import derive_long
from collector.verdicts.long_tables import MEDIAN, LongTables
from collector.verdicts.pack import Bound, ClauseText
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import Signal, signal
from collector.verdicts.states import STATES, State
from collector.verdicts.year_counts import of_year
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import HOUR_NS, MINUTE_NS, PARAMETERS
from tests.collector.verdicts.test_long import ELV, GAS, START, by_days, clause, close, rules

DAY_NS = 24 * HOUR_NS
HALF_NS = HOUR_NS // 2
MARCH = 22  # days of it from the start on; one of them has 23 hours
WINTER = 19  # days before that one
FIELDS = ("parameter", "value", "coverage", "valid", "count", "maximum", "inputs")
FURNACE = {"reference_oxygen": 11.0}


def values(parameter: str, column: Any, step_ns: int = HOUR_NS) -> Signal:
    """Values one after the other from the start on, NaN = not measured."""
    value = np.asarray(column, np.float64)
    status = np.where(np.isnan(value), Status.NO_COMM, Status.OK).astype(np.uint8)
    return signal(
        parameter, PARAMETERS[parameter].unit, time_ns=START + np.arange(len(value)) * step_ns, value=value,
        status=status, interval_ns=step_ns,
    )  # fmt: skip


def days_of(law: PointRules, *signals: Signal, said: Sequence[State] = ()) -> list[Average]:
    return by_days(law, {s.parameter: s for s in signals}, said)


def march(law: PointRules, *signals: Signal, said: Sequence[State] = (), fields: Sequence[str] = FIELDS) -> Derived:
    """March of its days, which is what it is of all measurements."""
    own = {s.parameter: s for s in signals}
    wanted = {"month": law.windows("month", START, START + 1)}
    raw, long = derive(law, own, wanted, said=said), derive_long(law, by_days(law, own, said), wanted, said)
    for ours, theirs in zip(long.averages, raw.averages, strict=True):
        for field in fields:
            assert close(getattr(ours, field), getattr(theirs, field)), (field, ours, theirs)
    assert [judged(e) for e in long.exceedances] == [pytest.approx(judged(e), rel=1e-9) for e in raw.exceedances]
    return long


def judged(found: Any) -> dict[str, float]:
    """What an exceedance says, as numbers alone."""
    average = {f"average {name}": found.evidence["average"][name] for name in ("value", "count", "coverage")}
    return {found.clause: found.value, "limit": found.limit, **average, **found.evidence["clause"]["conditions"]}


def broken(found: Derived) -> dict[str, float]:
    return {e.clause: e.value for e in found.exceedances}


def of(found: Derived, parameter: str) -> Average:
    (average,) = (a for a in found.averages if a.parameter == parameter)
    return average


# --- values ------------------------------------------------------------------------------------------


def test_a_sum_of_a_month_is_that_of_its_days() -> None:
    law = rules("water", "gb18918-2002", {"class": "1A"})
    column = np.full(3 * 24, 10.0)
    column[24:48] = np.nan
    volume = values("volume", column)
    assert [day.sums["direct"] for day in days_of(law, volume)] == [240.0, None, 240.0], "nothing measured is not 0"
    assert of(march(law, volume), "volume").value == 480.0


def test_a_median_of_a_month_gives_each_day_as_much_say_as_its_values_stand_for() -> None:
    acid = np.full(3 * 24, np.nan)
    acid[:24], acid[24:30], acid[48:54] = 7.0, 9.0, 9.0
    found = of(march(rules("water", "gb18918-2002", {"class": "1A"}), values("pH", acid), fields=FIELDS[:-1]), "pH")
    assert (found.value, found.inputs["method"]) == (7.0, MEDIAN), "24 hours against 12, though two days of three"


def test_a_maximum_of_a_month_is_the_highest_of_its_days() -> None:
    peaks = np.full(4 * 24, 60.0)
    peaks[[5, 30]], peaks[48:72] = (65.0, 71.0), np.nan
    law = rules("noise", "gb12348-2008", {"area_class": 2})
    assert of(march(law, values("LAFmax", peaks)), "LAFmax").value == 71.0


@pytest.mark.parametrize(("part", "valid", "told"), [("24h", 20, 31), ("1h", 20 * 24, 31 * 24 - 1)])
def test_a_load_counts_the_days_or_hours_it_has(part: str, valid: int, told: int) -> None:
    for days, enough in ((20, True), (15, False)):
        found = of(march(rules("water", "gb18918-2002", {"class": "1A"}, part=part),
                         values("flow", np.full(days * 24, 10.0))), "volume")  # fmt: skip
        assert (found.value, found.valid) == (days * 864.0, enough), f"{valid} of {told} {part} are more than half"
        assert found.inputs["parts"]["valid"] == valid * days / 20


@pytest.mark.parametrize("part", ["day", "24h", "1h", "value"])
def test_levels_of_whole_days_make_a_month_of_the_hours_of_each_period(part: str) -> None:
    law = rules("noise", "gb3096-2008", {"ambient_class": 2}, part=part)
    hourly = np.full((WINTER, 24), 50.0)
    hourly[:, 6:22] = 60.0
    hourly[4, 3:18] = np.nan  # a day that is not valid has a say with the hours it has
    column = hourly.ravel()
    days = [d for d in days_of(law, values("LAeq", column)) if d.parameter == "Ldn"]
    assert days[0].sums["periods"] == {
        "day": {"ns": 16 * HOUR_NS, "level": pytest.approx(60.0)}, "night": {"ns": 8 * HOUR_NS, "level": 50.0},
    }  # fmt: skip
    assert (days[4].valid, days[4].sums["hours"], days[4].sums["covered_ns"]) == (False, 9.0, 9 * HOUR_NS)
    month = of(march(law, values("LAeq", column)), "Ldn")
    assert (month.value, month.inputs["method"]) == (pytest.approx(60.0), "composite")
    assert (month.inputs["derived"]["day"], month.inputs["derived"]["night"]) == (60.0, 50.0)
    assert month.valid, "of each period more than half"


def test_a_month_without_an_hour_of_night_has_no_level() -> None:
    law = rules("noise", "2002-49-ec", {})
    hourly = np.full((WINTER, 24), np.nan)
    hourly[:, 7:19] = 60.0
    month = of(march(law, values("LAeq", hourly.ravel())), "Lden")
    assert (month.value, month.valid, month.count) == (None, False, WINTER * 12)
    assert month.inputs["derived"]["lacking"] == {"evening": 1, "night": 1}


def test_levels_of_a_pack_that_is_named_no_more_make_no_month() -> None:
    level = values("LAeq", np.full(3 * 24, 50.0))
    days = days_of(rules("noise", "2002-49-ec", {}), level)
    law = rules("noise", "gb12348-2008", {"area_class": 2})
    assert {day.parameter for day in days} == {"LAeq", "Lden"}
    found = derive_long(law, days, {"month": law.windows("month", START, START + 1)})
    assert {average.parameter for average in found.averages} == {"LAeq"}


# --- water -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["value", "1h"])
def test_a_month_of_water_counts_the_time_with_a_flow(part: str) -> None:
    law = rules("water", "gb18918-2002", {"class": "1A"}, part=part)
    cod, flow = np.full(MARCH * 24 - 1, 40.0), np.full(MARCH * 24 - 1, 10.0)
    flow[15 * 24 :] = np.nan  # nobody knows it
    known = of(march(law, values("COD", cod), values("flow", flow)), "COD")
    assert (known.value, known.valid, known.inputs["parts"]["valid"]) == (40.0, False, 360.0), "not half of the month"
    flow[15 * 24 :] = 0.0  # nothing flows
    found = of(march(law, values("COD", cod), values("flow", flow)), "COD")
    assert (found.value, found.valid, found.inputs["parts"]["valid"]) == (40.0, True, MARCH * 24 - 1)


# --- days without any measurement --------------------------------------------------------------------


@pytest.mark.parametrize("oxygen", [10, 20])  # days on which it is measured: in the stop too, or not
def test_a_month_asks_nothing_of_days_on_which_the_plant_stood(oxygen: int) -> None:
    law = rules("stack", "ied-2010-75-annex-v", {"reference_oxygen": 6.0, "elv_so2": 20.0})
    gases = gas(60.0, 10, HALF_NS)[0], gas(60.0, oxygen, HALF_NS)[1]
    every = law.windows("month", START, START + 1)
    first, last = int(every.from_ns[0]), int(every.to_ns[0])
    stood = [State(state="stopped", from_ns=a, to_ns=b) for a, b in ((first, START), (START + 10 * DAY_NS, last))]
    unsaid = of(march(law, *gases), "SO2")
    assert (unsaid.valid, unsaid.coverage) == (False, pytest.approx(240 / 743))  # hours; the clock skips one
    found = march(law, *gases, said=stood)
    month = of(found, "SO2")
    assert (month.valid, month.coverage, month.inputs["parts"]["valid"]) == (True, 1.0, 480.0)
    assert month.inputs["states"] == {"operating": 240 * 3600.0, "stopped": 503 * 3600.0}
    assert broken(found) == {"so2-month": 56.0}, "less a confidence interval of 20 % of the limit"


def test_nothing_wanted_is_nothing_derived() -> None:
    law = rules("noise", "gb12348-2008", {"area_class": 2})
    days = days_of(law, values("LAeq", np.full(24, 50.0)))
    assert derive_long(law, days, {}) == Derived([], [])


# --- views -------------------------------------------------------------------------------------------

START_UP = [State(state="start_up", from_ns=START, to_ns=START + 6 * HOUR_NS)]


def furnace(*more: ClauseText) -> PointRules:
    return rules("stack", "gb18485-2014", FURNACE, *more, part="1h")


def test_a_day_keeps_what_clauses_see_that_do_not_judge_its_start_up() -> None:
    dust = np.full(MARCH * 24 - 1, 100.0)
    dust[:6] = 1000.0
    strict = furnace(clause("dust", "month", 90.0, unit="mg/m3"))
    first, second = days_of(strict, values("dust", dust), said=START_UP)[:2]
    view = f"gb18485-2014: operating of {' '.join(sorted(STATES))}"
    assert (first.value, first.sums["direct"], first.sums["covered_ns"]) == (325.0, 325.0, DAY_NS)
    seen = first.sums["views"][view]
    assert seen["values"] == {
        "count": 18, "value": 100.0, "maximum": 100.0, "direct": 100.0, "covered_ns": 18 * HOUR_NS, "sensors": [""]
    }  # fmt: skip
    assert (seen["1h"]["ns"], seen["1h"]["mean"], first.sums["views"][""]["1h"]["mean"]) == (18 * HOUR_NS, 100.0, 325.0)
    assert set(second.sums["views"]) == {""}, "a day without start-up is seen by all as it is shown"
    found = march(strict, values("dust", dust), said=START_UP)
    assert of(found, "dust").value == pytest.approx((6 * 1000 + 521 * 100) / 527)
    assert broken(found) == {"dust-month": 100.0}
    assert not broken(march(furnace(clause("dust", "month", 105.0, unit="mg/m3")), values("dust", dust), said=START_UP))


def cold(*states: str, id: str = "cold") -> ClauseText:
    """Not more than twenty cold five-minute means in a month."""
    text = clause("furnace_temperature", "month", 20.0, unit="")
    return replace(text, id=id, statistic="count", count=Count(window="5m", below=850.0), states=states)


def heat(days: int, step_ns: int = 5 * MINUTE_NS) -> Signal:
    """Three cold five-minute means on each of some days."""
    column = np.full((days, DAY_NS // step_ns), 900.0)
    column[:, :3] = 800.0
    return values("furnace_temperature", column.ravel(), step_ns)


def test_a_month_counts_what_its_days_count_for_each_view_of_the_plant() -> None:
    law = furnace(cold(), cold(*STATES, id="cold-any"))
    keys = [f"gb18485-2014/{id}" for id in ("cold", "cold-any")]
    days = days_of(law, heat(2), said=[State(state="start_up", from_ns=START, to_ns=START + 5 * MINUTE_NS)])
    assert [[day.sums["counts"].get(key) for key in keys] for day in days] == [[2, 3], [3, 3]]
    assert broken(march(law, heat(7))) == {"cold": 21.0, "cold-any": 21.0}, "two views that see the same"
    assert broken(march(law, heat(7), said=START_UP)) == {"cold-any": 21.0}, "18 of them are judged by the other"
    assert not broken(march(law, heat(6)))


def test_what_is_measured_too_seldom_is_not_counted() -> None:
    law = furnace(cold())
    hours = values("furnace_temperature", np.full(MARCH * 24, 800.0))
    assert all(day.sums["counts"] == {} for day in days_of(law, hours))
    assert not broken(march(law, hours))


# --- validated averages, shares and conditions -------------------------------------------------------


def gas(value: float, days: int, step_ns: int, parameter: str = "SO2") -> tuple[Signal, Signal]:
    """Some days of a gas, at the oxygen that it is converted to."""
    n = days * DAY_NS // step_ns
    return values(parameter, np.full(n, value), step_ns), values("O2", np.full(n, 6.0), step_ns)


def test_of_hours_no_half_hour_is_validated() -> None:
    law = rules("stack", "bimschv-13-2021", {"reference_oxygen": 6.0, **ELV}, part="1h")
    wanted = {"30d": law.windows("30d", START + MARCH * DAY_NS - 1, START + MARCH * DAY_NS)}
    half, hour = gas(1000.0, MARCH, HALF_NS), gas(1000.0, MARCH, HOUR_NS)
    means = [list(day.sums["means"].values()) for day in days_of(law, *half) if day.parameter == "SO2"]
    assert all([48, pytest.approx(1000.0 - 0.2 * 170.0)] in of_day for of_day in means[:3]), "less the interval"
    assert broken(derive_long(law, days_of(law, *half), wanted)) == {"so2-month": 966.0}
    assert all(day.sums["means"] == {} for day in days_of(law, *hour))
    assert not derive_long(law, days_of(law, *hour), wanted).exceedances


def test_of_hours_no_share_of_half_hours_is_told() -> None:
    law = rules("stack", "ied-2010-75-annex-vi", FURNACE)
    (span,) = zip(*(getattr(law.windows("year", START, START + 1), name).tolist() for name in ("from_ns", "to_ns")),
                  strict=True)  # fmt: skip
    told = {}
    for step_ns in (HALF_NS, HOUR_NS):
        days = [d for d in days_of(law, *gas(500.0, 2, step_ns, "HCl")) if d.parameter == "HCl"]
        told[step_ns] = [day.sums["shares"]["ied-2010-75-annex-vi/hcl-half-hour-b"] for day in days]
        counts = {e.clause for e in of_year(law, days, *span, ended=True)}
        assert ("hcl-half-hour-b-share" in counts) == (step_ns == HALF_NS)
    assert [(one["counted"], one["above"]) for one in told[HALF_NS]] == [(48, 48)] * 2
    assert [(one["counted"], one["above"], one["broken"]) for one in told[HOUR_NS]] == [(0, 0, False)] * 2


@pytest.mark.parametrize(("oxygen", "limits"), [(10.0, [50.0, 70.0]), (6.0, [])])
def test_a_limit_of_a_month_may_hang_on_the_month_of_another_channel(oxygen: float, limits: list[float]) -> None:
    def given(high: float) -> ClauseText:
        text = clause("SO2", "month", high, unit="mg/m3")
        lean, rich = Bound(parameter="O2", above=8.0, upto=None), Bound(parameter="O2", above=None, upto=8.0)
        rows = tuple(replace(text.rows[0], given=(bound,), high=h) for bound, h in ((lean, high), (rich, 100.0)))
        return replace(text, id=f"so2-{high:g}", rows=rows)

    law = rules("stack", "ultra-low-2015", GAS, given(50.0), given(70.0), part="1h")
    n = MARCH * 24
    found = march(law, values("SO2", np.full(n, 90.0)), values("O2", np.full(n, oxygen)))
    assert [(e.value, e.limit, e.evidence["clause"]["conditions"]) for e in found.exceedances] == [
        (90.0, limit, {"O2": oxygen}) for limit in limits
    ]


def test_long_tables_are_those_of_the_wanted_windows_each_made_once() -> None:
    law = rules("stack", "ultra-low-2015", GAS)
    wanted = {"month": law.windows("month", START, START + 1)}
    tables = LongTables(law, "", days_of(law, values("SO2", np.full(48, 90.0))), wanted)
    table = tables.table("SO2", "month")
    assert table is not None
    assert table is tables.table("SO2", "month")
    assert tables.windows("month") is table.windows is wanted["month"]
    assert [tables.table(*about) for about in (("SO2", "year"), ("SO2", DAY), ("O2", "month"))] == [None] * 3

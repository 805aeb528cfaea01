"""What a year counts, of days that are given: shares, what makes up for them, and days that are lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Exceedance, Standing
from collector.verdicts.year_counts import counts_years, is_count, of_days, of_year
from gateway.measurement import SECOND_NS
from tests.collector.verdicts.test_averages import HOUR_NS, NOISE, law

DAY_NS = 24 * HOUR_NS
YEAR_NS = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
END_NS = YEAR_NS + 365 * DAY_NS
GAS = {"reference_oxygen": 11.0, "basis": "dry", "state": "standard"}
WASTE = law("stack", GAS, "ied-2010-75-annex-vi", zone="UTC")
HALF_HOURS = 365 * 48


def day(number: int, sums: dict[str, Any], parameter: str = "HCl") -> Average:
    start = YEAR_NS + number * DAY_NS
    return Average(
        plant="p", point="x", parameter=parameter, window="24h", from_ns=start, to_ns=start + DAY_NS, value=5.0,
        unit="mg/m3", coverage=1.0, valid=True, count=48, sums=sums,
    )  # fmt: skip


def share(counted: int, above: int, instead: list[int] | None = None, name: str = "hcl-half-hour-b") -> dict[str, Any]:
    told = {"limit": 10.0, "counted": counted, "above": above, "instead": instead, "broken": above > 0}
    return {"shares": {f"ied-2010-75-annex-vi/{name}": told}, "sensors": ["cems"]}


def lost(*numbers: int) -> list[Average]:
    return [
        day(number, {"lost": {"ied-2010-75-annex-vi": {"of": 48, "missing": 6, "lost": number in numbers}}})
        for number in range(365)
    ]


def judged(days: list[Average], *, ended: bool, rules: PointRules = WASTE) -> list[Exceedance]:
    return of_year(rules, days, YEAR_NS, END_NS, ended=ended)


@given(
    days=st.lists(st.tuples(st.integers(0, 48), st.integers(0, 48)), min_size=1, max_size=60),
    over_a=st.integers(0, 2),
)  # fmt: skip
def test_a_share_is_broken_before_the_end_only_where_no_rest_of_the_year_could_mend_it(
    days: list[tuple[int, int]], over_a: int
) -> None:
    its = [
        day(number, share(counted, min(above, counted), [counted, over_a if counted else 0]))
        for number, (counted, above) in enumerate(days)
    ]
    counted, above = sum(c for c, _ in days), sum(min(a, c) for c, a in days)
    best = counted + HALF_HOURS - 48 * len(days)
    certain = judged(its, ended=False)
    assert bool(certain) == (counted > 0 and 100 * above > 3 * best and over_a > 0)
    final = judged(its, ended=True)
    assert bool(final) == (100 * above > 3 * counted and over_a > 0)
    for one, total, to_ns in ((certain, best, YEAR_NS + len(days) * DAY_NS), (final, counted, END_NS)):
        for e in one:
            assert (e.clause, e.window, e.unit, e.limit) == ("hcl-half-hour-b-share", "year", "%", 3.0)
            assert (e.from_ns, e.to_ns) == (YEAR_NS, to_ns)
            assert e.value == pytest.approx(100 * above / total)
            assert e.value > e.limit


def test_what_has_no_other_way_is_saved_by_none() -> None:
    its = [day(number, share(1, 1, name="co-day"), "CO") for number in range(12)]
    (found,) = judged(its, ended=False)  # 11 of 365 days are more than 3 %
    assert (found.clause, found.parameter, found.standing) == ("co-day-share", "CO", Standing.EVIDENCE)
    assert found.evidence["clause"]["corrected"] == "validated"
    assert found.evidence["counted"]["days"]["items"][0] == ["2027-01-01T00:00:00Z", 1, 1, 10.0, None, None]
    assert not judged(its[:10], ended=False)
    assert judged(its[:10], ended=True), "of ten days that are there all are above"


def test_days_without_a_word_count_nothing() -> None:
    assert judged([day(0, {})], ended=True) == []
    assert judged([], ended=True) == []
    assert judged([day(-1, share(48, 48, [48, 48])), day(365, share(48, 48, [48, 48]))], ended=True) == []


def test_days_of_more_than_the_year_are_not_counted() -> None:
    its = [day(number, share(48, 48, [48, 1])) for number in range(-3, 365)]
    (found,) = judged(its, ended=True)
    assert found.evidence["counted"]["counted"] == HALF_HOURS


def test_the_eleventh_day() -> None:
    assert judged(lost(*range(10)), ended=True) == []
    (found,) = judged(lost(*range(100, 111)), ended=False)
    assert (found.clause, found.value, found.limit, found.unit) == ("hcl-days-lost", 11.0, 10.0, "d")
    assert (found.standing, found.verified, found.to_ns) == (Standing.EARLY_WARNING, True, END_NS)
    assert len(found.evidence["counted"]["days"]["items"]) == 11
    assert len(found.evidence["measurements"]["items"]) == 365


def test_a_text_without_a_number_of_days_loses_none() -> None:
    pack = WASTE.packs[0]
    assert pack.validation is not None
    for validation in (None, replace(pack.validation, days_max=None)):
        rules = replace(WASTE, packs=(replace(pack, validation=validation),))
        assert judged(lost(*range(50)), ended=True, rules=rules) == []
        assert counts_years(rules), "it has shares"
    assert not counts_years(replace(WASTE, packs=(replace(pack, validation=None, shares=()),)))
    assert counts_years(replace(WASTE, packs=(replace(pack, shares=()),)))
    assert not counts_years(NOISE)


def test_a_share_of_a_day() -> None:
    good, bad = (day(n, share(144, n, [48, n], "co-10-minutes"), "CO") for n in (0, 9))
    (found,) = of_days(WASTE, [good, bad, replace(bad, window="1h"), replace(bad, parameter="HF")])
    assert (found.clause, found.window, found.value, found.limit) == ("co-10-minutes-share", "24h", 6.25, 5.0)
    assert (found.from_ns, found.to_ns) == (bad.from_ns, bad.to_ns)
    assert of_days(WASTE, [replace(bad, sums={})]) == []


def test_its_clauses_are_known_by_their_names() -> None:
    assert is_count("co-day-share")
    assert is_count("so2-days-lost")
    assert not is_count("so2-day")

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts.concurrent import mixed, night_hours, nights, strictest, validities
from collector.verdicts.limits import Clause, breaking, read_settings, resolve, rounded  # fmt: skip
from collector.verdicts.pack import Force, Night, RulePack
from collector.verdicts.records import Standing
from collector.verdicts.windows import KINDS
from tests.collector.verdicts.test_pack_file import GOOD, parse
from tests.effort import examples

TODAY = date(2026, 11, 21)
NOISE, WATER, STACK, COUNTED = (
    rule_packs()[id] for id in ("gb12348-2008", "gb18918-2002", "ultra-low-2015", "gb18485-2014")
)


def clause(id: str, settings: dict[str, object], on: date = TODAY) -> Clause:
    pack = next(pack for pack in (NOISE, WATER, STACK) if any(c.id == id for c in pack.clauses))
    clauses, faults = resolve(pack, settings, on)
    assert faults == []
    return next(clause for clause in clauses if clause.id == id)


@pytest.mark.parametrize("area_class", range(5))
def test_the_noise_limits_of_every_class(area_class: int) -> None:
    day, night = (50, 55, 60, 65, 70)[area_class], (40, 45, 50, 55, 55)[area_class]
    for indoor, less in ((False, 0), (True, 10)):
        given = {"area_class": area_class, "indoor": indoor}
        assert clause("day-level", given).limit() == day - less
        assert clause("night-level", given).limit() == night - less
        assert clause("night-peak", given).limit() == night + 15 - less
        assert clause("night-peak", {**given, "burst": "frequent"}).limit() == night + 10 - less


def test_a_clause_carries_what_a_verdict_needs() -> None:
    night = clause("night-level", {"area_class": 2})
    assert night.key == "gb12348-2008/night-level"
    assert (night.kind, night.parameter, night.window, night.period) == ("noise", "LAeq", "night", "")
    assert (night.standing, night.verified, night.unit) == (Standing.EVIDENCE, True, "dB(A)")
    assert night.evaluates
    assert not night.two_sided
    peak = clause("night-peak", {"area_class": 2})
    assert (peak.window, peak.period, peak.statistic, peak.evaluates) == ("1m", "night", "maximum", False)
    nox = clause("nox-hour", {})
    assert (nox.corrected, nox.verified, nox.limit()) == ("converted", False, 50.0)


@settings(max_examples=examples(200))
@given(st.floats(20.0, 120.0), st.integers(0, 4))
def test_rounding_can_excuse_but_not_accuse(level: float, area_class: int) -> None:
    for id in ("day-level", "night-level"):
        rule = clause(id, {"area_class": area_class})
        limit = rule.limit()
        assert limit is not None
        if bool(breaking(rule, level)):
            assert level > limit
        assert bool(breaking(rule, level)) == (level > limit + 0.5 or (level == limit + 0.5 and limit % 2 == 1))


def test_a_limit_has_two_sides_where_the_text_says_so() -> None:
    ph = clause("ph-day", {"class": "1A"})
    assert ph.two_sided
    assert ph.bounds() == (6.0, 9.0)
    assert breaking(ph, [5.9, 6.0, 7.5, 9.0, 9.1, math.nan]).tolist() == [True, False, False, False, True, False]


def test_a_level_is_rounded_before_it_is_held_against_its_limit() -> None:
    assert breaking(clause("night-level", {"area_class": 2}), [50.5, 50.51, 51.7]).tolist() == [False, True, True]


def test_no_value_is_rounded_to_none() -> None:
    assert math.isnan(float(rounded(clause("night-level", {"area_class": 2}), float("nan"))))


@pytest.mark.parametrize("texts", ['["23:00"]', "24:00-08:00", "22:00-07:00"])
def test_a_wrong_night_is_told_once(texts: str) -> None:
    _, faults = read_settings("noise", [NOISE], {"area_class": 2, "night": texts})
    assert [fault.path for fault in faults] == ["settings.night"]


@pytest.mark.parametrize(
    ("temperature", "limit"), [(12.1, 5.0), (12.0, 8.0), (-1.0, 8.0), (None, 8.0), (float("nan"), 8.0)]
)
def test_ammonia_is_judged_by_the_water_temperature(temperature: float | None, limit: float) -> None:
    ammonia = clause("nh3n-day", {"class": "1A"})
    assert ammonia.conditions == ("water_temperature",)
    conditions = {} if temperature is None else {"water_temperature": temperature}
    assert ammonia.limit(conditions) == limit
    assert breaking(ammonia, [5.0, 5.1, 8.0, 8.1], conditions).tolist() == [False, limit == 5.0, limit == 5.0, True]


def test_a_text_that_sets_no_limit_has_no_clause() -> None:
    clauses, faults = resolve(WATER, {"class": "3"}, TODAY)
    assert faults == []
    ids = {clause.id for clause in clauses}
    assert "cod-day" in ids
    assert not ids & {"tn-day", "nh3n-day", "nh3n-hour"}


def test_limits_change_with_the_day_that_is_judged() -> None:
    toy, _ = parse(GOOD)
    assert toy is not None
    for day, limits in ((date(2019, 1, 1), []), (date(2023, 12, 31), [50.0]), (date(2024, 1, 1), [40.0])):
        clauses, faults = resolve(toy, {"size": "small"}, day)
        assert faults == []
        assert [clause.limit() for clause in clauses] == limits


def test_a_clause_may_round_half_up() -> None:
    text = GOOD.replace('unit = "mg/m3"', 'unit = "mg/m3"\nrounding = { mode = "half_up", places = 1, cite = "toy 6" }')
    toy, faults = parse(text)
    assert toy is not None, faults
    (rule,), _ = resolve(toy, {"size": "small"}, TODAY)
    assert rounded(rule, [40.05, 40.04]).tolist() == [40.1, 40.0]
    assert breaking(rule, [40.05, 40.04]).tolist() == [True, False]


def test_missing_and_wrong_settings_are_faults() -> None:
    clauses, faults = resolve(NOISE, {}, TODAY, path="point[0].settings")
    assert clauses == ()
    assert [(fault.path, fault.message) for fault in faults] == [("point[0].settings.area_class", "missing")]
    assert "0 or 1 or 2 or 3 or 4" in faults[0].hint
    _, faults = resolve(NOISE, {"area_class": 7, "burst": "often"}, TODAY)
    assert {fault.path for fault in faults} == {"settings.area_class", "settings.burst"}


def test_settings_of_a_point_are_typed_and_complete() -> None:
    found, faults = read_settings("stack", [STACK], {"basis": "wet", "area_m2": "9.6", "reference_oxygen": "6"})
    assert faults == []
    assert found == {
        "reference_oxygen": 6.0, "basis": "wet", "oxygen_basis": None, "state": "standard", "area_m2": 9.6,
        "barometric_pa": 101_325.0, "air_oxygen": 21.0, "oxygen_max": 20.0, "zero_noise": None, "state_codes": None,
        "operating_where": None, "other_states_max": 0.0, "flow_state": None, "nox_from": "NOx",
    }  # fmt: skip
    found, faults = read_settings("noise", [NOISE], {"area_class": "2", "night": "23:00-07:00"})
    assert faults == []
    assert found["area_class"] == 2
    assert night_hours([NOISE], found) == ("23:00", "07:00")


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("noise", {"area_class": 2, "aera": 1}, "unknown key"),
        ("noise", {"area_class": 2, "night": ["22:00", "07:00"]}, "9 hours"),
        ("stack", {"reference_oxygen": 9.0}, "none of 6.0"),
        ("stack", {"basis": "moist"}, "none of dry, wet"),
        ("stack", {"area_m2": 0}, "outside"),
    ],
)
def test_settings_that_nobody_understands_are_faults(kind: str, given: dict[str, object], message: str) -> None:
    pack = NOISE if kind == "noise" else STACK
    _, faults = read_settings(kind, [pack], given)
    assert len(faults) == 1
    assert message in faults[0].message


def test_points_without_a_pack_have_hours_and_validity_too() -> None:
    found, faults = read_settings("noise", [], {})
    assert faults == []
    assert night_hours([], found) == ("22:00", "06:00")
    rows = validities([], found)
    assert set(rows) == set(KINDS)
    assert (rows["1h"].share, rows["1h"].verified) == (0.75, False)


def test_packs_say_how_much_of_a_window_is_enough() -> None:
    found, _ = read_settings("noise", [NOISE], {"area_class": 2, "valid_share": 0.9})
    rows = validities([NOISE], found)
    assert (rows["night"].part, rows["night"].share, rows["night"].minimum) == ("1m", 0.9, None)
    rows = validities([STACK], {})
    assert (rows["1m"].share, rows["1h"].minimum, rows["24h"].minimum) == (1.0, 45, 20)
    assert rows["1h"].enough(np.array([44, 45]), 60).tolist() == [False, True]


def test_the_first_pack_named_has_its_say() -> None:
    text = GOOD.replace("minimum = 45", "minimum = 30")
    toy, _ = parse(text)
    assert toy is not None
    assert validities([toy, STACK], {})["1h"].minimum == 30
    assert validities([STACK, toy], {})["1h"].minimum == 45
    assert validities([toy, STACK], {})["24h"].minimum == 20


@pytest.mark.parametrize(
    ("kind", "pack", "given"),
    [("noise", NOISE, {"area_class": "2"}), ("stack", STACK, {}), ("water", WATER, {"class": "1A"})],
)
def test_settings_read_once_may_be_read_again(kind: str, pack: RulePack, given: dict[str, object]) -> None:
    found, faults = read_settings(kind, [pack], given)
    assert faults == []
    assert read_settings(kind, [pack], found) == (found, [])
    assert resolve(pack, found, TODAY) == resolve(pack, given, TODAY)
    if kind == "noise":
        assert night_hours([pack], found) == ("22:00", "06:00")


# --- nights ---------------------------------------------------------------------------------------------


def night_pack(id: str, begin: date, end: date | None, hours: tuple[str, str], *, judges: bool = True) -> RulePack:
    """A pack like GB 12348 with a night of its own that a setting of the point moves."""
    asked = replace(NOISE.settings["night"], default=hours)
    night = Night(begin=hours[0], end=hours[1], setting="night", cite="x")
    clauses = NOISE.clauses if judges else ()
    return replace(
        NOISE, id=id, in_force=(Force(from_date=begin, to_date=end, cite="x"),), clauses=clauses,
        settings={**NOISE.settings, "night": asked}, night=night,
    )  # fmt: skip


EARLY, LATE = ("22:00", "06:00"), ("23:00", "07:00")
YEAR = date(2027, 1, 1)


def test_a_night_is_that_of_the_pack_in_force() -> None:
    old, new = night_pack("old", date(2008, 1, 1), YEAR, EARLY), night_pack("new", YEAR, None, LATE)
    for packs in ([old, new], [new, old]):
        assert night_hours(packs, {}, date(2026, 12, 31)) == EARLY
        assert night_hours(packs, {}, YEAR) == LATE
        assert nights(packs, {}) == ((date.min, EARLY), (YEAR, LATE))
        assert mixed(packs, {}) == ""
    assert night_hours([new], {}, date(2026, 1, 1)) == EARLY  # no pack has a say then
    assert nights([new], {}) == ((date.min, EARLY), (YEAR, LATE))
    assert nights([old], {}) == nights([], {}) == ((date.min, EARLY),)
    said = {"night": "21:00-05:00"}
    assert nights([old, new], said) == ((date.min, ("21:00", "05:00")),)
    assert nights([old, new], {"night": "never"}) == nights([old, new], {})
    assert night_hours([replace(new, night=None), old], said | {"night": None}) == EARLY
    assert nights([], said) == ((date.min, ("21:00", "05:00")),)


def test_packs_whose_nights_differ_judge_at_two_points() -> None:
    one, other = night_pack("one", date(2008, 1, 1), None, EARLY), night_pack("other", YEAR, None, LATE)
    assert mixed([one, other], {}) == "the night of one is 22:00 to 06:00, that of other 23:00 to 07:00"
    assert mixed([one, other], {"night": ["21:00", "05:00"]}) == ""  # as the local government sets them
    assert mixed([one, replace(other, night=None)], {}) == ""
    silent = night_pack("silent", date(2008, 1, 1), None, LATE, judges=False)
    assert mixed([silent, one], {}) == ""
    assert night_hours([silent, one], {}) == EARLY  # as BS 4142, which sets no limits, beside GB 12348
    assert night_hours([silent], {}) == LATE
    hourly = replace(NOISE, clauses=(replace(NOISE.clauses[0], window="1h", period=""),))
    assert mixed([hourly, night_pack("other", date(2008, 1, 1), None, LATE)], {}) == ""


def test_the_strictest_limit_of_a_mean_is_found() -> None:
    found, _ = read_settings("water", [WATER], {"class": "2"})
    assert strictest([WATER], found, "NH3-N") == 25.0
    assert strictest([WATER], found, "TN") is None
    assert strictest([], found, "COD") is None


def test_a_count_is_held_against_the_limit_itself() -> None:
    found = next(c for c in resolve(COUNTED, {"reference_oxygen": 11.0}, TODAY)[0] if c.count is not None)
    assert breaking(found, [5.0, 6.0]).tolist() == [False, True]


# --- properties -----------------------------------------------------------------------------------------

LEVELS = st.floats(-50.0, 150.0)
CASES = [("night-level", {"area_class": 2}), ("so2-hour", {"reference_oxygen": 6.0}), ("ph-day", {"class": "1A"})]


@settings(max_examples=examples(100))
@given(st.sampled_from(CASES), LEVELS, LEVELS)
def test_above_a_limit_more_is_no_better(case: tuple[str, dict[str, object]], one: float, other: float) -> None:
    found = clause(*case)
    low, high = found.bounds()
    assert high is not None
    less, more = sorted((one, other))
    if less >= high:
        assert bool(breaking(found, less)) <= bool(breaking(found, more))
    if low is not None and more <= low:
        assert bool(breaking(found, more)) <= bool(breaking(found, less))
    if rounded(found, less) >= (low if low is not None else -math.inf) and rounded(found, less) <= high:
        assert not breaking(found, less)


@settings(max_examples=examples(100))
@given(st.sampled_from(CASES), st.lists(st.one_of(LEVELS, st.just(math.nan)), max_size=20))
def test_many_values_are_judged_as_each_alone(case: tuple[str, dict[str, object]], values: list[float]) -> None:
    found = clause(*case)
    together = breaking(found, values)
    assert together.tolist() == [bool(breaking(found, value)) for value in values]
    for value, broken in zip(values, together.tolist(), strict=True):
        low, high = found.bounds()
        compared = float(rounded(found, value))
        above, below = high is not None and compared > high, low is not None and compared < low
        assert broken == (above or below)


@settings(max_examples=examples(100))
@given(st.floats(0.0, 100.0), st.floats(-10.0, 40.0))
def test_what_breaks_a_limit_unknown_conditions_hold_breaks_it_known(value: float, temperature: float) -> None:
    found = clause("nh3n-day", {"class": "1A"})
    known = {"water_temperature": temperature}
    assert bool(breaking(found, value)) <= bool(breaking(found, value, known))
    assert found.limit(known) == (5.0 if temperature > 12.0 else 8.0)

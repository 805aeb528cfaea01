from __future__ import annotations

import dataclasses
import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts import noise, rating
from collector.verdicts.pack import RulePack
from collector.verdicts.rating_text import RatingText
from tests.effort import examples

PACKS = rule_packs()
ISO, TA, BS, END, GB = (
    PACKS[id] for id in ("iso1996-2-2017", "ta-laerm-1998", "bs4142-2014", "2002-49-ec", "gb3096-2008")
)
NAN, INF = float("nan"), math.inf
LEVEL = st.floats(0.0, 140.0)
ANY = st.floats()  # NaN and infinities too
DAY, WHOLE = st.lists(LEVEL, min_size=16, max_size=16), st.lists(LEVEL, min_size=24, max_size=24)
AREA = {"area": "WA"}


def text(pack: RulePack) -> RatingText:
    assert pack.rating is not None
    return pack.rating


def rated(pack: RulePack, **change: Any) -> RulePack:
    """A pack with another rating."""
    return dataclasses.replace(pack, rating=dataclasses.replace(text(pack), **change))


# --- the sound of others -----------------------------------------------------------------------------


@settings(max_examples=examples(200))
@given(LEVEL, st.floats(3.0, 60.0))
def test_the_source_and_the_rest_add_up_to_the_total(residual: float, above: float) -> None:
    found = rating.residual_correction(ISO, residual + above, residual)
    assert bool(found.correctable)
    assert noise.energy_sum([float(found.specific_db), residual]) == pytest.approx(residual + above, abs=1e-6)
    assert found.specific_db <= found.upper_db


@pytest.mark.parametrize(
    ("total", "residual", "correctable"),
    [(58.1, 55.1, True), (58.0, 55.1, False), (50.0, 48.0, False), (50.0, 50.0, False), (48.0, 50.0, False)],
)
def test_closer_than_3_db_a_source_cannot_be_told(total: float, residual: float, correctable: bool) -> None:
    found = rating.residual_correction(ISO, total, residual)
    assert bool(found.correctable) is correctable
    assert bool(np.isnan(found.specific_db)) is not correctable
    assert found.upper_db == total


def test_many_sources_are_corrected_at_once() -> None:
    found = rating.residual_correction(ISO, [60.0, 50.0, NAN, 70.0], 55.0)
    assert found.correctable.tolist() == [True, False, False, True]
    assert found.specific_db == pytest.approx([58.349115, NAN, NAN, 69.860446], abs=1e-6, nan_ok=True)
    assert rating.residual_correction(ISO, 60.0, [50.0, 59.0]).upper_db.tolist() == [60.0, 60.0]
    assert rating.residual_correction(ISO, [], []).specific_db.tolist() == []


@pytest.mark.parametrize(("total", "residual", "specific"), [(60.0, -INF, 60.0), (INF, 50.0, INF), (INF, INF, NAN)])
def test_silence_and_infinity_have_a_residual_too(total: float, residual: float, specific: float) -> None:
    assert float(rating.residual_correction(ISO, total, residual).specific_db) == pytest.approx(specific, nan_ok=True)


def test_a_pack_that_corrects_everything_gives_no_number_for_what_is_not_above() -> None:
    eager = rated(ISO, residual=dataclasses.replace(text(ISO).residual, least=0.0))  # type: ignore[type-var]
    found = rating.residual_correction(eager, [50.0, 50.1], 50.0)
    assert found.correctable.tolist() == [False, True]
    assert np.isnan(found.specific_db).tolist() == [True, False]


# --- TA Laerm ----------------------------------------------------------------------------------------


@settings(max_examples=examples(200))
@given(st.lists(LEVEL, min_size=1, max_size=8))
def test_the_loudest_hour_is_at_least_the_mean_of_the_night(levels: list[float]) -> None:
    found = rating.loudest_hour(TA, levels)
    assert found.rating_db == max(levels)
    assert found.hour is not None
    assert levels[found.hour] == max(levels)
    assert found.rating_db >= noise.energy_average(levels) - 1e-9


def test_supplements_may_make_another_hour_the_loudest() -> None:
    found = rating.loudest_hour(TA, [40.0, 42.0], tonal_db=[6.0, 0.0], impulsive_db=1.5, weather_db=0.5)
    assert (found.rating_db, found.compared_db, found.hour) == (47.0, 47.0, 0)
    watched = rating.loudest_hour(TA, [40.0, 42.0], surveillance=True)
    assert (watched.rating_db, watched.compared_db, watched.hour) == (42.0, 39.0, 1)


def test_an_hour_that_is_not_valid_takes_no_part() -> None:
    assert rating.loudest_hour(TA, [40.0, NAN, 41.0]).hour == 2
    for nothing in ([], [NAN, NAN]):
        found = rating.loudest_hour(TA, nothing, surveillance=True)
        assert (math.isnan(found.rating_db), math.isnan(found.compared_db), found.hour) == (True, True, None)
    assert rating.day_rating(TA, [NAN, *[50.0] * 15], settings={"area": "GI"}).rating_db == pytest.approx(50.0)
    assert math.isnan(rating.day_rating(TA, [NAN] * 16, settings=AREA).rating_db)


@pytest.mark.parametrize("wrong", [-0.1, 6.1, NAN, INF])
def test_a_supplement_that_the_text_does_not_know_gives_no_level(wrong: float) -> None:
    assert math.isnan(rating.loudest_hour(TA, [40.0], tonal_db=wrong).rating_db)
    assert np.isnan(rating.impact(BS, 45.0, 42.0, tonal_db=wrong).rating_db)


def test_without_a_deduction_the_rating_itself_is_compared() -> None:
    found = rating.loudest_hour(rated(TA, deduction=None), [40.0], surveillance=True)
    assert found.compared_db == found.rating_db == 40.0


@settings(max_examples=examples(200))
@given(DAY, st.booleans(), st.sampled_from(["WA", "WR", "spa"]))
def test_sensitive_hours_add_up_to_6_db(levels: list[float], rest_day: bool, area: str) -> None:
    plain = noise.energy_average(levels)
    found = rating.day_rating(TA, levels, settings={"area": area}, rest_day=rest_day)
    assert plain - 1e-9 <= found.rating_db <= plain + 6.0 + 1e-9
    for other in ("GI", "GE", "MU", "MI"):
        assert rating.day_rating(TA, levels, settings={"area": other}).rating_db == pytest.approx(plain)


@settings(max_examples=examples(100))
@given(DAY, st.integers(0, 15), st.floats(0.0, 20.0))
def test_a_louder_hour_never_lowers_the_day(levels: list[float], hour: int, more: float) -> None:
    louder = [level + more * (number == hour) for number, level in enumerate(levels)]
    quiet, loud = (rating.day_rating(TA, each, settings=AREA, rest_day=True).rating_db for each in (levels, louder))
    assert loud >= quiet - 1e-9


def test_which_hours_are_sensitive() -> None:
    clock = np.arange(24) * 3600
    on = [
        np.flatnonzero(rating.sensitive_supplement(TA, clock, settings=AREA, rest_day=rest)).tolist()
        for rest in (False, True)
    ]
    assert on == [[6, 20, 21], [6, 7, 8, 13, 14, 20, 21]]
    ends = rating.sensitive_supplement(TA, [21_599, 21_600, 25_199, 25_200, NAN], settings=AREA)
    assert ends.tolist() == [0.0, 6.0, 6.0, 0.0, 0.0]
    mixed = rating.sensitive_supplement(TA, [46_800, 46_800], settings=AREA, rest_day=[False, True])
    assert mixed.tolist() == [0.0, 6.0]


def test_a_day_that_begins_later_keeps_its_sensitive_hours_on_the_clock() -> None:
    levels = [-INF, -INF, *[50.0] * 14]
    early = rating.day_rating(TA, levels, settings=AREA)  # 06 to 22: 20-22 is within
    late = rating.day_rating(TA, levels, settings=AREA, hours=("07:00", "23:00"))
    assert early.rating_db == pytest.approx(late.rating_db)
    first = [50.0, *[-INF] * 15]
    sensitive = rating.day_rating(TA, first, settings=AREA).rating_db
    assert sensitive == pytest.approx(
        rating.day_rating(TA, first, settings=AREA, hours=("07:00", "23:00")).rating_db + 6
    )


def test_a_supplement_for_impulses_is_what_was_measured() -> None:
    found = rating.impulse_supplement([52.5, 47.9, NAN, INF], [48.0, 48.0, 48.0, INF])
    assert found == pytest.approx([4.5, 0.0, NAN, NAN], nan_ok=True)


# --- BS 4142 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("excess", "indication"),
    [(4.9, ""), (5.0, "adverse impact"), (9.9, "adverse impact"), (10.0, "significant adverse impact"), (-3.0, "")],
)
def test_what_a_difference_indicates(excess: float, indication: str) -> None:
    found = rating.impact(BS, 42.1 + excess, 42.1)
    assert float(found.excess_db) == pytest.approx(excess)
    assert found.indication == indication


def test_characters_add_to_the_specific_sound() -> None:
    assert float(rating.impact(BS, 40.0, 40.0).rating_db) == 40.0
    assert float(rating.impact(BS, 40.0, 40.0, tonal_db=6.0, impulsive_db=9.0).rating_db) == 55.0
    assert float(rating.impact(BS, 40.0, 40.0, intermittent=True, other=True).rating_db) == 46.0
    many = rating.impact(BS, [40.0, 45.0, NAN], 40.0, tonal_db=[2.0, 5.0, 0.0])
    assert many.excess_db == pytest.approx([2.0, 10.0, NAN], nan_ok=True)
    assert many.indication.tolist() == ["", "significant adverse impact", ""]
    assert rating.impact(rated(BS, indications=()), 60.0, 40.0).indication == ""


# --- day, evening, night -----------------------------------------------------------------------------


@settings(max_examples=examples(200))
@given(WHOLE)
def test_the_level_of_a_day_agrees_with_its_formula(levels: list[float]) -> None:
    found = rating.day_evening_night(END, levels)
    energies = 12 * 10 ** (found["day_db"] / 10) + 4 * 10 ** ((found["evening_db"] + 5) / 10)
    energies += 8 * 10 ** ((found["night_db"] + 10) / 10)
    assert found["composite_db"] == pytest.approx(10 * math.log10(energies / 24))
    chinese = rating.day_evening_night(GB, levels)
    energies = 16 * 10 ** (chinese["day_db"] / 10) + 8 * 10 ** ((chinese["night_db"] + 10) / 10)
    assert chinese["composite_db"] == pytest.approx(10 * math.log10(energies / 24))


def test_a_period_without_a_level_leaves_the_day_without_one() -> None:
    levels = [50.0] * 24
    levels[19:23] = [NAN] * 4
    found = rating.day_evening_night(END, levels)
    assert (found["day_db"], found["night_db"]) == (pytest.approx(50.0), pytest.approx(50.0))
    assert math.isnan(found["evening_db"])
    assert math.isnan(found["composite_db"])
    levels[19] = 50.0
    assert rating.day_evening_night(END, levels)["composite_db"] == pytest.approx(56.4, abs=0.02)


def test_an_evening_may_be_shorter() -> None:
    hours = {"evening": ("19:00", "21:00"), "night": ("21:00", "07:00")}
    assert rating.day_evening_night(END, [50.0] * 24, hours)["evening_db"] == pytest.approx(50.0)
    with pytest.raises(ValueError, match="each hour of the day once"):
        rating.day_evening_night(END, [50.0] * 24, {"evening": ("19:00", "21:00")})
    with pytest.raises(ValueError, match="each hour of the day once"):
        rating.day_evening_night(rated(END, periods=()), [50.0] * 24)


def test_the_level_of_a_day_is_made_of_many_days_at_once() -> None:
    parts = {"day": [50.0, 60.0, NAN], "evening": 50.0, "night": [50.0, 55.0, 50.0]}
    found = rating.composite(END, parts)
    assert found.tolist()[0] == pytest.approx(56.4, abs=0.02)
    second = rating.composite(END, {"day": 60.0, "evening": 50.0, "night": 55.0})
    assert found.tolist()[1] == pytest.approx(float(second))
    assert math.isnan(found[2])
    whole_night = rating.composite(GB, {"day": 60.0, "night": 50.0}, {"day": 0.0, "night": 24.0})
    assert float(whole_night) == pytest.approx(60.0)


def test_silence_has_no_level() -> None:
    parts = {"day": -INF, "evening": -INF, "night": -INF}
    assert float(rating.composite(END, parts)) == -INF
    assert float(rating.composite(END, {**parts, "day": 60.0})) == pytest.approx(60.0 - 10 * math.log10(2))


# --- whatever comes in -------------------------------------------------------------------------------


@settings(max_examples=examples(200))
@given(ANY, ANY, ANY, st.lists(ANY, min_size=24, max_size=24), st.booleans())
def test_no_number_makes_a_rating_fall(one: float, two: float, three: float, many: list[float], yes: bool) -> None:
    found = [
        rating.residual_correction(ISO, one, two),
        rating.impulse_supplement(one, two),
        rating.impact(BS, one, two, tonal_db=three, intermittent=yes),
        rating.loudest_hour(TA, many, tonal_db=one, impulsive_db=two, weather_db=three, surveillance=yes),
        rating.day_rating(
            TA, many[:16], settings=AREA, rest_day=yes, impulsive_db=one, weather_db=two, surveillance=yes
        ),
        rating.sensitive_supplement(TA, many, settings=AREA),
        rating.day_evening_night(END, many),
    ]
    assert len([one for one in found if one is not None]) == 7


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: rating.residual_correction(TA, 60.0, 50.0), "no .rating.residual"),
        (lambda: rating.residual_correction(PACKS["gb12348-2008"], 60.0, 50.0), "has no .rating"),
        (lambda: rating.loudest_hour(END, [40.0]), "no supplement 'tonal'"),
        (lambda: rating.day_rating(ISO, [40.0] * 16, settings={}), "no period 'day'"),
        (lambda: rating.day_rating(TA, [40.0] * 15, settings=AREA), "16 hourly levels are needed, not 15"),
        (lambda: rating.day_rating(TA, [40.0] * 16, settings={}), "None is none of GI"),
        (lambda: rating.day_rating(TA, [40.0] * 16, settings={"area": "XX"}), "'XX' is none of GI"),
        (lambda: rating.composite(TA, {}), "has the periods"),
        (lambda: rating.day_evening_night(END, [40.0] * 23), "24 hourly levels are needed"),
    ],
)
def test_a_mistake_of_the_caller_is_said(ask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask()


def test_the_examples_in_docstrings_are_true() -> None:
    found = doctest.testmod(rating)
    assert found.attempted > 0
    assert found.failed == 0

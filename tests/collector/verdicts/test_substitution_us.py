from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import rule_packs
from collector.verdicts import look_back_us
from collector.verdicts.look_back_us import look_back_of
from collector.verdicts.part75 import rounded_away
from collector.verdicts.substitution_us import Substituted, availability, choose_tier, substitute_hours
from collector.verdicts.us_rules import AvailabilityRule, SubstitutionRule, UsRules
from tests.effort import examples

NAN = float("nan")
POTENTIAL = 9999.0


def rules() -> UsRules:
    found = rule_packs()["40cfr75"].us
    assert found is not None
    return found


def available(**change: int) -> AvailabilityRule:
    found = rules().availability
    assert found is not None
    return replace(found, **change)


def short(parameter: str, lookback_hours: int = 6, ease: float = 1.0) -> SubstitutionRule:
    """The rule of a parameter with a look-back that a test can fill by hand, and tiers that it reaches."""
    rule = rules().substitution_of(parameter)
    tiers = tuple(
        replace(
            tier,
            availability_percent=tier.availability_percent * ease,
            gap_hours=tier.gap_hours if ease == 1.0 or tier.gap_hours is None else tier.gap_hours // 8,
        )
        for tier in rule.tiers
    )
    return replace(rule, lookback_hours=lookback_hours, tiers=tiers)


# --- by hand, hour for hour, as a person would read the rule ---------------------------------------------


def by_hand(
    value: list[float], good: list[bool], ran: list[bool], bins: list[int], rule: SubstitutionRule, av: AvailabilityRule
) -> list[tuple[float | None, str]]:
    measured = [g and r and math.isfinite(v) for v, g, r in zip(value, good, ran, strict=True)]
    return [hour_by_hand(n, value, measured, ran, bins, rule, av) if ran[n] else (None, "") for n in range(len(value))]


def hour_by_hand(
    n: int, value: list[float], measured: list[bool], ran: list[bool], bins: list[int], rule: SubstitutionRule,
    av: AvailabilityRule,
) -> tuple[float | None, str]:  # fmt: skip
    if measured[n]:
        return value[n], "01"
    worse, sign = (max, 1) if rule.toward == "high" else (min, -1)
    prior = [h for h in range(n) if measured[h]]
    later = [h for h in range(n, len(value)) if measured[h]]
    gap = [h for h in range(prior[-1] if prior else 0, later[0] if later else len(value)) if ran[h] and not measured[h]]
    neighbours = (
        float(rounded_away((value[prior[-1]] + value[later[0]]) / 2.0, rule.places)) if prior and later else None
    )
    seen = [h for h in prior[-rule.lookback_hours :] if h >= gap[0] - av.oldest_hours]
    mine = [value[h] for h in seen if not rule.by_load or bins[h] == bins[n]]
    if rule.by_load and bins[n] < 0:
        mine = []
    counted = [h for h in range(n + 1) if ran[h] and h > n - av.oldest_hours][-av.window_hours :]
    percent = 100.0 * sum(measured[h] for h in counted) / len(counted)
    initial = len(prior) < rule.lookback_hours and n < av.oldest_hours
    method, modc, rank, longest = rule.initial, rule.initial_modc, None, None
    if not initial:
        for tier in rule.tiers:
            if percent >= tier.availability_percent and len(gap) <= (tier.gap_hours or math.inf):
                method, modc, rank, longest = tier.method, tier.modc, tier.percentile, tier.gap_hours
                break
    if method == "potential":
        return POTENTIAL, rule.potential_modc
    if method != "neighbours" and not mine:
        higher = sorted(bins[h] for h in seen if rule.by_load and 0 <= bins[n] < bins[h])
        if initial or not higher:
            return POTENTIAL, rule.potential_modc
        return worse(value[h] for h in seen if bins[h] == higher[0]), rule.empty_modc
    if prior and not later and (longest is not None or method in ("neighbours", "percentile")):
        return None, ""
    if method == "neighbours":
        return (POTENTIAL, rule.potential_modc) if neighbours is None else (neighbours, modc)
    if method == "mean":
        return float(rounded_away(math.fsum(mine) / len(mine), rule.places)), modc
    if method == "extreme":
        return worse(mine), modc
    assert rank is not None
    place = math.ceil((rank if sign > 0 else 100 - rank) * len(mine) / 100) or 1
    found = sorted(mine)[place - 1]
    return (found if neighbours is None else worse(found, neighbours)), modc


VALUES = st.integers(0, 50).map(float)
HOUR = st.tuples(
    st.one_of(VALUES, VALUES, VALUES, st.sampled_from([NAN, math.inf])),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, True, True, True, False]),
    st.integers(-1, 3),
)


@settings(max_examples=examples(300, 5000))
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 150), st.sampled_from([0.02, 0.1, 0.3, 0.6]),
    st.sampled_from(["SO2", "O2", "NOx", "gas_flow"]), st.integers(1, 12), st.integers(1, 60), st.integers(1, 150),
    st.sampled_from([1.0, 0.75, 0.6, 0.4]),
)  # fmt: skip
def test_every_hour_is_what_a_person_would_read_from_the_rule(
    seed: int, hours: int, share: float, parameter: str, lookback: int, window: int, oldest: int, ease: float
) -> None:
    rng = np.random.default_rng(seed)
    value = np.where(
        rng.random(hours) < share / 4, rng.choice([NAN, math.inf], hours), rng.integers(0, 50, hours) * 1000.0
    )
    # Gaps come in runs: every hour with a start, and as many more as it says.
    good = ~np.convolve(rng.random(hours) < share / 4, np.ones(rng.integers(1, 8)))[:hours].astype(np.bool_)
    ran, bins = rng.random(hours) > 0.15, rng.integers(-1, 4, hours)
    value, good, ran, bins = value.tolist(), good.tolist(), ran.tolist(), bins.tolist()
    rule, av = short(parameter, lookback, ease), available(window_hours=window, oldest_hours=oldest)
    found = substitute_hours(value, good, ran, rule, av, potential=POTENTIAL, load_bin=bins)
    want = by_hand(value, good, ran, bins, rule, av)
    assert [(None if math.isnan(v) else v, str(m)) for v, m in zip(found.value, found.modc, strict=True)] == [
        (None if v is None else pytest.approx(v), m) for v, m in want
    ]
    assert np.array_equal(found.missing, np.array(ran) & (found.modc != "01"))


@settings(max_examples=examples(100))
@given(st.lists(HOUR, max_size=80), st.integers(1, 30), st.integers(1, 60))
def test_availability_is_counted_over_hours_of_operation(
    hours: list[tuple[float, bool, bool, int]], window: int, oldest: int
) -> None:
    good, ran = [hour[1] for hour in hours], [hour[2] for hour in hours]
    found = availability(good, ran, available(window_hours=window, oldest_hours=oldest))
    for n in range(len(hours)):
        counted = [h for h in range(n + 1) if ran[h] and h > n - oldest][-window:]
        if counted:
            assert found[n] == 100.0 * sum(good[h] for h in counted) / len(counted)
        else:
            assert math.isnan(found[n])


def test_availability_by_the_equations() -> None:
    good = np.ones(20_000, np.bool_)
    good[:438] = False
    found = availability(good, np.ones(20_000, np.bool_), available())
    assert found[437] == 0.0
    assert found[875] == 50.0  # equation 8: 438 of 876 since certification
    assert found[8759] == 95.0  # 8322 of 8760
    assert found[8760 + 437] == 100.0  # equation 9: the first hours have left the window


# --- single rules ------------------------------------------------------------------------------------------


def year(missing: slice, parameter: str = "SO2", hours: int = 8760) -> Substituted:
    value = np.arange(hours, dtype=np.float64)
    value[missing] = NAN
    good = np.isfinite(value)
    return substitute_hours(
        value, good, np.ones(hours, np.bool_), rules().substitution_of(parameter), available(), potential=POTENTIAL
    )


def test_a_gap_of_a_day_is_filled_by_its_neighbours() -> None:
    found = year(slice(5000, 5024))
    assert set(found.modc[5000:5024]) == {"06"}
    assert set(found.value[5000:5024]) == {5011.5}
    assert found.missing.sum() == 24
    assert not np.isnan(found.value).any()


def test_a_longer_gap_has_the_percentile_of_720_hours_before_it() -> None:
    found = year(slice(5000, 5025))
    assert set(found.modc[5000:5025]) == {"08"}
    assert set(found.value[5000:5025]) == {5012.0}  # the neighbours are worse than the 648th, 4927
    value = np.concatenate([np.arange(720.0) + 1.0, np.full(25, NAN), [10.0]])
    filled = substitute_hours(
        value, np.isfinite(value), np.ones(746), rules().substitution_of("SO2"), available(), potential=POTENTIAL
    )
    assert set(filled.value[720:745]) == {648.0}


def test_hours_in_which_the_unit_stood_still_neither_end_a_gap_nor_lengthen_it() -> None:
    hours = 2000
    value = np.full(hours, 100.0)
    ran = np.ones(hours, np.bool_)
    good = np.ones(hours, np.bool_)
    good[1000:1040] = False
    ran[1010:1026] = False  # 40 hours by the clock, 24 of operation
    found = substitute_hours(value, good, ran, rules().substitution_of("SO2"), available(), potential=POTENTIAL)
    assert set(found.modc[1000:1010]) | set(found.modc[1026:1040]) == {"06"}
    assert set(found.modc[1010:1026]) == {""}
    ran[1025] = True  # now 25
    found = substitute_hours(value, good, ran, rules().substitution_of("SO2"), available(), potential=POTENTIAL)
    assert set(found.modc[1000:1010]) == {"08"}


def test_a_gap_that_is_open_has_no_value_yet_unless_its_tier_needs_no_end() -> None:
    found = year(slice(8700, 8760))
    assert set(found.modc[8700:]) == {""}
    assert np.isnan(found.value[8700:]).all()
    found = year(slice(5000, 8760))
    # Below 90 % the end of the gap does not matter any more, and below 80 % nothing that was measured does.
    percent = found.availability_percent[5000:]
    assert set(found.modc[5000:][percent >= 90.0]) == {""}
    assert set(found.modc[5000:][(percent < 90.0) & (percent >= 80.0)]) == {"10"}
    assert set(found.modc[5000:][percent < 80.0]) == {"12"}


def test_before_anything_was_measured_the_potential_value_stands_in() -> None:
    found = year(slice(0, 10))
    assert set(found.modc[:10]) == {"12"}
    assert set(found.value[:10]) == {POTENTIAL}
    found = year(slice(0, 8760))
    assert set(found.modc) == {"12"}


def test_the_potential_value_may_change_by_the_hour() -> None:
    potential = np.arange(30.0) + 1000.0
    found = substitute_hours(
        np.full(30, NAN), np.zeros(30), np.ones(30), rules().substitution_of("SO2"), available(), potential=potential
    )
    assert found.value.tolist() == potential.tolist()


def test_values_in_load_bins_do_not_mix() -> None:
    rule = short("NOx", 8)
    value = np.array([10.0, 20.0, 30.0, 10.0, 20.0, 30.0, 10.0, 20.0, NAN, NAN, NAN, NAN, 5.0])
    bins = [0, 1, 2, 0, 1, 2, 0, 1, 1, 2, 3, NAN, 0]
    found = substitute_hours(
        value, np.isfinite(value), np.ones(13), rule, available(), potential=POTENTIAL, load_bin=bins
    )
    # 8 of 12 hours are under 80 %: with that aside, the tiers look at their own bin alone.
    assert set(found.modc[8:12]) == {"12", "10"}
    easy = replace(rule, tiers=tuple(replace(tier, availability_percent=0.0) for tier in rule.tiers[:1]))
    found = substitute_hours(
        value, np.isfinite(value), np.ones(13), easy, available(), potential=POTENTIAL, load_bin=bins
    )
    assert found.value[8:12].tolist() == [20.0, 30.0, POTENTIAL, POTENTIAL]
    assert found.modc[8:12].tolist() == ["11", "11", "12", "12"]


def test_an_empty_bin_has_the_worst_of_the_next_higher_one() -> None:
    rule = replace(
        short("NOx", 6),
        tiers=tuple(replace(t, availability_percent=0.0) for t in rules().substitution_of("NOx").tiers[:1]),
    )
    value = np.array([10.0, 12.0, 40.0, 41.0, 70.0, 71.0, NAN, NAN, 5.0])
    bins = [0, 0, 3, 3, 5, 5, 1, 4, 0]
    found = substitute_hours(
        value, np.isfinite(value), np.ones(9), rule, available(), potential=POTENTIAL, load_bin=bins
    )
    assert found.value[6:8].tolist() == [41.0, 71.0]
    assert found.modc[6:8].tolist() == ["10", "10"]


def test_without_bins_a_load_based_parameter_has_one() -> None:
    assert set(year(slice(5000, 5010), "NOx").modc[5000:5010]) == {"11"}
    assert year(slice(5000, 5010), "NOx").value[5000] == pytest.approx(np.arange(2840, 5000).mean())


def test_nothing_at_all_is_no_exception() -> None:
    found = substitute_hours([], [], [], rules().substitution_of("NOx"), available(), potential=1.0)
    assert (found.value.size, found.modc.size, found.availability_percent.size) == (0, 0, 0)
    found = substitute_hours([1.0], [True], [False], rules().substitution_of("NOx"), available(), potential=1.0)
    assert (found.modc.tolist(), np.isnan(found.availability_percent).all()) == ([""], True)


def test_rows_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    value, good, bins = rng.gamma(4.0, 50.0, 3000), rng.random(3000) > 0.2, rng.integers(0, 5, 3000)
    rule = short("NOx", 200)

    def filled() -> Substituted:
        return substitute_hours(value, good, np.ones(3000), rule, available(), potential=POTENTIAL, load_bin=bins)

    whole = filled()
    monkeypatch.setattr(look_back_us, "_CELLS", 1000)
    assert np.array_equal(filled().value, whole.value, equal_nan=True)


@pytest.mark.parametrize(
    ("percent", "gap", "tier"),
    [(95.0, 24, 0), (95.0, 25, 1), (94.9, 8, 2), (94.9, 9, 3), (89.9, 1, 4), (79.9, 1, 5), (0.0, 1, 5), (NAN, 1, -2)],
)
def test_tiers_by_availability_and_length(percent: float, gap: int, tier: int) -> None:
    assert int(choose_tier(rules().substitution_of("SO2"), percent, gap)) == tier


def test_a_list_of_hours_is_looked_back_at_from_its_end() -> None:
    rule = short("SO2", 3)
    found = look_back_of([100.0, NAN, 1.0, math.inf, 2.0, 3.0], rule, 90, next_bin=[4.0, NAN, 9.0])
    assert (found.count.tolist(), found.mean.tolist(), found.extreme.tolist()) == ([3], [2.0], [3.0])
    assert (found.ranked.tolist(), found.next_extreme.tolist()) == ([3.0], [9.0])
    nothing = look_back_of([], rule, 90)
    assert nothing.count.tolist() == [0]
    assert np.isnan([nothing.mean, nothing.extreme, nothing.ranked, nothing.next_extreme]).all()
    assert np.isnan(look_back_of([1.0], rule).ranked).all()


def test_codes_of_measured_hours_are_data() -> None:
    assert rules().measured_codes("gas_flow") == ("01", "02", "03", "04", "20")
    assert rules().measured_codes("SO2") == ("01", "02", "03", "04", "16", "17", "18", "19", "20", "21", "22")
    assert rules().measured_codes("phlogiston") == ()

"""Chance that is looked up: the same for the same name and number, spread as it says."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import chance
from tests.effort import examples

names = st.text(max_size=20)


@settings(max_examples=examples(30))
@given(name=names, start=st.integers(-(2**40), 2**40), order=st.permutations(range(8)))
def test_a_number_depends_on_name_and_counter_alone(name: str, start: int, order: list[int]) -> None:
    counter = np.arange(start, start + 8)
    straight = chance.uniform(chance.key(name), counter)
    mixed = chance.uniform(chance.key(name), counter[order])
    assert (straight[order] == mixed).all()
    assert ((straight >= 0.0) & (straight < 1.0)).all()


def test_uniform_numbers_are_spread_evenly() -> None:
    found = chance.uniform(chance.key("spread"), np.arange(100_000))
    counts, _ = np.histogram(found, bins=20, range=(0.0, 1.0))
    assert abs(counts / 5_000 - 1.0).max() < 0.06


def test_normal_numbers_have_mean_0_and_deviation_1() -> None:
    found = chance.normal(chance.key("spread"), np.arange(100_000))
    assert abs(found.mean()) < 0.02
    assert abs(found.std() - 1.0) < 0.02
    assert abs(found).max() <= 3.5
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.02


@settings(max_examples=examples(30))
@given(name=names, start_s=st.floats(0.0, 4e9), period_s=st.floats(1.0, 1e5))
def test_a_drift_is_bounded_and_smooth(name: str, start_s: float, period_s: float) -> None:
    time_s = start_s + np.arange(1000) * period_s / 100.0
    found = chance.drift(chance.key(name), time_s, period_s)
    assert abs(found).max() <= 1.0
    # The steepest smoothstep between -1 and 1 rises by 2 * 1.5 in a period.
    assert abs(np.diff(found)).max() <= 3.1 / 100.0


def test_names_do_not_share_their_chance() -> None:
    counter = np.arange(10_000)
    one, other = (chance.uniform(chance.key(name), counter) for name in ("one", "other"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05

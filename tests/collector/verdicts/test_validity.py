from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.validity import Validity, parts_valid, share_valid, short_term_valid
from tests.effort import examples


@settings(max_examples=examples(200))
@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_share_is_compared_without_rounding(valid: int, expected: int) -> None:
    for share in (Fraction(2, 3), Fraction(3, 4), Fraction(1)):
        exact = expected > 0 and Fraction(valid, max(expected, 1)) >= share
        assert bool(share_valid(valid, expected, share)) == exact
        assert bool(share_valid(valid, expected, float(share))) == exact


@pytest.mark.parametrize(("valid", "total", "good"), [(20, 30, True), (19, 30, False), (2, 3, True), (0, 0, False)])
def test_two_thirds_are_enough(valid: int, total: int, good: bool) -> None:
    assert bool(short_term_valid(valid, total)) is good


def test_many_windows_are_counted_at_once() -> None:
    assert parts_valid([44, 45, 60], 45).tolist() == [False, True, True]
    row = Validity(window="24h", part="1h", minimum=20, share=None, cite="", verified=True)
    assert row.enough([19, 20], [24, 23]).tolist() == [False, True]
    row = Validity(window="night", part="1m", minimum=None, share=0.75, cite="", verified=False)
    assert row.enough([359, 360, 315], [480, 480, 420]).tolist() == [False, True, True]

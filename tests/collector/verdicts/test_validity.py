from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.validity import Validity, parts_valid, ratio, share_valid, short_term_valid
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


PARTS = st.integers(0, 5000)
SHARES = st.one_of(st.floats(0.0, 1.0), st.fractions(0, 1, max_denominator=1000))


def rows(share: float | Fraction, minimum: int) -> list[Validity]:
    """A row of each kind."""
    common = {"window": "1h", "part": "1m", "cite": "", "verified": True}
    return [
        Validity(minimum=None, share=share, **common),  # type: ignore[arg-type]
        Validity(minimum=minimum, share=None, **common),  # type: ignore[arg-type]
    ]


@settings(max_examples=examples(200))
@given(PARTS, PARTS, PARTS, SHARES, PARTS)
def test_with_more_parts_a_window_stays_valid(
    one: int, other: int, expected: int, share: float | Fraction, minimum: int
) -> None:
    fewer, more = sorted((one, other))
    for row in rows(share, minimum):
        assert bool(row.enough(fewer, expected)) <= bool(row.enough(more, expected))


@settings(max_examples=examples(200))
@given(PARTS, PARTS, SHARES, SHARES)
def test_who_asks_for_more_has_fewer_valid(
    valid: int, expected: int, one: float | Fraction, other: float | Fraction
) -> None:
    loose, strict = sorted((one, other))
    assert bool(share_valid(valid, expected, strict)) <= bool(share_valid(valid, expected, loose))
    assert not share_valid(valid, 0, loose)


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(PARTS, PARTS), max_size=20), SHARES, PARTS)
def test_windows_do_not_know_of_each_other(
    windows: list[tuple[int, int]], share: float | Fraction, minimum: int
) -> None:
    there, expected = [valid for valid, _ in windows], [number for _, number in windows]
    for row in rows(share, minimum):
        assert row.enough(there, expected).tolist() == [bool(row.enough(*window)) for window in windows]


@settings(max_examples=examples(100))
@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_a_written_ratio_is_itself_or_none(part: int, whole: int) -> None:
    found = ratio(f" {part} / {whole}")
    assert found == (Fraction(part, whole) if whole and part <= whole else None)
    assert ratio(f"{part}.5/{whole}") is None

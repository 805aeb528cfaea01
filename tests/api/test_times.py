from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.times import format_time, format_times, parse_time
from tests.effort import examples

INSTANTS = st.integers(-(2**62), 2**62)


@settings(max_examples=examples(200))
@given(st.lists(INSTANTS, min_size=1, max_size=5))
def test_what_is_written_is_read_back(instants: list[int]) -> None:
    assert [parse_time(text) for text in format_times(np.array(instants, np.int64))] == instants


@settings(max_examples=examples(100))
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_offsets_name_the_same_instant(wall: datetime, minutes: int) -> None:
    wall = wall.replace(microsecond=0)
    offset = f"{'+' if minutes >= 0 else '-'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    utc = (wall - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    assert parse_time(f"{wall.isoformat()}{offset}") == parse_time(utc.isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-21T08:00:00+08:00", "2026-11-21T00:00:00Z"),
        ("2026-11-21T08:00:00 08:00", "2026-11-21T00:00:00Z"),  # a URL that lost its plus sign
        ("2026-11-21T00:00:00.250z", "2026-11-21T00:00:00.25Z"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert format_time(parse_time(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-21", "2026-11-21T08:00:00", "2026-13-01T00:00:00Z", "1600-01-01T00:00:00Z", "١٢"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|outside"):
        parse_time(text)

"""Windows tile local time, whatever the clock on the wall does."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.windows import FIXED_NS, HOUR_NS, KINDS, NIGHT, clock_seconds, local_date, windows
from gateway.measurement import SECOND_NS
from tests.effort import examples

ZONES = (
    "UTC", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "America/Havana",
    "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns", "Asia/Beirut",
)  # fmt: skip
instants = st.integers(1_500_000_000, 1_800_000_000).map(lambda s: s * SECOND_NS)
nights = st.sampled_from([NIGHT, ("23:00", "07:00"), ("00:00", "08:00"), ("21:30", "05:30")])


def ns(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND_NS


def wall(time_ns: int, zone: str) -> str:
    return datetime.fromtimestamp(time_ns // SECOND_NS, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@settings(max_examples=examples(150))
@given(
    kind=st.sampled_from(KINDS), zone=st.sampled_from(ZONES), start=instants, hours=st.integers(1, 200), night=nights
)
def test_windows_are_ordered_overlap_the_span_and_hold_their_pieces(kind, zone, start, hours, night) -> None:
    end = start + hours * HOUR_NS
    found = windows(kind, zone, start, end, night)
    assert (np.diff(found.from_ns) > 0).all()
    assert ((found.from_ns < end) & (found.to_ns > start)).all()
    assert (found.length_ns > 0).all()
    assert (found.length_ns <= found.to_ns - found.from_ns).all()
    assert (found.piece_from < found.piece_to).all()
    if kind != "30d":
        assert (found.from_ns[1:] >= found.to_ns[:-1]).all()
        inside = found.place(found.piece_from)
        assert (inside == found.piece_window).all()
        assert (found.place(found.piece_to - 1) == found.piece_window).all()
        assert (found.place(found.from_ns[:1] - 1) == -1).all()


@settings(max_examples=examples(100))
@given(kind=st.sampled_from([*FIXED_NS, "24h", "month", "year"]), zone=st.sampled_from(ZONES), start=instants)
def test_these_kinds_tile_all_time(kind, zone, start) -> None:
    found = windows(kind, zone, start, start + 80 * HOUR_NS)
    assert found.from_ns[0] <= start
    assert found.to_ns[-1] >= start + 80 * HOUR_NS
    assert (found.from_ns[1:] == found.to_ns[:-1]).all()


@settings(max_examples=examples(100))
@given(zone=st.sampled_from(ZONES), start=instants, night=nights)
def test_day_and_night_together_tile_all_time(zone, start, night) -> None:
    end = start + 80 * HOUR_NS
    day, dark = windows("day", zone, start, end, night), windows("night", zone, start, end, night)
    spans = sorted(zip([*day.from_ns, *dark.from_ns], [*day.to_ns, *dark.to_ns], strict=True))
    assert spans[0][0] <= start
    assert spans[-1][1] >= end
    assert all(a[1] == b[0] for a, b in pairwise(spans))


@settings(max_examples=examples(100))
@given(zone=st.sampled_from(ZONES), start=instants, night=nights)
def test_the_night_of_the_calendar_has_the_same_instants_as_the_night(zone, start, night) -> None:
    end = start + 60 * HOUR_NS
    times = np.arange(start, end, 7 * 60 * SECOND_NS)
    by_night = windows("night", zone, start, end, night).place(times) >= 0
    by_date = windows("calendar_night", zone, start, end, night)
    assert ((by_date.place(times) >= 0) == by_night).all()


@settings(max_examples=examples(100))
@given(kind=st.sampled_from(KINDS), zone=st.sampled_from(ZONES), start=instants, cut=st.integers(1, 100))
def test_a_window_does_not_depend_on_the_span_that_was_asked_for(kind, zone, start, cut) -> None:
    whole = windows(kind, zone, start, start + 101 * HOUR_NS)
    parts = [
        windows(kind, zone, start, start + cut * HOUR_NS),
        windows(kind, zone, start + cut * HOUR_NS, start + 101 * HOUR_NS),
    ]
    pairs = {(a, b) for part in parts for a, b in zip(part.from_ns, part.to_ns, strict=True)}
    assert sorted(pairs) == list(zip(whole.from_ns, whole.to_ns, strict=True))


@settings(max_examples=examples(50))
@given(kind=st.sampled_from(["1h", "night", "calendar_night"]), start=instants, data=st.data())
def test_some_windows_keep_their_pieces(kind, start, data) -> None:
    whole = windows(kind, "Asia/Shanghai", start, start + 90 * HOUR_NS)
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))), np.bool_)
    some = whole.take(rows)
    assert (some.from_ns == whole.from_ns[rows]).all()
    assert (some.length_ns == whole.length_ns[rows]).all()


@pytest.mark.parametrize(
    ("kind", "zone", "start", "expected"),
    [
        ("night", "Asia/Shanghai", "2026-11-20T22:00", [("2026-11-20 22:00", "2026-11-21 06:00", 8)]),
        ("calendar_night", "Asia/Shanghai", "2026-11-20T12:00", [("2026-11-20 00:00", "2026-11-21 00:00", 8)]),
        ("day", "Asia/Shanghai", "2026-11-20T12:00", [("2026-11-20 06:00", "2026-11-20 22:00", 16)]),
        ("24h", "Europe/Berlin", "2026-03-29T12:00", [("2026-03-29 00:00", "2026-03-30 00:00", 23)]),
        ("24h", "Europe/Berlin", "2026-10-25T12:00", [("2026-10-25 00:00", "2026-10-26 00:00", 25)]),
        ("night", "Europe/Berlin", "2026-10-24T23:00", [("2026-10-24 22:00", "2026-10-25 06:00", 9)]),
        ("1h", "Asia/Kolkata", "2026-01-01T00:10", [("2026-01-01 00:00", "2026-01-01 01:00", 1)]),
        ("24h", "America/Havana", "2024-03-10T12:00", [("2024-03-10 01:00", "2024-03-11 00:00", 23)]),
        ("month", "Asia/Shanghai", "2026-02-10T12:00", [("2026-02-01 00:00", "2026-03-01 00:00", 672)]),
    ],
)  # fmt: skip
def test_windows_by_the_clock_on_the_wall(kind, zone, start, expected) -> None:
    begin = ns(start, zone)
    found = windows(kind, zone, begin, begin + 60 * SECOND_NS if kind != "calendar_night" else begin + 12 * HOUR_NS)
    assert [
        (wall(a, zone), wall(b, zone), length // HOUR_NS)
        for a, b, length in zip(found.from_ns, found.to_ns, found.length_ns, strict=True)
    ] == expected


def test_a_day_without_night_hours_is_the_whole_date() -> None:
    found = windows("day", "Asia/Shanghai", ns("2026-11-20T10:00"), ns("2026-11-20T11:00"), None)
    assert found.length_ns.tolist() == [24 * HOUR_NS]
    assert not len(windows("night", "UTC", 0, HOUR_NS, None))
    assert not len(windows("1h", "UTC", HOUR_NS, HOUR_NS))


@settings(max_examples=examples(100))
@given(
    kind=st.sampled_from(["day", "night", "calendar_night"]), zone=st.sampled_from(ZONES), start=instants,
    hours=st.integers(1, 100), other=st.sampled_from(["06:00", "18:00", "22:30"]), ends=st.booleans(),
)  # fmt: skip
def test_midnight_is_the_end_of_a_date_or_the_start_of_the_next(kind, zone, start, hours, other, ends) -> None:
    """Law says "22:00 to 24:00" as well as "to 00:00"."""
    found = [
        windows(kind, zone, start, start + hours * HOUR_NS, (other, midnight) if ends else (midnight, other))
        for midnight in ("24:00", "00:00")
    ]
    for name in ("from_ns", "to_ns", "piece_from", "piece_to", "piece_window"):
        assert getattr(found[0], name).tolist() == getattr(found[1], name).tolist()


def test_a_night_ends_at_midnight() -> None:
    (begin,), (end,) = (
        getattr(windows("night", "Europe/Berlin", at, at + HOUR_NS, ("22:00", "24:00")), name).tolist()
        for at in [ns("2026-03-28T23:00", "Europe/Berlin")]
        for name in ("from_ns", "to_ns")
    )
    assert (wall(begin, "Europe/Berlin"), wall(end, "Europe/Berlin")) == ("2026-03-28 22:00", "2026-03-29 00:00")


def test_the_date_on_the_wall() -> None:
    assert local_date("Asia/Shanghai", ns("2026-11-20T17:00")).isoformat() == "2026-11-21"


@pytest.mark.parametrize("text", ["24:01", "6", "06:60", "-1:00", "06:00:60", "1:2:3:4"])
def test_what_is_no_clock_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        clock_seconds(text)

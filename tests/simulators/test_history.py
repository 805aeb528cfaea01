"""The past: complete, in order of time, and the same plant that the live line sees."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.measurement import SECOND_NS, Status
from simulators import plant
from simulators.history import CHUNK_NS, past, ticks, total
from tests.effort import examples
from tests.simulators.plants import small_site

START = 1_794_000_000 * SECOND_NS
SITE, SENSORS = small_site(5020)


@settings(max_examples=examples(50))
@given(start=st.integers(0, 10**12), length=st.integers(0, 10**11), interval_s=st.sampled_from([0.1, 1, 5, 60]))
def test_ticks_are_the_multiples_of_the_interval(start: int, length: int, interval_s: float) -> None:
    interval = round(interval_s * SECOND_NS)
    found = ticks(start, start + length, interval)
    assert len(found) == len(range(-(-start // interval) * interval, start + length, interval))
    assert (found % interval == 0).all()
    if len(found):
        assert start <= found[0] < start + interval
        assert found[-1] < start + length <= found[-1] + interval


@settings(max_examples=examples(10))
@given(offset=st.integers(0, 3600), seconds=st.integers(1, 5000))
def test_the_past_is_complete_and_ordered(offset: int, seconds: int) -> None:
    from_ns, to_ns = START + offset * SECOND_NS, START + (offset + seconds) * SECOND_NS
    parts = list(past(1, SITE, SENSORS, from_ns, to_ns))
    assert sum(len(columns) for _, columns in parts) == total(SENSORS, from_ns, to_ns)
    time_ns = np.concatenate([columns.time_ns for _, columns in parts])
    assert (np.diff(time_ns) >= 0).all()
    assert all((columns.time_ns < end).all() for end, columns in parts)
    assert parts[-1][0] == to_ns
    keys = {
        (time, columns.series[index])
        for _, columns in parts
        for time, index in zip(columns.time_ns.tolist(), columns.series_index.tolist(), strict=True)
    }
    assert len(keys) == len(time_ns)
    assert all((columns.status == Status.OK).all() for _, columns in parts)


def test_the_past_is_what_the_registers_can_say_of_the_plant() -> None:
    (end, columns), *_ = past(3, SITE, SENSORS, START, START + CHUNK_NS)
    assert end == START + CHUNK_NS
    series = next(n for n, s in enumerate(columns.series) if s.parameter == "LAeq")
    own = columns.take(columns.series_index == series)
    true = plant.values(3, plant.place(SITE, SENSORS[0].point), ("LAeq",), own.time_ns)[:, 0]
    assert abs(own.value - true).max() < 0.0501
    assert len(own) == CHUNK_NS // SECOND_NS

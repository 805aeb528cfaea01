"""Who says in which state a plant is: statuses, thresholds, a channel, marks; the stronger over the weaker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.limits import read_settings
from collector.verdicts.screening import Signal, signal
from collector.verdicts.state_sources import CHANNEL, channels, timeline
from collector.verdicts.states import ALWAYS, STATES, State
from collector.verdicts.windows import MINUTE_NS, windows
from gateway.measurement import SECOND_NS, Status
from tests.effort import examples

CODES = {"0": "stopped", "1": "start_up", "2": "operating"}


def channel(values: Any, parameter: str = CHANNEL, *, status: Any = 0, step_s: int = 60, start_s: int = 0) -> Signal:
    value = np.asarray(values, np.float64)
    return signal(
        parameter, "", time_ns=(start_s + step_s * np.arange(len(value), dtype=np.int64)) * SECOND_NS, value=value,
        status=np.broadcast_to(np.asarray(status, np.uint8), value.shape).copy(), interval_ns=step_s * SECOND_NS,
    )  # fmt: skip


def minutes(found: Any, count: int) -> list[str]:
    return [STATES[code] for code in found.at(np.arange(count, dtype=np.int64) * MINUTE_NS + 1).tolist()]


def states(*signals: Signal, said: tuple[State, ...] = (), **more: Any) -> Any:
    typed, faults = read_settings("stack", [], more)
    assert faults == []
    return timeline(typed, {one.parameter: one for one in signals}, said)


def test_nothing_says_nothing() -> None:
    assert states() is ALWAYS
    assert states(channel([0, 0])) is ALWAYS, "without a meaning of its numbers the channel says nothing"
    assert states(channel([1, 2], "flow")) is ALWAYS
    assert states(state_codes=CODES, operating_where="load > 10") is ALWAYS


def test_a_channel_codes_the_state() -> None:
    found = states(channel([0, 1, 2, 7, np.nan, np.inf, 0]), state_codes=CODES)
    assert minutes(found, 8) == ["stopped", "start_up", *["operating"] * 4, "stopped", "operating"]
    bad = channel([0, 0, 0], status=[Status.OK, Status.FAULT, Status.OK])
    assert minutes(states(bad, state_codes=CODES), 3) == ["stopped", "operating", "stopped"]
    assert states(channel([np.nan] * 3), state_codes=CODES) is ALWAYS


def test_of_several_values_in_a_minute_the_last_speaks_wherever_it_lies() -> None:
    fast = channel([2, 2, 2, 0, 0, 0, 0, 2], step_s=20, start_s=7)
    assert minutes(states(fast, state_codes=CODES), 3) == ["operating", "stopped", "operating"]
    late = channel([0, 0, 2], start_s=31)
    assert minutes(states(late, state_codes=CODES), 3) == ["stopped", "stopped", "operating"]


def test_slow_values_stand_for_their_interval() -> None:
    five = channel([0, 2], step_s=300, start_s=150)
    assert minutes(states(five, state_codes=CODES), 11) == ["stopped"] * 5 + ["operating"] * 6
    hourly = channel([0, 2, 0], step_s=3600, start_s=60)
    found = states(hourly, state_codes=CODES)
    assert (found.start_ns / MINUTE_NS).tolist() == [1, 61, 121, 181]


def test_a_threshold_tells_whether_the_plant_operates() -> None:
    flow = channel([20, 10, 10.5, 0, 9, 12], "flow", step_s=30)
    assert minutes(states(flow, operating_where="flow > 10"), 3) == ["operating", "stopped", "operating"]
    assert minutes(states(flow, operating_where="flow > 10.5"), 3) == ["operating", "stopped", "stopped"]
    assert states(channel([np.nan], "flow"), operating_where="flow > 1") is ALWAYS


def test_the_stronger_speaks_over_the_weaker() -> None:
    so2 = channel([1.0] * 8, "SO2", status=Status.STOPPED)
    load = channel([50, 50, 0, 0, 50, 50, np.nan, np.nan], "load")
    codes = channel([np.nan, 2, 2, 9, 1, 1, np.nan, np.nan])
    marked = (
        State(state="breakdown", from_ns=5 * MINUTE_NS, to_ns=8 * MINUTE_NS),
        State(state="operating", from_ns=7 * MINUTE_NS, to_ns=8 * MINUTE_NS),
    )
    found = states(so2, load, codes, said=marked, state_codes=CODES, operating_where="load > 10")
    assert minutes(found, 8) == [
        "operating", "operating", "operating", "stopped", "start_up", "breakdown", "breakdown", "operating",
    ]  # fmt: skip
    assert minutes(states(so2, load, operating_where="load > 10"), 8)[6:] == ["stopped", "stopped"]
    assert minutes(states(so2), 9) == ["stopped"] * 8 + ["operating"]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0, np.nan]), min_size=1, max_size=40), st.sampled_from([7, 60, 240]),
       st.integers(0, 400))  # fmt: skip
@settings(max_examples=examples(100))
def test_a_window_alone_has_the_states_it_has_among_others(values: list[float], step: int, start: int) -> None:
    """Whatever else is derived with it: what a channel says of a quarter of an hour lies within it."""
    whole = channel(values, step_s=step, start_s=start)
    quarters = windows("15m", "Asia/Kathmandu", 0, int(whole.time_ns[-1]) + 1)
    together = states(whole, state_codes=CODES).held(quarters, ("stopped",)).tolist()
    alone = []
    for number, (begin, end) in enumerate(zip(quarters.from_ns.tolist(), quarters.to_ns.tolist(), strict=True)):
        part = {CHANNEL: whole.within(begin, end)}
        found = timeline({"state_codes": CODES}, part, ()) if len(part[CHANNEL]) else ALWAYS
        alone.append(int(found.held(quarters, ("stopped",))[number]))
    assert alone == together


@pytest.mark.parametrize("value", ["", {}, "7", {"0": "asleep"}, {"x": "stopped"}, ["stopped"], 3, "0=asleep"])
def test_codes_that_mean_nothing_are_refused(value: Any) -> None:
    _, faults = read_settings("water", [], {"state_codes": value})
    assert [fault.path for fault in faults] == ["settings.state_codes"]


@pytest.mark.parametrize("value", ["", "load", "load < 3", "load > x", 7, "> 3", "load > 1e9999"])
def test_a_threshold_that_is_none_is_refused(value: Any) -> None:
    _, faults = read_settings("noise", [], {"operating_where": value})
    assert [fault.path for fault in faults] == ["settings.operating_where"]


def test_settings_may_be_texts_of_a_command_line() -> None:
    typed, faults = read_settings("stack", [], {
        "state_codes": '{ 0 = "stopped", 1.0: start_up }', "operating_where": " flow > -2.5e1 ",
        "other_states_max": "0.1",
    })  # fmt: skip
    assert faults == []
    assert typed["state_codes"] == {"0": "stopped", "1": "start_up"}
    assert (typed["operating_where"], typed["other_states_max"]) == ("flow > -2.5e1", 0.1)
    assert read_settings("stack", [], {})[0]["other_states_max"] == 0.0


def test_what_tells_the_state_is_known() -> None:
    assert channels({}) == set()
    assert channels({"state_codes": CODES, "operating_where": "load > 3"}) == {CHANNEL, "load"}

"""Weather: minutes of wind and rain are left out, counted as such, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.pack_file import parse_rules
from collector.verdicts.screening import RAIN, REASONS, WIND, Signal
from collector.verdicts.weather import Weather, excluded
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import MIDNIGHT, MINUTE_NS, PACKS, series
from tests.effort import examples

RULE = Weather(wind_from=5.0, rain_above=0.0, setting="weather_exclusion", cite="5.2.1", verified=False)
PACK = resources.files("collector.verdicts.rules")
ON = {"weather_exclusion": True}


def reasons(*signals: Signal, rule: Weather | None = RULE, settings: Any = ON) -> list[str]:
    """What becomes of each level."""
    found = excluded(rule, settings, {signal.parameter: signal for signal in signals})
    assert all(found[s.parameter] is s for s in signals if not s.unit.startswith("dB"))
    return [REASONS[code] for code in found["LAeq"].status]


def test_the_pack_says_what_weather_is_left_out() -> None:
    found = PACKS["gb12348-2008"].weather
    assert found is not None
    assert found.told() == {
        "wind_from_m_s": 5.0, "rain_above_mm_h": 0.0, "cite": found.cite, "verified": False,
    }  # fmt: skip
    assert "5.2.1" in found.cite


def test_a_minute_goes_by_its_mean_wind_and_by_any_rain() -> None:
    levels = series("LAeq", np.full(6, 60.0))
    wind = series("wind_speed", [4.9, 5.1, 4.9, 5.0, 9.0, 0.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0], step_s=30)
    assert reasons(levels, wind) == ["wind", "ok", "ok", "wind", "ok", "ok"]
    rain = series("rain", [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0], step_s=30)
    assert reasons(levels, wind, rain) == ["wind", "rain", "ok", "rain", "ok", "ok"]
    assert reasons(levels, series("rain_intensity", [0.0, 0.1, 0.0])) == ["ok", "rain", "ok", "ok", "ok", "ok"]


def test_values_of_longer_intervals_reach_over_their_minutes() -> None:
    levels = series("LAeq", np.full(20, 60.0))
    assert reasons(levels, series("wind_speed", [3.0, 8.0], step_s=600)) == ["ok"] * 10 + ["wind"] * 10
    hours = series("LAeq", np.full(2, 60.0), step_s=3600)
    assert reasons(hours, series("rain", [0.0] * 59 + [1.0])) == ["rain", "ok"]
    assert reasons(hours, series("rain", [0.0] * 60 + [1.0])) == ["ok", "rain"]


def test_a_level_of_a_minute_goes_with_the_minute_it_begins_in() -> None:
    """Also where its stamps lie a moment beside the minutes; one of 40 s, or of 90 s, goes with all that it touches."""
    rain = series("rain", [0.0, 0.0, 1.0, 0.0])
    early = MIDNIGHT + MINUTE_NS - 1_000_000
    assert reasons(series("LAeq", [60.0] * 3, start=early), rain) == ["ok", "ok", "rain"]
    assert reasons(series("LAeq", [60.0] * 6, step_s=40), rain) == ["ok", "ok", "ok", "rain", "rain", "ok"]
    assert reasons(series("LAeq", [60.0] * 3, step_s=90), rain) == ["ok", "rain", "ok"]


def test_what_is_bad_already_stays_so_and_bad_weather_values_say_nothing() -> None:
    levels = series("LAeq", [60.0, np.nan, 60.0], status=[Status.CALIBRATION, 0, 0])
    assert reasons(levels, series("wind_speed", [9.0, 9.0, 9.0])) == ["calibration", "no_comm", "wind"]
    assert reasons(levels, series("wind_speed", [9.0, 9.0, 9.0], status=Status.FAULT))[2] == "ok"


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (None, ON), (RULE, {}), (RULE, {"weather_exclusion": False}),
        (replace(RULE, wind_from=None, rain_above=None), ON),
    ],
)  # fmt: skip
def test_nothing_is_left_out_where_nobody_asks(rule: Weather | None, settings: Any) -> None:
    channels = series("wind_speed", [9.0]), series("rain", [1.0]), series("rain_intensity", [3.0])
    assert reasons(series("LAeq", [60.0]), *channels, rule=rule, settings=settings) == ["ok"]


def test_nothing_is_left_out_where_nobody_knows_the_weather() -> None:
    assert reasons(series("LAeq", [60.0])) == ["ok"]
    later = series("wind_speed", [9.0], start=MIDNIGHT + 10 * MINUTE_NS)
    assert reasons(series("LAeq", [60.0]), later) == ["ok"]


STEPS = st.sampled_from([7, 60, 90])
VALUES = st.floats(-10.0, 50.0) | st.just(float("nan"))


@effort(max_examples=examples(100))
@given(st.lists(VALUES, min_size=1, max_size=40), st.lists(VALUES, min_size=1, max_size=40), STEPS)
def test_only_levels_of_bad_minutes_go(winds: list[float], rains: list[float], step_s: int) -> None:
    levels = series("LAeq", np.full(60, 60.0), step_s=step_s)
    wind, rain = series("wind_speed", winds), series("rain", rains)
    found = excluded(RULE, ON, {"LAeq": levels, "wind_speed": wind, "rain": rain})["LAeq"]
    for time, status in zip(levels.time_ns.tolist(), found.status.tolist(), strict=True):
        first = (time - MIDNIGHT) // MINUTE_NS
        last = (time + step_s * 1_000_000_000 - 1 - MIDNIGHT) // MINUTE_NS
        wet = any(r > 0 for r in rains[first : last + 1])
        windy = any(w >= 5 for w in winds[first : last + 1])
        assert status == (RAIN if wet else WIND if windy else Status.OK)
    assert (found.value == levels.value).all()


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("wind_from = 5\nrain_above = 0\n", "", "weather"),
        ("wind_from = 5", "wind_from = -1", "weather.wind_from"),
        ('setting = "weather_exclusion"\ncite', 'setting = "night"\ncite', "weather.setting"),
        ("rain_above = 0", "rain_above = 0\nsnow = 1", "weather.snow"),
    ],
)
def test_a_pack_with_a_faulty_weather_is_refused(old: str, new: str, path: str) -> None:
    text = (PACK / "gb12348-2008.toml").read_text("utf-8")
    assert old in text
    _, faults = parse_rules(text.replace(old, new), "x.toml")
    assert path in [fault.path for fault in faults]

"""Evidence can be followed from the clause to the page of the manual."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from collector.verdicts.evidence import sensor_source
from collector.verdicts.judgement import derive
from collector.verdicts.listed import VALUES_MAX, rfc3339
from gateway import catalogue
from gateway.sensors import resolve
from tests.collector.verdicts.lines import RULES, site
from tests.collector.verdicts.test_averages import (
    DAY_NS,
    HOUR_NS,
    MIDNIGHT,
    MINUTE_NS,
    NOISE,
    WATER,
    conditions,
    law,
    series,
)


def proof_of_peaks(step_s: float) -> Mapping[str, Any]:
    start = MIDNIGHT + 23 * HOUR_NS
    n = round(60 / step_s)
    signals = {"LAFmax": series("LAFmax", np.full(n, 80.0), step_s=step_s, start=start)}
    wanted = {"1m": NOISE.windows("1m", start, start + MINUTE_NS)}
    return derive(NOISE, signals, wanted).exceedances[0].evidence


def test_few_values_are_listed_and_many_told_by_the_minute() -> None:
    few, many = proof_of_peaks(1)["measurements"], proof_of_peaks(0.25)["measurements"]
    assert (few["interval"], few["count"], len(few["items"])) == ("raw", 60, 60)
    assert few["items"][0] == ["2026-11-20T15:00:00Z", 80.0, "ok"]
    assert many["count"] == 240 > VALUES_MAX
    assert (many["interval"], many["items"]) == ("1m", [["2026-11-20T15:00:00Z", 80.0, None, True, {"ok": 240}]])


def test_it_is_plain_json() -> None:
    proof = proof_of_peaks(1)
    assert json.loads(json.dumps(proof, allow_nan=False)) == proof


def test_the_clause_says_what_was_compared() -> None:
    clause = proof_of_peaks(1)["clause"]
    assert (clause["pack"], clause["clause"], clause["statistic"]) == ("gb12348-2008", "night-peak", "maximum")
    assert (clause["compared"], clause["limit"], clause["standing"], clause["verified"]) == (
        80.0,
        65.0,
        "evidence",
        True,
    )
    assert "4.1.3" in clause["cite"]
    assert set(clause["title"]) == {"en", "zh"}
    assert proof_of_peaks(1)["settings"]["area_class"] == 2


def test_a_night_of_the_calendar_shows_its_own_minutes_only() -> None:
    rules = law("noise", {"area_class": 2}, "gb12348-2008")
    signals = {"LAeq": series("LAeq", np.full(1440, 60.0))}
    wanted = {"night": rules.windows("night", MIDNIGHT + 22 * HOUR_NS, MIDNIGHT + DAY_NS)}
    signals["LAeq"] = series("LAeq", np.full(1440, 60.0), start=MIDNIGHT + 12 * HOUR_NS)
    (found,) = derive(rules, signals, wanted).exceedances
    items = found.evidence["measurements"]["items"]
    assert (len(items), items[0][0], items[-1][0]) == (480, "2026-11-20T14:00:00Z", "2026-11-20T21:59:00Z")


def test_other_channels_that_went_in_are_named() -> None:
    rules = RULES[0]["mill", "stack"]
    signals = {s.parameter: s for s in (series("NOx", np.full(720, 30.0), step_s=5), *conditions(720))}
    (found,) = derive(rules, signals, {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}).exceedances
    assert {name: other["count"] for name, other in found.evidence["conditions"].items()} == {
        "O2": 720, "temperature": 720, "pressure": 720, "moisture": 720,
    }  # fmt: skip
    day = {"24h": WATER.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    water = {"COD": series("COD", np.full(1440, 90.0)), "flow": series("flow", np.full(1440, 9.0))}
    (cod,) = derive(WATER, water, day).exceedances
    assert list(cod.evidence["conditions"]) == ["flow"]


def test_an_instrument_is_told_down_to_register_and_manual() -> None:
    sensors, _ = resolve(site(), catalogue.profiles(), catalogue.parameters())
    told = {sensor.settings.id: sensor_source(sensor) for sensor in sensors}
    cems = told["cems"]
    assert cems["link"] == "tcp://127.0.0.1:5022?unit=1"
    assert cems["manual"]
    assert {register["parameter"] for register in cems["registers"]} == {"NOx", "O2"}
    for register in cems["registers"]:
        assert register["manual"]
        assert register["fc"] in (3, 4)
        assert set(register) == {"parameter", "fc", "address", "type", "order", "scale", "offset", "unit", "manual"}


def test_an_instrument_that_is_gone_from_the_site_is_named() -> None:
    assert proof_of_peaks(1)["sensors"] == [{"sensor": "", "parameters": ["LAFmax"]}]


@pytest.mark.parametrize(("time_ns", "text"), [(0, "1970-01-01T00:00:00Z"), (250_000_000, "1970-01-01T00:00:00.25Z")])
def test_times_are_rfc3339(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text

"""Polls of many sensors put together: the same values as if each were decoded alone, in the order of their ticks."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import harvest
from gateway.harvest import Harvest, Reading
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.profiles import Profile
from gateway.registers import decode, plan
from tests.effort import examples
from tests.gateway.instruments import profiles

SENSOR: Any = None  # a harvest never looks at it


def reading(profile: Profile, id: str) -> Reading:
    found = plan(profile)
    series = tuple(Series("p", "n", id, name, "") for name in found.parameters)
    return Reading(sensor=SENSOR, plan=found, interval_ns=SECOND_NS, series=series)


def rows(columns: Columns, id: str) -> list[tuple[int, str, float, int]]:
    """Of one sensor, in the order they stand."""
    return [
        (int(tick), columns.series[number].parameter, float(value), int(status))
        for number, tick, value, status in zip(
            columns.series_index, columns.time_ns, columns.value, columns.status, strict=True
        )
        if columns.series[number].sensor == id
    ]


@settings(max_examples=examples(40))
@given(st.lists(profiles(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_together_they_are_what_they_are_alone(kinds, seed):
    chance = random.Random(seed)
    words = np.random.default_rng(seed)
    asked = [reading(chance.choice(kinds), f"s{number}") for number in range(6)]
    together, alone = Harvest(asked), {number: [] for number in range(6)}
    for tick in range(1, 5):
        for number in range(6):
            match chance.choice(["answer", "late", "nothing", "fault", "away"]):
                case "nothing" | "fault" as how:
                    status = Status.NO_COMM if how == "nothing" else Status.FAULT
                    together.nothing(number, [tick], status)
                    alone[number] += [(tick, s.parameter, np.nan, status) for s in asked[number].series]
                case "answer" | "late" as how:
                    found = [words.integers(0, 65536, block.count, np.uint16) for block in asked[number].plan.blocks]
                    together.answer(number, tick, found, late=how == "late")
                    value, status = decode(asked[number].plan, [block[None, :] for block in found])
                    status[(status == Status.OK) & (how == "late")] = Status.STALE
                    alone[number] += [
                        (tick, s.parameter, *row)
                        for s, *row in zip(asked[number].series, value[0].tolist(), status[0].tolist(), strict=True)
                    ]
    asked_for = together.polls
    tables = together.gather()
    assert len(tables) == (1 if asked_for else 0)
    for start, columns in tables:
        assert start == 0
        assert (np.diff(columns.time_ns) >= 0).all()
        for number in range(6):
            np.testing.assert_equal(rows(columns, f"s{number}"), alone[number])
    assert together.gather() == []


@settings(max_examples=examples(5))
@given(profiles())
def test_more_series_than_a_table_can_number_go_into_several(kind):
    asked = [reading(kind, f"s{number}") for number in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harvest, "TABLE_MAX", 2 * len(asked[0].series) + 1 if len(asked[0].series) > 1 else 2)
        together = Harvest(asked)
        for number in range(5):
            together.nothing(number, [7])
        tables = together.gather()
    assert [len(columns.series) // len(asked[0].series) for _, columns in tables] == [2, 2, 1]
    told = [rows(columns, f"s{number}") for _, columns in tables for number in range(5)]
    assert len([found for found in told if found]) == 5
    assert [start for start, _ in tables] == [0, 2 * len(asked[0].series), 4 * len(asked[0].series)]


@settings(max_examples=examples(5))
@given(profiles())
def test_sensors_of_one_kind_share_a_plan(kind):
    changed = replace(kind, name="another")
    assert len(Harvest([reading(kind, "a"), reading(kind, "b"), reading(changed, "c")])._plans) == 2

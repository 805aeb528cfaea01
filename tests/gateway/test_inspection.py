"""Inspection: whose settings are read when, and what is recorded of them, on virtual time."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import inspection as module
from gateway.blocks import Block
from gateway.inspection import (
    EVERY_NS,
    RETRY_NS,
    SPREAD_NS,
    UNREAD_NS,
    Inspections,
    Note,
    Told,
    other_instrument,
    told_of,
    told_text,
)  # fmt: skip
from gateway.links.address import Link
from gateway.measurement import SECOND_NS, Series, UInt16
from gateway.plans import plan
from gateway.profiles import Profile
from gateway.readback import Change, item_words
from gateway.sensors import Sensor
from gateway.settings import Label, Point, SensorSettings
from tests.effort import examples
from tests.gateway.instruments import profile, register
from tests.gateway.test_readback import item

START_NS = 5 * SECOND_NS
ANALYSER = profile(
    [register()],
    settings=(
        item("span", 10, "float32", count=2, unit="mg/m3"), item("unit_id", 12, "uint16"),
        item("order", 20, "float32", count=2, constant=123456.0),
    ),
    identity=(item("serial_number", 40, "ascii", count=3),),
)  # fmt: skip
SAYS: dict[str, float | str | None] = {"span": 500.0, "unit_id": 1.0, "order": 123456.0, "serial_number": "AB12"}


def sensor(id: str, of: Profile = ANALYSER) -> Sensor:
    link = Link(kind="tcp", address="127.0.0.1", port=502, unit=1)
    given = SensorSettings(
        id=id, point="stack", link=link, profile=of.name, interval_s=1.0, parameters=(), gateway="g"
    )  # fmt: skip
    reading = plan(of)
    series = tuple(Series("p", "stack", id, name, "") for name in reading.parameters)
    point = Point(id="stack", kind="stack", name=Label("s", "s"), rules=(), settings={})
    return Sensor(settings=given, point=point, profile=of, plan=reading, series=series)


def words_at(block: Block, of: Profile, says: Mapping[str, float | str | None]) -> UInt16:
    words = np.zeros(block.count, np.uint16)
    for place, found in item_words(of, says).items():
        if block.holds(place):
            words[place.address - block.address : place.end - block.address] = found
    return words


class Plant:
    """Instruments that are asked whenever something is wanted; says: of each, what; refuses: addresses."""

    def __init__(self, n: int = 1, told: Told | None = None, of: Profile = ANALYSER) -> None:
        self.sensors = [sensor(f"cems-{number}", of) for number in range(n)]
        self.inspections = Inspections(self.sensors, START_NS, told or {})
        self.says = {one.settings.id: dict(SAYS) for one in self.sensors}
        self.refuses: set[int] = set()
        self.silent = False
        self.asked: list[tuple[int, str, Block]] = []
        self.now_ns, self.notes = START_NS, list[Note]()

    def run(self, seconds: float) -> list[Note]:
        """Let time pass; what was recorded meanwhile."""
        self.notes = []
        for _ in range(int(seconds)):
            while wanted := self.inspections.wanted([one.settings.id for one in self.sensors], self.now_ns):
                self._answer(wanted)
            self.now_ns += SECOND_NS
        return self.notes

    def _answer(self, wanted: module.Wanted) -> None:
        block, id = wanted.part.block, wanted.sensor.settings.id
        self.asked.append((self.now_ns, id, block))
        if self.silent:
            self.notes += self.inspections.failed(wanted, self.now_ns, "did not answer")
        elif any(block.address <= address < block.end for address in self.refuses):
            self.notes += self.inspections.refused(wanted, 2, self.now_ns)
        else:
            words = words_at(block, wanted.sensor.profile, self.says[id])
            self.notes += self.inspections.answered(wanted, words, self.now_ns)


def test_what_an_instrument_says_is_recorded_once_and_then_each_change() -> None:
    plant = Plant()
    ((what, text, detail),) = plant.run(10)
    assert what == "settings"
    assert text == 'cems-0 says of itself: span 500 mg/m3, unit_id 1, order 123456, serial_number "AB12"'
    assert detail == {**SAYS, "sensor": "cems-0", "profile": "invented"}
    assert plant.run(2 * 3600) == []
    plant.says["cems-0"] |= {"span": 250.0, "unit_id": 2.0}
    first, second = plant.run(3700)
    assert first[:2] == (
        "setting_changed", "span of cems-0 was 500 mg/m3 and is 250 mg/m3 (register 3:10)"
    )  # fmt: skip
    assert (second[2]["setting"], second[2]["before"], second[2]["after"]) == ("unit_id", 1.0, 2.0)
    assert plant.run(2 * 3600) == []


def test_a_change_while_no_gateway_ran_is_found_by_the_next_one() -> None:
    plant = Plant()
    plant.run(10)
    assert plant.inspections.changed
    kept = told_of(told_text(plant.inspections.remembered()))
    again = Plant(told=kept)
    assert again.run(10) == [], "what the journal has is not told again"
    assert not again.inspections.changed
    third = Plant(told=kept)
    third.says["cems-0"]["span"] = 400.0
    ((what, _, detail),) = third.run(10)
    assert (what, detail["before"], detail["after"]) == ("setting_changed", 500.0, 400.0)


def test_what_another_profile_said_is_no_change() -> None:
    plant = Plant(told={"cems-0 another": {"span": 1.0}})
    assert [what for what, _, _ in plant.run(10)] == ["settings"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 3}', '{"a b": {"x": [1], "y": true}}', "null"])
def test_a_record_that_cannot_be_read_was_never_told(text: str) -> None:
    assert not any(told_of(text).values())


def test_a_constant_that_is_something_else_is_told_once() -> None:
    plant = Plant()
    plant.says["cems-0"]["order"] = 654321.0
    first, second = plant.run(10)
    assert first[0] == "settings"
    assert second[0] == "contradiction"
    assert "always 123456" in second[1]
    assert plant.run(7200) == []


@settings(max_examples=examples(8))
@given(st.integers(1, 40))
def test_all_are_inspected_at_the_start_and_then_every_hour_spread_over_it(n: int) -> None:
    plant = Plant(n)
    plant.run(3 * 3600)
    for one in plant.sensors:
        starts = [at for at, id, block in plant.asked if id == one.settings.id and block.address == 10]
        assert starts[0] <= START_NS + SPREAD_NS
        pauses = np.diff(starts)
        assert (pauses <= EVERY_NS + SECOND_NS).all()
        assert (pauses[1:] >= EVERY_NS - SECOND_NS).all()
    per_minute = np.bincount([at // (60 * SECOND_NS) for at, _, block in plant.asked if block.address == 10])
    assert per_minute[2:].max() <= max(2, n / 20)


def test_what_is_refused_costs_the_others_nothing_is_told_once_and_asked_no_more() -> None:
    plant = Plant()
    plant.refuses = {12}
    notes = plant.run(10)
    assert [what for what, _, _ in notes] == ["configuration", "settings"]
    assert "unit_id of cems-0 cannot be read back" in notes[0][1]
    assert set(notes[1][2]) == {"span", "order", "serial_number", "sensor", "profile"}
    before = len(plant.asked)
    plant.run(3700)
    assert all(not block.touches(Block(3, 12, 1)) for _, _, block in plant.asked[before:])
    plant.refuses = {10, 11, 12, 20, 40}
    assert [what for what, _, _ in plant.run(7200)] == ["configuration"] * 3
    before = len(plant.asked)
    assert plant.run(7200) == []
    assert len(plant.asked) == before, "nothing is left to ask for"


def test_what_does_not_answer_is_asked_more_seldom_each_time_and_told_once() -> None:
    plant = Plant()
    plant.silent = True
    ((what, text, _),) = plant.run(3 * UNREAD_NS // SECOND_NS)
    assert what == "settings_unread"
    assert "have not been read back for 2 h: did not answer" in text
    pauses = np.diff([at for at, _, _ in plant.asked])
    assert pauses[0] >= RETRY_NS[0]
    assert pauses[-1] == RETRY_NS[1]
    plant.silent = False
    assert [what for what, _, _ in plant.run(3700)] == ["settings"]
    plant.silent = True
    assert [what for what, _, _ in plant.run(5 * 3600)] == ["settings_unread"]


def test_an_instrument_that_is_busy_is_asked_again() -> None:
    plant = Plant()
    wanted = plant.inspections.wanted(["cems-0"], START_NS)
    assert wanted
    assert plant.inspections.refused(wanted, 6, START_NS) == []
    assert plant.inspections.wanted(["cems-0"], START_NS + RETRY_NS[0] - 1) is None
    assert [what for what, _, _ in plant.run(120)] == ["settings"]


def test_many_settings_take_several_records() -> None:
    many = profile([register()], settings=tuple(item(f"s{n}", 10 + n, "uint16") for n in range(30)))
    plant = Plant(of=many)
    plant.says["cems-0"] = {f"s{n}": float(n) for n in range(30)}
    notes = plant.run(10)
    assert [len(detail) for _, _, detail in notes] == [16, 16, 4]
    assert all(len(detail) <= 16 for _, _, detail in notes), "more figures no collector takes"


def test_an_instrument_without_settings_is_left_alone() -> None:
    plant = Plant(of=profile([register()]))
    assert plant.run(7200) == []
    assert plant.asked == []


def test_another_configuration_goes_on_with_those_that_stay() -> None:
    plant = Plant(3)
    plant.run(100)
    kept = plant.sensors[0]
    after = Inspections([kept, replace(plant.sensors[1], profile=replace(ANALYSER, settings=()))],
                        plant.now_ns, plant.inspections.remembered())  # fmt: skip
    after.take_over(plant.inspections)
    assert after.wanted(["cems-0"], plant.now_ns + 60 * SECOND_NS) is None, "it was inspected a minute ago"
    assert after.wanted(["cems-1"], plant.now_ns + 60 * SECOND_NS), "another profile"
    assert after.told["cems-0 invented"]["span"] == 500.0
    assert after.changed is plant.inspections.changed


@pytest.mark.parametrize("kept", [False, True], ids=["nothing was known", "an earlier process told it"])
def test_a_sensor_that_was_away_for_two_configurations_comes_back_with_what_was_told_of_it(kept: bool) -> None:
    start = {"cems-0 invented": SAYS} if kept else {}
    plant = Plant(2, told=start)
    plant.says["cems-0"]["span"] = 400.0
    assert len(plant.run(100)) == 2
    plant.says["cems-0"]["span"] = 500.0
    for there in (plant.sensors[1:], plant.sensors):
        after = Inspections(there, plant.now_ns, start)
        after.take_over(plant.inspections)
        plant.sensors, plant.inspections = there, after
        assert after.remembered()["cems-0 invented"]["span"] == 400.0, "for the next process, too"
        told = plant.run(100)
    [(what, _, detail)] = told
    assert (what, detail["before"], detail["after"]) == ("setting_changed", 400.0, 500.0)


def test_another_instrument_than_the_site_file_names_is_told_once_and_again_after_a_change_of_the_file() -> None:
    plant = Plant()
    plant.sensors = [replace(one, settings=replace(one.settings, serial="AB11")) for one in plant.sensors]
    plant.inspections = before = Inspections(plant.sensors, START_NS, {})
    [told] = [note for note in plant.run(3 * 3600) if note[0] == "other_instrument"]
    assert (told[2]["before"], told[2]["after"]) == ("AB11", "AB12")
    plant.sensors = [replace(one, settings=replace(one.settings, serial="AB13")) for one in plant.sensors]
    plant.inspections = Inspections(plant.sensors, plant.now_ns, {})
    plant.inspections.take_over(before)
    assert [note[2]["before"] for note in plant.run(3 * 3600) if note[0] == "other_instrument"] == ["AB13"]


def test_a_serial_number_is_compared_as_people_write_it() -> None:
    assert other_instrument("", {"serial_number": "X"}) is None
    assert other_instrument("ab 12", {}) is None
    assert other_instrument("ab 12", {"serial_number": "AB12"}) is None
    assert other_instrument("AB12", {"serial_number": "AB13"}) == Change("serial_number", "AB12", "AB13")
    assert other_instrument("12", {"serial_number": 13.0}) == Change("serial_number", "12", 13.0)


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

"""Surveys: whatever an instrument has is found, with few requests, and never more than were allowed."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import survey as module
from gateway.blocks import Block
from gateway.survey import EVERYWHERE, REACH, Survey, everything, merged
from tests.effort import examples


class Device:
    """Registers that exist; the longest request it answers, and the functions it knows."""

    def __init__(self, held: dict[int, set[int]], longest: int = 125, knows: tuple[int, ...] = (1, 2, 3, 4)) -> None:
        self.held, self.longest, self.knows = held, longest, knows
        self.asked: set[Block] = set()

    def answer(self, survey: Survey) -> Survey:
        while (block := survey.next()) is not None:
            assert block.count <= 125 or block.bits
            assert block not in self.asked, "nothing is asked twice"
            self.asked.add(block)
            if block.fc not in self.knows:
                survey.refuse(block, 1)
            elif not block.bits and block.count > self.longest:
                survey.refuse(block, 3)
            elif all(address in self.held.get(block.fc, ()) for address in range(block.address, block.end)):
                survey.answered(block)
            else:
                survey.refuse(block, 2)
        return survey


def addresses(blocks: tuple[Block, ...] | list[Block]) -> set[tuple[int, int]]:
    return {(block.fc, address) for block in blocks for address in range(block.address, block.end)}


@settings(max_examples=examples(40))
@given(
    st.dictionaries(st.sampled_from((1, 2, 3, 4)), st.sets(st.integers(0, 140), max_size=60), max_size=4),
    st.sampled_from((1, 7, 60, 125)), st.integers(0, 100),
)  # fmt: skip
def test_every_address_of_a_named_range_is_settled(held: dict[int, set[int]], longest: int, start: int) -> None:
    device = Device(held, longest)
    found = device.answer(Survey([Block(fc, start, 40) for fc in (1, 2, 3, 4)], most=10_000))
    wanted = {(fc, address) for fc, there in held.items() for address in there if start <= address < start + 40}
    assert addresses(found.found) == wanted
    assert found.unknown == ()
    assert len(device.asked) == found.asked <= 4 * 2 * 40


@settings(max_examples=examples(20))
@given(st.dictionaries(st.sampled_from((1, 2, 3, 4)), st.sets(st.integers(0, 65535), max_size=80)), st.integers(1, 300))
def test_no_more_is_asked_than_allowed_and_nothing_is_found_that_is_not_there(
    held: dict[int, set[int]], most: int
) -> None:
    device = Device(held)
    found = device.answer(everything(most=most))
    assert len(device.asked) <= most
    assert addresses(found.found) <= {(fc, address) for fc, there in held.items() for address in there}


@pytest.mark.parametrize("count", [1, 2, 3, 10, 34, 100, 300])
@pytest.mark.parametrize("start", [0, 1, 100, 138, 256, 1000, 30001, 40001])
def test_a_usual_instrument_is_found_wherever_it_begins(start: int, count: int) -> None:
    device = Device({4: set(range(start, start + count))})
    found = device.answer(everything())
    assert merged(found.found) == tuple(merged([Block(4, start, count)]))


def test_a_block_between_the_usual_places_is_found_by_halving() -> None:
    found = Device({3: set(range(521, 560))}).answer(everything())
    assert merged(found.found) == (Block(3, 521, 39),)


def test_what_answers_everywhere_is_looked_at_near_zero_alone() -> None:
    device = Device({3: set(range(65536))}, knows=(3,))
    found = device.answer(everything())
    assert found.boundless == {3}
    assert merged(found.found) == (Block(3, 0, REACH),)
    assert sum(block.address >= REACH for block in device.asked) <= EVERYWHERE + 2 * EVERYWHERE
    assert sorted(found.functions) == [1, 2, 4]


def test_a_device_that_refuses_long_requests_is_asked_for_short_ones() -> None:
    found = Device({3: set(range(200))}, longest=10).answer(Survey([Block(3, 0, 200)]))
    assert found.longest <= 10
    assert merged(found.found) == (Block(3, 0, 200),)


def test_silence_is_a_refusal() -> None:
    survey = Survey([Block(3, 0, 2)])
    for block in (Block(3, 0, 2), Block(3, 0, 1)):
        assert survey.next() == block
        survey.refuse(block)
    last = survey.next()
    assert last == Block(3, 1, 1)
    survey.answered(last)
    assert (survey.next(), survey.found) == (None, [last])


def test_the_examples_in_the_module_are_right() -> None:
    assert doctest.testmod(module).failed == 0

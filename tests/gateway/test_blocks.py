"""Blocks: properties over invented spans - whole, within limits, cheapest - and the halving that finds the bad ones."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import blocks as module
from gateway.blocks import TCP, Block, Cost, Limits, Part, divide, halves, joined, link_cost, serial
from tests.effort import examples

COSTS = (TCP, serial(9600), serial(115200), Cost(1.0, 0.0), Cost(0.0, 1.0))


@st.composite
def spans(draw: st.DrawFn, most: int = 12) -> list[Block]:
    """Spans of values and words, side by side or apart, none over another."""
    found, address = [], {3: 0, 1: 0}
    for _ in range(draw(st.integers(1, most))):
        fc = draw(st.sampled_from((3, 3, 3, 1)))
        start = address[fc] + draw(st.sampled_from((0, 0, 1, 2, 5, 30, 200)))
        count = draw(st.sampled_from((1, 1, 2, 4))) if fc == 3 else 1
        address[fc] = start + count
        found.append(Block(fc, start, count))
    return draw(st.permutations(found))


@st.composite
def limits(draw: st.DrawFn, wanted: list[Block]) -> Limits:
    free = [Block(s.fc, s.end, 1) for s in wanted if not any(o.fc == s.fc and o.address == s.end for o in wanted)]
    holes = draw(st.lists(st.sampled_from(free), max_size=2)) if free else []
    return Limits(
        registers=draw(st.sampled_from((4, 10, 125))), bits=draw(st.sampled_from((8, 2000))),
        hole=draw(st.sampled_from((0, 2, 40, 125))), hole_bits=draw(st.sampled_from((0, 3, 300))), holes=tuple(holes),
    )  # fmt: skip


@settings(max_examples=examples(60))
@given(spans(), st.sampled_from(COSTS), st.data())
def test_every_span_is_whole_in_one_block_and_no_limit_is_broken(
    wanted: list[Block], cost: Cost, data: st.DataObject
) -> None:
    allowed = data.draw(limits(wanted))
    parts = divide(wanted, allowed, cost)
    assert sorted(span for part in parts for span in part.spans) == sorted(wanted)
    for block, held in ((part.block, part.spans) for part in parts):
        assert block.count <= (allowed.bits if block.bits else allowed.registers)
        assert all(block.holds(span) for span in held)
        assert (block.address, block.end) == (held[0].address, max(span.end for span in held))
        assert not any(block.touches(hole) for hole in allowed.holes)
        widest = allowed.hole_bits if block.bits else allowed.hole
        assert all(b.address - a.end <= widest for a, b in pairwise(held))


def cheapest(wanted: list[Block], allowed: Limits, cost: Cost) -> float:
    """By trying every division of the spans in order."""
    if not wanted:
        return 0.0
    found = []
    for first in range(1, len(wanted) + 1):
        held = wanted[:first]
        block = Block(held[0].fc, held[0].address, held[-1].end - held[0].address)
        widest, longest = (allowed.hole_bits, allowed.bits) if block.bits else (allowed.hole, allowed.registers)
        good = all(b.address - a.end <= widest for a, b in pairwise(held)) and block.count <= longest
        good &= held[-1].fc == held[0].fc and not any(block.touches(hole) for hole in allowed.holes)
        if good:
            found.append(cost.of(block) + cheapest(wanted[first:], allowed, cost))
    return min(found)


@settings(max_examples=examples(40))
@given(spans(most=7), st.sampled_from(COSTS), st.data())
def test_no_other_division_is_cheaper(wanted: list[Block], cost: Cost, data: st.DataObject) -> None:
    allowed = data.draw(limits(wanted))
    found = sum(cost.of(part.block) for part in divide(wanted, allowed, cost))
    assert found == pytest.approx(cheapest(sorted(wanted), allowed, cost))


@settings(max_examples=examples(40))
@given(st.integers(1, 60), st.data())
def test_halving_finds_exactly_the_bad_ones_with_few_requests(n: int, data: st.DataObject) -> None:
    wanted = [Block(3, 2 * number, 2) for number in range(n)]
    bad = set(data.draw(st.lists(st.sampled_from(wanted), max_size=5)))
    todo: list[Part] = list(divide(wanted, Limits(), TCP))
    asked, found, good = 0, set(), set()
    begun = len(todo)
    while todo:
        part = todo.pop()
        asked += 1
        if not bad & set(part.spans):
            good |= set(part.spans)
        elif rest := halves(part, Limits()):
            todo += rest
        else:
            found |= set(part.spans)
    assert found == bad
    assert good == set(wanted) - bad
    assert asked <= begun + 2 * len(bad) * math.ceil(math.log2(max(n, 2)))


def test_a_slow_line_reads_across_less_than_a_fast_one() -> None:
    wanted, allowed = [Block(3, 0, 2), Block(3, 40, 2)], Limits(hole=125)
    assert [part.block for part in divide(wanted, allowed, link_cost("tcp"))] == [Block(3, 0, 42)]
    assert len(divide(wanted, allowed, link_cost("rtu", 9600))) == 2
    assert len(divide(wanted, allowed, link_cost("rtu+tcp"))) == 2
    near = [Block(3, 0, 2), Block(3, 8, 2)]
    assert len(divide(near, allowed, link_cost("rtu", 9600))) == 1


def test_an_instrument_that_answers_certain_requests_only_is_asked_those() -> None:
    fixed = Limits(requests=(Block(4, 0, 20), Block(4, 20, 20), Block(4, 0, 60)))
    parts = divide([Block(4, 2, 2), Block(4, 8, 2), Block(4, 22, 2), Block(3, 7, 1)], fixed, TCP)
    assert [part.block for part in parts] == [Block(3, 7, 1), Block(4, 0, 60)]
    assert halves(parts[1], fixed) == ()
    assert [p.block for p in divide([Block(4, 2, 2), Block(4, 8, 2)], fixed, TCP)] == [Block(4, 0, 20)]


def test_parts_of_a_value_come_in_one_reply_where_that_is_allowed() -> None:
    apart = [Block(3, 0, 2), Block(3, 6, 2)]
    assert joined(apart, Limits(hole=4)) == (Block(3, 0, 8),)
    assert joined(apart, Limits(hole=3)) == tuple(apart)
    assert joined(apart, Limits(hole=4, holes=(Block(3, 3, 1),))) == tuple(apart)
    assert joined(apart, Limits(requests=(Block(3, 0, 10),))) == (Block(3, 0, 8),)


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

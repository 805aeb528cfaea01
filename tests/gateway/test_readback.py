"""Settings and identity: what an instrument says of itself, and whether that is another than before."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import readback as module
from gateway.blocks import Block
from gateway.profiles import Item
from gateway.readback import Change, changes, contradictions, item_blocks, item_words, read_items
from gateway.settings import Label
from gateway.words import ORDERS, TYPES
from tests.effort import examples
from tests.gateway.instruments import profile, register


def item(name: str, address: int, type: str, **changes: object) -> Item:
    given: dict[str, object] = {
        "name": name, "title": Label(name, name), "fc": 3, "address": address, "type": type, "count": 1,
        "order": "ABCD", "mask": 0, "scale": 1.0, "offset": 0.0, "unit": "", "manual": "page 9",
    }  # fmt: skip
    return Item(**{**given, **changes})  # type: ignore[arg-type]


METER = profile(
    [register()],
    settings=(item("span", 10, "float32", count=2, order="CDAB"), item("decimals", 12, "int16", scale=0.1)),
    identity=(item("serial_number", 40, "ascii", count=3), item("firmware", 13, "uint8", mask=0xFF00)),
)


def test_the_requests_bring_all_of_them() -> None:
    assert item_blocks(METER) == (Block(3, 10, 4), Block(3, 40, 3))
    assert item_blocks(profile([register()])) == ()


def test_words_say_how_it_is_set_and_which_one_it_is() -> None:
    answers = {
        Block(3, 10, 4): np.array([0, 0x43FA, 7, 0x2100], np.uint16),
        Block(3, 40, 3): np.array([0x4142, 0x3132, 0x2000], np.uint16),
    }
    assert read_items(METER, answers) == {
        "span": 500.0, "decimals": 0.7, "firmware": 33.0, "serial_number": "AB12"
    }  # fmt: skip


@pytest.mark.parametrize(("words", "span"), [([0, 0x7FC0, 0, 0], None), ([0, 0x7F80, 0, 0], None)])
def test_what_is_no_number_and_no_text_is_nothing(words: list[int], span: None) -> None:
    answers = {Block(3, 10, 4): np.array(words, np.uint16), Block(3, 40, 3): np.zeros(3, np.uint16)}
    found = read_items(METER, answers)
    assert found["span"] is span
    assert found["serial_number"] is None


@settings(max_examples=examples(60))
@given(st.sampled_from([*sorted(TYPES), "ascii"]), st.sampled_from(ORDERS), st.data())
def test_what_is_said_of_an_instrument_comes_back(type: str, order: str, data: st.DataObject) -> None:
    said: float | str
    if type == "ascii":
        said, count = data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)), 4
    else:
        low, high = max(TYPES[type].low, -9e5), min(TYPES[type].high, 9e5)
        said, count = float(data.draw(st.integers(int(low), int(high)))), TYPES[type].width
    meter = profile([register()], settings=(item("it", 20, type, count=count, order=order),))
    assert read_items(meter, item_words(meter, {"it": said})) == {"it": said}


def test_what_could_not_be_read_is_no_change() -> None:
    before = read_items(METER, {Block(3, 10, 4): np.array([0, 0x43FA, 7, 0], np.uint16)})
    assert "serial_number" not in before
    after = read_items(METER, {Block(3, 10, 4): np.array([0, 0x437A, 7, 0], np.uint16)})
    assert changes(before, after) == [Change("span", 500.0, 250.0)]
    assert changes(before, {}) == changes({}, after) == []


def test_a_constant_that_says_something_else_is_a_contradiction() -> None:
    meter = profile([register()], settings=(item("order", 0, "float32", count=2, constant=123456.0),))
    (right,) = (read_items(meter, {Block(3, 0, 2): np.array(w, np.uint16)}) for w in [[0x47F1, 0x2000]])
    (wrong,) = (read_items(meter, {Block(3, 0, 2): np.array(w, np.uint16)}) for w in [[0x2000, 0x47F1]])
    assert contradictions(meter, right) == contradictions(meter, {}) == []
    (change,) = contradictions(meter, wrong)
    assert (change.name, change.before) == ("order", 123456.0)


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0

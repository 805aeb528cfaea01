"""Words and numbers: every type in every order, there and back, and the orders as others name them."""

from __future__ import annotations

import doctest
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import words as module
from gateway.words import ORDERS, TYPES, nothing, pack, raw_number, unpack
from tests.effort import examples


def numbers(type: str) -> st.SearchStrategy[float]:
    kind = TYPES[type]
    if kind.whole:
        return st.integers(int(kind.low), int(kind.high)).map(float).filter(lambda v: kind.low <= v <= kind.high)
    return st.floats(width=32 if type == "float32" else 64, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("type", sorted(TYPES))
@pytest.mark.parametrize("swapped", [False, True])
def test_every_number_a_type_holds_comes_back(type: str, swapped: bool) -> None:
    @settings(max_examples=examples(50), deadline=None)
    @given(st.lists(numbers(type), min_size=1, max_size=5))
    def holds(values: list[float]) -> None:
        given = np.array([values])
        packed = pack(given, type, bytes_swapped=swapped)
        assert packed.dtype == np.uint16
        assert packed.shape == (1, len(values), TYPES[type].width)
        assert unpack(packed, type, bytes_swapped=swapped).tolist() == given.tolist()

    holds()


@pytest.mark.parametrize(
    ("type", "code"),
    [
        ("int16", "h"),
        ("uint16", "H"),
        ("int32", "i"),
        ("uint32", "I"),
        ("int64", "q"),
        ("float32", "f"),
        ("float64", "d"),
    ],
)
def test_words_are_those_of_the_c_library(type: str, code: str) -> None:
    for value in (0, 1, 1000, 12345):
        data = struct.pack(f">{code}", value)
        wanted = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        assert pack(np.array([[float(value)]]), type)[0, 0].tolist() == wanted


def test_digits_are_decimal_and_others_are_no_number() -> None:
    assert unpack(np.array([[[0x1234]]], np.uint16), "bcd16").tolist() == [[1234.0]]
    assert unpack(np.array([[[0x1234, 0x5678]]], np.uint16), "bcd32").tolist() == [[12345678.0]]
    assert math.isnan(unpack(np.array([[[0x12A4]]], np.uint16), "bcd16")[0, 0])


def test_a_signalling_nan_is_no_number_and_no_warning() -> None:
    assert math.isnan(unpack(np.array([[[0x7F80, 0x0001]]], np.uint16), "float32")[0, 0])


@pytest.mark.parametrize(
    ("value", "type", "raw"),
    [
        (0x8000, "int16", -32768.0),
        (0xFFFFFFFF, "int32", -1.0),
        (0x8000, "uint16", 32768.0),
        (-9999, "float32", -9999.0),
    ],
)
def test_a_bit_pattern_is_the_number_it_reads_as(value: int, type: str, raw: float) -> None:
    assert raw_number(value, type) == raw


def test_nothing_is_far_from_any_value() -> None:
    assert math.isnan(nothing("float32"))
    assert nothing("int16") == -32768
    assert nothing("uint16") == 65535
    assert nothing("bcd16") == 9999


@pytest.mark.shared
def test_word_orders_as_libmodbus_names_them(shared: Path) -> None:
    vectors = json.loads((shared / "cases/modbus/word_orders.json").read_text())["float_123456.0"]
    assert set(vectors) == set(ORDERS)
    for order, printed in vectors.items():
        words = np.array([[[int(word, 16) for word in printed]]], np.uint16)
        words = words[..., ::-1] if order in ("CDAB", "DCBA") else words
        assert unpack(words, "float32", bytes_swapped=order in ("BADC", "DCBA")).tolist() == [[123456.0]]


def test_docstring_examples() -> None:
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0

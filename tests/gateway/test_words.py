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
from gateway.words import ORDERS, TYPES, lowest_bit, nothing, numbers_held, pack, raw_number, text, unpack
from tests.effort import examples


def numbers(type: str) -> st.SearchStrategy[float]:
    kind = TYPES[type]
    if kind.whole:
        return st.integers(int(kind.low), int(kind.high)).map(float).filter(lambda v: kind.low <= v <= kind.high)
    return st.floats(width=32 if type == "float32" else 64, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("type", sorted(TYPES))
@pytest.mark.parametrize("swapped", [False, True])
def test_every_number_a_type_holds_comes_back(type: str, swapped: bool) -> None:
    @settings(max_examples=examples(50))
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


@pytest.mark.parametrize(
    ("type", "words", "number"),
    [
        ("bcd64", [0x0012, 0x3456, 0x7890, 0x1234], 12345678901234.0),
        ("bcd16_sign", [0x8123], -123.0),
        ("bcd16_sign", [0x7123], 7123.0),
        ("bcd32_sign", [0x8000, 0x0007], -7.0),
        ("bcd16_f", [0xF123], -123.0),
        ("bcd16_f", [0x9123], 9123.0),
        ("bcd32_f", [0xF000, 0x0042], -42.0),
        ("int16_sign", [0x8005], -5.0),
        ("int32_sign", [0x8000, 0x0005], -5.0),
        ("int8", [0x12FE], -2.0),
        ("uint8", [0x12FE], 254.0),
    ],
)
def test_signs_and_halves(type: str, words: list[int], number: float) -> None:
    assert unpack(np.array([[words]], np.uint16), type).tolist() == [[number]]


@pytest.mark.parametrize(("type", "word"), [("bcd16_sign", 0x8000), ("bcd16_f", 0xF000), ("int16_sign", 0x8000)])
def test_there_is_no_negative_zero(type: str, word: int) -> None:
    (zero,) = unpack(np.array([[[word]]], np.uint16), type)[0].tolist()
    assert math.copysign(1.0, zero) == 1.0


@settings(max_examples=examples(100))
@given(st.integers(0, 15), st.integers(1, 16), st.sampled_from(["int16", "uint16"]), st.booleans(), st.data())
def test_every_field_of_bits_comes_back_and_touches_no_other(
    shift: int, bits: int, type: str, swapped: bool, data: st.DataObject
) -> None:
    mask = ((1 << bits) - 1) << shift & 0xFFFF
    low, high = numbers_held(type, mask)
    number = float(data.draw(st.integers(int(low), int(high))))
    packed = pack(np.array([[number]]), type, bytes_swapped=swapped, mask=mask)
    kept = packed.byteswap() if swapped else packed
    assert not int(kept[0, 0, 0]) & ~mask
    assert lowest_bit(mask) == shift
    for others in (0, 0xFFFF & ~mask):
        word = kept | np.uint16(others)
        word = word.byteswap() if swapped else word
        assert unpack(word, type, bytes_swapped=swapped, mask=mask).tolist() == [[number]]


def test_text_ends_at_the_first_zero_and_has_no_strange_characters() -> None:
    def words(data: bytes) -> np.ndarray:
        return np.frombuffer(data, ">u2").astype(np.uint16)

    assert text(words(b"AB12  \0\0")) == "AB12"
    assert text(words(b"BA21"), bytes_swapped=True) == "AB12"
    assert text(words(b"\xff\x07OK")) == "??OK"
    assert text(words(b"\0\0XX")) == ""


def test_a_signalling_nan_is_no_number_and_no_warning() -> None:
    assert math.isnan(unpack(np.array([[[0x7F80, 0x0001]]], np.uint16), "float32")[0, 0])


@pytest.mark.parametrize(
    ("value", "type", "raw"),
    [
        (0x8000, "int16", -32768.0),
        (0xFFFFFFFF, "int32", -1.0),
        (0x8000, "uint16", 32768.0),
        (-9999, "float32", -9999.0),
        (0xFF, "int8", -1.0),
        (0xFF, "uint8", 255.0),
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

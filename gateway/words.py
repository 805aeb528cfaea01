"""Words: how numbers lie in 16-bit registers.

A value takes one, two or four registers. Makers disagree on the order of the words and of the bytes in a word;
the four orders are named by the bytes ABCD of a 32-bit value as they arrive: ABCD is big-endian
(Modbus's own), CDAB has the words swapped, BADC the bytes in each word, DCBA both. Longer values follow the
same two swaps, and a single word only the second.

Pure and by column: arrays of polls and registers in, arrays of numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from gateway.measurement import Float64, UInt16

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
_DIGIT_SHIFTS = np.array([12, 8, 4, 0], np.uint16)


class WordType(NamedTuple):
    """How a value lies in registers.

    width: registers it takes. dtype: numpy code without byte order, "" = decimal digits, four a word.
    low, high: numbers it can hold (64-bit whole numbers: as far as a float64 reaches).
    """

    width: int
    dtype: str
    low: float
    high: float

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return not self.dtype.startswith("f")


TYPES: Mapping[str, WordType] = MappingProxyType({
    "int16": WordType(1, "i2", -(2.0**15), 2.0**15 - 1),
    "uint16": WordType(1, "u2", 0.0, 2.0**16 - 1),
    "int32": WordType(2, "i4", -(2.0**31), 2.0**31 - 1),
    "uint32": WordType(2, "u4", 0.0, 2.0**32 - 1),
    "int64": WordType(4, "i8", -(2.0**63), math.nextafter(2.0**63, 0.0)),
    "uint64": WordType(4, "u8", 0.0, math.nextafter(2.0**64, 0.0)),
    "float32": WordType(2, "f4", -float(np.finfo(np.float32).max), float(np.finfo(np.float32).max)),
    "float64": WordType(4, "f8", -float(np.finfo(np.float64).max), float(np.finfo(np.float64).max)),
    "bcd16": WordType(1, "", 0.0, 9999.0),
    "bcd32": WordType(2, "", 0.0, 99999999.0),
})  # fmt: skip


def unpack(words: UInt16, type: str, *, bytes_swapped: bool = False) -> Float64:
    """Numbers in words, most significant word first: (n, m, width) -> (n, m), NaN where digits are none.

    >>> unpack(np.array([[[0x47F1, 0x2000]]], np.uint16), "float32")
    array([[123456.]])
    """
    kind = TYPES[type]
    words = words.byteswap() if bytes_swapped else words
    if kind.dtype:
        # A signalling NaN is a number some instruments send; turning it into a quiet one is no error here.
        with np.errstate(invalid="ignore"):
            numbers: Float64 = words.astype(">u2", order="C").view(f">{kind.dtype}")[..., 0].astype(np.float64)
        return numbers
    digits = (words[..., None] >> _DIGIT_SHIFTS & np.uint16(15)).reshape(*words.shape[:2], 4 * kind.width)
    decimal: Float64 = digits @ (10.0 ** np.arange(4 * kind.width - 1, -1, -1))
    decimal[(digits > 9).any(axis=2)] = np.nan
    return decimal


def pack(numbers: Float64, type: str, *, bytes_swapped: bool = False) -> UInt16:
    """The words of numbers that the type can hold, most significant first: (n, m) -> (n, m, width).

    >>> pack(np.array([[123456.0]]), "float32").tolist()
    [[[18417, 8192]]]
    """
    kind = TYPES[type]
    if kind.dtype:
        exact = numbers.astype(f">{kind.dtype}", order="C")[..., None]
        words = exact.view(">u2").astype(np.uint16)
    else:
        digits = numbers[..., None] // (10.0 ** np.arange(4 * kind.width - 1, -1, -1)) % 10
        words = digits.astype(np.uint16).reshape(*numbers.shape, kind.width, 4) << _DIGIT_SHIFTS
        words = words.sum(axis=3, dtype=np.uint16)
    return words.byteswap() if bytes_swapped else words


def raw_number(value: float, type: str) -> float:
    """A number as it compares with what `unpack` gives: 0x8000 in an int16 is -32768, -999.9 in a float32 its nearest.

    >>> raw_number(0x8000, "int16"), raw_number(-999.9, "float32")
    (-32768.0, -999.9000244140625)
    """
    kind = TYPES[type]
    if kind.dtype == "f4":
        return float(np.float32(value)) if abs(value) <= kind.high else value
    if kind.dtype.startswith("i") and isinstance(value, int) and kind.high < value < 2 ** (16 * kind.width):
        return float(value - 2 ** (16 * kind.width))
    return float(value)


def nothing(type: str) -> float:
    """The raw number that stands for no value where no other is agreed: NaN, or the far end of whole numbers."""
    kind = TYPES[type]
    if not kind.whole:
        return math.nan
    return kind.low if kind.low < 0 else kind.high

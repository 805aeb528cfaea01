"""Words: how numbers lie in 16-bit registers.

A value takes one, two or four registers. Makers disagree on the order of the words and of the bytes in a word;
the four orders are named by the bytes ABCD of a 32-bit value as they arrive: ABCD is big-endian
(Modbus's own), CDAB has the words swapped, BADC the bytes in each word, DCBA both. Longer values follow the
same two swaps, and a single word only the second. A value smaller than a word is the bits under a mask, counted
from the mask's lowest; text is two characters a word.

Pure and by column: arrays of polls and registers in, arrays of numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, UInt16

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
_DIGIT_SHIFTS = np.array([12, 8, 4, 0], np.uint16)


class WordType(NamedTuple):
    """How a value lies in registers.

    width: registers it takes. dtype: numpy code without byte order, "" = decimal digits, four a word.
    low, high: numbers it can hold (64-bit whole numbers: as far as a float64 reaches).
    sign: "" = as the dtype has it, "bit" = the highest bit is the sign and the rest the magnitude,
    "F" = digits, the first of which is F where the number is negative (EN 13757-3, type A).
    mask: the bits of the word that count where a register names no others.
    """

    width: int
    dtype: str
    low: float
    high: float
    sign: str = ""
    mask: int = 0xFFFF

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return not self.dtype.startswith("f")


TYPES: Mapping[str, WordType] = MappingProxyType({
    "int8": WordType(1, "i2", -(2.0**7), 2.0**7 - 1, mask=0x00FF),
    "uint8": WordType(1, "u2", 0.0, 2.0**8 - 1, mask=0x00FF),
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
    "bcd64": WordType(4, "", 0.0, math.nextafter(1e16, 0.0)),
    "bcd16_sign": WordType(1, "", -7999.0, 7999.0, sign="bit"),
    "bcd32_sign": WordType(2, "", -79999999.0, 79999999.0, sign="bit"),
    "bcd16_f": WordType(1, "", -999.0, 9999.0, sign="F"),
    "bcd32_f": WordType(2, "", -9999999.0, 99999999.0, sign="F"),
    "int16_sign": WordType(1, "u2", -(2.0**15) + 1, 2.0**15 - 1, sign="bit"),
    "int32_sign": WordType(2, "u4", -(2.0**31) + 1, 2.0**31 - 1, sign="bit"),
})  # fmt: skip

# Of the highest word: what says that a number is negative, under which mask.
_SIGNS = {"bit": (0x8000, 0x8000), "F": (0xF000, 0xF000)}


def unpack(words: UInt16, type: str, *, bytes_swapped: bool = False, mask: int = 0) -> Float64:
    """Numbers in words, most significant word first: (n, m, width) -> (n, m), NaN where digits are none.

    mask: of a single word, the bits the number is in; 0 = those of the type. A signed type has its sign in the
    highest of them.
    >>> unpack(np.array([[[0x47F1, 0x2000]]], np.uint16), "float32")
    array([[123456.]])
    >>> unpack(np.array([[[0xFE07]]], np.uint16), "int8", mask=0xFF00)
    array([[-2.]])
    """
    kind, mask = TYPES[type], mask or TYPES[type].mask
    words = words.byteswap() if bytes_swapped else words
    if kind.sign:
        return _signed(words, kind)
    if mask != 0xFFFF:
        return _masked(words[..., 0], kind, mask)
    return _plain(words, kind)


def _plain(words: UInt16, kind: WordType) -> Float64:
    if kind.dtype:
        # A signalling NaN is a number some instruments send; turning it into a quiet one is no error here.
        with np.errstate(invalid="ignore"):
            numbers: Float64 = words.astype(">u2", order="C").view(f">{kind.dtype}")[..., 0].astype(np.float64)
        return numbers
    digits = (words[..., None] >> _DIGIT_SHIFTS & np.uint16(15)).reshape(*words.shape[:2], 4 * kind.width)
    decimal: Float64 = (digits @ _places(kind)).astype(np.float64)
    decimal[(digits > 9).any(axis=2)] = np.nan
    return decimal


def _places(kind: WordType) -> npt.NDArray[np.int64]:
    """What each digit is worth."""
    return 10 ** np.arange(4 * kind.width - 1, -1, -1, dtype=np.int64)


def _signed(words: UInt16, kind: WordType) -> Float64:
    mark, mask = _SIGNS[kind.sign]
    negative = words[..., 0] & np.uint16(mask) == mark
    rest = words.copy()
    rest[..., 0][negative] &= np.uint16(~mask & 0xFFFF)
    magnitude = _plain(rest, kind)
    return np.where(negative, -magnitude, magnitude) + 0.0  # no negative zero


def _masked(words: UInt16, kind: WordType, mask: int) -> Float64:
    shift = lowest_bit(mask)
    numbers = ((words & np.uint16(mask)) >> np.uint16(shift)).astype(np.float64)
    if kind.dtype.startswith("i"):
        numbers[numbers >= (mask >> shift) // 2 + 1] -= (mask >> shift) + 1
    return numbers


def pack(numbers: Float64, type: str, *, bytes_swapped: bool = False, mask: int = 0) -> UInt16:
    """The words of numbers that the type can hold, most significant first: (n, m) -> (n, m, width).

    Bits outside the mask are 0.
    >>> pack(np.array([[123456.0]]), "float32").tolist()
    [[[18417, 8192]]]
    """
    kind, mask = TYPES[type], mask or TYPES[type].mask
    if kind.sign:
        words = _packed(np.abs(numbers), kind)
        words[..., 0][numbers < 0] |= np.uint16(_SIGNS[kind.sign][0])
    elif mask != 0xFFFF:
        shift = lowest_bit(mask)
        words = (numbers.astype(np.int64)[..., None] << shift & mask).astype(np.uint16)
    else:
        words = _packed(numbers, kind)
    return words.byteswap() if bytes_swapped else words


def _packed(numbers: Float64, kind: WordType) -> UInt16:
    if kind.dtype:
        exact = numbers.astype(f">{kind.dtype}", order="C")[..., None]
        words: UInt16 = exact.view(">u2").astype(np.uint16)
        return words
    digits = numbers.astype(np.int64)[..., None] // _places(kind) % 10
    spread = digits.astype(np.uint16).reshape(*numbers.shape, kind.width, 4) << _DIGIT_SHIFTS
    return np.asarray(spread.sum(axis=3, dtype=np.uint16))


def lowest_bit(mask: int) -> int:
    """The number of the lowest bit of a mask, counted from 0."""
    return (mask & -mask).bit_length() - 1


def numbers_held(type: str, mask: int = 0) -> tuple[float, float]:
    """The lowest and the highest number that a type holds, under a mask where one is given.

    >>> numbers_held("int16", 0x0FF0), numbers_held("uint16", 0x0007)
    ((-128.0, 127.0), (0.0, 7.0))
    """
    kind = TYPES[type]
    if mask in (0, kind.mask):
        return kind.low, kind.high
    most = mask >> lowest_bit(mask)
    return (-(most // 2 + 1.0), most // 2 + 0.0) if kind.dtype.startswith("i") else (0.0, float(most))


def raw_number(value: float, type: str, mask: int = 0) -> float:
    """A number as it compares with what `unpack` gives: 0x8000 in an int16 is -32768, -999.9 in a float32 its nearest.

    >>> raw_number(0x8000, "int16"), raw_number(-999.9, "float32")
    (-32768.0, -999.9000244140625)
    """
    kind, (_, high) = TYPES[type], numbers_held(type, mask)
    if kind.dtype == "f4":
        return float(np.float32(value)) if abs(value) <= kind.high else value
    patterns = 2 ** (16 * kind.width) if kind.width > 1 else 2 * (int(high) + 1)
    if kind.dtype.startswith("i") and isinstance(value, int) and high < value < patterns:
        return float(value - patterns)
    return float(value)


def nothing(type: str, mask: int = 0) -> float:
    """The raw number that stands for no value where no other is agreed: NaN, or the far end of whole numbers."""
    low, high = numbers_held(type, mask)
    if not TYPES[type].whole:
        return math.nan
    return low if low < 0 else high


def text(words: UInt16, *, bytes_swapped: bool = False) -> str:
    """The ASCII text in words, two characters a word, to the first zero; what is no character is a question mark.

    >>> text(np.array([0x5331, 0x3220, 0x0000], np.uint16))
    'S12'
    """
    data = (words.byteswap() if bytes_swapped else words).astype(">u2").tobytes().split(b"\0")[0]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in data).strip()


def text_words(characters: str, count: int, *, bytes_swapped: bool = False) -> UInt16:
    """The words of a text, filled up with zeros: the inverse of `text`. What does not fit is cut off.

    >>> [hex(word) for word in text_words("S12", 2)]
    ['0x5331', '0x3200']
    """
    data = characters.encode("ascii", "replace")[: 2 * count].ljust(2 * count, b"\0")
    words: UInt16 = np.frombuffer(data, ">u2").astype(np.uint16)
    return words.byteswap() if bytes_swapped else words

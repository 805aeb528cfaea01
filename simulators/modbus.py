"""An instrument's side of Modbus, TCP or RTU: a request in, a reply out.

Only reading exists here (functions 1 to 4), as in the instruments that matter and in the gateway.
What an instrument holds is a `Memory`; whoever asks beyond it gets the exception the standard names:
1 for a function that does not exist, 2 for an address, 3 for a quantity.
Source: MODBUS Application Protocol V1.1b3, sections 6.1 to 6.4 and 7; MODBUS Messaging on TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.links.frames import crc
from gateway.measurement import UInt16

HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), length of unit and PDU, unit
REQUEST = struct.Struct(">BHH")  # function, address, quantity
LENGTH_MAX = 254  # unit + the longest PDU, 253 bytes
WORDS_MAX, BITS_MAX = 125, 2000
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_QUANTITY = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Area:
    """The registers or bits of one function. held: which of them exist, shape as `word`."""

    start: int
    word: UInt16
    held: npt.NDArray[np.bool_]


Memory = Mapping[int, Area]


def memory(parts: Iterable[tuple[int, int, UInt16]]) -> dict[int, Area]:
    """What an instrument holds, from pieces (function, address, words); a bit is a word 0 or 1."""
    grouped: dict[int, list[tuple[int, UInt16]]] = {}
    for function, address, words in parts:
        grouped.setdefault(function, []).append((address, words))
    result = {}
    for function, pieces in grouped.items():
        start = min(address for address, _ in pieces)
        end = max(address + len(words) for address, words in pieces)
        area = Area(start, np.zeros(end - start, np.uint16), np.zeros(end - start, np.bool_))
        for address, words in pieces:
            area.word[address - start : address - start + len(words)] = words
            area.held[address - start : address - start + len(words)] = True
        result[function] = area
    return result


def answer(held: Memory, request: bytes) -> bytes:
    """The reply PDU to a request PDU.

    >>> answer(memory([(3, 10, np.array([7, 258], np.uint16))]), bytes.fromhex("03 000a 0002")).hex(" ")
    '03 04 00 07 01 02'
    """
    function = request[0] if request else 0
    if function not in (1, 2, 3, 4):
        return refusal(function, ILLEGAL_FUNCTION)
    if len(request) != REQUEST.size:
        return refusal(function, ILLEGAL_QUANTITY)
    _, address, quantity = REQUEST.unpack(request)
    bits = function in (1, 2)
    if not 1 <= quantity <= (BITS_MAX if bits else WORDS_MAX):
        return refusal(function, ILLEGAL_QUANTITY)
    area = held.get(function)
    if area is None or address < area.start or address + quantity > area.start + len(area.word):
        return refusal(function, ILLEGAL_ADDRESS)
    asked = slice(address - area.start, address - area.start + quantity)
    if not area.held[asked].all():
        return refusal(function, ILLEGAL_ADDRESS)
    words = area.word[asked]
    data = np.packbits(words != 0, bitorder="little").tobytes() if bits else words.astype(">u2").tobytes()
    return bytes((function, len(data))) + data


def refusal(function: int, code: int) -> bytes:
    """The PDU of an exception."""
    return bytes((function | 0x80, code))


def frame(transaction: int | None, unit: int, pdu: bytes) -> bytes:
    """A PDU with the header it travels under, or, without a transaction, in an RTU frame."""
    if transaction is None:
        return (body := bytes((unit,)) + pdu) + crc(body)
    return HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu

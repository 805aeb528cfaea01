"""What is asked on the wire, and what alone is the answer to it, byte by byte.

Two framings: Modbus TCP, a header with the transaction's number and the length; and RTU, a check sum
behind. Of a right answer everything but the data and the code of an exception is known before it
comes, so it is compared, not parsed: a byte that differs, a byte too many or a wrong check sum makes
the whole of it no answer. Function codes 1 to 4 are all that can be asked.

An echo of the request is no answer, although it can have the very shape of one: asking for 17 to 24
bits from an address 0x03xx, the first byte of the address is the byte count of the answer.

Source: MODBUS Application Protocol V1.1b3, 6.1 to 6.4 and 7; MODBUS Messaging on TCP/IP V1.0b, 3.1.3;
MODBUS over Serial Line V1.02, 2.5.1 and appendix B (CRC).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from gateway.links.link import BadAnswer, Refused
from gateway.measurement import UInt16
from gateway.registers import Block

FUNCTIONS = (1, 2, 3, 4)
BIT_FUNCTIONS = (1, 2)
SHOWN = 12  # bytes of a wrong answer that its error names
_MBAP = struct.Struct(">HHHB")  # transaction, protocol (0), length of unit and PDU, unit


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc(data: bytes) -> bytes:
    """The check sum of RTU, as it follows the data.

    >>> crc(bytes.fromhex("01 03 00 00 00 0a")).hex(" ")
    'c5 cd'
    """
    register = 0xFFFF
    for byte in data:
        register = register >> 8 ^ _CRC[(register ^ byte) & 0xFF]
    return register.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class _Form:
    """One form an answer may have. head: how it begins. size: bytes of the whole."""

    head: bytes
    size: int
    refusal: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A request and the forms of its answer. Made by `tcp_question` and `rtu_question`."""

    unit: int
    block: Block
    request: bytes
    checked: bool  # a check sum follows the data
    forms: tuple[_Form, ...]

    @property
    def longest(self) -> int:
        """Bytes that travel at most, to the unit and back."""
        return len(self.request) + max(form.size for form in self.forms)

    def answer(self, heard: bytes) -> UInt16 | None:
        """The words of the answer in all that was heard since the request; None = more may come.

        Raises Refused for an exception, BadAnswer as soon as what was heard cannot be the answer.
        """
        for form in self.forms:
            if heard[: len(form.head)] != form.head[: len(heard)]:
                continue
            if len(heard) < form.size:
                return None
            if len(heard) > form.size or heard == self.request or not self._sound(heard):
                break
            if form.refusal:
                if not heard[len(form.head)]:
                    break
                raise Refused(heard[len(form.head)])
            return self._words(heard, len(form.head))
        raise BadAnswer(self.wrong(heard), heard)

    def wrong(self, heard: bytes) -> str:
        """A sentence about what was heard instead of an answer."""
        block = self.block
        more = " .." if len(heard) > SHOWN else ""
        return (
            f"unit {self.unit} answered {heard[:SHOWN].hex(' ')}{more} ({len(heard)} bytes) "
            f"to function {block.fc}, {block.count} from {block.address}"
        )

    def _sound(self, frame: bytes) -> bool:
        return not self.checked or crc(frame[:-2]) == frame[-2:]

    def _words(self, frame: bytes, start: int) -> UInt16:
        if self.block.fc in BIT_FUNCTIONS:
            packed = np.frombuffer(frame, np.uint8, (self.block.count + 7) // 8, start)
            return np.unpackbits(packed, bitorder="little")[: self.block.count].astype(np.uint16)
        return np.frombuffer(frame, ">u2", self.block.count, start).astype(np.uint16)


def tcp_question(unit: int, block: Block, transaction: int, *, zero_ok: bool = False) -> Question:
    """A read over Modbus TCP. zero_ok: transaction 0 is taken for that of the request.

    >>> tcp_question(1, Block(3, 10, 2), 7).request.hex(" ")
    '00 07 00 00 00 06 01 03 00 0a 00 02'
    """
    pdu, size = _pdu(block), _size(block)
    refused = block.fc | 0x80
    forms = []
    for number in (transaction, 0) if zero_ok else (transaction,):
        forms.append(_Form(_MBAP.pack(number, 0, size + 3, unit) + bytes((block.fc, size)), size + 9, refusal=False))
        forms.append(_Form(_MBAP.pack(number, 0, 3, unit) + bytes((refused,)), 9, refusal=True))
    return Question(unit, block, _MBAP.pack(transaction, 0, 6, unit) + pdu, False, tuple(forms))


def rtu_question(unit: int, block: Block) -> Question:
    """A read in RTU frames, on a serial line or over TCP.

    >>> rtu_question(1, Block(3, 0, 10)).request.hex(" ")
    '01 03 00 00 00 0a c5 cd'
    """
    request, size = bytes((unit,)) + _pdu(block), _size(block)
    answer = _Form(bytes((unit, block.fc, size)), size + 5, refusal=False)
    refusal = _Form(bytes((unit, block.fc | 0x80)), 5, refusal=True)
    return Question(unit, block, request + crc(request), True, (answer, refusal))


def _pdu(block: Block) -> bytes:
    assert block.fc in FUNCTIONS, "reading is all that a link can do"
    assert 1 <= _size(block) <= 250, "one answer holds 125 registers or 2000 bits"
    return struct.pack(">BHH", block.fc, block.address, block.count)


def _size(block: Block) -> int:
    """Bytes of data in the answer."""
    return (block.count + 7) // 8 if block.fc in BIT_FUNCTIONS else 2 * block.count

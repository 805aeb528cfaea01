"""An instrument's side of Modbus TCP: what it answers, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import modbus
from tests.effort import examples

HELD = modbus.memory(
    [
        (3, 100, np.array([1, 2, 65535], np.uint16)),
        (3, 110, np.array([9], np.uint16)),
        (4, 0, np.array([258], np.uint16)),
        (2, 8, np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], np.uint16)),
    ]
)


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("03 0064 0003", "03 06 0001 0002 ffff"),
        ("03 0065 0001", "03 02 0002"),
        ("04 0000 0001", "04 02 0102"),
        ("02 0008 0009", "02 02 0d 01"),
        ("02 000a 0001", "02 01 01"),
        ("03 0064 0004", "83 02"),  # runs into a hole
        ("03 0066 0009", "83 02"),  # spans one
        ("03 006e 0001", "03 02 0009"),
        ("03 0000 0001", "83 02"),
        ("04 0064 0001", "84 02"),
        ("01 0000 0001", "81 02"),  # the function exists, nothing is there
        ("03 0064 0000", "83 03"),
        ("03 0064 007e", "83 03"),
        ("02 0008 07d1", "82 03"),
        ("03 0064", "83 03"),
        ("06 0064 0001", "86 01"),
        ("10 0064 0001 02 0000", "90 01"),
        ("2b 0e 01 00", "ab 01"),
    ],
)
def test_requests_are_answered_as_the_standard_says(request_hex: str, reply_hex: str) -> None:
    assert modbus.answer(HELD, bytes.fromhex(request_hex)) == bytes.fromhex(reply_hex)


@settings(max_examples=examples(200))
@given(st.binary(min_size=1, max_size=260))
def test_every_request_gets_a_reply_that_fits_a_frame(request: bytes) -> None:
    reply = modbus.answer(HELD, request)
    assert 2 <= len(reply) <= 253
    assert reply[0] & 0x7F == request[0] & 0x7F


def test_a_frame_names_transaction_unit_and_length() -> None:
    assert modbus.frame(0x1234, 7, b"\x83\x02").hex(" ") == "12 34 00 00 00 03 07 83 02"

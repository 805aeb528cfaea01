"""Frames: our requests are those of pymodbus, and of all replies only the right one is an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gateway.links.frames import Question, crc, rtu_question, tcp_question
from gateway.links.link import BadAnswer, Refused
from gateway.registers import Block
from tests.effort import examples

REQUESTS = {
    1: ReadCoilsRequest, 2: ReadDiscreteInputsRequest, 3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest,
}  # fmt: skip
blocks = st.one_of(
    st.builds(Block, st.sampled_from((1, 2)), st.integers(0, 63000), st.integers(1, 2000)),
    st.builds(Block, st.sampled_from((3, 4)), st.integers(0, 65000), st.integers(1, 125)),
)
units, numbers = st.integers(1, 247), st.integers(1, 0xFFFF)


def right(question: Question, data: bytes) -> bytes:
    """The answer to a question, put together anew."""
    pdu = bytes((question.unit, question.block.fc, len(data))) + data
    return pdu + crc(pdu) if question.checked else question.request[:2] + b"\0\0" + len(pdu).to_bytes(2) + pdu


@st.composite
def asked(draw: st.DrawFn) -> tuple[Question, bytes, bytes]:
    """A question, the data of its answer, and the answer."""
    block, unit = draw(blocks), draw(units)
    size = (block.count + 7) // 8 if block.fc < 3 else 2 * block.count
    data = draw(st.binary(min_size=size, max_size=size))
    question = draw(st.sampled_from((rtu_question(unit, block), tcp_question(unit, block, draw(numbers)))))
    return question, data, right(question, data)


@settings(max_examples=examples(100))
@given(blocks, units, numbers)
def test_requests_are_those_of_pymodbus(block: Block, unit: int, number: int) -> None:
    request = REQUESTS[block.fc](address=block.address, count=block.count, dev_id=unit, transaction_id=number)
    assert tcp_question(unit, block, number).request == FramerSocket(DecodePDU(False)).buildFrame(request)
    assert rtu_question(unit, block).request == FramerRTU(DecodePDU(False)).buildFrame(request)


@settings(max_examples=examples(100, 2000))
@given(asked())
def test_the_right_reply_is_the_answer_and_not_before_its_last_byte(case: tuple[Question, bytes, bytes]) -> None:
    question, data, frame = case
    for end in {0, 1, 3, len(frame) // 2, len(frame) - 1}:
        assert question.answer(frame[:end]) is None
    words = question.answer(frame)
    assert words is not None
    if question.block.fc < 3:
        assert words.tolist() == [data[i // 8] >> i % 8 & 1 for i in range(question.block.count)]
    else:
        assert words.tobytes() == np.frombuffer(data, ">u2").astype(np.uint16).tobytes()
    with pytest.raises(BadAnswer):
        question.answer(frame + b"\0")


@settings(max_examples=examples(100, 3000))
@given(asked(), st.data())
def test_a_reply_with_any_other_head_is_none(case: tuple[Question, bytes, bytes], data: st.DataObject) -> None:
    question, _, frame = case
    wrong = bytearray(frame)
    place = data.draw(st.integers(0, 2 if question.checked else 8))
    wrong[place] ^= data.draw(st.integers(1, 255))
    try:
        assert question.answer(bytes(wrong)) is None, "at most more of it is waited for"
    except BadAnswer:
        return


@settings(max_examples=examples(100, 3000))
@given(asked(), st.data())
def test_any_one_burst_of_sixteen_bits_is_seen_in_rtu(case: tuple[Question, bytes, bytes], data: st.DataObject) -> None:
    question, _, frame = case
    if not question.checked:
        return
    burst = data.draw(st.integers(1, 0xFFFF)) << data.draw(st.integers(0, 8 * len(frame) - 16))
    wrong = (int.from_bytes(frame, "little") ^ burst).to_bytes(len(frame), "little")
    try:
        assert question.answer(wrong) is None
    except BadAnswer:
        return


@settings(max_examples=examples(50))
@given(asked(), st.integers(1, 255))
def test_an_exception_is_told_by_its_code(case: tuple[Question, bytes, bytes], code: int) -> None:
    question = case[0]
    pdu = bytes((question.unit, question.block.fc | 0x80, code))
    frame = pdu + crc(pdu) if question.checked else question.request[:4] + b"\0\3" + pdu
    assert question.answer(frame[:-1]) is None
    with pytest.raises(Refused) as caught:
        question.answer(frame)
    assert caught.value.code == code


@settings(max_examples=examples(100, 2000))
@given(blocks, units, numbers)
def test_the_echo_of_a_request_is_never_its_answer(block: Block, unit: int, number: int) -> None:
    trap = Block(block.fc % 2 + 1, 0x0300 | block.address & 0xFF, 17 + block.count % 8)
    for one in (block, trap):
        for question in (rtu_question(unit, one), tcp_question(unit, one, number)):
            try:  # it may be how a longer answer begins
                assert question.answer(question.request) is None
            except BadAnswer:
                continue
            assert question.longest > 2 * len(question.request)


def test_an_echo_as_long_as_the_answer_is_refused_and_one_that_begins_a_longer_one_waits() -> None:
    same, longer = rtu_question(1, Block(1, 0x0301, 17)), rtu_question(1, Block(1, 0x07F9, 50))
    with pytest.raises(BadAnswer):
        same.answer(same.request)
    assert longer.answer(longer.request) is None
    with pytest.raises(BadAnswer):
        longer.answer(longer.request + right(longer, bytes(7)))


def test_the_check_sum_of_the_standard() -> None:
    assert crc(bytes.fromhex("02 07")) == bytes.fromhex("41 12")  # MODBUS over Serial Line V1.02, 6.2.2

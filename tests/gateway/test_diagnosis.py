"""Diagnoses: every wrong frame, exception and silence has a name and a hint."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import diagnosis
from gateway.blocks import Block
from gateway.diagnosis import EXCEPTIONS, Tally, exception, frame_bytes, hung_up, no_answer, no_link, wrong_answer
from gateway.links.frames import rtu_question, tcp_question
from simulators.modbus import frame
from tests.effort import examples

BLOCK = Block(3, 10, 2)
GOOD = bytes((3, 4, 0, 7, 1, 2))


def wrong(kind: str, heard: bytes) -> str:
    return wrong_answer(kind, 7, BLOCK, heard).kind


@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        (frame(0, 7, GOOD), "transaction 0"),
        (frame(9, 7, GOOD), "transaction"),
        (frame(5, 8, GOOD), "unit"),
        (frame(5, 7, bytes((4,)) + GOOD[1:]), "function"),
        (frame(5, 7, bytes((3, 2, 0, 7))), "length"),
        (frame(5, 7, bytes((3, 6, 0, 7, 1, 2, 0, 0))), "length"),
        (frame(5, 7, bytes((3, 0, 10, 0, 2))), "echo"),
        (frame(None, 7, GOOD), "framing"),
        (b"HTTP/1.1 400 Bad Request\r\n", "garbage"),
        (b"", "garbage"),
    ],
)
def test_wrong_answers_over_tcp_are_named(heard: bytes, kind: str) -> None:
    assert wrong("tcp", heard) == kind


@pytest.mark.parametrize("over", ["rtu", "rtu+tcp"])
@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        (rtu_question(7, BLOCK).request + frame(None, 7, GOOD), "echo"),
        (frame(None, 8, GOOD), "unit"),
        (frame(None, 7, bytes((4,)) + GOOD[1:]), "function"),
        (frame(None, 7, bytes((3, 2, 0, 7))), "length"),
        (frame(None, 7, GOOD)[:-1] + b"\x00", "check sum"),
        (frame(1, 7, GOOD), "framing"),
        (b"\x00\xff\x00\x00", "speed"),
        (b"\x55\x12\x99", "garbage"),
    ],
)
def test_wrong_answers_in_rtu_frames_are_named(over: str, heard: bytes, kind: str) -> None:
    assert wrong(over, heard) == kind


@settings(max_examples=examples(200))
@given(st.sampled_from(("tcp", "rtu", "rtu+tcp")), st.binary(max_size=40), st.sampled_from((1, 3)))
def test_whatever_comes_back_is_told_with_a_hint(kind: str, heard: bytes, fc: int) -> None:
    found = wrong_answer(kind, 7, Block(fc, 10, 2), heard)
    assert found.kind
    assert found.what
    assert found.do


@pytest.mark.parametrize("code", [*EXCEPTIONS, 7, 77])
def test_exceptions_say_what_to_do(code: int) -> None:
    assert exception(code).kind == f"exception {code}"
    assert exception(code).do


@pytest.mark.parametrize("kind", ["tcp", "rtu+tcp", "rtu"])
def test_silence_and_no_link_say_what_to_do(kind: str) -> None:
    assert "--units" in no_answer(kind, 3, heard=False).do
    assert no_answer(kind, 3, heard=True).kind == "half"
    assert no_link(kind, "Connection refused").do
    assert ("dialout" in no_link(kind, "Permission denied").do) == (kind == "rtu")
    assert "framing" in hung_up(kind).do
    assert no_link(kind, "No such file").do


def test_a_tally_is_told_in_numbers() -> None:
    assert Tally().summary()["median_ms"] is None
    tally = Tally(took_s=[0.001 * n for n in range(1, 101)], asked=103, refused={2: 1}, silent=1, bad=1, busy_s=2.0)
    tally.carried = 4000
    told = tally.summary()
    assert (told["min_ms"], told["median_ms"], told["p99_ms"], told["max_ms"]) == (1.0, 50.5, 99.01, 100.0)
    assert (told["bytes_a_second"], told["exceptions"], told["time_outs"]) == (2000, {"2": 1}, 1)


@pytest.mark.parametrize("block", [Block(3, 0, 1), Block(4, 5, 125), Block(1, 0, 13)])
def test_the_bytes_of_a_request_are_those_of_its_frames(block: Block) -> None:
    assert frame_bytes("tcp", block) == tcp_question(1, block, 1).longest
    assert frame_bytes("rtu", block) == rtu_question(1, block).longest


def test_the_examples_in_the_module_are_right() -> None:
    assert doctest.testmod(diagnosis).failed == 0

"""Doubt, on a clock of its own: how long the line has to be silent, and whose next answer counts."""

from __future__ import annotations

import pytest

from gateway.links.doubt import LATENCY_MAX_S, MARGIN_S, WAIT_S, WAIT_TIMEOUTS, Doubt
from gateway.links.frames import crc, rtu_question
from gateway.registers import Block

SILENCE_S = 0.004
QUESTION = rtu_question(5, Block(3, 10, 1))
ANSWER, EXCEPTION = ((body := bytes.fromhex(text)) + crc(body) for text in ("05 03 02 0007", "05 83 02"))


def test_two_frames_are_parted_by_silence_or_by_what_the_device_needs() -> None:
    doubt = Doubt(SILENCE_S)
    assert doubt.due_s(5, 100.0, 0.0) == 100.0 + SILENCE_S
    assert doubt.due_s(5, 100.0, 0.05) == 100.05


@pytest.mark.parametrize(("timeout_s", "wait_s"), [(0.01, WAIT_S[0]), (0.1, 0.1 * WAIT_TIMEOUTS), (3.0, WAIT_S[1])])
def test_a_device_that_owes_is_left_alone_and_the_others_only_for_its_latency(timeout_s: float, wait_s: float) -> None:
    doubt = Doubt(SILENCE_S)
    doubt.answered(5, 0.02)
    doubt.missed(QUESTION, 99.0, timeout_s, 100.0)
    assert doubt.owes(5)
    assert not doubt.owes(6)
    assert doubt.due_s(5, 90.0, 0.0) == pytest.approx(100.0 + wait_s)
    assert doubt.due_s(6, 90.0, 0.0) == pytest.approx(100.0 + SILENCE_S + 0.02 + MARGIN_S)
    assert doubt.due_s(6, 100.5, 0.0) == pytest.approx(100.5 + SILENCE_S + 0.02 + MARGIN_S), "anew with what comes"


def test_the_answer_that_is_owed_ends_the_doubt_and_teaches_the_latency() -> None:
    doubt = Doubt(SILENCE_S)
    doubt.missed(QUESTION, 99.0, 0.1, 99.1)
    assert not doubt.settles(ANSWER[:-1], 99.2), "half of it"
    assert not doubt.settles(ANSWER + b"\0", 99.2), "more than it"
    assert doubt.settles(ANSWER, 99.3)
    assert not doubt.owes(5)
    assert doubt.due_s(5, 99.3, 0.0) == 99.3 + SILENCE_S
    doubt.missed(QUESTION, 101.0, 0.1, 101.1)
    assert doubt.due_s(6, 0.0, 0.0) == pytest.approx(101.1 + SILENCE_S + 0.3 + MARGIN_S)


def test_an_exception_too_is_the_answer_that_is_owed() -> None:
    doubt = Doubt(SILENCE_S)
    doubt.missed(QUESTION, 99.0, 0.1, 99.1)
    assert doubt.settles(EXCEPTION, 99.2)


def test_of_two_owed_answers_one_settles_nothing() -> None:
    doubt = Doubt(SILENCE_S)
    for now_s in (99.0, 100.0):
        doubt.missed(QUESTION, now_s, 0.1, now_s + 0.1)
    assert not doubt.settles(ANSWER, 100.2)
    assert doubt.owes(5)
    doubt.proved(5)
    assert not doubt.owes(5)
    assert doubt.due_s(5, 101.0, 0.0) == pytest.approx(101.0 + SILENCE_S + MARGIN_S), "what is left comes first"


def test_what_came_unasked_makes_the_next_answer_doubtful() -> None:
    doubt = Doubt(SILENCE_S)
    doubt.disturbed(5, 100.0)
    assert doubt.owes(5)
    assert not doubt.settles(ANSWER, 100.1), "whose answer it was nobody knows"


def test_the_longest_latency_is_forgotten_slowly_and_never_holds_up_a_bus_for_ever() -> None:
    doubt = Doubt(SILENCE_S)
    doubt.answered(5, 30.0)
    assert doubt.devices[5].window_s == LATENCY_MAX_S + MARGIN_S
    for _ in range(5000):
        doubt.answered(5, 0.01)
    assert doubt.devices[5].window_s == pytest.approx(0.01 + MARGIN_S, abs=0.01)

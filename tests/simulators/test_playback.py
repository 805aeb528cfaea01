"""A record played again: order, time, newest words, refusals, silence, the end."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.blocks import Block
from gateway.links.frames import crc
from gateway.session_file import Exchange, Failure, Session
from simulators.playback import SLACK_S, Playback
from tests.effort import examples


def words(t_s: float, *found: int, unit: int = 1, address: int = 0, fc: int = 3, took_ms: float = 0.0) -> Exchange:
    return Exchange(t_s=t_s, unit=unit, block=Block(fc, address, len(found)), took_ms=took_ms, words=found)


def failed(t_s: float, failure: Failure, unit: int = 1, count: int = 1) -> Exchange:
    return Exchange(t_s=t_s, unit=unit, block=Block(3, 0, count), took_ms=500.0, failure=failure, error="x")


def session(*exchanges: Exchange) -> Session:
    return Session("tcp://h", 0, exchanges)


def ask(playback: Playback, now_s: float, unit: int, fc: int, address: int, count: int) -> list[int] | int | None:
    """The words of an answer, the code of an exception, or None for silence; over TCP."""
    _, reply = playback.reply(now_s, 7, unit, struct.pack(">BHH", fc, address, count))
    assert reply is not None
    if not reply:
        return None
    number, _, length, who = struct.unpack(">HHHB", reply[:7])
    assert (number, length, who) == (7, len(reply) - 6, unit)
    if reply[7] & 0x80:
        return reply[8]
    return [word for (word,) in struct.iter_unpack(">H", reply[9:])]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65535)), min_size=1, max_size=30), st.floats(0.001, 1000))
@settings(max_examples=examples(100))
def test_the_same_requests_get_the_same_words_in_the_same_order(reads: list[tuple[int, int]], speed: float) -> None:
    record = [words(n / 100, word, address=address) for n, (address, word) in enumerate(reads)]
    playback = Playback(session(*record), speed=speed)
    given_again = [ask(playback, 50.0 + n / 100 / speed, 1, 3, address, 1) for n, (address, _) in enumerate(reads)]
    assert given_again == [[word] for _, word in reads]


def test_who_asks_more_rarely_or_more_often_sees_the_records_own_time() -> None:
    playback = Playback(session(*(words(float(n), n) for n in range(60))))
    rare = [ask(playback, 10.0 * n, 1, 3, 0, 1) for n in range(5)]
    assert [abs(found[0] - 10 * n) <= SLACK_S for n, found in enumerate(rare) if isinstance(found, list)] == [True] * 5
    playback = Playback(session(*(words(float(n), n) for n in range(60))))
    often = [ask(playback, 0.1 * n, 1, 3, 0, 1) for n in range(200)]
    assert often[-1] in ([19], [20], [21])
    assert often == sorted(often)


def test_a_request_within_recorded_registers_gets_the_newest_words() -> None:
    playback = Playback(session(words(0, 1, 2, 3), words(5, 4, 5, address=3), words(10, 7, 8, 9), words(10, 1, fc=4)))
    assert ask(playback, 100.0, 1, 3, 1, 4) == [2, 3, 4, 5], "what comes later is told as it will be first"
    assert ask(playback, 111.0, 1, 3, 1, 4) == [8, 9, 4, 5]
    assert ask(playback, 111.0, 1, 3, 4, 2) == 2
    assert ask(playback, 111.0, 1, 4, 0, 2) == 2
    assert ask(playback, 111.0, 1, 2, 0, 1) == 2
    assert ask(playback, 111.0, 9, 3, 0, 1) == 11
    assert playback.reply(111.0, None, 9, struct.pack(">BHH", 3, 0, 1)) == (0.0, b"")


def test_what_is_no_read_is_refused_as_instruments_do() -> None:
    playback = Playback(session(words(0, 1)))
    for request, code in {"06 0000 0001": 1, "03 0000 0000": 3, "03 0000": 3, "03 ffff 0002": 2}.items():
        _, reply = playback.reply(0.0, 1, 1, bytes.fromhex(request))
        assert reply
        assert reply[-1] == code


def test_refusal_silence_rubbish_and_hanging_up_come_again() -> None:
    refused = Exchange(t_s=0.0, unit=1, block=Block(3, 0, 1), took_ms=20.0, refused=6)
    record = [refused, *(failed(n + 1.0, failure) for n, failure in enumerate(Failure)), words(4, 5)]
    playback = Playback(session(*record))
    request = struct.pack(">BHH", 3, 0, 1)
    assert playback.reply(0.0, None, 1, request) == (0.02, (body := bytes((1, 0x83, 6))) + crc(body))
    assert playback.reply(1.0, None, 1, request) == (0.0, b"")
    _, rubbish = playback.reply(2.0, None, 1, request)
    assert rubbish
    assert crc(rubbish[:-2]) != rubbish[-2:]
    assert playback.reply(3.0, None, 1, request) == (0.0, None)
    assert ask(playback, 4.0, 1, 3, 0, 1) == [5]


def test_what_came_instead_of_an_answer_comes_again_byte_by_byte() -> None:
    heard = bytes.fromhex("0000 0000 0005 01 03 02 0007")
    bad = Exchange(
        t_s=0.0, unit=1, block=Block(3, 0, 1), took_ms=1.0, failure=Failure.BAD_ANSWER, error="x", heard=heard
    )
    assert Playback(session(bad)).reply(0.0, 99, 1, struct.pack(">BHH", 3, 0, 1)) == (0.0, heard)


def test_a_unit_that_never_answered_is_silent_whatever_it_is_asked() -> None:
    playback = Playback(session(failed(0, Failure.NO_ANSWER, unit=2), words(1, 1)))
    assert [ask(playback, 0.0, 2, 3, 0, 1), ask(playback, 0.0, 2, 4, 70, 3)] == [None, None]


def test_an_answer_takes_as_long_as_it_took() -> None:
    request = struct.pack(">BHH", 3, 0, 1)
    for speed, took_s in ((1.0, 0.25), (10.0, 0.025)):
        assert Playback(session(words(0, 1, took_ms=250.0)), speed=speed).reply(0.0, 1, 1, request)[0] == took_s


def test_at_the_end_the_last_words_stay() -> None:
    playback = Playback(session(words(0, 1), words(2, 2), failed(3, Failure.NO_ANSWER)))
    assert playback.wait_s(99.0) is None
    assert [ask(playback, now, 1, 3, 0, 1) for now in (100.0, 102.0, 103.0)] == [[1], [2], None]
    assert playback.wait_s(100.0) == pytest.approx(3.5)
    assert (playback.rounds(103.4), playback.rounds(103.6)) == (0, 1)
    assert ask(playback, 150.0, 1, 3, 0, 1) == [2]
    assert playback.wait_s(150.0) is None


def test_a_record_begins_with_its_first_request() -> None:
    playback = Playback(session(words(100, 1), words(110, 2), words(120, 3)))
    assert playback.lasts_s == 20.0
    assert [ask(playback, 7.0 + now_s, 1, 3, 0, 1) for now_s in (0, 5, 10, 20, 30)] == [[1], [1], [2], [3], [3]]


def test_a_loop_begins_again() -> None:
    playback = Playback(session(words(0, 1), words(9, 2), words(10, 3, took_ms=0.0)), speed=10.0, loop=True)
    seen = [ask(playback, 5.0 + tick / 10, 1, 3, 0, 1) for tick in (0, 9, 10.1, 19, 20.1)]
    assert seen == [[1], [2], [1], [2], [1]]
    assert playback.wait_s(7.01) == pytest.approx(0.99)
    assert playback.rounds(7.01) == 2

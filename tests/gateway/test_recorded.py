"""A recorded link: what goes through it is what the link gives, and the record says all of it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.blocks import Block
from gateway.links.address import parse_link
from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Refused
from gateway.links.open import open_link
from gateway.links.recorded import Recorded, recording
from gateway.links.tcp import TcpLink
from gateway.session_file import Failure, parse_session
from tests.gateway.modbus_server import Instruments, Reply, Request, mbap, serving, word


def script(request: Request) -> Reply:
    """Unit 2 refuses, unit 3 is silent, unit 4 talks rubbish."""
    if request.unit == 2:
        return mbap(request.tid, 2, bytes((request.fc | 0x80, 2)))
    return {3: None, 4: b"rubbish"}.get(request.unit, request.answer)


def test_every_read_goes_through_and_is_written_down() -> None:
    lines: list[str] = []
    asked = [(1, Block(3, 10, 3)), (1, Block(1, 0, 9)), (2, Block(3, 0, 1)), (3, Block(3, 0, 1)), (4, Block(4, 7, 2))]
    raised: list[type[LinkError] | None] = []
    words = []

    async def scene() -> None:
        async with serving(Instruments(script)) as instruments:
            place = f"tcp://127.0.0.1:{instruments.port}?unit=1"
            link = Recorded(TcpLink("127.0.0.1", instruments.port), lines.append, place, now_ns=lambda: 1_500_000_000)
            for unit, block in asked:
                try:
                    words.append(await link.read(unit, block, timeout_s=0.05))
                    raised.append(None)
                except LinkError as error:
                    raised.append(type(error))
            assert 0 < link.latency_s < 1
            await instruments.stop()
            with pytest.raises(LinkDown):
                await link.read(1, Block(3, 0, 1), timeout_s=0.05)
            link.close()

    asyncio.run(scene())
    assert raised == [None, None, Refused, NoAnswer, BadAnswer]
    assert words[0].tolist() == [word(1, n) for n in (10, 11, 12)]
    session, faults = parse_session("".join(lines), "s")
    assert faults == []
    assert session.began_ns == 1_500_000_000
    found = session.exchanges
    assert [(one.unit, one.block) for one in found] == [*asked, (1, Block(3, 0, 1))]
    assert [one.words for one in found[:2]] == [tuple(part.tolist()) for part in words]
    assert [one.refused for one in found] == [0, 0, 2, 0, 0, 0]
    assert [one.failure for one in found[3:]] == list(Failure)
    assert "did not answer" in found[3].error
    assert 45 < found[3].took_ms < 5000
    assert [one.t_s for one in found] == sorted(one.t_s for one in found)


def test_links_that_are_opened_one_after_the_other_are_one_session() -> None:
    lines: list[str] = []

    async def scene() -> None:
        async with serving(Instruments()) as instruments:
            place = f"tcp://127.0.0.1:{instruments.port}?unit=1"
            opened = recording(open_link, lines.append, place)
            for unit in (1, 2, 3):
                link = opened(parse_link(place))
                assert (await link.read(unit, Block(3, 5, 1), timeout_s=2.0)).tolist() == [word(unit, 5)]
                link.close()

    asyncio.run(scene())
    session, faults = parse_session("".join(lines), "s")
    assert faults == []
    assert [one.words for one in session.exchanges] == [(word(unit, 5),) for unit in (1, 2, 3)]
    times = [one.t_s for one in session.exchanges]
    assert times == sorted(times)
    assert times[0] < times[-1]


class Endless:
    """A link on which nothing ever comes."""

    latency_s = 0.0

    async def read(self, *_: object, **__: object) -> np.ndarray:
        return await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Nothing is open."""


def test_a_read_that_was_given_up_is_a_request_without_an_answer() -> None:
    lines: list[str] = []

    async def scene() -> None:
        link = Recorded(Endless(), lines.append, "tcp://h")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.read(1, Block(3, 0, 1), timeout_s=9.0), 0.02)

    asyncio.run(scene())
    session, _ = parse_session("".join(lines), "s")
    assert [(one.failure, one.error) for one in session.exchanges] == [
        (Failure.NO_ANSWER, "given up before an answer came")
    ]


class Liar(Endless):
    """A link on which something else comes, and which keeps it."""

    async def read(self, *_: object, **__: object) -> np.ndarray:
        error = BadAnswer("unit 1 answered 00 01")
        error.heard = b"\x00\x01"
        raise BadAnswer("line: unit 1 answered 00 01") from error


def test_what_came_instead_of_an_answer_is_kept() -> None:
    lines: list[str] = []
    with pytest.raises(BadAnswer):
        asyncio.run(Recorded(Liar(), lines.append, "tcp://h").read(1, Block(3, 0, 1), timeout_s=1.0))
    session, _ = parse_session("".join(lines), "s")
    assert [(one.failure, one.heard) for one in session.exchanges] == [(Failure.BAD_ANSWER, b"\x00\x01")]


def test_a_record_that_cannot_be_written_is_no_record() -> None:
    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Recorded(Endless(), full, "tcp://h")

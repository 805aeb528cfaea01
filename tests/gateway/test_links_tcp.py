"""Modbus TCP against servers that misbehave in every way known: never a wrong value, and then it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Refused
from gateway.links.tcp import TcpLink
from gateway.registers import Block
from tests.gateway.modbus_server import Instruments, Reply, Request, mbap, serving, word
from tests.gateway.ports import free_port

TIMEOUT_S = 0.3
BLOCK = Block(fc=3, address=10, count=3)
GOOD = [word(1, address) for address in (10, 11, 12)]


def run(instruments: Instruments, talk: Callable[[TcpLink], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serving(instruments):
            link = TcpLink("127.0.0.1", instruments.port)
            try:
                await talk(link)
            finally:
                link.close()
                await asyncio.sleep(0.01)

    asyncio.run(whole())


@pytest.mark.parametrize("fc", [3, 4])
@pytest.mark.parametrize("count", [1, 3, 125])
def test_registers_are_read(fc, count):
    async def talk(link: TcpLink) -> None:
        words = await link.read(7, Block(fc, 100, count), timeout_s=TIMEOUT_S)
        assert words.dtype == np.uint16
        assert words.tolist() == [word(7, 100 + i) for i in range(count)]

    run(Instruments(), talk)


@pytest.mark.parametrize("fc", [1, 2])
@pytest.mark.parametrize("count", [1, 8, 13, 2000])
def test_bits_are_read(fc, count):
    async def talk(link: TcpLink) -> None:
        assert (await link.read(1, Block(fc, 3, count), timeout_s=TIMEOUT_S)).tolist() == [
            word(1, 3 + i) & 1 for i in range(count)
        ]

    run(Instruments(), talk)


def pdu(request: Request) -> bytes:
    return request.answer[7:]


WRONG: dict[str, Callable[[Request], Reply]] = {
    "silent": lambda r: None,
    "wrong transaction": lambda r: b"\x77\x77" + r.answer[2:],
    "transaction 0": lambda r: b"\0\0" + r.answer[2:],
    "wrong protocol": lambda r: r.answer[:2] + b"\0\1" + r.answer[4:],
    "wrong unit": lambda r: mbap(r.tid, r.unit + 1, pdu(r)),
    "unit 0": lambda r: mbap(r.tid, 0, pdu(r)),
    "another function": lambda r: mbap(r.tid, r.unit, b"\4" + pdu(r)[1:]),
    "a write function": lambda r: mbap(r.tid, r.unit, b"\6\0\1\0\2"),
    "an unknown function": lambda r: mbap(r.tid, r.unit, b"\x63\0"),
    "fewer registers": lambda r: mbap(r.tid, r.unit, b"\3\4" + pdu(r)[2:6]),
    "more registers": lambda r: mbap(r.tid, r.unit, b"\3\10" + pdu(r)[2:] + b"\0\1"),
    "no registers": lambda r: mbap(r.tid, r.unit, b"\3\0"),
    "byte count too small": lambda r: mbap(r.tid, r.unit, b"\3\4" + pdu(r)[2:]),
    "byte count too large": lambda r: mbap(r.tid, r.unit, b"\3\10" + pdu(r)[2:]),
    "byte count odd": lambda r: mbap(r.tid, r.unit, b"\3\5" + pdu(r)[2:]),
    "length too small": lambda r: r.answer[:4] + b"\0\7" + r.answer[6:],
    "length too large": lambda r: r.answer[:4] + b"\0\x0b" + r.answer[6:],
    "bytes behind": lambda r: r.answer + b"\0\0",
    "twice": lambda r: r.answer + r.answer,
    "another answer first": lambda r: b"\x77\x77" + r.answer[2:6] + r.answer[6:] + r.answer,
    "half a frame": lambda r: r.answer[:10],
    "an empty frame": lambda r: mbap(r.tid, r.unit, b""),
    "noise": lambda r: bytes(range(200, 250)),
    "noise before": lambda r: b"\xff\xff\xff" + r.answer,
    "an exception of another function": lambda r: mbap(r.tid, r.unit, b"\x84\2"),
    "an exception of another unit": lambda r: mbap(r.tid, r.unit + 1, b"\x83\2"),
    "an exception of another transaction": lambda r: mbap(b"\0\0", r.unit, b"\x83\2"),
    "exception 0": lambda r: mbap(r.tid, r.unit, b"\x83\0"),
    "text": lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("script", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_refused_and_the_next_read_is_right(script):
    instruments = Instruments(script)

    async def talk(link: TcpLink) -> None:
        with pytest.raises((NoAnswer, BadAnswer)):
            await link.read(1, BLOCK, timeout_s=TIMEOUT_S)
        instruments.script = Instruments.script
        assert (await link.read(1, BLOCK, timeout_s=TIMEOUT_S)).tolist() == GOOD
        assert instruments.connections == 2, "what comes next on the old connection could be anything"

    run(instruments, talk)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 99])
def test_an_exception_is_an_answer_and_keeps_the_connection(code):
    instruments = Instruments(lambda r: mbap(r.tid, r.unit, bytes([r.fc | 0x80, code])))

    async def talk(link: TcpLink) -> None:
        with pytest.raises(Refused, match=f"exception {code}") as caught:
            await link.read(1, BLOCK, timeout_s=TIMEOUT_S)
        assert caught.value.code == code
        instruments.script = Instruments.script
        assert (await link.read(1, BLOCK, timeout_s=TIMEOUT_S)).tolist() == GOOD
        assert instruments.connections == 1

    run(instruments, talk)


@pytest.mark.parametrize("strict", [True, False])
def test_a_late_answer_is_never_the_answer_to_the_next_request(strict):
    """The trap: a server that answers late, with transaction 0, while another request is on its way."""
    late: list[bytes] = []

    def script(request: Request) -> Reply:
        if not late:
            late.append(request.answer if strict else b"\0\0" + request.answer[2:])
            return None
        return late[0] + request.answer

    async def talk(link: TcpLink) -> None:
        with pytest.raises(NoAnswer):
            await link.read(1, Block(3, 500, 3), timeout_s=TIMEOUT_S)
        with pytest.raises(LinkError):
            await link.read(1, BLOCK, timeout_s=TIMEOUT_S)

    run(Instruments(script), talk)


def test_a_connection_closed_while_idle_is_opened_again():
    instruments = Instruments()

    async def talk(link: TcpLink) -> None:
        for _ in range(3):
            assert (await link.read(1, BLOCK, timeout_s=TIMEOUT_S)).tolist() == GOOD
            instruments.hang_up()
            await asyncio.sleep(0.02)
        assert instruments.connections == 3

    run(instruments, talk)


def test_a_connection_closed_instead_of_an_answer_is_an_error():
    instruments = Instruments()

    def hang_up(request: Request) -> Reply:
        instruments.hang_up()
        return None

    async def talk(link: TcpLink) -> None:
        instruments.script = hang_up
        with pytest.raises(LinkError):
            await link.read(1, BLOCK, timeout_s=TIMEOUT_S)
        instruments.script = Instruments.script
        assert (await link.read(1, BLOCK, timeout_s=TIMEOUT_S)).tolist() == GOOD

    run(instruments, talk)


def test_nobody_there():
    async def talk() -> None:
        link = TcpLink("127.0.0.1", free_port())
        for _ in range(2):
            with pytest.raises(LinkDown, match="cannot connect to"):
                await link.read(1, BLOCK, timeout_s=TIMEOUT_S)
        link.close()

    asyncio.run(talk())


def test_a_cancelled_read_leaves_no_answer_behind():
    instruments = Instruments(lambda r: None)

    async def talk(link: TcpLink) -> None:
        reading = asyncio.create_task(link.read(1, Block(3, 500, 3), timeout_s=TIMEOUT_S))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        instruments.script = Instruments.script
        assert (await link.read(1, BLOCK, timeout_s=TIMEOUT_S)).tolist() == GOOD

    run(instruments, talk)


def test_many_reads_use_one_connection():
    instruments = Instruments()

    async def talk(link: TcpLink) -> None:
        for unit in range(1, 200):
            assert (await link.read(unit, BLOCK, timeout_s=TIMEOUT_S)).tolist() == [word(unit, a) for a in (10, 11, 12)]
        assert instruments.connections == 1

    run(instruments, talk)

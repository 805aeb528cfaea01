"""Whatever a device sends over TCP, RTU over TCP or a serial line: never a wrong value, and then it goes on."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.links.asking import Asking
from gateway.links.link import BadAnswer, LinkDown, NoAnswer
from gateway.registers import Block
from tests.gateway.lines import HANG_UP, KINDS, Act, Device, Request, right, served, word

TIMEOUT_S = 0.08  # where the answer is wrong
WELL_S = 3.0  # where it is right: however slow the machine, it comes
ABREAST = 24
BLOCK, NEXT = Block(3, 10, 3), Block(3, 200, 3)  # of one shape: an answer to one fits the other
Script = Callable[[Request], Sequence[Act]]
Talk = Callable[[Asking, Device], Awaitable[None]]


def words(block: Block, unit: int = 1) -> list[int]:
    every = [word(unit, block.address + i) for i in range(block.count)]
    return [w & 1 for w in every] if block.fc < 3 else every


def run(kind: str, folder: Path, talk: Talk, script: Script = right) -> Device:
    device = Device(kind, folder, script)

    async def whole() -> None:
        async with served(device) as link:
            await talk(link, device)

    asyncio.run(whole())
    return device


def tampered(place: int, change: int) -> Script:
    """One byte of the frame is another; the check sum stays what it was."""

    def script(request: Request) -> Sequence[Act]:
        frame = bytearray(request.frame())
        frame[place] ^= change
        return [bytes(frame)]

    return script


def exception(code: int, function: int = 0x83) -> Script:
    return lambda r: [r.frame(bytes((function, code)))]


# What is no answer, whatever the framing. Lengths, counts and check sums are right where nothing else is said.
WRONG: dict[str, Script] = {
    "silence": lambda r: [],
    "one byte": lambda r: [r.frame()[:1]],
    "half a frame": lambda r: [r.frame()[: len(r.frame()) // 2]],
    "all but the last byte": lambda r: [r.frame()[:-1]],
    "half a frame, and the rest too late": lambda r: [r.frame()[:5], 1.5 * TIMEOUT_S, r.frame()[5:]],
    "too late": lambda r: [1.5 * TIMEOUT_S, r.frame()],
    "too late, byte by byte": lambda r: [a for b in r.frame() for a in (0.01, bytes((b,)))],
    "garbage": lambda r: [bytes(range(200, 250))],
    "zeros": lambda r: [bytes(11)],
    "ones": lambda r: [b"\xff" * 11],
    "a garbage byte before": lambda r: [b"\0" + r.frame()],
    "garbage before": lambda r: [b"\xff\x7f\xaa" + r.frame()],
    "garbage before, apart": lambda r: [b"\xff\x7f", 0.005, r.frame()],
    "garbage behind": lambda r: [r.frame() + b"\0\0"],
    "garbage amid": lambda r: [r.frame()[:6] + b"\x55" + r.frame()[6:]],
    "a byte is lost": lambda r: [r.frame()[:6] + r.frame()[7:]],
    "twice in one piece": lambda r: [r.frame() + r.frame()],
    "its beginning twice": lambda r: [r.frame()[:3] + r.frame()],
    "another answer, and then the right one": lambda r: [r.frame(bytes((4, 2, 0, 1))) + r.frame()],
    "another unit": lambda r: [r.frame(unit=r.unit + 1)],
    "unit 0": lambda r: [r.frame(unit=0)],
    "unit 255": lambda r: [r.frame(unit=255)],
    "another function": lambda r: [r.frame(b"\4" + r.pdu[1:])],
    "a write function": lambda r: [r.frame(b"\6\0\1\0\2")],
    "many written": lambda r: [r.frame(b"\x10\0\x0a\0\3")],
    "an unknown function": lambda r: [r.frame(b"\x63\6" + r.pdu[2:])],
    "function 0": lambda r: [r.frame(b"\0" + r.pdu[1:])],
    "a register too few": lambda r: [r.frame(b"\3\4" + r.pdu[2:6])],
    "a register too many": lambda r: [r.frame(b"\3\10" + r.pdu[2:] + b"\0\1")],
    "no registers": lambda r: [r.frame(b"\3\0")],
    "no data at all": lambda r: [r.frame(b"\3")],
    "nothing in the frame": lambda r: [r.frame(b"")],
    "byte count too small": lambda r: [r.frame(b"\3\4" + r.pdu[2:])],
    "byte count too large": lambda r: [r.frame(b"\3\10" + r.pdu[2:])],
    "byte count odd": lambda r: [r.frame(b"\3\5" + r.pdu[2:])],
    "byte count 255": lambda r: [r.frame(b"\3\xff" + r.pdu[2:])],
    "data shorter than its count": lambda r: [r.frame(b"\3\6" + r.pdu[2:-2])],
    "data longer than its count": lambda r: [r.frame(b"\3\6" + r.pdu[2:] + b"\0\1")],
    "an exception of another function": exception(2, 0x84),
    "an exception of another unit": lambda r: [r.frame(b"\x83\2", unit=2)],
    "exception 0": exception(0),
    "an exception without a code": lambda r: [r.frame(b"\x83")],
    "an exception with data": lambda r: [r.frame(b"\x83\2" + r.pdu[2:])],
    "half an exception": lambda r: [r.frame(b"\x83\2")[:-1]],
    "an exception twice": lambda r: [2 * r.frame(b"\x83\2")],
    "an exception, and then the answer": lambda r: [r.frame(b"\x83\2") + r.frame()],
    "the echo of the request": lambda r: [r.raw],
    "the echo, and then the answer": lambda r: [r.raw + r.frame()],
    "text": lambda r: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "a flood": lambda r: [bytes(range(256)) * 8],
    "a reset": lambda r: [HANG_UP],
    "a reset in the middle": lambda r: [r.frame()[:6], 0.005, HANG_UP],
}
ONLY: dict[str, dict[str, Script]] = {
    "tcp": {
        "another transaction": lambda r: [r.frame(tid=(r.tid + 1) & 0xFFFF)],
        "the transaction before": lambda r: [r.frame(tid=(r.tid - 1) & 0xFFFF)],
        "transaction 0": lambda r: [r.frame(tid=0)],
        "transaction turned round": lambda r: [r.frame(tid=(r.tid << 8 | r.tid >> 8) & 0xFFFF)],
        "another protocol": tampered(3, 1),
        "length too small": tampered(5, 1),
        "length too large": tampered(5, 2),
        "length far too large": tampered(4, 0xFF),
        "an exception of another transaction": lambda r: [r.frame(b"\x83\2", tid=0)],
        "an RTU frame": lambda r: [Request("rtu", r.raw, 0, r.unit, r.fc, r.address, r.count).frame()],
    },
    "rtu": {
        "check sum wrong": tampered(-1, 1),
        "check sum turned round": lambda r: [r.frame()[:-2] + r.frame()[:-3:-1]],
        "no check sum": lambda r: [r.frame()[:-2]],
        "a bit of the unit is flipped": tampered(0, 0x80),
        "a bit of the function is flipped": tampered(1, 1),
        "a bit of the byte count is flipped": tampered(2, 0x10),
        "parity noise: a bit of a value is flipped": tampered(4, 0x40),
        "parity noise: two bits are flipped": tampered(5, 0x81),
        "parity noise: every eighth bit is": lambda r: [bytes(b ^ 0x80 for b in r.frame())],
        "an exception with a wrong check sum": lambda r: [r.frame(b"\x83\2")[:-1] + b"\0"],
        "a Modbus TCP frame": lambda r: [Request("tcp", r.raw, 1, r.unit, r.fc, r.address, r.count).frame()],
    },
}
ONLY["rtu+tcp"] = ONLY["rtu"]
RESETS = [WRONG["a reset"], WRONG["a reset in the middle"]]
CASES = [(kind, name) for kind in KINDS for name in (*WRONG, *ONLY[kind])]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], BaseException | None]:
    """What became of every case: None = as it should be. They mostly wait, so many do it at the same time."""

    async def one(kind: str, name: str) -> None:
        device = Device(kind, tmp_path_factory.mktemp("line"))
        async with served(device) as link:
            await refuse(link, device, WRONG.get(name) or ONLY[kind][name])

    async def whole() -> list[BaseException | None]:
        found: list[BaseException | None] = []
        for batch in range(0, len(CASES), ABREAST):
            cases = CASES[batch : batch + ABREAST]
            found += await asyncio.gather(*(one(*case) for case in cases), return_exceptions=True)
        return found

    return dict(zip(CASES, asyncio.run(whole()), strict=True))


async def refuse(link: Asking, device: Device, script: Script) -> None:
    """A right answer, one that has to be refused, and then right ones again."""
    assert (await link.read(1, BLOCK, timeout_s=WELL_S)).tolist() == words(BLOCK)
    device.script = script
    with pytest.raises((NoAnswer, BadAnswer, LinkDown)):
        await link.read(1, BLOCK, timeout_s=TIMEOUT_S)
    if script in RESETS:
        await device.finished()  # or, on a slow machine, it cuts the line only now
    device.script = right
    for block in (NEXT, BLOCK, NEXT):
        assert (await link.read(1, block, timeout_s=WELL_S)).tolist() == words(block)


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_what_is_no_answer_is_refused_and_the_next_read_is_right(kind, name, outcomes):
    outcome = outcomes[kind, name]
    assert outcome is None, "".join(traceback.format_exception(outcome))


def test_there_are_forty_faults_and_more_of_each_framing():
    assert all(len(WRONG) + len(ONLY[kind]) >= 60 for kind in KINDS)

"""All links alike: what they read, what they make of exceptions, late and double answers, and lines that die."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.links.address import PLAIN, Line, Quirks
from gateway.links.asking import Asking
from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Refused, Remedy, policy
from gateway.links.rtu import RtuLink, RtuTcpLink
from gateway.links.tcp import TcpLink
from gateway.registers import Block
from tests.gateway.lines import HANG_UP, KINDS, Device, Request, right, served, word
from tests.gateway.ports import free_port

BLOCK, NEXT = Block(3, 10, 3), Block(3, 200, 3)  # of one shape: an answer to one fits the other
SHORT_S, WELL_S = 0.04, 3.0
Talk = Callable[[Asking, Device], Awaitable[None]]

every_kind = pytest.mark.parametrize("kind", KINDS)


def words(block: Block, unit: int = 1) -> list[int]:
    every = [word(unit, block.address + i) for i in range(block.count)]
    return [w & 1 for w in every] if block.fc < 3 else every


def run(kind: str, folder: Path, talk: Talk, **more: bool) -> Device:
    device = Device(kind, folder, **more)

    async def whole() -> None:
        async with served(device) as link:
            await talk(link, device)

    asyncio.run(whole())
    return device


@every_kind
def test_registers_and_bits_are_read(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        for fc, counts in ((1, (1, 8, 13, 2000)), (2, (1, 17)), (3, (1, 3, 125)), (4, (1, 125))):
            for count in counts:
                block = Block(fc, 100, count)
                found = await link.read(7, block, timeout_s=WELL_S)
                assert found.dtype == np.uint16
                assert found.tolist() == words(block, 7)

    device = run(kind, tmp_path, talk)
    assert {request.fc for request in device.requests} == {1, 2, 3, 4}
    assert device.connections <= 1, "one connection for all"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [Block(5, 0, 1), Block(6, 0, 1), Block(16, 0, 1), Block(3, 0, 126), Block(3, 0, 0)])
def test_nothing_but_reading_can_be_asked(kind, block, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        with pytest.raises(AssertionError):
            await link.read(1, block, timeout_s=WELL_S)

    assert run(kind, tmp_path, talk).requests == []


@every_kind
def test_an_exception_is_an_answer(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        for code in (*range(1, 12), 99):
            device.script = lambda r, code=code: [r.frame(bytes((0x83, code)))]
            with pytest.raises(Refused, match=f"exception {code}") as caught:
                await link.read(1, BLOCK, timeout_s=WELL_S)
            assert caught.value.code == code
            device.script = right
            assert (await link.read(1, BLOCK, timeout_s=WELL_S)).tolist() == words(BLOCK)

    device = run(kind, tmp_path, talk)
    assert device.connections <= 1
    assert len(device.requests) == 24, "no doubt follows from an exception"


def test_each_exception_has_its_remedy():
    found = {code: policy(code).remedy for code in (*range(1, 12), 99)}
    assert [code for code, remedy in found.items() if remedy is Remedy.NONE] == [1, 2, 3]
    assert [code for code, remedy in found.items() if remedy is Remedy.LATER] == [5, 6]
    assert [code for code, remedy in found.items() if remedy is Remedy.AGAIN] == [8]
    assert [code for code, remedy in found.items() if remedy is Remedy.AWAY] == [10, 11]
    assert found[4] is found[99] is Remedy.FAULT


@every_kind
def test_an_answer_in_pieces_is_an_answer(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [act for byte in r.frame() for act in (bytes((byte,)), 0.001)]
        assert (await link.read(1, BLOCK, timeout_s=WELL_S)).tolist() == words(BLOCK)

    run(kind, tmp_path, talk)


@pytest.mark.parametrize("apart_s", [0.0, 0.001, 0.05])
def test_the_second_copy_of_an_answer_is_no_answer(apart_s, tmp_path):
    """It comes after the first was taken: nobody waits for it, and the next request is not asked over it."""

    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [r.frame(), apart_s, r.frame()]
        assert await _read(link, BLOCK, 0.1) in (words(BLOCK), "BadAnswer", "NoAnswer")
        await device.finished()
        device.script = right
        for block in (NEXT, BLOCK):
            assert await _read(link, block, WELL_S) == words(block)

    run_each([Device(kind, tmp_path / kind) for kind in KINDS], talk)


def run_each(devices: Sequence[Device], talk: Talk) -> None:
    """The same talk with some devices, at the same time, since they mostly wait."""

    async def one(device: Device) -> None:
        await asyncio.to_thread(device.folder.mkdir)
        async with served(device) as link:
            await talk(link, device)

    async def whole() -> None:
        async with asyncio.TaskGroup() as group:
            for device in devices:
                group.create_task(one(device), name=str(device))

    asyncio.run(whole())


async def _read(link: Asking, block: Block, timeout_s: float, quirks: Quirks = PLAIN) -> list[int] | str:
    try:
        return (await link.read(1, block, timeout_s=timeout_s, quirks=quirks)).tolist()
    except LinkError as error:
        return type(error).__name__


@pytest.mark.parametrize("late_s", [1.2 * SHORT_S, 8 * SHORT_S], ids=["just", "very late"])
def test_a_late_answer_is_never_the_answer_to_the_next_request(late_s, tmp_path):
    """Whether it goes to the connection that asked, or to whichever there is by then."""

    async def talk(link: Asking, device: Device) -> None:
        assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
        device.script = lambda r: [late_s, r.frame()]
        assert await _read(link, BLOCK, SHORT_S) == "NoAnswer"
        device.script = right
        for block in (NEXT, BLOCK, NEXT, BLOCK):
            assert await _read(link, block, SHORT_S) in (words(block), "NoAnswer", "BadAnswer")
        await device.finished()
        assert await _read(link, NEXT, WELL_S) in (words(NEXT), "BadAnswer")
        assert await _read(link, NEXT, WELL_S) == words(NEXT)

    run_each([Device(kind, tmp_path / f"{kind}{to}", shared=bool(to)) for kind in KINDS for to in (0, 1)], talk)


@every_kind
def test_a_device_that_slept_through_many_requests_answers_none_of_them_wrongly(kind, tmp_path):
    """It had them all in line, and its answers come at once when it wakes up."""
    asleep = asyncio.Event()

    async def talk(link: Asking, device: Device) -> None:
        assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
        device.script = lambda r: [0.7 if not asleep.is_set() and not asleep.set() else 0.0, r.frame()]
        for n in range(12):
            block = Block(3, 300 + 10 * n, 3)
            assert await _read(link, block, 0.02) in (words(block), "NoAnswer", "BadAnswer")
        for _ in range(30):  # as many as there are answers to old requests, each of which is refused
            found = await _read(link, NEXT, 0.5)
            if found == words(NEXT):
                break
            assert found in ("NoAnswer", "BadAnswer")
        assert found == words(NEXT)

    run(kind, tmp_path, talk, shared=True)


@every_kind
def test_a_read_that_was_given_up_leaves_no_answer_behind(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [0.15, r.frame()]
        reading = asyncio.create_task(link.read(1, BLOCK, timeout_s=0.5))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        device.script = right
        assert await _read(link, NEXT, WELL_S) == words(NEXT)

    run(kind, tmp_path, talk)


@every_kind
def test_what_came_unasked_is_not_the_next_answer(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
        device.send(device.requests[0].frame())
        await asyncio.sleep(0.02)
        assert await _read(link, NEXT, WELL_S) == words(NEXT)

    run(kind, tmp_path, talk)


@every_kind
def test_the_late_answer_of_one_unit_is_not_that_of_another(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [0.1 if r.unit == 1 else 0.0, r.frame()]
        assert await _read(link, BLOCK, 0.03) == "NoAnswer"
        for _ in range(4):
            try:
                assert (await link.read(2, BLOCK, timeout_s=0.5)).tolist() == words(BLOCK, 2)
            except (NoAnswer, BadAnswer):
                continue

    run(kind, tmp_path, talk)


@every_kind
def test_a_line_that_never_falls_silent_is_given_up_and_tried_again(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.links.asking.NOISY_S", 0.1)

    async def talk(link: Asking, device: Device) -> None:
        async def babble() -> None:
            while True:
                device.send(b"\xaa")
                await asyncio.sleep(0.0005)

        assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
        babbling = asyncio.create_task(babble())
        await asyncio.sleep(0.01)
        for _ in range(2):
            assert await _read(link, BLOCK, 0.1) in ("BadAnswer", "NoAnswer", words(BLOCK))
        babbling.cancel()
        await asyncio.sleep(0.02)
        assert await _read(link, NEXT, WELL_S) == words(NEXT)

    run(kind, tmp_path, talk)


@every_kind
def test_a_line_that_was_cut_while_idle_is_opened_again(kind, tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        for _ in range(3):
            assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
            await device.hang_up()
            await asyncio.sleep(0.02)

    assert run(kind, tmp_path, talk).connections in (0, 3)


@every_kind
def test_a_device_gets_the_silence_it_needs(kind, tmp_path):
    times: list[float] = []

    def note(request: Request) -> list[bytes]:
        times.append(asyncio.get_running_loop().time())
        return [request.frame()]

    async def talk(link: Asking, device: Device) -> None:
        device.script = note
        for _ in range(3):
            assert await _read(link, BLOCK, WELL_S, Quirks(pause_s=0.05)) == words(BLOCK)

    run(kind, tmp_path, talk)
    assert all(later - former >= 0.049 for former, later in itertools.pairwise(times))


def test_transaction_0_is_taken_where_it_is_allowed_and_doubted_after_a_time_out(tmp_path):
    quirks = Quirks(tid_zero_ok=True)

    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [r.frame(tid=0)]
        assert await _read(link, BLOCK, WELL_S) == "BadAnswer"
        assert await _read(link, BLOCK, WELL_S, quirks) == words(BLOCK)
        device.script = lambda r: [r.frame(b"\x83\2", tid=0)]
        assert await _read(link, BLOCK, WELL_S, quirks) == "Refused"
        device.script = right
        assert await _read(link, BLOCK, WELL_S, quirks) == words(BLOCK)
        device.script = lambda r: [1.2 * SHORT_S, r.frame(tid=0)]
        assert await _read(link, BLOCK, SHORT_S, quirks) == "NoAnswer"
        device.script = lambda r: [r.frame(tid=0)]
        assert await _read(link, NEXT, WELL_S, quirks) == words(NEXT)

    run("tcp", tmp_path, talk, shared=True)


def test_transactions_go_on_over_connections(tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        for _ in range(3):
            assert await _read(link, BLOCK, WELL_S) == words(BLOCK)
            link.close()

    device = run("tcp", tmp_path, talk)
    assert [request.tid for request in device.requests] == [1, 2, 3]
    assert device.connections == 3


@pytest.mark.parametrize("kind", [TcpLink, RtuTcpLink])
def test_nobody_there(kind):
    async def talk() -> None:
        link = kind("127.0.0.1", free_port(), connect_s=0.5)
        for _ in range(2):
            with pytest.raises(LinkDown, match="cannot connect to 127"):
                await link.read(1, BLOCK, timeout_s=WELL_S)
        link.close()

    asyncio.run(talk())


def test_a_serial_line_that_cannot_be_had_says_why(tmp_path):
    file = tmp_path / "file"
    file.touch()

    async def talk(link: Asking, device: Device) -> None:
        for place, why in (("none", "No such file"), ("file", "configure port|ioctl"), ("line", "lock")):
            other = RtuLink(str(tmp_path / place), Line())
            await link.read(1, BLOCK, timeout_s=WELL_S)
            with pytest.raises(LinkDown, match=f"cannot connect to .*{place}: .*({why})"):
                await other.read(1, BLOCK, timeout_s=WELL_S)

    run("rtu", tmp_path, talk)


def test_a_serial_line_whose_adapter_was_pulled_out(tmp_path):
    async def talk(link: Asking, device: Device) -> None:
        device.script = lambda r: [HANG_UP]
        assert await _read(link, BLOCK, WELL_S) == "LinkDown"
        device.script = right
        assert await _read(link, NEXT, WELL_S) == words(NEXT)
        name = device.link.address
        await asyncio.to_thread(Path(name).rename, f"{name}.away")
        link.close()
        assert await _read(link, BLOCK, WELL_S) == "LinkDown"
        await asyncio.to_thread(Path(f"{name}.away").rename, name)
        assert await _read(link, NEXT, WELL_S) == words(NEXT)

    run("rtu", tmp_path, talk)


def test_a_slow_line_has_the_time_its_bytes_take():
    """255 bytes at 1200 baud take two seconds, which are not the device's."""
    question = RtuLink("/dev/none", Line(baud=1200))._question
    whole = question(1, Block(3, 0, 125), Quirks())
    assert whole.longest == 8 + 255
    assert whole.longest * Line(baud=1200).byte_s == pytest.approx(263 / 120)

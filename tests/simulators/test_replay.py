"""A session recorded at simulated instruments and served again: the same reads give the same, over any link."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from api.cli import main
from gateway.blocks import Block
from gateway.links.address import Link
from gateway.links.link import Link as Way
from gateway.links.link import LinkError
from gateway.links.open import open_link
from gateway.links.recorded import Recorded
from gateway.measurement import SECOND_NS
from gateway.session_file import Exchange, Session, parse_session, write_exchange, write_header
from simulators.faults import parse_fault
from simulators.playback import Playback
from simulators.replay import Player
from simulators.server import Simulator
from tests.simulators.plants import free_port, small_site
from tests.simulators.test_simulate_command import start

AT_NS = 1_794_000_000 * SECOND_NS


async def read_all(way: Way, reads: list[tuple[int, Block]]) -> list[list[int] | str]:
    """What came of each read: words, or the kind of error."""
    found: list[list[int] | str] = []
    for unit, block in reads:
        try:
            found.append((await way.read(unit, block, timeout_s=2.0 if unit != 3 else 0.1)).tolist())
        except LinkError as error:
            found.append(type(error).__name__)
    way.close()
    await asyncio.sleep(0.01)
    return found


async def recorded() -> tuple[Session, list[tuple[int, Block]], list[list[int] | str]]:
    """A session with four instruments whose clock goes on with every read, one of them silent."""
    site, sensors = small_site(free_port())
    moments = itertools.count(AT_NS, SECOND_NS)
    silent = [parse_fault("flow:silent")]
    simulator = Simulator([(site, sensors)], seed=7, fault=silent, clock_ns=lambda: next(moments))
    assert await simulator.start() == []
    asked = [(s.settings.link.unit, block) for s in sensors for block in s.plan.blocks]
    reads = [one for one in asked if one[0] != 3] * 3
    reads += [(1, Block(3, 60000, 1)), next(one for one in asked if one[0] == 3)]
    lines: list[str] = []
    link = sensors[0].settings.link
    came = await read_all(Recorded(open_link(link), lines.append, "tcp://roof:502?unit=1"), reads)
    await simulator.stop()
    session, faults = parse_session("".join(lines), "s")
    assert faults == []
    return session, reads, came


@pytest.mark.parametrize("kind", ["tcp", "rtu+tcp", "rtu"])
def test_the_same_reads_give_the_same(kind: str, tmp_path: Path) -> None:
    async def scene() -> None:
        session, reads, came = await recorded()
        assert came[-2:] == ["Refused", "NoAnswer"]
        assert len({str(words) for words in came[:-2]}) > len(set(reads)), "the values of the plant go on"
        player = Player(Playback(session), lambda *_: None)
        place = str(tmp_path / "line") if kind == "rtu" else "127.0.0.1"
        port = await player.start(Link(kind=kind, address=place, port=0, unit=1))
        assert await read_all(open_link(Link(kind=kind, address=place, port=port, unit=1)), reads) == came
        await player.stop()

    asyncio.run(scene())


def record(folder: Path) -> Path:
    """A sound level meter that was read for two seconds."""
    file = folder / "roof.jsonl"
    exchanges = [
        Exchange(t_s=t, unit=1, block=Block(3, 0, 2), took_ms=5.0, words=(465 + n, 524))
        for n, t in enumerate((0.0, 1.0, 2.0))
    ]
    file.write_text(write_header("tcp://10.0.0.5:502?unit=1", AT_NS) + "".join(map(write_exchange, exchanges)))
    return file


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def ask(port: int, pdu: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
        connection.sendall(bytes.fromhex(f"0001 0000 0006 01 {pdu}"))
        return connection.recv(100)[7:]


def test_the_command_serves_a_record_says_that_it_ends_and_goes_on(tmp_path: Path) -> None:
    process = start("--replay", str(record(tmp_path)), "--port", "0", "--speed", "20", "--json")
    serving = told(process)
    assert (serving["what"], serving["requests"], serving["recorded"]) == ("serving", 3, "tcp://10.0.0.5:502?unit=1")
    links = serving["links"]
    assert isinstance(links, dict)
    port = int(str(links["1"]).partition("?")[0].rpartition(":")[2])
    assert ask(port, "03 0000 0002") == bytes.fromhex("03 04 01d1 020c")
    assert ask(port, "03 0001 0001") == bytes.fromhex("03 02 020c")
    assert ask(port, "03 0002 0001") == bytes.fromhex("83 02")
    assert told(process)["what"] == "ended"
    assert ask(port, "03 0000 0001") == bytes.fromhex("03 02 01d3")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.communicate()


def test_a_record_that_was_cut_is_served_and_said(tmp_path: Path) -> None:
    cut = record(tmp_path)
    cut.write_text(cut.read_text()[:-20])
    serving = start("--replay", str(cut), "--port", "0", "--loop")
    assert serving.stdout is not None
    assert "2 requests" in serving.stdout.readline()
    serving.send_signal(signal.SIGTERM)
    _, error = serving.communicate(timeout=30)
    assert serving.returncode == 0
    assert "roof.jsonl:4: the file ends within this line" in error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give a site"),
        (("site.toml", "--replay", "roof.jsonl"), 2, "give a site"),
        (("--replay", "roof.jsonl", "--fault", "silent"), 2, "a record has the faults"),
        (("--replay", "roof.jsonl", "--link", "tpc://h"), 2, "not a link address"),
        (("site.toml", "--loop"), 2, "belongs to --replay"),
        (("--replay", "no.jsonl"), 2, "no.jsonl: No such file"),
        (("--replay", "empty.jsonl"), 1, "no request is recorded"),
    ],
)
def test_mistakes_are_explained(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(record(tmp_path).parent)
    Path("empty.jsonl").write_text(write_header("tcp://h", 0))
    assert main(["simulate", *arguments]) == code
    assert said in capsys.readouterr().err

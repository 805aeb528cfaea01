"""The command `emitwatch probe` over real TCP, RTU over TCP and a pseudo-terminal: what it finds, prints and writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from gateway import catalogue
from gateway.links.address import Link
from gateway.probe_command import probe
from gateway.session_file import parse_session
from simulators import modbus
from tests.gateway.behind import behind
from tests.gateway.lines import HANG_UP, KINDS, Act, Device, Request
from tests.gateway.ports import free_port

ROOT = Path(__file__).parent.parent.parent
QUICK = ("--asks", "3", "--times", "3", "--every", "0.01", "--most", "260")
LETTERS = [0x4D43, 0x5331, 0x3030]  # MCS100

app = typer.Typer()
app.command()(probe)


class Analyser:
    """Unit 3: two floats CDAB at 4:138, letters at 3:0, a status bit at 2:0; each reading a little beside the last."""

    def __init__(self) -> None:
        self.readings = 0

    def memory(self) -> modbus.Memory:
        self.readings += 1
        wobble = 1 + 0.001 * (self.readings * 7 % 5 - 2)
        floats = np.array([35.2 * wobble, 8.13 * wobble], ">f4").view(">u2").astype(np.uint16).reshape(2, 2)[:, ::-1]
        return modbus.memory([
            (4, 138, floats.ravel()), (3, 0, np.array(LETTERS, np.uint16)), (2, 0, np.array([1, 0], np.uint16)),
        ])  # fmt: skip

    def answer(self, request: Request) -> Sequence[Act]:
        if request.unit != 3:
            return [request.frame(modbus.refusal(request.fc, 11))] if request.kind == "tcp" else []
        pdu = request.raw[-5:] if request.kind == "tcp" else request.raw[1:-2]
        return [request.frame(modbus.answer(self.memory(), pdu))]


def place(link: Link, unit: int = 3) -> str:
    if link.kind == "rtu":
        return f"rtu://{link.address}?baud={link.line.baud}&unit={unit}"
    return f"{link.kind}://{link.address}:{link.port}?unit={unit}"


@contextmanager
def instrument(
    kind: str, folder: Path, script: Callable[[Request], Sequence[Act]] | None = None, unit: int = 3
) -> Iterator[str]:
    """The analyser, or something that misbehaves, at the end of a link of a kind."""
    device = Device(kind, folder, script=script or Analyser().answer)
    with behind(device):
        yield place(device.link, unit)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.stdout, done.output
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return {**found, "exit": done.exit_code}


@pytest.mark.parametrize("kind", KINDS)
def test_registers_are_found_read_and_understood(kind: str, tmp_path: Path) -> None:
    with instrument(kind, tmp_path) as link:
        found = told(link, "--expect", "SO2=35.2,O2=8.1", *QUICK)
    assert found["exit"] == 0, found["faults"]
    assert found["registers"]["exist"] == [
        {"fc": 2, "address": 0, "count": 2},
        {"fc": 3, "address": 0, "count": 3},
        {"fc": 4, "address": 138, "count": 4},
    ]
    assert found["bits"] == [{"fc": 2, "address": 0, "readings": [1, 1, 1]}]
    for wanted, parameter in zip((("SO2", 138, 35.2), ("O2", 140, 8.1)), found["expected"], strict=True):
        chosen = parameter["chosen"]
        assert (parameter["parameter"], chosen["address"]) == wanted[:2]
        assert (chosen["type"], chosen["order"], chosen["scale"]) == ("float32", "CDAB", 1.0)
        assert chosen["value"] == pytest.approx(wanted[2], rel=0.02)
        assert chosen["score"] >= 90
        assert chosen["manual"] == f"30{wanted[1] + 1}"
    quality = found["link_quality"]
    assert quality["time_outs"] == quality["bad_frames"] == 0
    assert quality["min_ms"] <= quality["median_ms"] <= quality["p99_ms"]
    assert quality["bytes_a_second"] > 0
    assert quality["turnaround"]["request_ms"] > 0 or kind == "rtu", "besides the time its bytes take, which are none"


def test_a_person_sees_tables(tmp_path: Path) -> None:
    with instrument("tcp", tmp_path) as link:
        shown = run(link, "--expect", "SO2", *QUICK)
        bare = run(link, *QUICK)
    assert shown.exit_code == 0, shown.output
    for text in ("holding registers (3)", "30139 to 30142", "MC", "usual for SO2", "float32 CDAB", "turnaround"):
        assert text in shown.stdout
    assert "numbers that seem to be there" in bare.stdout
    assert len(re.findall(r"float32 CDAB +(35\.|8\.1)", bare.stdout)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_found_and_a_refusal_is_an_answer(kind: str, tmp_path: Path) -> None:
    with instrument(kind, tmp_path, unit=1) as link:
        named = told(link, "--units", "2-5", "--address", 138, "--count", 4, "--fc", 4, *QUICK)
        silent = told(link, "--address", 138, "--count", 4, "--fc", 4, *QUICK, "--timeout", 0.2)
    assert named["scanned"] == [2, 3, 4, 5]
    assert named["units"] == {"3": "answers with exception 2"}
    assert named["unit"] == silent["unit"] == 3, "it looks further where the link's unit is silent"
    assert named["registers"]["exist"] == silent["registers"]["exist"] == [{"fc": 4, "address": 138, "count": 4}]


def test_baud_rates_and_parities_are_tried(tmp_path: Path) -> None:
    with instrument("rtu", tmp_path) as link:
        found = told(link, "--bauds", "19200,9600", "--parities", "E,N", "--address", 138, "--count", 4, *QUICK)
    assert found["lines"][-1] == {"baud": 19200, "parity": "N", "answered": True, "what": "unit 3 answers"}
    assert not any(line["answered"] for line in found["lines"][:-1])
    with instrument("rtu", tmp_path, script=lambda request: [b"\x00\xff\x00"]) as link:
        found = told(link, "--bauds", "19200,9600", "--parities", "N", *QUICK)
    assert [line["answered"] for line in found["lines"]] == [False, False]
    assert found["lines"][0]["what"] == "something is heard, and no frame in it"
    assert found["exit"] == 1
    assert {fault["kind"] for fault in found["faults"]} >= {"speed"}


def test_a_draft_can_be_checked_and_tried(tmp_path: Path) -> None:
    draft = tmp_path / "mine.toml"
    with instrument("tcp", tmp_path) as link:
        done = run(link, "--expect", "SO2=35.2,O2", "--profile-draft", draft, *QUICK)
    assert done.exit_code == 0, done.output
    assert "emitwatch profiles check" in done.stdout
    profile = catalogue.load_profile(str(draft))
    assert (profile.name, profile.kind, profile.parameters) == ("mine", "stack", ("SO2", "O2"))
    assert [(r.address, r.type, r.order) for r in profile.registers] == [
        (138, "float32", "CDAB"),
        (140, "float32", "CDAB"),
    ]
    assert profile.unverified
    assert "guessed" in draft.read_text()
    assert "not cited yet" in profile.registers[0].manual


def test_a_draft_needs_to_know_what_is_measured(tmp_path: Path) -> None:
    done = run("tcp://127.0.0.1:502", "--profile-draft", tmp_path / "mine.toml")
    assert done.exit_code == 2
    assert "--expect" in done.stderr


def zero(request: Request) -> Sequence[Act]:
    return [request.frame(tid=0)]


def echo(request: Request) -> Sequence[Act]:
    return [request.raw + request.frame()]


def hang_up(request: Request) -> Sequence[Act]:
    return [HANG_UP]


def half(request: Request) -> Sequence[Act]:
    return [request.frame()[:4]]


def silent(request: Request) -> Sequence[Act]:
    return []


def broken(request: Request) -> Sequence[Act]:
    return [request.frame(modbus.refusal(request.fc, 4))]


def noisy(request: Request) -> Sequence[Act]:
    wrong = bytearray(request.frame())
    wrong[-1] ^= 1
    return [bytes(wrong)]


@pytest.mark.parametrize(
    ("kind", "script", "fault"),
    [
        ("tcp", hang_up, "hang-up"), ("rtu+tcp", hang_up, "hang-up"),
        ("tcp", zero, "transaction 0"), ("rtu", echo, "echo"), ("rtu+tcp", echo, "echo"), ("rtu", half, "half"),
        ("rtu+tcp", silent, "silence"), ("tcp", silent, "silence"), ("rtu", noisy, "check sum"),
        ("rtu+tcp", broken, "exception 4"), ("tcp", broken, "exception 4"),
    ],
)  # fmt: skip
def test_faults_are_named(kind: str, script: Callable[[Request], Sequence[Act]], fault: str, tmp_path: Path) -> None:
    some = ("--address", 10, "--count", 4, "--fc", 3, "--timeout", 0.1, "--units", "3")
    with instrument(kind, tmp_path, script) as link:
        found = told(link, *some, *QUICK)
        shown = run(link, *some, *QUICK)
    assert found["exit"] == shown.exit_code == 1
    kinds = {one["kind"]: one for one in found["faults"]}
    assert fault in kinds
    assert f"hint: {kinds[fault]['do']}" in shown.stdout
    assert found["tid_zero_ok"] == (fault == "transaction 0")
    if fault == "transaction 0":
        assert found["registers"]["exist"] == [{"fc": 3, "address": 10, "count": 4}], "it goes on with more care"


def test_no_connection_is_told_with_a_hint(tmp_path: Path) -> None:
    for link in (f"tcp://127.0.0.1:{free_port()}", f"rtu://{tmp_path}/nothing"):
        done = run(link)
        assert done.exit_code == 2
        assert "hint:" in done.stderr
        assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ("nix://x",), ("tcp://h", "--units", "0-900"), ("tcp://h", "--fc", "6"), ("tcp://h", "--expect", "unobtainium"),
        ("tcp://h", "--expect", "SO2=much"), ("tcp://h", "--expect", "SO2,so2"), ("tcp://h", "--bauds", "9600"),
        ("rtu:///dev/x", "--bauds", "9601"), ("rtu:///dev/x", "--bauds", "all", "--parities", "X"),
        ("tcp://h", "--address", "65500"), ("tcp://h", "--profile", "nix"), ("tcp://h", "--kind", "air"),
        ("rtu:///dev/x", "--units", "0-3"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said_before_anything_is_asked(wrong: Sequence[str]) -> None:
    done = run(*wrong)
    assert done.exit_code == 2
    assert "hint:" in done.stderr


def test_a_session_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "roof.session"
    some = ("--address", 138, "--count", 8, "--fc", 4, "--record", file, *QUICK)
    with instrument("tcp", tmp_path) as link:
        found = told(link, *some)
        assert run(link, *some[:-2], "--record", tmp_path / "no" / "where").exit_code == 2
    session, faults = parse_session(file.read_text("ascii"), str(file))
    assert faults == []
    assert session is not None
    assert session.link == link
    assert len(session.exchanges) == found["link_quality"]["requests"]
    assert {exchange.refused for exchange in session.exchanges} == {0, 2}


def test_the_range_of_a_profile_is_expected(tmp_path: Path) -> None:
    with instrument("tcp", tmp_path) as link:
        found = told(link, "--profile", "sick-mcs100ft", "--address", 138, "--count", 4, "--fc", 4, *QUICK)
    profile = catalogue.profiles()["sick-mcs100ft"]
    assert [one["parameter"] for one in found["expected"]] == list(profile.parameters)
    assert found["expected"][0]["high"] == profile.registers[0].high


def test_ctrl_c_shows_what_was_found_by_then(tmp_path: Path) -> None:
    arguments = ["--address", "138", "--count", "4", "--fc", "4", "--times", "1000", "--every", "0.05", "--json"]
    analyser = Analyser()
    with instrument("tcp", tmp_path, analyser.answer) as link:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "probe", link, *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        try:
            end = time.monotonic() + 30.0
            while analyser.readings < 10 and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            said, wrong = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130, wrong
    assert "Traceback" not in wrong
    found = json.loads(said)
    assert found["interrupted"]
    assert found["registers"]["exist"] == [{"fc": 4, "address": 138, "count": 4}]
    assert len(found["words"][0]["readings"]) > 1

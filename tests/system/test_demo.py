"""`emitwatch demo` as a whole: nothing lost, exceedances found and told, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators import broker
from simulators.__main__ import PARENT
from simulators.line import port_is_free

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

DEMO = [sys.executable, "-c", "import sys; from api.cli import main; sys.exit(main())", "demo", "--port", "0"]
SHORT = ["--hours", "1"]
needs_mosquitto = pytest.mark.skipif(
    not shutil.which("mosquitto", path=broker.PLACES), reason="mosquitto is not installed: `make servers`"
)


class Demo:
    """A running demonstration with a folder for temporary files of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".out")
        folder.mkdir()
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*DEMO, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
                start_new_session=True,
            )

    def text(self) -> str:
        """What it has said so far."""
        return self.output.read_text("utf-8", "replace")

    def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Wait until it has said something."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(pattern, self.text()):
                return found
            time.sleep(0.05)
        raise AssertionError(f"it did not say {pattern!r} but:\n{self.text()}")

    def children(self) -> dict[int, str]:
        """Its processes that still run, and their command lines."""
        mark = f"{PARENT}={self.process.pid}".encode()
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found[int(place.name)] = (place / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    def ports(self) -> set[int]:
        """The local ports its site files name, and the broker's and the page's."""
        text = "".join(file.read_text() for file in self.folder.glob("*/site/*.toml"))
        return {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)} | {
            int(port) for port in re.findall(r"^port = (\d+)", text, re.MULTILINE)
        }


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Demonstrations that are killed at the end of a test, whatever became of them."""
    running: list[Demo] = []
    yield running
    for demo in running:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def nothing_left(demo: Demo, ports: set[int], within_s: float) -> None:
    """Assert that children, ports and files are gone within a time."""
    end = time.monotonic() + within_s
    while (demo.children() or taken(ports)) and time.monotonic() < end:
        time.sleep(0.05)
    assert demo.children() == {}
    assert taken(ports) == set()


def taken(ports: set[int]) -> set[int]:
    """Which local ports somebody listens on."""
    return {port for port in ports if not port_is_free(port)}


@pytest.mark.parametrize("kind", ["amqtt", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_nothing_is_lost_and_exceedances_are_told(kind: str, tmp_path: Path, demos: list[Demo]) -> None:
    file = tmp_path / "report.json"
    demo = Demo(tmp_path / "tmp", "--for", "10", "--report", str(file), "--broker", kind)
    demos.append(demo)
    demo.wait_for(r"http://127\.0\.0\.1:\d+/", 60)
    ports = demo.ports()
    assert demo.process.wait(200) == 0, demo.text()
    report: dict[str, Any] = json.loads(file.read_text())
    assert report["broker"] == kind
    assert (report["lost"], report["duplicated"], report["foreign"]) == (0, 0, 0)
    assert report["measured"] == report["stored"] > 2_000_000
    for found in (report["exceedances"], report["notices"]):
        night = sum(n for key, n in found.items() if key.startswith("gb12348-2008/night-"))
        stack = sum(n for key, n in found.items() if key.startswith("ultra-low-2015/"))
        assert night >= 1
        assert stack >= 1
    assert report["incidents"] >= 2
    assert report["url"].startswith("http://127.0.0.1:")
    assert report["timings"]["live_s"] < 60
    nothing_left(demo, ports, 1)
    assert list(demo.folder.iterdir()) == []


def test_ctrl_c_ends_everything(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "tmp", *SHORT)
    demos.append(demo)
    demo.wait_for(r"live values since", 60)
    ports = demo.ports()
    assert len(ports) >= 6
    assert len(demo.children()) >= 5
    # As the terminal does it: to the whole group.
    os.killpg(demo.process.pid, signal.SIGINT)
    started = time.monotonic()
    assert demo.process.wait(12) in (0, 130)
    assert time.monotonic() - started < 10
    nothing_left(demo, ports, 0)
    assert list(demo.folder.iterdir()) == []
    assert "Traceback" not in demo.text()


def test_ctrl_c_in_the_middle_of_the_back_fill(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "tmp")
    demos.append(demo)
    demo.wait_for(r"The page is at", 60)
    os.killpg(demo.process.pid, signal.SIGINT)
    started = time.monotonic()
    assert demo.process.wait(12) in (0, 130)
    assert time.monotonic() - started < 10
    nothing_left(demo, set(), 0)
    assert list(demo.folder.iterdir()) == []
    assert "Traceback" not in demo.text()


@pytest.mark.usefixtures("quiet")
def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "tmp", *SHORT)
    demos.append(demo)
    demo.wait_for(r"The page is at", 60)
    os.killpg(demo.process.pid, signal.SIGINT)
    time.sleep(0.1)
    if demo.process.poll() is None:
        os.killpg(demo.process.pid, signal.SIGINT)
    started = time.monotonic()
    assert demo.process.wait(5) in (0, 130)
    assert time.monotonic() - started < 1.5
    nothing_left(demo, set(), 2)
    assert list(demo.folder.iterdir()) == []


def test_a_killed_demo_takes_its_children_with_it(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "tmp", *SHORT)
    demos.append(demo)
    demo.wait_for(r"The page is at", 60)
    ports = demo.ports()
    demo.process.kill()
    demo.process.wait()
    nothing_left(demo, ports, 10)
    # A killed process cannot tidy up; the next demonstration does it first of all.
    assert len(list(demo.folder.iterdir())) == 1
    code = "from pathlib import Path; from simulators.demo import sweep; import sys; sweep(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(demo.folder)], check=True)
    assert list(demo.folder.iterdir()) == []


def test_mistakes_are_explained_and_nothing_starts(tmp_path: Path, demos: list[Demo]) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        cases = [
            (("--port", port), f"port {port} is in use"),
            (("--broker", "rabbit"), "amqtt or mosquitto"),
            (("--data", str(kept)), "not empty"),
        ]
        for number, (arguments, says) in enumerate(cases):
            demo = Demo(tmp_path / f"tmp{number}", *arguments)
            demos.append(demo)
            assert demo.process.wait(20) == 2
            assert says in demo.text()
            assert list(demo.folder.iterdir()) == []


def test_a_kept_folder_stays(tmp_path: Path, demos: list[Demo]) -> None:
    kept = tmp_path / "kept"
    demo = Demo(tmp_path / "tmp", *SHORT, "--for", "0", "--data", str(kept))
    demos.append(demo)
    assert demo.process.wait(100) == 0, demo.text()
    assert (kept / "data" / "collector" / "store.duckdb").exists()
    assert (kept / "site" / "riverside.toml").exists()
    assert list(demo.folder.iterdir()) == []


def test_a_part_that_dies_is_named(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path / "tmp", *SHORT)
    demos.append(demo)
    demo.wait_for(r"The page is at", 60)
    gateway = next(pid for pid, words in demo.children().items() if "harbour-gw" in words)
    os.kill(gateway, signal.SIGKILL)
    assert demo.process.wait(20) == 1
    assert "gateway-harbour-gw ended by itself" in demo.text()
    nothing_left(demo, set(), 0)
    assert list(demo.folder.iterdir()) == []

"""The service manager hears of a gateway; where there is none, or it has gone, the gateway goes on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.service import PULSES, Manager

UNIT = Path(__file__).parent.parent.parent / "docs" / "how-to" / "emitwatch-gateway.service"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(5)
        yield link


def told(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


@pytest.mark.parametrize("pid", [{}, {"WATCHDOG_PID": str(os.getpid())}])
def test_what_a_manager_hears(manager: socket.socket, pid: dict[str, str]) -> None:
    every_s = 0.2
    found = Manager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": f"{every_s * 1e6:.0f}", **pid})
    found.ready("a-gw polls 3 sensors")
    assert told(manager) == "READY=1\nSTATUS=a-gw polls 3 sensors"
    end = time.monotonic() + 2 * every_s
    while time.monotonic() < end:
        found.alive()
        time.sleep(0.005)
    found.ending()
    heard = []
    while (words := told(manager)) != "STOPPING=1":
        heard.append(words)
    assert set(heard) == {"WATCHDOG=1"}
    assert len(heard) <= 2 * PULSES + 1, "not each time it is called"


def test_a_watchdog_of_another_process_is_not_fed(manager: socket.socket) -> None:
    found = Manager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    found.alive()
    found.ending()
    assert told(manager) == "STOPPING=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere"}, {"NOTIFY_SOCKET": "@emitwatch-gone"}])
def test_without_a_manager_nothing_is_said(manager: socket.socket, environment: dict[str, str]) -> None:
    found = Manager({**environment, "WATCHDOG_USEC": "1"})
    found.ready("x")
    found.alive()
    found.ending()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1)


def test_the_unit_is_one_and_is_hardened(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/emitwatch/bin/emitwatch", "/bin/true"), "utf-8")
    checked = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    words = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    assert subprocess.run(words, capture_output=True, text=True, check=False).returncode == 0

"""Disks that are full or break, under real processes: they stop or wait, and nothing they promised is lost.

A file system of a few megabytes is filled while gateway and collector write to it; and strace lets
single calls of theirs fail, as a disk does that has no room or is broken.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.children import tail
from tests.conftest import server
from tests.effort import FULL
from tests.gateway.batches import wait_until
from tests.system.chaos import Line, line
from tests.system.chaos_oracle import count

SIZE = "size=48m"
FULL_S = 5.0
PATIENCE_S = 30.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; the test is skipped, loudly, where nobody may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system cannot be mounted (not root, or a closed container): full disks are not tried")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def strace() -> str:
    """The program that lets system calls fail."""
    return server("strace")


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536) if shutil.disk_usage(folder).free >= 65536 else bytes(4096))
        except OSError:
            return ballast


def nothing_is_missing(found: Line) -> None:
    counted = count(found.finish())
    assert (counted.lost, counted.duplicated, counted.unexplained_gaps) == (0, 0, 0), counted
    assert counted.stored > 0


@pytest.mark.system
@pytest.mark.timeout(180)
def test_a_full_disk_is_waited_out_by_gateway_and_collector(mosquitto: str, tmp_path: Path, small_disk: Path) -> None:
    with line(tmp_path, points=10, persistence="off", data=small_disk) as found:
        ballast = fill(small_disk)
        time.sleep(FULL_S)
        assert not found.children.surprises(), [tail(child) for child in found.children.surprises()]
        ballast.unlink()
        time.sleep(1)
        nothing_is_missing(found)
        assert not found.children.surprises(), [tail(child) for child in found.children.surprises()]
        told = (tmp_path / "log" / "gateway.log").read_text()
        assert "The disk is full; measurements wait in memory" in told
        assert "The outbox takes measurements again" in told


def failing(strace: str, calls: str, error: str, when: str) -> list[str]:
    """The words that run a program whose calls fail; -D: it stays the child, and strace is a bystander."""
    inject = f"inject={calls}:error={error}:when={when}"
    return [strace, "-D", "-f", "--seccomp-bpf", "-qqq", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject]


if FULL:  # what the full disk above does not show: it breaks, or single writes fail among others that do not

    @pytest.mark.system
    @pytest.mark.timeout(240)
    @pytest.mark.parametrize("name", ["gateway", "collector"])
    def test_a_broken_disk_stops_a_process_and_nothing_is_lost(
        mosquitto: str, strace: str, tmp_path: Path, name: str
    ) -> None:
        with line(tmp_path, points=10, persistence="off") as found:
            found.children.stop([found.running[name]], 10)
            found.revive(name, *failing(strace, "fsync,fdatasync", "EIO", {"gateway": "9+", "collector": "4+"}[name]))
            child, log = found.running[name], tmp_path / "log" / f"{name}.log"
            wait_until(lambda: not child.running or "The recorder ended" in log.read_text(), 60)
            assert name == "collector" or not child.running
            child.process.kill()
            child.ending = True
            found.revive(name)
            nothing_is_missing(found)

    @pytest.mark.system
    @pytest.mark.timeout(240)
    @pytest.mark.parametrize("name", ["gateway", "collector"])
    def test_some_writes_that_find_no_room_are_waited_out(
        mosquitto: str, strace: str, tmp_path: Path, name: str
    ) -> None:
        with line(tmp_path, points=10, persistence="off") as found:
            found.children.stop([found.running[name]], 10)
            found.revive(name, *failing(strace, "pwrite64", "ENOSPC", "40..44"))
            log = tmp_path / "log" / f"{name}.log"
            again = {"gateway": "The outbox takes measurements again", "collector": "The journal takes batches again"}
            wait_until(lambda: again[name] in log.read_text(), 60)
            assert found.running[name].running
            nothing_is_missing(found)

"""Disks that are full or break, under real processes: they stop or wait, and nothing they promised is lost.

A file system of a few megabytes is filled while gateway and collector write to it; and single calls of theirs
fail, one after the other (`disk_faults`), as on a disk that has no room or is broken.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from simulators.children import tail
from tests.conftest import server
from tests.effort import DISK_FAULTS, FULL, KILLED_AT
from tests.system import disk_faults
from tests.system.chaos import Line, line
from tests.system.chaos_oracle import count
from tests.system.disk_faults import FAULTS, KILLS, Kind

SIZE = "size=48m"
FULL_S = 5.0


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


if FULL:  # minutes, and on a machine that has room: a poll that waits too long for its commit has no excuse

    @pytest.mark.system
    @pytest.mark.timeout(120 + 15 * DISK_FAULTS)
    @pytest.mark.parametrize(
        ("kinds", "points"), [(FAULTS, DISK_FAULTS), (KILLS, KILLED_AT)], ids=["fails", "is the last"]
    )
    def test_whatever_call_to_the_disk_fails_or_is_the_last_nothing_is_lost(
        mosquitto: str, strace: str, tmp_path: Path, kinds: Sequence[Kind], points: int
    ) -> None:
        counted, outcomes = disk_faults.run(tmp_path, points, kinds)
        assert (counted.lost, counted.duplicated, counted.unexplained_gaps) == (0, 0, 0), (counted, outcomes)
        assert counted.stored > 0
        for outcome in outcomes.values():
            assert sum(outcome.reached.values()) == outcome.ended + outcome.stayed == points

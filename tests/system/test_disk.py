"""Disks that are full or break, under real processes: they stop or wait, and nothing they promised is lost.

A file system of a few megabytes is filled while gateway and collector write to it; and single calls of theirs
fail, one after the other (`disk_faults`), as on a disk that has no room or is broken.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway import seal, wire
from gateway.spooler import Spooler
from simulators.children import tail
from tests.conftest import server
from tests.effort import DISK_FAULTS, FULL, KILLED_AT, examples
from tests.gateway.batches import KEY
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
        # Which comes first depends on what found it full: measurements, or a record, which opens the reserve.
        assert "The disk is full; " in told
        assert "The outbox takes measurements again" in told or "The outbox has room again" in told


WRITER = """
import sys
from gateway.spooler import Spooler, SpoolError
from tests.gateway.batches import KEY, columns
spooler = Spooler(sys.argv[1], "riverside", "riverside-gw", KEY)
for turn in range(500):
    spooler.put(columns(20))
    try:
        spooler.flush()
    except SpoolError:
        break
    print(spooler.epoch.hex(), spooler.pending(999)[-1].seq, flush=True)
try:
    spooler.close()
except SpoolError as error:
    sys.exit(str(error))
"""


@pytest.mark.system
@pytest.mark.parametrize("when", range(9, 9 + examples(1, 60)))
def test_after_a_failed_fsync_an_outbox_is_not_touched_again(strace: str, tmp_path: Path, when: int) -> None:
    # One fsync fails and those after it would not, as Linux has it: whoever tries again is told a lie.
    trace, calls = tmp_path / "trace", "fsync,fdatasync"
    words = [strace, "-f", "--seccomp-bpf", "-y", "-qqq", "-o", str(trace), "-e", f"trace={calls},pwrite64,unlink"]
    words += ["-e", f"inject={calls}:error=EIO:when={when}", sys.executable, "-c", WRITER, str(tmp_path / "gw")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    before, after = trace.read_text().split("INJECTED", 1)
    beside = "/unsaved>" in before.splitlines()[-1]  # the note of what memory holds: no outbox file, and written anew
    assert ("nothing is tried again" in ended.stderr, "/outbox/" in after) == (not beside, beside)
    said = {(bytes.fromhex(epoch), int(seq)) for epoch, seq in map(str.split, ended.stdout.splitlines())}
    with contextlib.closing(Spooler(tmp_path / "gw", "riverside", "riverside-gw", KEY)) as found:
        rows = found.pending(999)
        assert said <= {row.key for row in rows}
        hello = next(row for row in rows if row.epoch == found.epoch)
        assert wire.decode(seal.verify(hello.payload, KEY.public_key())).fields["reason"] == (
            "start" if beside else "crash"
        )


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

"""The collector's disk is lost: its backup is put back, and the gateways send again what the backup lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.effort import KILLED_POINTS, RESTORE_S
from tests.gateway.batches import wait_until
from tests.system.chaos import Line, line
from tests.system.chaos_oracle import count

RECOVERY_S = 600  # the longest it may take until everything is there again


def acknowledged(found: Line) -> int:
    """How many batches are at least: what is sealed between the two counts is in the second alone."""
    sealed = found.sealed()
    return sealed - found.unacked(time.time_ns())


@pytest.mark.system
@pytest.mark.timeout(120 + 4 * RESTORE_S)
def test_a_lost_collector_comes_back_from_its_backup_with_everything(mosquitto: str, tmp_path: Path) -> None:
    with line(tmp_path, points=KILLED_POINTS) as found:
        collector = found.data / "collector"
        made = subprocess.run(
            [sys.executable, "-m", "api.cli", "backup", str(found.site), str(tmp_path / "backup")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        had = found.sealed()
        time.sleep(RESTORE_S)
        wait_until(lambda: acknowledged(found) > had, 60)  # the line goes on after its backup
        child = found.running["collector"]
        child.ending = True
        child.process.kill()
        child.process.wait()
        shutil.rmtree(collector)
        lost_at, acked = time.monotonic(), acknowledged(found)
        shutil.copytree(tmp_path / "backup", collector)
        found.revive("collector")
        wait_until(lambda: "is sent again" in (tmp_path / "log" / "gateway.log").read_text(), 60)
        wait_until(lambda: found.unacked(time.time_ns() - 10**9) == 0, RECOVERY_S)
        recovered_s = time.monotonic() - lost_at
        counted = count(found.finish())
        print(f"{acked} batches acknowledged, everything there again {recovered_s:.1f} s after the loss: {counted}")
        assert (counted.lost, counted.duplicated, counted.unexplained_gaps) == (0, 0, 0), counted
        assert recovered_s < RECOVERY_S

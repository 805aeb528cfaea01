"""The log of a process whose log cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TELLS = """
import sys, structlog
from gateway.log_stream import log_to
if sys.argv[1] == "patient":
    log_to()
log = structlog.get_logger()
for turn in range(200):  # more than what the stream keeps until there is room
    log.error("The disk is full.", turn=turn, room=" " * 100)
sys.stderr.write("it works on")
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("how", ["patient", "as it comes"])
def test_a_log_without_room_ends_nobody(how: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", TELLS, how], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ("it works on" in ended.stderr) == (how == "patient"), ended.stderr
    assert (ended.returncode == 0) == (how == "patient")


def test_what_can_be_written_is() -> None:
    told = subprocess.run([sys.executable, "-c", TELLS, "patient"], capture_output=True, text=True, check=True).stdout
    assert told.count("The disk is full.") == 200

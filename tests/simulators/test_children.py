"""Processes that end with the one that started them, asked or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from simulators.children import Children, tail
from tests.gateway.batches import PATIENCE_S

STARTER = """
import sys, time
from pathlib import Path
from simulators.children import Children
children = Children(Path(sys.argv[1]))
child = children.exec("sleeper", ["/bin/sleep", "60"])
print(child.process.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int, timeout_s: float = PATIENCE_S) -> bool:
    """Whether a process ends within a time (a zombie has ended)."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def wait_for_program(pid: int, name: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and name not in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]:
        time.sleep(0.02)


def test_a_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    wait_for_program(pid, "sleep")
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert gone(pid)


def test_children_end_when_asked_and_are_killed_when_they_do_not(tmp_path: Path) -> None:
    children = Children(tmp_path)
    polite = children.exec("polite", ["/bin/sleep", "60"])
    deaf = children.exec("deaf", ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"])
    wait_for_program(polite.process.pid, "sleep")
    end = time.monotonic() + PATIENCE_S
    while "deaf" not in tail(deaf) and time.monotonic() < end:
        time.sleep(0.02)
    assert children.surprises() == []
    assert children.stop_all(2.0) == [deaf]
    assert not polite.running
    assert not deaf.running
    assert polite.process.returncode == -signal.SIGTERM


def test_lines_of_a_child_are_handed_on_and_its_end_is_a_surprise(tmp_path: Path) -> None:
    lines: list[str] = []
    children = Children(tmp_path)
    child = children.call("talker", "simulators.faults:known", {}, lines=lines.append)
    child.process.wait(PATIENCE_S)
    # `known` returns a text, which is no exit code: the child ends with a traceback in its log.
    assert children.surprises() == [child]
    assert "ValueError" in tail(child)
    assert lines == []


def test_children_do_not_share_the_terminals_signals(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.exec("sleeper", ["/bin/sleep", "60"])
    try:
        assert os.getsid(child.process.pid) != os.getsid(0)
    finally:
        children.kill_all()
        child.process.wait(PATIENCE_S)

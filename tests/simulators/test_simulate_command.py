"""`emitwatch simulate` as a person uses it."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.gateway.batches import PATIENCE_S
from tests.simulators.plants import free_port, site_text

CLI = [sys.executable, "-c", "import sys; from api.cli import main; sys.exit(main())", "simulate"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*CLI, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def site_file(folder: Path, port: int) -> str:
    file = folder / "site.toml"
    file.write_text(site_text(port))
    return str(file)


def test_it_says_what_it_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    process = start(site_file(tmp_path, port), "--fault", "cems:exception=4")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[0].strip() == f"tcp://127.0.0.1:{port}?unit=1  slm at fence, emitwatch-noise"
    assert "[exception]" in lines[1]
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(bytes.fromhex("0001 0000 0006 02 03 0000 0001"))
        assert connection.recv(100) == bytes.fromhex("0001 0000 0003 02 83 04")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0
    process.communicate()


def test_mistakes_are_explained(tmp_path: Path) -> None:
    port = free_port()
    file = site_file(tmp_path, port)
    cases = [
        ((file, "--fault", "slient"), 2, "did you mean"),
        ((file, "--fault", "slm-2:silent"), 2, "there is no sensor 'slm-2'"),
        ((file, "--show", "slm/LAq=94"), 2, "did you mean 'LAeq'"),
        ((str(tmp_path / "no.toml"),), 1, "no.toml"),
    ]
    processes = [(start(*arguments), code, says) for arguments, code, says in cases]
    for process, code, says in processes:
        _, error = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, says in error) == (code, True), error
        assert "Traceback" not in error


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(site_file(tmp_path, port))
        _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert f"cannot serve 127.0.0.1:{port}" in error
    assert "Traceback" not in error


def test_an_instrument_shows_what_a_calibrator_has_it_show(tmp_path: Path) -> None:
    """On a terminal, where it can be taken off again."""
    port = free_port()
    master, slave = pty.openpty()
    arguments = [*CLI, site_file(tmp_path, port), "--show", "slm/LAeq=94"]
    process = subprocess.Popen(arguments, stdin=slave, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "slm at fence" in process.stdout.readline()
    assert level(port) == 94.0
    for typed, says, shows in (("slm/LAeq=114\n", "shown", 114.0), ("slm/LAeq=\n", "shown", None)):
        os.write(master, typed.encode())
        while says not in (line := process.stdout.readline()):
            assert line, "it has ended"
        assert (level(port) == shows) if shows else level(port) < 90
    os.write(master, b"slm/LAq=1\n")
    assert "did you mean 'LAeq'" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0
    process.communicate()
    os.close(master)
    os.close(slave)


def level(port: int) -> float:
    """The LAeq of the sound level meter."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(bytes.fromhex("0001 0000 0006 01 03 0000 0001"))
        return int.from_bytes(connection.recv(100)[9:11]) / 10

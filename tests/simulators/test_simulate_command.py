"""`emitwatch simulate` as a person uses it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

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
    with socket.create_connection(("127.0.0.1", port), 2.0) as connection:
        connection.sendall(bytes.fromhex("0001 0000 0006 02 03 0000 0001"))
        assert connection.recv(100) == bytes.fromhex("0001 0000 0003 02 83 04")
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    process.communicate()


def test_mistakes_are_explained(tmp_path: Path) -> None:
    port = free_port()
    file = site_file(tmp_path, port)
    cases = [
        ((file, "--fault", "slient"), 2, "did you mean"),
        ((file, "--fault", "slm-2:silent"), 2, "there is no sensor 'slm-2'"),
        ((str(tmp_path / "no.toml"),), 1, "no.toml"),
    ]
    processes = [(start(*arguments), code, says) for arguments, code, says in cases]
    for process, code, says in processes:
        _, error = process.communicate(timeout=10)
        assert (process.returncode, says in error) == (code, True), error
        assert "Traceback" not in error


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(site_file(tmp_path, port))
        _, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"cannot serve 127.0.0.1:{port}" in error
    assert "Traceback" not in error

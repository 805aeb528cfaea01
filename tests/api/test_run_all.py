"""`emitwatch run all` as a process: doors, tokens, signals; without a broker, which must not keep it from starting."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import tomli_w

from api.cli import main
from tests.api.line import ROOT, small_site, wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def site_on(folder: Path, port: int) -> Path:
    import tomllib

    path = small_site(folder)
    tree = tomllib.loads(path.read_text("utf-8"))
    (folder / "broker.password").write_text("secret")
    tree["broker"] = {
        "url": f"mqtt://127.0.0.1:{free_port()}", "user": "collector", "password_file": "broker.password",
    }  # fmt: skip
    tree["api"] = {"port": port}
    path.write_text(tomli_w.dumps(tree), "utf-8")
    return path


@contextmanager
def running(site: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "api.cli", "run", "all", str(site), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code > 0
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_on(tmp_path_factory.mktemp("all"), free_port())


def address(site: Path) -> str:
    import tomllib

    return f"http://127.0.0.1:{tomllib.loads(site.read_text('utf-8'))['api']['port']}/"


def test_it_makes_a_token_asks_for_it_and_ends_in_order(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = address(site)
    with running(site) as process:
        wait_until(lambda: answers(url), 40, "does not answer")
        file = site.parent / "data" / "collector" / "api.token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        refused = httpx.get(url + "api/v1/plants")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.get(url + "metrics").status_code == 401
        assert httpx.get(url).status_code == 200
        token = {"Authorization": f"Bearer {file.read_text().strip()}"}
        plants = httpx.get(url + "api/v1/plants", headers=token).json()["items"]
        assert [plant["state"] for plant in plants] == ["no_data"]
        health = httpx.get(url + "api/v1/health", headers=token).json()
        assert any("broker" in problem for problem in health["problems"])
        assert not health["ok"]
        assert health["status"] == "problems"
        assert main(["health", str(site)]) == 1
        told = capsys.readouterr().out
        assert "not connected" in told
        assert "no connection to the broker" in told
        assert main(["health", str(site), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["problems"] == health["problems"]
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        assert process.wait(30) == 0
        assert time.monotonic() - start < 25, "docker-compose.yml waits 30 s"
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()
    assert main(["health", str(site)]) == 2
    assert f"run all {site}" in capsys.readouterr().err


def test_an_author_marks_what_a_running_collector_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    site, key = site_on(tmp_path, free_port()), tmp_path / "author.key"
    assert main(["mark", "key", str(key), "--author", "wu.ming", "--role", "admin"]) == 0
    table = capsys.readouterr().out.partition("[[author]]")[2]
    tree = tomllib.loads(site.read_text("utf-8"))
    tree["author"] = [tomllib.loads(table)]
    site.write_text(tomli_w.dumps(tree), "utf-8")
    span = ["--from", "2026-11-01T08:00:00+08:00", "--to", "2026-11-01T09:00:00+08:00", "--point", "stack-1"]
    common = ["mark", str(site), "--author", "wu.ming", "--key", str(key), "--reason", "new cylinder"]
    with running(site) as process:
        wait_until(lambda: answers(address(site)), 40, "does not answer")
        assert main([*common, *span, "--kind", "calibration", "--parameter", "NOx"]) == 0
        id = capsys.readouterr().out.split()[1].rstrip(":")
        token = {"Authorization": f"Bearer {(tmp_path / 'data/collector/api.token').read_text().strip()}"}
        asked = {"url": address(site) + "api/v1/marks", "headers": token}
        wait_until(lambda: bool(httpx.get(**asked).json()["items"]), 40, "the mark is not listed")
        assert main([*common, "--revoke", id]) == 0
        wait_until(lambda: len(httpx.get(**asked).json()["items"]) == 2, 40, "the revocation is not listed")
        first, second = httpx.get(**asked).json()["items"]
        assert (first["id"], first["revoked_by"], second["revokes"]) == (int(id), second["id"], int(id))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    file = tmp_path / "export.zip"
    assert main(["export", str(site), "--out", str(file)]) == 0
    capsys.readouterr()
    assert main(["verify", str(file)]) == 0
    assert "wu.ming" in capsys.readouterr().out


def test_open_pages_do_not_keep_it_from_ending(site: Path) -> None:
    url = address(site)
    with running(site, "--demo") as process:
        wait_until(lambda: answers(url), 40, "does not answer")
        with httpx.stream("GET", url + "api/v1/live") as stream:
            next(stream.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130


def test_a_port_in_use_is_told_and_nothing_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(site_on(tmp_path, port)) as process:
            output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on" in output
    assert "[api] port" in output
    assert "Traceback" not in output
    assert not (tmp_path / "data").exists()


def test_a_faulty_site_is_told_and_nothing_starts(tmp_path: Path) -> None:
    path = site_on(tmp_path, free_port())
    path.write_text(path.read_text("utf-8").replace("sick-mcs100ft", "sick"), "utf-8")
    with running(path) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "sensor[1].profile" in output
    assert "nothing was started" in output
    assert not (tmp_path / "data").exists()


def test_the_demo_opens_no_door_to_others(tmp_path: Path) -> None:
    path = site_on(tmp_path, free_port())
    path.write_text(path.read_text("utf-8").replace("[api]\n", '[api]\nhost = "0.0.0.0"\n'), "utf-8")
    with running(path, "--demo") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "this machine alone" in output


def test_a_token_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = site_on(tmp_path, free_port())
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    path.write_text(path.read_text("utf-8").replace("[api]\n", '[api]\ntoken_file = "blocked/api.token"\n'), "utf-8")
    with running(path) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "blocked" in output
    assert "Traceback" not in output
    assert os.listdir(tmp_path)  # noqa: PTH208 - the folder is still there and readable

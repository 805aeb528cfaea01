"""`emitwatch grafana push` against a server that answers as Grafana's HTTP API is documented."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "glsa_secret"


class Grafana(ThreadingHTTPServer):
    """Folders and dashboards by uid; what may edit is the token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folders: set[str] = set()
        self.boards: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Grafana

    def do_GET(self) -> None:
        uid = self.path.removeprefix("/api/folders/")
        self._answer(200 if uid in self.server.folders else 404, {"uid": uid, "message": "folder not found"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/folders":
            self.server.folders.add(asked["uid"])
            self._answer(200, asked)
        elif asked["folderUid"] in self.server.folders and asked["overwrite"]:
            uid = asked["dashboard"]["uid"]
            self.server.boards[uid] = asked["dashboard"]
            self._answer(200, {"uid": uid, "url": f"/d/{uid}/x", "status": "success"})
        else:
            self._answer(400, {"message": "bad request data"})

    def _answer(self, code: int, tree: dict[str, Any]) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            code, tree = 403, {"message": "You'll need additional permissions"}
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(tree).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    server = Grafana()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def push(*words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api.cli", "grafana", "push", *words]
    return subprocess.run(command, env={"GRAFANA_TOKEN": token}, capture_output=True, text=True, check=False)


def test_all_dashboards_of_a_language_are_there_after_it(grafana: Grafana) -> None:
    done = push(grafana.url, "--language", "zh", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {one["uid"] for one in told} == set(grafana.boards) == {f"emitwatch-{name}-zh" for name in (
        "overview", "night-noise", "stack", "water", "gateways", "point")}  # fmt: skip
    assert told[0]["url"].startswith(f"{grafana.url}/d/emitwatch-")
    assert push(grafana.url, "--language", "zh").returncode == 0, "again, into the folder that is there"


@pytest.mark.parametrize(
    ("words", "token", "told"),
    [
        ([], "", "no token"),
        ([], "wrong", "folder emitwatch: 403 You'll need additional permissions"),
        (["--language", "de"], TOKEN, "no dashboards in 'de'"),
        (["--token-file", "/nowhere"], TOKEN, "/nowhere: No such file"),
    ],
)
def test_what_is_wrong_is_told_with_a_hint(grafana: Grafana, words: list[str], token: str, told: str) -> None:
    done = push(grafana.url, *words, token=token)
    assert done.returncode == 1
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert "secret" not in done.stderr
    assert not grafana.boards


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    done = push("http://127.0.0.1:1", "--token-file", str(token))
    assert done.returncode == 1
    assert "http://127.0.0.1:1: " in done.stderr

"""`emitwatch health`: what it makes of the interface's answer, and of what is no answer."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from api.cli import main
from tests.api.line import small_site

WELL = {
    "ok": True, "problems": [], "broker": {"connected": True},
    "journal": {"position": 812, "days_left": 90.4}, "store": {"behind": 3}, "evaluator": {"behind": 0},
    "tree": {"behind": 0},
    "gateways": {"a": {"trusted": True, "fresh": 12}, "b": {"trusted": False, "fresh": 0}},
}  # fmt: skip


def answered(folder: Path, said: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The command's exit code where a server says something, and the token it was asked with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # it is asked directly all the same
    site, token = small_site(folder), folder / "data" / "collector" / "api.token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text("the token\n")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        site.write_text(site.read_text("utf-8").replace("port = 8080", f"port = {server.server_port}"), "utf-8")
        thread = Thread(target=server.handle_request)
        thread.start()
        code = main(["health", str(site)])
        thread.join(5)
    return code, asked[0]


def test_a_collector_that_is_well_is_told_in_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, asked = answered(tmp_path, json.dumps(WELL).encode(), monkeypatch)
    assert (code, asked) == (0, "/api/v1/health Bearer the token")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "broker    connected",
        "journal   position 812, the disk will do for 90 days",
        "store     3 batches behind",
        "evaluator up to date",
        "tree      up to date",
        "gateways  a (12 batches since the start), b (not trusted)",
        "all is well",
    ]


@pytest.mark.parametrize("said", [b"<html>", b"[]", b"{}", b'{"ok": "yes"}'])
def test_what_is_no_collector_is_none(said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(tmp_path, said, monkeypatch)[0] == 2


def test_a_site_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", str(tmp_path / "none.toml")]) == 1
    assert "there is no such file" in capsys.readouterr().err

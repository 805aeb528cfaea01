"""The demonstration's mail box and hook take in what real clients send, and nothing else."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from simulators.sinks import MESSAGE_MAX, Sinks
from tests.simulators.plants import free_port


def with_sinks(folder: Path, act: Callable[[int, int], None]) -> tuple[list[Any], list[Any]]:
    """Run a client against the sinks; what the mail box and the hook then hold."""

    async def scene() -> None:
        sinks, ports = Sinks(folder), (free_port(), free_port())
        await sinks.start(*ports)
        try:
            await asyncio.to_thread(act, *ports)
        finally:
            await sinks.stop()

    asyncio.run(scene())
    return tuple(kept(folder / f"{name}.jsonl") for name in ("mail", "webhook"))  # type: ignore[return-value]


def kept(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_a_mail_arrives_with_its_text(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@demo.invalid", "b@demo.invalid", "夜间超标 Fence north"
    message.set_content("LAeq 53 dB(A)\n.leading dot\n限值 50\n")

    def send(smtp: int, _: int) -> None:
        with smtplib.SMTP("127.0.0.1", smtp, timeout=3) as client:
            client.send_message(message)
            client.send_message(message)

    mails, _ = with_sinks(tmp_path, send)
    assert len(mails) == 2
    assert mails[0]["from"] == "a@demo.invalid"
    assert mails[0]["to"] == ["b@demo.invalid"]
    assert mails[0]["subject"] == "夜间超标 Fence north"
    assert mails[0]["text"].splitlines() == ["LAeq 53 dB(A)", ".leading dot", "限值 50"]
    assert mails[0]["at"].endswith("Z")


def test_a_hook_arrives_with_headers_and_body(tmp_path: Path) -> None:
    def send(_: int, web: int) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{web}/notices", data=b'{"n": 1}', headers={"X-Signature": "abc"}
        )
        with urllib.request.urlopen(request, timeout=3) as answer:
            assert answer.status == 204

    _, hooks = with_sinks(tmp_path, send)
    assert hooks[0]["path"] == "/notices"
    assert hooks[0]["body"] == {"n": 1}
    assert hooks[0]["headers"]["x-signature"] == "abc"


def test_other_requests_and_rubbish_leave_nothing(tmp_path: Path) -> None:
    def send(smtp: int, web: int) -> None:
        with pytest.raises(urllib.error.HTTPError, match="405") as refusal:
            urllib.request.urlopen(f"http://127.0.0.1:{web}/", timeout=3)
        refusal.value.close()
        for port, data in (
            (web, b"\x00\x01\x02\r\n"),
            (web, b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
            (web, f"POST / HTTP/1.1\r\nContent-Length: {MESSAGE_MAX + 1}\r\n\r\n".encode()),
            (smtp, b"A" * 20_000),
            (smtp, b"DATA\r\n" + (b"x" * 900 + b"\r\n") * 1200),
        ):
            with socket.create_connection(("127.0.0.1", port), 3.0) as client:
                try:
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):
                        pass
                except ConnectionError:
                    pass

    assert with_sinks(tmp_path, send) == ([], [])

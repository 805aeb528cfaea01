"""Where the demonstration's notices arrive: a mail server and a web hook that only take in.

They are real servers on 127.0.0.1, so that alerts speak SMTP and HTTP as they would to the world. What
arrives is appended to `mail.jsonl` and `webhook.jsonl`, one JSON object a line, and goes nowhere else.
Each limit is far above what a notice needs and keeps a stray client from filling the disk.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MESSAGE_MAX = 1 << 20  # bytes of one mail or hook
LINE_MAX = 8192  # bytes of one line of SMTP or HTTP
KEPT_MAX = 10_000  # messages of one sink
IDLE_S = 30.0  # a client that says nothing for so long is sent away


class Sinks:
    """The two servers of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[asyncio.Server] = []
        self._kept = {"mail": 0, "webhook": 0}

    async def start(self, smtp_port: int, web_port: int) -> None:
        """Listen on two local ports; raises OSError when one is taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for port, talk in ((smtp_port, self._mail), (web_port, self._hook)):
            self._servers.append(await asyncio.start_server(talk, "127.0.0.1", port, limit=LINE_MAX))

    async def stop(self) -> None:
        """Listen no longer."""
        for server in self._servers:
            server.close()

    def _keep(self, sink: str, message: Mapping[str, Any]) -> None:
        if self._kept[sink] >= KEPT_MAX:
            return
        self._kept[sink] += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with (self._folder / f"{sink}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": at, **message}, ensure_ascii=False) + "\n")

    async def _mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One SMTP session. Source: RFC 5321, section 4.5.1 (minimum implementation)."""
        sender, recipients = "", list[str]()
        try:
            await _say(writer, "220 localhost emitwatch demonstration")
            while line := await asyncio.wait_for(reader.readline(), IDLE_S):
                words = line.decode("utf-8", "replace").strip()
                match words[:4].upper():
                    case "EHLO" | "HELO":
                        await _say(writer, "250-localhost", f"250-SIZE {MESSAGE_MAX}", "250 SMTPUTF8")
                    case "MAIL":
                        sender, recipients = _address(words), []
                        await _say(writer, "250 OK")
                    case "RCPT":
                        recipients.append(_address(words))
                        await _say(writer, "250 OK")
                    case "DATA":
                        await _say(writer, "354 end with a dot on a line of its own")
                        self._keep("mail", _letter(sender, recipients, await _mail_data(reader)))
                        await _say(writer, "250 taken in")
                    case "RSET" | "NOOP":
                        await _say(writer, "250 OK")
                    case "QUIT":
                        await _say(writer, "221 bye")
                        return
                    case _:
                        await _say(writer, "502 not known here")
        except (TimeoutError, ConnectionError, ValueError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP request, answered and closed. Source: RFC 9112."""
        try:
            first = (await asyncio.wait_for(reader.readline(), IDLE_S)).decode("latin-1").split()
            if len(first) != 3:
                return
            headers: dict[str, str] = {}
            while line := (await asyncio.wait_for(reader.readline(), IDLE_S)).decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            length = int(headers.get("content-length", "0"))
            if first[0] != "POST" or not 0 <= length <= MESSAGE_MAX:
                await _say(writer, "HTTP/1.1 405 Method Not Allowed", "Content-Length: 0", "Connection: close", "")
                return
            body = await asyncio.wait_for(reader.readexactly(length), IDLE_S)
            self._keep("webhook", {"path": first[1], "headers": headers, "body": _json(body)})
            await _say(writer, "HTTP/1.1 204 No Content", "Connection: close", "")
        except (TimeoutError, ConnectionError, ValueError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


async def _mail_data(reader: asyncio.StreamReader) -> bytes:
    lines, size = list[bytes](), 0
    while (line := await asyncio.wait_for(reader.readline(), IDLE_S)) not in (b".\r\n", b".\n", b""):
        size += len(line)
        if size > MESSAGE_MAX:
            raise ValueError("the mail is too long")
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)


def _letter(sender: str, recipients: list[str], data: bytes) -> dict[str, Any]:
    message = email.message_from_bytes(data, policy=email.policy.default)
    part = message.get_body(("plain",))
    text = part.get_content() if part else ""
    return {"from": sender, "to": recipients, "subject": str(message["subject"] or ""), "text": text}


def _address(words: str) -> str:
    return words.partition("<")[2].partition(">")[0]


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")

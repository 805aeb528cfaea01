"""What the alerts tests share: exceedances, a site, a mail server and a web hook that misbehave on demand."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alerts.incidents import advance
from alerts.ledger import Ledger
from alerts.messages import digest
from alerts.records import Case, Incident, Message, Reason, Step, Wanted
from collector.verdicts.book import Book
from collector.verdicts.records import Average, Change, Exceedance, Standing
from gateway.settings import Site, parse_site

HOUR = 3600 * 1_000_000_000
QUIET = 6 * HOUR
T0 = 1_795_183_200 * 1_000_000_000  # 2026-11-20 22:00 in Shanghai

SITE = """
[plant]
id = "riverside"
name = { en = "Riverside heating plant", zh = "河畔热电厂" }
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "g"
[[point]]
id = "stack-1"
kind = "stack"
name = { en = "Stack 1, boiler 1", zh = "1号烟囱（1号锅炉）" }
[[point]]
id = "fence-north"
kind = "noise"
name = { en = "Fence north, dwellings", zh = "北厂界（居民区）" }
"""


def site(tmp_path: Path, text: str = "", base: str = SITE) -> Site:
    """The test plant with more tables; its data directory is in tmp_path."""
    found, faults = parse_site(base + text, str(tmp_path / "site.toml"))
    assert found is not None, faults
    return found


def exceedance(hour: int = 0, *, version: int = 1, change: Change = Change.OPENED, **other: Any) -> Exceedance:
    """NOx of stack-1 over its limit in one hour after T0."""
    values: dict[str, Any] = {
        "plant": "riverside", "point": "stack-1", "parameter": "NOx", "pack": "ultra-low-2015", "clause": "nox-hour",
        "cite": "2015-2221 1", "title": "NOx, hourly mean", "window": "1h", "from_ns": T0 + hour * HOUR,
        "to_ns": T0 + (hour + 1) * HOUR, "value": 61.7, "limit": 50.0, "unit": "mg/m3",
        "standing": Standing.EVIDENCE, "verified": True, "version": version, "change": change,
    }  # fmt: skip
    return Exceedance(**{**values, **other})


def average(hour: int, *, value: float | None = 30.0, valid: bool = True, **other: Any) -> Average:
    """The hourly NOx of stack-1, by default a calm one."""
    values: dict[str, Any] = {
        "plant": "riverside", "point": "stack-1", "parameter": "NOx", "window": "1h", "from_ns": T0 + hour * HOUR,
        "to_ns": T0 + (hour + 1) * HOUR, "value": value, "unit": "mg/m3", "coverage": 1.0, "valid": valid, "count": 720,
    }  # fmt: skip
    return Average(**{**values, **other})


def incident(**other: Any) -> Incident:
    """An incident of one hour; keywords of `exceedance`."""
    return step([], [exceedance(**other)]).cases[0].incident


def step(cases: list[Case], exceedances: list[Exceedance], **other: Any) -> Step:
    """One call of advance, exceedances numbered from `first`."""
    first = other.pop("first", 1)
    values = {
        "judged": {},
        "next_id": 1 + max((c.incident.id for c in cases), default=0),
        "now_ns": 7,
        "quiet_ns": QUIET,
    }
    return advance(cases, list(enumerate(exceedances, first)), **{**values, **other})


def wanted(one: Incident, *, recipient: str = "duty", channel: str = "mail", reason: Reason = Reason.OPENED) -> Wanted:
    """A notice to be."""
    return Wanted(
        incident=one, reason=reason, recipient=recipient, channel=channel,
        digest=digest(one, reason, recipient, channel), message=Message(subject="s", text="t", payload="{}"),
    )  # fmt: skip


def fill(ledger: Ledger, notices: int, channel: str = "mail") -> list[Wanted]:
    """Open one incident with a number of notices."""
    done = step([], [exceedance()], next_id=ledger.next_id())
    found = [wanted(done.cases[0].incident, recipient=f"r{n}", channel=channel) for n in range(notices)]
    ledger.commit(done, found, exceedance=1, command=0, now_ns=1)
    return found


def judge(book: Book, *exceedances: Exceedance, averages: tuple[Average, ...] = ()) -> None:
    """Write verdicts as the evaluator does."""
    book.commit(averages, exceedances, derived_ns=time.time_ns(), state=b"", position=book.cursor() + 1)


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for a condition; fails when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class MailSink:
    """An SMTP server. plan: how the next messages end: ok, later (451), never (550), drop, hold; then ok for all."""

    def __init__(self, *plan: str) -> None:
        self.plan, self.mails, self.seen, self.release = list(plan), [], [], threading.Event()
        self.address = ""
        self.tls: ssl.SSLContext | None = None
        self.encrypted = 0

    def talk(self, handler: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            handler.wfile.write(line.encode() + b"\r\n")

        say("220 sink")
        while line := handler.rfile.readline():
            match line[:4].upper():
                case b"EHLO" if self.tls and not self.encrypted:
                    say("250-sink")
                    say("250 STARTTLS")
                case b"STAR" if self.tls:
                    say("220 go")
                    handler.connection = self.tls.wrap_socket(handler.connection, server_side=True)
                    handler.setup_again(handler.connection)
                    self.encrypted += 1
                case b"DATA":
                    say("354 go")
                    lines = iter(handler.rfile.readline, b".\r\n")
                    if not self._take(b"".join(lines), say):
                        return
                case b"QUIT":
                    say("221 bye")
                    return
                case b"RCPT" if b"refused@" in line:
                    say("550 no such user")
                case _:
                    say("250 ok")

    def _take(self, mail: bytes, say: Callable[[str], None]) -> bool:
        self.seen.append(mail)
        how = self.plan.pop(0) if self.plan else "ok"
        if how in ("drop", "hold"):
            if how == "hold":
                self.release.wait(20)
            return False
        if how == "ok":
            self.mails.append(mail)
        say({"ok": "250 taken", "later": "451 try later", "never": "550 no"}[how])
        return True


class HookSink:
    """An HTTP server. plan: status of the next answers, or `drop`, `hold`, `drip`; then 200 for all."""

    def __init__(self, *plan: int | str) -> None:
        self.plan, self.posts, self.release = list(plan), [], threading.Event()
        self.address = ""

    def talk(self, handler: socketserver.StreamRequestHandler) -> None:
        request = handler.rfile.readline().decode().split()
        headers = {}
        while (line := handler.rfile.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            headers[name] = value
        self.posts.append((request, headers, handler.rfile.read(int(headers["Content-Length"]))))
        how = self.plan.pop(0) if self.plan else 200
        if how == "hold":
            self.release.wait(20)
        elif how == "drip":
            for byte in b"HTTP/1.1 200 OK\r\n":
                handler.wfile.write(bytes([byte]))
                self.release.wait(0.3)
        elif how != "drop":
            place = "Location: http://127.0.0.1:1/\r\n" if how in (301, 302, 307) else ""
            handler.wfile.write(f"HTTP/1.1 {how} Said\r\n{place}Content-Length: 0\r\n\r\n".encode())


@contextmanager
def serving(sink: Any, port: int = 0) -> Iterator[Any]:
    """Run a sink on a local port; `address` is HOST:PORT."""

    class Handler(socketserver.StreamRequestHandler):
        def setup_again(self, connection: ssl.SSLSocket) -> None:
            self.rfile, self.wfile = connection.makefile("rb"), connection.makefile("wb", buffering=0)

        def handle(self) -> None:
            with suppress(OSError):
                sink.talk(self)
            self.rfile.close()
            self.connection.close()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        sink.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            sink.release.set()
            server.shutdown()
            thread.join()

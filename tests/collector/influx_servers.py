"""Real servers for the tests of the InfluxDB store: on 127.0.0.1, on free ports, gone with the block.

influxd 1.6.7 is what Debian has; it knows the v1 dialect. What stands before it and knows v2 is in `influx_newer`.
`Saying` answers what no real server can be made to say.
"""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.gateway.ports import free_port, wait_for_port

if TYPE_CHECKING:
    from collector.stores.influxdb.transport import Server

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
{data}
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
{http}
[monitor]
store-enabled = false
"""


@dataclass
class Influxd:
    """A running server. process: it can be killed, and started again by `start`."""

    program: str
    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    databases: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "-config", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(10)
            self.process = None

    def query(self, influxql: str, database: str = "") -> list[dict[str, Any]]:
        form = urllib.parse.urlencode({"q": influxql, "db": database, "epoch": "ns"}).encode()
        with urllib.request.urlopen(f"{self.url}/query", form, 20) as answer:
            (result,) = json.loads(answer.read())["results"]
        assert "error" not in result, result
        found: list[dict[str, Any]] = result.get("series", [])
        return found

    def database(self) -> str:
        """A new database."""
        self.databases += 1
        name = f"test{self.databases}"
        self.query(f"CREATE DATABASE {name}")
        return name

    def server(self, **changes: Any) -> Server:
        """A new database as a store takes it."""
        from collector.stores.influxdb.transport import Server  # its client takes long to import

        return Server(**{"url": self.url, "database": self.database(), **changes})


@contextmanager
def influxd_at(program: str, folder: Path, *, data: str = "", http: str = "") -> Iterator[Influxd]:
    """An influxd with its data in a folder; data, http: lines of these parts of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "influxdb.conf"
    config.write_text(CONFIG.format(folder=folder, rpc=free_port(), port=port, data=data, http=http))
    one = Influxd(program, config, port)
    one.start()
    try:
        yield one
    finally:
        one.stop()


@contextmanager
def victoria_at(program: str, folder: Path, *flags: str) -> Iterator[str]:
    """A VictoriaMetrics with its data in a folder; its address."""
    port = free_port()
    command = [program, f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    command += flags
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


class Quiet(BaseHTTPRequestHandler):
    """Takes requests without a word on the terminal."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    """A server that answers with a handler; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


@dataclass
class Saying:
    """What a server says to writes, one after the other, and then 204. writes: the bodies that came."""

    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    refusal: tuple[int, str] | None = None  # to every write, as long as it is there
    writes: list[bytes] = field(default_factory=list)
    url: str = ""
    bad: Sequence[bytes] = ()  # lines with one of these in them are refused
    longest: int = 10**9  # bodies beyond this are too long


@contextmanager
def saying() -> Iterator[Saying]:
    """A server that says what it is told to."""
    what = Saying()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.say(204, b"", **{"X-Influxdb-Version": "2.7.1"})

        def do_POST(self) -> None:
            body = self.body()
            if self.path.startswith("/query"):
                self.say(200, b'{"results":[{"statement_id":0}]}')
                return
            what.writes.append(body)
            if refusal := what.refusal:
                self.say(refusal[0], refusal[1].encode())
            elif what.answers:
                status, text, headers = what.answers.pop(0)
                self.say(status, text.encode(), **headers)
            elif len(body) > what.longest:
                self.say(413, b'{"error":"Request Entity Too Large"}')
            elif any(one in body for one in what.bad):
                self.say(422, b'{"code":"unprocessable entity","message":"bad line"}')
            else:
                self.say(204, b"")

    with serving(Handler) as what.url:
        yield what

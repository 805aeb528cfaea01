"""`emitwatch witness`: a small witness for collectors' checkpoints, on a machine that is not the plant's.

It keeps what it has seen of each plant in a file of its own, one note after the other, with its own
signature under each: that file proves or refutes an export (`emitwatch verify --witness`). Rules of this file:

- the folder holds all there is: `key`, `<collector>-<plant>.txt`, and in `refused.txt` the notes that
  contradict them;
- one request at a time, and a note is on the disk before its answer goes out;
- a request has ten seconds and REQUEST_MAX bytes; a folder takes TREES_MAX trees.
"""

from __future__ import annotations

import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, cast

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.proof.checkpoint import Checkpoint, CheckpointError, open_note
from collector.proof.cosignature import NAME, WitnessKey, cosign
from collector.proof.note_file import add, read
from collector.proof.witness import CALL, REQUEST_MAX, Answer, judge, origin_of, read_request
from gateway.identity import IdentityError, load_or_create_key, public_key

TIMEOUT_S = 10.0
TREES_MAX = 1000
REFUSED_MAX = 1 << 20  # bytes of notes kept as evidence


class Witness:
    """What a witness holds, and its answers. Safe to call from several threads."""

    def __init__(self, folder: Path, name: str, collectors: dict[str, Ed25519PublicKey]) -> None:
        """collectors: keys, by their first 16 digits. Raises IdentityError, OSError, CheckpointError."""
        self.folder = folder
        self._key, _ = load_or_create_key(folder / "key")
        self.name, self.public = name, WitnessKey(name, self._key.public_key())
        self._collectors = collectors
        self._turn = threading.Lock()
        self._held: dict[str, Checkpoint] = {}
        for path in sorted(folder.glob("*-*.txt")):
            self._read(path)

    def _read(self, path: Path) -> None:
        """Take up what a file holds."""
        for note in read(path)[-1:]:
            name = origin_of(note)
            key = self._collectors.get(name.split("/")[1])
            if key is not None:
                self._held[name] = open_note(note, name, key)

    def answer(self, body: bytes) -> Answer:
        """Take a request in; raises OSError where what it brings cannot be written down."""
        try:
            request = read_request(body)
        except ValueError as error:
            return Answer(400, f"{error}\n")
        name = origin_of(request.note)
        with self._turn:
            held = self._held.get(name)
            answer = judge(request, held, self._collectors)
            if answer.evidence:
                self._refuse(request.note)
            if answer.taken is None:
                return answer
            if held is None and len(self._held) >= TREES_MAX:
                return Answer(507, "no room for another tree\n")
            line = cosign(answer.taken.text(), self.name, self._key, int(time.time()))
            if held is None or answer.taken.size != held.size:
                add(self.folder / file_of(name), request.note + line)
                self._held[name] = answer.taken
        return Answer(200, line, taken=answer.taken)

    def _refuse(self, note: str) -> None:
        path = self.folder / "refused.txt"
        sys.stderr.write(f"A checkpoint contradicts what is held; it is kept in {path}:\n{note}\n")
        kept = path.read_text("utf-8") if path.exists() else ""
        if note not in kept and len(kept) < REFUSED_MAX:
            add(path, note)


def file_of(origin: str) -> str:
    """The file of a tree, by its name."""
    _, collector, plant = origin.split("/")
    return f"{collector}-{plant}.txt"


class WitnessServer(ThreadingHTTPServer):
    """Serves a witness. tls: None = no encryption."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], witness: Witness, tls: ssl.SSLContext | None = None) -> None:
        """Listen; raises OSError."""
        super().__init__(address, _Handler)
        self.witness, self.tls = witness, tls

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - its base's signature
        """One line for a connection that broke, as those of port scanners do."""
        sys.stderr.write(f"{client_address}: {sys.exc_info()[1]}\n")


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server_version, sys_version = "emitwatch-witness", ""

    def setup(self) -> None:
        tls = cast("WitnessServer", self.server).tls
        if tls is not None:  # in the connection's own thread, so that a slow handshake keeps nobody waiting
            self.request.settimeout(TIMEOUT_S)
            self.request = tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # the server closes what it has accepted, and knows nothing of the TLS around it

    def do_POST(self) -> None:
        """A checkpoint."""
        length = self.headers.get("Content-Length", "")
        if self.path.rpartition("/")[2] != CALL:
            self._say(Answer(404, f"POST .../{CALL}\n"))
        elif not length.isdigit() or int(length) > REQUEST_MAX:
            self._say(Answer(413, f"at most {REQUEST_MAX} bytes, and Content-Length says how many\n"))
        else:
            try:
                self._say(cast("WitnessServer", self.server).witness.answer(self.rfile.read(int(length))))
            except OSError as error:
                sys.stderr.write(f"A checkpoint cannot be written down: {error}\n")
                self._say(Answer(500, "it cannot be written down now\n"))

    def _say(self, answer: Answer) -> None:
        body = answer.text.encode()
        self.send_response(answer.status)
        self.send_header(
            "Content-Type", f"{answer.type}; charset=utf-8" if answer.type == "text/plain" else answer.type
        )
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """One line a request: when, from where, what was answered."""
        sys.stderr.write(f"{self.log_date_time_string()} {self.address_string()} {format % arguments}\n")


def witness(
    folder: Annotated[Path, typer.Argument(help="Where it keeps its key and what it has seen.")],
    collector: Annotated[list[str], typer.Option(help="Public key of a collector it serves, hex; once for each.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:8444",
    name: Annotated[str, typer.Option(help="Its name, as in its signatures.")] = "witness",
    cert: Annotated[
        Path | None, typer.Option(help="TLS certificate, PEM; without, something before it speaks TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
) -> None:
    """Hold the checkpoints of collectors, sign those that continue what was seen, and refuse the others."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not NAME.fullmatch(name):
        raise typer.BadParameter("--listen is HOST:PORT, and --name has neither blanks nor '+'")
    try:
        keys = {hex.lower()[:16]: public_key(hex.lower()) for hex in collector}
        tls = None
        if cert is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(cert, tls_key)
        server = WitnessServer((host.strip("[]"), int(port)), Witness(folder, name, keys), tls)
    except (OSError, IdentityError, CheckpointError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    with server:
        sys.stdout.write(
            f'listening on {listen}; enter in the site file: [[witness]] key = "{server.witness.public}"\n'
        )
        sys.stdout.flush()
        server.serve_forever()

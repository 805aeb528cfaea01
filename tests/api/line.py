"""A line for the interface's tests: real journal, store, verdicts, incidents and HTTP server; no broker, no Modbus.

`Line` sends 32 hours of a small seeded plant through outbox, journal, projector, evaluator and alerts,
then serves the interface on a free port. The first part arrives late, as a back-fill does; the rest as it
was measured. `go_live` appends measurements every second, as a gateway would have them delivered.
"""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tomli_w
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from alerts.notifier import Alerts
from api.__main__ import SERVER, Server, changes, inventory_of
from api.live import Live
from api.server import create_app
from api.sources import Sources
from collector.intake.journal import Journal
from collector.intake.projector import Projector
from collector.registrar import Registrar
from collector.settings import parse_collector
from collector.store import Entry, EntryKind
from collector.stores.duckdb import DuckdbStore
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Evaluator
from gateway import catalogue, seal, wire
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Columns, concatenate
from gateway.sensors import Sensor, resolve
from gateway.spooler import Row, Spooler
from simulators.history import measured, ticks

ROOT = Path(__file__).parent.parent.parent
HOURS = 32  # holds a whole night, whatever the time is
LATE_HOURS = 14
SEED = 5
POINTS = ("fence-north", "stack-1", "outfall-1")
INTERVAL_S = {"slm-north": 5, "cems-1": 20, "dust-1": 20, "gas-1": 20}
STEP_NS = 600 * SECOND_NS
AUTHORS = {id: Ed25519PrivateKey.from_private_bytes(id[:1].encode() * 32) for id in ("li.na", "old.hand")}


def small_site(folder: Path, points: Sequence[str] = POINTS) -> Path:
    """The reference site, cut down to three points and slower sensors; the interval is what live values come at."""
    tree = tomllib.loads((ROOT / "site.toml").read_text("utf-8"))
    tree["plant"]["data_dir"] = str(folder / "data")
    tree["broker"] = {"url": "mqtt://127.0.0.1:1883"}
    tree["point"] = [point for point in tree["point"] if point["id"] in points]
    tree["sensor"] = [sensor for sensor in tree["sensor"] if sensor["point"] in points]
    for sensor in tree["sensor"]:
        sensor["interval_s"] = INTERVAL_S.get(sensor["id"], sensor["interval_s"])
    tree["author"] = [{"id": id, "role": "plant", "public_key": public_hex(key)} for id, key in AUTHORS.items()]
    tree["author"][1]["retired"] = True
    tree["alerts"] = tree.get("alerts", {}) | {"quiet_h": 72.0}  # what was exceeded at night is open all day
    path = folder / "site.toml"
    path.write_text(tomli_w.dumps(tree), "utf-8")
    return path


class Line:
    """Everything from the outbox to the HTTP server. token: what the interface asks for, "" = open."""

    def __init__(self, folder: Path, *, token: str = "", points: Sequence[str] = POINTS) -> None:
        self.folder = folder
        self.token = token
        self.clock_wrong = False
        (self.site,) = catalogue.load_sites(str(small_site(folder, points)))
        self.sensors = resolve(self.site, catalogue.profiles(), catalogue.parameters())[0]
        self.now_ns = time.time_ns() // (20 * SECOND_NS) * (20 * SECOND_NS)
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._open()
        self._fill()
        self._serve()

    def _open(self) -> None:
        data = self.folder / "data" / "collector"
        key, _ = load_or_create_key(self.folder / "key")
        self.spooler = Spooler(self.folder / "outbox", "riverside", "riverside-gw", key)
        self.journal = Journal(data / "journal")
        self.store = DuckdbStore(data / "store.duckdb")
        self.book = Book(data / "verdicts.db")
        for part in (self.spooler, self.journal, self.store, self.book):
            self._stack.callback(part.close)
        self.projector = Projector(self.journal, self.store)
        self.evaluator = Evaluator(self.journal, self.book, [self.site])
        self.alerts = Alerts([self.site], self.book, data)
        settings, _ = parse_collector([self.site])
        assert settings is not None
        self.registrar = Registrar(
            journal=self.journal, book=self.book, authors=settings.authors, file=self.file,
            points={("riverside", point) for point in POINTS},
        )  # fmt: skip
        self._sent = (b"", 0)

    def _fill(self) -> None:
        begin = self.now_ns - HOURS * 3600 * SECOND_NS
        late_until = begin + LATE_HOURS * 3600 * SECOND_NS
        for start in range(begin, self.now_ns, STEP_NS):
            end = min(start + STEP_NS, self.now_ns)
            self.deliver(self._columns(start, end), received_ns=max(end, late_until))
        self.tick(self.now_ns)
        for part in (self.projector, self.evaluator, self.alerts):
            part.start()
            self._stack.callback(part.stop)
        wait_until(lambda: self.evaluator.cursor() >= self.journal.last, 60, "not judged")
        wait_until(lambda: self.store.cursor() >= self.journal.last, 30, "not stored")
        wait_until(lambda: self.alerts.health()["behind"] == 0, 30, "alerts are behind")

    def _columns(self, from_ns: int, to_ns: int) -> Columns:
        parts = [self._measured(sensor, from_ns, to_ns) for sensor in self.sensors]
        columns = concatenate(parts)
        return columns.take(np.argsort(columns.time_ns, kind="stable"))

    def _measured(self, sensor: Sensor, from_ns: int, to_ns: int) -> Columns:
        return measured(SEED, self.site, sensor, ticks(from_ns, to_ns, sensor.interval_ns))

    def deliver(self, columns: Columns, *, received_ns: int) -> None:
        """Through outbox and seal into the journal, with a tick behind it."""
        self.spooler.put(columns)
        self.spooler.flush()
        rows = self.spooler.pending(10_000, self._sent)
        self._sent = rows[-1].key
        self.journal.append([entry(row, received_ns) for row in rows])
        self.tick(received_ns)

    def tick(self, received_ns: int) -> None:
        """What the recorder journals every few seconds."""
        self.journal.append([Entry(0, received_ns, EntryKind.TICK)])

    def file(self, entry: Entry) -> Future[int]:
        """What the recorder does with a mark, and a tick behind it."""
        done: Future[int] = Future()
        now_ns = time.time_ns()
        done.set_result(self.journal.append([replace(entry, received_ns=now_ns)]))
        self.tick(now_ns)
        return done

    def _serve(self) -> None:
        sources = Sources(
            inventory=inventory_of([self.site]), journal=self.journal, store=self.store, book=self.book,
            alerts=self.alerts, registrar=self.registrar, channels={"console": "console"}, now_ns=time.time_ns,
            health=self._health, events=self.journal.latest_events,
        )  # fmt: skip
        self.live = Live(self.journal, lambda: changes(self.book, self.alerts))
        app = create_app(sources, self.live, version="test", token=self.token)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, **SERVER)
        self.server = Server(config, self.live)
        thread = threading.Thread(target=self.server.run, name="server")
        thread.start()
        self.live.start()
        self._stack.callback(self.live.stop)
        self._stack.callback(thread.join)
        self._stack.callback(lambda: setattr(self.server, "should_exit", True))
        wait_until(lambda: self.server.started, 20, "the server does not start")
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"

    def _health(self) -> dict[str, Any]:
        gateway = {"plant": "riverside", "fresh": 3, "received_ns": self.now_ns, "clock_wrong": self.clock_wrong}
        return {"ok": True, "journal": {"position": self.journal.last}, "gateways": {"riverside-gw": gateway}}

    def client(self, **options: Any) -> httpx.Client:
        """A client of the interface, with its token."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(base_url=self.url + "api/v1/", headers=headers, timeout=10, **options)

    def go_live(self, every_s: float = 1.0) -> None:
        """Append measurements of every sensor each second, until closed."""
        thread = threading.Thread(target=self._live, args=(every_s,), name="live-values")
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._stop.set)

    def _live(self, every_s: float) -> None:
        number = 0
        while not self._stop.wait(every_s):
            number += 1
            now_ns = time.time_ns() // SECOND_NS * SECOND_NS
            parts = [measured(SEED + number, self.site, sensor, np.array([now_ns])) for sensor in self.sensors]
            self.deliver(concatenate(parts), received_ns=time.time_ns())

    def close(self) -> None:
        """End everything, last started first."""
        self._stack.close()


def entry(row: Row, received_ns: int) -> Entry:
    """A sealed batch as the recorder journals it."""
    columns = wire.decode(row.payload[1 + seal.SIGNATURE_BYTES :]).columns
    first, last = (int(columns.time_ns.min()), int(columns.time_ns.max())) if len(columns) else (0, 0)
    return Entry(
        0, received_ns, EntryKind.BATCH, gateway="riverside-gw", epoch=row.epoch, seq=row.seq, payload=row.payload,
        first_ns=first, last_ns=last,
    )  # fmt: skip


def wait_until(found: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for something to become true; fail with what did not."""
    end = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.02)

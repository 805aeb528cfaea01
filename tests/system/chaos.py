"""Kills gateway, broker and collector, again and again, takes its store away, and counts what became of every answer.

    python -m tests.system.chaos --cycles 100 --json result.json

A cycle is one kill -9, 1 to 3 s after the last one, of a process drawn by the seed, which is started
again at once; nobody waits until the line is quiet. The broker comes back with a memory of its own on
disk or without one, as drawn (or as --persistence says). The store has no process of its own: to kill it
means to kill the collector and to delete the store's files before it starts again. At the end the
instruments fall silent, the line drains, and `chaos_oracle` judges. Exit 1 unless nothing was lost,
doubled or left unexplained.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from collector.__main__ import Collector
from collector.intake.journal import Journal
from collector.intake.projector import GROUP_ENTRIES, Projector
from collector.stores.duckdb import DuckdbStore
from gateway import seal, wire
from gateway.catalogue import load_sites
from gateway.identity import public_key
from gateway.spooler import outbox_folder
from simulators.broker import MOSQUITTO, PLACES
from simulators.children import Child, Children, tail
from tests.gateway.ports import free_port
from tests.system.chaos_oracle import Count, Found, count
from tests.system.chaos_plant import GATEWAY, Instruments, write_site

VICTIMS = ("gateway", "broker", "collector", "store")
PAUSE_S = (1.0, 3.0)  # between two kills
START_S = 30.0  # for the line to carry its first measurement, on a busy machine
DRAIN_S = 90.0  # for it to carry the last one
ENTRIES = 10_000_000


@dataclass
class Line:
    """The whole line in a folder: real processes around their instruments. data: where they keep what they have."""

    folder: Path
    points: int = 100
    interval_s: float = 1.0
    persistence: str = "both"
    rng: random.Random = field(default_factory=random.Random)
    data: Path = Path()

    def __post_init__(self) -> None:
        self.data = self.folder / self.data / "data"
        self.broker_port = free_port()
        self.instruments = Instruments(self.points)
        self.children = Children(self.folder / "log")
        self.running: dict[str, Child] = {}
        self.kills: Counter[str] = Counter()

    def start(self) -> None:
        """Start everything, and wait until a first batch has been acknowledged."""
        self.instruments.start()
        self.site = write_site(
            self.folder, self.data, self.instruments, broker=self.broker_port, interval_s=self.interval_s
        )
        for name in ("broker", "collector", "gateway"):
            self.revive(name)
        self.acks = Acks(self.broker_port, load_sites(str(self.site))[0].collector_key)
        _wait(lambda: self._ended() or self.unacked(time.time_ns()) < self.sealed() > 1, START_S, "nothing arrives")
        assert not self._ended(), self._ended()

    def _ended(self) -> str:
        """What ended by itself, and its last words."""
        return "\n".join(f"the {child.name} ended:\n{tail(child)}" for child in self.children.surprises())

    def revive(self, name: str, *before: str) -> None:
        """Start one of the processes. before: the words of a program that runs it."""
        words = self._broker() if name == "broker" else [sys.executable, "-m", "simulators", "call", *self._part(name)]
        self.running[name] = self.children.exec(name, [*before, *words])

    def _part(self, name: str) -> tuple[str, str]:
        """The function that is the gateway or the collector, and its arguments."""
        if name == "gateway":
            return "gateway.__main__:run", json.dumps({"site_path": str(self.site), "demo": True})
        return "tests.system.chaos:collect", json.dumps({"path": str(self.site)})

    def _broker(self) -> list[str]:
        """mosquitto with its own defaults: a queue of 1000, 20 on the way, its memory saved now and then."""
        program = shutil.which(MOSQUITTO, path=PLACES)
        assert program, "mosquitto is not installed: apt-get install mosquitto"
        keeps = self.persistence == "on" or (self.persistence == "both" and self.rng.random() < 0.5)
        self.kills["broker_with_persistence"] += keeps
        lines = [f"listener {self.broker_port} 127.0.0.1", "allow_anonymous true", "user root", "log_type error"]
        lines += [f"persistence {'true' if keeps else 'false'}", f"persistence_location {self.folder}/"]
        lines += ["autosave_interval 1"] if keeps else []
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, ""]))
        return [program, "-c", str(config)]

    def kill(self, name: str) -> None:
        """kill -9, and start it again at once; the store lives in the collector, and dies with its files."""
        victim, name = name, "collector" if name == "store" else name
        child = self.running[name]
        assert child.running, f"the {name} ended by itself:\n{tail(child)}"
        child.ending = True
        child.process.kill()
        child.process.wait()
        if victim == "store":
            for file in (self.data / "collector").glob("store.duckdb*"):
                file.unlink()
        self.kills[victim] += 1
        self.revive(name)

    def outbox(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the outbox's files, while the gateway uses them."""
        found: list[tuple[Any, ...]] = []
        for file in sorted(outbox_folder(self.data, GATEWAY).glob("**/*.db")):
            with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
                found += database.execute(sql, values).fetchall()
        return found

    def sealed(self) -> int:
        """How many batches the outbox holds."""
        with contextlib.suppress(sqlite3.OperationalError):  # not made yet
            return sum(row[0] for row in self.outbox("SELECT count(*) FROM batch"))
        return 0

    def unacked(self, before_ns: int) -> int:
        """How many of them, sealed before an instant, wait for an acknowledgement."""
        sql = "SELECT count(*) FROM batch WHERE acked_ns IS NULL AND sealed_ns < ?"
        with contextlib.suppress(sqlite3.OperationalError):
            return sum(row[0] for row in self.outbox(sql, before_ns))
        return 1

    def finish(self) -> Found:
        """Let the instruments fall silent, the line drain and every process end; what is left."""
        self.instruments.stop()
        time.sleep(2 * self.interval_s)  # what was answered last is committed
        silent_ns = time.time_ns()
        # What does not drain is not excused: the oracle finds it missing.
        _wait(lambda: not self.unacked(silent_ns), DRAIN_S)
        self.children.stop([self.running["gateway"]], 15)
        self.children.stop([self.running["collector"], self.running["broker"]], 15)
        committed = [row[0] for row in self.outbox("SELECT payload FROM batch")]
        with (
            contextlib.closing(Journal(self.data / "collector" / "journal")) as journal,
            contextlib.closing(DuckdbStore(self.data / "collector" / "store.duckdb")) as store,
        ):
            entries = journal.read(0, ENTRIES)
            while waiting := entries[store.cursor() :][:GROUP_ENTRIES]:  # as the next start would
                Projector(journal, store).project(waiting)
            rows = store.keys()
        return Found(list(self.instruments.log), committed, self.acks.claimed, entries, rows)

    def close(self) -> None:
        """End whatever still runs."""
        self.children.kill_all()
        with contextlib.suppress(AttributeError):
            self.acks.close()
        self.instruments.stop()


class Acks:
    """Hears every acknowledgement that the broker passes on. claimed: what they say the journal holds."""

    def __init__(self, port: int, collector: str) -> None:
        self.claimed: set[tuple[bytes, int]] = set()
        self._key, self._lock = public_key(collector), threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("em/v1/+/down", 1)
        self._client.on_message = self._hear
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        said = wire.decode_ack(seal.verify_ack(message.payload, self._key))
        with self._lock:
            for epoch in said.epochs:
                for first, last in ((1, epoch.upto), *epoch.have):
                    self.claimed.update((epoch.ep, seq) for seq in range(first, last + 1))

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_connect = None  # paho closes its sockets when nobody holds it


def collect(path: str) -> int:
    """Be a collector until SIGTERM: all but page and alerts, which take long to start."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in every thread: it is waited for
    collector = Collector(load_sites(path), demo=True)
    collector.start()
    signal.sigwait({signal.SIGTERM})
    collector.stop()
    return 0


def _wait(condition: Callable[[], bool], timeout_s: float, failure: str = "") -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            assert not failure, failure
            return
        time.sleep(0.1)


@contextlib.contextmanager
def line(folder: Path, **settings: Any) -> Iterator[Line]:
    """A running line, ended with the block."""
    found = Line(folder, **settings)
    try:
        found.start()
        yield found
    finally:
        found.close()


def run(folder: Path, *, cycles: int, seed: int, **settings: Any) -> tuple[Count, dict[str, int]]:
    """Some cycles of chaos in an empty folder; the verdict, and how often what was killed."""
    rng = random.Random(seed)
    with line(folder, rng=rng, **settings) as plant:
        for _ in range(cycles):
            time.sleep(rng.uniform(*PAUSE_S))
            plant.kill(rng.choice(VICTIMS))
        return count(plant.finish()), dict(plant.kills)


def main() -> int:
    """Run what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=100, help="how many kills")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    parser.add_argument("--seed", type=int, default=1, help="who is killed when")
    parser.add_argument("--points", type=int, default=100, help="instruments, polled once a second")
    parser.add_argument("--persistence", choices=("on", "off", "both"), default="both", help="of the broker")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave data and logs there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emitwatch-chaos-") as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        counted, kills = run(
            place.resolve(),
            cycles=options.cycles,
            seed=options.seed,
            points=options.points,
            persistence=options.persistence,
        )
    report = dataclasses.asdict(counted) | {"cycles": options.cycles, "seed": options.seed, "killed": kills}
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if options.json:
        options.json.write_text(text)
    return 1 if counted.lost or counted.duplicated or counted.unexplained_gaps else 0


if __name__ == "__main__":
    sys.exit(main())

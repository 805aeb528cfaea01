"""Runs a gateway: polls the instruments of a site, keeps what they say on disk, publishes it.

    load site and profiles -> key -> Spooler -> Publisher (thread) and Poller (event loop)

A wrong file, a key that cannot be used or an outbox that another process has is said in one message,
and nothing starts. A broker or an instrument that is away never stops it. SIGTERM and SIGINT end the
polling, commit what waits and give the line a moment to drain; what is not acknowledged then stays
in the outbox for the next start. SIGHUP has the site file read again (`gateway.reload`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.metadata
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass, field

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import papers
from gateway.assignment import Assignment
from gateway.assignment_files import CannotStart, read_assignment
from gateway.clock import RELEASED_NS, UNKNOWN, Discipline
from gateway.configuration import canonical
from gateway.connection import BrokerError
from gateway.document import FaultyFiles
from gateway.identity import IdentityError, load_or_create_key, public_hex, public_key
from gateway.measurement import Columns
from gateway.poller import Poller
from gateway.publisher import Publisher
from gateway.reload import Reloader
from gateway.service import Manager
from gateway.spooler import Spooler, SpoolError, SpoolFull, outbox_folder
from gateway.status import Latest
from gateway.status_server import served

DRAIN_S = 5.0  # at the end; a Ctrl-C has to end everything within 10 s
RETRY_S = 2.0  # between two tries to write to a full disk
NOTE_S = 0.5  # between two notes of what waits in memory meanwhile

_log = structlog.get_logger("gateway")


def run(
    site_path: str,
    id: str | None = None,
    *,
    demo: bool = False,
    stop: threading.Event | None = None,
    drain_s: float = DRAIN_S,
) -> int:
    """Run one gateway until a signal, or until `stop` is set; the exit code.

    site_path: a site file, or a folder of them. id: which gateway, None where there is only one.
    demo: the broker may go without user and password. drain_s: longest wait for acknowledgements at the end. [s]
    """
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the poller says what matters, once
    try:
        plan = read_assignment(site_path, id, demo=demo)
        key = _key(plan)
        folder = outbox_folder(plan.site.data_dir, plan.gateway)
        trust = papers.load_trust(folder, plan.site.collector_key)
        configuration = papers.load_configuration(
            folder, plan.gateway, canonical(plan.site, plan.gateway, plan.sensors), trust
        )
        spooler = Spooler(
            folder, plan.site.plant.id, plan.gateway, key, limits=plan.site.outbox, discipline=kernel_discipline,
            version=importlib.metadata.version("emitwatch"), earliest_ns=RELEASED_NS, configuration=configuration,
        )  # fmt: skip
        papers.keep_configuration(folder, configuration)
    except (FaultyFiles, CannotStart, IdentityError, SpoolError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    latest = Latest()

    def put(columns: Columns) -> int:
        latest.put(columns)
        return spooler.put(columns)

    poller = Poller(
        plan.sensors, put, kept=spooler.kept, tell=spooler.tell,
        told=papers.load_settings(folder), keep=lambda told: papers.keep_settings(folder, told),
    )  # fmt: skip
    reloader = Reloader(
        lambda: read_assignment(site_path, plan.gateway, demo=demo), plan, configuration,
        poller=poller, spooler=spooler, latest=latest,
    )  # fmt: skip
    try:
        collector = public_key(plan.site.collector_key) if plan.site.collector_key else None
        publisher = Publisher(
            plan.broker, plan.password, plan.gateway, spooler, collector, handovers=trust.handovers if trust else (),
            state=lambda: {**poller.state(), "storage": spooler.storage(), **reloader.state()},
            on_handover=lambda handovers: papers.keep_handovers(folder, handovers),
        )  # fmt: skip
    except BrokerError as error:
        spooler.close()
        sys.stderr.write(f"{error}\n")
        return 1
    return _Gateway(plan, spooler, publisher, poller, latest, reloader).run(stop or threading.Event(), drain_s)


@dataclass(slots=True)
class _Gateway:
    """The running parts, and the order in which they start and end."""

    plan: Assignment
    spooler: Spooler
    publisher: Publisher
    poller: Poller
    latest: Latest
    reloader: Reloader | None = None
    alarm: int = 0
    manager: Manager = field(default_factory=Manager)

    def run(self, stop: threading.Event, drain_s: float) -> int:
        _log.info(
            "The gateway runs", gateway=self.plan.gateway, plant=self.plan.site.plant.id,
            sensors=len(self.plan.sensors), outbox=str(self.spooler.folder), backlog=self.spooler.unacked(),
        )  # fmt: skip
        self.publisher.start()
        code = 0
        try:
            asyncio.run(self._poll(stop))
        except* SpoolError as group:
            code = 1
            for error in group.exceptions:
                _log.error("The outbox cannot be written; the gateway ends", problem=str(error))
        finally:
            self._end(drain_s if not code else 0)
        return code

    async def _poll(self, stop: threading.Event) -> None:
        """Poll and seal until told to stop."""
        stopping, told = asyncio.Event(), asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            _hear(stopping, told)
        self._say_ready()
        port, folder = self.plan.status_port, self.spooler.folder
        async with served(folder, port, self.publisher.state, self.latest), asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (self.poller.run(), self._seal(), self._reload(told))]
            while not (stopping.is_set() or stop.is_set()):
                self.manager.alive()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 0.1)
            for task in tasks:
                task.cancel()

    def _say_ready(self) -> None:
        sensors = (self.reloader.assignment if self.reloader else self.plan).sensors
        self.manager.ready(f"{self.plan.gateway} polls {len(sensors)} sensors")

    async def _reload(self, told: asyncio.Event) -> None:
        """Read the site file again whenever somebody says so."""
        while self.reloader:
            await told.wait()
            told.clear()
            self.manager.reloading()
            await self.reloader.reload()
            self._say_ready()

    async def _seal(self) -> None:
        """Commit what was polled, within a second; a full disk is tried again, anything worse ends the gateway."""
        full = False
        while True:
            due_s = self.spooler.due_s()
            await asyncio.sleep(0.1 if due_s is None else min(due_s, 0.1))
            if due_s != 0.0:
                continue
            try:
                await asyncio.to_thread(self.spooler.flush)
            except SpoolFull as error:
                if not full:
                    full = True
                    _log.error("The disk is full; measurements wait in memory", problem=str(error))
                for _ in range(round(RETRY_S / NOTE_S)):
                    await asyncio.sleep(NOTE_S)
                    await asyncio.to_thread(self.spooler.note_unsaved)
            else:
                if full:
                    full = False
                    _log.info("The outbox takes measurements again")
                if self.reloader:
                    await self.reloader.catch_up()
            self._watch_room()

    def _watch_room(self) -> None:
        """Say once when the outbox is half full, nearly full, full, and when it is less so again."""
        found = self.spooler.storage()
        if found["alarm"] == self.alarm:
            return
        say = _log.warning if found["alarm"] > self.alarm else _log.info
        self.alarm = found["alarm"]
        text = f"The outbox is {self.alarm} % full" if self.alarm else "The outbox has room again"
        if found["reserve"] == "spent":
            text = "The disk is full; the outbox lives on its reserve"
        say(text, **found)
        with contextlib.suppress(SpoolError):  # the next flush says what is wrong with the disk
            self.spooler.tell("storage", text, found)

    def _end(self, drain_s: float) -> None:
        """Commit, drain, close; a signal in between cuts the waiting short."""
        self.manager.ending()
        try:
            with contextlib.suppress(SpoolError):
                self.spooler.flush()
            if self.reloader:
                self.reloader.keep()
            self.publisher.wait_drained(drain_s)
        except KeyboardInterrupt:
            pass
        finally:
            self.publisher.stop()
            with contextlib.suppress(SpoolError):
                self.spooler.close()
            _log.info("The gateway has ended", gateway=self.plan.gateway, **self.spooler.counts())


def _hear(stopping: asyncio.Event, told: asyncio.Event) -> None:
    """Signals: end, or read the site file again. A terminal that closes sends SIGHUP too, and means the end."""
    loop, terminal = asyncio.get_running_loop(), os.isatty(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: (stopping if terminal and not os.isatty(0) else told).set())


def _key(plan: Assignment) -> Ed25519PrivateKey:
    """The gateway's key; a new one, or one the site file does not know, is told to whoever started this."""
    path = outbox_folder(plan.site.data_dir, plan.gateway) / "key"
    key, created = load_or_create_key(path)
    public = public_hex(key)
    known = next(g.public_key for g in plan.site.gateways if g.id == plan.gateway)
    lines = [f"gateway {plan.gateway}: made a new key, {path}"] if created else []
    if known and known != public:
        lines.append(f"gateway {plan.gateway}: the site file has another public key; the collector will trust no batch")
    if known != public:
        place = f'[[gateway]] id = "{plan.gateway}"'
        lines.append(f'enter in {plan.site.document.file} under {place}: public_key = "{public}"')
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return key


def kernel_discipline() -> Discipline:
    """What Linux says of its clock (adjtimex); unknown where it cannot be asked.

    Source: adjtimex(2): struct timex has maxerror [us] at byte 24 and status at byte 40 of a 64-bit system.
    """
    unsynced = 0x40  # STA_UNSYNC
    timex = ctypes.create_string_buffer(512)
    try:
        answer = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return UNKNOWN
    if answer < 0 or sys.maxsize < 2**32:
        return UNKNOWN
    max_error_us = int.from_bytes(timex.raw[24:32], sys.byteorder, signed=True)
    status = int.from_bytes(timex.raw[40:44], sys.byteorder)
    return Discipline(synced=not status & unsynced, err_ms=max(0, max_error_us // 1000))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(run(arguments[0] if arguments else os.curdir, arguments[1] if len(arguments) > 1 else None))

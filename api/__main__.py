"""`emitwatch run all`: collector, alerts and the HTTP interface of all plants in one process.

What can be wrong is looked for first (files, port, token), then the parts open what they need, and only
when all have it does anything start. They end in the direction in which the data flow, so that nothing
that was received is left undone. The first signal ends in order, the second at once.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

import structlog
import uvicorn

from alerts.charts import Incidents
from alerts.ledger import LedgerError
from alerts.notifier import Alerts
from alerts.witness_settings import parse_witnesses
from alerts.witnesses import Witnesses
from api.access import LOOPBACK
from api.check_command import examine
from api.inventory import Inventory, take_inventory
from api.live import Live
from api.server import create_app
from api.settings import ApiSettings, parse_api
from api.sources import Sources
from api.tokens import TokenError, load_or_create_token
from collector.__main__ import Collector, CollectorError
from collector.catalogue import rule_packs
from collector.verdicts.book import Book
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.sensors import resolve
from gateway.settings import Site

# Requests that still run when the server ends get two seconds; what it is made with is nobody's business.
SERVER: dict[str, Any] = {
    "log_level": "warning", "access_log": False, "server_header": False, "timeout_graceful_shutdown": 2,
}  # fmt: skip

log = structlog.get_logger("emitwatch")


class CannotStart(Exception):
    """Something on this machine stands in the way; says what to do."""


def run_all(path: str, *, demo: bool = False) -> int:
    """Run everything but the gateway until a signal; the exit code. path: a site file, or a folder of them.

    demo: no token is needed, on 127.0.0.1 alone.
    """
    signals = _Signals()
    try:
        with ExitStack() as stack:
            _run(path, demo, stack, signals)
    except FaultyFiles as error:
        sys.stderr.write(f"{error}\n{len(error.faults)} fault(s); nothing was started\n")
        return 1
    except (CannotStart, CollectorError, LedgerError, TokenError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 130 if signals.interrupted else 0


def _run(path: str, demo: bool, stack: ExitStack, signals: _Signals) -> None:
    sites, faults = examine(path, demo=demo)
    settings = None if faults else parse_api(sites)[0]
    if settings is None:
        raise FaultyFiles(faults)
    door = stack.enter_context(_listen(settings))
    if demo and settings.host not in LOOPBACK:
        raise CannotStart(f"the demo has no token and listens on this machine alone, not on {settings.host!r}")
    address = _address(door, settings)
    collector = Collector(sites, demo=demo)
    # A collector that was opened is stopped even if what comes next cannot start.
    stack.callback(collector.stop)
    alerts = Alerts(sites, collector.verdicts, Path(sites[0].data_dir) / "collector", link=address)
    collector.charts.follow(Incidents(alerts.ledger))
    witnesses = Witnesses((parse_witnesses(sites)[0] or {}).values(), Path(sites[0].data_dir) / "collector")
    live = Live(collector.journal, lambda: changes(collector.verdicts, alerts))
    token = "" if demo else _token(settings)
    app = create_app(_sources(sites, collector, alerts, witnesses), live, version=version("emitwatch"), token=token)
    alerts.start()
    stack.callback(alerts.stop)
    collector.start()
    stack.callback(collector.charts.stop)  # before the ledger that it reads is closed
    witnesses.start()
    stack.callback(witnesses.stop)
    live.start()
    stack.callback(live.stop)
    log.info("The page is open", url=address, plants=[site.plant.id for site in sites])
    server = Server(uvicorn.Config(app, **SERVER), live)
    # A collector whose disk failed ends: only a new start, which reads what is there, can be believed.
    collector.recorder.on_failure = lambda: setattr(server, "should_exit", True)
    server.should_exit = signals.came or bool(collector.recorder.failed)
    server.run(sockets=[door])
    if collector.recorder.failed:
        raise CollectorError(f"{collector.recorder.failed}\nLook at the disk (dmesg), then start again.")


def _sources(sites: list[Site], collector: Collector, alerts: Alerts, witnesses: Witnesses) -> Sources:
    return Sources(
        inventory=inventory_of(sites), journal=collector.journal, store=collector.store, book=collector.verdicts,
        alerts=alerts, registrar=collector.registrar,
        channels={channel.id: channel.kind for channel in alerts.settings.channels.values()},
        health=lambda: health_of(collector, alerts, witnesses), events=collector.journal.latest_events,
        now_ns=time.time_ns,
    )  # fmt: skip


def health_of(collector: Collector, alerts: Alerts, witnesses: Witnesses) -> dict[str, Any]:
    """How the parts are: the collector's answer, with alerts and witnesses in it.

    commissioning: the points of whose incidents nobody is told, as "plant/point".
    """
    told, own = collector.health(), alerts.health()
    silent = [f"{plant}/{point}" for plant, point in sorted(alerts.commissioning)]
    ended = [] if own["running"] else ["nobody is told of incidents: alerts have ended"]
    problems = [*told["problems"], *ended, *witnesses.problems()]
    return {
        **told, "ok": not problems, "problems": problems, "commissioning": silent, "alerts": own,
        "witnesses": witnesses.health(),
    }  # fmt: skip


def inventory_of(sites: list[Site]) -> Inventory:
    """What the sites watch, by their profiles and by the rules in force today."""
    parameters = catalogue.parameters()
    profiles = catalogue.profiles(sorted({site.path(folder) for site in sites for folder in site.folders.profiles}))
    packs = rule_packs(sorted({site.path(folder) for site in sites for folder in site.folders.rules}))
    return take_inventory(
        sites, [sensor for site in sites for sensor in resolve(site, profiles, parameters)[0]],
        parameters=parameters, packs=packs, on=datetime.now(ZoneInfo(sites[0].plant.timezone)).date(),
    )  # fmt: skip


def changes(book: Book, alerts: Alerts) -> dict[str, int]:
    """Numbers that move when a list on the page has news."""
    counts = alerts.ledger.counts()
    newest = alerts.incidents(limit=1)
    return {
        "exceedances": book.latest_id(),
        "incidents": newest[0].id if newest else 0,
        "open": counts["incidents"],
        "notices": sum(counts.values()) - counts["incidents"],
        "sent": counts["sent"],
    }


def _listen(settings: ApiSettings) -> socket.socket:
    """A socket of ours before anything else starts, so that a port in use stops nothing half-way."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((settings.host, settings.port))
        door.listen(128)
    except OSError as error:
        door.close()
        raise CannotStart(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; "
            "end what uses it, or set another [api] port in the site file"
        ) from error
    return door


def _address(door: socket.socket, settings: ApiSettings) -> str:
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host  # noqa: S104 - shown, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{door.getsockname()[1]}/"


def _token(settings: ApiSettings) -> str:
    token, created = load_or_create_token(settings.token_file)
    if created:
        log.warning("A new token for page and interface was made.", file=settings.token_file)
    return token


class Server(uvicorn.Server):
    """A server that ends its live streams before it waits for open requests."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything."""
        self._live.end_streams()
        await super().shutdown(sockets)


class _Signals:
    """The first signal ends in order, also while nothing serves yet; the second ends at once.

    While the server runs it takes the signals itself, and hands them on here when it has ended.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._count = 0
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._take)

    @property
    def came(self) -> bool:
        """Whether there was one."""
        return self._count > 0

    def _take(self, number: int, _: FrameType | None) -> None:
        self.interrupted |= number == signal.SIGINT
        self._count += 1
        if self._count > 1:
            os._exit(128 + number)

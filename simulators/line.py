"""The whole line on this machine: broker, plant, gateways, their past, and everything behind the broker.

`Line.start` prepares a folder (site files, keys, data) and starts one process each; they find one another
through the site files, as they would in a plant. What the line has reached is asked of its own interface
(`/api/v1`), as anybody could.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from gateway import catalogue
from gateway.configuration import approve, canonical, hash_of
from gateway.identity import load_or_create_key, public_hex, write_durably
from gateway.papers import APPROVAL
from gateway.sensors import resolve
from gateway.spooler import outbox_folder
from simulators import broker, stage
from simulators.children import Child, Children, tail
from simulators.server import Simulator, load
from simulators.sinks import Sinks
from simulators.stage import HISTORY, Doors, Keys, Tree

API_PORT = 8080
# Below the ports that Linux gives to outgoing connections (32768 up), so that none of these takes ours.
PORTS = range(20_000, 30_000)
BROKER_UP_S = 15.0
DRAIN_S = 20.0  # for everything between the last poll and the last acknowledgement


class PortTaken(Exception):
    """The port asked for is in use; says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a demonstration is to be. port: of the page; None = 8080 or a free one, 0 = a free one."""

    broker: str | None
    port: int | None
    seed: int
    hours: float


def free_ports(count: int, *, besides: int = 0) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on. besides: one that is meant for somebody already."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if port != besides and port_is_free(port):
            found.append(port)
    return found


def port_is_free(port: int) -> bool:
    """Whether a port of 127.0.0.1 could be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def page_port(wanted: int | None) -> int:
    """The port of the page; raises PortTaken when one was asked for and is in use."""
    if wanted and not port_is_free(wanted):
        raise PortTaken(f"port {wanted} is in use; choose another with --port, or --port 0 for a free one")
    if wanted is None and port_is_free(API_PORT):
        return API_PORT
    return wanted or free_ports(1)[0]


def given_sites() -> dict[str, Tree]:
    """The plants that come with the product, by file name."""
    files = (f for f in (resources.files("simulators") / "sites").iterdir() if f.name.endswith(".toml"))
    # The reference plant first: what all plants share is said in the first file.
    found = {f.name: tomllib.loads(f.read_text("utf-8")) for f in files}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "riverside.toml", item[0])))


@dataclass(slots=True)
class Line:
    """The processes of one demonstration. folder: everything it writes."""

    folder: Path
    setting: Setting
    children: Children
    url: str = ""
    gateways: list[Child] = field(default_factory=list)
    history: Child | None = None
    server: Child | None = None
    kind: str = ""
    doors: Doors | None = None

    @property
    def site(self) -> Path:
        """The folder of site files."""
        return self.folder / "site"

    @property
    def data(self) -> Path:
        """The data folder that the site files name."""
        return self.folder / "data"

    def start(self, *, progress: Callable[[str], None], said: Callable[[str], None]) -> None:
        """Prepare the folder and start everything.

        progress: gets the back-fill's JSON lines. said: gets the lines of the server's console.
        Raises NoBroker or PortTaken before anything runs.
        """
        self.prepare()
        self.start_broker()
        self.server = self.children.call("server", "api.cli:main", {"arguments": _words("all", self.site)}, said)
        self.start_plant()
        for file, gateway in self._gateways():
            own = {"site_path": str(file), "id": gateway, "demo": True, "drain_s": DRAIN_S}
            self.gateways.append(self.children.call(f"gateway-{gateway}", "gateway.__main__:run", own))
        past = {"site": str(self.site), "seed": self.setting.seed, "hours": self.setting.hours}
        self.history = self.children.call("history", "simulators.history:run", past, progress)

    def prepare(self) -> None:
        """Write site files and keys; raises NoBroker or PortTaken."""
        self.kind = broker.choose(self.setting.broker)
        self.doors = self._prepare(page_port(self.setting.port))
        self.url = f"http://127.0.0.1:{self.doors.api}/"

    def start_broker(self) -> None:
        """Start the broker and wait for it; raises NoBroker."""
        assert self.doors, "prepare() comes first"
        child = self.children.exec("broker", broker.command(self.kind, self.folder, self.doors.broker))
        if not broker.wait_until_up(self.doors.broker, BROKER_UP_S):
            raise broker.NoBroker(f"{self.kind} does not start:\n{tail(child)}")

    def start_plant(self) -> None:
        """Start the instruments and the receivers of notices."""
        assert self.doors, "prepare() comes first"
        sinks = {"folder": str(self.folder / "sinks"), "smtp": self.doors.smtp, "web": self.doors.web}
        plant = {"site": str(self.site), "seed": self.setting.seed, **sinks}
        self.children.call("plant", "simulators.line:run_plant", plant)

    def start_gateway(self, file: str, gateway: str) -> Child:
        """Start one gateway as a plant engineer does, with the console command."""
        words = _words("gateway", self.site / file, "--id", gateway)
        return self.children.call(f"gateway-{gateway}", "api.cli:main", {"arguments": words})

    def _prepare(self, api_port: int) -> Doors:
        given = given_sites()
        trees = list(given.values())
        links = stage.addresses(trees)
        smtp, web, mqtt, *rest = free_ports(3 + len(links), besides=api_port)
        doors = Doors(broker=mqtt, api=api_port, smtp=smtp, web=web, links=dict(zip(links, rest, strict=True)))
        keys = Keys(
            collector=_key(self.data / "collector"),
            gateways={id: _key(outbox_folder(self.data, id)) for id in stage.gateways(trees)},
        )
        protocol = broker.PROTOCOL[self.kind]
        staged = stage.staged(trees, data_dir=str(self.data), protocol=protocol, doors=doors, keys=keys)
        self.site.mkdir(parents=True)
        for name, tree in zip(given, staged, strict=True):
            (self.site / name).write_text(tomli_w.dumps(tree), "utf-8")
        self._approve()
        return doors

    def _approve(self) -> None:
        """The collector's word on what each gateway measures by, as `emitwatch enroll --sign` gives it."""
        key, _ = load_or_create_key(self.data / "collector" / "key")
        for site in catalogue.load_sites(str(self.site)):
            profiles = catalogue.profiles([site.path(folder) for folder in site.folders.profiles])
            sensors, _ = resolve(site, profiles, catalogue.parameters())
            for gateway in {sensor.settings.gateway for sensor in sensors}:
                hash = hash_of(canonical(site, gateway, sensors))
                approval = outbox_folder(self.data, gateway) / APPROVAL
                write_durably(approval, approve(gateway, hash, time.time_ns(), key).hex())

    def _gateways(self) -> Iterable[tuple[Path, str]]:
        for file in sorted(self.site.glob("*.toml")):
            for gateway in tomllib.loads(file.read_text("utf-8"))["gateway"]:
                if not gateway["id"].endswith(HISTORY):
                    yield file, gateway["id"]

    def ask(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """The answer of the line's own interface; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}api/v1/{path}", timeout=5.0) as answer:  # noqa: S310 - our own url
                return json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return None


def _words(part: str, site: Path, *more: str) -> list[str]:
    return ["run", part, str(site), "--demo", *more]


def _key(folder: Path) -> str:
    return public_hex(load_or_create_key(folder / "key")[0])


def run_plant(site: str, seed: int, folder: str, smtp: int, web: int) -> int:
    """Be the plant and the receivers of notices until SIGTERM."""
    return asyncio.run(_plant(site, seed, Path(folder), (smtp, web)))


async def _plant(site: str, seed: int, folder: Path, sink_ports: tuple[int, int]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator, sinks = Simulator(load(site), seed=seed), Sinks(folder)
    refused = await simulator.start()
    await sinks.start(*sink_ports)
    if refused:
        raise OSError("; ".join(refused))
    await stop.wait()
    await sinks.stop()
    await simulator.stop()
    return 0

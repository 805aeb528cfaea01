"""The site file: one plant, its points and sensors, and the way to the collector.

A site file serves all parts of the product. This module reads the tables that concern the plant,
its measuring and its transport; the tables in OTHERS are read by the packages that use them
(`collector.settings`, `alerts.settings`, `api.settings`), so that a gateway needs none of these.
Pure: text in, settings and faults out; files are read by `gateway.catalogue`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from zoneinfo import ZoneInfo

from gateway.brokers import Broker as Broker
from gateway.brokers import read_broker
from gateway.document import REQUIRED, Document, Fault, Table, parse_document
from gateway.inputs import Input, read_inputs
from gateway.links.address import LINK_HINT, NO_LINK, parse_link
from gateway.links.address import Link as Link
from gateway.retention import Limits, read_limits

OTHERS = ("store", "api", "alerts", "recipient", "channel", "author", "witness")
KINDS = ("noise", "stack", "water")
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
SERIAL = re.compile(r"\S(?:[^\x00-\x1f]{0,62}\S)?")
KEY_HINT = "64 hex digits, as `emitwatch run` prints them when it makes the key"
TIMEZONE_HINT = 'an IANA name, as "Asia/Shanghai"'


@dataclass(frozen=True, slots=True)
class Label:
    """A name for people in English and Chinese; one stands for the other where it is missing."""

    en: str
    zh: str

    def of(self, language: str) -> str:
        """The name in `en` or `zh`."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One permitted site. position: latitude, longitude [degrees], None = not given."""

    id: str
    name: Label
    industry: str
    district: str
    timezone: str
    position: tuple[float, float] | None
    data_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who the collector is to the broker. Files are paths relative to the site file, "" = none."""

    user: str = ""
    password_file: str = ""
    cert: str = ""
    key: str = ""

    def __bool__(self) -> bool:
        return bool(self.user or self.cert)


NO_ACCESS = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place that is watched. settings: what rule packs ask for (area_class, reference_oxygen, ..).

    commissioning: it is being set up: measured and judged like any other, and nobody is told.
    certificates: files, or folders of them, with the tests of its measuring systems, relative to the site file.
    """

    id: str
    kind: str
    name: Label
    rules: tuple[str, ...]
    settings: Mapping[str, Any]
    commissioning: bool = False
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """One instrument as the site file has it.

    parameters: which to keep; empty = all of the profile. inputs: words elsewhere that say what they are worth.
    serial: the instrument's serial number, "" = not given.
    """

    id: str
    point: str
    link: Link
    profile: str
    interval_s: float
    parameters: tuple[str, ...]
    gateway: str
    inputs: tuple[Input, ...] = ()
    serial: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """A gateway of the plant.

    public_key: Ed25519, hex; "" = not known yet. history: it sends the past (a back-fill), so whatever
    comes of its measurements is marked back-filled and wakes nobody. status_port: of its own page on
    127.0.0.1, 0 = none.
    """

    id: str
    public_key: str
    history: bool = False
    status_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Folders with further rule packs, profiles and channels, relative to the site file."""

    rules: tuple[str, ...]
    profiles: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One plant's site file. base: its folder, which relative paths start from."""

    document: Document
    base: str
    plant: Plant
    broker: Broker
    points: tuple[Point, ...]
    sensors: tuple[SensorSettings, ...]
    gateways: tuple[GatewaySettings, ...]
    collector_key: str
    folders: Folders
    outbox: Limits
    collector_access: Access = NO_ACCESS

    def path(self, relative: str) -> str:
        """A path of the site file, from where it stands."""
        return str(PurePath(self.base) / relative)

    @property
    def data_dir(self) -> str:
        """Where keys, outbox, journal and store live."""
        return self.path(self.plant.data_dir)

    def point(self, id: str) -> Point:
        """The point of an id; KeyError where there is none."""
        for point in self.points:
            if point.id == id:
                return point
        raise KeyError(id)


def parse_site(text: str, file: str) -> tuple[Site | None, list[Fault]]:
    """The site in a TOML text, or None and all its faults."""
    site, faults = scan_site(text, file)
    return (None if faults else site), faults


def scan_site(text: str, file: str) -> tuple[Site, list[Fault]]:
    """The site in a TOML text as far as it can be read, and all its faults.

    A name or id whose fault is noted here is "" in the site, so that those who go on with it
    (`emitwatch check`) do not note the same cause again. With a fault, nothing may run on such a site.
    """
    document, faults = parse_document(text, file)
    unreadable = list(faults)
    with Table.root(document, faults) as root:
        root.skip(*OTHERS)
        plant = _plant(root.table("plant", required=True, hint="a site file starts with [plant]"))
        broker = read_broker(root.table("broker", required=True, hint="say where the MQTT broker is: [broker] url"))
        gateways = _gateways(root)
        points = _points(root)
        sensors = _sensors(root, {p.id for p in points}, gateways)
        with root.table("collector") as table:
            table.skip("keep_months")  # the collector's own reader takes it
            key = _public_key(table)
            access = _access(table)
        with root.table("folders") as table:
            folders = Folders(**{kind: table.texts(kind, []) for kind in ("rules", "profiles", "channels")})
        outbox = read_limits(root.table("outbox"))
    site = Site(
        document=document, base=str(PurePath(file).parent), plant=plant, broker=broker, points=points,
        sensors=sensors, gateways=gateways, collector_key=key, folders=folders, outbox=outbox,
        collector_access=access,
    )  # fmt: skip
    return site, unreadable or faults  # of a text that is no TOML nothing is missing: nothing was read


def label(table: Table, key: str, default: str) -> Label:
    """A name: one text, or {en = "..", zh = ".."}."""
    value = table.raw(key, default)
    if isinstance(value, str):
        return Label(value, value)
    if (
        isinstance(value, dict)
        and value
        and set(value) <= {"en", "zh"}
        and all(isinstance(v, str) for v in value.values())
    ):
        return Label(value.get("en") or value["zh"], value.get("zh") or value["en"])
    table.fault(key, f"{value!r} is not a name", 'write name = "..." or name = {en = "...", zh = "..."}')
    return Label(default, default)


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone") from error
    return name


def timezone_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a time zone, and a hint; None = nothing."""
    try:
        _timezone(name)
    except ValueError as error:
        return str(error), TIMEZONE_HINT
    return None


def _plant(table: Table) -> Plant:
    with table:
        position = table.raw("position", None)
        good = isinstance(position, list) and len(position) == 2 and all(isinstance(v, int | float) for v in position)
        if position is not None and not (good and abs(position[0]) <= 90 and abs(position[1]) <= 180):
            table.fault("position", f"{position!r} is not a position", "position = [latitude, longitude] in degrees")
            position = None
        return Plant(
            id=(id := table.identifier("id") or ""),
            name=label(table, "name", id),
            industry=table.text("industry", ""),
            district=table.text("district", ""),
            timezone=table.convert("timezone", _timezone, hint=TIMEZONE_HINT) or "UTC",
            position=(float(position[0]), float(position[1])) if position else None,
            data_dir=table.text("data_dir", "data"),
        )


def _public_key(table: Table) -> str:
    key = table.text("public_key", "", pattern=PUBLIC_KEY, hint=KEY_HINT)
    return key if PUBLIC_KEY.fullmatch(key) else ""


def _access(table: Table) -> Access:
    access = Access(
        user=table.text("user", ""), password_file=table.text("password_file", ""),
        cert=table.text("cert", ""), key=table.text("key", ""),
    )  # fmt: skip
    if access.password_file and not access.user:
        table.fault("user", "missing", "a password needs a user")
    if access.key and not access.cert:
        table.fault("cert", "missing", "a key needs its certificate; `emitwatch enroll` makes both")
    return access


def _gateways(root: Table) -> tuple[GatewaySettings, ...]:
    found = []
    for table in root.tables("gateway"):
        with table:
            found.append(
                GatewaySettings(
                    id=table.identifier("id") or "",
                    public_key=_public_key(table),
                    history=table.boolean("history", False, hint="true: it sends the past and wakes nobody"),
                    status_port=table.integer("status_port", 0, low=0, high=65535, hint="its page, on 127.0.0.1") or 0,
                )
            )
    _unique(root, "gateway", [g.id for g in found])
    if not found and not root.values.get("gateway"):
        root.fault("gateway", "missing", "add [[gateway]] with an id")
    return tuple(found)


def _points(root: Table) -> tuple[Point, ...]:
    found = []
    for table in root.tables("point"):
        with table:
            id = table.identifier("id") or ""
            found.append(
                Point(
                    id=id,
                    kind=table.choice("kind", KINDS) or "",
                    name=label(table, "name", id),
                    rules=table.texts("rules", [], hint="ids of rule packs: `emitwatch rules list`"),
                    settings=table.mapping("settings", {}),
                    commissioning=table.boolean("commissioning", False, hint="true: nobody is told of its incidents"),
                    certificates=table.texts("certificates", [], hint="certificate files, or folders of them"),
                )
            )
    _unique(root, "point", [p.id for p in found])
    return tuple(found)


def _sensors(
    root: Table, points: Collection[str], all_gateways: Sequence[GatewaySettings]
) -> tuple[SensorSettings, ...]:
    found = []
    gateways = list(dict.fromkeys(g.id for g in all_gateways if not g.history))
    for table in root.tables("sensor"):
        with table:
            gateway = _named(table, "gateway", gateways, gateways[0] if len(gateways) == 1 else "")
            if not gateway and len(gateways) > 1 and "gateway" not in table:
                table.fault("gateway", "missing", f"there are several gateways; say which: {', '.join(gateways)}")
            found.append(
                SensorSettings(
                    id=table.identifier("id") or "",
                    point=_named(table, "point", points),
                    link=table.convert("link", parse_link, hint=LINK_HINT) or NO_LINK,
                    profile=table.text("profile", hint="a device profile: `emitwatch profiles list`") or "",
                    interval_s=table.number("interval_s", low=0.1, high=86400, hint="seconds between two polls") or 1.0,
                    parameters=table.texts("parameters", [], hint="codes of gateway/parameters.toml"),
                    gateway=gateway or "",
                    inputs=read_inputs(table, parse_link, LINK_HINT),
                    serial=table.text("serial", "", pattern=SERIAL, hint="as on its plate, up to 64 characters"),
                )
            )
    _unique(root, "sensor", [s.id for s in found])
    return tuple(found)


def _named(table: Table, key: str, ids: Collection[str], default: str = REQUIRED) -> str:
    """One of the ids; where one of them could not be read, an unknown name is that one's fault, and not noted again."""
    if "" not in ids and (ids or default is REQUIRED or key in table):
        return table.choice(key, ids, default) or ""
    name = table.text(key, default) or ""
    return name if name in ids else ""


def _unique(root: Table, key: str, ids: list[str]) -> None:
    for number, id in enumerate(ids):
        if id and id in ids[:number]:
            root.fault(f"{key}[{number}].id", f"{id!r} is used twice", "every id is unique in its plant")

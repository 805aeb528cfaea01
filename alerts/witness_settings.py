"""Who holds the collector's checkpoints elsewhere: the tables `[[witness]]` of the site files.

A site file is one plant's, so a witness in it gets that plant's checkpoints unless `plants` names others
(`"*"` = every plant of the folder). Witnesses of all files form one list, and every id is used once. Pure:
sites in, settings and faults out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from alerts.settings import MAILBOX, TWICE, Channel, parse_alerts, require_known, url_problem
from collector.proof.cosignature import WitnessKey, read_key
from gateway.document import Fault, Table
from gateway.settings import Site

KINDS = ("file", "https", "email")
EVERY_H = {"file": 1, "https": 1, "email": 24}
_KEY_HINT = "as `emitwatch witness` prints it when it starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """A witness.

    kind: file, https or email. plants: ids whose checkpoints it gets. every_h: hours from one delivery to the next.
    file: path, a folder. https: url, what `/add-checkpoint` is put behind; ca: file of the only authority to believe,
    "" = the system's; allow_private: it may be at an address that is not on the public internet; key: whose signature
    its answers must bear, None = any answer will do. email: address, and the channel that the mail goes over.
    """

    id: str
    kind: str
    plants: tuple[str, ...]
    every_h: int = 1
    path: str = ""
    url: str = ""
    ca: str = ""
    allow_private: bool = False
    key: WitnessKey | None = None
    address: str = ""
    channel: Channel | None = None


def parse_witnesses(sites: Sequence[Site]) -> tuple[dict[str, WitnessSettings] | None, list[Fault]]:
    """The witnesses of all sites by id, or None and what is wrong."""
    faults: list[Fault] = []
    found: dict[str, WitnessSettings] = {}
    alerts, _ = parse_alerts(sites)  # where they cannot be read, whoever reads them says why
    channels = alerts.channels if alerts else None
    plants = [site.plant.id for site in sites]
    for site in sites:
        for table in Table.root(site.document, faults).tables("witness"):
            new = _witness(site, table, plants, channels)
            if new.id and new.id in found:
                table.fault("id", f"witness {new.id!r} is defined twice", TWICE)
            elif new.id:
                found[new.id] = new
    return (None if faults else found), faults


def _witness(
    site: Site, table: Table, all_plants: Sequence[str], channels: Mapping[str, Channel] | None
) -> WitnessSettings:
    with table:
        id, kind = table.identifier("id") or "", table.choice("kind", KINDS) or ""
        named = table.texts("plants", [], hint='ids of plants; "*" = all of the folder')
        if all(all_plants):
            require_known(table, "plants", named, [*all_plants, "*"], "plant")
        plants = tuple(all_plants) if "*" in named else named or (site.plant.id,)
        every_h = table.integer("every_h", EVERY_H.get(kind, 1), low=1, high=24 * 31, hint="hours") or 1
        witness = WitnessSettings(id=id, kind=kind, plants=plants, every_h=every_h)
        if kind == "file":
            path = table.text("path", hint="a folder that is not on the collector's disk") or ""
            return replace(witness, path=site.path(path) if path else "")
        if kind == "https":
            return _https(site, table, witness)
        if kind == "email":
            return _email(table, witness, channels)
        table.skip(*table.values)
        return witness


def _https(site: Site, table: Table, witness: WitnessSettings) -> WitnessSettings:
    url = table.text("url", hint='url = "https://witness.example.com"') or ""
    allow_private = table.boolean("allow_private", False)
    if url and (problem := url_problem(url, allow_private=allow_private)):
        table.fault("url", *problem)
    ca = table.text("ca", "")
    return replace(
        witness, url=url.rstrip("/"), allow_private=allow_private, ca=site.path(ca) if ca else "",
        key=table.convert("key", read_key, None, hint=_KEY_HINT),
    )  # fmt: skip


def _email(table: Table, witness: WitnessSettings, channels: Mapping[str, Channel] | None) -> WitnessSettings:
    address = table.text("address", pattern=MAILBOX, hint='address = "checkpoints@authority.example"') or ""
    name = table.text("channel", hint="the id of an e-mail [[channel]]") or ""
    if channels is not None and name:
        mail = [id for id, channel in channels.items() if channel.kind == "email"]
        if name not in mail:
            hint = f"known: {', '.join(sorted(mail)) or 'none'}"
            table.fault("channel", f"e-mail channel {name!r} is not defined", hint)
    return replace(witness, address=address, channel=(channels or {}).get(name))

"""What one gateway is to do, read from its site file, profiles and password file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import catalogue
from gateway.assignment import Assignment
from gateway.document import FaultyFiles
from gateway.sensors import resolve
from gateway.settings import Site


class CannotStart(Exception):
    """Something the site's owner has to do first; says what."""


def read_assignment(site_path: str, id: str | None, *, demo: bool) -> Assignment:
    """What to run; raises FaultyFiles or CannotStart.

    site_path: a site file, or a folder of them. id: which gateway, None where there is only one.
    demo: the broker may go without user and password.
    """
    sites = catalogue.load_sites(site_path)
    site, gateway = _choose(sites, id)
    profiles = catalogue.profiles([site.path(folder) for folder in site.folders.profiles])
    sensors, faults = resolve(site, profiles, catalogue.parameters())
    mine = tuple(sensor for sensor in sensors if sensor.settings.gateway == gateway)
    if faults:
        raise FaultyFiles(faults)
    if not mine:
        raise CannotStart(f"{site.document.file}: no sensor belongs to gateway {gateway!r}; nothing to poll")
    broker = site.broker
    paths: dict[str, Any] = {
        name: site.path(getattr(broker, name)) for name in ("ca", "cert", "key") if getattr(broker, name)
    }
    if not (demo or broker.user or broker.cert):
        raise CannotStart(
            f"{site.document.file}: [broker] user: missing\n"
            "    hint: the broker needs user and password_file; only `emitwatch demo` does without"
        )
    return Assignment(site, gateway, mine, replace(broker, **paths), _password(site))


def _choose(sites: Sequence[Site], id: str | None) -> tuple[Site, str]:
    known = {gateway.id: site for site in sites for gateway in site.gateways}
    if id is None and len(known) == 1:
        id = next(iter(known))
    if id is None:
        raise CannotStart(f"there are several gateways; say which with --id: {', '.join(known)}")
    if id not in known:
        raise CannotStart(f"there is no gateway {id!r}; there is: {', '.join(known)}")
    return known[id], id


def _password(site: Site) -> str | None:
    if not site.broker.password_file:
        return None
    path = Path(site.path(site.broker.password_file))
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(
            f"{site.document.file}: [broker] password_file: {path} cannot be read: {error}\n"
            "    hint: a text file with the broker's password in its only line"
        ) from error

"""What the site files need of this machine: files they name, folders to write into.

`emitwatch check` and `emitwatch run all` ask the same, so that what one passes the other does not
refuse. Nothing is left behind: whether a folder can be written is tried in a folder that goes again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from api.tokens import TokenError, require_usable
from gateway.connection import BrokerError, tls_context
from gateway.document import Fault
from gateway.settings import Site

FOLDERS = ("rules", "profiles", "channels")


def machine_faults(sites: Sequence[Site], *, demo: bool = False) -> list[Fault]:
    """What is missing on this machine. demo: the broker may go without user, and there is no token."""
    faults: list[Fault] = []
    tried: set[str] = set()
    for site in sites:
        if not site.document.tree:
            continue
        faults += folder_faults(site)
        if isinstance(site.document.tree.get("broker"), dict):
            faults += _broker(site, demo=demo)
        if site.data_dir not in tried:
            tried.add(site.data_dir)
            faults += _writable(site, "plant.data_dir", Path(site.data_dir))
        faults += _store(site)
        faults += () if demo else _token(site)
        faults += _channels(site)
    return faults


def folder_faults(site: Site) -> Iterator[Fault]:
    """The folders of `[folders]` that are not there."""
    for kind in FOLDERS:
        for folder in getattr(site.folders, kind):
            if not is_folder(site.path(folder)):
                message = f"there is no folder {site.path(folder)}"
                yield site.document.fault(f"folders.{kind}", message, "make it, or leave it out")


def is_folder(path: str) -> bool:
    """Whether there is such a folder; a path that no file system takes is none."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _broker(site: Site, *, demo: bool) -> Iterator[Fault]:
    broker = site.broker
    if not (demo or broker.user or broker.cert):
        hint = "the broker needs user and password_file; only `emitwatch demo` does without"
        yield site.document.fault("broker.user", "missing", hint)
    if broker.password_file:
        hint = "a text file with the broker's password in its only line"
        yield from _readable(site, "broker.password_file", broker.password_file, hint)
    files = {name: site.path(file) for name in ("ca", "cert", "key") if (file := getattr(broker, name))}
    faults = [fault for name, file in files.items() for fault in _readable(site, f"broker.{name}", file, "a PEM file")]
    yield from faults
    if files and not faults and bool(broker.cert) == bool(broker.key):
        try:
            tls_context(replace(broker, **files))
        except BrokerError as error:
            name = "ca" if broker.ca else "cert"
            yield site.document.fault(f"broker.{name}", str(error), "PEM files; the key has to be the certificate's")


def _store(site: Site) -> Iterator[Fault]:
    path = _text(site, "store", "path")
    if path:
        yield from _writable(site, "store.path", Path(site.path(path)).parent)


def _token(site: Site) -> Iterator[Fault]:
    """A token's file that the site names needs its folder; the default one is made."""
    named = _text(site, "api", "token_file")
    file = site.path(named) if named else f"{site.data_dir}/collector/api.token"
    if named and not is_folder(str(Path(file).parent)):
        yield site.document.fault("api.token_file", f"there is no folder {Path(file).parent}", "make the folder")
        return
    try:
        require_usable(file)
    except TokenError as error:
        yield site.document.fault("api.token_file", str(error), "")
        return
    if named and not Path(file).exists():
        yield from _writable(site, "api.token_file", Path(file).parent)


def _channels(site: Site) -> Iterator[Fault]:
    """The secrets that channels name. A webhook's default one is made."""
    tables = site.document.tree.get("channel")
    for number, table in enumerate(tables if isinstance(tables, list) else ()):
        for key in ("password_file", "secret_file"):
            file = table.get(key) if isinstance(table, dict) else None
            if isinstance(file, str) and file:
                yield from _readable(site, f"channel[{number}].{key}", file, "a text file with the secret alone")


def _text(site: Site, table: str, key: str) -> str:
    values = site.document.tree.get(table)
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""


def _readable(site: Site, path: str, file: str, hint: str) -> Iterator[Fault]:
    place = site.path(file)
    try:
        Path(place).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        yield site.document.fault(path, f"{place} cannot be read: {why}", hint)


def _writable(site: Site, path: str, folder: Path) -> Iterator[Fault]:
    """Nothing where the folder, or the nearest one above it that exists, can be written into."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryDirectory(prefix=".emitwatch-", dir=there):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = "a folder that the user who runs emitwatch may write into"
        yield site.document.fault(path, f"{folder} cannot be made or written: {why}", hint)

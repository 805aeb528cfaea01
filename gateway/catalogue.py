"""The gateway's data files, read from disk: parameters, device profiles, site files.

The only module of the package that opens them; what they mean is decided by the pure modules it
hands the texts to. Every function raises `FaultyFiles`, after all files were read, with all that
is wrong in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from gateway.document import Fault, FaultyFiles
from gateway.parameters import Parameters, parse_parameters
from gateway.profile_file import parse_profile
from gateway.profiles import Profile
from gateway.registers import example_faults
from gateway.settings import Site, scan_site

# Tables that all plants of one collector share: each site file of a folder says the same, or only one says it.
SHARED = (("store",), ("api",), ("collector",), ("broker", "url"), ("plant", "data_dir"))


@cache
def parameters() -> Parameters:
    """The quantities that emitwatch knows (`gateway/parameters.toml`)."""
    file = resources.files("gateway") / "parameters.toml"
    found, faults = parse_parameters(file.read_text("utf-8"), "gateway/parameters.toml")
    if faults:
        raise FaultyFiles(faults)
    return found


def profiles(folders: Sequence[str] = ()) -> dict[str, Profile]:
    """The device profiles of the product and of further folders, by name; their examples are tried."""
    found, faults = scan_profiles(folders)
    if faults:
        raise FaultyFiles(faults)
    return found


def scan_profiles(folders: Sequence[str] = ()) -> tuple[dict[str, Profile], list[Fault]]:
    """The device profiles that can be read, and all faults of the others."""
    documents = _packaged_profiles()
    faults: list[Fault] = []
    for folder in folders:
        own, wrong = _folder(Path(folder), empty_ok=True)
        documents += own
        faults += wrong
    found: dict[str, Profile] = {}
    for file, text in documents:
        profile, said = _profile_in(file, text)
        faults += said
        if profile is None:
            continue
        if profile.name in found:
            where = found[profile.name].file
            faults.append(
                Fault(file, "profile.name", None, f"{profile.name!r} is in {where} too", "choose another name")
            )
        found.setdefault(profile.name, profile)
    return dict(sorted(found.items())), faults


def load_profile(path: str) -> Profile:
    """One profile file, its examples tried."""
    profile, faults = _profile_in(*_read(Path(path)))
    if profile is None or faults:
        raise FaultyFiles(faults)
    return profile


@lru_cache(maxsize=256)
def _profile_in(file: str, text: str) -> tuple[Profile | None, tuple[Fault, ...]]:
    """A profile file's text read and its examples tried; the same text is not read twice."""
    profile, faults = parse_profile(text, file, parameters())
    return profile, (*faults, *(example_faults(profile) if profile else ()))


def load_sites(path: str) -> tuple[Site, ...]:
    """The plants of a site file, or of a folder of them; what all must agree on is the same in each."""
    sites, faults = scan_sites(path)
    faults += conflicts(sites)
    if faults:
        raise FaultyFiles(faults)
    return sites


def scan_sites(path: str) -> tuple[tuple[Site, ...], list[Fault]]:
    """The plants of all files that can be opened, as far as each can be read, and the faults of each file."""
    documents, faults = _documents(path)
    sites = []
    for file, text in documents:
        site, wrong = scan_site(text, file)
        faults += wrong
        sites.append(site)
    return tuple(_completed(site, sites) for site in sites), faults


def conflicts(sites: Sequence[Site]) -> list[Fault]:
    """What only shows between the files of a folder: ids used twice, and tables that do not agree."""
    return _repeated(sites) + [fault for keys in SHARED for fault in _disagreement(sites, keys)]


def _documents(path: str) -> tuple[list[tuple[str, str]], list[Fault]]:
    place = Path(path)
    if place.is_dir():
        return _folder(place)
    try:
        return [_read(place)], []
    except FaultyFiles as error:
        return [], list(error.faults)


def _packaged_profiles() -> list[tuple[str, str]]:
    folder: Traversable = resources.files("gateway") / "profiles"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return [(f"gateway/profiles/{file.name}", file.read_text("utf-8")) for file in files]


def _folder(folder: Path, *, empty_ok: bool = False) -> tuple[list[tuple[str, str]], list[Fault]]:
    """(file, text) of each file that can be read, and what is wrong with the others."""
    if not folder.is_dir():
        return [], [Fault(str(folder), "", None, "there is no such folder", "check the path")]
    found: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found.append(_read(file))
        except FaultyFiles as error:
            faults += error.faults
    if not found and not faults and not empty_ok:
        faults.append(
            Fault(str(folder), "", None, "no *.toml in this folder", "put one site file for each plant there")
        )
    return found, faults


def _read(file: Path) -> tuple[str, str]:
    try:
        return str(file), file.read_text("utf-8")
    except FileNotFoundError as error:
        raise FaultyFiles([Fault(str(file), "", None, "there is no such file", "check the path")]) from error
    except UnicodeDecodeError as error:
        raise FaultyFiles([Fault(str(file), "", None, f"not UTF-8: {error}", "save it as UTF-8")]) from error
    except OSError as error:
        hint = "check the path and its permissions"
        raise FaultyFiles([Fault(str(file), "", None, f"not readable: {error.strerror}", hint)]) from error


def _repeated(sites: Sequence[Site]) -> list[Fault]:
    """Plants and gateways are named apart over all files: both are part of every key."""
    faults = []
    owners: dict[tuple[str, str], str] = {}
    for site in sites:
        names = [("plant", "plant.id", site.plant.id)]
        names += [("gateway", f"gateway[{n}].id", g.id) for n, g in enumerate(site.gateways)]
        for kind, path, id in (name for name in names if name[2]):
            owner = owners.setdefault((kind, id), site.document.file)
            if owner != site.document.file:
                hint = f"every {kind} of a collector has its own id"
                faults.append(site.document.fault(path, f"{id!r} is the {kind} of {owner} already", hint))
    return faults


def _disagreement(sites: Sequence[Site], keys: Sequence[str]) -> list[Fault]:
    said = [(site, value) for site in sites if (value := _said(site, keys)) is not None]
    path = ".".join(keys)
    return [
        site.document.fault(
            path, f"{value!r} is not what {said[0][0].document.file} says: {said[0][1]!r}",
            "one collector serves all plants of a folder: say it once, or the same in each",
        )
        for site, value in said[1:]
        if value != said[0][1]
    ]  # fmt: skip


def _said(site: Site, keys: Sequence[str]) -> object:
    """What a site file says under a path of keys; None where it says nothing."""
    value: Any = site.document.tree
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _completed(site: Site, sites: Sequence[Site]) -> Site:
    """A site with what another file says for all: the data folder and the collector's key."""
    data_dirs = [other.plant.data_dir for other in sites if _said(other, ("plant", "data_dir")) is not None]
    keys = [other.collector_key for other in sites if other.collector_key]
    plant = replace(site.plant, data_dir=data_dirs[0]) if data_dirs else site.plant
    return replace(site, plant=plant, collector_key=keys[0] if keys else "")

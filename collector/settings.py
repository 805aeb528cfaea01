"""What the collector takes from the site files: whom to trust, where to keep things.

The collector serves all plants of the site files it is given. Its own tables are common to all:
given in several files they have to say the same. Pure: sites in, settings and faults out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.authors import Authors, parse_authors
from collector.intake.gate import Trusted
from collector.store_settings import InfluxSettings, parse_store
from gateway.document import Fault, Table
from gateway.settings import Site

_Value = TypeVar("_Value")
_FILE = "store.duckdb"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """The collector's settings.

    folder: where key, journal, store and verdicts lie. store_path: the DuckDB file.
    influx: the InfluxDB store, which is then used instead; None = DuckDB.
    trusted: gateway id -> plant and key; a gateway whose key is not known yet has None.
    authors: who may mark measurements, by plant and id.
    keep_months: how many months of the journal stay before the newest; 0 = all.
    """

    folder: str
    store_path: str
    trusted: Mapping[str, Trusted]
    authors: Authors
    keep_months: int = 0
    influx: InfluxSettings | None = None


def parse_collector(sites: Sequence[Site]) -> tuple[CollectorSettings | None, list[Fault]]:
    """The collector's settings in the files of its plants, or None and all faults."""
    assert sites, "a collector without a plant"
    faults: list[Fault] = []
    folder = str(PurePath(sites[0].data_dir) / "collector")
    store = _agreed("store.path", [(site, parse_store(site, faults)) for site in sites], faults)
    keep_months = _agreed("collector.keep_months", [(site, _keep(site, faults)) for site in sites], faults)
    trusted = _trusted(sites, faults)
    authors, wrong = parse_authors(sites)
    faults += wrong
    if faults:
        return None, faults
    return CollectorSettings(
        folder=folder, store_path=store if isinstance(store, str) else str(PurePath(folder) / _FILE), trusted=trusted,
        authors=authors, keep_months=keep_months or 0, influx=store if isinstance(store, InfluxSettings) else None,
    ), []  # fmt: skip


def _agreed(path: str, said: Sequence[tuple[Site, _Value | None]], faults: list[Fault]) -> _Value | None:
    """What the site files that say something have in common; None where none does."""
    given = [(site, value) for site, value in said if value]
    for site, value in given:
        if value != given[0][1]:
            hint = f"[{path.split('.')[0]}] is common to all plants; give it once, or as in {given[0][0].document.file}"
            faults.append(site.document.fault(path, f"{value!r} differs from the other site files", hint))
    return given[0][1] if given else None


def _keep(site: Site, faults: list[Fault]) -> int | None:
    """How many months of the journal a site file wants kept."""
    table = Table.root(site.document, faults).table("collector")
    found = table.integer("keep_months", None, low=1, high=1200, hint="leave it out to keep everything")
    return None if found is None else int(found)


def _trusted(sites: Sequence[Site], faults: list[Fault]) -> dict[str, Trusted]:
    trusted: dict[str, Trusted] = {}
    for site in sites:
        for number, gateway in enumerate(site.gateways):
            if gateway.id and gateway.id in trusted:
                message = f"{gateway.id!r} is a gateway of plant {trusted[gateway.id].plant!r} already"
                hint = "gateway ids are unique over all plants of a collector"
                faults.append(site.document.fault(f"gateway[{number}].id", message, hint))
                continue
            # The site file's reader has checked the form.
            raw = bytes.fromhex(gateway.public_key)
            key = Ed25519PublicKey.from_public_bytes(raw) if raw else None
            trusted[gateway.id] = Trusted(site.plant.id, key)
    return trusted

"""What the collector takes from the site files: whom to trust, where to keep things.

The collector serves all plants of the site files it is given. Its own tables are common to all:
given in several files they have to say the same. Pure: sites in, settings and faults out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.authors import Authors, parse_authors
from collector.intake.gate import Trusted
from gateway.document import Fault, Table
from gateway.settings import Site

STORES = ("duckdb", "influxdb")
_FILE = "store.duckdb"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """The collector's settings.

    folder: where key, journal, store and verdicts lie. store_path: the DuckDB file.
    trusted: gateway id -> plant and key; a gateway whose key is not known yet has None.
    authors: who may mark measurements, by plant and id.
    """

    folder: str
    store_path: str
    trusted: Mapping[str, Trusted]
    authors: Authors


def parse_collector(sites: Sequence[Site]) -> tuple[CollectorSettings | None, list[Fault]]:
    """The collector's settings in the files of its plants, or None and all faults."""
    assert sites, "a collector without a plant"
    faults: list[Fault] = []
    folder = str(PurePath(sites[0].data_dir) / "collector")
    stores = {site.document.file: path for site in sites if (path := _store(site, faults))}
    for file, path in stores.items():
        if path != next(iter(stores.values())):
            hint = f"[store] is common to all plants; give it once, or as in {next(iter(stores))}"
            document = next(site.document for site in sites if site.document.file == file)
            faults.append(document.fault("store.path", f"{path!r} differs from the other site files", hint))
    trusted = _trusted(sites, faults)
    authors, wrong = parse_authors(sites)
    faults += wrong
    if faults:
        return None, faults
    store_path = next(iter(stores.values()), str(PurePath(folder) / _FILE))
    return CollectorSettings(folder=folder, store_path=store_path, trusted=trusted, authors=authors), []


def _store(site: Site, faults: list[Fault]) -> str | None:
    """The store's file where a site file names one."""
    with Table.root(site.document, faults).table("store") as table:
        kind = table.choice("kind", STORES, "duckdb")
        path = table.text("path", "")
        table.skip("url", "token_file")
        if kind == "influxdb":
            table.fault("kind", "the InfluxDB store is not built yet", 'kind = "duckdb", or leave [store] out')
        for key in ("url", "token_file"):
            if kind == "duckdb" and key in table:
                table.fault(key, "belongs to the InfluxDB store", "a DuckDB store has a path")
        return site.path(path) if path else None


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

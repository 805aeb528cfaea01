"""Which store a site file names, and where it is. Pure: a site in, settings and faults out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.document import Fault, Table
from gateway.settings import Site

STORES = ("duckdb", "influxdb")
APIS = ("auto", "v1", "v2")
TOKEN = "EMITWATCH_STORE_TOKEN"  # noqa: S105 - the variable's name
_DATABASE = "emitwatch"
# What line protocol, InfluxQL and addresses take without escapes.
_NAME = re.compile(r"([\w.-]+(/[\w.-]+)?)?")
_INFLUX = ("url", "database", "retention_policy", "bucket", "org", "api", "token_file", "ca")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InfluxSettings:
    """An InfluxDB store. token_file, ca: paths, "" = none. bucket, org: of 2.x, "" = as database says, none."""

    url: str
    database: str
    retention_policy: str
    bucket: str
    org: str
    api: str
    token_file: str
    ca: str

    def __repr__(self) -> str:
        return f"{self.url} {self.database}"


def parse_store(site: Site, faults: list[Fault]) -> str | InfluxSettings | None:
    """The store that a site file names: a DuckDB file, or InfluxDB; None = it names none."""
    with Table.root(site.document, faults).table("store") as table:
        if table.choice("kind", STORES, "duckdb") == "influxdb":
            if "path" in table:
                table.fault("path", "belongs to the DuckDB store", "an InfluxDB store has a url")
            table.skip("path")
            return _influx(site, table)
        path = table.text("path", "")
        table.skip(*_INFLUX)
        for key in _INFLUX:
            if key in table:
                table.fault(key, "belongs to the InfluxDB store", 'a DuckDB store has a path; or kind = "influxdb"')
        return site.path(path) if path else None


def _influx(site: Site, table: Table) -> InfluxSettings:
    url = (table.text("url", hint="http://HOST:8086, or https://HOST:8086") or "").rstrip("/")
    if url and not _is_address(url):
        table.fault("url", f"{url!r} is not the address of a server", "http://HOST:8086, without user and path")
    names = {
        key: table.text(key, "", pattern=_NAME, hint="letters, digits, _ . and -") or ""
        for key in ("database", "retention_policy", "bucket")
    }
    org, api = table.text("org", "") or "", table.choice("api", APIS, "auto") or "auto"
    if api == "v1" and names["bucket"]:
        table.fault("bucket", "is of 2.x, and api says v1", "leave bucket out, or api")
    files = {key: site.path(path) if (path := table.text(key, "")) else "" for key in ("token_file", "ca")}
    return InfluxSettings(
        url=url, database=names["database"] or names["bucket"].partition("/")[0] or _DATABASE,
        retention_policy=names["retention_policy"], bucket=names["bucket"], org=org, api=api, **files,
    )  # fmt: skip


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            and not (parts.username or parts.path or parts.query or parts.fragment)
        )  # fmt: skip
    except ValueError:
        return False

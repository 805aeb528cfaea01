"""The `[api]` table of the site files: where the HTTP interface listens, and its token.

The interface is one for all plants, so the files of a folder must agree about it, or only one of
them has the table. Pure: sites in, settings and faults out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.document import Fault, Table
from gateway.settings import Site

DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the interface listens. token_file: path of the file with the bearer token, made when missing."""

    host: str
    port: int
    token_file: str

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 - asked, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def parse_api(sites: Sequence[Site]) -> tuple[ApiSettings | None, list[Fault]]:
    """The settings that all sites agree on, or None and what is wrong."""
    faults: list[Fault] = []
    found: list[tuple[Table, ApiSettings]] = []
    for site in sites:
        if "api" in site.document.tree:
            noted = len(faults)
            table, settings = _table(site, faults)
            if len(faults) == noted:
                found.append((table, settings))
    for table, settings in found[1:]:
        if settings != found[0][1]:
            first = found[0][0].document.file
            table.fault("", f"differs from [api] in {first}", "one interface serves all plants; say it in one file")
    if faults:
        return None, faults
    default = ApiSettings(host="127.0.0.1", port=DEFAULT_PORT, token_file=_token_file(sites[0]))
    return (found[0][1] if found else default), []


def _table(site: Site, faults: list[Fault]) -> tuple[Table, ApiSettings]:
    with Table.root(site.document, faults).table("api") as table:
        token_file = table.text("token_file", "", hint="a path, from where the site file stands")
        return table, ApiSettings(
            host=table.text("host", "127.0.0.1", hint="an address of this machine; 127.0.0.1 = only this machine"),
            port=table.integer("port", DEFAULT_PORT, low=0, high=65535, hint="0 = a free one") or 0,
            token_file=site.path(token_file) if token_file else _token_file(site),
        )


def _token_file(site: Site) -> str:
    return f"{site.data_dir}/collector/api.token"

"""HTTP to the server, by influxdb-client; nothing of that client but its connection is used.

Its batching drops what a server refuses, keeps everything in memory while a server hangs, and retries some
refusals for ever; so here a request is sent once, and what the server says comes back as it is. Two dialects
of writing: v1 (`/write`), and v2 (`/api/v2/write`), which servers from 1.8 on know. All of them are read with
InfluxQL at `/query`.

A token with a colon is user and password, as 1.x wants them; any other goes as `Token`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from collector.store import StoreError

CONNECT_MS, READ_MS = 5_000, 30_000
# A request that is written is one chunk, and whoever ends the process waits for it.
WRITE_MS = 10_000
CONNECTIONS = 8
# Level 1 takes a tenth of the time of the client's level 9 for nearly the same size.
GZIP_LEVEL = 1
_HERE = {"127.0.0.1", "::1", "localhost"}
_V1_ONLY = re.compile(r"v?(0\.|1\.[0-7](\.|$))")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?$")
_FORM = "application/x-www-form-urlencoded"
_WAIT_MAX_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which server, and where in it. The same names as in the site file's [store].

    token: "" = none. api: auto, v1 or v2. bucket: of v2; "" = the database, with its retention policy.
    """

    url: str
    database: str
    retention_policy: str = ""
    bucket: str = ""
    org: str = ""
    token: str = ""
    ca: str = ""
    api: str = "auto"

    @property
    def name(self) -> str:
        """The database as people name it."""
        return f"{self.url} {self.database}{'.' if self.retention_policy else ''}{self.retention_policy}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says. retry_after_s: how long it wants to be left alone; 0 = it does not say."""

    status: int
    body: bytes
    retry_after_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300


class Unreachable(StoreError):
    """The server gives no answer."""


class Transport:
    """Requests to one server. Safe to call from any thread."""

    def __init__(self, server: Server) -> None:
        """Nothing is sent yet."""
        self.server = server
        host = urlsplit(server.url).hostname or ""
        self._gzip = host not in _HERE  # between processes of one machine it only takes time
        self._client: Any = InfluxDBClient(
            url=server.url, token=server.token, org=server.org or "-", auth_basic=":" in server.token,
            ssl_ca_cert=server.ca or None, timeout=(CONNECT_MS, READ_MS), connection_pool_maxsize=CONNECTIONS,
        )  # fmt: skip
        self._api = server.api
        self._closed = False

    def close(self) -> None:
        """Release the connections; what is asked after that is refused."""
        self._closed = True
        self._client.close()

    def write(self, body: bytes) -> Answer:
        """Post lines; raises Unreachable."""
        server, headers = self.server, {"Content-Type": "text/plain; charset=utf-8"}
        if self._gzip:
            packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            body, headers["Content-Encoding"] = packer.compress(body) + packer.flush(), "gzip"
        if self.dialect() == "v2":
            policy = f"/{server.retention_policy}" if server.retention_policy else ""
            where = {"org": server.org or "-", "bucket": server.bucket or f"{server.database}{policy}"}
            return self._call("POST", "/api/v2/write", {**where, "precision": "ns"}, headers, body=body)
        where = {"db": server.database, "rp": server.retention_policy}
        asked = {key: value for key, value in where.items() if value}
        return self._call("POST", "/write", {**asked, "precision": "ns"}, headers, body=body)

    def query(self, influxql: str) -> Answer:
        """Ask in InfluxQL, times in nanoseconds; raises Unreachable."""
        said = {
            "q": influxql, "db": self.server.database, "rp": self.server.retention_policy, "epoch": "ns",
        }  # fmt: skip
        form = {key: value for key, value in said.items() if value}
        headers = {"Content-Type": _FORM, "Accept": "application/json"}
        return self._call("POST", "/query", {}, headers, form=form)

    def dialect(self) -> str:
        """Which way of writing the server understands, v1 or v2; asked once. Raises Unreachable."""
        if self._api == "auto":
            _, headers = self._exchange("GET", "/ping", {}, {})
            self._api = "v1" if _V1_ONLY.match(headers.get("X-Influxdb-Version", "")) else "v2"
        return self._api

    def _call(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], *, body: bytes = b"",
        form: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:  # fmt: skip
        answer, said = self._exchange(method, path, params, headers, body=body, form=form)
        wait = said.get("Retry-After", "")
        seconds = min(float(wait), _WAIT_MAX_S) if _SECONDS.match(wait) else 0.0
        return Answer(answer.status, answer.body, seconds)

    def _exchange(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], *, body: bytes = b"",
        form: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[Answer, Mapping[str, str]]:  # fmt: skip
        if self._closed:
            raise Unreachable(f"{self.server.url}: the store was closed")
        try:
            response = self._client.api_client.call_api(
                path, method, query_params=dict(params), header_params=dict(headers), body=body or None,
                post_params=dict(form) or None, _preload_content=False, _return_http_data_only=True,
                _request_timeout=(CONNECT_MS, WRITE_MS if body else READ_MS),
            )  # fmt: skip
            return Answer(response.status, response.data), response.headers
        except ApiException as error:
            if not error.status:  # of the client itself: TLS
                raise Unreachable(f"{self.server.url}: {error.reason}") from error
            return Answer(error.status, _bytes(error.body)), dict(error.headers or {})
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self.server.url}: no answer ({_cause(error)}); does InfluxDB run there?") from error


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body or "").encode()


def _cause(error: BaseException) -> str:
    """The innermost reason, without addresses of objects."""
    text = str(error)
    return re.sub(r"^.*object at 0x[0-9a-f]+>: |^.*\): ", "", text) or type(error).__name__

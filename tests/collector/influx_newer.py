"""InfluxDB 1.8 and 2.7 as they look from outside: small servers before a real influxd 1.6, which keeps the data.

Neither is the server itself. What they say and refuse is written down from the sources of 1.8.10 and 2.7 (http/
write_handler.go, http/points/points_parser.go, http/legacy, v1/coordinator, dbrp/service.go) and from answers of
2.7.10 to 2.7.12 that people have reported.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.collector.influx_servers import Quiet, serving

# A line that every server can parse; whether another one can be, 1.6 itself is asked.
_WORD = rb"(?:[^\s,=\\]|\\.)+"
_VALUE = rb'(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-?\d+i|true|false|"(?:[^"\\]|\\.)*")'
_FIELD = _WORD + b"=" + _VALUE
_LINE = re.compile(_WORD + b"(?:," + _WORD + b"=" + _WORD + b")* " + _FIELD + b"(?:," + _FIELD + rb")* -?\d+")


class _Before(Quiet):
    """A server before another one."""

    target = ""

    def passed_on(self, path: str, params: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """What the server behind says."""
        kept = {"Content-Type": self.headers["Content-Type"]}
        if body.startswith(b"\x1f\x8b"):
            kept["Content-Encoding"] = "gzip"
        request = urllib.request.Request(f"{self.target}{path}?{urllib.parse.urlencode(params)}", body, kept)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def _asked(path: str) -> tuple[str, dict[str, str]]:
    place, _, rest = path.partition("?")
    return place, dict(urllib.parse.parse_qsl(rest))


def _place(bucket: str) -> dict[str, str]:
    database, _, policy = bucket.partition("/")
    return {"db": database, **({"rp": policy} if policy else {})}


@contextmanager
def as_1_8(target: str) -> Iterator[str]:
    """What 1.8 adds to 1.6: `/api/v2/write` with bucket "database/policy" and precision; the rest is passed on."""

    class Proxy(_Before):
        def do_GET(self) -> None:  # noqa: N802
            self.say(204, b"", **{"X-Influxdb-Version": "1.8.10"})

        def do_POST(self) -> None:  # noqa: N802
            (path, params), body = _asked(self.path), self.body()
            if path == "/api/v2/write":
                assert params["org"]
                precision = {"ns": "n", "us": "u"}[params["precision"]]
                path, params = "/write", {**_place(params["bucket"]), "precision": precision}
            elif path == "/write":
                self.say(404, b'{"error":"not here"}')
                return
            self.say(*self.passed_on(path, params, body))

    Proxy.target = target
    with serving(Proxy) as url:
        yield url


@dataclass
class Newer:
    """A 2.7. mappings: database -> bucket where they are not called the same. longest: bytes of a body, unpacked."""

    url: str = ""
    token: str = "read-and-write"
    org: str = "operations"
    mappings: dict[str, str] = field(default_factory=dict)
    longest: int = 25_000_000


@dataclass
class _Error(Exception):
    """A refusal as 2.7 words it."""

    status: int
    code: str
    message: str


@contextmanager
def as_2_7(target: str) -> Iterator[Newer]:
    """What 2.7 says: a token for everything, buckets of an organization, lines all or none where one is no line.

    A bucket is there where 1.6 has a database of its name. A field of another type is a partial write, told with 422;
    what InfluxQL asks needs a database that is mapped to the bucket, or called as it is. Not as there: DELETE removes
    from every policy of a database and not from the default's bucket alone.
    """
    newer = Newer()

    class Proxy(_Before):
        def do_GET(self) -> None:  # noqa: N802
            self.say(204, b"", **{"X-Influxdb-Build": "OSS", "X-Influxdb-Version": "v2.7.11"})

        def do_POST(self) -> None:  # noqa: N802
            (path, params), body = _asked(self.path), self.body()
            try:
                if self.headers["Authorization"] != f"Token {newer.token}":
                    raise _Error(401, "unauthorized", "unauthorized access")
                if path == "/api/v2/write":
                    self._write(params, body)
                    self.say(204, b"")
                elif path == "/query":
                    self.say(200, self._found(dict(urllib.parse.parse_qsl(body.decode()))))
                else:
                    raise _Error(404, "not found", "path not found")
            except _Error as error:
                told = json.dumps({"code": error.code, "message": error.message}).encode()
                self.say(error.status, told, **{"X-Platform-Error-Code": error.code})

        def _write(self, params: Mapping[str, str], body: bytes) -> None:
            if params.get("precision", "ns") != "ns":
                raise _Error(400, "invalid", "only ns is tried here")
            if params.get("org") != newer.org:
                raise _Error(404, "not found", f'organization name "{params.get("org")}" not found')
            bucket = params.get("bucket", "")
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
            if len(body) > newer.longest:
                raise _Error(413, "request too large", "unable to read data: points batch is too large")
            self._parse(_place(bucket), body)
            status, said = self.passed_on("/write", {**_place(bucket), "precision": "n"}, body)
            if status == 204:
                return
            words = json.loads(said)["error"]
            if status == 404 or words.startswith("retention policy not found"):
                raise _Error(404, "not found", f'bucket "{bucket}" not found')
            if words.startswith("partial write"):
                raise _Error(422, "unprocessable entity", f"failure writing points to database: {words}")
            raise _Error(500, "internal error", f"unexpected error writing points to database: {words}")

        def _parse(self, place: Mapping[str, str], body: bytes) -> None:
            if not body:
                raise _Error(400, "invalid", "writing requires points")
            wrong = []
            for line in body.split(b"\n"):
                if line and not _LINE.fullmatch(line):
                    # It says whether it understands a line before it looks for the policy, which there is none of.
                    status, said = self.passed_on("/write", {**place, "rp": "none-of-this-name"}, line)
                    if status == 400:
                        wrong.append(json.loads(said)["error"])
            if wrong:
                raise _Error(400, "invalid", "\n".join(wrong))

        def _found(self, form: dict[str, str]) -> bytes:
            bucket = newer.mappings.get(form.get("db", ""), form.get("db", ""))
            status, said = self.passed_on("/query", {}, urllib.parse.urlencode({**form, "db": bucket}).encode())
            if status == 400:
                raise _Error(400, "invalid", f"failed to parse query: {json.loads(said)['error']}")
            assert status == 200, said
            changes = form["q"].startswith(("DELETE", "DROP MEASUREMENT"))
            return b"{}\n" if changes and b"error" not in said else said

    Proxy.target = target
    with serving(Proxy) as newer.url:
        yield newer

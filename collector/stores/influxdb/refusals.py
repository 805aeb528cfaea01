"""What a server's refusal means, and what to do about it. Pure: an answer in, an error or a verdict out."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from collector.store import StoreError
from collector.stores.influxdb.transport import Answer, Server

REASON_MAX = 300
# As 1.x says it, and 2.7.12 and its like. Source: influxdata/influxdb, pull request 26303.
EXPIRED = re.compile(
    r"points beyond retention policy dropped=([0-9]+)|dropped ([0-9]+) points outside retention policy"
)


class Verdict(Enum):
    """What to do with lines that a server has answered.

    halve: too long for one request. bisect: a line is bad, and only that one. hold: none of these lines' fault.
    """

    DONE = "done"
    HALVE = "halve"
    BISECT = "bisect"
    HOLD = "hold"


class Refused(StoreError):
    """The server refuses. wait_s: how long it wants to be left alone; 0 = it does not say."""

    wait_s = 0.0


class _Told(msgspec.Struct):
    """How servers tell an error in JSON: 1.x and 3.x in `error`, 2.x in `message`."""

    error: str = ""
    message: str = ""


_told = msgspec.json.Decoder(_Told).decode


def verdict(answer: Answer) -> Verdict:
    """What an answer to lines means."""
    if answer.ok:
        return Verdict.DONE
    if answer.status == 413:
        return Verdict.HALVE
    if answer.status in (400, 422):
        # What is older than the retention policy was dropped, and everything else of the request written.
        return Verdict.DONE if EXPIRED.search(reason(answer)) else Verdict.BISECT
    return Verdict.HOLD


def expired(answer: Answer) -> int:
    """How many points the server dropped as older than it keeps."""
    found = None if answer.ok else EXPIRED.search(reason(answer))
    return int(found[1] or found[2]) if found else 0


def reason(answer: Answer) -> str:
    """The server's words, one line of them."""
    try:
        told = _told(answer.body)
        text = told.error or told.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = answer.body.decode("utf-8", "replace")
    words = " ".join(text.split())
    return words[:REASON_MAX] or f"HTTP status {answer.status}"


def refusal(server: Server, said: Answer | str) -> Refused:
    """The error that a refusal is to those who use the store: where, why, and what to do."""
    status, words = (0, said) if isinstance(said, str) else (said.status, reason(said))
    hint = _hint(server, status, words)
    error = Refused(f"{server.name}: {f'{status}: ' if status else ''}{words}{f'; {hint}' if hint else ''}")
    error.wait_s = 0.0 if isinstance(said, str) else said.retry_after_s
    return error


def _hint(server: Server, status: int, words: str) -> str:
    if status == 401:
        return "put a token that is valid there into [store] token_file"
    if status == 403:
        return "the token of [store] needs the right to read and to write there"
    if "retention policy not found" in words:
        return f"[store] retention_policy has to be one of database {server.database}: create it, or correct the name"
    bucket = server.bucket or server.database
    mapping = f"influx v1 dbrp create --db {server.database} --rp {server.retention_policy or 'autogen'} --bucket-id \
ID-OF-{bucket} --default"
    # What 2.x says of a database that has buckets, and none that counts as its own.
    if "dbrp" in words.lower() or "default retention policy not set" in words:
        return f"map the database to the bucket: {mapping}"
    if "organization" in words:
        return f"[store] org has to be the name of the organization that has the bucket {bucket}"
    if "database not found" in words:
        return f"create it: CREATE DATABASE {server.database} (1.x); on 2.x the bucket {bucket}, and where that has \
another name than the database its mapping: {mapping}"
    if status == 404:
        return f"create it: CREATE DATABASE {server.database} (1.x), or the bucket {bucket}"
    if status in (429, 503):
        return "it has too much to do, and is asked again later"
    if "no space left" in words:
        return "free space at the server, and start it again if it goes on saying so; nothing is lost meanwhile"
    return ""

"""A recorded bus session: what was asked of the units on a link, what came, and how long it took, line by line.

Each line is a JSON object, so that a record that was cut short is good up to where it was cut. The first line is the
header, every other one a request:

    {"emitwatch_session": 1, "link": "tcp://10.0.0.5:502?unit=1", "began": "2026-11-22T08:00:00.000Z"}
    {"t": 0.0, "unit": 1, "fc": 3, "address": 0, "count": 2, "words": [465, 524], "took_ms": 12.5}
    {"t": 0.1, "unit": 1, "fc": 3, "address": 99, "count": 1, "refused": 2, "took_ms": 11.0}
    {"t": 0.2, "unit": 9, "fc": 3, "address": 0, "count": 1, "error": "unit 9 did not answer", "kind": "no_answer",
     "took_ms": 500.0}                                                                        (on one line, as all)

Refusals and faults are recorded as well as values: they are what a site is about. A reader takes every line that is
whole, and says of every other where it is and what is wrong with it. Pure: text in, values and faults out.
Source: docs/reference/session-file.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gateway.blocks import MAX_BITS, MAX_REGISTERS, Block
from gateway.document import Fault

VERSION = 1
MAX_EXCHANGES = 250_000  # three days of one request a second, and less than a gigabyte of memory
MAX_FAULTS = 100  # of one file: who has so many has another file
MAX_ERROR = 300  # characters of what went wrong
MAX_HEARD = 300  # bytes of what came instead of an answer: the longest frame has 260
_ADDRESSES = 0x10000
_MS_NS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Kind = TypeVar("_Kind")
_CUT = "the file ends within this line: the record was cut short, and what stands before it is good"


class Failure(StrEnum):
    """Why there was no answer: see `gateway.links.link`."""

    NO_ANSWER = "no_answer"
    BAD_ANSWER = "bad_answer"
    LINK_DOWN = "link_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came of it: words, or the code of an exception, or a failure and what was said of it.

    t_s: when it was asked, since the session began. [s] took_ms: until the answer, or until nobody waited on. [ms]
    words: as long as the block, bits as 0 and 1; None = none came. refused: exception code, 0 = none.
    heard: what came instead of an answer, frame and all, as far as it was kept.
    """

    t_s: float
    unit: int
    block: Block
    took_ms: float
    words: tuple[int, ...] | None = None
    refused: int = 0
    failure: Failure | None = None
    error: str = ""
    heard: bytes = b""

    def __post_init__(self) -> None:
        came = (self.words is not None) + bool(self.refused) + (self.failure is not None)
        assert came == 1, "one thing comes of a request"
        assert self.words is None or len(self.words) == self.block.count, "words for the whole block"


@dataclass(frozen=True, slots=True)
class Session:
    """What was recorded on a link. link: its address as the site file would have it. began_ns: [ns since 1970 UTC]"""

    link: str
    began_ns: int
    exchanges: tuple[Exchange, ...] = ()

    @property
    def lasted_s(self) -> float:
        """From the first request to the end of the last. [s]"""
        ends = [one.t_s + one.took_ms / 1000 for one in self.exchanges]
        return max(ends, default=0.0) - min((one.t_s for one in self.exchanges), default=0.0)


class _Header(msgspec.Struct):
    emitwatch_session: int
    link: Annotated[str, Meta(max_length=1000)]
    began: Annotated[str, Meta(max_length=40)]


_Number = Annotated[float, Meta(ge=0)]


class _Line(msgspec.Struct):
    t: _Number
    unit: Annotated[int, Meta(ge=0, le=255)]
    fc: Annotated[int, Meta(ge=1, le=4)]
    address: Annotated[int, Meta(ge=0, lt=_ADDRESSES)]
    count: Annotated[int, Meta(ge=1, le=MAX_BITS)]
    took_ms: _Number
    words: Annotated[list[Annotated[int, Meta(ge=0, lt=0x10000)]], Meta(max_length=MAX_BITS)] | None = None
    refused: Annotated[int, Meta(ge=1, le=255)] | None = None
    error: str | None = None
    kind: Failure = Failure.NO_ANSWER
    heard: Annotated[str, Meta(pattern="^([0-9a-fA-F]{2})*$")] = ""


_read_header, _read_line = msgspec.json.Decoder(_Header).decode, msgspec.json.Decoder(_Line).decode


def write_header(link: str, began_ns: int) -> str:
    """The first line of a session, to the millisecond.

    >>> write_header("tcp://10.0.0.5?unit=1", 1_500_000_000)
    '{"emitwatch_session": 1, "link": "tcp://10.0.0.5?unit=1", "began": "1970-01-01T00:00:01.500Z"}\\n'
    """
    began = (_EPOCH + timedelta(milliseconds=began_ns // _MS_NS)).isoformat(timespec="milliseconds")
    return _line({"emitwatch_session": VERSION, "link": link, "began": began.replace("+00:00", "Z")})


def write_exchange(exchange: Exchange) -> str:
    """The line of a request."""
    block = exchange.block
    asked = {"t": exchange.t_s, "unit": exchange.unit, "fc": block.fc, "address": block.address, "count": block.count}
    came: dict[str, object]
    if exchange.words is not None:
        came = {"words": exchange.words}
    elif exchange.refused:
        came = {"refused": exchange.refused}
    else:
        came = {"error": exchange.error[:MAX_ERROR], "kind": exchange.failure}
        came |= {"heard": exchange.heard[:MAX_HEARD].hex()} if exchange.heard else {}
    return _line({**asked, **came, "took_ms": exchange.took_ms})


def _line(content: dict[str, object]) -> str:
    # Only ASCII: a file cut within a character would have to be guessed at.
    return json.dumps(content, allow_nan=False) + "\n"


def parse_session(text: str, file: str) -> tuple[Session, list[Fault]]:
    """All whole lines of a recorded session, and what is wrong with the others, by line.

    Without a header there is an empty session: nobody knows what such lines would mean.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    header, problem = _header(lines[0])
    if header is None:
        cut = len(lines) == 1 and bool(lines[0])
        hint = "`emitwatch probe --record FILE` makes one; its first line is the header"
        message = f"the file ends within its first line: {problem}" if cut else f"no recorded session: {problem}"
        return Session("", 0), [Fault(file, "", 1, message, hint)]
    exchanges: list[Exchange] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        if len(exchanges) == MAX_EXCHANGES or len(faults) == MAX_FAULTS:
            most = f"{MAX_EXCHANGES} requests" if len(exchanges) == MAX_EXCHANGES else f"{MAX_FAULTS} faults"
            faults.append(Fault(file, "", number, f"more than {most}: the rest is not read", "divide the file"))
            break
        exchange, problem = _exchange(line)
        if exchange is not None:
            exchanges.append(exchange)
        elif number == len(lines):
            faults.append(Fault(file, "", number, _CUT, "record anew where the end matters"))
        else:
            faults.append(Fault(file, "", number, problem, "docs/reference/session-file.md says what a line holds"))
    return Session(header.link, header.began_ns, tuple(exchanges)), faults


def _header(line: str) -> tuple[Session | None, str]:
    found, problem = _decoded(line, _read_header)
    if found is None:
        return None, problem
    if found.emitwatch_session != VERSION:
        return None, f"version {found.emitwatch_session} of it is not known, {VERSION} is"
    try:
        began = datetime.fromisoformat(found.began)
        began_ns = (began - _EPOCH) // timedelta(milliseconds=1) * _MS_NS
    except (ValueError, TypeError, OverflowError):
        return None, f"began {found.began!r} is not a time with its offset, as 2026-11-22T08:00:00.000Z"
    return Session(found.link, began_ns), ""


def _exchange(line: str) -> tuple[Exchange | None, str]:
    found, problem = _decoded(line, _read_line)
    if found is None:
        return None, problem
    if problem := _contradiction(found):
        return None, problem
    words = None if found.words is None else tuple(found.words)
    block, failed = Block(found.fc, found.address, found.count), found.error is not None
    exchange = Exchange(
        t_s=found.t, unit=found.unit, block=block, took_ms=found.took_ms, words=words, refused=found.refused or 0,
        failure=found.kind if failed else None, error=(found.error or "")[:MAX_ERROR],
        heard=bytes.fromhex(found.heard)[:MAX_HEARD] if failed else b"",
    )  # fmt: skip
    return exchange, ""


def _contradiction(line: _Line) -> str:
    """What cannot be in a line although each of its numbers can; "" = nothing."""
    came = [name for name in ("words", "refused", "error") if getattr(line, name) is not None]
    bits = line.fc in (1, 2)
    if len(came) != 1:
        return f"says {' and '.join(came) or 'neither words nor refused nor error'}; one of them comes of a request"
    if not bits and line.count > MAX_REGISTERS:
        return f"{line.count} registers in one request; {MAX_REGISTERS} is the most"
    if line.address + line.count > _ADDRESSES:
        return f"{line.count} from {line.address} reach beyond address 65535"
    if line.words is not None and len(line.words) != line.count:
        return f"{len(line.words)} words to a request for {line.count}"
    if bits and line.words is not None and any(word > 1 for word in line.words):
        return f"function {line.fc} reads bits, 0 or 1"
    if not (isfinite(line.t) and isfinite(line.took_ms)):
        return "a time that is no number"
    return ""


def _decoded(line: str, read: Callable[[bytes], _Kind]) -> tuple[_Kind | None, str]:
    try:
        return read(line.encode("utf-8", "replace")), ""
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return None, f"not readable: {error}"

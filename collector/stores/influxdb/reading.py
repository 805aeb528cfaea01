"""Reading back with InfluxQL, in the part of it that servers from 1.x to 3.x share.

One statement a request, plain selections with conditions on tags, fields and time, GROUP BY tags, ORDER BY
time, LIMIT: which LIMIT counts for each group.
"""
# ruff: noqa: S608 - InfluxQL has no parameters that all servers take; names are ours, texts are quoted.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from collector.store import StoreError
from collector.stores.influxdb.lines import AGAIN, FIELDS, MEASUREMENT, SECOND_NS, TAGS, tags, wild
from collector.stores.influxdb.refusals import refusal
from collector.stores.influxdb.transport import Transport
from gateway.measurement import Float64, Int64, Series, UInt8

# The ends of what InfluxQL can say about time.
FIRST_NS, LAST_NS = -(2**63) + 2, 2**63 - 2
PAGE = 50_000  # points of one request and group: some MB
_BY = ", ".join(f'"{name}"' for name in (*TAGS, AGAIN))
_WHAT = ", ".join(f'"{name}"' for name in FIELDS)
_OTHER = (
    "the answer to a query is not InfluxDB's; [store] url has to be that of InfluxDB 1.x or 2.x: what only takes its "
    "lines, as VictoriaMetrics does, keeps no texts and answers no InfluxQL, so it is no store"
)

# Whoever else writes there may have made a field a text: such a point is none of ours, but must not keep from reading.
Number = float | str | bool | None
Point = tuple[int, Number, Number, Number, Number, Number, Number, Number]


class _Group(msgspec.Struct):
    values: list[Point]
    tags: dict[str, str] = {}


class _Text(msgspec.Struct):
    values: list[tuple[int, str]]


class _Points(msgspec.Struct):
    series: list[_Group] = []
    error: str = ""


class _Texts(msgspec.Struct):
    series: list[_Text] = []
    error: str = ""


class _Said(msgspec.Struct):
    series: tuple[()] = ()  # a statement that changes something finds nothing
    error: str = ""


T = TypeVar("T", _Points, _Texts, _Said)
_points = msgspec.json.Decoder(list[_Points]).decode
_texts = msgspec.json.Decoder(list[_Texts]).decode
_said = msgspec.json.Decoder(list[_Said]).decode


class _Whole(msgspec.Struct):
    results: msgspec.Raw = msgspec.Raw(b"[]")
    error: str = ""


_whole = msgspec.json.Decoder(_Whole).decode


@dataclass(frozen=True, slots=True)
class Found:
    """Points of one series as the server has them, by column, shape (n,).

    again: which of those at one instant. stream, seq, index: the key. moved_ns: by how much the time was moved.
    """

    series: Series
    again: Int64
    time_ns: Int64
    value: Float64
    status: UInt8
    stream: Int64
    seq: np.ndarray[tuple[int], np.dtype[np.uint64]]
    index: np.ndarray[tuple[int], np.dtype[np.uint16]]
    moved_ns: Int64

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, rows: np.ndarray[tuple[int], np.dtype[np.bool_ | np.intp]]) -> Found:
        """Some of them."""
        columns = (self.again, self.time_ns, self.value, self.status, self.stream, self.seq, self.index, self.moved_ns)
        return Found(self.series, *(column[rows] for column in columns))  # type: ignore[arg-type]


def of_series(series: Series) -> str:
    """The condition that picks a series."""
    # A tag that is absent cannot be asked for everywhere; what it lets through besides is left out by `groups`.
    named = tags(series)
    return " AND ".join(f'"{key}" = {quoted(named[key])}' for key in TAGS if named[key])


def quoted(text: str) -> str:
    """A string of InfluxQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Reader:
    """Questions to one server; all of them raise StoreError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def pages(self, series: Series, from_ns: int, to_ns: int, where: str = "", page: int = PAGE) -> Iterator[Found]:
        """Points of a series with from_ns <= time < to_ns, ordered by time, in pages; where: further conditions."""
        low, end = max(from_ns, FIRST_NS), min(to_ns, LAST_NS + 1)
        condition = of_series(series) + (f" AND {where}" if where else "")
        while low < end:
            span = f"time >= {low} AND time < {end}"
            groups = self.groups(f"{condition} AND {span}", f"ORDER BY time ASC LIMIT {page}")
            # Beyond the end of a group that was cut there may be more of it.
            last = min([end - 1, *(int(group.time_ns[-1]) for group in groups if len(group) >= page)])
            mine = [group.take(group.time_ns <= last) for group in groups if group.series == series]
            if any(len(group) for group in mine):
                yield _merged(mine)
            low = last + 1

    def newest(self, series: Series, before_ns: int, number: int) -> list[Found]:
        """The newest points of a series with time < before_ns, so many of each place."""
        condition = f"{of_series(series)} AND time < {min(before_ns, LAST_NS + 1)}"
        groups = self.groups(condition, f"ORDER BY time DESC LIMIT {number}")
        return [group for group in groups if group.series == series]

    def groups(self, condition: str, tail: str = "") -> list[Found]:
        """The points that a condition picks, by series and place among those of one instant."""
        said = f'SELECT {_WHAT} FROM "{MEASUREMENT}" WHERE {condition} GROUP BY {_BY} {tail}'
        return [_found(group.tags, group.values) for part in self._ask(said, _points) for group in part.series]

    def ends(self) -> list[Found]:
        """The newest point of every series and place."""
        said = f'SELECT {_WHAT} FROM "{MEASUREMENT}" GROUP BY {_BY} ORDER BY time DESC LIMIT 1'
        return [_found(group.tags, group.values) for part in self._ask(said, _points) for group in part.series]

    def texts(self, name: str, by: tuple[str, ...], condition: str = "") -> list[tuple[int, str]]:
        """The newest of a measurement's texts, by tags: time and text."""
        groups = ", ".join(f'"{key}"' for key in by)
        where = f"WHERE {condition} " if condition else ""
        said = f'SELECT "text" FROM "{name}" {where}GROUP BY {groups} ORDER BY time DESC LIMIT 1'
        return [value for part in self._ask(said, _texts) for group in part.series for value in group.values]

    def delete(self, series: Series, again: int, from_ns: int, to_ns: int) -> None:
        """Remove points of one series and place, both times included."""
        named = tags(series)
        where = " AND ".join(f'"{key}" = {quoted(named[key])}' for key in TAGS)
        place = quoted(str(again) if again else "")
        span = f"time >= {from_ns} AND time <= {to_ns}"
        self._do(f'DELETE FROM "{MEASUREMENT}" WHERE {where} AND "{AGAIN}" = {place} AND {span}')

    def delete_point(self, name: str, tags: Mapping[str, str], time_ns: int) -> None:
        """Remove one point of a measurement."""
        where = " AND ".join(f'"{key}" = {quoted(value)}' for key, value in tags.items())
        self._do(f'DELETE FROM "{name}" WHERE {where} AND time >= {time_ns} AND time <= {time_ns}')

    def delete_from(self, name: str, tags: Mapping[str, str], from_ns: int) -> None:
        """Remove the points of a measurement with some tags from an instant on."""
        where = "".join(f'"{key}" = {quoted(value)} AND ' for key, value in tags.items())
        self._do(f'DELETE FROM "{name}" WHERE {where}time >= {from_ns}')

    def drop(self, name: str) -> None:
        """Remove a whole measurement; one that is not there is no fault."""
        try:
            self._do(f'DROP MEASUREMENT "{name}"')
        except StoreError as error:
            if "not found" not in str(error) or "measurement" not in str(error):
                raise

    def _do(self, influxql: str) -> None:
        self._ask(influxql, _said)

    def _ask(self, influxql: str, decode: Callable[[msgspec.Raw], list[T]]) -> list[T]:
        answer = self._transport.query(influxql)
        if not answer.ok:
            raise refusal(self._transport.server, answer)
        # A number without point is read as an integer, which has no negative zero.
        body = answer.body.replace(b",-0,", b",-0.0,")
        parts: list[T] = []
        try:
            whole = _whole(body)
            parts += decode(whole.results)
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._transport.server.name}: {_OTHER} ({error})") from error
        text = next((text for text in (whole.error, *(part.error for part in parts)) if text), "")
        if text:
            raise refusal(self._transport.server, text)
        return parts


def _series(tags: Mapping[str, str]) -> Series:
    named = {key: wild(tags.get(key, "")) for key in TAGS}
    return Series(named["plant"], named["point"], named["sensor"], named["parameter"], named["unit"])


def _found(tags: Mapping[str, str], values: list[Point]) -> Found:
    time_ns, value, status, stream, seq, index, seconds, rest = zip(*values, strict=True)
    moved = (
        [int(_number(s, 0)) * SECOND_NS + int(_number(r, 0)) for s, r in zip(seconds, rest, strict=True)]
        if any(seconds) or any(rest) else [0] * len(values)
    )  # fmt: skip
    return Found(
        _series(tags),
        np.full(len(values), int(tags.get(AGAIN) or 0), np.int64),
        np.array(time_ns, np.int64),
        np.array([v if type(v) is float else np.nan for v in value], np.float64),
        _whole_numbers(status, 0, 255).astype(np.uint8),
        _whole_numbers(stream, -1, 2**53).astype(np.int64),
        _whole_numbers(seq, 0, 2**53).astype(np.uint64),
        _whole_numbers(index, 0, 2**16 - 1).astype(np.uint16),
        np.array(moved, np.int64),
    )


def _whole_numbers(column: tuple[Number, ...], low: int, high: int) -> Float64:
    """Fields of a point; of a point that is not ours they may lack, or be anything."""
    given = np.array([_number(value, low) for value in column], np.float64)
    return np.clip(given, low, high)


def _number(value: Number, default: float) -> float:
    return value if type(value) is float else default


def _merged(groups: list[Found]) -> Found:
    """Points of one series in the order of time."""
    join = np.concatenate
    one = Found(
        groups[0].series, join([g.again for g in groups]), join([g.time_ns for g in groups]),
        join([g.value for g in groups]), join([g.status for g in groups]), join([g.stream for g in groups]),
        join([g.seq for g in groups]), join([g.index for g in groups]), join([g.moved_ns for g in groups]),
    )  # fmt: skip
    order = np.lexsort((one.index, one.seq, one.stream, one.time_ns))
    return one.take(order)

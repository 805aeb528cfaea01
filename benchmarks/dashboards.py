"""How long a dashboard waits for a year of hourly averages of 50 channels, and for the same of an influxd.

The averages lie in a book as a year leaves them there, hour by hour; they are copied into an influxd by what copies
them for charts. Then each channel is asked for by itself, as charts do, all 50 after one another: the book as the API
asks it, the server in InfluxQL as Grafana does. The best of some rounds counts, each after one more hour has come; what
the first round after a start takes stands beside it, of a book that nobody asked for a chart before. What the columns
cost that the book keeps for this is told too: in processor time of what commits, and in bytes, both against the same
book without them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from math import sin
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.figure import Figure
from benchmarks.influxdb import influxd
from collector.charts.judged import Averages
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from collector.verdicts.book import Book
from collector.verdicts.records import Average

CHANNELS, HOURS, ROUNDS = 50, 8760, 5
LIMIT_MS = 200.0
HOUR_NS = 3600 * 10**9
START_NS = 1_767_225_600 * 10**9
END_NS = START_NS + HOURS * HOUR_NS
# What stands in a book beside the value of a stack's hour, which has to be passed over.
INPUTS = {
    "counts": {"ok": 710, "no_comm": 10}, "method": "mean",
    "parts": {"of": "1m", "minimum": 45, "share": None, "cite": "HJ 75-2017 9.2", "verified": True, "valid": 59},
}  # fmt: skip


def measure() -> list[Figure]:
    """Milliseconds for all channels."""
    with tempfile.TemporaryDirectory() as folder:
        path, bare = Path(folder) / "verdicts.db", Path(folder) / "bare.db"
        costs = _costs(path, bare)
        with closing(Book(path)) as book:
            first_ms = _timed(lambda: _read(book))
            best_ms = min(_again(book, HOURS + n) for n in range(ROUNDS))
            name = f"{CHANNELS} channels, a year of hours"
            figures = [
                Figure(name=f"{name}, {what}", value=took_ms, unit="ms", reference=LIMIT_MS, reference_name="the limit")
                for what, took_ms in (("an hour later", best_ms), ("after a start", first_ms))
            ]
            if not shutil.which("influxd"):
                sys.stderr.write("influxd is not installed (apt-get install influxdb): no peer\n")
                return [*figures, *costs]
            with influxd(Path(folder)) as url, closing(Transport(Server(url=url, database="year"))) as transport:
                assert transport.query("CREATE DATABASE year").ok
                _copy(book, url, Path(folder))
                peer_ms = min(_timed(lambda: _ask(transport)) for _ in range(ROUNDS))
    peer: dict[str, Any] = {"unit": "ms", "reference": peer_ms, "reference_name": "influxd"}
    return [
        *figures,
        *costs,
        Figure(name=f"{name}, an hour later", value=best_ms, **peer),
        Figure(name=f"{name}, after a start", value=first_ms, **peer),
    ]


class _Bare(Book):
    """A book that keeps nothing for charts."""

    def fold(self, most: int = 0) -> bool:  # noqa: ARG002 - as it is called
        return False


def _costs(path: Path, bare: Path) -> list[Figure]:
    """Write a year into a book, and into one without columns; what the columns cost in time and room."""
    took_s, size = [], []
    for make, file in ((_Bare, bare), (Book, path)):
        began_s = time.process_time()
        with closing(make(file)) as book:
            _fill(book)
        took_s.append(time.process_time() - began_s)
        size.append(file.stat().st_size / (CHANNELS * HOURS))
    written: dict[str, Any] = {"unit": "s", "reference": took_s[0], "reference_name": "the same without columns"}
    room: dict[str, Any] = {"unit": "B", "reference": size[0], "reference_name": "the same without columns"}
    return [
        Figure(name=f"{CHANNELS} channels, a year of hours, committed", value=took_s[1], **written),
        Figure(name="file per average", value=size[1], **room),
    ]


def _fill(book: Book) -> None:
    for day in range(0, HOURS, 24):
        _commit(book, day, min(day + 24, HOURS))


def _commit(book: Book, first: int, end: int) -> None:
    """The averages of some hours."""
    averages = [
        Average(
            plant="plant", point=f"point-{n}", parameter="SO2", window="1h", from_ns=START_NS + hour * HOUR_NS,
            to_ns=START_NS + (hour + 1) * HOUR_NS, value=round(30 + 10 * sin(hour * 0.5 + n), 3), unit="mg/m3",
            coverage=1.0, valid=True, count=710, evaluated=35.0, maximum=60.0, inputs=INPUTS,
        )
        for hour in range(first, end) for n in range(CHANNELS)
    ]  # fmt: skip
    book.commit(averages, [], derived_ns=START_NS + end * HOUR_NS, state=b"", position=end)


def _again(book: Book, hour: int) -> float:
    """Milliseconds that reading takes after one more hour."""
    _commit(book, hour, hour + 1)
    return _timed(lambda: _read(book))


def _read(book: Book) -> None:
    for n in range(CHANNELS):
        curve = book.curve(
            "plant", f"point-{n}", parameter="SO2", window="1h", from_ns=START_NS, to_ns=END_NS
        )  # fmt: skip
        assert len(curve.from_ns) == HOURS


def _copy(book: Book, url: str, folder: Path) -> None:
    with closing(InfluxStore(Server(url=url, database="year"), folder / "refused.db")) as store:
        mirror = store.mirror([Averages(book, {})])
        while mirror.turn():
            pass


class _Series(msgspec.Struct):
    values: list[tuple[int, float, float, float, float]]


class _Result(msgspec.Struct):
    series: list[_Series]


class _Answer(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Answer).decode


def _ask(transport: Transport) -> None:
    for n in range(CHANNELS):
        answer = transport.query(
            'SELECT "value", "maximum", "evaluated", "valid" FROM "average" WHERE "window" = \'1h\' AND '
            f"\"parameter\" = 'SO2' AND \"point\" = 'point-{n}' AND time >= {START_NS} AND time < {END_NS}"
        )
        columns = np.array(_decode(answer.body).results[0].series[0].values)
        assert len(columns) == HOURS


def _timed(work: Callable[[], None]) -> float:
    """Milliseconds that something takes."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3

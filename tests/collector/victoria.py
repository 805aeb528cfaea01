"""VictoriaMetrics under the InfluxDB store: what it writes goes there, what it reads comes from `/api/v1/export`.

VictoriaMetrics takes line protocol and is no InfluxDB: it keeps numbers only, by the millisecond, and answers no
InfluxQL. So the texts in which the store keeps how far it is are remembered here, and what the store asks is found in
the export. Everything else is the store itself: keys, places, lines, requests, refusals. What it deletes or moves
cannot be tried.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from collector.stores.influxdb import store as store_module
from collector.stores.influxdb.lines import AGAIN, FIELDS, MEASUREMENT, SECOND_NS, TAGS, tame, wild
from collector.stores.influxdb.reading import Found, Reader
from collector.stores.influxdb.state import STATE
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Answer, Server, Transport
from gateway.measurement import Series

MS = 1_000_000  # of nanoseconds
Texts = dict[tuple[str, str], tuple[int, str]]  # id and part -> time and text
_STATE = re.compile(rf'{STATE},id=(\S+?),part=(\S+) text="((?:[^"\\]|\\.)*)" (-?\d+)')
_TERM = re.compile(r"\"?(\w+)\"? (=|>=|<=|<) (?:'((?:[^'\\]|\\.)*)'|(-?\d+))")
_HOLDS = {"=": np.equal, ">=": np.greater_equal, "<=": np.less_equal, "<": np.less}
FAR_MS = 4_000_000_000_000


def exported(url: str, selector: str) -> list[dict[str, Any]]:
    """Every series that a selector picks, with what it has: metric, values, timestamps."""
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=20).close()
    query = f"{url}/api/v1/export?match[]={urllib.request.quote(selector)}&start=0&end={FAR_MS // 1000}"
    with urllib.request.urlopen(query, timeout=20) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


@contextmanager
def stored_in(url: str) -> Iterator[Server]:
    """While this lasts, InfluxDB stores write to a VictoriaMetrics and read back from it."""
    texts: Texts = {}

    class Kept(Transport):
        def write(self, body: bytes) -> Answer:
            for name, part, text, time_ns in _STATE.findall(body.decode()):
                texts[name, part] = int(time_ns), re.sub(r"\\([\"\\])", r"\1", text)
            return super().write(body)

        def query(self, influxql: str) -> Answer:
            raise AssertionError(f"nothing is asked in InfluxQL: {influxql}")

    class Exported(Reader):
        def texts(self, name: str, by: tuple[str, ...], condition: str = "") -> list[tuple[int, str]]:
            assert name == STATE
            return [told for (_, part), told in texts.items() if not condition or f"'{part}'" in condition]

        def ends(self) -> list[Found]:
            return self.groups("", "ORDER BY time DESC LIMIT 1")

        def groups(self, condition: str, tail: str = "") -> list[Found]:
            (limit,) = re.findall(r"LIMIT (\d+)", tail) or ["1000000"]
            step = -1 if "DESC" in tail else 1
            picked = [one.take(np.flatnonzero(_meets(one, condition))[::step][: int(limit)]) for one in _points(url)]
            return [one for one in picked if len(one)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "Transport", Kept)
        patch.setattr(store_module, "Reader", Exported)
        yield Server(url=url, database="emitwatch")


def opened(server: Server, folder: Path) -> InfluxStore:
    """A store that writes to it."""
    return InfluxStore(server, folder / "refused.db")


def _meets(found: Found, condition: str) -> npt.NDArray[np.bool_]:
    """Which points meet a condition of InfluxQL on tags, fields and time."""
    met = np.ones(len(found), np.bool_)
    columns = {"time": found.time_ns, "stream": found.stream, "seq": found.seq.astype(np.int64)}
    for name, relation, text, number in _TERM.findall(condition):
        if name in TAGS:
            met &= tame(getattr(found.series, name)) == re.sub(r"\\(.)", r"\1", text)
        else:
            met &= _HOLDS[relation](columns[name], int(number))
    return met


def _points(url: str) -> list[Found]:
    """The measurements that are there, by series and place; what is there twice is an error."""
    groups: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    for one in exported(url, f'{{__name__=~"{MEASUREMENT}_.+"}}'):
        metric, times = one["metric"], one["timestamps"]
        assert len(set(times)) == len(times), f"{metric} has something twice"
        key = tuple(metric.get(name, "") for name in (*TAGS, AGAIN))
        name = metric["__name__"].removeprefix(f"{MEASUREMENT}_")
        groups.setdefault(key, {})[name] = dict(zip(times, one["values"], strict=True))
    return [_found(dict(zip((*TAGS, AGAIN), key, strict=True)), fields) for key, fields in groups.items()]


def _found(tags: Mapping[str, str], fields: Mapping[str, Mapping[int, float]]) -> Found:
    times = sorted(fields["status"])
    columns = {name: np.array([fields.get(name, {}).get(at, np.nan) for at in times], np.float64) for name in FIELDS}
    moved = np.nan_to_num(columns["moved_s"]).astype(np.int64) * SECOND_NS
    named = {name: wild(tags[name]) for name in TAGS}
    return Found(
        Series(named["plant"], named["point"], named["sensor"], named["parameter"], named["unit"]),
        np.full(len(times), int(tags[AGAIN] or 0), np.int64),
        np.array(times, np.int64) * MS,
        columns["value"],
        columns["status"].astype(np.uint8),
        columns["stream"].astype(np.int64),
        columns["seq"].astype(np.uint64),
        columns["index"].astype(np.uint16),
        moved + np.nan_to_num(columns["moved_ns"]).astype(np.int64),
    )

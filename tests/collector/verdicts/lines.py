"""A journal in memory, a small plant, and what the evaluator makes of them: for the tests beside this file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from collector.intake import events
from collector.store import Entry, EntryKind
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.settings import Site, parse_site
from gateway.wire import Clk, Header, encode

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

MILL = """
[plant]
id = "mill"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1:1883"
[[gateway]]
id = "gw"
"""
SITE = (
    MILL
    + """
[[point]]
id = "fence"
kind = "noise"
rules = ["gb12348-2008"]
settings = { area_class = 2 }
[[point]]
id = "stack"
kind = "stack"
rules = ["ultra-low-2015"]
settings = { reference_oxygen = 6.0, basis = "wet", state = "actual", area_m2 = 9.6, barometric_pa = 101100 }
[[point]]
id = "outfall"
kind = "water"
rules = ["gb18918-2002"]
settings = { class = "1A" }
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 10
[[sensor]]
id = "cems"
point = "stack"
link = "tcp://127.0.0.1:5022?unit=1"
profile = "sick-mcs100ft"
interval_s = 5
parameters = ["NOx", "O2"]
[[sensor]]
id = "gas"
point = "stack"
link = "tcp://127.0.0.1:5022?unit=3"
profile = "emitwatch-stack-gas"
interval_s = 5
[[sensor]]
id = "water"
point = "outfall"
link = "tcp://127.0.0.1:5024?unit=2"
profile = "emitwatch-water"
interval_s = 60
[[sensor]]
id = "flow"
point = "outfall"
link = "tcp://127.0.0.1:5024?unit=1"
profile = "tuf-2000m"
interval_s = 60
parameters = ["flow"]
"""
)


def site(text: str = SITE) -> Site:
    found, faults = parse_site(text, "mill.toml")
    assert found is not None, faults
    return found


def fence(times: Sequence[int] | np.ndarray, levels: Any, *, parameter: str = "LAeq", status: int = 0) -> Columns:
    """Levels at the fence."""
    return one(Series("mill", "fence", "slm", parameter, "dB(A)"), times, levels, status=status)


def one(series: Series, times: Any, values: Any, *, status: int = 0) -> Columns:
    """Measurements of one series; values may be one number for all."""
    time_ns = np.asarray(times, np.int64)
    value = np.broadcast_to(np.asarray(values, np.float64), time_ns.shape).copy()
    codes = np.where(np.isnan(value), status or Status.NO_COMM, status).astype(np.uint8)
    return Columns((series,), np.zeros(len(time_ns), np.uint16), time_ns, value, codes)


@dataclass(repr=False)
class MemoryJournal:
    """A journal in memory. most: entries that one read gives at most."""

    entries: list[Entry] = field(default_factory=list)
    most: int = 1_000_000
    loaded: int = 0
    seqs: dict[tuple[str, bytes], int] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def read(self, after: int, limit: int) -> list[Entry]:
        return self.entries[after : after + min(limit, self.most)]

    def overlapping(self, from_ns: int, to_ns: int, upto: int) -> list[Entry]:
        self.loaded += 1
        batches = (entry for entry in self.entries[:upto] if entry.kind is EntryKind.BATCH)
        return [entry for entry in batches if entry.first_ns < to_ns and entry.last_ns >= from_ns]

    def batches(self, gateway: str, epoch: bytes, seqs: tuple[int, int], limit: int) -> list[Entry]:
        named = [e for e in self.entries if e.kind is EntryKind.BATCH and (e.gateway, e.epoch) == (gateway, epoch)]
        return sorted((e for e in named if seqs[0] <= e.seq <= seqs[1]), key=lambda e: e.seq)[:limit]

    def wait(self, after: int, timeout_s: float) -> int:
        with self.news:
            self.news.wait_for(lambda: len(self.entries) > after, timeout_s)
            return len(self.entries)

    def add(self, entry: Entry) -> None:
        with self.news:
            self.entries.append(entry)
            self.news.notify_all()

    def tick(self, now_ns: int) -> None:
        self.add(Entry(position=len(self.entries) + 1, received_ns=now_ns, kind=EntryKind.TICK))

    def ticks(self, from_ns: int, to_ns: int) -> None:
        for now_ns in range(from_ns, to_ns, 5 * SECOND_NS):
            self.tick(now_ns)

    def batch(self, now_ns: int, columns: Columns, *, gateway: str = "gw", epoch: int = 1, plant: str = "mill") -> None:
        """The measurements in as many batches as they need, received at once."""
        for start in range(0, len(columns), 500):
            part = columns.take(slice(start, start + 500))
            stream = (gateway, bytes([epoch] * 16))
            seq = self.seqs[stream] = self.seqs.get(stream, 1) + 1
            header = Header(
                plant=plant, gw=gateway, ep=stream[1], seq=seq, prev=bytes(32), low=1, n=len(part), cfg=bytes(32),
                mono_ns=0, wall_ns=0, clk=Clk("synced", 0, 0), kind="data",
            )  # fmt: skip
            self.add(
                Entry(
                    position=len(self.entries) + 1,
                    received_ns=now_ns,
                    kind=EntryKind.BATCH,
                    gateway=gateway,
                    epoch=stream[1],
                    seq=seq,
                    payload=b"\x01" + bytes(64) + encode(header, part),
                    first_ns=int(part.time_ns.min()),
                    last_ns=int(part.time_ns.max()),
                )
            )

    def move(
        self, now_ns: int, seqs: tuple[int, int], shift_ns: int, *, told_in: int, gateway: str = "gw", epoch: int = 1
    ) -> None:
        """The event that batches were dated by a wrong clock."""
        told = {"from_seq": seqs[0], "to_seq": seqs[1], "shift_ns": shift_ns, "told_in": told_in}
        made = events.entry(events.What.REBASED, gateway, bytes([epoch] * 16), now_ns, "", told)
        self.add(replace(made, position=len(self.entries) + 1))


RULES = site_rules([site()])


def run(journal: MemoryJournal, book: Book, stops: Iterable[int] = ()) -> Line:
    """Take the whole journal, dying and starting again after each of the positions in `stops`."""
    left = sorted(set(stops))
    line = Line(journal, book, *RULES)
    while entries := journal.read(line.position, 500):
        for entry in entries:
            line.take(entry)
            if left and entry.position >= left[0]:
                left.pop(0)
                line = Line(journal, book, *RULES)
                break
    return line


def rows(book: Book) -> list[Any]:
    """Everything in a book, every version."""
    averages = book._rows("SELECT * FROM average ORDER BY id")
    return [*averages, *book._rows("SELECT * FROM exceedance ORDER BY id")]


def newest(book: Book) -> Mapping[tuple[str, str, str, int], Any]:
    """The newest version of every average."""
    found = (row.average for row in book.averages())
    return {(a.point, a.parameter, a.window, a.from_ns): a for a in found}

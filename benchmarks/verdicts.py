"""How long verdicts take: a year of 1-minute values of 50 channels, and an hour that comes late.

The year: four stacks of eight channels (concentrations converted with oxygen, temperature, pressure and moisture; two
by the Chinese ultra-low limits, two by the 13. BImSchV with half-hours, rolling 30 days and years), two outfalls of
five, four fences of two. Every window that is built for a point is averaged, counted valid or not, and judged; what
breaks a clause becomes a record, what complies stays in columns. Points come one after the other, so that no more than
one is in memory. The peer makes averages, maxima and counts of the same windows (of levels also percentiles) with
pandas' vectorised `resample`, and neither converts nor judges. Where pandas is not installed, it is left out.

The hour: of values each second, at a fence whose collector has just started. All windows it touches are derived again
from the journal, compared with the book, and written. CPU time of one core.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from collector.catalogue import rule_packs
from collector.intake.journal import Journal
from collector.store import Entry, EntryKind
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from collector.verdicts.judgement import exceedances, point_tables
from collector.verdicts.noise import PERCENTILES
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.screening import Signal, signal
from collector.verdicts.windows import HOUR_NS, MINUTE_NS
from gateway import catalogue
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.seal import SIGNATURE_BYTES
from gateway.settings import Site, parse_site
from gateway.wire import Clk, Header, encode

ZONE = "Asia/Shanghai"
YEAR_NS = 1_767_196_800 * SECOND_NS  # 2026-01-01, midnight on the wall
MINUTES = 365 * 24 * 60
LIMIT_S, LIMIT_HOUR_S = 10.0, 1.0
GAS = {"O2": (7.0, 0.6), "temperature": (110.0, 5.0), "pressure": (-0.5, 0.05), "moisture": (9.0, 0.7)}
# Usual value of each channel and how far it strays.
STACK = {"SO2": (12.0, 3.0), "NOx": (24.0, 4.0), "dust": (3.0, 0.6), "CO": (40.0, 15.0), **GAS}
WATER = {"COD": (35.0, 4.0), "NH3-N": (2.5, 0.7), "TP": (0.3, 0.05), "pH": (7.2, 0.3), "flow": (60.0, 10.0)}
NOISE = {"LAeq": (46.0, 2.0), "LAFmax": (52.0, 2.0)}
DAILY = {"elv_so2": 35.0, "elv_nox": 60.0, "elv_dust": 8.0, "elv_co": 120.0}
PERMIT = {name + span: limit for name, limit in DAILY.items() for span in ("", "_month", "_year")}
WET = {"reference_oxygen": 6.0, "basis": "wet", "state": "actual"}
POINTS: tuple[tuple[str, str, Mapping[str, Any], Mapping[str, tuple[float, float]]], ...] = (
    *2 * (("stack", "ultra-low-2015", WET, STACK),),
    *2 * (("stack", "bimschv-13-2021", {**WET, **PERMIT}, STACK),),
    *2 * (("water", "gb18918-2002", {"class": "1A"}, WATER),),
    *4 * (("noise", "gb12348-2008", {"area_class": 2}, NOISE),),
)
SITE = """
[plant]
id = "mill"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1:1883"
[[gateway]]
id = "gw"
[[point]]
id = "fence"
kind = "noise"
rules = ["gb12348-2008"]
settings = { area_class = 2 }
[[sensor]]
id = "meter"
point = "fence"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
"""


def measure() -> list[Figure]:
    """Seconds for the year, beside the limit and beside pandas, and for the hour."""
    ours_s = peer_s = 0.0
    channels = found = 0
    peer = importlib.util.find_spec("pandas") is not None
    rng = np.random.default_rng(5)
    for number, (kind, pack, settings, spec) in enumerate(POINTS):
        rules = _rules(f"point-{number}", kind, pack, settings)
        signals = {name: _signal(name, usual, strays, rng) for name, (usual, strays) in spec.items()}
        channels += len(signals)
        began = time.process_time()
        found += _judge(rules, signals)
        ours_s += time.process_time() - began
        if peer:
            began = time.process_time()
            _resample(rules, signals)
            peer_s += time.process_time() - began
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{channels} channels, {channels * MINUTES / 1e6:.1f} million values, {found} exceedances, {most_mb:.0f} MB")
    name = f"a year of {channels} channels averaged, validated, judged"
    figures = [Figure(name=name, value=ours_s, unit="s", reference=LIMIT_S, reference_name="the limit")]
    if peer:
        figures.append(Figure(name=name, value=ours_s, unit="s", reference=peer_s, reference_name="pandas resample"))
    else:
        print("pandas is not installed, so there is no ratio to it", file=sys.stderr)
    figures.append(
        Figure(name="a late hour derived again", value=_late_hour(), unit="s", reference=LIMIT_HOUR_S,
               reference_name="the limit")
    )  # fmt: skip
    return figures


def _rules(point: str, kind: str, pack: str, settings: Mapping[str, Any]) -> PointRules:
    rules, faults = point_rules(
        "plant", point, kind, timezone=ZONE, packs=[rule_packs()[pack]], settings=settings,
        parameters=catalogue.parameters(),
    )  # fmt: skip
    assert not faults, faults
    return rules


def _signal(parameter: str, usual: float, strays: float, rng: np.random.Generator) -> Signal:
    """A year that wanders from hour to hour, with a calibration a day and an outage a week."""
    hours = MINUTES // 60 + 1
    value = np.interp(np.arange(MINUTES) / 60, np.arange(hours), rng.normal(usual, strays, hours))
    value = np.round(np.abs(value) * np.sign(usual) + rng.normal(0.0, strays / 10, MINUTES), 2)
    status = np.zeros(MINUTES, np.uint8)
    for day in range(365):
        status[day * 1440 + 600 :][:15] = Status.CALIBRATION
    for begin in rng.integers(0, MINUTES, 52):
        status[begin : begin + int(rng.integers(1, 180))] = Status.FAULT
    time_ns = YEAR_NS + np.arange(MINUTES, dtype=np.int64) * MINUTE_NS
    unit = catalogue.parameters()[parameter].unit
    return signal(parameter, unit, time_ns=time_ns, value=value, status=status, interval_ns=MINUTE_NS)


def _judge(rules: PointRules, signals: Mapping[str, Signal]) -> int:
    """Every table of a point, and how often a clause is broken."""
    wanted = {kind: rules.windows(kind, YEAR_NS, YEAR_NS + MINUTES * MINUTE_NS) for kind in rules.built}
    tables = point_tables(rules, signals, wanted)
    assert tables is not None, "a year has windows"
    for parameter in tables.parameters:
        for kind in wanted:
            tables.table(parameter, kind)
    return len(exceedances(rules, tables, wanted, proof=False))


# --- the peer --------------------------------------------------------------------------------------

OFFSETS = {"1m": "1min", "30m": "30min", "1h": "1h", "month": "MS", "year": "YS"}


def _resample(rules: PointRules, signals: Mapping[str, Signal]) -> None:
    """Averages, maxima and counts of the windows that are built for a point; of levels percentiles too."""
    import pandas as pd

    for one in signals.values():
        index = pd.to_datetime(one.time_ns, utc=True).tz_convert(ZONE)
        values = pd.Series(np.where(one.status == 0, one.value, np.nan), index=index)
        level = rules.method(one.parameter) == "energy"
        energy = np.power(10.0, 0.1 * values) if level else values
        at_night = (index.hour >= 22) | (index.hour < 6)
        for kind in rules.built:
            if kind == "30d":
                days = energy.resample("1D").agg(["sum", "count"]).rolling(30).sum()
                _ = days["sum"] / days["count"], values.resample("1D").max().rolling(30).max()
                continue
            some, what, offset = slice(None), OFFSETS.get(kind, "24h"), "22h" if kind == "night" else None
            if rules.kind == "noise" and kind in ("day", "night", "calendar_night"):
                some = ~at_night if kind == "day" else at_night
            windows = energy[some].resample(what, offset=offset)
            mean, there = windows.mean(), windows.count()
            found = [10.0 * np.log10(mean) if level else mean, there, values[some].resample(what, offset=offset).max()]
            if level:
                shares = [1.0 - percent / 100.0 for percent in PERCENTILES]
                found.append(values[some].resample(what, offset=offset).quantile(shares))


# --- the late hour ---------------------------------------------------------------------------------


def _late_hour() -> float:
    """CPU time from the first batch of the hour until what it changed is in the book. [s]"""
    with tempfile.TemporaryDirectory() as folder:
        journal, book = Journal(Path(folder) / "journal"), Book(Path(folder) / "book.db")
        rules, intervals = site_rules([_site()])
        begin_ns = YEAR_NS - 2 * HOUR_NS  # from 22 o'clock: two nights, and a day between them
        late_ns = begin_ns + 20 * HOUR_NS
        for hour in range(40):
            from_ns = begin_ns + hour * HOUR_NS
            journal.append(_hour(from_ns, from_ns + HOUR_NS) if from_ns != late_ns else [_tick(from_ns + HOUR_NS)])
        _follow(Line(journal, book, rules, intervals), journal)
        before = len(book.averages(window="1h"))
        received_ns = begin_ns + 42 * HOUR_NS
        journal.append(_hour(late_ns, received_ns))
        line = Line(journal, book, rules, intervals)
        began = time.process_time()
        _follow(line, journal)
        took_s = time.process_time() - began
        assert len(book.averages(window="1h")) > before, "the hour is in the book"
        book.close()
        journal.close()
    return took_s


def _site() -> Site:
    site, faults = parse_site(SITE, "mill.toml")
    assert site is not None, faults
    return site


def _follow(line: Line, journal: Journal) -> None:
    while entries := journal.read(line.position, 500):
        for entry in entries:
            line.take(entry)


def _hour(from_ns: int, received_ns: int) -> list[Entry]:
    """The batches of an hour, a minute each, and the tick after them."""
    return [*(_batch(from_ns + n * MINUTE_NS, received_ns) for n in range(60)), _tick(received_ns + MINUTE_NS)]


def _tick(now_ns: int) -> Entry:
    return Entry(position=0, received_ns=now_ns, kind=EntryKind.TICK)


def _batch(from_ns: int, received_ns: int) -> Entry:
    series = tuple(Series("mill", "fence", "meter", name, "dB(A)") for name in NOISE)
    time_ns = np.repeat(from_ns + np.arange(60) * SECOND_NS, len(series))
    value = np.round(50.0 + 5.0 * np.sin(np.arange(len(time_ns)) * 0.7), 1)
    index = np.tile(np.arange(len(series), dtype=np.uint16), 60)
    columns = Columns(series, index, time_ns, value, np.zeros(len(time_ns), np.uint8))
    seq = 2 + (from_ns - YEAR_NS + 3 * HOUR_NS) // MINUTE_NS
    header = Header(
        plant="mill", gw="gw", ep=bytes(16), seq=seq, prev=bytes(32), low=1, n=len(columns), cfg=bytes(32), mono_ns=0,
        wall_ns=0, clk=Clk("synced", 0, 0), kind="data",
    )  # fmt: skip
    return Entry(
        position=0, received_ns=received_ns, kind=EntryKind.BATCH, gateway="gw", epoch=bytes(16), seq=seq,
        payload=b"\x01" + bytes(SIGNATURE_BYTES) + encode(header, columns), first_ns=from_ns,
        last_ns=int(time_ns[-1]),
    )  # fmt: skip

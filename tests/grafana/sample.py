"""A day of two plants through the collector's own parts into an InfluxDB: what dashboards find there is what it writes.

Measurements go by the projector, averages and exceedances by the running line, incidents by the ledger, gateways by
what they say of themselves; all of it by the mirror. Two exceedances of longer windows are made from one of a day. The
plants keep a time in which it is seven in the morning now: so a day and a night are over, and the fewest hours are
simulated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from alerts.charts import Incidents
from alerts.incidents import advance
from alerts.ledger import Ledger
from collector.catalogue import rule_packs
from collector.charts.judged import Averages, Exceedances
from collector.charts.limits import Ahead
from collector.charts.logbook import Logbook, Sampler
from collector.intake.projector import Projector
from collector.intake.sorter import Counts
from collector.intake.states import States
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line
from collector.verdicts.points import PointRules, point_rules
from gateway.catalogue import parameters
from gateway.measurement import Columns, Series
from gateway.parameters import Parameter
from tests.collector.verdicts.lines import MemoryJournal

MINUTE_NS, HOUR_NS = 60 * 10**9, 3600 * 10**9
PLANTS = ("river side", "harbour")
STACK = {"basis": "wet", "state": "actual", "area_m2": 9.6, "barometric_pa": 101100}
# plant, point, kind, packs, settings, and what is measured besides the gas; () = everything of the medium
POINTS: tuple[tuple[str, str, str, str, Mapping[str, Any], tuple[str, ...]], ...] = (
    (PLANTS[0], "fence", "noise", "gb12348-2008", {"area_class": 2}, ()),
    (PLANTS[0], "stack-1", "stack", "gb18485-2014", STACK, ()),
    (PLANTS[0], "stack-2", "stack", "ied-2010-75-annex-vi", STACK, ("HF",)),
    (PLANTS[0], "stack-3", "stack", "bimschv-44-2019", STACK | {"reference_oxygen": 6.0, "elv_nh3": 10.0}, ("NH3",)),
    (PLANTS[0], "outfall-1", "water", "gb18918-2002", {"class": "1A"}, ()),
    (PLANTS[0], "outfall-2", "water", "gb8978-1996", {"grade": 1}, ("SS", "flow")),
    (PLANTS[1], "fence", "noise", "gb12348-2008", {"area_class": 2}, ()),
)
GAS = {"O2": 8.0, "temperature": 100.0, "pressure": -0.5, "moisture": 10.0, "velocity": 12.0}
CALM = {"plant_state": 0.0, "wind_speed": 1.0, "rain": 0.0, "rain_intensity": 0.0, "LAFmax": 50.0}
EVERY, SLOW = 5, 60  # minutes between values, but of levels; of what is analysed in a sample
ANALYSED = "SS"
AFTER_NS = 20 * MINUTE_NS  # so long tests may take until what they ask for is of the past


def fill(server: Server, folder: Path, now_ns: int) -> None:
    """Everything from yesterday's begin up to a while after now."""
    end_ns = now_ns + AFTER_NS
    rules, journal = dict(_rules(now_ns)), MemoryJournal()
    for plant in PLANTS:
        journal.batch(end_ns, _measured(rules, plant, now_ns), gateway=_gateway(plant), plant=plant)
    journal.ticks(end_ns, end_ns + 5 * MINUTE_NS)
    with (
        closing(InfluxStore(server, folder / "refused.db")) as store, closing(Book(folder / "verdicts.db")) as book,
        closing(Ledger(folder)) as ledger, closing(Logbook(folder / "samples.db")) as logbook,
    ):  # fmt: skip
        Projector(journal, store).project(journal.entries)
        line = Line(journal, book, rules, {(s.plant, s.sensor, s.parameter): _interval_ns(s) for s in store.series()})
        for entry in journal.entries:
            line.take(entry)
        _exceed_long(book, end_ns)
        _open_incidents(book, ledger, end_ns)
        _sample(logbook, now_ns)
        feeds = [Averages(book, rules), Exceedances(book), Ahead(rules, lambda: now_ns), logbook, Incidents(ledger)]
        mirror = store.mirror(feeds)
        while mirror.turn():
            pass
        assert not store.problem


def _rules(now_ns: int) -> Iterator[tuple[tuple[str, str], PointRules]]:
    packs = rule_packs()
    ahead_h = (7 - datetime.fromtimestamp(now_ns / 1e9, UTC).hour + 11) % 24 - 11
    for plant, point, kind, pack, settings, _ in POINTS:
        sources = {
            f"{point}-{code}": {"gateway": _gateway(plant), "registers": [{"parameter": code}]}
            for code in parameters()
        }  # fmt: skip
        made, faults = point_rules(
            plant, point, kind, timezone=f"Etc/GMT{-ahead_h:+d}", packs=[packs[pack]], settings=settings,
            parameters=parameters(), sources=sources,
        )  # fmt: skip
        assert not faults, faults
        yield (plant, point), made


def _measured(rules: Mapping[tuple[str, str], PointRules], plant: str, now_ns: int) -> Columns:
    """A value of each parameter, as often as it comes; once in an hour the line is cut."""
    first = next(iter(rules.values()))
    begin_ns = int(first.windows("24h", now_ns - 24 * HOUR_NS, now_ns).from_ns[0])
    time_ns = np.arange(begin_ns, now_ns + AFTER_NS, MINUTE_NS)
    series, values = [], []
    for of, point, kind, _, _, only in POINTS:
        for p in parameters().values():
            wanted = p.code in only or p.code in GAS if only else not p.derived
            if of == plant and kind in p.media and wanted:
                series.append(Series(plant, point, f"{point}-{p.code}", p.code, p.unit))
                values.append(_value(p))
    row = np.arange(len(time_ns) * len(series))
    minute = row // len(series)
    every = np.array([_interval_ns(one) // MINUTE_NS for one in series])
    row = row[minute % every[row % len(series)] == 0]
    cut = row // len(series) % 60 == 55
    value = np.where(cut, np.nan, np.array(values)[row % len(series)])
    status = np.where(cut, 7, 0).astype(np.uint8)
    return Columns(tuple(series), (row % len(series)).astype(np.uint16), time_ns[row // len(series)], value, status)


def _interval_ns(series: Series) -> int:
    return {"LAeq": 1, ANALYSED: SLOW}.get(series.parameter, EVERY) * MINUTE_NS


def _value(p: Parameter) -> float:
    """Much, so that limits are exceeded; a stack's gas as it is."""
    low, high = p.typical or (0.0, 10.0)
    return (GAS | CALM).get(p.code, round(low + 0.8 * (high - low), 2))


def _gateway(plant: str) -> str:
    return f"{plant.split()[0]}-gw"


def _exceed_long(book: Book, now_ns: int) -> None:
    """What a day does not have: a month and a year that ended an hour ago, each broken as a day was."""
    day = next(row.exceedance for row in book.exceedances() if row.exceedance.window == "24h")
    end_ns = now_ns - HOUR_NS
    longer = [
        replace(day, window=window, clause=f"{day.clause}-{window}", from_ns=end_ns - hours * HOUR_NS, to_ns=end_ns)
        for window, hours in (("month", 31 * 24), ("year", 366 * 24))
    ]
    position, state = book.state()
    book.commit([], longer, derived_ns=now_ns, state=state, position=position)


def _open_incidents(book: Book, ledger: Ledger, now_ns: int) -> None:
    found = [(row.id, row.exceedance) for row in book.exceedances()]
    assert found, "the sample exceeds its limits"
    step = advance([], found, judged={}, next_id=1, now_ns=now_ns, quiet_ns=HOUR_NS)
    ledger.commit(step, [], exceedance=found[-1][0], command=0, now_ns=now_ns)


def _sample(logbook: Logbook, now_ns: int) -> None:
    """Half an hour of what gateways say, read as the collector reads it."""
    states = States()
    said = {
        "state": "online", "good_s": {"fence-LAeq": 1.5}, "unacked_batches": 0, "waiting_values": 0,
        "polls_answered": 60, "polls_failed": 1, "storage": {"share": 0.1},
        "clock": {"standing": "right", "off_s": None},
    }  # fmt: skip
    heard = {"ns": 0}
    sampler = Sampler(logbook, lambda: {
        id: {"plant": plant, **asdict(Counts(received_ns=heard["ns"])), "state": states.told(id, ["fence-LAeq"], 1)}
        for plant in PLANTS for id in (_gateway(plant),)
    })  # fmt: skip
    for plant in PLANTS:
        states.note(_gateway(plant), json.dumps(said).encode(), 0, retained=False)
    for ago in range(-AFTER_NS // MINUTE_NS, 30):
        heard["ns"] = now_ns - ago * MINUTE_NS - 2 * 10**9
        sampler.sample(now_ns - ago * MINUTE_NS)

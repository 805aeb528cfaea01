"""Months, rolling 30 days and years of days are what they are of all measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.day_sums import DAY, LONG
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.long import derive_long
from collector.verdicts.long_tables import MEDIAN
from collector.verdicts.pack import ClauseText, ValidityText
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average, Standing
from collector.verdicts.screening import Signal, joined, signal
from collector.verdicts.states import State
from collector.verdicts.windows import windows
from gateway.measurement import SECOND_NS, Status
from gateway.settings import Label
from tests.collector.verdicts.test_averages import HOUR_NS, MINUTE_NS, PACKS, PARAMETERS
from tests.effort import examples

BERLIN = "Europe/Berlin"
# 2026-03-10 in Berlin: the clock changes on the 29th.
START = int(windows(DAY, BERLIN, 1_773_140_400 * SECOND_NS, 1_773_140_401 * SECOND_NS).from_ns[0])
STEP_NS = 10 * MINUTE_NS
MEANS = {"SO2": (150.0, 60.0), "O2": (7.0, 1.5), "moisture": (10.0, 1.0), "temperature": (120.0, 5.0),
         "pressure": (-0.5, 0.1), "LAeq": (55.0, 8.0), "LAFmax": (70.0, 8.0), "COD": (45.0, 20.0), "pH": (7.5, 0.8),
         "flow": (100.0, 80.0)}  # fmt: skip


def clause(parameter: str, kind: str, high: float, *, unit: str, corrected: str = "as measured") -> ClauseText:
    """A clause made up for the test: the packs have few about long windows."""
    some = PACKS["gb8978-1996"].clauses[0]
    row = replace(some.rows[0], when={}, given=(), from_date=None, to_date=None, high=high, low=None, of="")
    return replace(
        some, id=f"{parameter.lower()}-{kind}", title=Label("made up", "made up"), parameter=parameter, window=kind,
        unit=unit, standing=Standing.EVIDENCE, corrected=corrected, rows=(row,), adjustments=(),
    )  # fmt: skip


def rules(
    kind: str, pack: str, settings: Mapping[str, Any], *more: ClauseText, part: str = "", operating: bool = False
) -> PointRules:
    """The law of a point with clauses about long windows besides. part: what a month counts, "" = values."""
    of = PACKS[pack]
    counted = tuple(
        ValidityText(window=w, part=part, minimum=None, share=0.5, setting="", cite="made up", verified=False,
                     operating=operating)
        for w in LONG
    )  # fmt: skip
    of = replace(of, clauses=(*of.clauses, *more), validity=(*of.validity, *(counted if part else ())))
    made, faults = point_rules(
        "p", "x", kind, timezone=BERLIN, packs=[of], settings=settings, parameters=PARAMETERS
    )  # fmt: skip
    assert not faults, faults
    return made


GAS = {"reference_oxygen": 6.0, "basis": "wet", "state": "actual", "barometric_pa": 101325.0}
ELV = {"elv_so2": 170.0, "elv_so2_month": 140.0, "elv_so2_year": 130.0}
GASES = ("SO2", "O2", "moisture", "temperature", "pressure")
POINTS = {
    "stack": (
        rules("stack", "ultra-low-2015", GAS, clause("SO2", "month", 30.0, unit="mg/m3", corrected="converted")), GASES
    ),
    "hours": (rules("stack", "ultra-low-2015", GAS, part="1h"), GASES),
    "validated": (rules("stack", "bimschv-13-2021", {**GAS, **ELV}), GASES),
    "operating": (rules("stack", "bimschv-13-2021", {**GAS, **ELV}, part="1h", operating=True), GASES),
    "noise": (
        rules("noise", "gb12348-2008", {"area_class": 2}, clause("LAeq", "month", 55.0, unit="dB(A)")),
        ("LAeq", "LAFmax"),
    ),
    "water": (
        rules("water", "gb18918-2002", {"class": "1A"}, clause("COD", "month", 44.0, unit="mg/L"), part="24h"),
        ("COD", "pH", "flow"),
    ),
    "water by values": (
        rules("water", "gb8978-1996", {"grade": 1}, clause("COD", "month", 44.0, unit="mg/L")), ("COD", "pH", "flow")
    ),
    "lden": (rules("noise", "2002-49-ec", {}, clause("Lden", "month", 60.0, unit="dB(A)")), ("LAeq", "LAFmax")),
    "ldn": (rules("noise", "gb3096-2008", {"ambient_class": 2}, part="24h"), ("LAeq",)),
    "without a flow": (rules("water", "gb18918-2002", {"class": "1A"}), ("COD", "pH")),
}  # fmt: skip


def measured(rng: np.random.Generator, parameter: str, days: int, gaps: float) -> Signal:
    """Ten-minute values, with gaps, bad ones, and an instrument of half-hours in place of the first for some days."""
    mean, spread = MEANS[parameter]
    n = days * 144
    value = np.maximum(rng.normal(mean, spread, n), 0.0 if parameter != "pressure" else -5.0)
    value[rng.random(n) < gaps] = np.nan
    for _ in range(rng.integers(0, 4)):
        first = rng.integers(0, n)
        value[first : first + rng.integers(1, 1500)] = np.nan
    status = np.where(rng.random(n) < 0.05, Status.CALIBRATION, Status.OK)
    status = np.where(np.isnan(value), Status.NO_COMM, status).astype(np.uint8)
    time = START + np.arange(n) * STEP_NS

    def part(rows: Any, interval: int, sensor: str) -> Signal:
        return signal(
            parameter, PARAMETERS[parameter].unit, time_ns=time[rows], value=value[rows], status=status[rows],
            interval_ns=interval, sensor=sensor,
        )  # fmt: skip

    if rng.random() < 0.4:
        swap = rng.integers(1, n - 1)
        other = np.arange(n)[swap:][(np.arange(n)[swap:] % 3) == 0]
        if len(other):
            return joined([part(np.arange(swap), STEP_NS, "old"), part(other, 3 * STEP_NS, "new")])
    return part(np.arange(n), STEP_NS, "old")


def spans(rng: np.random.Generator, days: int) -> list[State]:
    """What was said of the plant's state, some of it over other such spans."""
    begin = START + rng.integers(0, days * 144, rng.integers(0, 7)) * STEP_NS
    names = rng.choice(["start_up", "shut_down", "stopped", "operating"], len(begin))
    lengths = rng.integers(1, 400, len(begin)) * STEP_NS
    return [
        State(state=str(name), from_ns=int(first), to_ns=int(first + length))
        for name, first, length in zip(names, begin, lengths, strict=True)
    ]


def without_days(
    rng: np.random.Generator, law: PointRules, signals: Mapping[str, Signal]
) -> tuple[dict[str, Signal], list[State]]:
    """The signals without some whole days, and what was said of these: mostly that the plant stood."""
    last = max(int(s.time_ns[-1]) for s in signals.values())
    every, stood, left = law.windows(DAY, START, last + 1), list[State](), dict(signals)
    for _ in range(rng.integers(0, 4)):
        first = int(rng.integers(0, len(every)))
        from_ns, to_ns = int(every.from_ns[first]), int(every.to_ns[first : first + int(rng.integers(1, 15))][-1])
        if law.kind == "stack" and rng.random() < 0.8:
            stray = int(rng.integers(-60, 60)) * STEP_NS  # half of the days beside it, or not all of it
            stood.append(State(state=str(rng.choice(["stopped", "start_up"])), from_ns=from_ns - stray, to_ns=to_ns))
        cut = {name: s.rows((s.time_ns < from_ns) | (s.time_ns >= to_ns)) for name, s in left.items()}
        left = {name: s for name, s in cut.items() if len(s)} or left
    return left, stood


def by_days(law: PointRules, signals: Mapping[str, Signal], said: Sequence[State] = ()) -> list[Average]:
    """The averages of days, each derived by itself, as the running line does."""
    end = START + 400 * 24 * HOUR_NS
    laid = law.windows(DAY, START, max(int(s.time_ns[-1]) + 1 for s in signals.values()))
    found: list[Average] = []
    for row in range(len(laid)):
        one = laid.take(np.arange(len(laid)) == row)
        span = int(one.from_ns[0]), min(int(one.to_ns[0]), end)
        own = {name: part for name, s in signals.items() if len(part := s.within(*span))}
        found += derive(law, own, {DAY: one}, sums=True, said=said).averages
    return found


def close(one: Any, other: Any) -> bool:
    """Whether two plain things are equal, numbers but for a few parts in 1e9."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-9, abs=3e-9)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == other)


@effort(max_examples=examples(4, 100), deadline=None)
@given(
    st.sampled_from(sorted(POINTS)), st.integers(0, 2**32 - 1), st.integers(33, 70), st.sampled_from([0.0, 0.1, 0.3])
)
def test_both_ways_come_to_the_same(name: str, seed: int, days: int, gaps: float) -> None:
    compare(name, seed, days, gaps)


def test_both_ways_come_to_the_same_where_a_day_has_no_measurement() -> None:
    compare("hours", 7308, 59, 0.0)


def compare(name: str, seed: int, days: int, gaps: float) -> None:
    """Long windows of days are those of all measurements."""
    law, parameters = POINTS[name]
    rng = np.random.default_rng(seed)
    signals = {parameter: measured(rng, parameter, days, gaps) for parameter in parameters}
    last = max(int(s.time_ns[-1]) for s in signals.values())
    wanted = {kind: law.windows(kind, START, last + 1) for kind in LONG}
    said = spans(rng, days) if law.kind == "stack" else []
    signals, stood = without_days(rng, law, signals)
    said += stood
    raw, long = derive(law, signals, wanted, said=said), derive_long(law, by_days(law, signals, said), wanted, said)
    assert [(a.parameter, a.window, a.from_ns) for a in long.averages] == [
        (a.parameter, a.window, a.from_ns) for a in raw.averages
    ]
    for ours, theirs in zip(long.averages, raw.averages, strict=True):
        if theirs.inputs["method"] == "median":
            assert ours.inputs["method"] == MEDIAN
            ours = replace(ours, value=theirs.value, evaluated=theirs.evaluated, inputs=theirs.inputs)
        for field in ("value", "evaluated", "coverage", "valid", "count", "maximum", "inputs", "unit", "to_ns"):
            assert close(getattr(ours, field), getattr(theirs, field)), (field, ours, theirs)
        assert ours.percentiles == {}
    assert found(long) == pytest.approx(found(raw), rel=1e-9)


def found(derived: Derived) -> dict[tuple[str, str, int], float]:
    return {(e.clause, e.window, e.from_ns): e.value for e in derived.exceedances if e.parameter != "pH"}

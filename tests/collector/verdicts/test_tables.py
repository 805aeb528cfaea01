"""The tables, and what breaks clauses in them, against a plain loop over windows, values and clauses."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts import corrections, noise
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.limits import Clause, rounded
from collector.verdicts.points import PointRules
from collector.verdicts.records import Exceedance
from collector.verdicts.screening import Signal
from collector.verdicts.tables import CONDITIONS, Tables
from collector.verdicts.validity import Validity
from collector.verdicts.windows import FIXED_NS, KINDS, Windows
from gateway.measurement import Status
from tests.collector.verdicts.test_averages import DAY_NS, GAS, HOUR_NS, MIDNIGHT, MINUTE_NS, law, series
from tests.effort import examples

NAN = math.nan


@dataclass
class Plain:
    """One window as a loop makes it."""

    pieces: list[tuple[int, int]]
    value: float = NAN
    valid: bool = False
    count: int = 0
    coverage: float = 0.0
    maximum: float = NAN
    weight: float = 1.0
    converted: float = NAN
    standard_dry: float = NAN

    @property
    def length_ns(self) -> int:
        return sum(b - a for a, b in self.pieces)

    def holds(self, from_ns: int, to_ns: int) -> bool:
        return any(a <= from_ns and to_ns <= b for a, b in self.pieces)


class Loops:
    """The windows of one point, one by one."""

    def __init__(self, rules: PointRules, signals: Mapping[str, Signal], span: tuple[int, int]) -> None:
        self.rules, self.signals, self.span = rules, signals, span
        self.made: dict[tuple[str, str], list[Plain]] = {}
        self.listed: dict[str, tuple[list[int], list[tuple[float, int]]]] = {}

    def windows(self, parameter: str, kind: str) -> list[Plain]:
        key = (parameter, kind)
        if key not in self.made:
            laid = self.rules.windows(kind, *self.span)
            self.made[key] = [self.window(parameter, kind, pieces) for pieces in pieces_of(laid)]
        return self.made[key]

    def rows(self, parameter: str, pieces: list[tuple[int, int]]) -> list[tuple[float, int]]:
        """Value and status of what lies in some pieces of time."""
        if parameter not in self.listed:
            one = self.signals[parameter]
            self.listed[parameter] = (
                one.time_ns.tolist(),
                list(zip(one.value.tolist(), one.status.tolist(), strict=True)),
            )
        times, rows = self.listed[parameter]
        return [row for a, b in pieces for row in rows[bisect_left(times, a) : bisect_left(times, b)]]

    def method(self, parameter: str) -> str:
        method = self.rules.method(parameter)
        return "mean" if method == "flow_weighted" and "flow" not in self.signals else method

    def base(self, parameter: str) -> str:
        longest = self.signals[parameter].coarsest_ns
        if self.method(parameter) == "flow_weighted":
            longest = max(longest, self.signals["flow"].coarsest_ns)
        return next(kind for kind, length in FIXED_NS.items() if length >= longest)

    def window(self, parameter: str, kind: str, pieces: list[tuple[int, int]]) -> Plain:
        window, signal, method = Plain(pieces), self.signals[parameter], self.method(parameter)
        good = [v for v, s in self.rows(parameter, pieces) if s == Status.OK and math.isfinite(v)]
        window.count = len(good)
        window.coverage = min(len(good) * signal.coarsest_ns / window.length_ns, 1.0)
        if good:
            window.maximum = max(good)
            window.value = averaged(method, good)
        validity = self.rules.validity[kind]
        counts_windows = validity.part != "value"
        unit = FIXED_NS.get(validity.part, DAY_NS)
        expected = window.length_ns / (unit if counts_windows else signal.coarsest_ns)
        there = len(good) * signal.coarsest_ns // unit if counts_windows else len(good)
        window.valid = enough(validity, there, expected) and bool(good)
        if kind == self.base(parameter):
            self.as_base(parameter, window)
        else:
            self.of_parts(parameter, kind, window, expected, counts_windows=counts_windows)
        for name in ("value", "converted", "standard_dry"):
            setattr(window, name, round(getattr(window, name), 9))
        return window

    def as_base(self, parameter: str, window: Plain) -> None:
        def other(name: str) -> Plain:
            return self.window(name, self.base(parameter), window.pieces)

        if self.method(parameter) == "flow_weighted":
            flow = other("flow")
            window.weight = flow.value if window.valid and flow.valid and flow.value >= 0 else NAN
        if self.rules.stack and self.rules.corrects(parameter, self.signals[parameter].unit):
            known = {}
            for name, (code, factor) in CONDITIONS.items():
                gas = other(code) if code in self.signals and self.base(code) == self.base(parameter) else None
                known[name] = gas.value * factor if gas and gas.valid else NAN
            found = corrections.convert(window.value, self.rules.stack, **known)
            window.converted, window.standard_dry = float(found.converted), float(found.standard_dry)

    def of_parts(self, parameter: str, kind: str, window: Plain, expected: float, *, counts_windows: bool) -> None:
        validity, flow = self.rules.validity[kind], self.method(parameter) == "flow_weighted"
        declared, base = validity.part, self.base(parameter)
        longer = declared in KINDS and KINDS.index(base) <= KINDS.index(declared) < KINDS.index(kind)
        parts = [
            part
            for part in self.windows(parameter, declared if longer else base)
            if window.holds(part.pieces[0][0], part.pieces[-1][1])
            and (not math.isnan(part.weight) if flow else part.valid)
        ]
        usual = [part for part in parts if math.isfinite(part.converted)]
        dry = [part for part in parts if math.isfinite(part.standard_dry)]
        heavy = [part for part in parts if part.weight > 0]
        if (flow or (self.method(parameter) == "mean" and counts_windows)) and (heavy or flow):
            window.value = sum(p.value * p.weight for p in heavy) / sum(p.weight for p in heavy) if heavy else NAN
        converted = let_out = window.valid
        unit = FIXED_NS.get(declared, DAY_NS)
        there, known, dried = (sum(p.length_ns for p in some) / unit for some in (parts, usual, dry))
        if flow and not counts_windows:  # no more values than time with a flow
            there = min(window.count, round(sum(p.length_ns for p in parts) / window.length_ns * expected, 6))
        if flow or counts_windows:
            window.valid = enough(validity, there, expected) and window.count > 0
        if counts_windows:
            converted, let_out = enough(validity, known, expected), enough(validity, dried, expected)
        if flow:
            window.weight = sum(part.weight for part in parts) if window.valid else NAN
            window.valid = window.valid and not math.isnan(window.value)
        if usual and converted:
            window.converted = float(np.mean([p.converted for p in usual]))
        if dry and let_out:
            window.standard_dry = float(np.mean([p.standard_dry for p in dry]))


def pieces_of(laid: Windows) -> list[list[tuple[int, int]]]:
    spans = list(zip(laid.piece_from.tolist(), laid.piece_to.tolist(), laid.piece_window.tolist(), strict=True))
    return [[(a, b) for a, b, _ in group] for _, group in groupby(spans, key=lambda span: span[2])]


def averaged(method: str, good: Sequence[float]) -> float:
    made = {
        "energy": noise.energy_average, "median": np.median, "maximum": max, "sum": sum, "mean": np.mean,
        "flow_weighted": np.mean,
    }  # fmt: skip
    return float(made[method](good))


def enough(validity: Validity, there: float, expected: float) -> bool:
    if validity.missing is not None:
        return there > 0 and expected - there <= validity.missing
    if validity.minimum is None:
        assert validity.share is not None
        return there >= float(validity.share) * expected - 1e-9
    return there >= min(validity.minimum, max(math.floor(expected + 1e-9), 1))


def some_signals(rng: np.random.Generator, spec: Mapping[str, tuple[float, float]]) -> dict[str, Signal]:
    """Values with gaps, bad ones, and starts of their own."""
    found = {}
    step = int(rng.choice([300, 900]))
    for name, (usual, strays) in spec.items():
        n = int(rng.integers(1, 2 * 86400 // step))
        value = np.round(rng.normal(usual, strays, n), 1)
        status = np.where(rng.random(n) < 0.05, rng.integers(1, 9, n), 0).astype(np.uint8)
        status[: n // 3] *= int(rng.integers(0, 2))
        start = MIDNIGHT + int(rng.integers(0, 30)) * HOUR_NS + int(rng.integers(0, 4)) * MINUTE_NS
        one = series(name, value, step_s=step, start=start, status=status)
        found[name] = one.rows(rng.random(n) > rng.choice([0.0, 0.1]))
    return {name: one for name, one in found.items() if len(one)}


POINTS: list[tuple[str, dict[str, Any], str, dict[str, tuple[float, float]]]] = [
    ("stack", GAS, "ultra-low-2015", {"NOx": (24, 9), "SO2": (17, 9), "O2": (9, 3), "temperature": (110, 9),
                                      "pressure": (-0.5, 0.1), "moisture": (9, 1)}),
    ("stack", {"reference_oxygen": 6.0}, "ied-2010-75-annex-v", {"CO": (50, 9), "O2": (9, 2)}),
    ("stack", {}, "gb18485-2014", {"furnace_temperature": (851, 9)}),
    ("water", {"class": "1A"}, "gb18918-2002", {"COD": (50, 9), "NH3-N": (6, 2), "pH": (8.7, 0.3), "flow": (3, 4),
                                                "temperature": (12, 1)}),
    ("noise", {"area_class": 2}, "gb12348-2008", {"LAeq": (50, 3), "LAFmax": (60, 5)}),
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[2])
@effort(max_examples=examples(3, 10), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), zone=st.sampled_from(["Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin"]))
def test_columns_are_what_a_loop_over_windows_makes(point: Any, seed: int, zone: str) -> None:
    kind, settings, pack, spec = point
    rules, signals = law(kind, settings, pack, zone), some_signals(np.random.default_rng(seed), spec)
    span = MIDNIGHT - DAY_NS, MIDNIGHT + 4 * DAY_NS
    tables, loops = Tables(rules, signals, *span), Loops(rules, signals, span)
    for parameter in signals:
        for window in dict.fromkeys((*rules.built, "month", "30d")):
            table = tables.table(parameter, window)
            if table is None:
                assert KINDS.index(window) < KINDS.index(loops.base(parameter))
                continue
            expected = loops.windows(parameter, window)
            assert table.valid.tolist() == [one.valid for one in expected]
            assert table.count.tolist() == [one.count for one in expected]
            for name in (
                "value",
                "coverage",
                "maximum",
                *(() if table.converted is None else ("converted", "standard_dry")),
            ):
                column = getattr(table, name)
                assert column == pytest.approx([getattr(one, name) for one in expected], nan_ok=True, abs=2e-9)
            inside = [len(loops.rows(parameter, one.pieces)) for one in expected]
            assert table.measured.tolist() == table.by_status.sum(axis=1).tolist() == inside


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[2])
@effort(max_examples=examples(10), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_breaks_a_clause_is_what_breaks_it_average_by_average(point: Any, seed: int) -> None:
    kind, settings, pack, spec = point
    rules, signals = law(kind, settings, pack), some_signals(np.random.default_rng(seed), spec)
    span = MIDNIGHT, MIDNIGHT + 4 * DAY_NS
    derived = derive(rules, signals, {kind: rules.windows(kind, *span) for kind in rules.built}, proof=False)
    found = [(e.clause, e.parameter, e.window, e.from_ns, e.value, e.limit) for e in derived.exceedances]
    assert sorted(found) == sorted(one_by_one(rules, derived, signals))
    assert [about(e) for e in derived.exceedances] == sorted(about(e) for e in derived.exceedances)


def about(found: Exceedance) -> tuple[str, str, int]:
    return found.parameter, found.window, found.from_ns


def one_by_one(rules: PointRules, derived: Derived, signals: Mapping[str, Signal]) -> list[tuple[Any, ...]]:
    """What breaks a clause among averages, by a loop over these."""
    by_key = {(a.parameter, a.window, a.from_ns): a for a in derived.averages}
    found = []
    for average in derived.averages:
        for clause in rules.on(average.from_ns):
            kinds = {a.window for a in derived.averages if a.parameter == clause.parameter}
            longer = clause.statistic == "maximum" and clause.window not in kinds
            own = min(kinds & set(FIXED_NS), key=KINDS.index, default="") if longer else clause.window
            if (clause.parameter, own) != (average.parameter, average.window):
                continue
            ends = [average.from_ns, average.to_ns - 1] if longer else [average.from_ns]
            if not rules.applies(clause, np.array(ends)).all():
                continue
            others = {name: by_key.get((name, average.window, average.from_ns)) for name in clause.conditions}
            known = {name: a.value for name, a in others.items() if a and a.valid and a.value is not None}
            compared = held(clause, average, counted(clause, by_key, average.from_ns, average.to_ns))
            low, high = clause.bounds(known)
            if compared is not None and high is not None and compared > high:
                found.append((clause.id, average.parameter, average.window, average.from_ns, compared, high))
            elif compared is not None and low is not None and compared < low:
                found.append((clause.id, average.parameter, average.window, average.from_ns, compared, low))
    return found


def held(clause: Clause, average: Any, number: int | None) -> float | None:
    """What is held against the limit of a clause, None where it judges nothing."""
    if clause.count is not None:
        return number
    value = average.inputs.get("converted") if clause.corrected == "converted" else average.value
    if clause.statistic == "maximum":
        value = average.maximum
    elif not average.valid:
        return None
    return None if value is None else float(rounded(clause, value))


def counted(clause: Clause, by_key: Mapping[tuple[str, str, int], Any], from_ns: int, to_ns: int) -> int | None:
    if clause.count is None:
        return None
    return sum(
        bool(clause.count.beyond(one.value)) and one.valid
        for (parameter, window, start), one in by_key.items()
        if (parameter, window) == (clause.parameter, clause.count.window) and from_ns <= start and one.to_ns <= to_ns
    )


# --- the time of a flow ------------------------------------------------------------------------------

WATER = law("water", {"class": "1A"}, "gb18918-2002")


def carried(flow: Sequence[float], values: Sequence[float], *kinds: str) -> list[Any]:
    """Averages of minutes of COD with some flow, from midnight on."""
    own = {"COD": series("COD", values), "flow": series("flow", flow)}
    wanted = {kind: WATER.windows(kind, MIDNIGHT, MIDNIGHT + len(values) * MINUTE_NS) for kind in kinds}
    return [average for average in derive(WATER, own, wanted).averages if average.parameter == "COD"]


@pytest.mark.parametrize(("minutes", "valid"), [(0, False), (1, False), (30, False), (44, False), (45, True)])
def test_an_hour_of_water_is_judged_where_its_flow_is_known_for_long_enough(minutes: int, valid: bool) -> None:
    flow = [10.0] * minutes + [NAN] * (60 - minutes)
    (hour,) = carried(flow, [100.0] * minutes + [40.0] * (60 - minutes), "1h")
    assert (hour.value, hour.valid) == (100.0 if minutes else None, valid)
    assert (hour.count, hour.inputs["parts"]["valid"]) == (60, minutes)


def test_of_values_and_of_a_flow_the_fewer_count() -> None:
    (hour,) = carried([10.0] * 60, [100.0] * 40 + [NAN] * 20, "1h")
    assert (hour.valid, hour.inputs["parts"]["valid"]) == (False, 40)


@pytest.mark.parametrize(("rest", "valid"), [(0.0, True), (NAN, False), (-1.0, False)])
def test_time_in_which_nothing_flows_is_there_and_has_no_say(rest: float, valid: bool) -> None:
    flow = np.repeat([10.0] * 10 + [rest] * 14, 60)
    *hours, day = carried(flow.tolist(), np.repeat([60.0] * 10 + [20.0] * 14, 60).tolist(), "1h", "24h")
    assert [(hour.value, hour.valid) for hour in hours] == [(60.0, True)] * 10 + [(None, False)] * 14
    assert (day.value, day.valid, day.inputs["parts"]["valid"]) == (60.0, valid, 24 if valid else 10)

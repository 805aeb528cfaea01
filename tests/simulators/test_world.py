"""The world: plans are fair, a seed is a run, and runs find nothing wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.measurement import SECOND_NS
from simulators.world.run import World
from simulators.world.schedule import DAY_NS, REAL_EVERY, ROWS, SPAN_NS, Fault, plan
from tests.effort import FULL, SEEDS

ROOT = Path(__file__).parent.parent.parent
HALF_NS = 120 * SECOND_NS


def test_every_plan_is_long_and_troubled_enough_and_no_row_starves():
    plans = [plan(seed) for seed in range(100)]
    assert all(one.span_ns >= SPAN_NS and len(one.limits) >= 2 and len(one.faults) >= 20 for one in plans)
    rows = Counter(fault.row for one in plans for fault in one.faults)
    assert set(rows) == set(ROWS)
    assert min(rows.values()) >= 10
    assert plan(499).span_ns >= DAY_NS
    assert len(plan(499).faults) > 40
    assert [seed for seed in range(100) if plan(seed).real] == [REAL_EVERY - 1, 2 * REAL_EVERY - 1]
    assert all(fault.at_ns + fault.span_ns < one.span_ns + SPAN_NS for one in plans for fault in one.faults)


@pytest.mark.meanwhile
@pytest.mark.timeout(7200)
def test_seeds_have_no_violations(seeds):
    report = json.loads(seeds.wait())
    assert report["seeds"] == SEEDS
    assert not report["violations"]
    if FULL:
        assert min(report["faults"].values()) >= 50, report["faults"]


def test_the_same_seed_is_the_same_run_in_any_process():
    """Two minutes of it: what differs, differs soon."""
    code = (
        "from dataclasses import replace; from simulators.world.run import World; "
        "from simulators.world.schedule import plan; "
        f"print(World(replace(plan(7), span_ns={HALF_NS})).run().digest)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True,
            text=True, check=True,
        ).stdout.strip()
        for salt in ("1", "4711")
    ]  # fmt: skip
    assert runs[0] == runs[1] == World(replace(plan(7), span_ns=HALF_NS)).run().digest
    assert runs[0] != World(replace(plan(8), span_ns=HALF_NS)).run().digest


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_failure_table_alone_breaks_nothing(row):
    world = short(row)
    result = world.run()
    assert not result.violations
    assert result.faults == {row: 3}
    assert result.polls > 100


def short(*rows: int, seed: int = 3) -> World:
    """A world of two minutes with faults of some rows."""
    span_ns = 25 * SECOND_NS
    faults = tuple(
        Fault(number, row, (10 + 32 * number) * SECOND_NS, span_ns, number % 2)
        for number, row in enumerate((rows * 3)[:3])
    )
    limits = (30_000, 30_000) if 6 in rows else (1 << 30, 1 << 30)
    return World(replace(plan(seed), span_ns=HALF_NS, faults=faults, limits=limits))

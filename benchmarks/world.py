"""How fast the world runs: simulated time for a second of one core.

Two gateways, a batch a second each, ten minutes with the faults of the seed, real encoding, signatures by a stand-in;
the oracle's reckoning is included. One seed with real signatures is measured beside it.
"""

from __future__ import annotations

import time

from benchmarks.figure import Figure
from simulators.world.run import simulate
from simulators.world.schedule import Plan, plan

LIMIT = 1000.0  # times real time
SEEDS, RUNS = 8, 3  # the best run of a seed counts: what else goes on only slows
REAL_SEED = 149


def measure() -> list[Figure]:
    """Real time that a second of a core simulates; the limit over it is the ratio, so below 1 is better."""
    plans = [one for one in map(plan, range(1000, 1100)) if len(one.limits) == 2 and not one.real and not one.thin]
    rates = [_rate(one) for one in plans[:SEEDS]]
    return [
        _figure("the world, median of seeds", sorted(rates)[len(rates) // 2]),
        _figure("the world, slowest seed", min(rates)),
        _figure("the world, real signatures", _rate(plan(REAL_SEED))),
    ]


def _rate(one: Plan) -> float:
    rates = []
    for _ in range(RUNS):
        started = time.process_time()
        result = simulate(one)
        rates.append(result.simulated_s / (time.process_time() - started))
        assert not result.violations, result.violations
    return max(rates)


def _figure(name: str, rate: float) -> Figure:
    return Figure(
        name=f"{name} ({rate:.0f} x real time)", value=1000.0 / rate, unit="ms of a core for a second",
        reference=1000.0 / LIMIT, reference_name=f"the limit, {LIMIT:.0f} x real time",
    )  # fmt: skip

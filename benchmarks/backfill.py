"""How long two days of history take: 2 million measurements sealed, delivered, stored and judged.

Counted from the start of the back-fill's process until the evaluator has judged the last of them, with
the live line running beside it, once with each broker there is.
"""

from __future__ import annotations

from benchmarks import demonstration
from benchmarks.figure import Figure
from simulators.broker import AMQTT, MOSQUITTO, NoBroker, choose

LIMIT_S = 60.0


def measure() -> list[Figure]:
    """Seconds for each broker."""
    figures = []
    for broker in (MOSQUITTO, AMQTT):
        try:
            choose(broker)
        except NoBroker:
            continue
        report = demonstration.run("--broker", broker)
        timings = report["timings"]
        for name, mark in (("delivered", "delivered_s"), ("judged", "judged_s")):
            figures.append(
                Figure(
                    name=f"{report['measured']:,} measurements {name}, {broker}",
                    value=timings[mark] - timings["started_s"],
                    unit="s",
                    reference=LIMIT_S,
                    reference_name="the limit",
                )
            )
    return figures

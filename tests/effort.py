"""How many examples, seeds and cycles the tests try: every such count comes from here.

`EFFORT` is `default` (some 20 minutes on two cores) or `full` (the counts the project's goals name: 72 to 113
minutes, as busy as the machine is). Properties ask for `examples`; what takes processes and minutes, and so decides how
long a run takes, has its count below.
"""

from __future__ import annotations

import os

FULL = os.environ.get("EFFORT", "default") == "full"


def examples(default: int, full: int | None = None) -> int:
    """The number of examples to try: `default`, or with EFFORT=full `full` (ten times as many if not said)."""
    return (full or default * 10) if FULL else default


SEEDS = examples(4, 5000)  # of the simulated world, on all cores

# --- real processes: how many at default, and in full what docs/reliability.md reports ---------------

KILLS = examples(3, 100)  # kill -9 of gateway, broker, collector or store
KILLED_POINTS = examples(20, 100)  # instruments meanwhile, each polled once a second
DISK_FAULTS = 200  # calls that fail in each of gateway and collector; in full only
KILLED_AT = 40  # calls at which each of them is killed; in full only
RESTORE_S = examples(2, 60)  # that a line runs on after the backup it comes back from
MISSED_BATCHES = examples(1500, 6000)  # while the collector is away
MISSED_WAYS = examples(1, 2)  # without the gateway's window, and with it
OUTAGE_SCALE = examples(400, 10)  # batches of a 72 h outage that one stands for
FLEET = examples(6, 50)  # gateways that come back at once
FLEET_SCALE = examples(1000, 100)  # batches of each of them that one stands for
LATE_REQUESTS = examples(5000, 30000)  # over each framing, one reply in twenty late
PROXY_SIDES = examples(1, 2)  # between gateway and broker, and between broker and collector
PROXY_ROUNDS = examples(1, 4)  # through all the ways a connection breaks

"""A long outage, scaled: how fresh live data are after it, and how fast the backlog drains.

    python -m tests.system.outage --hours 72 --json F

A gateway that seals a batch a second has `hours` x 3600 of them waiting when the broker comes back. It goes on
measuring while they drain. With --scale 100, one batch stands for a hundred.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.measurement import SECOND_NS
from simulators.broker import MOSQUITTO, PLACES
from tests.collector.brokers import mosquitto_at
from tests.gateway.batches import broker
from tests.gateway.ports import free_port
from tests.system.short_line import START_NS, line

DRAIN_S = 3600.0
TIMES_REAL = 20  # the backlog of an hour is gone in three minutes
FRESH_S = 5.0
VALUES = 12  # in a batch
SEALED = 2000  # at once, so that a long backlog needs little memory


@dataclass(frozen=True, slots=True)
class Outage:
    """What was measured.

    fresh_s: from the connection to a stored measurement made after it. times_real: how fast the backlog went.
    """

    batches: int
    fresh_s: float
    drain_s: float
    times_real: float


def measure(folder: Path, program: str, batches: int) -> Outage:
    """Let so many batches wait, connect, and watch; raises AssertionError where anything is lost or doubled."""
    port = free_port()
    with line(folder, broker(port), port) as found:
        for first in range(0, batches, SEALED):
            found.measure(min(SEALED, batches - first), VALUES)
        collector = found.collect()
        with mosquitto_at(program, folder, port):
            while not found.publisher.connected:
                time.sleep(0.01)
            started = time.monotonic()
            fresh_s, backlog, ticks = 0.0, found.measured, 0
            while not fresh_s or found.spooler.unacked() > 2:
                waited_s = time.monotonic() - started
                assert waited_s < DRAIN_S, found.spooler.counts()
                if waited_s >= ticks:
                    found.measure(1, 1)  # the gateway measures on, once a second
                    ticks += 1
                latest = collector.store.latest()
                if not fresh_s and latest and latest[0][1] >= START_NS + backlog * SECOND_NS:
                    fresh_s = waited_s
                time.sleep(0.02)
            drain_s = time.monotonic() - started
            found.all_arrived_once(60)
            return Outage(batches, round(fresh_s, 2), round(drain_s, 2), round(batches / drain_s, 1))


def main() -> int:
    """Run what the command line says; exit 1 where live data are fresh too late or the backlog drains too slowly."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.outage", description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=72.0, help="how long the broker was away")
    parser.add_argument("--scale", type=float, default=1.0, help="how many batches one stands for")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    program = shutil.which(MOSQUITTO, path=PLACES)
    assert program, "mosquitto is not installed: apt-get install mosquitto"
    with tempfile.TemporaryDirectory(prefix="emitwatch-outage-") as folder:
        outage = measure(Path(folder), program, int(options.hours * 3600 / options.scale))
    text = json.dumps(dataclasses.asdict(outage), indent=2) + "\n"
    sys.stdout.write(text)
    if options.json:
        options.json.write_text(text)
    return 0 if outage.times_real >= TIMES_REAL and outage.fresh_s <= FRESH_S else 1


if __name__ == "__main__":
    sys.exit(main())

"""A fleet comes back at once after a long outage: how fresh its live data are, and how fast its backlog drains.

    python -m tests.system.fleet --gateways 50 --hours 72 --scale 100 --json F

Each gateway that seals a batch a second has `hours` x 3600 of them waiting when the broker comes back, and measures on
while they drain. With --scale 100, one batch stands for a hundred. The gateways run in processes of their own, the
collector in this one; in the end every value of every gateway is in the store, once, in order.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import numpy as np

from collector.__main__ import Collector
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import SECOND_NS, Series
from gateway.settings import parse_site
from gateway.spooler import outbox_folder
from simulators.broker import MOSQUITTO, PLACES
from tests.collector.brokers import mosquitto_at
from tests.gateway.batches import broker
from tests.gateway.ports import free_port
from tests.system.outage import DRAIN_S, FRESH_S, TIMES_REAL, VALUES
from tests.system.short_line import SITE, START_NS, Gateway, gateway_at

CHILDREN = 2  # processes that the gateways share
STEP_S, LOOK_S = 0.2, 1.0  # between two looks: for what is fresh, for what is gone
FILL = 1000  # batches sealed at once


@dataclass(frozen=True, slots=True)
class Outage:
    """What was measured.

    batches: of each gateway. fresh_s: from the return of broker and collector until a measurement made after it was
    stored, of the gateway for which that took longest. times_real: how fast the backlog went. collector_ms: processor
    time that the collector took for each batch, live ones among them, until the backlog was gone.
    """

    gateways: int
    batches: int
    fresh_s: float
    drain_s: float
    times_real: float
    collector_ms: float


def names(number: int) -> tuple[str, str]:
    """Ids of a gateway and its sensor."""
    return f"gw-{number}", f"slm-{number}"


def site_text(folder: Path, port: int, gateways: int) -> str:
    """A site of one sound level meter a gateway, with the keys of all."""
    collector, _ = load_or_create_key(folder / "data" / "collector" / "key")
    head = SITE.format(port=port, collector=public_hex(collector), gateway="").partition("[[gateway]]")[0]
    for number in range(gateways):
        gateway, sensor = names(number)
        key, _ = load_or_create_key(outbox_folder(folder / "data", gateway) / "key")
        head += (
            f'[[gateway]]\nid = "{gateway}"\npublic_key = "{public_hex(key)}"\n'
            f'[[point]]\nid = "{sensor}"\nkind = "noise"\n'
            f'[[sensor]]\nid = "{sensor}"\npoint = "{sensor}"\nprofile = "emitwatch-noise"\ninterval_s = 1\n'
            f'link = "tcp://127.0.0.1:5021?unit={number + 1}"\ngateway = "{gateway}"\n'
        )
    return head


def measuring(
    folder: Path, numbers: Sequence[int], port: int, batches: int, full: Barrier, go: Event, stop: Event
) -> None:
    """A process of some gateways: their backlog, then a value a second each until told to stop."""
    collector, _ = load_or_create_key(folder / "data" / "collector" / "key")
    with contextlib.ExitStack() as stack:
        found: list[Gateway] = []
        for number in numbers:
            id, sensor = names(number)
            series = Series("riverside", sensor, sensor, "LAeq", "dB(A)")
            way = gateway_at(folder / "data", id, series, broker(port), collector.public_key())
            found.append(stack.enter_context(way))
            for first in range(0, batches, FILL):
                found[-1].measure(min(FILL, batches - first), VALUES)
        full.wait()
        go.wait()
        for gateway in found:
            gateway.publisher.start()
            stack.callback(gateway.publisher.stop)
        due_s = time.monotonic()
        while not stop.is_set():
            for gateway in found:
                gateway.measure(1, 1)
            due_s += 1.0
            stop.wait(max(0.0, due_s - time.monotonic()))
        for gateway in found:
            assert gateway.publisher.wait_drained(60), gateway.spooler.counts()


def measure(folder: Path, program: str, gateways: int, batches: int) -> Outage:
    """Let so many batches wait at each, come back, and watch; raises AssertionError where any is lost or doubled."""
    port, old = free_port(), batches * VALUES
    site, faults = parse_site(site_text(folder, port, gateways), str(folder / "site.toml"))
    assert site, faults
    context = multiprocessing.get_context("spawn")
    full, go, stop = context.Barrier(CHILDREN + 1), context.Event(), context.Event()
    children = [
        context.Process(
            target=measuring, args=(folder, range(first, gateways, CHILDREN), port, batches, full, go, stop)
        )
        for first in range(CHILDREN)
    ]
    for child in children:
        child.start()
    full.wait(DRAIN_S)
    collector = Collector([site], demo=True)
    try:
        with mosquitto_at(program, folder, port):
            collector.start()
            started, spent_s = time.monotonic(), time.process_time()
            go.set()
            fresh_s = drain_s = 0.0
            while not (fresh_s and drain_s):
                waited_s = time.monotonic() - started
                assert waited_s < DRAIN_S, collector.health()
                ended = [child.exitcode for child in children if not child.is_alive()]
                assert not ended, f"a process of gateways ended with {ended}"
                newest = {series.sensor: time_ns for series, time_ns, *_ in collector.store.latest()}
                if not fresh_s and len(newest) == gateways and min(newest.values()) >= START_NS + old * SECOND_NS:
                    fresh_s = waited_s
                if not drain_s and _received(collector, gateways, batches):
                    drain_s, spent_s = waited_s, time.process_time() - spent_s
                    taken = collector.journal.last
                time.sleep(STEP_S if not fresh_s else LOOK_S)  # to look takes of the time that is measured
            stop.set()
            for child in children:
                child.join(90)
                assert child.exitcode == 0, f"a process of gateways ended with {child.exitcode}"
            while collector.store.cursor() < collector.journal.last:
                time.sleep(STEP_S)
            _require_all(collector, gateways, old)
    finally:
        stop.set()
        collector.stop()
    return Outage(
        gateways, batches, round(fresh_s, 2), round(drain_s, 2), round(batches / drain_s, 1),
        round(1000 * spent_s / taken, 2),
    )  # fmt: skip


def _received(collector: Collector, gateways: int, batches: int) -> bool:
    """Whether the journal has every batch that waited: of each gateway its first ones, which follow its hello."""
    upto = [ranges.upto for ranges in collector.journal.streams().values()]
    return len(upto) == gateways and min(upto) > batches


def _require_all(collector: Collector, gateways: int, old: int) -> None:
    """Raise AssertionError unless each value of each gateway is there once, unaltered, in order."""
    columns = collector.store.keys().columns
    sensors = np.array([series.sensor for series in columns.series])[columns.series_index]
    for number in range(gateways):
        mine = sensors == names(number)[1]
        value = columns.value[mine][np.argsort(columns.time_ns[mine], kind="stable")] * 8192.0
        assert len(value) > old, f"gateway {number}: {len(value)} values of more than {old}"
        assert np.array_equal(value, np.arange(len(value))), f"gateway {number}: a value lacks, is twice or altered"


def main() -> int:
    """Run what the command line says; exit 1 where live data are fresh too late or the backlog drains too slowly."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.fleet", description=__doc__.partition("\n")[0])
    parser.add_argument("--gateways", type=int, default=50)
    parser.add_argument("--hours", type=float, default=72.0, help="how long the broker was away")
    parser.add_argument("--scale", type=float, default=100.0, help="how many batches one stands for")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    program = shutil.which(MOSQUITTO, path=PLACES)
    assert program, "mosquitto is not installed: apt-get install mosquitto"
    with tempfile.TemporaryDirectory(prefix="emitwatch-fleet-") as folder:
        outage = measure(Path(folder), program, options.gateways, int(options.hours * 3600 / options.scale))
    text = json.dumps(dataclasses.asdict(outage), indent=2) + "\n"
    sys.stdout.write(text)
    if options.json:
        options.json.write_text(text)
    return 0 if outage.times_real >= TIMES_REAL and outage.fresh_s <= FRESH_S else 1


if __name__ == "__main__":
    sys.exit(main())

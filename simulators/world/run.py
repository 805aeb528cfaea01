"""One seed, from its plan to the oracle's verdict.

The world is put together, its faults come and go, then everything is mended and nothing more is measured: what is on
its way has to arrive, within a time that has a limit. A run is a function of its seed; `Result.digest` says whether two
runs were the same.
"""

from __future__ import annotations

import gc
import hashlib
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.intake.gate import Trusted
from gateway.measurement import SECOND_NS
from gateway.retention import Limits
from gateway.seal import Verifier
from simulators.world import keys
from simulators.world.broker import Broker
from simulators.world.card import Card, State
from simulators.world.collector import Collector
from simulators.world.dice import Dice
from simulators.world.ledger import Ledger
from simulators.world.mischief import HARMLESS, HARMS, Aim, Scene
from simulators.world.oracle import Oracle, Stop, Violation
from simulators.world.plant_gateway import Gateway
from simulators.world.reckoning import reckon
from simulators.world.schedule import Fault, Plan, plan
from simulators.world.timeline import START_NS, Timeline

QUIET_NS = 600 * SECOND_NS  # in which everything has to have arrived after the last fault
STEP_NS = SECOND_NS
CALM_NS = 5 * SECOND_NS  # between a fault and a connection that is expected to bring fresh values
FRESH_NS = 5 * SECOND_NS  # how old live values may then be, besides the time until something is sent again
FOLLOW_NS = 120 * SECOND_NS  # how often the store takes in what the journal has
THIN_ROOM = 4  # batches that a broker on a thin line takes without an answer
_DAY_NS = 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a seed. faults: how often each row of the failure table occurred. digest: of all that happened."""

    seed: int
    simulated_s: float
    faults: Mapping[int, int]
    violations: tuple[Violation, ...]
    digest: str
    polls: int


@dataclass(slots=True)
class World:
    """A world that runs by a plan."""

    plan: Plan
    stop_first: bool = False
    timeline: Timeline = field(default_factory=Timeline)
    oracle: Oracle = field(init=False)
    broker: Broker = field(init=False)
    collector: Collector = field(init=False)
    scene: Scene = field(init=False)
    faults: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        seed, timeline = self.plan.seed, self.timeline
        self.oracle = oracle = Oracle(timeline, stop_first=self.stop_first)
        self.broker = Broker(timeline, Dice(seed, "broker"), thin=self.plan.thin)
        self._names = [f"gw-{number}" for number in range(len(self.plan.limits))]
        self._keys = {name: self._key(name) for name in self._names}
        own = self._key("collector")
        trusted = {name: Trusted(f"plant-{name}", key.public_key()) for name, key in self._keys.items()}
        self.collector = Collector(
            key=own, trusted=trusted, ledger=Ledger(Dice(seed, "journal"), START_NS), broker=self.broker,
            timeline=timeline, dice=Dice(seed, "collector"), oracle=oracle,
        )  # fmt: skip
        self._verifier = own.public_key()
        self.scene = Scene(timeline, self.broker, self.collector, oracle, [], self._copy, self._replace)
        for number, name in enumerate(self._names):
            self.scene.gateways.append(self._gateway(number, name, self._keys[name], State(), self.plan.limits[number]))

    _names: list[str] = field(init=False)
    _keys: dict[str, keys.Key] = field(init=False)
    _verifier: Verifier = field(init=False)

    def _key(self, name: str) -> keys.Key:
        return keys.key(Dice(self.plan.seed, "key", name).bytes(32), real=self.plan.real)

    def _card(self, name: str, dice: Dice, state: State, limit: int) -> Card:
        card = Card(name, self.oracle, dice, state)
        self.oracle.card(card, limit, int(Limits().days * _DAY_NS))
        return card

    def _gateway(self, number: int, name: str, key: keys.Key, state: State, limit: int) -> Gateway:
        dice = Dice(self.plan.seed, "gateway", number)
        room = dice.pick((20, 400))
        self.oracle.machine(number, name)
        return Gateway(
            number=number, name=name, plant=f"plant-{name}", key=key, collector_key=self._verifier,
            card=self._card(name, dice, state, limit), limits=Limits(bytes=limit), broker=self.broker,
            timeline=self.timeline, dice=dice, oracle=self.oracle, room=THIN_ROOM if self.plan.thin else room,
            interval_ns=self.plan.interval_ns, on_connect=self._expect_fresh,
        )  # fmt: skip

    def _copy(self, gateway: Gateway) -> Gateway:
        state = gateway.card.state.copy()
        return self._gateway(len(self.scene.gateways), gateway.name, gateway.key, state, 1 << 30)

    def _replace(self, gateway: Gateway, dice: Dice) -> None:
        before = self.collector.trusted[gateway.name]
        assert before.key, "a gateway without a key"
        gateway.key = self._key(f"{gateway.name} again")
        until = START_NS + self.timeline.now + 3600 * SECOND_NS
        fresh = Trusted(before.plant, gateway.key.public_key(), ((before.key, until),))
        self.collector.trust(gateway.name, fresh)
        gateway.card = self._card(gateway.name, dice, State(), gateway.limits.bytes)

    # --- freshness -----------------------------------------------------------------------------------

    def _expect_fresh(self, gateway: Gateway) -> None:
        """A gateway is connected: where nothing else goes on, what it measures from now on arrives at once."""
        since_ns, process = self.timeline.now, gateway.process
        if process is None or self.plan.interval_ns > SECOND_NS:
            return
        rto_ns, line = process.exchange.rto_ns, gateway.line

        def look() -> None:
            oracle, ledger = self.oracle, self.collector.ledger
            calm = not oracle.trouble and oracle.troubled_ns < since_ns - CALM_NS and gateway.measuring
            if not calm or gateway.line is not line or self.collector.connected_ns > since_ns - CALM_NS:
                return
            made = oracle.produced[gateway.number]
            first = next(
                time_ns for time_ns, true_ns in zip(made.time_ns, made.true_ns, strict=True) if true_ns >= since_ns
            )
            for entry in reversed(ledger.entries):
                if entry.received_ns < START_NS + since_ns:
                    break
                if entry.gateway == gateway.name and entry.last_ns >= first:
                    return
            oracle.violate(
                "starved", f"{gateway.name} came back at {since_ns / 1e9:.3f} s, and its values are not fresh"
            )

        self.timeline.after(FRESH_NS + rto_ns, look)

    # --- the run -----------------------------------------------------------------------------------------

    def run(self) -> Result:
        """All of it."""
        # What a world makes lives as long as it does: to look through it again and again for what could go takes
        # an eighth of the time. What the world before this one left goes now.
        gc.collect()
        gc.disable()
        try:
            self._live()
            self._rest()
            self.collector.store.follow(self.collector.ledger)
            reckon(self.oracle, self.collector.ledger, self.collector.store.pieces)
        except Stop:
            pass
        except Exception:  # noqa: BLE001 - whatever the product's code lets out is what is looked for
            self.oracle.violations.append(Violation("crash", traceback.format_exc(limit=-6)))
        finally:
            gc.enable()
        return Result(
            self.plan.seed, self.timeline.now / SECOND_NS, dict(sorted(self.faults.items())),
            tuple(self.oracle.violations), self._digest(), sum(len(m.time_ns) for m in self.oracle.produced.values()),
        )  # fmt: skip

    def _live(self) -> None:
        self.collector.start()
        for number, gateway in enumerate(self.scene.gateways):
            self.timeline.after(number * SECOND_NS // 7, gateway.start)
            self.timeline.after(SECOND_NS + number * SECOND_NS // 3, gateway.poll)
        for fault in self.plan.faults:
            self.timeline.at(fault.at_ns, self._harm, fault)
        if 15 in {fault.row for fault in self.plan.faults}:
            self._follow()
        self.timeline.run(self.plan.span_ns)

    def _follow(self) -> None:
        self.collector.store.follow(self.collector.ledger)
        self.timeline.after(FOLLOW_NS, self._follow)

    def _harm(self, fault: Fault) -> None:
        self.faults[fault.row] += 1
        aim = Aim(self.scene, self.scene.gateways[fault.gateway], Dice(self.plan.seed, "fault", fault.number))
        mend = HARMS[fault.row](aim)
        change = fault.row not in HARMLESS
        self.oracle.disturb(int(change))

        def end() -> None:
            mend()
            self.oracle.disturb(-int(change))

        self.timeline.after(fault.span_ns, end)

    def _rest(self) -> None:
        """Nothing more is measured; all that waits arrives, or is stuck."""
        for gateway in self.scene.gateways:
            gateway.measuring, gateway.trap = False, ""
        self.collector.trap = ""
        end_ns = self.timeline.now + QUIET_NS
        while self.timeline.now < end_ns:
            self.timeline.run(self.timeline.now + STEP_NS)
            if not self.oracle.trouble and self.collector.up and all(one.quiet for one in self.scene.gateways):
                return
        for gateway in self.scene.gateways:
            if not gateway.quiet:
                waiting = len(gateway.card.state.unacked)
                self.oracle.violate(
                    "stuck", f"{gateway.name} (machine {gateway.number}): {waiting} batches do not arrive"
                )
        if not self.collector.up:
            self.oracle.violate("stuck", "the collector does not run")

    def _digest(self) -> str:
        found = hashlib.blake2b(digest_size=16)
        for entry in self.collector.ledger.entries:
            found.update(f"{entry.received_ns} {entry.kind} {entry.gateway} {entry.seq}".encode() + entry.payload)
        for gateway, acks in sorted(self.oracle.acks.items()):
            found.update(gateway.encode() + b"".join(acks))
        found.update(f"{self.timeline.steps} {self.timeline.now} {self.oracle.violations}".encode())
        return found.hexdigest()


def run_seed(seed: int, *, days: float | None = None, stop_first: bool = False) -> Result:
    """Simulate one seed. days: how long; None = ten minutes, every 500th seed a day. stop_first: at a violation."""
    return simulate(plan(seed, days=days), stop_first=stop_first)


def simulate(plan: Plan, *, stop_first: bool = False) -> Result:
    """Simulate a plan. stop_first: end at a violation."""
    if not gc.get_freeze_count():  # before each world all is looked through; not what the imports have made
        gc.collect()
        gc.freeze()
    return World(plan, stop_first).run()

"""What each row of the failure table does to a world, and how it is mended.

A function a row: it does the harm, and returns what ends it. It says to the oracle which alarms it may cause
(`licences`): an alarm that nothing licenses is false, and as bad as one that fails to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from collector.intake.events import What
from gateway.measurement import SECOND_NS
from simulators.world import strangers
from simulators.world.broker import Broker
from simulators.world.collector import Collector, Store
from simulators.world.dice import Dice
from simulators.world.oracle import Oracle
from simulators.world.plant_gateway import Gateway
from simulators.world.timeline import Timeline

Mend: TypeAlias = Callable[[], None]
_ANY = b""


@dataclass(slots=True)
class Scene:
    """A world as mischief finds it. gateways: those of the plan, then the copies. copy, replace: how one is made."""

    timeline: Timeline
    broker: Broker
    collector: Collector
    oracle: Oracle
    gateways: list[Gateway]
    copy: Callable[[Gateway], Gateway]
    replace: Callable[[Gateway, Dice], None]


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a fault strikes. gateway: which one, where it strikes one. dice: for what is left open."""

    scene: Scene
    gateway: Gateway
    dice: Dice


Harm: TypeAlias = Callable[[Aim], Mend]


def _nothing() -> None:
    """Over by itself."""


def _trap_gateway(*places: str) -> Harm:
    def harm(aim: Aim) -> Mend:
        aim.gateway.trap = aim.dice.pick(places)
        return _nothing

    return harm


def _trap_collector(*places: str) -> Harm:
    def harm(aim: Aim) -> Mend:
        aim.scene.collector.trap = aim.dice.pick(places)
        return _nothing

    return harm


def _power(aim: Aim) -> Mend:
    gateway = aim.gateway
    gateway.cut_power(None)
    return gateway.start


def _lie(aim: Aim) -> Mend:
    gateway = aim.gateway
    card = gateway.card
    card.lie(True)

    def mend() -> None:
        if gateway.card is card and aim.dice.chance(0.85):
            gateway.cut_power(aim.dice.between(SECOND_NS, 5 * SECOND_NS))
        card.lie(False)

    return mend


def _full(aim: Aim) -> Mend:
    card = aim.gateway.card
    if aim.dice.chance(0.3):
        card.failing = True
        return _nothing
    card.full = True

    def mend() -> None:
        card.full = False

    return mend


def _cut(aim: Aim) -> Mend:
    name = aim.gateway.name
    aim.scene.broker.cut(name)
    return lambda: aim.scene.broker.weather.cut.discard(name)


def _damage(aim: Aim) -> Mend:
    gateway = aim.gateway
    rejoin = _cut(aim)
    ruin = aim.dice.chance(0.4)

    def mend() -> None:
        card = gateway.card
        if ruin and card.aside is None and len(card.state.rows) > 3:
            gateway.die(SECOND_NS)
            card.ruin(aim.dice.pick((0.05, 0.3, 0.6)))
        else:
            waiting = [key for key in card.state.unacked[:-1] if aim.dice.chance(0.3)]
            card.flip(aim.dice.some(waiting or sorted(card.state.acked), 1 + aim.dice.below(6)))
        rejoin()

    return mend


def _kill_broker(aim: Aim) -> Mend:
    aim.scene.broker.kill()

    def mend() -> None:
        aim.scene.broker.up = True

    return mend


def _queue(aim: Aim) -> Mend:
    broker, name = aim.scene.broker, aim.gateway.name
    kind = aim.dice.pick(("overflow", "expired", "forbidden"))
    if kind == "forbidden":
        broker.weather.forbidden.add(name)
        broker.weather.silent = aim.dice.chance(0.5)
        return lambda: broker.weather.forbidden.discard(name)
    broker.collector_cut = True
    broker.drop_collector()
    broker.weather.room = aim.dice.pick((0, 10, 40)) if kind == "overflow" else 1000

    def mend() -> None:
        if kind == "expired":
            broker.forget_session()
        broker.collector_cut = False
        broker.weather.room = 1000

    return mend


def _deaden(aim: Aim) -> Mend:
    name = aim.gateway.name
    scene = aim.scene
    lines = scene.broker.deaden(name, noticed=aim.dice.chance(0.5))

    def mend() -> None:
        for one in scene.gateways:
            line = one.line
            if line in lines and line.dead and one.deaf(scene.timeline.now - line.died_ns):
                scene.oracle.violate("deaf", f"{one.name} still trusts a line that died at {line.died_ns / 1e9:.3f} s")
        scene.broker.revive(lines)

    return mend


def _journal(aim: Aim) -> Mend:
    ledger = aim.scene.collector.ledger
    if aim.dice.chance(0.4):
        ledger.failing = True
        return _nothing
    ledger.full = True

    def mend() -> None:
        ledger.full = False

    return mend


def _wipe(aim: Aim) -> Mend:
    aim.scene.collector.store.follow(aim.scene.collector.ledger)
    if aim.dice.chance(0.7):
        aim.scene.collector.store = Store()
    return lambda: aim.scene.collector.store.follow(aim.scene.collector.ledger)


def _restore(aim: Aim) -> Mend:
    collector, oracle = aim.scene.collector, aim.scene.oracle
    backup = collector.ledger.backup()

    def mend() -> None:
        collector.die(None)
        oracle.restored(collector.restore(backup, told=aim.dice.chance(0.3)))
        aim.scene.timeline.after(aim.dice.between(SECOND_NS, 5 * SECOND_NS), collector.start)

    return mend


def _clone(aim: Aim) -> Mend:
    gateway = aim.gateway
    aim.scene.oracle.license_lost(gateway.name)
    copy = aim.scene.copy(gateway)
    aim.scene.gateways.append(copy)
    copy.start()
    copy.poll()

    def mend() -> None:
        copy.measuring = False
        copy.client = f"{copy.name}-copy"

    return mend


def _swap(aim: Aim) -> Mend:
    gateway = aim.gateway
    gateway.die(None)
    card = gateway.card
    aim.scene.oracle.left(card, card.held(), "taken")
    aim.scene.oracle.licences.add((What.CHAIN_BREAK, gateway.name, _ANY))
    aim.scene.oracle.replaced.add(gateway.name)
    aim.scene.replace(gateway, aim.dice)
    return gateway.start


def _clock(aim: Aim) -> Mend:
    gateway = aim.gateway
    if aim.dice.chance(0.3):
        gateway.cut_power(2 * SECOND_NS, clock=False)
    else:
        by_ns = aim.dice.pick((-1, 1)) * aim.dice.between(SECOND_NS, 3600 * SECOND_NS)
        gateway.set_clock(gateway.clocks.offset_ns + by_ns, synced=aim.dice.chance(0.5))
    return lambda: gateway.set_clock(0, synced=True)


def _weather(aim: Aim) -> Mend:
    weather = aim.scene.broker.weather
    weather.lost, weather.twice, weather.late = (
        aim.dice.pick((0.0, 0.05, 0.3)),
        aim.dice.pick((0.1, 0.5)),
        aim.dice.chance(0.7),
    )

    def mend() -> None:
        weather.lost, weather.twice, weather.late = 0.0, 0.0, False

    return mend


def _slow(aim: Aim) -> Mend:
    collector = aim.scene.collector
    collector.slow_ns = aim.dice.between(SECOND_NS // 5, 4 * SECOND_NS)

    def mend() -> None:
        collector.slow_ns = 0

    return mend


def _strange(speak: Callable[[strangers.Stage, Gateway, Dice], None]) -> Harm:
    def harm(aim: Aim) -> Mend:
        stage = strangers.Stage(aim.scene.timeline, aim.scene.broker, aim.scene.collector, aim.scene.oracle)
        speak(stage, aim.gateway, aim.dice)
        return _nothing

    return harm


HARMS: Mapping[int, Harm] = MappingProxyType({
    1: _trap_gateway("before commit"),
    2: _trap_gateway("after commit", "after send"),
    3: _power,
    4: _lie,
    5: _full,
    6: _cut,
    7: _damage,
    8: _kill_broker,
    9: _queue,
    10: _cut,
    11: _deaden,
    12: _trap_collector("before commit"),
    13: _trap_collector("after commit"),
    14: _journal,
    15: _wipe,
    16: _restore,
    17: _clone,
    18: _swap,
    19: _clock,
    20: _weather,
    21: _strange(strangers.babble),
    22: _strange(strangers.contradict),
    23: _strange(strangers.acknowledge),
    24: _slow,
})  # fmt: skip
# Those that leave the line as it is: values stay fresh through them.
HARMLESS = frozenset({15, 21, 22, 23})

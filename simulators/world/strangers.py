"""Messages that no gateway and no collector of this world has sent: unreadable, forged, replayed.

Each is given to the broker like any other. When nothing else goes on then, the collector has to have dealt with it
soon: kept it, told it, or ignored it, as the failure table says.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.intake.events import What, event
from collector.store import EntryKind
from gateway import seal, wire
from gateway.lanes import Key
from gateway.measurement import SECOND_NS
from gateway.seal import SIGNATURE_BYTES
from simulators.world import keys
from simulators.world.broker import Broker
from simulators.world.collector import Collector
from simulators.world.dice import Dice
from simulators.world.oracle import Oracle
from simulators.world.plant_gateway import Gateway, forged
from simulators.world.timeline import START_NS, Timeline

_SOON_NS = 2 * SECOND_NS
_NEWER = bytes([wire.VERSION + 1])
_STRANGER = keys.StandIn(b"nobody's key, made up by somebody")
_REPLAYED = 50  # acknowledgements that somebody has written down


@dataclass(frozen=True, slots=True)
class Stage:
    """What strangers get at."""

    timeline: Timeline
    broker: Broker
    collector: Collector
    oracle: Oracle

    def expect(self, kept: Callable[[], str]) -> None:
        """Soon this has to be so, if nothing else goes on till then. kept: what is wrong, "" = nothing."""
        oracle, collector, asked_ns = self.oracle, self.collector, self.timeline.now
        since_ns = collector.up_since_ns

        def look() -> None:
            calm = not oracle.trouble and oracle.troubled_ns < asked_ns - _SOON_NS
            if calm and collector.up_since_ns == since_ns and collector.connected_ns < asked_ns and (why := kept()):
                oracle.violate("alarm_missing", why)

        self.timeline.after(_SOON_NS, look)

    def told(self, what: What, gateway: str) -> bool:
        """Whether the journal tells of such a thing."""
        return any(
            entry.kind is EntryKind.EVENT and event(entry).what == what
            for entry in reversed(self.collector.ledger.entries)
            if entry.gateway == gateway
        )


def babble(stage: Stage, gateway: Gateway, dice: Dice) -> None:
    """Somebody sends what cannot be read, or what cannot be believed."""
    body = forged(gateway, epoch=dice.bytes(16), seq=2 + dice.below(1000))
    kind = dice.pick(("newer", "unreadable", "no number", "unsigned", "noise", "large", "stranger"))
    name, numbered = gateway.name, kind in ("newer", "unreadable")
    if kind == "newer":
        what, payload = What.POISON, _NEWER + gateway.key.sign(b"em/batch" + _NEWER + body) + body
    elif kind == "unreadable":
        odd = zlib.compress(zlib.decompress(body).replace(b"\xa4data", b"\xa4tada"))
        what, payload = What.POISON, seal.seal(odd, gateway.key)
    elif kind == "no number":
        what, payload = What.NO_NUMBER, seal.seal(zlib.compress(dice.bytes(40)), gateway.key)
    elif kind == "unsigned":
        what, payload = What.BAD_SIGNATURE, seal.seal(body, _STRANGER)
    elif kind == "noise":
        what, payload = What.BAD_SIGNATURE, dice.bytes(dice.below(200))
    elif kind == "large":
        what, payload = What.OVERSIZE, bytes(100_000)
    else:
        what, payload, name = What.STRANGER, seal.seal(body, _STRANGER), "nobody"
    stage.oracle.licences.add((what, name, b""))
    stage.broker.offer(name, payload)

    def kept() -> str:
        held = any(entry.payload == payload for entry in reversed(stage.collector.ledger.entries))
        if numbered and not held:
            return f"{name}: a message ({kind}) was not kept"
        return "" if stage.told(what, name) else f"{name}: nothing tells of a message ({kind})"

    stage.expect(kept)


def contradict(stage: Stage, gateway: Gateway, dice: Dice) -> None:
    """Somebody with the gateway's key sends another batch under a taken number, or goes on with an old epoch."""
    rows = sorted(gateway.card.state.rows)
    if dice.chance(0.4) and prolong(stage, gateway, rows, dice):
        return
    taken = [
        key for key in rows[-40:] if key[1] > 1 and stage.collector.ledger.payloads((gateway.name, key[0]), key[1])
    ]
    if not taken:
        return
    epoch, seq = dice.pick(taken)
    payload = seal.seal(forged(gateway, epoch=epoch, seq=seq, wall_ns=START_NS + stage.timeline.now), gateway.key)
    stage.oracle.forgeries.add(payload)
    stage.oracle.licences.add((What.CONFLICT, gateway.name, epoch))
    stage.oracle.licences.add((What.CHAIN_BREAK, gateway.name, epoch))
    stage.broker.offer(gateway.name, payload)

    def kept() -> str:
        held = stage.collector.ledger.payloads((gateway.name, epoch), seq)
        if payload not in held:
            return f"{gateway.name}: another batch {seq} was not kept"
        return (
            "" if stage.told(What.CONFLICT, gateway.name) else f"{gateway.name}: nothing tells of another batch {seq}"
        )

    stage.expect(kept)


def prolong(stage: Stage, gateway: Gateway, rows: Sequence[Key], dice: Dice) -> bool:
    """Somebody with the gateway's key adds a batch to an epoch that has ended; False where there is none."""
    name, held = gateway.name, stage.collector.ledger.payloads
    last = {epoch: seq for epoch, seq in rows if gateway.process and epoch < gateway.process.keeper.epoch}
    ended = [key for key in last.items() if held((name, key[0]), key[1]) and not held((name, key[0]), key[1] + 1)]
    if not ended:
        return False
    epoch, seq = dice.pick(ended)
    body = forged(gateway, epoch=epoch, seq=seq + 1, wall_ns=START_NS + stage.timeline.now)
    payload = seal.seal(body, gateway.key)
    stage.oracle.forgeries.add(payload)
    stage.oracle.licences |= {(What.CONFLICT, name, epoch), (What.CHAIN_BREAK, name, epoch)}
    # The next epoch does not know of it: the collector takes it for one that the card has forgotten.
    stage.oracle.license_lost(name)
    stage.broker.offer(name, payload)
    return True


def acknowledge(stage: Stage, gateway: Gateway, dice: Dice) -> None:
    """Somebody in the broker's place acknowledges what the collector does not hold, or what it once held."""
    name, heard = gateway.name, stage.oracle.acks.get(gateway.name, [])
    kind = dice.pick(("forged", "replayed", "other", "noise")) if heard else "noise"
    if kind == "forged":
        ack = wire.decode_ack(heard[-1][1 + SIGNATURE_BYTES :])
        epochs = tuple(wire.EpochAck(epoch.ep, epoch.upto + 1000) for epoch in ack.epochs)
        above = wire.Ack(gw=name, gen=(ack.gen[0] + 1, dice.bytes(8)), n=ack.n, epochs=epochs, win=64, now=ack.now)
        payload = seal.seal_ack(wire.encode_ack(above), _STRANGER)
    elif kind == "replayed":
        payload = dice.pick(heard[-_REPLAYED:])
    elif kind == "other":
        others = sorted(other for other in stage.oracle.acks if other != name)
        payload = stage.oracle.acks[dice.pick(others)][-1] if others else b""
    else:
        payload = dice.bytes(dice.below(200))
    stage.broker.retain(name, payload)

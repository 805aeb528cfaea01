"""One gateway's conversation with the broker and the collector: what goes out, what an answer does.

An acknowledgement counts when the collector's key signed it (`gateway.succession` knows the keys that
followed the one given) and it is above the last one; then it frees rows of the outbox, opens the window,
and tells how delivery stands. Everything else that comes down is ignored, and says why. The broker's
answers only tell how delivery stands.

Pure: the outbox is a `Spool`, the connection and the logs are the publisher's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from gateway import bundles, lanes, seal, wire
from gateway.delivery import Delivery, Obstacle
from gateway.lanes import Key, Row
from gateway.outbox import Sender
from gateway.shelves import SpoolFull
from gateway.succession import Trust


class Spool(lanes.Spool, Protocol):
    """What the conversation needs of the outbox."""

    @property
    def generation(self) -> tuple[int, bytes] | None:
        """The journal that acknowledged last."""

    def accepts(self, ack: wire.Ack) -> bool:
        """Whether an acknowledgement is for this gateway and above the last one."""

    def acked(self, ack: wire.Ack) -> int:
        """Mark what an acknowledgement names; the number of rows that were not marked before."""

    def told(self, now_ns: int, rtt_ns: int | None) -> None:
        """The collector's clock in an acknowledgement that counted. rtt_ns: since what it frees went out, if known."""

    def drained(self) -> bool:
        """Whether everything put is acknowledged."""

    def counts(self) -> Mapping[str, int]:
        """What went through."""


class Heard(msgspec.Struct, frozen=True):
    """What came of something that the collector seems to have said.

    ignored, hint: why it does not count, and what to look at; "" = it counts, or it is merely old.
    counted: it was accepted. refilled: batches to be sent again, since the journal was restored.
    unnoted: the disk has no room to note it. changed: how delivery stands, if that has changed.
    handovers: the collector has another key now; to be kept on disk, for the next start. () = it has not.
    """

    ignored: str = ""
    hint: str = ""
    counted: bool = False
    refilled: int = 0
    unnoted: bool = False
    changed: Obstacle | None = None
    handovers: tuple[bytes, ...] = ()


class Exchange:
    """The conversation of one gateway, over all its connections.

    collector_key: whose acknowledgements count; None = none do, everything stays in the outbox.
    handovers: of that key, as they were kept. live: False for a back-fill, which goes out in the order of the stream.
    mute: see `Delivery`.
    """

    def __init__(
        self,
        gateway: str,
        spool: Spool,
        collector_key: seal.Verifier | None,
        *,
        handovers: Sequence[bytes] = (),
        live: bool = True,
        mute: bool = False,
    ) -> None:
        self._gateway, self._spool = gateway, spool
        self._trust = Trust(collector_key).learn(handovers) if collector_key else None
        self._sender = Sender(acknowledged=collector_key is not None, live=live)
        self.delivery = Delivery(mute=mute)
        self.bundle_bytes = 0  # how large a bundle the collector takes

    @property
    def resent(self) -> int:
        """Batches that went out more than once."""
        return self._sender.resent

    @property
    def rto_ns(self) -> int:
        """How long an acknowledgement may take before a batch goes out again. [ns]"""
        return self._sender.rto_ns

    def connected(self, now_ns: int) -> None:
        """A new connection: all without acknowledgement goes out again."""
        self._sender.connected(now_ns)

    def turn(self, credit: int, now_ns: int) -> list[Row]:
        """The batches that go out now, counted as sent; call it again while it returns any. credit: by the broker."""
        return self._sender.turn(self._spool, credit, now_ns)

    def next_ns(self) -> int | None:
        """When the next batch becomes overdue; None while nothing is on the way. [ns, monotonic]"""
        return self._sender.next_ns()

    def silent(self, now_ns: int) -> tuple[bool, Obstacle | None]:
        """Whether the connection itself is to be doubted, and how delivery stands if that has changed."""
        if not self._sender.silent(now_ns, waiting=True) or self._spool.drained():
            return False, None
        return True, self.delivery.silence(now_ns)

    def answered(self, keys: Iterable[Key], code: int, now_ns: int) -> Obstacle | None:
        """The broker has answered to batches (PUBACK) or ended the connection; how delivery stands, if changed."""
        for key in keys:
            self._sender.puback(key)
        return self.delivery.answered(code, now_ns)

    def heard(self, payload: bytes, now_ns: int, wall_ns: int = 0) -> Heard:
        """What came on the gateway's down topic.

        wall_ns: time of day, at which a key that was handed over may be good no more; 0 = all are. [ns since 1970 UTC]
        """
        if self._trust is None:
            return Heard()
        try:
            rest, trust = self._trust.open(payload, wall_ns)
            ack = wire.decode_ack(rest)
        except (seal.SealError, wire.WireError) as error:
            return Heard(str(error), "It is not the collector's; check [collector] public_key")
        learned = () if trust is self._trust else trust.handovers
        self._trust = trust
        if not self._spool.accepts(ack):
            return replace(self._refused(ack), handovers=learned)
        self.bundle_bytes = min(ack.bundle, bundles.MAX_BYTES)
        before = self._spool.counts().get("refilled_batches", 0)
        marked, unnoted = 0, False
        try:
            marked = self._spool.acked(ack)
        except SpoolFull:  # the next acknowledgement names the same batches, and must find the connection
            unnoted = True
        changed = self.delivery.heard(now_ns, progress=marked > 0)
        refilled = self._spool.counts().get("refilled_batches", 0) - before
        self._spool.told(ack.now, self._sender.acked(ack, now_ns, lacking=refilled > 0))
        return Heard(counted=True, refilled=refilled, unnoted=unnoted, changed=changed, handovers=learned)

    def _refused(self, ack: wire.Ack) -> Heard:
        if ack.gw != self._gateway or ack.gen == self._spool.generation:
            return Heard()
        hint = "It comes from an older journal, or from another one whose generation is not higher"
        return Heard(f"generation {ack.gen[0]} {ack.gen[1].hex()}", hint)

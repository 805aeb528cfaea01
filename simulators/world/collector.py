"""The collector: one process over a journal, that runs, dies and starts again.

The process is the product's: `Gate` and `Desk`, and the projector's `rows` for the store. Here are only its
surroundings, as `collector.intake.subscriber` and `recorder` have them: the queue, the turns, the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from collector.intake.desk import Desk
from collector.intake.gate import Examined, Gate, Trusted
from collector.intake.projector import rows
from collector.store import Entry, EntryKind, Rows
from gateway.measurement import SECOND_NS
from simulators.world import keys
from simulators.world.broker import MILLISECOND_NS, Broker
from simulators.world.dice import Dice
from simulators.world.ledger import Backup, Ledger, Refused
from simulators.world.oracle import Oracle
from simulators.world.timeline import START_NS, Timeline

GROUP_BATCHES = 200
RETRY_NS = SECOND_NS
RESTART_NS = 2 * SECOND_NS
RECONNECT_NS = SECOND_NS
_NEVER = 1 << 62


class Store:
    """The store as a projection: what was read of the journal, and how far."""

    def __init__(self) -> None:
        self.pieces: list[Rows] = []
        self.cursor = 0

    def follow(self, ledger: Ledger) -> None:
        """Take in what the journal holds beyond the cursor."""
        fresh = [entry for entry in ledger.entries[self.cursor :] if entry.kind is EntryKind.BATCH]
        self.cursor = len(ledger.entries)
        if fresh:
            self.pieces.append(rows([(entry, ledger.read(entry)) for entry in fresh]))


class Collector:
    """up: the process runs. slow_ns: how long a commit takes. trap: where it dies next, "before commit" or "after"."""

    def __init__(
        self, *, key: keys.Key, trusted: Mapping[str, Trusted], ledger: Ledger, broker: Broker, timeline: Timeline,
        dice: Dice, oracle: Oracle,
    ) -> None:  # fmt: skip
        self.ledger, self.trusted, self.store = ledger, dict(trusted), Store()
        self.up, self.slow_ns, self.trap = False, 0, ""
        self.gate, self.desk = Gate(self.trusted), None  # type: Gate, Desk | None
        self.up_since_ns = self.connected_ns = _NEVER
        self._key, self._broker, self._timeline, self._dice, self._oracle = key, broker, timeline, dice, oracle
        self._queue: deque[tuple[Examined, int, int]] = deque()
        self._dealt: list[tuple[int, int]] = []
        self._doubted: list[Entry] = []  # what somebody with a gateway's key made up, until it is committed
        self._life = 0
        self._turn_at = _NEVER
        self._connected = self._restored = False

    @property
    def _wall_ns(self) -> int:
        return START_NS + self._timeline.now

    def start(self) -> None:
        """The process starts."""
        if self.up:
            return
        if self.ledger.open(self._wall_ns, restored=self._restored):
            self.store = Store()  # the store of another journal; an operator has it built anew
        self._restored = False
        self.gate = Gate(self.trusted)
        self.desk = Desk(self.ledger, self._key, self.trusted)
        self.up, self.up_since_ns, self._life = True, self._timeline.now, self._life + 1
        self._turn_at = _NEVER
        self._connect(self._life)
        self._plan(self._timeline.now)

    def die(self, restart_ns: int | None = RESTART_NS) -> None:
        """The process is killed; it starts again after a while. None: it does not by itself."""
        self.up, self.trap = False, ""
        self.up_since_ns = self.connected_ns = _NEVER
        self._queue.clear()
        self._dealt.clear()
        self._doubted.clear()
        if self._connected:
            self._connected = False
            self._broker.drop_collector()
        if restart_ns is not None:
            self._timeline.after(restart_ns, self.start)

    def restore(self, backup: Backup, *, told: bool) -> list[Entry]:
        """The journal is put back while the process is down; the entries that are gone. told: an operator says so."""
        assert not self.up, "a journal in use"
        self._restored = told
        return self.ledger.restore(backup)

    def trust(self, gateway: str, trusted: Trusted) -> None:
        """From now on believe this of a gateway."""
        self.trusted[gateway] = trusted
        self.gate.trust(self.trusted)

    # --- the connection --------------------------------------------------------------------------------

    def _connect(self, life: int) -> None:
        if life != self._life or not self.up or self._connected:
            return
        self._connected = self._broker.subscribe(self)
        if not self._connected:
            self._timeline.after(RECONNECT_NS, self._connect, life)
            return
        assert self.desk
        self.connected_ns = self._timeline.now
        self.desk.hurry_all()
        self._plan(self._timeline.now)

    def hung_up(self) -> None:
        """The connection is gone."""
        self._connected, self.connected_ns = False, _NEVER
        self._timeline.after(RECONNECT_NS, self._connect, self._life)

    def message(self, session: int, number: int, gateway: str, payload: bytes) -> None:
        """A message came; it is examined at once and waits for its turn."""
        examined = self.gate.examine(gateway, payload, received_ns=self._wall_ns, now_ns=self._timeline.now)
        self._queue.append((examined, session, number))
        if len(self._queue) == 1:
            self._plan(self._timeline.now + self._dice.between(MILLISECOND_NS, 6 * MILLISECOND_NS) + self.slow_ns)

    # --- the recorder's turns -----------------------------------------------------------------------------

    def _plan(self, when: int) -> None:
        """The next turn is then, or earlier."""
        if when < self._turn_at:
            self._turn_at = max(when, self._timeline.now)
            self._timeline.at(self._turn_at, self._turn, self._life, self._turn_at)

    def _turn(self, life: int, when: int) -> None:
        if life != self._life or not self.up or when != self._turn_at:
            return
        self._turn_at = _NEVER
        desk, now_ns = self.desk, self._timeline.now
        assert desk
        ticked = False
        if not self._dealt:
            for _ in range(min(len(self._queue), GROUP_BATCHES)):
                examined, session, number = self._queue.popleft()
                desk.take(examined, now_ns)
                self._dealt.append((session, number))
                if examined.entry and examined.entry.payload in self._oracle.forgeries:
                    self._doubted.append(examined.entry)
            ticked = bool(desk.tick(now_ns, self._wall_ns))
            if ticked:
                self.ledger.mark()
        if self.trap == "before commit" and self._dealt:
            self.die()
            return
        try:
            if self._dealt or ticked or desk.stalled:
                desk.commit(now_ns)
        except Refused as refused:
            self._refused(desk, refused)
            return
        if self.trap == "after commit" and self._dealt:
            self.die()
            return
        for session, number in self._dealt:
            self._broker.collector_puback(session, number)
        self._dealt.clear()
        self._oracle.dealt(self._doubted, self.ledger)
        self._doubted.clear()
        self._acknowledge(desk)
        self._plan(now_ns + MILLISECOND_NS + self.slow_ns if self._queue else desk.next_ns())

    def _refused(self, desk: Desk, refused: Refused) -> None:
        if not refused.full:
            self.ledger.failing = False  # the next process finds another disk
            self.die()
            return
        desk.stall()
        self._acknowledge(desk)
        self._plan(self._timeline.now + RETRY_NS)

    def _acknowledge(self, desk: Desk) -> None:
        for topic, payload in desk.acknowledgements(self._timeline.now, self._wall_ns):
            gateway = topic.split("/")[2]
            self._oracle.acknowledged(gateway, payload, self.ledger)
            if self._connected:
                self._broker.retain(gateway, payload)

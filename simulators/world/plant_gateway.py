"""A gateway: one machine with clocks and a card, on which the gateway's process runs, dies and starts again.

The process is the product's: `Outbox`, `Keeper`, `Exchange`. Here are only its surroundings, as `gateway.spooler` and
`gateway.publisher` have them: when it wakes, what it is given, and the connection. Each sensor gives a value that
tells machine, sensor and poll, so that wherever a value turns up, the oracle knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gateway import wire
from gateway.clock import RELEASED_NS, Discipline
from gateway.exchange import Exchange
from gateway.keeper import Instant, Keeper, Start
from gateway.lanes import Key
from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.outbox import SILENCE_NS, Outbox
from gateway.retention import Limits
from gateway.seal import Verifier
from gateway.shelves import SpoolError, SpoolFull
from simulators.world import keys
from simulators.world.broker import Broker, Line
from simulators.world.card import Card
from simulators.world.dice import Dice
from simulators.world.oracle import Oracle
from simulators.world.timeline import START_NS, Timeline

SENSORS = 3
POLLS = 1 << 32  # of one machine, at most; sensor numbers stand above
STATUSES = (Status.OK, Status.OK, Status.OK, Status.MAINTENANCE, Status.OK, Status.OK, Status.CALIBRATION)
RETRY_NS = (SECOND_NS // 2, 30 * SECOND_NS)  # wait after a failed connection, first and longest
AGAIN_NS = SECOND_NS  # until a full card is tried again
WAKE_NS = 30 * SECOND_NS  # the longest that the process sleeps
RESTART_NS = 2 * SECOND_NS
DOUBT_NS = 5 * SECOND_NS  # by which a dead line may be left later than it could be
_NEVER = 1 << 62
_HELD, _FREE = Discipline(synced=True, err_ms=5), Discipline(synced=False, err_ms=5)


@dataclass(slots=True)
class Clocks:
    """A machine's clocks. offset_ns: wall clock minus true time. booted_ns: when monotonic time began. [ns]"""

    timeline: Timeline
    booted_ns: int
    offset_ns: int = 0
    synced: bool = True

    @property
    def mono_ns(self) -> int:
        """Time since the machine's start."""
        return self.timeline.now - self.booted_ns

    @property
    def wall_ns(self) -> int:
        """Time of day, as the machine believes."""
        return START_NS + self.timeline.now + self.offset_ns

    def instant(self) -> Instant:
        """Both, as the process reads them."""
        return Instant(self.wall_ns, self.mono_ns, _HELD if self.synced else _FREE)


class Spool:
    """Keeper and outbox as the exchange knows them."""

    def __init__(self, keeper: Keeper, outbox: Outbox, clocks: Clocks) -> None:
        self._keeper, self._outbox, self._clocks = keeper, outbox, clocks
        self.pending, self.row, self.tail = keeper.pending, keeper.row, keeper.tail
        self.accepts, self.acked = keeper.accepts, keeper.acked

    @property
    def generation(self) -> tuple[int, bytes] | None:
        """The journal that acknowledged last."""
        return self._keeper.generation

    def drained(self) -> bool:
        """Whether everything put is acknowledged."""
        return not self._outbox.values and not self._keeper.unacked

    def counts(self) -> Mapping[str, int]:
        """What went through."""
        return self._keeper.counts

    def told(self, now_ns: int, rtt_ns: int | None) -> None:
        """The collector's clock in an acknowledgement that counted."""
        self._keeper.clock.heard(now_ns, self._clocks.mono_ns, rtt_ns)


@dataclass(slots=True)
class Process:
    """A running gateway. waiting: polls that are not committed yet."""

    outbox: Outbox
    keeper: Keeper
    spool: Spool
    exchange: Exchange
    waiting: list[int]
    strained: bool = False


Trap: TypeAlias = str  # where the process dies next: "before commit", "after commit", "after send", "" = nowhere


class Gateway:
    """number: which machine. name: the gateway's id, shared with its copies. measuring: whether it polls."""

    def __init__(
        self, *, number: int, name: str, plant: str, key: keys.Key, collector_key: Verifier, card: Card, limits: Limits,
        broker: Broker, timeline: Timeline, dice: Dice, oracle: Oracle, room: int, interval_ns: int,
        on_connect: Callable[[Gateway], None],
    ) -> None:  # fmt: skip
        self.number, self.name, self.plant, self.key, self.card, self.limits = number, name, plant, key, card, limits
        self.clocks = Clocks(timeline, timeline.now)
        self.measuring, self.trap, self.client = True, "", name
        self.process: Process | None = None
        self.line: Line | None = None
        self._collector_key, self._broker, self._timeline = collector_key, broker, timeline
        self._dice, self._oracle, self._room, self._interval_ns = dice, oracle, room, interval_ns
        self._on_connect = on_connect
        self._unanswered: set[Key] = set()
        self._begun = -1  # the machine's start in which a process began last
        self._boot = self._polls = self._life = 0
        self._flush_at = self._wake_at = _NEVER
        self._retry_ns = RETRY_NS[0]
        self._series = tuple(Series(plant, f"p{s}", f"{name}-s{s}", "LAeq", "dB(A)") for s in range(SENSORS))
        self._index, self._same = np.arange(SENSORS, dtype=np.uint16), np.ones(SENSORS, np.int64)
        self._base = np.array([float((number * 16 + s) * POLLS) for s in range(SENSORS)])
        self._status = [np.full(SENSORS, status, np.uint8) for status in STATUSES]

    # --- the machine ---------------------------------------------------------------------------------

    def start(self) -> None:
        """The process starts, if the machine lets it."""
        if self.process:
            return
        card, outbox, reason = self.card, Outbox(), self._reason()
        try:
            keeper = Keeper(
                card,
                self.plant,
                self.name,
                self.key,
                now=self.clocks.instant,
                limits=self.limits,
                found=card.aside,
                earliest_ns=RELEASED_NS,
            )
            card.state.counter = max(card.state.counter, keeper.last_counter) + 1
            boot = f"boot-{self.number}-{self._boot}"
            keeper.begin(Start(card.state.counter, self._dice.bytes(8), boot, "world"))
        except SpoolError:
            card.failing = False
            self._timeline.after(RESTART_NS, self.start)
            return
        card.settle()
        self._begun = self._boot
        self._oracle.began(self.name, keeper.epoch, reason)
        spool = Spool(keeper, outbox, self.clocks)
        self._life += 1
        self.process = Process(outbox, keeper, spool, Exchange(self.name, spool, self._collector_key), [])
        self._flush_at = self._wake_at = _NEVER
        self._retry_ns = RETRY_NS[0]
        self._connect(self._life)

    def _reason(self) -> str:
        """How the last process on this card ended; none ever ends as meant here."""
        if self.card.aside is not None:
            return "corrupt"
        if not self.card.state.meta.last_epoch:
            return "start"
        return "crash" if self._begun == self._boot else "power"

    def die(self, restart_ns: int | None = RESTART_NS) -> None:
        """The process is killed; it starts again after a while. None: it does not by itself."""
        if self.process:
            self._oracle.died(self.number, self.process.waiting, strained=self.process.strained)
        self.process = None
        self.trap = ""
        if self.line:
            self._broker.leave(self.line)
            self.line = None
        if restart_ns is not None:
            self._timeline.after(restart_ns, self.start)

    def cut_power(self, restart_ns: int | None, *, clock: bool = True) -> None:
        """The machine goes dark. clock: whether it has one that goes on; without, it wakes in 1970."""
        self.die(None)
        self.card.cut_power()
        self._boot += 1
        self.clocks = Clocks(self._timeline, self._timeline.now)
        self.set_clock(0 if clock else -START_NS - self._timeline.now, synced=clock)
        if restart_ns is not None:
            self._timeline.after(restart_ns, self.start)

    def set_clock(self, offset_ns: int, *, synced: bool) -> None:
        """The wall clock is so far off from now on. [ns] synced: a time server holds it."""
        offset_ns = max(offset_ns, SECOND_NS - START_NS - self._timeline.now)  # no system shows a time before 1970
        self.clocks.offset_ns, self.clocks.synced = offset_ns, synced
        self._oracle.produced[self.number].clocks.append((self._timeline.now, offset_ns))

    def poll(self) -> None:
        """All sensors are read, again and again."""
        if not self.measuring:
            return
        self._timeline.after(self._interval_ns, self.poll)
        process = self.process
        if process is None:
            return
        count, time_ns = self._polls, self.clocks.wall_ns
        self._polls += 1
        status = count % len(STATUSES)
        columns = Columns(self._series, self._index, self._same * time_ns, self._base + count, self._status[status])
        self._oracle.polled(self.number, time_ns, self._timeline.now)
        process.waiting.append(count)
        process.keeper.clock.glance(self.clocks.wall_ns, self.clocks.mono_ns)
        process.outbox.put(columns, self.clocks.mono_ns)
        self._plan_flush(process)

    def _plan_flush(self, process: Process) -> None:
        due_ns = process.outbox.due_ns()
        if due_ns is not None and self._flush_at == _NEVER:
            self._flush_at = max(due_ns + self.clocks.booted_ns, self._timeline.now)
            self._timeline.at(self._flush_at, self._flush, self._life)

    # --- the process: what spooler and publisher do ---------------------------------------------------

    def _alive(self, life: int) -> Process | None:
        return self.process if life == self._life else None

    def _flush(self, life: int) -> None:
        if not (process := self._alive(life)):
            return
        self._flush_at = _NEVER
        if self.trap == "before commit":
            self.die()
            return
        parts = process.outbox.take()
        try:
            process.keeper.keep(parts)
        except SpoolFull:
            process.outbox.restore(parts)
            process.strained = True
            self._flush_at = self._timeline.now + AGAIN_NS
            self._timeline.at(self._flush_at, self._flush, life)
            return
        except SpoolError:
            self._broken()
            return
        self._oracle.committed(self.number, process.waiting)
        process.waiting = []
        process.strained = False
        if self.trap == "after commit":
            self.die()
            return
        self._upkeep(process)
        self._pump()
        if self.trap == "after send":
            self.die()

    def _upkeep(self, process: Process) -> None:
        try:
            process.keeper.upkeep()
        except SpoolFull:
            pass
        except SpoolError:
            self._broken()

    def _broken(self) -> None:
        """The card has failed: the process ends, and the next one finds what is there."""
        self.card.failing = False
        self.die()

    def _connect(self, life: int) -> None:
        if not (process := self._alive(life)) or self.line:
            return
        self.line = self._broker.connect(self, self.client, self.name)
        if self.line is None:
            self._timeline.after(self._retry_ns, self._connect, life)
            self._retry_ns = min(2 * self._retry_ns, RETRY_NS[1])
            return
        self._retry_ns = RETRY_NS[0]
        self._unanswered.clear()
        process.exchange.connected(self.clocks.mono_ns)
        self._pump()
        self._on_connect(self)

    def _pump(self) -> None:
        """Send what is to be sent, and see whether the connection is any good."""
        process, line, now_ns = self.process, self.line, self.clocks.mono_ns
        if not process or not line:
            return
        try:
            # Where nothing waits, or all that waits has just been sent, there is no need to ask again.
            while process.keeper.unacked and (
                rows := process.exchange.turn(self._room - len(self._unanswered), now_ns)
            ):
                for row in rows:
                    self._unanswered.add(row.key)
                    self._broker.publish(line, row.key, row.payload)
                if len(rows) >= process.keeper.unacked:
                    break
            silent, _ = process.exchange.silent(now_ns)
        except SpoolFull:
            silent = False
        except SpoolError:
            self._broken()
            return
        if silent:
            self._hang_up()
            return
        due_ns = process.exchange.next_ns()
        when = self._timeline.now + WAKE_NS if due_ns is None else due_ns + self.clocks.booted_ns
        if when < self._wake_at:
            self._wake_at = max(when, self._timeline.now + SECOND_NS // 100)
            self._timeline.at(self._wake_at, self._wake, self._life, self._wake_at)

    def _wake(self, life: int, when: int) -> None:
        if self._alive(life) and when == self._wake_at:
            self._wake_at = _NEVER
            self._pump()

    def _hang_up(self) -> None:
        assert self.line
        self._broker.leave(self.line)
        self.line = None
        self._wake_at = _NEVER
        self._timeline.after(RETRY_NS[0], self._connect, self._life)

    # --- what the broker says ----------------------------------------------------------------------------

    def puback(self, line: Line, key: Key, code: int) -> None:
        """The broker has answered a publish."""
        if line is not self.line or not self.process:
            return
        full = len(self._unanswered) >= self._room
        self._unanswered.discard(key)
        self.process.exchange.answered([key], code, self.clocks.mono_ns)
        if full:
            self._pump()

    def heard(self, line: Line, payload: bytes) -> None:
        """Something came on the down topic."""
        if line is not self.line or not self.process:
            return
        try:
            self.process.exchange.heard(payload, self.clocks.mono_ns)
        except SpoolError:
            self._broken()
            return
        self._pump()

    def hung_up(self, line: Line) -> None:
        """The connection is gone."""
        if line is self.line and self.process:
            self.line = None
            self._wake_at = _NEVER
            self._timeline.after(RETRY_NS[0], self._connect, self._life)

    # --- for the world -------------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether everything it has is acknowledged."""
        return self.process is not None and self.process.spool.drained()

    def deaf(self, dead_ns: int) -> bool:
        """Whether it should have left its line, which has been dead for so long while batches waited."""
        process = self.process
        if not process or process.strained or not self.measuring or self._interval_ns > SECOND_NS:
            return False
        return dead_ns > max(3 * process.exchange.rto_ns, SILENCE_NS) + DOUBT_NS


def forged(
    gateway: Gateway, *, epoch: bytes, seq: int, prev: bytes = wire.NO_HASH, kind: wire.Kind = "data", wall_ns: int = 0
) -> bytes:
    """The body of a batch that its gateway never made."""
    columns = Columns(
        gateway._series[:1], np.zeros(1, np.uint16), np.array([wall_ns]), np.array([-1.0]), np.zeros(1, np.uint8)
    )
    header = wire.Header(
        plant=gateway.plant, gw=gateway.name, ep=epoch, seq=seq, prev=prev, low=1, n=1, cfg=wire.NO_HASH, mono_ns=1,
        wall_ns=wall_ns, clk=wire.Clk("synced", 1, 0), kind=kind,
    )  # fmt: skip
    return wire.encode(header, columns)

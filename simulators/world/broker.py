"""The broker between gateways and collector: everything it may do, and everything that may happen to it.

It keeps what MQTT promises and no more. A publish is answered as soon as the broker has it, and may be gone a
moment later: the queue of a collector that is away overflows in silence, a killed broker forgets all. On the way
a line is in order, late, cut, or dead without anybody noticing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway import wire
from gateway.lanes import Key
from gateway.measurement import SECOND_NS
from simulators.world.dice import Dice
from simulators.world.timeline import Timeline

MILLISECOND_NS = 1_000_000
BROAD_NS = (2 * MILLISECOND_NS, 20 * MILLISECOND_NS)  # how long a message takes over an ordinary line
THIN_NS = (200 * MILLISECOND_NS, 400 * MILLISECOND_NS)  # and over a thin one
RECEIVE_MAX = 400  # what the collector takes without a PUBACK
EXPIRY_NS = 300 * SECOND_NS  # how long the broker remembers a collector that is away
KEEPALIVE_NS = 30 * SECOND_NS  # until both ends notice that a line is dead
NO_SUBSCRIBER, FORBIDDEN = 0x10, 0x87
LATE_NS = 3 * SECOND_NS  # by how much messages overtake one another where the network reorders


class Caller(Protocol):
    """A gateway, as the broker sees it."""

    def puback(self, line: Line, key: Key, code: int) -> None:
        """The broker has answered a publish."""

    def heard(self, line: Line, payload: bytes) -> None:
        """Something came on the gateway's down topic."""

    def hung_up(self, line: Line) -> None:
        """The connection is gone."""


class Subscriber(Protocol):
    """The collector, as the broker sees it."""

    def message(self, session: int, number: int, gateway: str, payload: bytes) -> None:
        """A message came."""

    def hung_up(self) -> None:
        """The connection is gone."""


@dataclass(slots=True, eq=False)
class Line:
    """A gateway's connection. dead: nothing passes, nobody knows, since died_ns. stuck: what was sent meanwhile."""

    caller: Caller
    client: str
    gateway: str
    alive: bool = True
    dead: bool = False
    died_ns: int = 0
    up_ns: int = 0
    down_ns: int = 0
    stuck: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True)
class Weather:
    """How the network is. lost, twice: shares of the messages. late: messages overtake one another.

    cut: gateways whose connections are refused. forbidden: those that may not publish. silent: the broker does not
    say so (MQTT 3.1.1). room: what its queue for the collector holds.
    """

    lost: float = 0.0
    twice: float = 0.0
    late: bool = False
    cut: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    silent: bool = False
    room: int = 1000


class Broker:
    """One broker. up: it runs. collector_cut: the collector cannot connect. thin: its lines are slow."""

    def __init__(self, timeline: Timeline, dice: Dice, *, thin: bool = False) -> None:
        self._latency_ns = THIN_NS if thin else BROAD_NS
        self.up, self.collector_cut = True, False
        self.weather = Weather()
        self._timeline, self._dice = timeline, dice
        self._lines: dict[str, Line] = {}
        self._retained: dict[str, bytes] = {}
        self._subscriber: Subscriber | None = None
        self._session = self._number = 0
        self._known, self._away_ns = False, 0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._flying: dict[int, tuple[str, bytes]] = {}
        self._collector_ns = 0

    def _latency(self) -> int:
        return self._dice.between(*self._latency_ns)

    # --- what befalls it -----------------------------------------------------------------------------

    def kill(self) -> None:
        """The broker dies, and with it all that it had."""
        self.up = False
        for line in list(self._lines.values()):
            self._end(line)
        self._queue.clear()
        self._flying.clear()
        self._retained.clear()
        self._known = False
        self.drop_collector()

    def forget_session(self) -> None:
        """The collector's session has expired: what waited for it is gone."""
        if not self._subscriber:
            self._known = False
            self._queue.clear()

    def cut(self, gateway: str) -> None:
        """A gateway's connection is reset, and further ones are refused."""
        self.weather.cut.add(gateway)
        for line in [line for line in self._lines.values() if line.gateway == gateway]:
            self._end(line)

    def deaden(self, gateway: str, *, noticed: bool) -> list[Line]:
        """From now on nothing passes on a gateway's line. noticed: by the keep-alive, in the end."""
        lines = [line for line in self._lines.values() if line.gateway == gateway]
        for line in lines:
            if not line.dead:
                line.dead, line.died_ns = True, self._timeline.now
            if noticed:
                self._timeline.after(KEEPALIVE_NS, self._notice, line)
        return lines

    def _notice(self, line: Line) -> None:
        if line.dead:
            self._end(line)

    def revive(self, lines: list[Line]) -> None:
        """Lines pass again what they were given."""
        for line in lines:
            line.dead = False
            stuck, line.stuck = line.stuck, []
            for deliver in stuck:
                deliver()

    def drop_collector(self) -> None:
        """The collector's connection is gone; what was on the way to it waits again."""
        subscriber, self._subscriber = self._subscriber, None
        self._queue.extendleft(reversed(self._flying.values()))
        self._flying.clear()
        self._session += 1
        self._away_ns = self._timeline.now
        if subscriber:
            subscriber.hung_up()

    def _end(self, line: Line) -> None:
        line.alive = False
        line.stuck.clear()
        if self._lines.get(line.client) is line:
            del self._lines[line.client]
        self._timeline.after(MILLISECOND_NS, line.caller.hung_up, line)

    # --- gateways --------------------------------------------------------------------------------------

    def connect(self, caller: Caller, client: str, gateway: str) -> Line | None:
        """A gateway's connection; None where there is none. One of the same client ends."""
        if not self.up or gateway in self.weather.cut:
            return None
        if before := self._lines.get(client):
            self._end(before)
        line = self._lines[client] = Line(caller, client, gateway)
        if payload := self._retained.get(wire.down_topic(gateway)):
            self._down(line, payload)
        return line

    def leave(self, line: Line) -> None:
        """A gateway ends its connection, or its process has ended."""
        line.alive = False
        if self._lines.get(line.client) is line:
            del self._lines[line.client]

    def publish(self, line: Line, key: Key, payload: bytes) -> None:
        """A gateway publishes a batch."""
        if line.dead:
            line.stuck.append(lambda: self.publish(line, key, payload))
            return
        line.up_ns = max(line.up_ns, self._timeline.now + self._latency())
        self._timeline.at(line.up_ns, self._arrive, line, key, payload)

    def _arrive(self, line: Line, key: Key, payload: bytes) -> None:
        if line.alive:
            self._pass(line, lambda: line.caller.puback(line, key, self.offer(line.gateway, payload)))

    def _pass(self, line: Line, deliver: Callable[[], None]) -> None:
        """Hand something over at a line's end, now or when the line is no longer dead."""
        if line.dead:
            line.stuck.append(deliver)
        else:
            deliver()

    def _down(self, line: Line, payload: bytes) -> None:
        line.down_ns = max(line.down_ns, self._timeline.now + self._latency())
        self._timeline.at(line.down_ns, self._told, line, payload)

    def _told(self, line: Line, payload: bytes) -> None:
        if line.alive:
            self._pass(line, lambda: line.caller.heard(line, payload))

    # --- to the collector ----------------------------------------------------------------------------------

    def offer(self, gateway: str, payload: bytes) -> int:
        """A message on a gateway's up topic; the reason code of the answer."""
        weather = self.weather
        if gateway in weather.forbidden:
            return 0 if weather.silent else FORBIDDEN
        if not self._subscriber and self._known and self._timeline.now - self._away_ns > EXPIRY_NS:
            self.forget_session()
        if not self._known:
            return NO_SUBSCRIBER
        if weather.lost and self._dice.chance(weather.lost):
            return 0
        for _ in range(2 if weather.twice and self._dice.chance(weather.twice) else 1):
            if len(self._queue) < weather.room:
                self._queue.append((gateway, payload))
        self._feed()
        return 0

    def _feed(self) -> None:
        while self._subscriber and self._queue and len(self._flying) < RECEIVE_MAX:
            self._number += 1
            gateway, payload = self._flying[self._number] = self._queue.popleft()
            self._collector_ns = max(self._collector_ns, self._timeline.now + self._latency())
            when = self._collector_ns
            if self.weather.late:
                when += self._dice.between(0, LATE_NS)
            self._timeline.at(when, self._deliver, self._session, self._number, gateway, payload)

    def _deliver(self, session: int, number: int, gateway: str, payload: bytes) -> None:
        if session == self._session and self._subscriber:
            self._subscriber.message(session, number, gateway, payload)

    def subscribe(self, subscriber: Subscriber) -> bool:
        """The collector connects; whether it could."""
        if not self.up or self.collector_cut:
            return False
        self._session += 1
        if self._timeline.now - self._away_ns > EXPIRY_NS:
            self._queue.clear()
        self._subscriber, self._known = subscriber, True
        self._feed()
        return True

    def collector_puback(self, session: int, number: int) -> None:
        """The collector has dealt with a message."""
        if session == self._session and number in self._flying:
            del self._flying[number]
            self._feed()

    def retain(self, gateway: str, payload: bytes) -> None:
        """The collector, or somebody in its place, publishes on a gateway's down topic."""
        self._timeline.after(self._latency(), self._retain, gateway, payload)

    def _retain(self, gateway: str, payload: bytes) -> None:
        if not self.up:
            return
        self._retained[wire.down_topic(gateway)] = payload
        for line in list(self._lines.values()):
            if line.gateway == gateway:
                self._down(line, payload)

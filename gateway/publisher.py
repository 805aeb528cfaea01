"""The way to the broker: sends committed batches, listens for the collector's acknowledgements.

`exchange.Exchange` decides what goes out when and what an answer does; this agent owns the connection.
Each connection is a paho client of its own, so that nothing paho queued for an old one goes out
unasked: what has to be sent again is known from the outbox alone. paho's thread only notes what
happens; one thread here acts on it. A broker that is away is tried again for ever, with a wait that
grows to 30 s; it is logged when it goes and when it is back. Where there are alternates, `brokers.Route`
says which is next.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import delivery, exchange
from gateway.brokers import Route
from gateway.bundles import bundled, pack
from gateway.connection import CONNECT_S, Connection, Event, tls_context
from gateway.delivery import Obstacle
from gateway.exchange import Exchange
from gateway.measurement import SECOND_NS
from gateway.settings import Broker
from gateway.shelves import SpoolError
from gateway.state import bounded

RETRY_S = (0.5, 30.0)  # wait after a failed connection, first and longest
STATE_EVERY_NS = 30 * SECOND_NS

_log = structlog.get_logger("gateway.publisher")


class Spool(exchange.Spool, Protocol):
    """What the publisher needs of `spooler.Spooler`."""

    on_commit: Callable[[], None] | None
    plant: str

    @property
    def epoch(self) -> bytes:
        """The epoch of this process."""

    def clock(self) -> Mapping[str, Any]:
        """What the clock is worth."""


class Publisher:
    """Publishes one gateway's outbox; `start` and `stop` once each.

    collector_key: whose acknowledgements count; None = none do, everything stays in the outbox.
    handovers: of that key, as `on_handover` was told to keep them.
    state: what else to say on the state topic (links, clock); called from the publisher's thread.
    live: False for a back-fill, which goes out in the order of the stream.
    """

    def __init__(
        self,
        broker: Broker,
        password: str | None,
        gateway: str,
        spooler: Spool,
        collector_key: Ed25519PublicKey | None,
        *,
        handovers: Sequence[bytes] = (),
        state: Callable[[], Mapping[str, Any]] = dict,
        live: bool = True,
        on_handover: Callable[[Sequence[bytes]], None] = lambda _: None,
    ) -> None:
        self._route, self._password, self._gateway = Route(broker), password, gateway
        self._spooler, self._collector_key, self._state = spooler, collector_key, state
        self._tls = tls_context(broker)  # the same for all alternates
        self._exchange = Exchange(
            gateway, spooler, collector_key, handovers=handovers, live=live, mute=broker.protocol != "5"
        )
        self._on_handover = on_handover
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._poked = self._stopping = False
        self._bad_ack = ""
        self._unnoted = self._clock_off = False
        self._thread = threading.Thread(target=self._run, name=f"publisher {gateway}", daemon=True)
        self.connected, self._away = False, ("", "")  # _away: why there is no connection, and a hint
        spooler.on_commit = self.notify

    # --- what others call ------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and publish, in a thread of its own."""
        if self._collector_key is None:
            _log.warning(
                "The collector's key is not known: nothing it says can free the outbox; enter [collector] public_key",
                gateway=self._gateway,
            )
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and end the thread; what is not acknowledged stays in the outbox."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CONNECT_S + 2)

    def notify(self) -> None:
        """New rows were committed."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    def wait_drained(self, timeout_s: float) -> bool:
        """Wait until everything put is acknowledged; whether it is."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self._spooler.drained():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.2))
        return True

    # --- one connection after the other -------------------------------------------------------------------

    def _run(self) -> None:
        wait_s, told = RETRY_S[0], set[str]()  # told: why it could not be reached since it last could
        while not self._stopping:
            connection = self._connect()
            if connection.problem:
                self._away = connection.problem, delivery.hint(connection.code)
                if connection.problem not in told:
                    told.add(connection.problem)
                    _log.warning(
                        "The broker cannot be reached; measuring goes on, the outbox keeps everything",
                        broker=self._route.broker.url, gateway=self._gateway, problem=connection.problem,
                        hint=delivery.hint(connection.code),
                    )  # fmt: skip
                self._next_broker()
                self._pause(wait_s)
                wait_s = min(2 * wait_s, RETRY_S[1])
                continue
            _log.info("Connected to the broker", broker=self._route.broker.url, gateway=self._gateway)
            wait_s, self.connected, self._away = RETRY_S[0], True, ("", "")
            told.clear()
            left = ""
            try:
                left = self._serve(connection)
            except SpoolError as error:  # the gateway ends on this when it next writes; until then try again
                _log.error("The outbox cannot be read", gateway=self._gateway, problem=str(error))
                wait_s = RETRY_S[1]
            except Exception:  # noqa: BLE001 - the supervisor of this thread
                _log.exception("The publisher failed; it connects again, the outbox keeps all", gateway=self._gateway)
                wait_s = RETRY_S[1]
            self.connected, self._away = False, (connection.problem or left, delivery.hint(connection.code))
            if connection.code in delivery.REASONS:
                self._say(self._exchange.answered((), connection.code, time.monotonic_ns()), connection.problem)
            connection.close()
            if not self._stopping:
                _log.warning(
                    "The connection to the broker is gone; measuring goes on, the outbox keeps everything",
                    broker=connection.broker.url, gateway=self._gateway,
                    problem=connection.problem or left,
                )  # fmt: skip
                self._pause(wait_s)

    def _next_broker(self) -> None:
        """A connection brought no acknowledgement: perhaps another broker does."""
        if self._route.failed(time.monotonic_ns()):
            _log.warning("Another broker is tried", broker=self._route.broker.url, gateway=self._gateway)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _connect(self) -> Connection:
        self._events.clear()
        connection = Connection(self._route.broker, self._password, self._gateway, self._tls, self._note)
        connection.open()
        with self._changed:
            self._changed.wait_for(lambda: connection.answered or connection.problem or self._stopping, CONNECT_S)
        if not connection.answered and not connection.problem:
            connection.problem = f"no answer within {CONNECT_S:g} s"
        if connection.problem:
            connection.close()
        return connection

    def _note(self, event: Event) -> None:
        """Called from paho's thread."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _serve(self, connection: Connection) -> str:
        """Send and listen until the connection ends, is doubted, or the publisher stops; why it is left."""
        self._exchange.connected(time.monotonic_ns())
        state_ns = 0
        while not connection.problem and not self._stopping:
            with self._changed:
                self._poked = False
                events = [self._events.popleft() for _ in range(len(self._events))]
            for event in events:
                self._handle(event, connection)
            now_ns = time.monotonic_ns()
            if now_ns >= state_ns:
                connection.publish_state(bounded(self.state()))
                state_ns = now_ns + STATE_EVERY_NS
            self._send(connection, now_ns)
            silent, changed = self._exchange.silent(now_ns)
            if silent:
                self._say(changed)
                self._next_broker()
                return "no acknowledgements"
            if self._route.back(now_ns):
                return "the first broker is tried again"
            self._wait(state_ns)
        return ""

    def _wait(self, state_ns: int) -> None:
        """Until something happens or a timer is due."""
        due_ns = min(state_ns, self._exchange.next_ns() or state_ns)
        seconds = max(0.01, (due_ns - time.monotonic_ns()) / SECOND_NS)
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._poked or self._stopping, seconds)

    def _send(self, connection: Connection, now_ns: int) -> None:
        """What the sender gives out, as far as window and broker allow."""
        while not connection.problem and (rows := self._exchange.turn(connection.room, now_ns)):
            for part in bundled(rows, min(self._exchange.bundle_bytes, connection.message_max)):
                connection.publish([row.key for row in part], pack([row.payload for row in part]))

    # --- what the broker and the collector say ---------------------------------------------------------------

    def _handle(self, event: Event, connection: Connection) -> None:
        if event.payload is not None:
            self._acknowledged(event.payload)
        elif event.mid is not None:
            keys = connection.answered_keys(event.mid)
            self._say(self._exchange.answered(keys, event.code, time.monotonic_ns()), event.reason)
        elif event.reason:
            self._say(self._exchange.delivery.deaf(time.monotonic_ns()), event.reason)

    def _acknowledged(self, payload: bytes) -> None:
        heard = self._exchange.heard(payload, time.monotonic_ns(), time.time_ns())
        if heard.handovers:
            _log.warning(
                "The collector has another key, appointed by the one before it", gateway=self._gateway,
            )  # fmt: skip
            self._on_handover(heard.handovers)
        if heard.ignored:
            self._say_bad_ack(heard.hint, heard.ignored)
        if not heard.counted:
            return
        self._route.heard()
        if heard.unnoted and not self._unnoted:
            _log.warning("The disk is full; acknowledgements are not noted until it has room", gateway=self._gateway)
        self._unnoted = heard.unnoted
        self._say_clock(self._spooler.clock())
        self._say(heard.changed)
        if heard.refilled:
            _log.warning(
                "The collector's journal was restored from a backup; what it lacks is sent again",
                gateway=self._gateway, batches=heard.refilled,
            )  # fmt: skip
        with self._changed:
            self._changed.notify_all()

    def _say_bad_ack(self, hint: str, problem: str) -> None:
        """Once for each kind, not at every beacon."""
        if problem != self._bad_ack:
            self._bad_ack = problem
            _log.error("An acknowledgement is ignored", gateway=self._gateway, problem=problem, hint=hint)

    def _say_clock(self, clock: Mapping[str, Any]) -> None:
        """That the clock is off, once, and that it is right again."""
        off = clock["off_s"] is not None
        if off and not self._clock_off:
            _log.error(
                "The gateway's clock is not the collector's; set it, and let a time server hold both",
                gateway=self._gateway, off_s=clock["off_s"], standing=clock["standing"],
            )  # fmt: skip
        elif self._clock_off and not off:
            _log.info("The gateway's clock agrees with the collector's", gateway=self._gateway)
        self._clock_off = off

    def _say(self, found: Obstacle | None, reason: str = "") -> None:
        """How delivery stands, once each time it changes. reason: the broker's words."""
        if found is None:
            return
        if found is delivery.NONE:
            _log.info("Batches are delivered again", gateway=self._gateway)
        elif found.state == delivery.SILENT:
            _log.warning(
                "Nothing was acknowledged for 60 s; everything stays in the outbox",
                gateway=self._gateway, problem=found.what, hint=found.hint,
                unacked_batches=self._spooler.counts().get("unacked_batches"),
            )  # fmt: skip
        else:
            _log.warning(
                "The broker does not pass batches on; they stay in the outbox",
                gateway=self._gateway, problem=found.what, reason=reason, hint=found.hint,
            )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """How the gateway is; `bounded` is published of it. Source: docs/reference/wire.md (State)."""
        standing = self._exchange.delivery.now
        return {
            "state": "online",
            "plant": self._spooler.plant,
            "gateway": self._gateway,
            "epoch": self._spooler.epoch.hex(),
            "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "broker": self._route.broker.url,
            "connection": {"problem": self._away[0], "hint": self._away[1]},
            "delivery": {"state": standing.state, "problem": standing.what, "hint": standing.hint},
            "refused_batches": self._exchange.delivery.refused,
            "resent_batches": self._exchange.resent,
            "clock": self._spooler.clock(),
            **self._spooler.counts(),
            **self._state(),
        }

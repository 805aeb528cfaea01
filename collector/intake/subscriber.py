"""The subscriber: the collector's connection to the broker.

Takes every gateway's batches off the broker, has them examined (`gate`) and queues them for the
recorder, which calls `puback` after the commit. Rules of this file:

- a message is PUBACKed by hand, and only on the connection that brought it: the broker sends again
  what was not, and stops sending after RECEIVE_MAXIMUM of them;
- what the broker has retained is not asked for, and refused where it comes all the same (MQTT 3.1.1 cannot
  ask): nobody knows when it was sent;
- what gateways say of themselves comes beside it (`states`), QoS 0; of that the broker's last word is asked for;
- losing the broker is no event for the rest: the library reconnects, acknowledgements wait for the
  next beacon or connection;
- who floods is not listened to for a while (`exclusion`): the session ends with all that the broker holds for
  it, since the others' batches are behind the flood, and the new one asks for the others' topics alone. What was
  lost with it gateways send again;
- nothing that arrives can end this thread.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from typing import Literal

import structlog
from msgspec.structs import replace
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from collector.intake.events import What
from collector.intake.exclusion import Exclusion
from collector.intake.gate import Examined, Gate
from collector.intake.inbox import CREDIT, Quota
from collector.intake.recorder import Deliveries, Delivery, Signal
from collector.intake.states import States
from gateway.bundles import unpack
from gateway.connection import tls_context
from gateway.settings import Broker
from gateway.wire import WireError, state_topic, up_topic

RECEIVE_MAXIMUM = CREDIT
# So long the broker keeps what it could not deliver: a restart of the collector, not more, since the
# gateways send everything again that no acknowledgement covers.
SESSION_EXPIRY_S = 300
# What is larger the broker drops by itself; what is larger than a batch may be is seen up to here, and told.
MAX_PACKET = 256 * 1024
KEEPALIVE_S = 30
RECONNECT_S = (1, 30)
QOS = 1
_FAULTS_LOGGED = 20
_FAULTS_PERIOD_NS = 3600 * 1_000_000_000

log = structlog.get_logger(__name__)


class Subscriber:
    """Receives batches and sends acknowledgements; the recorder's `Link`.

    connected: the broker is there. refusal: what it does not let the collector do, "" = nothing.
    """

    def __init__(
        self,
        broker: Broker,
        password: str | None,
        *,
        client_id: str,
        gate: Gate,
        deliveries: Deliveries,
        states: States | None = None,
    ) -> None:
        """The broker's files are paths as they are opened; client_id: the same at every start, nobody else's.

        states: takes what gateways say of themselves, None = nobody listens to that.
        Raises BrokerError when its TLS files cannot be used.
        """
        self.connected = False
        self.refusal = ""
        self._broker, self._gate, self._deliveries, self._states = broker, gate, deliveries, states
        self._states_mid: int | None = None  # of the subscription to them
        self._session = 0
        self._away = False
        self._logged = Quota(_FAULTS_LOGGED, _FAULTS_PERIOD_NS)
        self._stopping = threading.Event()
        self._five = broker.protocol == "5"
        self._id, self._password, self._tls = client_id, password, tls_context(broker)
        self._client = self._make()
        self._exclusion, self._anew = Exclusion(), threading.Event()
        self._topics: list[str] = []
        self._changing = threading.Lock()
        self._warden = threading.Thread(target=self._watch, name="exclusion", daemon=True)

    def _make(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            # MQTT 3.1.1 sessions never expire: a collector that stays away would fill the broker.
            clean_session=None if self._five else True,
            manual_ack=True,
        )
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._password)
        if self._tls:
            client.tls_set_context(self._tls)
        client.reconnect_delay_set(*RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def start(self) -> None:
        """Connect, in the background and again and again, until `stop`."""
        self._connect(clean=False)
        self._warden.start()

    def _connect(self, *, clean: bool | Literal[3]) -> None:
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            properties.MaximumPacketSize = MAX_PACKET
            self._client.connect_async(
                self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=clean, properties=properties
            )
        else:
            self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def stop_receiving(self) -> None:
        """Take nothing more in; what the recorder still sends goes out."""
        self._stopping.set()
        self._anew.set()
        with self._changing:
            self._client.unsubscribe(self._topics or [up_topic("+")])

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._anew.set()
        with self._changing:
            self._client.disconnect()
            self._client.loop_stop()

    def puback(self, delivery: Delivery) -> None:
        """Tell the broker that a message is dealt with, once all of it is."""
        if delivery.mid is not None and delivery.session == self._session:
            self._client.ack(delivery.mid, QOS)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send and retain; dropped while there is no connection, since a newer one follows on connecting."""
        if self.connected:
            self._client.publish(topic, payload, QOS, retain=True)

    def _on_connect(
        self, _: Client, __: object, flags: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._note(f"the broker refuses the collector: {reason}")
            return
        # Numbers of the last connection mean nothing on this one.
        self._session += 1
        self.connected, self.refusal, self._away = True, "", False
        self._topics = self._wanted()
        self._subscribe(self._topics)
        log.info(
            "The broker is connected.", host=self._broker.host, port=self._broker.port, resumed=flags.session_present
        )
        self._put(Signal.CONNECTED)

    def _on_connect_fail(self, _: Client, __: object) -> None:
        """Nobody answers; said once, and again only after it was there."""
        if not self._away:
            self._away = True
            log.warning("The broker cannot be reached; trying again.", host=self._broker.host, port=self._broker.port)

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if self.connected and not self._stopping.is_set():
            self._away = True
            log.warning("The broker is gone; gateways keep what they measure until it is back.", reason=str(reason))
        self.connected = False

    def _on_subscribe(self, _: Client, __: object, mid: int, reasons: list[ReasonCode], ___: Properties | None) -> None:
        if not any(reason.is_failure for reason in reasons):
            return
        if mid == self._states_mid:
            log.warning("The broker does not let the collector read how gateways are.", topic=state_topic("+"))
        else:
            self._note(f"the broker does not let the collector read {up_topic('+')}: {reasons[0]}")

    def _on_publish(self, _: Client, __: object, ___: int, reason: ReasonCode, ____: Properties | None) -> None:
        if reason.is_failure:
            self._note(f"the broker does not take acknowledgements: {reason}")

    def _note(self, refusal: str) -> None:
        """Say once what the broker refuses."""
        if refusal != self.refusal:
            self.refusal = refusal
            log.error("The broker refuses; look at its users and access list.", reason=refusal)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        if self._stopping.is_set():
            return
        payload = bytes(message.payload)
        if self._states and message.topic.endswith("/state"):  # no topic of batches does
            self._told(self._states, message.topic.split("/")[2], payload, retained=message.retain)
            self._client.ack(message.mid, message.qos)  # nothing, as long as the broker keeps to QoS 0
            return
        try:
            batches = unpack(payload)
        except WireError:
            batches = [payload]  # quarantined as it is
        examined = [self._limited(self._examine(message.topic, one, retained=message.retain)) for one in batches]
        self._put(Delivery(tuple(examined), self._session, message.mid))

    def _told(self, states: States, gateway: str, payload: bytes, *, retained: bool) -> None:
        """A state: an honest gateway sends two a minute, and a flood of them is one like any other."""
        if gateway in self._gate.trusted:
            states.note(gateway, payload, time.monotonic_ns(), retained=retained)
        counted = Examined(None, b"", False, "", None, gateway, time.time_ns(), What.FLOOD)
        if (limited := self._limited(counted)) is not counted:
            self._put(Delivery((limited,), self._session, None))

    def _examine(self, topic: str, payload: bytes, *, retained: bool) -> Examined:
        gateway = ""
        clocks = {"received_ns": time.time_ns(), "now_ns": time.monotonic_ns()}
        try:
            gateway = topic.split("/")[2]
            return self._gate.examine(gateway, payload, retained=retained, **clocks)
        except Exception as error:
            if self._logged.take("", time.monotonic_ns()):
                log.exception("A message could not be examined; it is kept aside.", size=len(payload))
            return self._gate.unexaminable(gateway, payload, f"{type(error).__name__}: {error}", **clocks)

    # --- who floods -----------------------------------------------------------------------------------

    def _wanted(self) -> list[str]:
        """The topics to listen to: of all gateways, or of those known that are not excluded."""
        excluded = self._exclusion.excluded(time.monotonic_ns())
        return [up_topic(id) for id in self._gate.trusted if id not in excluded] if excluded else [up_topic("+")]

    def _subscribe(self, topics: Sequence[str]) -> None:
        if topics and self._five:
            # A message that was to be retained still says so, also when it comes at once: no gateway asks for that.
            options = SubscribeOptions(QOS, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe([(topic, options) for topic in topics])
        elif topics:
            self._client.subscribe([(topic, QOS) for topic in topics])
        if topics and self._states:
            _, self._states_mid = self._client.subscribe([(topic, 0) for topic in _states_of(topics)])

    def _limited(self, examined: Examined) -> Examined:
        """A message as examined, or the word that nobody listens to its gateway from now on."""
        now_ns = time.monotonic_ns()
        if not (seconds := self._exclusion.note(examined.gateway, examined.what, self._gate.trusted, now_ns)):
            return examined
        self._anew.set()
        fault = f"a flood of messages that are not believed; nobody listens to it for {seconds:.0f} s"
        return replace(examined, entry=None, what=What.FLOOD, fault=fault)

    def _watch(self) -> None:
        """Begin another session when somebody is to be excluded, and listen again when that is over."""
        while not self._stopping.is_set():
            excluded = self._exclusion.excluded(time.monotonic_ns())
            end_ns = min(excluded.values(), default=0)
            self._anew.wait((end_ns - time.monotonic_ns()) / 1e9 + 0.1 if end_ns else None)
            with self._changing:
                if self._stopping.is_set():
                    return
                if self._anew.is_set():
                    self._anew.clear()
                    self._begin_anew()
                elif self.connected:
                    before, self._topics = self._topics, self._wanted()
                    self._subscribe(self._topics)
                    if gone := [topic for topic in before if topic not in self._topics]:
                        self._client.unsubscribe([*gone, *(_states_of(gone) if self._states else ())])

    def _begin_anew(self) -> None:
        """Another session, without what the broker holds for this one."""
        self.connected = False
        self._client.disconnect()
        self._client.loop_stop()
        self._client = self._make()
        self._connect(clean=MQTT_CLEAN_START_FIRST_ONLY)

    def _put(self, item: Delivery | Signal) -> None:
        """Queue for the recorder; while it is full the broker's connection waits."""
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                self._deliveries.put(item, timeout=0.5)
                return


def _states_of(topics: Sequence[str]) -> list[str]:
    """Where those who send batches on some topics say how they are."""
    return [state_topic(topic.split("/")[2]) for topic in topics]

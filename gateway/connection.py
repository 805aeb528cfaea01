"""One connection to the broker, made for one use.

A connection lives from `open` to `close` and is then thrown away, together with all that paho still
held for it. paho's thread only notes what happens (`Event`); nothing here waits for anything, and
the methods are called from one other thread. `room` keeps to the broker's Receive Maximum, which
paho 2.2 does not.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway import wire
from gateway.lanes import Key
from gateway.settings import Broker

KEEPALIVE_S = 20  # a half-open connection shows after 1.5 times this
CONNECT_S = 5.0
UNPUBACKED = 20  # publishes the broker has not answered; what mosquitto allows unless it says more
MAX_UNPUBACKED = 400
PACKET_BYTES = 256  # of a publish beside its payload, at most


class BrokerError(Exception):
    """The broker's settings cannot be used; says which and what to do."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened on a connection.

    payload: of an acknowledgement. mid: a publish the broker answered. reason, code: why it refuses, "" = it does not.
    No payload and no mid: the connection changed (see `answered`, `problem`), or the broker refuses to
    hand out acknowledgements.
    """

    payload: bytes | None = None
    mid: int | None = None
    reason: str = ""
    code: int = 0


@dataclass(slots=True)
class Connection:
    """One connection of a gateway to the broker.

    answered: the broker took it. problem: why it ended or never was; "" = it stands. code: why the broker did.
    """

    broker: Broker
    password: str | None
    gateway: str
    tls: ssl.SSLContext | None
    note: Callable[[Event], None]
    answered: bool = False
    problem: str = ""
    code: int = 0
    receive_max: int = UNPUBACKED
    message_max: int = 1 << 20  # bytes of a payload
    _client: mqtt.Client = field(init=False)
    _keys: dict[int, Sequence[Key]] = field(default_factory=dict)

    def open(self) -> None:
        """Connect; `answered` or `problem` say later how it went."""
        self._client = client = self._make()
        try:
            client.connect(self.broker.host, self.broker.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self.problem = str(error) or type(error).__name__
            return
        client.loop_start()

    def _make(self) -> mqtt.Client:
        five = self.broker.protocol == "5"
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.gateway,
            protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
            clean_session=None if five else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(0)  # `room` counts; paho must not queue
        if self.broker.user:
            client.username_pw_set(self.broker.user, self.password)
        if self.tls:
            client.tls_set_context(self.tls)
        client.will_set(wire.state_topic(self.gateway), self._offline(), qos=0, retain=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def _offline(self) -> str:
        return json.dumps({"state": "offline", "gateway": self.gateway})

    @property
    def room(self) -> int:
        """How many more publishes the broker takes before it has answered."""
        return max(0, self.receive_max - len(self._keys))

    def publish(self, keys: Sequence[Key], message: bytes) -> None:
        """Send a batch or a bundle of them, QoS 1."""
        info = self._client.publish(wire.up_topic(self.gateway), message, qos=1)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._keys[info.mid] = keys
        else:
            self.problem = self.problem or mqtt.error_string(info.rc)

    def answered_keys(self, mid: int) -> Sequence[Key]:
        """Which batches a PUBACK is for; it leaves room for another."""
        return self._keys.pop(mid, ())

    def publish_state(self, state: Mapping[str, Any]) -> None:
        """Say how the gateway is, QoS 0, retained."""
        self._client.publish(wire.state_topic(self.gateway), json.dumps(state), qos=0, retain=True)

    def close(self) -> None:
        """End the connection; with a goodbye where it still stands."""
        if not self.problem:
            self._client.publish(wire.state_topic(self.gateway), self._offline(), qos=0, retain=True)
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()
        # The callbacks hold the client in a circle; without them its sockets close right now.
        self._client.on_connect = self._client.on_disconnect = self._client.on_subscribe = None
        self._client.on_message = self._client.on_publish = None
        del self._client

    # --- called from paho's thread, which holds paho's locks: note and return -------------------------------

    def _on_connect(
        self, client: mqtt.Client, _: object, __: mqtt.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.problem, self.code = f"the broker refuses the connection: {reason}", reason.value
        else:
            self.receive_max = min(getattr(properties, "ReceiveMaximum", UNPUBACKED), MAX_UNPUBACKED)
            self.message_max = getattr(properties, "MaximumPacketSize", self.message_max) - PACKET_BYTES
            client.subscribe(wire.down_topic(self.gateway), qos=1)
            self.answered = True
        self.note(Event())

    def _on_disconnect(
        self, _: mqtt.Client, __: object, ___: mqtt.DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self.problem = self.problem or f"disconnected: {reason}"
        self.code = reason.value
        self.note(Event())

    def _on_message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        self.note(Event(payload=bytes(message.payload)))

    def _on_publish(self, _: mqtt.Client, __: object, mid: int, reason: ReasonCode, ___: Properties) -> None:
        self.note(Event(mid=mid, reason=str(reason) if reason.value else "", code=reason.value))

    def _on_subscribe(
        self, _: mqtt.Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.note(Event(reason=str(reasons[0])))


def tls_context(broker: Broker) -> ssl.SSLContext | None:
    """The TLS settings of a mqtts url, None for mqtt; raises BrokerError where a file cannot be used."""
    if not broker.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=broker.ca or None)
        if broker.cert:
            context.load_cert_chain(broker.cert, broker.key or None)
    except OSError as error:
        files = ", ".join(name for name in (broker.ca, broker.cert, broker.key) if name)
        raise BrokerError(f"[broker] ca, cert, key ({files}): {error}") from error
    return context

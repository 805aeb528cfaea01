"""Makes a running mosquitto take over a revocation: reload, cut the session that stands, see that it is refused.

What mosquitto 2.0 does on SIGHUP, tried out: the list of revoked certificates counts for new connections
alone, the access list for standing ones as well; no session is ended. So a revoked gateway could stay
connected, allowed nothing. `cut` ends that session: it connects under the gateway's own name, with a
certificate made for the moment, and the broker, which makes the name the client id, drops the other one.
"""

from __future__ import annotations

import os
import signal
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from collector.proof.authority_files import Credentials
from gateway.wire import state_topic

ANSWER_S = 3.0
AGAIN_S = 0.2
NOT_AUTHORIZED = 0x87


@dataclass(frozen=True, slots=True)
class Door:
    """Where the broker listens, and whose certificate it has to show (a file)."""

    host: str
    port: int
    ca: Path


def reload(pid_file: Path) -> str:
    """Have the mosquitto of a pid file read its lists again; why that was not possible, "" = it was."""
    try:
        pid = int(pid_file.read_text("ascii"))
        if Path(f"/proc/{pid}/comm").read_text("utf-8").strip() != "mosquitto":
            return f"process {pid} of {pid_file} is no mosquitto"
        os.kill(pid, signal.SIGHUP)
    except FileNotFoundError:
        return f"no mosquitto runs here with {pid_file.parent.parent / 'mosquitto.conf'}"
    except (OSError, ValueError) as error:
        return f"the mosquitto of {pid_file} cannot be told: {error}"
    return ""


def cut(door: Door, gateway: str, credentials: Credentials, *, within_s: float = 10.0) -> str:
    """End whatever session a refused gateway has; why it may still have one, "" = it has none and gets none.

    credentials: made out to the gateway for this moment. The broker's word counts: it has to refuse a publish.
    """
    end = time.monotonic() + within_s
    while True:
        attempt = _Attempt(door, gateway, credentials)
        answer = attempt.run()
        if not answer or time.monotonic() > end:
            return answer
        time.sleep(AGAIN_S)


class _Attempt:
    """One connection in the gateway's name that tries to publish."""

    def __init__(self, door: Door, gateway: str, credentials: Credentials) -> None:
        self._door, self._gateway = door, gateway
        self._answered = threading.Event()
        self._answer = f"the broker at {door.host}:{door.port} does not answer"
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id=gateway, protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )  # fmt: skip
        client.connect_timeout = ANSWER_S
        client.tls_set_context(_context(door, credentials))
        client.on_connect, client.on_publish = self._on_connect, self._on_publish
        client.on_disconnect = lambda *_: self._end("the broker ended the connection")

    def run(self) -> str:
        """Why the gateway may still get in, "" = it is refused."""
        try:
            self._client.connect(self._door.host, self._door.port)
        except (OSError, ValueError) as error:
            return f"the broker at {self._door.host}:{self._door.port}: {error}"
        self._client.loop_start()
        self._answered.wait(ANSWER_S)
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()
        return self._answer

    def _on_connect(self, client: Client, _: object, __: object, reason: ReasonCode, ___: object) -> None:
        if reason.is_failure:
            self._end(f"the broker refuses even the certificate of this moment: {reason}")
        else:
            client.publish(state_topic(self._gateway), b"", qos=1)

    def _on_publish(self, _: Client, __: object, ___: int, reason: ReasonCode, ____: object) -> None:
        refused = reason.value == NOT_AUTHORIZED
        self._end("" if refused else f"the broker still takes what {self._gateway} publishes")

    def _end(self, answer: str) -> None:
        if not self._answered.is_set():
            self._answer = answer
            self._answered.set()


def _context(door: Door, credentials: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(door.ca))
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "cert.pem", Path(folder) / "key.pem"
        for path, text in ((certificate, credentials.certificate), (key, credentials.key)):
            path.touch(0o600)
            path.write_text(text)
        context.load_cert_chain(certificate, key)
    return context

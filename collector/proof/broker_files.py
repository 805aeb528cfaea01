"""What a mosquitto is told, and what a gateway is given to paste: texts made of identities.

Rules of this file:

- nobody is anonymous: the user name is the certificate's common name, and the client id is the user name,
  so that no gateway can take over the session of another;
- a gateway writes its own batches and state and reads its own acknowledgements; everything else is refused
  by not being allowed;
- a refused gateway is denied by name as well, since a list of revoked certificates does not concern
  connections that stand already.

Pure: settings in, texts out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

COLLECTOR, READER, HEALTH = "collector", "tap", "health"
# Users that are no gateways: who work with messages, and one that only sees whether the broker lets it in.
OWN = (COLLECTOR, READER)
RESERVED = (*OWN, HEALTH)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_PACKET = 262144


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a gateway needs to know. url: of the broker. Keys are public and in hex."""

    gateway: str
    plant: str
    url: str
    key: str
    collector_key: str


def mosquitto_conf(folder: str, *, host: str, port: int) -> str:
    """The configuration of a mosquitto 2 whose files lie in a folder; it listens where gateways look for it."""
    bind = f" {host}" if host in LOOPBACK[:1] else " 127.0.0.1" if host in LOOPBACK else ""
    return f"""\
# Made by `emitwatch enroll`, and left alone once it is there: delete it to have it made anew.
# After a change of acl or crl.pem send SIGHUP; after a change of this file start mosquitto again.
pid_file {folder}/state/mosquitto.pid

listener {port}{bind}
cafile {folder}/ca.pem
certfile {folder}/cert.pem
keyfile {folder}/key.pem
crlfile {folder}/crl.pem
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl

# Batches that wait for the collector survive a restart; that they need not is the gateways' outbox.
persistence true
persistence_location {folder}/state/
autosave_interval 60

# 0 = no limit: the gateways' window and the collector's credit are the limits. Not so for the queue, where
# mosquitto 2.0.11 with 0 ends the connection of whoever had a publish refused.
max_inflight_messages 0
max_queued_messages 100000
max_packet_size {MAX_PACKET}
"""


def acl(refused: Iterable[str]) -> str:
    """The access list; refused: gateways that may nothing any more."""
    denied = "".join(f"user {gateway}\ntopic deny em/v1/{gateway}/#\n\n" for gateway in (HEALTH, *refused))
    return f"""\
# Made by `emitwatch enroll`, anew each time it runs.
user {COLLECTOR}
topic read em/v1/+/up
topic read em/v1/+/state
topic write em/v1/+/down

user {READER}
topic read em/v1/+/up
topic read em/v1/+/state

{denied}pattern write em/v1/%u/up
pattern write em/v1/%u/state
pattern read em/v1/%u/down
"""


def site_tables(bundle: Bundle) -> str:
    """The tables that the gateway's site file needs, its files in a folder `identity` beside it."""
    return f"""\
# Identity of gateway {bundle.gateway} of plant {bundle.plant}. Put this folder's files into a folder `identity`
# beside the gateway's site file, readable by the gateway's user alone, and paste these tables in place of its own.

[broker]
url = {_text(bundle.url)}
ca = "identity/ca.pem"
cert = "identity/cert.pem"
key = "identity/key.pem"

[collector]
public_key = "{bundle.collector_key}"

[[gateway]]
id = {_text(bundle.gateway)}
public_key = "{bundle.key}"
"""


def collector_tables(folder: str, public_key: str) -> str:
    """The keys of [broker] and [collector] in the collector's site file. folder: where its own identity lies."""
    return f"""\
[broker]
ca = {_text(f"{folder}/ca.pem")}

[collector]
public_key = "{public_key}"
cert = {_text(f"{folder}/collector.pem")}
key = {_text(f"{folder}/collector.key")}
"""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON text is a TOML text

"""A site of two gateways whose identities are made by the command itself, and a mosquitto that knows them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli import main
from gateway.catalogue import load_sites
from gateway.settings import Broker, Site
from tests.gateway.ports import wait_for_port

SITE = """
[plant]
id = "riverside"
timezone = "Asia/Shanghai"
[broker]
url = "mqtts://127.0.0.1:{port}"
ca = "data/collector/identity/ca.pem"
[collector]
cert = "data/collector/identity/collector.pem"
key = "data/collector/identity/collector.key"
[[gateway]]
id = "gw-a"
[[gateway]]
id = "gw-b"
[[point]]
id = "fence-north"
kind = "noise"
rules = ["gb12348-2008"]
settings = {{ area_class = 2 }}
[[sensor]]
id = "slm-north"
point = "fence-north"
gateway = "gw-a"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
"""


@dataclass
class Place:
    """A folder with a site file."""

    folder: Path
    port: int

    def __post_init__(self) -> None:
        self.file = self.folder / "site.toml"
        self.file.write_text(SITE.format(port=self.port))
        self.collector = self.folder / "data" / "collector"
        self.broker = self.collector / "broker"
        self.register = self.collector / "identities.jsonl"

    def enroll(self, gateway: str, *words: str) -> int:
        """Run the command; its exit code."""
        return main(["enroll", str(self.file), gateway, *words])

    def site(self) -> Site:
        """The site as the collector loads it."""
        return load_sites(str(self.file))[0]

    def bundle(self, gateway: str) -> Path:
        """What the command made for a gateway."""
        return self.collector / "bundles" / gateway

    def signing_key(self, gateway: str) -> Ed25519PrivateKey:
        """The gateway's signing key, out of its bundle."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex((self.bundle(gateway) / "signing.key").read_text()))

    def door(self, gateway: str) -> Broker:
        """The broker as the gateway's bundle describes it."""
        bundle = self.bundle(gateway)
        files = {"ca": str(bundle / "ca.pem"), "cert": str(bundle / "cert.pem"), "key": str(bundle / "key.pem")}
        return Broker(url=f"mqtts://127.0.0.1:{self.port}", protocol="5", user="", password_file="", **files)


@contextmanager
def mosquitto_of(program: str, place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A mosquitto with the files the command made. It stays the user it was, since the folder is this user's."""
    config = place.folder / "mosquitto.conf"
    config.write_text((place.broker / "mosquitto.conf").read_text() + "user root\nlog_type none\n")
    with subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for_port(place.port)
            yield process
        finally:
            process.terminate()
            process.wait(5)

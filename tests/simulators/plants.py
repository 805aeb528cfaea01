"""Sites for the tests of the simulators: those of the product, moved to free ports."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from gateway import catalogue, sensors
from gateway.sensors import Sensor
from gateway.settings import Site, parse_site

SITE = """
[plant]
id = "test"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1:1"
[[gateway]]
id = "test-gw"
[[point]]
id = "fence"
kind = "noise"
[[point]]
id = "stack"
kind = "stack"
settings = { reference_oxygen = 6.0, basis = "wet", state = "actual" }
[[point]]
id = "outfall"
kind = "water"
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:PORT?unit=1"
profile = "emitwatch-noise"
interval_s = 1
[[sensor]]
id = "cems"
point = "stack"
link = "tcp://127.0.0.1:PORT?unit=2"
profile = "sick-mcs100ft"
interval_s = 5
parameters = ["SO2", "NOx", "CO", "O2"]
[[sensor]]
id = "flow"
point = "outfall"
link = "tcp://127.0.0.1:PORT?unit=3"
profile = "tuf-2000m"
interval_s = 60
parameters = ["flow"]
[[sensor]]
id = "water"
point = "outfall"
link = "tcp://127.0.0.1:PORT?unit=4"
profile = "emitwatch-water"
interval_s = 60
"""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def site_text(port: int) -> str:
    """The site file, with its instruments behind one port."""
    return SITE.replace("PORT", str(port))


def small_site(port: int) -> tuple[Site, Sequence[Sensor]]:
    """A site with an instrument of each kind behind one port, and its sensors."""
    site, faults = parse_site(site_text(port), "test.toml")
    assert site, faults
    found, faults = sensors.resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults, faults
    return site, found

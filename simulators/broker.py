"""The demonstration's MQTT broker: mosquitto where it is installed, else amqtt, written in Python.

Both listen on 127.0.0.1 alone and let everybody in, keep nothing on disk, and are allowed to queue
much more than the demonstration sends. amqtt speaks MQTT 3.1.1 only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

MOSQUITTO, AMQTT = "mosquitto", "amqtt"
# Debian puts mosquitto where only root's PATH looks.
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
PROTOCOL = {MOSQUITTO: "5", AMQTT: "3.1.1"}


class NoBroker(Exception):
    """A broker that is not installed or does not start; says what to do."""


def choose(wanted: str | None) -> str:
    """The broker to start: the wanted one, or mosquitto where there is one and amqtt elsewhere."""
    found = shutil.which(MOSQUITTO, path=PLACES)
    if wanted == MOSQUITTO and not found:
        raise NoBroker("mosquitto is not installed: apt-get install mosquitto, or take --broker amqtt")
    return wanted or (MOSQUITTO if found else AMQTT)


def command(kind: str, folder: Path, port: int) -> list[str]:
    """The command line that starts a broker; its files are put into a folder."""
    if kind == AMQTT:
        return [sys.executable, "-m", "simulators", "call", "simulators.broker:run_amqtt", f'{{"port": {port}}}']
    found = shutil.which(MOSQUITTO, path=PLACES)
    assert found, "choose() says whether mosquitto is there"
    config = folder / "mosquitto.conf"
    config.write_text(_mosquitto_conf(port))
    return [found, "-c", str(config)]


def _mosquitto_conf(port: int) -> str:
    # 0 = no limit: the collector's window, not the broker's, is what holds a backlog.
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_inflight_messages 0",
        "max_queued_messages 0",
        "log_dest stderr",
        "log_type error",
        "connection_messages false",
    ]
    if os.geteuid() == 0:
        # Changing the user would lose the signal that ends the broker with the demonstration.
        lines.append("user root")
    return "\n".join(lines) + "\n"


def wait_until_up(port: int, timeout_s: float) -> bool:
    """Whether something listens on a local port within a time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def run_amqtt(port: int) -> int:
    """Be an amqtt broker until SIGTERM or SIGINT."""
    # amqtt calls every connection that ends without a word an error; the line's own parts report theirs.
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(_amqtt(port))
    return 0


async def _amqtt(port: int) -> None:
    from amqtt.broker import Broker

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Not the default plugins: they print every packet and publish statistics nobody reads.
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await stop.wait()
    # Its own shutdown waits for clients; the demonstration's clients are being ended at the same time.
    try:
        await asyncio.wait_for(broker.shutdown(), 2.0)
    except TimeoutError:
        os._exit(0)

"""Real MQTT brokers for the tests of the collector: on 127.0.0.1, on a free port, gone after the test."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.intake.subscriber import Subscriber
from tests.gateway.ports import wait_for_port


@contextmanager
def mosquitto_at(program: str, folder: Path, port: int, *extra: str) -> Iterator[subprocess.Popen[bytes]]:
    """A mosquitto that lets everybody in, keeps nothing and stops with the block."""
    config = folder / f"mosquitto-{port}.conf"
    lines = [f"listener {port} 127.0.0.1", "persistence false", "max_inflight_messages 0", *extra]
    lines += [] if any("allow_anonymous" in line for line in extra) else ["allow_anonymous true"]
    config.write_text("\n".join([*lines, "user root", ""]))
    with subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for_port(port)
            yield process
        finally:
            process.terminate()
            process.wait(5)


def listening(subscriber: Subscriber) -> threading.Event:
    """Of a subscriber before its start: set once the broker has confirmed that it listens."""
    confirmed, told = threading.Event(), subscriber._client.on_subscribe
    assert told is not None

    def note(*given: Any) -> None:
        told(*given)
        confirmed.set()

    subscriber._client.on_subscribe = note
    return confirmed

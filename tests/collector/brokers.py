"""Real MQTT brokers for the tests of the collector: on 127.0.0.1, on a free port, gone after the test."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


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


def wait_for_port(port: int) -> None:
    """Until something listens there."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"no broker on port {port}")

"""Real MQTT brokers for the tests of the collector: on 127.0.0.1, on a free port, gone after the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

"""Ports of this machine: one that nobody listens on, and the wait until somebody does."""

from __future__ import annotations

import socket
import time


def free_port() -> int:
    """A free port; another process may take it before it is used, which is rare enough for tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, within_s: float = 10.0) -> None:
    """Until something listens there."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")

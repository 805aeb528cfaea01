"""What a service manager is told: that the gateway is up, that it still lives, what it is doing.

Where systemd started the process it named a socket (`NOTIFY_SOCKET`) and perhaps how often it wants to hear of it
(`WATCHDOG_USEC`); a gateway whose loop stands still is then killed and started anew. Elsewhere nothing is said.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

PULSES = 3  # said in the time after which the manager gives up


class Manager:
    """Whoever started the process, as its environment names it. Never raises: a gateway runs without a manager too."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted_us = environment.get("WATCHDOG_USEC", "") if mine else ""
        self._every_s = int(wanted_us) / 1e6 / PULSES if wanted_us.isdigit() else None
        self._said_s = 0.0

    def ready(self, status: str) -> None:
        """The gateway is up."""
        self._say(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The gateway reads its files again; `ready` says when it is done."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """The gateway's loop goes round; called often, said as often as it is wanted."""
        now_s = time.monotonic()
        if self._every_s is not None and now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._say("WATCHDOG=1")

    def ending(self) -> None:
        """The gateway commits what it has and ends."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(text.encode(), self._address)
        except OSError:
            pass  # the manager has gone, or does not read: measuring goes on

"""The channels of a site file, ready to send; the secrets they need are read here.

A webhook's secret that the site file does not name is made when it is missing, like the other keys
(mode 0600). One that it does name must be there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from alerts.channels.console import ConsoleChannel
from alerts.channels.email import EmailChannel
from alerts.channels.webhook import WebhookChannel
from alerts.records import Notice
from alerts.settings import Channel, Recipient
from gateway.document import Fault, FaultyFiles

SECRET_MAX = 4096  # bytes of a secret file: a key, not a document

log = structlog.get_logger(__name__)


class Sender(Protocol):
    """A channel as the notifier sees it."""

    def send(self, notice: Notice, recipient: Recipient) -> str:
        """Send one notice; gives what the other side said. Raises egress.NotSent or egress.Unclear."""


def build(channels: Mapping[str, Channel]) -> dict[str, Sender]:
    """A sender for every channel. Raises FaultyFiles when a secret cannot be read."""
    faults: list[Fault] = []
    senders = {id: sender for id, channel in channels.items() if (sender := _sender(channel, faults)) is not None}
    if faults:
        raise FaultyFiles(faults)
    return senders


def _sender(channel: Channel, faults: list[Fault]) -> Sender | None:
    if channel.kind == "console":
        return ConsoleChannel()
    if channel.kind == "email":
        return EmailChannel(channel)
    try:
        return WebhookChannel(channel, _secret(Path(channel.secret_file), make=channel.secret_default))
    except (OSError, ValueError) as error:
        hint = "put the secret shared with the receiver into it, or leave secret_file out to have one made"
        faults.append(Fault(channel.secret_file, "", None, f"channel {channel.id}: no secret: {error}", hint))
        return None


def _secret(path: Path, *, make: bool) -> bytes:
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        owner_only = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(owner_only, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        log.info("made a secret that signs notices; the receiver needs it", file=str(path))
    with path.open("rb") as file:
        secret = file.read(SECRET_MAX).strip()
    if not secret:
        raise ValueError("the file is empty")
    return secret

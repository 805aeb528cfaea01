"""A webhook: the notice as JSON, signed so that the receiver can tell who sent it and when.

    Emitwatch-Notice     name of the message; a receiver that sees it twice drops the second
    Emitwatch-Timestamp  seconds since 1970 UTC when it was sent; old ones are to be refused
    Emitwatch-Signature  v1=<hex HMAC-SHA256 of "<timestamp>.<body>" with the channel's secret>

Any 2xx answer means taken. Everything else does not, redirects included; 4xx answers except 408, 425
and 429 are not tried again, since the same message would meet the same answer.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from alerts import egress
from alerts.egress import NotSent
from alerts.records import Notice
from alerts.settings import Channel, Recipient

_AGAIN = (408, 425, 429)


class WebhookChannel:
    """Posts to the address of a channel. secret: the shared key."""

    def __init__(self, channel: Channel, secret: bytes, *, now: Callable[[], float] = time.time) -> None:
        self._channel = channel
        self._secret = secret
        self._now = now

    def send(self, notice: Notice, recipient: Recipient) -> str:
        """Post one notice; gives the answer's status. Raises NotSent or Unclear."""
        body, timestamp = notice.message.payload.encode(), str(int(self._now()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "emitwatch",
            "Emitwatch-Notice": notice.digest,
            "Emitwatch-Recipient": recipient.id,
            "Emitwatch-Timestamp": timestamp,
            "Emitwatch-Signature": signature(self._secret, timestamp, body),
        }
        status = egress.post(self._channel.url, body, headers, allow_private=self._channel.allow_private)
        if 200 <= status < 300:
            return f"answered {status}"
        again = status in _AGAIN or status >= 500
        # Of the address the host alone: many receivers have their secret in the rest.
        raise NotSent(f"{urlsplit(self._channel.url).hostname} answers {status}", again=again)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What the header Emitwatch-Signature holds.

    >>> signature(b"secret", "1795183200", b"{}")[:19]
    'v1=8e74db10edd1bd06'
    """
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

"""Who may ask the interface: one bearer token, or nobody but this machine. Pure.

Users with roles come later; until then whoever holds the token may read and acknowledge. Without a
token (the demo alone) requests are taken only when they name this machine as their host: a page of
another origin that had its name pointed at 127.0.0.1 sends its own name, and gets nothing.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def token_fits(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token; takes equally long for every wrong one."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def host_is_local(host: str) -> bool:
    """Whether a Host header names this machine by its loopback name or address."""
    try:
        return (urlsplit(f"//{host}").hostname or "") in LOOPBACK
    except ValueError:
        return False


def origin_fits(origin: str, host: str) -> bool:
    """Whether a request that changes something comes from our own page, or from no page at all."""
    try:
        return not origin or urlsplit(origin).netloc == host
    except ValueError:
        return False

"""The link that a site file names."""

from __future__ import annotations

from gateway.links.address import Link as Address
from gateway.links.link import Link
from gateway.links.tcp import CONNECT_S, TcpLink


def open_link(address: Address, *, connect_s: float = CONNECT_S) -> Link:
    """The way to the units at an address; it connects when it is first read from."""
    assert address.kind == "tcp", "other links are refused before"
    return TcpLink(address.address, address.port, connect_s=connect_s)

"""The link that a site file names."""

from __future__ import annotations

from gateway.links.address import Link as Address
from gateway.links.asking import CONNECT_S
from gateway.links.link import Link
from gateway.links.rtu import RtuLink, RtuTcpLink
from gateway.links.tcp import TcpLink


def open_link(address: Address, *, connect_s: float = CONNECT_S) -> Link:
    """The way to the units at an address; it connects when it is first read from."""
    if address.kind == "rtu":
        return RtuLink(address.address, address.line, connect_s=connect_s)
    kind = RtuTcpLink if address.kind == "rtu+tcp" else TcpLink
    return kind(address.address, address.port, connect_s=connect_s)
